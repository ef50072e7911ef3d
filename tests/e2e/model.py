# SPDX-License-Identifier: Apache-2.0
"""The application of the end-to-end proofs, and what its database must contain after each commit.

Goal:   for any file that is said to be the database at some moment, say whether it is, and which.
Method: a transaction is wholly determined by its sequence number and its kind. Writers number their
        transactions in the database itself, under SQLite's write lock, so that the order is that
        of the commits; their logs tell kind and wall time of each. The model replays them in
        Python, without SQLite.
"""
import collections
import hashlib
import os
import random
import sqlite3

KEYS = 400  # rows that come and go
KINDS = {"small": (1, 3), "medium": (5, 25), "large": (80, 200)}  # rows a transaction
LENGTHS = (10, 100, 100, 700, 700, 3000, 9000)  # of bodies; the longest need overflow pages
DELETED_SHARE = 0.3
COLD_ROW_BYTES = 50000

Operation = collections.namedtuple("Operation", "id number length")  # length None: deleted
Commit = collections.namedtuple("Commit", "seq kind before after")  # wall time in seconds


def operations(seq, kind):
    chance = random.Random(f"{seq} {kind}")
    result = []
    for number in range(chance.randint(*KINDS[kind])):
        length = None if chance.random() < DELETED_SHARE else chance.choice(LENGTHS)
        result.append(Operation(chance.randrange(KEYS), number, length))
    return result


def body(seq, number, length):
    return hashlib.shake_128(b"%d %d" % (seq, number)).digest(length)


def create(path, cold_bytes=0):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA auto_vacuum=incremental")
    db.execute("PRAGMA journal_mode=wal")
    db.execute("CREATE TABLE counter(n INTEGER)")
    db.execute("INSERT INTO counter VALUES(0)")
    db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, seq INT, number INT, body BLOB)")
    db.execute("CREATE INDEX item_by_seq ON item(seq, number)")
    db.execute("CREATE TABLE cold(id INTEGER PRIMARY KEY, body BLOB)")
    db.execute("BEGIN")
    for _ in range(0, cold_bytes, COLD_ROW_BYTES):
        db.execute("INSERT INTO cold(body) VALUES(?)", (os.urandom(COLD_ROW_BYTES),))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def apply(db, kind):
    """One transaction, but for its COMMIT; returns its sequence number."""
    db.execute("BEGIN IMMEDIATE")
    seq = db.execute("SELECT n FROM counter").fetchone()[0] + 1
    db.execute("UPDATE counter SET n = ?", (seq,))
    for op in operations(seq, kind):
        if op.length is None:
            db.execute("DELETE FROM item WHERE id = ?", (op.id,))
        else:
            db.execute("REPLACE INTO item VALUES(?, ?, ?, ?)",
                       (op.id, seq, op.number, body(seq, op.number, op.length)))
    return seq


class History:
    """Every commit that the writers logged."""

    def __init__(self, logs):
        commits = []
        for path in logs:
            with open(path) as f:
                for line in f:
                    seq, kind, before, after = line.split()
                    commits.append(Commit(int(seq), kind, float(before), float(after)))
        self.commits = sorted(commits)
        numbers = [c.seq for c in self.commits]
        if numbers != list(range(1, len(numbers) + 1)):
            raise AssertionError("the writers' own logs have a hole: the test is wrong")
        self.at = 0
        self.rows = {}

    def __len__(self):
        return len(self.commits)

    def state(self, seq):
        """id → (seq, number, length) after commit `seq`."""
        if seq < self.at:
            self.at, self.rows = 0, {}
        for c in self.commits[self.at:seq]:
            for op in operations(c.seq, c.kind):
                if op.length is None:
                    self.rows.pop(op.id, None)
                else:
                    self.rows[op.id] = (c.seq, op.number, op.length)
        self.at = seq
        return self.rows

    def pages_bound(self, page_bytes):
        """No more pages than these can have been written by all commits: for each row the leaf, the
        leaves of the index entries old and new, overflow and pointer-map pages, old and new, and
        some for b-trees that are balanced; for each commit the counter, header and freelist."""
        longest = -(-max(LENGTHS) // (page_bytes - 4))
        rows = sum(len(operations(c.seq, c.kind)) for c in self.commits)
        return 5 * len(self.commits) + rows * (8 + 2 * longest)

    def check(self, path):
        """The database at `path` is the model's state after some commit: which one."""
        db = sqlite3.connect(path, isolation_level=None)
        try:
            seq = db.execute("SELECT n FROM counter").fetchone()[0]
            if seq > len(self.commits):
                raise AssertionError(f"{path} counts {seq} commits; {len(self.commits)} were made")
            want = dict(self.state(seq))
            for key, made_by, number, content in db.execute("SELECT * FROM item"):
                if want.pop(key, None) != (made_by, number, len(content)):
                    raise AssertionError(f"{path}: row {key} is not that of commit {seq}")
                if content != body(made_by, number, len(content)):
                    raise AssertionError(f"{path}: row {key} has another content")
            if want:
                raise AssertionError(f"{path}: rows {sorted(want)[:5]} of commit {seq} are missing")
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                raise AssertionError(f"{path}: integrity_check: {verdict}")
            return seq
        finally:
            db.close()

    def last_before(self, when):
        """The newest commit that was surely complete at `when`."""
        return max((c.seq for c in self.commits if c.after < when), default=0)

    def first_after(self, when):
        """The oldest commit that surely had not begun to be visible at `when`."""
        return min((c.seq for c in self.commits if c.before > when), default=len(self.commits) + 1)
