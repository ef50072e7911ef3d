#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Litestream restores what holdfast archived, at every restore point, to the same pages.

Goal:   latest, -txid and -timestamp give, page for page, what `holdfast restore` gives and what the
        database was: after growth that the log does not carry, shrinking, VACUUM, every kind of
        auto_vacuum, catch-ups, and a first snapshot that was made while the application wrote.
Method: each step of an application is one commit and waits for its capture, so the model is an
        image of the database for each TXID, taken through SQLite. For the snapshot beside writers
        the model is that of the end-to-end proofs: which commit a file holds.
"""
import sqlite3
import struct

import peer
from peer import lib

NONE, FULL, INCREMENTAL = 0, 1, 2  # auto_vacuum
AFTER_MS = 1.5  # past a time that is told in whole ms


def log_sum(data, before):
    """SQLite's checksum of its log, over big-endian words, going on from `before`."""
    one, two = before
    for first, second in struct.iter_unpack(">II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def grow_without_frames(path, count):
    """The database, which nobody has open and no log, gets a log by which it grows by `count` free
    pages; only the first, which lists the others, is in it. Versions of SQLite differ in whether
    they make such a log (Debian's does not); all read it."""
    with open(path, "rb") as file:
        first = bytearray(file.read(100))
        size = struct.unpack(">H", first[16:18])[0] if first[16:18] != b"\0\1" else 65536
        first += file.read(size - 100)
        pages = file.seek(0, 2) // size
    trunk = struct.pack(">II", struct.unpack(">I", first[32:36])[0], count - 1)
    trunk += b"".join(struct.pack(">I", pages + n) for n in range(2, count + 1))
    first[28:40] = struct.pack(">III", pages + count, pages + 1,
                               struct.unpack(">I", first[36:40])[0] + count)
    first[92:96] = first[24:28]  # the size in the header is to be believed
    log = struct.pack(">IIIIII", 0x377F0683, 3007000, size, 0, 77, 78)
    total = log_sum(log, (0, 0))
    log += struct.pack(">II", *total)
    for pgno, page, commit in ((pages + 1, trunk.ljust(size, b"\0"), 0), (1, first, pages + count)):
        head = struct.pack(">II", pgno, commit)
        total = log_sum(head + page, total)
        log += head + struct.pack(">IIII", 77, 78, *total) + page
    with open(f"{path}-wal", "wb") as file:
        file.write(log)


class Application:
    """One database and the connection that keeps its log from being removed."""

    def __init__(self, path, page_bytes, auto_vacuum):
        self.path = path
        self.db = None
        self.open()
        for pragma in (f"page_size={page_bytes}", f"auto_vacuum={auto_vacuum}", "journal_mode=wal"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
        self.db.execute("CREATE TABLE u(x)")
        self.unit = page_bytes  # so that each size of page sees as many of them come and go

    def open(self):
        """It reads, so that from now on it counts as one that has the database open."""
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA wal_autocheckpoint=0")
        self.db.execute("SELECT count(*) FROM sqlite_master").fetchall()

    def close(self):
        """The last connection: the log is written back and removed."""
        self.db.close()

    def add(self, rows, pages_each=1):
        self.db.execute("BEGIN")
        for _ in range(rows):
            self.db.execute("INSERT INTO t(body) VALUES(randomblob(?))", (self.unit * pages_each,))
        self.db.execute("COMMIT")

    def change(self):
        self.db.execute("UPDATE t SET body = randomblob(length(body)) WHERE id % 3 = 0")

    def remove_most(self):
        self.db.execute("DELETE FROM t WHERE id % 5 <> 0")

    def grow_and_free(self):
        """Pages that are made and freed in one transaction."""
        self.db.execute("BEGIN")
        self.db.execute("INSERT INTO t(id, body) VALUES(-1, randomblob(?))", (self.unit * 20,))
        self.db.execute("DELETE FROM t WHERE id = -1")
        self.db.execute("COMMIT")

    def vacuum(self):
        self.db.execute("VACUUM")

    def vacuum_some(self):
        """Gives pages back only with auto_vacuum=incremental; so something else is committed."""
        self.db.execute("BEGIN")
        self.db.execute("PRAGMA incremental_vacuum(7)").fetchall()
        self.db.execute("INSERT INTO u VALUES(randomblob(10))")
        self.db.execute("COMMIT")

    def restart_log(self):
        """All of it is in the file, so that the next commit may begin the log anew."""
        lib.settle(self.path)
        self.add(2)


STEPS = (
    lambda a: a.add(30),
    lambda a: a.grow_and_free(),
    lambda a: a.change(),
    lambda a: a.add(3, pages_each=9),
    lambda a: a.remove_most(),
    lambda a: a.vacuum_some(),
    lambda a: a.vacuum(),
    lambda a: a.grow_and_free(),
    lambda a: a.add(20),
    lambda a: a.restart_log(),
    lambda a: a.remove_most(),
    lambda a: a.vacuum(),
    None,  # nobody follows the database meanwhile, and the log is removed: a catch-up
    lambda a: a.grow_and_free(),
    lambda a: a.add(10, pages_each=2),
)


class Points:
    """Of each page size, every restore point; where the archive lies is the subclass's."""

    kinds = ()

    def archive_steps(self, page_bytes, auto_vacuum):
        """TXID → image, and TXID → time as text."""
        application = Application(self.db, page_bytes, auto_vacuum)
        self.addCleanup(lambda: application.close())
        archiver = self.start_archiver()
        images, times = {1: lib.image(self.db)}, {}
        for step in STEPS:
            if step is not None:
                step(application)
            else:
                archiver.stop()
                application.close()
                pages = self.change_unseen(page_bytes if auto_vacuum == NONE else 0)
                application.open()
                self.assertEqual(application.db.execute("PRAGMA page_count").fetchone()[0], pages)
                archiver = self.start_archiver()
            self.wait_captured(archiver, len(images) + 1)
            images[len(images) + 1] = lib.image(self.db)
        archiver.stop()
        for txid in images:
            restored, said = self.our_restore("--txid", str(txid))
            self.assertEqual(said["proved"], True)
            self.assert_same(restored, images[txid], page_bytes, f"ours, TXID {txid}")
            times[txid] = said["time"]
        listed = self.hf("list", self.url, "--json").partition
        self.assertEqual(listed["runs"], [{"first_txid": 1, "last_txid": len(images),
                                           "restorable_from_txid": 1}])
        self.assertEqual(len(listed["gaps"]), 1, "the test is wrong: there is one catch-up")
        return images, times

    def change_unseen(self, page_bytes):
        """And where the page size is said, growth by pages that are not in the log: by 64 KiB, as
        SQLite takes more for damage, or by what one page can list. How many there are now."""
        for statement in ("UPDATE t SET body = randomblob(length(body)) WHERE id % 2 = 0",
                          "INSERT INTO t(body) VALUES(randomblob(5000))"):
            lib.sql(self.db, statement)
        pages = lib.sql(self.db, "PRAGMA page_count")[0][0]
        if page_bytes == 0:
            return pages
        grown = min(65536 // page_bytes, page_bytes // 4 - 8)
        grow_without_frames(self.db, grown)
        return pages + grown

    def wait_captured(self, archiver, txid):
        def there():
            self.assertTrue(archiver.alive(), archiver.done())
            return self.head() >= txid
        lib.wait_for(f"TXID {txid}", there, poll_s=0.05)
        self.assertEqual(self.head(), txid, "the test is wrong: a step is one commit")

    def check(self, page_bytes, auto_vacuum):
        images, times = self.archive_steps(page_bytes, auto_vacuum)
        self.configure()
        last = max(images)
        for by_url in (False, True):
            self.assert_same(self.peer_restore(by_url=by_url), images[last], page_bytes, "latest")
        for txid, image in images.items():
            what = f"pages of {page_bytes}, TXID {txid}"
            self.assert_same(self.peer_restore("-txid", f"{txid:016x}"), image, page_bytes, what)
            # The peer takes what is strictly before a time, we what is at it or before. That is
            # sooner than the upload ended, so the time is the one that we gave to the object.
            self.assert_same(self.peer_restore("-timestamp", self.later(times[txid])), image,
                             page_bytes, f"{what}, by time")
        # Of a time between two captures both say the same, in the gap before a catch-up too.
        for txid in sorted(self.random.sample(range(2, last), 4)):
            begin, end = (lib.from_rfc3339(times[t]) for t in (txid, txid + 1))
            when = lib.rfc3339((begin + end) / 2)
            ours, _ = self.our_restore("--timestamp", when, expect=(0, 1))
            self.assert_same(self.peer_restore("-timestamp", when, by_url=True), ours,
                             page_bytes, when)
        self.report(f"pages of {page_bytes}, auto_vacuum={auto_vacuum}: {last} TXIDs, each by TXID "
                    "and by time")

    def later(self, time):
        return lib.rfc3339(lib.from_rfc3339(time) + AFTER_MS / 1000)

    def test_every_restore_point_of_each_page_size(self):
        for page_bytes, auto_vacuum in self.kinds:
            with self.subTest(page_bytes=page_bytes, auto_vacuum=auto_vacuum):
                self.url = self.place_of(page_bytes)
                self.db = self.path(f"app-{page_bytes}.db")
                self.check(page_bytes, auto_vacuum)

    def test_a_first_snapshot_beside_writers(self):
        self.create(cold_bytes=4_000_000)
        writers = [self.start_writer("small", "--pause", "1"),
                   self.start_writer("medium", "--pause", "10", "--vacuum", "--checkpoint",
                                     "RESTART", "--every", "5")]
        lib.wait_for("a first commit", lambda: all(w.commits() > 0 for w in writers))
        archiver = self.start_archiver()
        began = [w.commits() for w in writers]
        lib.wait_for("commits after the snapshot",
                     lambda: all(w.commits() > b + 20 for w, b in zip(writers, began)))
        for writer in writers:
            writer.stop()
        self.wait_archived(archiver)
        archiver.stop()
        self.configure()
        history = self.histories()
        head = self.hf("list", self.url, "--json").partition["runs"][0]["last_txid"]
        size = lib.page_size(self.db)
        before = -1
        for txid in sorted({1, 2, head, *self.random.sample(range(1, head), min(6, head - 1))}):
            theirs = self.peer_restore("-txid", f"{txid:016x}")
            self.assert_same(theirs, self.our_restore("--txid", str(txid))[0], size, f"TXID {txid}")
            out = self.new_path()
            with open(out, "wb") as file:
                file.write(theirs)
            seq = history.check(out)
            self.assertGreaterEqual(seq, before, f"TXID {txid} is older than the one before it")
            before = seq
        self.assertEqual(before, len(history), "the last TXID is the last commit")
        self.report(f"{head} TXIDs beside {len(history)} commits")


class OnFiles(Points, peer.Case):
    kinds = ((512, INCREMENTAL), (1024, NONE), (4096, FULL), (8192, INCREMENTAL), (65536, NONE))

    def place_of(self, page_bytes):
        self.store = self.path(f"store-{page_bytes}")
        return f"file://{self.store}"

    def test_a_file_has_the_time_of_its_header(self):
        """By which the peer restores; and nothing else that we have written would tell it."""
        self.create()
        self.archive_once()
        lib.touch(self.db)
        self.archive_once()
        for (_, _, txid), path in self.objects().items():
            said = self.our_restore("--txid", str(txid))[1]
            ms = lib.os.stat(path).st_mtime_ns // 1_000_000
            self.assertEqual(lib.rfc3339(ms / 1000), said["time"], path)


class OnS3(Points, peer.S3Case):
    kinds = ((4096, INCREMENTAL), (512, NONE), (65536, FULL))

    def place_of(self, page_bytes):
        return self.s3_url(f"{self.id()}-{page_bytes}-{self.random.random()}")


if __name__ == "__main__":
    lib.main()
