#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every restore point of a run is a state that the database had, at the time it is asked for.

Goal:   restore --txid N is a state after some commit, and grows with N; restore --timestamp T holds
        everything committed before T less the capture interval, and nothing committed after T.
Method: writers log each commit with its wall time; the model knows what the database contained
        after each. TXIDs and times are sampled at random, and the ends are always among them.
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
        first = lib.from_rfc3339(self.hf("list", self.url, "--json").partition["snapshots"][0]
                                 ["time"])
        end = self.history.commits[-1].after
        moments = [self.random.uniform(first, end) for _ in range(POINTS)]
        # The very commits, too: just before and just after one of them.
        for c in self.random.sample(self.history.commits, 10):
            moments += [c.before, c.after]
        last = 0
        for when in sorted(max(first, m) for m in moments):
            seq = self.history.check(self.restore("--timestamp", lib.rfc3339(when)))
            self.assertGreaterEqual(seq, last, f"{lib.rfc3339(when)} is older than one before it")
            self.assertGreaterEqual(
                seq, self.history.last_before(when - CAPTURE_S - SLACK_S),
                f"{lib.rfc3339(when)} lacks commits from before it")
            # Times are told in whole ms, so a capture in the same ms still counts.
            self.assertLess(seq, self.history.first_after(int(when * 1000) / 1000 + 0.001),
                            f"{lib.rfc3339(when)} holds a commit from after it")
            last = seq
        self.report(f"{len(moments)} moments in {end - first:.1f} s")


if __name__ == "__main__":
    lib.main()
