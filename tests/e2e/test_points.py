#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every restore point of a run is a state that the database had, at the time it is asked for, and
a time of which nothing is known is never answered as if it were.

Goal:   restore --txid N is a state after some commit, and grows with N; restore --timestamp T holds
        everything committed before T less the capture interval, and nothing committed after T.
Method: writers log each commit with its wall time; the model knows what the database contained
        after each. TXIDs and times are sampled at random, and the ends are always among them. For
        the gap, the archiver is stopped while the application goes on and closes its log.
"""
import lib

POINTS = lib.count("POINTS", 60)
COMMITS = lib.count("POINT_COMMITS", 120)
CAPTURE_S = 0.05
SLACK_S = float(lib.os.environ.get("HF_E2E_SLACK_S", "2.5"))  # to capture, on a loaded machine


class Points(lib.Case):
    def setUp(self):
        super().setUp()
        self.create()
        archiver = self.start_archiver()
        writers = [self.start_writer("small", "--count", str(3 * COMMITS), "--reopen"),
                   self.start_writer("medium", "--count", str(COMMITS), "--pause", "20",
                                     "--vacuum", "--checkpoint", "RESTART"),
                   self.start_writer("large", "--count", str(COMMITS // 10), "--pause", "150")]
        for writer in writers:
            writer.wait()
        archiver.stop()
        self.history = self.histories()

    def sample(self, values):
        values = sorted(values)
        chosen = set(self.random.sample(values, min(POINTS, len(values))))
        return sorted(chosen | {values[0], values[-1]})

    def test_each_txid_is_a_state_after_some_commit_and_they_come_in_order(self):
        last = 0
        chosen = self.sample({txid for _, _, txid in self.objects()})
        for txid in chosen:
            seq = self.history.check(self.restore("--txid", str(txid)))
            self.assertGreaterEqual(seq, last, f"TXID {txid} is older than the one before it")
            last = seq
        self.assertEqual(last, len(self.history), "the last TXID is the last commit")
        self.report(f"{len(chosen)} TXIDs of {self.head()}, {len(self.history)} commits")

    def test_each_timestamp_has_all_that_was_committed_before_and_nothing_from_after(self):
        listed = self.hf("list", self.url, "--json").partition
        first = lib.from_rfc3339(listed["snapshots"][0]["time"])
        end = self.history.commits[-1].after
        moments = [self.random.uniform(first, end) for _ in range(POINTS)]
        # The very commits, too: just before and just after one of them.
        for c in self.random.sample(self.history.commits, 10):
            moments += [c.before, c.after]
        last = 0
        for when in sorted(max(first, m) for m in moments):
            # Where the archiver lost the log, on a loaded machine, it says so, and only there.
            lost = any(g["from"] < lib.rfc3339(when) < g["to"] for g in listed["gaps"])
            out = self.new_path()
            self.hf("restore", self.url, "-o", out, "--no-progress", "--timestamp",
                    lib.rfc3339(when), expect=int(lost))
            seq = self.history.check(out)
            self.assertGreaterEqual(seq, last, f"{lib.rfc3339(when)} is older than one before it")
            if not lost:
                self.assertGreaterEqual(
                    seq, self.history.last_before(when - CAPTURE_S - SLACK_S),
                    f"{lib.rfc3339(when)} lacks commits from before it")
            # Times are told in whole ms, so a capture in the same ms still counts.
            self.assertLess(seq, self.history.first_after(int(when * 1000) / 1000 + 0.001),
                            f"{lib.rfc3339(when)} holds a commit from after it")
            last = seq
        self.report(f"{len(moments)} moments in {end - first:.1f} s")


class Gap(lib.Case):
    def setUp(self):
        super().setUp()
        self.create()
        self.states = {}  # what the database held at the TXIDs on both sides of the gap
        self.follow_to_the_end()
        self.first = self.head()
        lib.touch(self.db)  # nobody follows, and the last connection closes the log behind it
        self.follow_to_the_end()
        self.second = self.head()
        self.assertEqual(self.second, self.first + 1)

    def follow_to_the_end(self):
        archiver = self.start_archiver()
        if not self.states:
            lib.touch(self.db)
        self.wait_archived(archiver)
        archiver.stop()
        self.states[self.head()] = lib.image(self.db)

    def restore_json(self, *target, expect=0):
        out = self.new_path()
        done = self.hf("restore", self.url, "-o", out, "--json", "--no-progress", *target,
                       expect=expect)
        return done.partition, lib.image(out)

    def ends(self):
        """The times of both TXIDs, as text."""
        ends = []
        for txid in (self.first, self.second):
            said, image = self.restore_json("--txid", str(txid))
            self.assertEqual(image, self.states[txid])
            self.assertNotIn("gap", said)
            ends.append(said["time"])
        return ends

    def test_the_gap_is_listed_and_is_no_fault_of_the_archive(self):
        begin, end = self.ends()
        gap = {"from": begin, "to": end, "from_txid": self.first, "to_txid": self.second}
        self.assertEqual(self.assert_whole()["gaps"], [gap])
        row = rf" +{begin} +{end} +{self.first} +{self.second}"
        self.assertRegex(self.hf("list", self.url).out, rf"captured in between:\n.*\n{row}\n")

    def test_a_record_without_its_segment_is_no_gap(self):
        folder = f"{self.store}/holdfast/catch-ups"
        (name,) = lib.os.listdir(folder)
        for txid in (self.first, self.second + 1):  # an ordinary one; and one that never came
            lib.shutil.copy(f"{folder}/{name}", f"{folder}/{txid:016x}")
        gaps = self.assert_whole()["gaps"]
        self.assertEqual([g["to_txid"] for g in gaps], [self.second])

    def test_a_catch_up_waits_for_its_record_and_a_kill_between_changes_no_time(self):
        _, end = self.ends()
        folder = f"{self.store}/holdfast/catch-ups"
        lib.touch(self.db)
        lib.os.rename(folder, self.path("aside"))
        with open(folder, "w", encoding="utf-8"):
            pass  # in the way of every record
        archiver = self.start_archiver()
        archiver.wait_log("catch-ups")
        archiver.kill()
        self.assertEqual(self.head(), self.second)
        lib.os.unlink(folder)
        lib.os.rename(self.path("aside"), folder)
        self.follow_to_the_end()
        last = self.assert_whole()["gaps"][-1]
        self.assertEqual((last["from"], last["from_txid"]), (end, self.second))
        self.assertEqual(last["to"], self.restore_json("--txid", str(self.second + 1))[0]["time"])

    def test_a_time_inside_gives_what_was_before_says_so_and_is_status_1(self):
        begin, end = self.ends()
        inside = (lib.from_rfc3339(begin) + lib.from_rfc3339(end)) / 2
        gap = {"from": begin, "to": end, "from_txid": self.first, "to_txid": self.second}
        for when in (inside, lib.from_rfc3339(begin) + 0.0011, lib.from_rfc3339(end) - 0.0009):
            said, image = self.restore_json("--timestamp", lib.rfc3339(when), expect=1)
            self.assertEqual(image, self.states[self.first])
            self.assertEqual(said["txid"], self.first)
            self.assertEqual(said["gap"], gap)
        done = self.hf("restore", self.url, "-o", self.new_path(), "--no-progress", "--timestamp",
                       lib.rfc3339(inside), expect=1)
        for words in (begin, end, f"--txid {self.first}", f"--txid {self.second}",
                      "nothing was captured"):
            self.assertIn(words, done.out)
        for when, txid in ((begin, self.first), (end, self.second)):
            said, image = self.restore_json("--timestamp", when)
            self.assertEqual(image, self.states[txid])
            self.assertNotIn("gap", said)


if __name__ == "__main__":
    lib.main()
