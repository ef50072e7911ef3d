#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Databases that end before the lock page, at it, and behind it.

Goal:   the page at 1 GiB, which SQLite never uses, is neither archived nor missed: databases that
        stay below it, grow over it, or shrink below it and grow again scrub clean, verify whole,
        and restore to what was live, byte for byte, and at each point to what the model says.
Method: every pair of values of any two factors meets in some cell (pairwise.py). Most of each
        gigabyte is zeros, written in rollback-journal mode with no journal. It lies in memory where
        /dev/shm has the room, but for sparse databases, which are read from the device.
"""
import shutil

import builds
import lib
import packages
import pairwise

GIB = 1 << 30
COMMITS = lib.count("LOCK_PAGE_COMMITS", 8)
ROOM_BYTES = 16 << 20  # for the rows of the writers
BEYOND_PAGES = 20
CHUNK_BYTES = 1 << 20
MEMORY = "/dev/shm"
MEMORY_BYTES = 5 * GIB


def memory():
    """Where a gigabyte costs no disk; None if there is no such place."""
    try:
        return MEMORY if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES else None
    except OSError:
        return None


class LockPage(lib.Case):
    """What the cells have in common."""

    base = memory()

    def writer(self, *options):
        return self.start_writer(self.cell["kind"], "--build", self.cell["build"], "--every", "3",
                                 *options, python=packages.python())

    def pages(self):
        return lib.sql(self.db, "PRAGMA page_count")[0][0]

    def make(self):
        c = self.cell
        self.lock_page = GIB // c["page_size"] + 1
        pages = {"below": self.lock_page - ROOM_BYTES // c["page_size"], "at": self.lock_page - 1,
                 "beyond": self.lock_page + BEYOND_PAGES}[c["start"]]
        self.writer("--settings", f"page_size={c['page_size']};auto_vacuum={c['auto_vacuum']};"
                    "journal_mode=off;synchronous=off", "--tables", "0", "--fill", str(pages),
                    "--count", "0").wait()
        self.assertEqual(self.pages(), pages)

    def write(self, *work):
        """One archiver's life, in which the application does `work`."""
        archiver = self.start_archiver()
        for do in work:
            do()
        self.scrub()
        archiver.stop()

    def commits(self):
        self.writer("--count", str(COMMITS), "--checkpoint", "RESTART", "--vacuum").wait()

    def shrink(self):
        """Back below the lock page, where pages are given back at all."""
        self.assertGreater(self.pages(), self.lock_page)
        with lib.connect(self.db) as db:
            db.execute("DELETE FROM cold WHERE id > (SELECT max(id) FROM cold) - ?",
                       (self.pages() - self.lock_page + BEYOND_PAGES,))
            builds.give_back(db)
        if self.cell["auto_vacuum"] != "none":
            self.assertLess(self.pages(), self.lock_page)

    def grow(self):
        with lib.connect(self.db) as db:
            lib.model.fill(db, self.lock_page + 2 * BEYOND_PAGES)
        self.assertGreater(self.pages(), self.lock_page)

    def scrub(self):
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress")
        self.assertTrue(done.partition["clean"], done)
        self.assertGreater(done.partition["pages_equal"], GIB // self.cell["page_size"] * 9 // 10)

    def run_lock_page(self):
        self.make()
        self.write(self.commits)
        followed = self.head()
        if self.cell["start"] == "beyond":
            self.write(self.shrink)
            self.write(self.grow, self.shrink, self.commits, self.grow)
        if self.cell["start"] == "below":
            self.assertLess(self.pages(), self.lock_page)
        else:
            self.assertGreater(self.pages(), self.lock_page)
        self.check(followed)

    def check(self, followed):
        self.assert_whole()
        lib.checkpoint(self.db)
        history = self.histories()
        latest = self.restore()
        self.assert_same_file(latest)
        self.assertEqual(history.check(latest), len(history))
        lib.os.unlink(latest)
        if self.cell["start"] == "below":
            return
        middle = self.restore("--txid", str(self.random.randint(2, followed)))
        self.assertGreater(history.check(middle), 0)

    def assert_same_file(self, restored):
        """After a checkpoint that truncated, with no connection left: all is in the file."""
        page_bytes = self.cell["page_size"]
        self.assertEqual(lib.os.path.getsize(restored), lib.os.path.getsize(self.db))
        self.assertEqual(lib.os.path.getsize(self.db), self.pages() * page_bytes)
        with open(restored, "rb") as a, open(self.db, "rb") as b:
            for at in range(0, self.pages() * page_bytes, CHUNK_BYTES):
                x, y = a.read(CHUNK_BYTES), b.read(CHUNK_BYTES)
                if x != y:
                    here = next(i for i in range(0, len(y), page_bytes)
                                if x[i:i + page_bytes] != y[i:i + page_bytes])
                    self.fail(f"page {(at + here) // page_bytes + 1} of {restored} is not that of "
                              f"{self.db}")


class Device(LockPage):
    """The one that is not in memory: on the disk of $TMPDIR, and sparse."""

    base = None

    def test_pages_on_both_sides_of_the_lock_page_are_read_from_the_device(self):
        self.cell = {"start": "beyond", "auto_vacuum": "none", "page_size": 65536,
                     "kind": "medium", "build": "python"}
        disk, self.db = self.db, lib.tempfile.mktemp(dir=memory(), suffix=".db")
        try:
            self.make()
            lib.subprocess.run(["cp", "--sparse=always", self.db, disk], check=True)
        finally:
            lib.os.unlink(self.db)
        self.db = disk
        self.write(self.commits)
        said = self.hf("scrub", self.db, self.url, "--no-progress").out
        self.assertIn("clean", said)
        self.assertIn("from the device", said)


class Small(LockPage):
    """Two million pages take long, so all that may happen at the lock page happens in one life."""

    def test_the_smallest_pages_grow_over_the_lock_page_shrink_below_it_and_grow_again(self):
        self.cell = {"start": "at", "auto_vacuum": "incremental", "page_size": 512,
                     "kind": "medium", "build": "sqlite3"}
        self.make()
        self.write(self.commits, self.shrink, self.commits, self.grow)
        self.check(self.head())


class Cells(pairwise.Cells, LockPage):
    """Each pair of values once, but those of the smallest pages."""

    FACTORS = {
        "start": ("below", "at", "beyond"),
        "auto_vacuum": ("none", "full", "incremental"),
        "page_size": (65536, 4096),
        "kind": ("medium", "blobs"),
        "build": ("python", "apsw", "sqlite3"),
    }

    def run_cell(self):
        self.run_lock_page()


if __name__ == "__main__":
    lib.main()
