#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every kind of database, and every SQLite that writes it.

Goal:   for page sizes, auto_vacuum, encodings, synchronous, kinds of tables, sizes at the start,
        checkpoints of the application's own, and builds of SQLite: what is archived while the
        application writes scrubs clean, verifies whole, and restores to what was live, page by
        page, and at each point to what the model says.
Method: every pair of values of any two factors meets in some cell (pairwise.py); a cell is a test.
        In each the application writes beside the archiver, goes on without it, and is caught up
        with. The oracles are SQLite's image of the live database, verify, and the model.
"""
import builds
import lib
import packages
import pairwise

COMMITS = lib.count("CELL_COMMITS", 24)
GROWN_BYTES = 400000
POINTS = 3


class Cells(pairwise.Cells, lib.Case):
    """Each pair of values once."""

    FACTORS = {
        "page_size": (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
        "auto_vacuum": ("none", "full", "incremental"),
        "encoding": ("UTF-8", "UTF-16le", "UTF-16be"),
        "synchronous": ("OFF", "NORMAL", "FULL"),
        "table": ("rows", "without_rowid", "fts5", "rtree", "blobs"),
        "build": ("python", "sqlite3", "apsw", "pysqlite3"),
        "start": ("empty", "header", "tables", "grown"),
        "checkpoint": ("none", "PASSIVE", "FULL", "RESTART", "TRUNCATE"),
        "beside": ("nobody", "sqlite3", "apsw"),
    }

    def writer(self, *options, build=None):
        c = self.cell
        kind = "blobs" if c["table"] == "blobs" else "medium"
        return self.start_writer(kind, "--build", build or c["build"], "--shape", self.shape,
                                 "--synchronous", c["synchronous"], "--pause", "4", *options,
                                 python=packages.python())

    def make(self):
        """The database as the archiver finds it; what its first writer has yet to do."""
        c = self.cell
        if c["start"] == "empty":
            self.refuse_what_is_empty()
        encoding = f"encoding='{c['encoding']}'"
        tables = ("--tables", str(GROWN_BYTES if c["start"] == "grown" else 0))
        now, later = (tables, ())
        if c["start"] in ("empty", "header"):  # the encoding is kept with the first table
            now, later = (), ("--settings", encoding, *tables)
        self.writer("--settings", f"page_size={c['page_size']};auto_vacuum={c['auto_vacuum']};"
                    f"{encoding}", "--count", "0", *now).wait()
        if not now:
            self.assertEqual(lib.sql(self.db, "PRAGMA page_count"), [(1,)])
        return later

    def refuse_what_is_empty(self):
        with open(self.db, "wb"):
            pass
        for words in ((), ("--set-wal",)):
            said = self.archive_once(*words, expect=2).text
            self.assertIn("empty", said)
            self.assertEqual(lib.os.stat(self.db).st_size, 0, "its first writer has the choice")
        self.assertFalse(lib.os.path.exists(self.store))

    def habits(self):
        """What a writer does now and then, and once at the end."""
        c = self.cell
        words = ["--every", "8"]
        if c["checkpoint"] != "none":
            words += ["--checkpoint", c["checkpoint"]]
        if c["auto_vacuum"] == "incremental":
            words.append("--vacuum")
        return words

    def scrub(self):
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress")
        self.assertTrue(done.partition["clean"], done)
        self.assertGreater(done.partition["pages_equal"], 0, done)

    def write_beside_the_archiver(self, later):
        archiver = self.start_archiver()
        first = self.writer("--count", str(COMMITS), *later, *self.habits())
        lib.wait_for("the first commit", lambda: first.commits() > 0)
        writers = [first]
        if self.cell["beside"] != "nobody":
            writers.append(self.writer("--count", str(COMMITS // 2), "--reopen", "--every", "5",
                                       build=self.cell["beside"]))
        self.scrub()
        for w in writers:
            w.wait()
        self.writer("--count", "1", "--rewrite").wait()
        self.scrub()
        archiver.stop()

    def run_cell(self):
        cell = self.cell
        self.shape = "rows" if cell["table"] == "blobs" else cell["table"]
        self.write_beside_the_archiver(self.make())
        followed = self.head()
        self.assert_restores_to_live()
        self.writer("--count", "3", *self.habits()).wait()
        self.archive_once()
        self.check(followed)

    def check(self, followed):
        self.assertEqual([lib.sql(self.db, f"PRAGMA {name}")[0][0]
                          for name in ("page_size", "auto_vacuum", "encoding")],
                         [self.cell["page_size"],
                          self.FACTORS["auto_vacuum"].index(self.cell["auto_vacuum"]),
                          self.cell["encoding"]])
        self.scrub()
        self.assert_whole()
        history = self.histories(self.shape)
        latest = self.assert_restores_to_live()
        self.assertEqual(history.check(latest), len(history))
        first = 2 if self.cell["start"] in ("empty", "header") else 1
        points = sorted(self.random.sample(range(first + 1, followed), POINTS - 1))
        last = 0
        for txid in (first, *points, followed):
            seq = history.check(self.restore("--txid", str(txid)))
            self.assertGreaterEqual(seq, last, f"TXID {txid} is older than the one before it")
            last = seq
        self.assertEqual(last, len(history) - 3)


class Builds(lib.unittest.TestCase):
    def test_the_builds_are_not_one_and_the_same_sqlite(self):
        said = {build: lib.subprocess.run(
            [packages.python(), "-c", "import sys, builds; db = builds.connect(sys.argv[1], "
             "':memory:'); print(db.execute('SELECT sqlite_version()').fetchone()[0])", build],
            cwd=lib.HERE, stdout=lib.subprocess.PIPE, text=True, check=True).stdout.strip()
            for build in builds.BUILDS}
        print(f"  {said}", flush=True)
        self.assertGreaterEqual(len(set(said.values())), 3, said)


class LockingMode(lib.Case):
    """An application that keeps its database to itself is told what to do, and is not disturbed."""

    def setUp(self):
        super().setUp()
        self.create()
        self.app = lib.sqlite3.connect(self.db, timeout=1, isolation_level=None)
        self.addCleanup(self.app.close)

    def write(self):
        lib.model.apply(self.app, "small")
        self.app.execute("COMMIT")

    def keep_to_itself(self, *before):
        for statement in (*before, "PRAGMA locking_mode=EXCLUSIVE"):
            self.app.execute(statement).fetchall()
        self.write()

    def assert_refused(self):
        for verb in (("archive", "--once"), ("scrub",)):
            said = self.hf(verb[0], self.db, self.url, *verb[1:], "--no-progress", expect=3).text
            for words in (self.db, "locking_mode=EXCLUSIVE", "needs locking_mode=NORMAL"):
                self.assertIn(words, said)
            self.write()

    def share_again(self):
        self.app.execute("PRAGMA locking_mode=NORMAL").fetchall()
        self.write()

    def test_a_wal_index_on_the_heap(self):
        self.keep_to_itself()
        self.assertFalse(lib.os.path.exists(f"{self.db}-shm"))
        self.assert_refused()
        self.app.close()
        self.app = lib.sqlite3.connect(self.db, isolation_level=None)
        self.write()
        self.archive_once()
        self.assert_restores_to_live()

    def test_a_wal_index_that_others_could_see(self):
        self.keep_to_itself("SELECT n FROM counter")
        self.assertTrue(lib.os.path.exists(f"{self.db}-shm"))
        self.assert_refused()
        self.share_again()
        self.archive_once()
        self.assert_restores_to_live()

    def test_beside_an_archiver_it_cannot_be_had_and_the_application_can_go_on_without(self):
        archiver = self.start_archiver()
        with self.assertRaisesRegex(lib.sqlite3.OperationalError, "database is locked"):
            self.keep_to_itself()
        self.share_again()
        self.wait_archived(archiver)
        archiver.stop()
        self.assert_restores_to_live()


if __name__ == "__main__":
    lib.main()
