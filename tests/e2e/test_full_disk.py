#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk fills up, under what is restored, under local state, and under the store.

Goal:   it is said which disk, with status 3; nothing half-made is left under the name of something
        whole; the application goes on; and when there is room again, nothing was lost.
Method: a file system of a few MiB that a ballast file fills to the last byte (small_disk.py), at
        random moments. The oracles are SQLite's image of the live database, verify, and the model.
"""
import os
import signal
import time

import lib
import small_disk

CYCLES = lib.count("FULL_DISKS", 8)
CATCHES_MAX = 50


class FullDisk(lib.Case):
    disk_bytes = 24 << 20

    def setUp(self):
        super().setUp()
        self.small = self.path("small")
        self.disk = small_disk.SmallDisk(self.small, self.disk_bytes)
        self.addCleanup(self.disk.remove)

    def left(self):
        """What lies on the small disk beside ballast."""
        return [n for n in os.listdir(self.small) if not n.startswith(".ballast")
                and n != ".of-others"]

    def check_all(self, url=None):
        history = self.histories()
        self.assert_whole(url)
        out = self.assert_restores_to_live(url)
        self.assertEqual(history.check(out), len(history))

    def wait_commits(self, writer, more):
        before = writer.commits()
        lib.wait_for("commits", lambda: writer.commits() >= before + more)


class RestoreOntoIt(FullDisk):
    def setUp(self):
        super().setUp()
        self.create(cold_bytes=8 << 20)
        self.archive_once()
        self.out = f"{self.small}/app.db"

    def words(self):
        return ("restore", self.url, "-o", self.out, "--no-progress")

    def test_a_disk_without_room_is_seen_before_anything_is_written(self):
        for leave in (0, 1 << 20, 8 << 20):
            self.disk.empty()
            self.disk.fill(leave)
            done = self.hf(*self.words(), expect=3)
            self.assertIn(self.small, done.err)
            self.assertRegex(done.err, r"takes \d+ bytes .* has \d+ bytes free")
            self.assert_no_output(self.out)
            self.assertEqual(self.left(), [])
        self.disk.empty()
        self.hf(*self.words())
        self.assert_same_pages(self.out, self.db)

    def fill_while_it_writes(self):
        """Its exit status and words; the disk is full from when it had made a file."""
        p = lib.subprocess.Popen([self.holdfast, *self.words()], stdin=lib.subprocess.DEVNULL,
                                 stdout=lib.subprocess.PIPE, stderr=lib.subprocess.PIPE, text=True,
                                 env=lib.environment())
        while p.poll() is None and not self.left():
            time.sleep(0.0002)
        time.sleep(self.random.uniform(0, 0.01))
        p.send_signal(signal.SIGSTOP)
        self.disk.fill()
        p.send_signal(signal.SIGCONT)
        out, err = p.communicate(timeout=lib.WAIT_S)
        done = lib.Done(p.args, p.returncode, out, err)
        lib.check_sanitizers(done)
        return done

    def test_a_disk_that_fills_up_meanwhile_leaves_no_output(self):
        caught = 0
        for _ in range(CATCHES_MAX):
            done = self.fill_while_it_writes()
            left = self.left()
            self.disk.empty()  # SQLite needs room to read what was restored
            if done.status == 0:  # it had everything before the disk was full
                self.assert_same_pages(self.out, self.db)
                os.unlink(self.out)
            else:
                caught += 1
                self.assertEqual(done.status, 3, done)
                self.assertRegex(done.err, f"{self.small}.*(No space left|bytes free)", done)
                self.assert_no_output(self.out)
                self.assertEqual(left, [], done)
            if caught == CYCLES:
                break
        self.assertGreater(caught, 0, "the disk was never full in time: the test is too slow")
        self.report(f"{caught} restores met a full disk")

    def test_an_output_that_is_to_be_replaced_is_kept(self):
        self.hf(*self.words())
        lib.touch(self.db)
        self.archive_once()
        before = lib.read_bytes(self.out)
        self.disk.fill()
        self.hf(*self.words(), "--force", expect=3)
        self.assertEqual(lib.read_bytes(self.out), before)
        self.assertEqual(self.left(), ["app.db"])
        self.disk.empty()
        self.hf(*self.words(), "--force")
        self.assert_same_pages(self.out, self.db)


class LocalStateOnIt(FullDisk):
    def setUp(self):
        super().setUp()
        self.create(cold_bytes=4 << 20)

    def start(self):
        return self.start_archiver("--state", self.small)

    def test_the_application_goes_on_and_nothing_is_lost(self):
        archiver = self.start()
        writer = self.start_writer("medium", "--pause", "10", "--checkpoint", "TRUNCATE")
        for _ in range(CYCLES):
            self.wait_commits(writer, 10)
            said = len(archiver.log())
            self.disk.fill()
            self.wait_commits(writer, 20)
            lib.wait_for("a word about it", lambda: lib.re.search(
                "No space left|disk is full", archiver.log()[said:]))
            self.assertTrue(archiver.alive(), archiver.done())
            said = len(archiver.log())
            self.disk.empty()
            lib.wait_for("the archiver's return",
                         lambda: "following the log" in archiver.log()[said:])
            self.wait_commits(writer, 10)
        writer.stop()
        self.wait_archived(archiver)
        archiver.stop()
        self.check_all()
        self.report(f"{writer.commits()} commits; the disk was full {CYCLES} times")

    def test_an_archiver_that_is_killed_then_goes_on_when_there_is_room(self):
        archiver = self.start()
        writer = self.start_writer("small", "--pause", "10")
        self.wait_commits(writer, 10)
        self.disk.fill()
        self.wait_commits(writer, 20)
        archiver.kill()
        self.wait_commits(writer, 20)
        self.disk.empty()
        archiver = self.start()
        writer.stop()
        self.wait_archived(archiver)
        archiver.stop()
        self.check_all()

    def test_a_start_without_room_says_so_and_the_next_one_archives(self):
        self.disk.fill()
        done = self.archive_once("--state", self.small, expect=3)
        self.assertIn(self.small, done.err)
        self.assertIn("No space left", done.err)
        self.disk.empty()
        self.archive_once("--state", self.small)
        self.assert_restores_to_live()

    def test_a_check_without_room_is_no_finding(self):
        self.archive_once("--state", self.small)
        self.disk.fill()
        full = {"TMPDIR": self.small}
        done = self.hf("scrub", self.db, self.url, "--state", self.small, "--no-progress",
                       expect=3, env=full)
        self.assertIn(self.small, done.err)
        done = self.hf("verify", self.url, "--no-progress", expect=3, env=full)
        self.assertIn(self.small, done.err)
        self.disk.empty()
        self.hf("scrub", self.db, self.url, "--state", self.small, "--no-progress", env=full)
        self.hf("verify", self.url, "--no-progress", env=full)


class StoreOnIt(FullDisk):
    disk_bytes = 256 << 20  # an archive only grows

    def setUp(self):
        super().setUp()
        self.store = f"{self.small}/store"
        self.url = f"file://{self.store}"
        os.mkdir(self.store)

    def test_a_first_snapshot_that_does_not_fit_leaves_nothing_under_its_name(self):
        self.create(cold_bytes=8 << 20)
        self.disk.fill(2 << 20)
        done = self.archive_once(expect=3)
        self.assertIn(self.store, done.err)
        self.assertIn("No space left", done.err)
        self.assertEqual(self.objects(), {})
        self.disk.empty()
        self.archive_once()
        self.assert_whole()
        self.assert_restores_to_live()

    def test_what_lies_under_a_final_name_is_whole_whenever_the_disk_fills_up(self):
        self.create()
        archiver = self.start_archiver()
        writers = [self.start_writer("large", "--pause", "30", "--checkpoint", "TRUNCATE"),
                   self.start_writer("small", "--pause", "5")]
        for _ in range(CYCLES):
            self.wait_commits(writers[1], 10)
            said = len(archiver.log())
            self.disk.fill(self.random.randrange(0, 1 << 19))
            lib.wait_for("a word about it", lambda: lib.re.search(
                "No space left", archiver.log()[said:]))
            self.assertTrue(archiver.alive(), archiver.done())
            self.hf("verify", self.url, "--no-progress")
            head = self.head()
            self.disk.empty()
            lib.wait_for("segments again", lambda: self.head() > head + 1)
        for writer in writers:
            writer.stop()
        self.wait_archived(archiver)
        archiver.stop()
        self.check_all()
        left = os.listdir(f"{self.store}/.tmp")
        self.assertEqual(left, [], "unfinished objects")


if __name__ == "__main__":
    lib.main()
