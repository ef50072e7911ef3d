#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the archiver follows is replaced or deleted under it.

Goal:   it says so, keeps what it had seen, catches up with the database that stands there now or
        comes later, and ends with status 1; other databases are not disturbed. --once ends. An
        archive that was deleted is an error, never silently begun again.
Method: rename, unlink and copy, as deployments and people do it.
"""
import os
import shutil

import lib


class Replaced(lib.Case):
    def setUp(self):
        super().setUp()
        self.create()
        self.archiver = self.start_archiver()
        self.start_writer("medium", "--count", "20").wait()
        self.wait_archived(self.archiver)
        self.seen = lib.image(self.db)

    def companions(self):
        return [self.db, f"{self.db}-wal", f"{self.db}-shm"]

    def assert_alarm(self):
        """It has noticed, and what it had seen stays restorable."""
        said = self.archiver.wait_log("replaced|moved|deleted|no such|another")
        self.assertIn(self.db, said.string)
        self.before = self.level0_of_seen()
        self.assert_whole()

    def level0_of_seen(self):
        """The TXID at which the archive has what was seen."""
        for txid in range(self.head(), 0, -1):
            if lib.image(self.restore("--txid", str(txid))) == self.seen:
                return txid
        return self.fail("no TXID has what was seen")

    def assert_catches_up(self):
        """Without a new start."""
        lib.sql(self.db, "CREATE TABLE later(v)")
        self.wait_archived(self.archiver)
        said = self.archiver.stop(expect=1)
        self.assertRegex(said, "replaced while it was followed")
        self.assertGreater(self.head(), self.before)
        self.assert_whole()
        self.assert_restores_to_live()
        self.assertEqual(lib.image(self.restore("--txid", str(self.before))), self.seen)

    def test_a_database_that_another_one_was_renamed_over(self):
        self.create(self.path("new.db"))
        lib.sql(self.path("new.db"), "CREATE TABLE another(v)")
        for name in self.companions()[1:]:
            os.unlink(name)
        os.rename(self.path("new.db"), self.db)
        self.assert_alarm()
        self.assert_catches_up()

    def test_a_database_that_was_deleted(self):
        for name in self.companions():
            os.unlink(name)
        self.assert_alarm()
        self.archiver.wait_log("No such file")
        said = self.archiver.stop(expect=1)
        self.assertRegex(said, r"from TXID \d+ on, nothing is known to be archived: .*No such")
        self.assertEqual(said.count("error"), 2, "the break, and what it waits for, once")
        self.assertEqual(lib.image(self.restore()), self.seen)
        done = self.archive_once(expect=2)
        self.assertRegex(done.err, "no such database")

    def test_a_database_that_was_deleted_and_restored_in_its_place(self):
        for name in self.companions():
            os.unlink(name)
        self.assert_alarm()
        self.archiver.wait_log("No such file")
        self.restore(out=self.path("aside.db"))
        lib.sql(self.path("aside.db"), "PRAGMA journal_mode=wal")
        lib.sql(self.path("aside.db"), "CREATE TABLE afterwards(v)")
        os.rename(self.path("aside.db"), self.db)
        self.assert_catches_up()

    def test_a_database_that_is_not_in_wal_mode_is_waited_for_and_the_others_go_on(self):
        self.archiver.stop()
        lib.sql(self.db, "PRAGMA journal_mode=delete")
        self.create(self.path("other.db"))
        config = self.path("holdfast.yaml")
        with open(config, "w") as f:
            f.write(f"store: file://{self.path('store-2')}\ntables:\n  - name: t\n"
                    f"    partitions: {self.folder}/*.db\n")
        self.archiver = lib.Archiver(self.folder, [self.holdfast, "archive", "-c", config])
        self.processes.append(self.archiver)
        self.archiver.wait_log("other.*following the log")
        self.archiver.wait_log("app.*WAL.*again in")
        lib.sql(self.db, "PRAGMA journal_mode=wal")
        self.archiver.wait_log("app.*snapshot is archived")
        self.archiver.stop()

    def test_a_database_that_was_moved_away_and_copied_back(self):
        os.rename(self.db, self.path("aside.db"))
        shutil.copy(self.path("aside.db"), self.db)
        self.assert_alarm()
        lib.sql(self.db, "CREATE TABLE afterwards(v)")
        self.assert_catches_up()

    def test_a_log_that_was_deleted_under_everybody(self):
        lib.sql(self.db, "CREATE TABLE lost(v)")
        self.wait_archived(self.archiver)
        self.seen = lib.image(self.db)
        os.unlink(f"{self.db}-wal")
        self.assert_alarm()
        lib.sql(self.db, "CREATE TABLE afterwards(v)")
        self.assert_catches_up()

    def test_a_database_of_another_page_size_needs_a_new_url(self):
        self.archiver.stop()
        for name in self.companions():
            if os.path.exists(name):
                os.unlink(name)
        with lib.connect(self.db) as db:
            db.execute("PRAGMA page_size=8192")
            db.execute("PRAGMA journal_mode=wal")
            db.execute("CREATE TABLE t(v)")
        done = self.archive_once(expect=2)
        self.assertRegex(done.err, "8,?192")
        self.assertRegex(done.err, "4,?096")
        self.assertRegex(done.err, "(another|new) URL")
        self.assertEqual(lib.image(self.restore()), self.seen)

    # ---- the archive ----

    def test_an_archive_that_was_emptied_under_the_archiver_ends_it_and_is_not_begun_again(self):
        for name in os.listdir(self.store):
            path = f"{self.store}/{name}"
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
        self.write_until_it_ends()
        said = self.archiver.wait_end(3)
        self.assertRegex(said, "owner was removed, so the archive is nobody's any more")
        self.assertNotIn((9, 1, 1), self.objects(), "nothing is begun anew")
        self.assertFalse(os.path.exists(f"{self.store}/holdfast/format"))
        self.assert_nothing_restorable()

    def assert_nothing_restorable(self):
        out = self.new_path()
        self.assertIn(self.try_hf("restore", self.url, "-o", out).status, (1, 2))
        self.assert_no_output(out)

    def write_until_it_ends(self):
        """It notices when it has something to send, at the latest some seconds later."""
        def ended():
            lib.touch(self.db)
            return not self.archiver.alive()
        lib.wait_for("the end of the archiver", ended, poll_s=0.2)

    def test_a_store_whose_folder_is_gone_is_waited_for_and_not_made_again(self):
        os.rename(self.store, self.path("unmounted"))
        lib.sql(self.db, "CREATE TABLE afterwards(v)")
        self.archiver.wait_log("is its file system mounted")
        self.assertFalse(os.path.exists(self.store))
        os.rename(self.path("unmounted"), self.store)
        self.wait_archived(self.archiver)
        self.archiver.stop()
        self.assert_whole()

    def test_an_archive_that_was_deleted_while_the_archiver_was_down_is_not_begun_again(self):
        self.archiver.stop()
        shutil.rmtree(self.store)
        done = self.archive_once(expect=1)
        self.assertRegex(done.err, "is empty, but this machine has archived up to TXID")
        self.assertIn("To begin anew, remove", done.err)
        self.assertEqual(os.listdir(self.store), [], "nothing is begun before that is known")
        shutil.rmtree(self.state_dirs()[0])
        self.archive_once()
        self.assert_restores_to_live()

    def test_what_was_archived_is_told_by_what_the_store_had_confirmed(self):
        confirmed = self.head()
        os.rename(self.store, self.path("unmounted"))
        for i in range(3):
            lib.touch(self.db)
            lib.wait_for("a capture in the spool",
                         lambda: len(os.listdir(f"{self.state_dirs()[0]}/spool")) > i)
        self.archiver.kill()
        os.mkdir(self.store)
        done = self.archive_once(expect=1)
        self.assertIn(f"has archived up to TXID {confirmed} there", done.err)

    def test_an_older_copy_of_the_archive_in_its_place_is_refused_and_left_as_it_is(self):
        shutil.copytree(self.store, self.path("older"))
        older = self.head()
        self.start_writer("medium", "--count", "10").wait()
        self.wait_archived(self.archiver)
        self.archiver.stop()
        newer = self.head()
        self.assertGreater(newer, older)
        shutil.rmtree(self.store)
        os.rename(self.path("older"), self.store)
        done = self.archive_once(expect=1)
        self.assertIn(f"ends with TXID {older}, but up to TXID {newer} was confirmed", done.err)
        self.assertIn("new URL", done.err)
        self.assertEqual(self.head(), older)
        self.assertEqual(lib.image(self.restore()), self.seen)


if __name__ == "__main__":
    lib.main()
