#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The store goes away and comes back.

Goal:   capture goes on into the spool and nothing is lost, restore points of the outage included; a
        stop meanwhile ends with status 3 and names what waits; the next start sends it.
Method: the store's folder becomes unwritable, by permissions for an archiver that is not root, or
        is moved away; test_outage_s3.py shuts a door in front of a real server.
"""
import os
import shutil

import lib

OUTAGE_COMMITS = 40


class Outages:
    """Shared by the stores. close_store() and open_store() are theirs."""

    user = None

    def begin(self):
        self.archiver = self.start_archiver(user=self.user)
        self.writer = self.start_writer("medium", "--pause", "20", "--checkpoint", "TRUNCATE")
        self.wait_commits(10)

    def wait_commits(self, more):
        before = self.writer.commits()
        lib.wait_for("commits", lambda: self.writer.commits() >= before + more)

    def spooled(self):
        """Segments that wait, as files of local state."""
        found = []
        for folder, _, names in os.walk(self.folder):
            if os.path.basename(folder) == "spool":
                found += [n for n in names if n.endswith(".ltx")]
        return len(found)

    def check_all(self):
        history = self.histories()
        self.assert_whole()
        out = self.assert_restores_to_live()
        self.assertEqual(history.check(out), len(history))

    def test_capture_goes_on_into_the_spool_and_nothing_is_lost(self):
        self.begin()
        self.close_store()
        self.wait_commits(OUTAGE_COMMITS)
        lib.wait_for("segments in the spool", lambda: self.spooled() >= 5)
        waiting = self.spooled()
        self.assertTrue(self.archiver.alive(), self.archiver.done())
        self.open_store()
        lib.wait_for("an empty spool", lambda: self.spooled() < 3)
        self.writer.stop()
        self.wait_archived(self.archiver)
        self.archiver.stop()
        self.check_all()
        self.check_points(waiting)
        self.report(f"{waiting} segments waited")

    def check_points(self, waiting):
        """The moments of the outage can be restored to, one capture after the other."""
        listed = self.hf("list", self.url, "--json").partition
        points = sum(s["points_count"] for s in listed["sections"])
        self.assertGreaterEqual(points, waiting)

    def test_an_archiver_that_is_killed_during_the_outage_sends_its_spool_after_it(self):
        self.begin()
        self.close_store()
        lib.wait_for("segments in the spool", lambda: self.spooled() >= 5)
        self.archiver.kill()
        self.open_store()
        self.archiver = self.start_archiver(user=self.user)
        self.wait_commits(10)
        self.writer.stop()
        self.wait_archived(self.archiver)
        self.archiver.stop()
        self.check_all()


class OutageByPermissions(Outages, lib.Case):
    """Permissions bind whoever is not root: if we are, the archiver runs as somebody else."""

    def setUp(self):
        super().setUp()
        self.create()
        os.mkdir(self.store)
        if os.geteuid() == 0:
            self.user = lib.NOBODY
            self.holdfast = shutil.copy(self.holdfast, self.path("holdfast"))
            os.chmod(self.holdfast, 0o755)
            for path in (self.folder, self.db, self.store):
                os.chown(path, lib.NOBODY, lib.NOBODY)

    def set_modes(self, mode):
        for folder, folders, _ in os.walk(self.store, topdown=False):
            for name in folders:
                os.chmod(f"{folder}/{name}", mode)
        os.chmod(self.store, mode)

    def close_store(self):
        self.set_modes(0o500)

    def open_store(self):
        self.set_modes(0o700)

    def test_a_stop_while_the_store_is_away_says_what_waits_and_the_next_start_sends_it(self):
        self.begin()
        self.close_store()
        self.wait_commits(OUTAGE_COMMITS)
        lib.wait_for("segments in the spool", lambda: self.spooled() >= 5)
        self.writer.stop()
        said = self.archiver.stop(expect=3, seconds=120)
        self.assertRegex(said, r"segments from TXID \d+ on are not archived yet and wait in the "
                               "spool")
        self.assertGreaterEqual(self.spooled(), 5)
        self.open_store()
        self.hf("archive", self.db, self.url, "--once", user=self.user)
        self.assertEqual(self.spooled(), 0)
        self.check_all()

    def test_an_archiver_that_is_started_during_the_outage_waits_for_the_store(self):
        self.hf("archive", self.db, self.url, "--once", user=self.user)
        self.close_store()
        archiver = self.start_archiver(attached=False, user=self.user)
        archiver.wait_log("again in")
        self.open_store()
        archiver.wait_attached()
        lib.touch(self.db)
        self.wait_archived(archiver)
        archiver.stop()
        self.assert_whole()


class OutageByMoving(Outages, lib.Case):
    def setUp(self):
        super().setUp()
        self.create()

    def close_store(self):
        os.rename(self.store, self.path("away"))
        os.mkdir(self.store)  # an empty folder: the mount point of what was unmounted

    def open_store(self):
        self.assertEqual(self.objects(), {}, "nothing is put where the store was")
        shutil.rmtree(self.store)
        os.rename(self.path("away"), self.store)


if __name__ == "__main__":
    lib.main()
