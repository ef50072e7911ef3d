# SPDX-License-Identifier: Apache-2.0
"""The application of the end-to-end proofs, and what its database must contain after each commit.

Goal:   for any file that is said to be the database at some moment, say whether it is, and which.
Method: a transaction is wholly determined by its sequence number and its kind. Writers number their
        transactions in the database itself, under SQLite's write lock, so that the order is that
        of the commits; their logs tell kind and wall time of each. The model replays them in
        Python, without SQLite. A shape is a kind of table that the rows are kept in; the rows are
        the same in all.
"""
import collections
import hashlib
import os
import random
import sqlite3

KEYS = 400  # rows that come and go
KINDS = {"small": (1, 3), "medium": (5, 25), "large": (80, 200), "blobs": (1, 2)}  # rows
LENGTHS = (10, 100, 100, 700, 700, 3000, 9000)  # of bodies; the longest need overflow pages
BLOB_KEYS = 6
BLOB_LENGTHS = (100, 30000, 120000, 400000)
DELETED_SHARE = 0.3
COLD_ROW_BYTES = 50000
FILL_ROW_BYTES = 500_000_000
FILL_TAIL_PAGES = 400  # each a row of its own, so that they can be given back

Operation = collections.namedtuple("Operation", "id number length")  # length None: deleted
Commit = collections.namedtuple("Commit", "seq kind before after")  # wall time in seconds


def operations(seq, kind):
    chance = random.Random(f"{seq} {kind}")
    keys, lengths = (BLOB_KEYS, BLOB_LENGTHS) if kind == "blobs" else (KEYS, LENGTHS)
    result = []
    for number in range(chance.randint(*KINDS[kind])):
        length = None if chance.random() < DELETED_SHARE else chance.choice(lengths)
        result.append(Operation(chance.randrange(keys), number, length))
    return result


def body(seq, number, length):
    return hashlib.shake_128(b"%d %d" % (seq, number)).digest(length)


class Rows:
    """An ordinary table with an index."""

    tables = ("CREATE TABLE item(id INTEGER PRIMARY KEY, seq INT, number INT, body BLOB)",
              "CREATE INDEX item_by_seq ON item(seq, number)")

    def put(self, db, key, seq, number, content):
        db.execute("REPLACE INTO item VALUES(?, ?, ?, ?)", (key, seq, number, content))

    def delete(self, db, key):
        db.execute("DELETE FROM item WHERE id = ?", (key,))

    def rows(self, db):
        """id, seq, number, body of each."""
        return db.execute("SELECT id, seq, number, body FROM item")

    def check(self, db):
        """AssertionError where SQLite itself finds a fault that integrity_check does not."""


class WithoutRowid(Rows):
    """A table that is its own index, by text, whose bytes depend on the encoding."""

    tables = ("CREATE TABLE item(id TEXT PRIMARY KEY, seq INT, number INT, body BLOB)"
              " WITHOUT ROWID", "CREATE INDEX item_by_seq ON item(seq, number)")
    NAME = "\u0440\u044f\u0434 \u5217 "  # of two and of three bytes in UTF-8

    def put(self, db, key, seq, number, content):
        super().put(db, self.NAME + str(key), seq, number, content)

    def delete(self, db, key):
        super().delete(db, self.NAME + str(key))

    def rows(self, db):
        for name, seq, number, content in super().rows(db):
            if not name.startswith(self.NAME):
                raise AssertionError(f"a row is called {name!r}")
            yield int(name[len(self.NAME):]), seq, number, content


class Words(Rows):
    """A full-text index: the body as words."""

    tables = ("CREATE VIRTUAL TABLE item USING fts5(seq UNINDEXED, number UNINDEXED, words)",)

    @staticmethod
    def words(content):
        text = content.hex()
        return " ".join("\u00e4" + text[at:at + 4] for at in range(0, len(text), 4))

    def put(self, db, key, seq, number, content):
        db.execute("REPLACE INTO item(rowid, seq, number, words) VALUES(?, ?, ?, ?)",
                   (key, seq, number, self.words(content)))

    def delete(self, db, key):
        db.execute("DELETE FROM item WHERE rowid = ?", (key,))

    def rows(self, db):
        for key, seq, number, words in db.execute("SELECT rowid, seq, number, words FROM item"):
            first = words.split()[0]
            found = db.execute("SELECT rowid FROM item WHERE item MATCH ?", (first,)).fetchall()
            if (key,) not in found:
                raise AssertionError(f"row {key} is not found by its first word {first}")
            yield key, seq, number, bytes.fromhex(words.replace(" ", "").replace("\u00e4", ""))

    def check(self, db):
        db.execute("INSERT INTO item(item) VALUES('integrity-check')")


class Boxes(Rows):
    """An R*Tree: each row is a place, too."""

    tables = ("CREATE VIRTUAL TABLE item USING rtree_i32(id, x0, x1, y0, y1, +seq, +number,"
              " +body)",)

    @staticmethod
    def box(key, seq, number):
        return (key * 1000, key * 1000 + number, -seq, seq)

    def put(self, db, key, seq, number, content):
        db.execute("REPLACE INTO item VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                   (key, *self.box(key, seq, number), seq, number, content))

    def rows(self, db):
        for key, seq, number, content in super().rows(db):
            x0, x1, y0, y1 = self.box(key, seq, number)
            found = db.execute("SELECT id FROM item WHERE x0 >= ? AND x1 <= ? AND y0 <= ? AND"
                               " y1 >= ?", (x0, x1, y0, y1)).fetchall()
            if found != [(key,)]:
                raise AssertionError(f"at the place of row {key} there is {found}")
            yield key, seq, number, content

    def check(self, db):
        (verdict,) = db.execute("SELECT rtreecheck('item')").fetchone()
        if verdict != "ok":
            raise AssertionError(f"rtreecheck: {verdict}")


SHAPES = {"rows": Rows(), "without_rowid": WithoutRowid(), "fts5": Words(), "rtree": Boxes()}


def create_tables(db, shape, cold_bytes=0):
    db.execute("BEGIN")
    db.execute("CREATE TABLE counter(n INTEGER)")
    db.execute("INSERT INTO counter VALUES(0)")
    for statement in SHAPES[shape].tables:
        db.execute(statement)
    db.execute("CREATE TABLE cold(id INTEGER PRIMARY KEY, body BLOB)")
    for _ in range(0, cold_bytes, COLD_ROW_BYTES):
        db.execute("INSERT INTO cold(body) VALUES(?)", (os.urandom(COLD_ROW_BYTES),))
    db.execute("COMMIT")


def fill(db, pages):
    """Cold zeros until the database has so many pages, or one more where SQLite adds two."""
    def pragma(name):
        return db.execute(f"PRAGMA {name}").fetchone()[0]
    page_bytes = pragma("page_size")
    while (missing := pages - pragma("page_count")) > 0:
        length = page_bytes * 3 // 4  # a leaf of its own
        if missing > 2 * FILL_TAIL_PAGES:
            length = min(FILL_ROW_BYTES, (missing - FILL_TAIL_PAGES) * page_bytes * 15 // 16)
        db.execute("INSERT INTO cold(body) VALUES(zeroblob(?))", (length,))


def create(path, cold_bytes=0, page_bytes=4096):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size={page_bytes}")
    db.execute("PRAGMA auto_vacuum=incremental")
    db.execute("PRAGMA journal_mode=wal")
    create_tables(db, "rows", cold_bytes)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def apply(db, kind, shape="rows"):
    """One transaction, but for its COMMIT; returns its sequence number."""
    table = SHAPES[shape]
    db.execute("BEGIN IMMEDIATE")
    seq = db.execute("SELECT n FROM counter").fetchone()[0] + 1
    db.execute("UPDATE counter SET n = ?", (seq,))
    for op in operations(seq, kind):
        if op.length is None:
            table.delete(db, op.id)
        else:
            table.put(db, op.id, seq, op.number, body(seq, op.number, op.length))
    return seq


class History:
    """Every commit that the writers logged."""

    def __init__(self, logs, shape="rows"):
        self.shape = SHAPES[shape]
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
            for key, made_by, number, content in self.shape.rows(db):
                if want.pop(key, None) != (made_by, number, len(content)):
                    raise AssertionError(f"{path}: row {key} is not that of commit {seq}")
                if content != body(made_by, number, len(content)):
                    raise AssertionError(f"{path}: row {key} has another content")
            if want:
                raise AssertionError(f"{path}: rows {sorted(want)[:5]} of commit {seq} are missing")
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                raise AssertionError(f"{path}: integrity_check: {verdict}")
            self.shape.check(db)
            return seq
        finally:
            db.close()

    def last_before(self, when):
        """The newest commit that was surely complete at `when`."""
        return max((c.seq for c in self.commits if c.after < when), default=0)

    def first_after(self, when):
        """The oldest commit that surely had not begun to be visible at `when`."""
        return min((c.seq for c in self.commits if c.before > when), default=len(self.commits) + 1)
