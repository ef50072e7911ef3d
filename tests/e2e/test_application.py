#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The application does not notice the archiver.

Goal:   no checkpoint, transaction or close of the application waits long or fails on our account;
        its files keep owner and mode; our end leaves the log to the application.
Method: an application with a busy timeout of 5 s beside the archiver; how long each of its calls
        takes is measured, because a call that would end in an error is first of all a slow one.
        Other users are real ones, where this process may become them.
"""
import os
import shutil
import sqlite3
import stat
import time

import lib

CHECKPOINTS = lib.count("CHECKPOINTS", 60)
BUSY_S = 5
SLOW_S = float(os.environ.get("HF_E2E_SLOW_S", "4"))  # promised: 50 ms; the machine is loaded
OTHER = lib.NOBODY if os.geteuid() == 0 else None  # None: our own user, whose files stay ours


class Calls:
    """The application's calls, timed. Nothing is synced: a busy disk is not what we judge."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        self.db.execute("PRAGMA synchronous=OFF")
        self.slowest = {}
        self.busy = 0

    def execute(self, name, statement, *values):
        started = time.monotonic()
        rows = self.db.execute(statement, values).fetchall()
        self.slowest[name] = max(self.slowest.get(name, 0), time.monotonic() - started)
        return rows

    def checkpoint(self, mode):
        """SQLite says busy at once when another connection is at a checkpoint at this moment, and
        ours is, for a moment, now and then. It must not stay so."""
        started = time.monotonic()
        while self.execute(mode, f"PRAGMA wal_checkpoint({mode})")[0][0]:
            self.busy += 1
            if time.monotonic() - started > SLOW_S:
                raise AssertionError(f"wal_checkpoint({mode}) is busy for more than {SLOW_S} s")
            time.sleep(0.002)


class Application(lib.Case):
    def setUp(self):
        super().setUp()
        self.create()

    def test_no_checkpoint_of_the_application_is_held_up(self):
        archiver = self.start_archiver()
        app = Calls(self.db)
        for i in range(CHECKPOINTS):
            app.execute("insert", "INSERT INTO cold(body) VALUES(randomblob(5000))")
            app.checkpoint(("TRUNCATE", "RESTART", "FULL", "PASSIVE")[i % 4])
            time.sleep(self.random.uniform(0, 0.06))  # at all moments of our hand-over
        app.db.close()
        self.assertLess(max(app.slowest.values()), SLOW_S, app.slowest)
        self.wait_archived(archiver)
        archiver.stop()
        self.assert_restores_to_live()
        slow = {name: f"{1000 * s:.0f} ms" for name, s in app.slowest.items()}
        self.report(f"slowest of {CHECKPOINTS}: {slow}; busy at once {app.busy} times")

    def test_a_checkpoint_that_truncates_really_empties_the_log_beside_the_archiver(self):
        archiver = self.start_archiver()
        app = Calls(self.db)
        for _ in range(10):
            app.execute("insert", "INSERT INTO cold(body) VALUES(randomblob(50000))")
            app.checkpoint("TRUNCATE")
            self.assertEqual(os.path.getsize(f"{self.db}-wal"), 0)
        app.db.close()
        archiver.stop()
        self.assert_restores_to_live()

    def test_an_application_that_opens_and_closes_for_each_request_is_archived(self):
        archiver = self.start_archiver()
        for i in range(40):
            with lib.connect(self.db, timeout=5) as db:
                lib.model.apply(db, "small")
                db.execute("COMMIT")
            if i % 10 == 5:
                self.wait_archived(archiver)
        archiver.stop()
        self.assert_whole()
        self.assert_restores_to_live()

    def test_an_application_that_opens_and_closes_while_no_archiver_runs_is_caught_up_with(self):
        for _ in range(8):
            with lib.connect(self.db, timeout=5) as db:
                lib.model.apply(db, "medium")
                db.execute("COMMIT")
            self.archive_once()
            self.assert_restores_to_live()
        self.assert_whole()

    def test_a_long_reader_of_the_application_delays_nothing_but_the_backfill(self):
        archiver = self.start_archiver()
        reader = sqlite3.connect(self.db, isolation_level=None)
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM cold").fetchone()
        app = Calls(self.db)
        for _ in range(50):
            app.execute("insert", "INSERT INTO cold(body) VALUES(randomblob(2000))")
        self.wait_archived(archiver)
        self.assertEqual(reader.execute("SELECT count(*) FROM cold").fetchone(), before)
        reader.execute("COMMIT")
        reader.close()
        app.db.close()
        self.assertLess(app.slowest["insert"], SLOW_S)
        archiver.stop()
        self.assert_restores_to_live()

    def test_the_end_of_the_archiver_leaves_the_log_as_it_is(self):
        archiver = self.start_archiver()
        app = sqlite3.connect(self.db, isolation_level=None)
        app.execute("PRAGMA wal_autocheckpoint=0")
        app.execute("INSERT INTO cold(body) VALUES(randomblob(50000))")
        self.wait_archived(archiver)
        size = os.path.getsize(f"{self.db}-wal")
        self.assertGreater(size, 50000)
        archiver.stop()
        self.assertEqual(os.path.getsize(f"{self.db}-wal"), size)
        app.close()

    def test_no_table_of_ours_and_no_other_change_is_in_the_database(self):
        before = lib.image(self.db)
        archiver = self.start_archiver()
        self.wait_archived(archiver)
        archiver.stop()
        self.hf("scrub", self.db, self.url, "--no-progress")
        self.assertEqual(lib.image(self.db), before)


class OwnerAndMode(lib.Case):
    """-wal and -shm stay the application's, whoever makes them."""

    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o777)
        self.assertTrue(lib.in_child(OTHER, self.create_quietly))
        self.owner = os.stat(self.db).st_uid
        self.assertEqual(self.owner, OTHER if OTHER is not None else os.geteuid())

    def create_quietly(self):
        os.umask(0o077)
        self.create(mode=0o640)

    def assert_kept(self):
        for name in (self.db, f"{self.db}-wal", f"{self.db}-shm"):
            st = os.stat(name)
            self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)),
                             (self.owner, os.stat(self.db).st_gid, 0o640), name)

    def write(self):
        def work():
            with lib.connect(self.db, timeout=5) as db:
                lib.model.apply(db, "medium")
                db.execute("COMMIT")
        self.assertTrue(lib.in_child(OTHER, work), "the application can no longer write")

    def check(self, user):
        self.assertFalse(os.path.exists(f"{self.db}-wal"), "the archiver has to make it")
        archiver = self.start_archiver(user=user)
        self.assert_kept()
        self.write()
        self.assert_kept()
        lib.wait_for("a capture", lambda: self.head() >= 2)
        archiver.stop()
        self.assert_kept()
        self.write()
        self.hf("archive", self.db, self.url, "--once", user=user)
        self.assert_kept()

    def test_files_made_by_an_archiver_that_is_root_belong_to_the_application(self):
        self.check(None)

    def test_files_made_by_an_archiver_that_runs_as_the_application_belong_to_it(self):
        self.holdfast = shutil.copy(self.holdfast, self.path("holdfast"))
        os.chmod(self.holdfast, 0o755)
        self.check(OTHER)

    def test_local_state_is_nobody_elses_business(self):
        self.archive_once()
        for folder, folders, names in os.walk(self.state_dirs()[0]):
            for name in [*folders, *names]:
                mode = stat.S_IMODE(os.stat(f"{folder}/{name}").st_mode)
                self.assertEqual(mode & 0o077, 0, f"{folder}/{name}")


if __name__ == "__main__":
    lib.main()
