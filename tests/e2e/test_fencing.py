#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two archivers on one archive.

Goal:   the newer one owns it, the older one ends with status 3 and has damaged nothing; a crash of
        the first does not lock the rightful one out; two on one folder of local state are refused.
Method: real processes on one prefix, with local state of their own, while the application writes.
"""
import shutil

import lib


class Fencing:
    """Shared by the stores; see test_fencing_s3.py."""

    takeovers = lib.count("TAKEOVERS", 4)

    def start(self, *options, **more):
        return self.start_archiver("--state", self.path(f"state-{options[0]}"), *options[1:],
                                   **more)

    def test_the_older_of_two_archivers_is_fenced_and_nothing_is_damaged(self):
        self.create()
        first = self.start("a")
        writer = self.start_writer("small", "--pause", "10")
        lib.wait_for("commits", lambda: writer.commits() > 20)
        second = self.start("b")
        said = first.wait_end(3)
        self.assertRegex(said, "epoch|owns|belongs")
        lib.wait_for("commits", lambda: writer.commits() > 60)
        writer.stop()
        self.wait_archived(second)
        second.stop()
        self.assert_whole()
        self.histories().check(self.assert_restores_to_live())

    def test_archivers_that_take_over_in_turn_leave_one_contiguous_archive(self):
        self.create()
        writer = self.start_writer("medium", "--pause", "15")
        archivers = []
        for i in range(self.takeovers):
            archivers.append(self.start("ab"[i % 2]))
            if i > 0:
                archivers[i - 1].wait_end(3)
            seen = writer.commits()
            lib.wait_for("commits", lambda: writer.commits() > seen + 10)  # pylint: disable=W0640
        writer.stop()
        self.wait_archived(archivers[-1])
        archivers[-1].stop()
        self.assert_whole()
        self.histories().check(self.assert_restores_to_live())

    def test_a_crash_of_the_first_does_not_lock_out_the_one_that_takes_over(self):
        self.create()
        first = self.start("a")
        writer = self.start_writer("small")
        lib.wait_for("commits", lambda: writer.commits() > 20)
        first.kill()
        second = self.start("b")
        lib.wait_for("commits", lambda: writer.commits() > 60)
        second.kill()
        shutil.rmtree(self.path("state-b"))
        third = self.start("b")
        writer.stop()
        third.stop()
        self.assert_whole()
        self.histories().check(self.assert_restores_to_live())

    def test_a_second_archiver_over_the_same_local_state_is_refused(self):
        self.create()
        first = self.start("a")
        second = self.hf("archive", self.db, self.url, "--once", "--state", self.path("state-a"),
                         expect=3)
        self.assertRegex(second.err, "another holdfast is already archiving")
        self.assertIn("state-a", second.err)
        lib.touch(self.db)
        self.assertTrue(first.alive(), first.done())
        first.stop()
        self.assert_whole()
        self.assert_restores_to_live()

    def test_the_fenced_one_with_unsent_segments_does_not_send_them(self):
        """It sleeps through the take-over, and wakes up with commits of its own to send."""
        self.create()
        first = self.start("a")
        lib.sql(self.db, "CREATE TABLE t(v)")
        lib.wait_for("segments", lambda: self.state_of_archive() >= 2)
        lib.time.sleep(1)  # it rests, and holds no lock that others would have to wait for
        first.process.send_signal(lib.signal.SIGSTOP)
        second = self.start("b")
        for i in range(20):
            lib.sql(self.db, "INSERT INTO t VALUES(?)", i)
            lib.time.sleep(0.06)
        first.process.send_signal(lib.signal.SIGCONT)
        first.wait_end(3)
        lib.sql(self.db, "INSERT INTO t VALUES('last')")
        self.wait_archived(second)
        second.stop()
        self.assert_whole()
        self.assert_restores_to_live()

    def test_a_scrub_over_other_local_state_does_not_fence_the_archiver_that_runs(self):
        self.create()
        first = self.start("a")
        lib.touch(self.db)
        self.wait_archived(first)
        shutil.copytree(self.path("state-a"), self.path("state-copy"),
                        ignore=lambda _, names: [n for n in names if n == "socket"])
        for state in ("state-b", "state-copy"):
            refused = self.hf("scrub", self.db, self.url, "--state", self.path(state), expect=2)
            self.assertIn(f"process {first.process.pid}", refused.err)
            self.assertIn("--no-archive", refused.err)
        self.try_hf("scrub", self.db, self.url, "--state", self.path("state-b"), "--no-archive")
        for _ in range(3):
            lib.touch(self.db)
            self.wait_archived(first)
        first.stop()
        for state, status in (("state-b", 2), ("state-a", 0)):
            self.hf("scrub", self.db, self.url, "--state", self.path(state), expect=status)
        self.start("a").kill()
        self.hf("scrub", self.db, self.url, "--state", self.path("state-a"))

    def test_another_database_of_this_machine_is_not_archived_over_the_one_that_is_there(self):
        self.create()
        first = self.start("a")
        other = self.path("other.db")
        self.create(other)
        for words in (["archive", other, self.url, "--once"], ["archive", other, self.url]):
            refused = self.hf(*words, "--state", self.path("state-b"), expect=2)
            self.assertIn(f"is the archive of {self.db}, which is still there", refused.err)
            self.assertIn(f"give {other} a URL of its own", refused.err)
        lib.touch(self.db)
        self.wait_archived(first)
        first.stop()
        self.assert_whole()
        self.assert_restores_to_live()
        # What moved, and what took its place, is the rightful one.
        lib.os.rename(self.db, self.path("aside.db"))
        lib.os.rename(other, self.path("moved.db"))
        self.hf("archive", self.path("moved.db"), self.url, "--once")

    def state_of_archive(self):
        done = self.try_hf("list", self.url, "--json")
        return max(s["last_txid"] for s in done.partition["sections"]) if done.status == 0 else 0


class FencingOnFiles(Fencing, lib.Case):
    def test_epochs_go_on_where_the_owner_object_was_removed(self):
        self.create()
        for i in range(3):
            if i > 0:
                lib.touch(self.db)
            self.archive_once()
        before = self.hf("list", self.url, "--json").partition["owner_epoch"]
        self.assertEqual(before, 3)
        lib.os.unlink(f"{self.store}/holdfast/owner")
        lib.touch(self.db)
        self.archive_once()
        self.assertGreater(self.hf("list", self.url, "--json").partition["owner_epoch"], before)
        self.assert_whole()
        self.assert_restores_to_live()


if __name__ == "__main__":
    lib.main()
