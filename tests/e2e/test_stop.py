#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The archiver is told to stop while it is busy.

Goal:   exit status 0 means that everything that was committed before the signal is archived.
Method: writers go on before, during and after the signal; their logs say what was committed when it
        was sent. The restored database must hold at least that, and be a state that there was.
"""
import signal
import time

import lib

STOPS = lib.count("STOPS", 8)


class Stops(lib.Case):
    def check_has_all_before(self, sent):
        history = self.histories()
        seq = history.check(self.restore())
        self.assertGreaterEqual(seq, history.last_before(sent), "committed, and not archived")

    def test_a_stop_under_load_archives_everything_that_was_committed_before_it(self):
        self.create()
        self.start_writer("small", "--pause", "1")
        self.start_writer("large", "--pause", "50", "--checkpoint", "TRUNCATE")
        moments, slowest = [], 0.0
        for _ in range(STOPS):
            archiver = self.start_archiver(capture="10s")
            time.sleep(self.random.uniform(0.05, 0.4))
            moments.append(time.time())
            archiver.stop(expect=0)
            slowest = max(slowest, time.time() - moments[-1])
            # The writers' logs run ahead of the archive, but were complete up to the signal.
            self.check_now(moments[-1])
        self.report(f"{STOPS} stops, the slowest {slowest:.2f} s")

    def check_now(self, sent):
        restored = self.restore()
        have = lib.sql(restored, "SELECT n FROM counter")[0][0]
        committed = 0
        for w in self.processes:
            if isinstance(w, lib.Writer):
                with open(w.log_path) as f:
                    for line in f.readlines()[:-1]:  # the last one may be half written
                        seq, _, _, after = line.split()
                        committed = max(committed, int(seq) if float(after) < sent else 0)
        self.assertGreaterEqual(have, committed, "committed, and not archived")

    def test_each_signal_that_asks_to_stop_is_obeyed(self):
        self.create()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            archiver = self.start_archiver()
            lib.touch(self.db)
            archiver.process.send_signal(number)
            archiver.wait_end(0)
        self.assert_restores_to_live()

    def test_a_stop_of_an_idle_archiver_does_not_wait(self):
        self.create()
        archiver = self.start_archiver()
        self.wait_archived(archiver)
        started = time.monotonic()
        archiver.stop(expect=0)
        self.assertLess(time.monotonic() - started, 5)

    def test_once_archives_everything_that_was_committed_before_it_was_started(self):
        self.create()
        self.archive_once()
        self.start_writer("small", "--pause", "1")
        self.start_writer("large", "--pause", "50", "--checkpoint", "TRUNCATE")
        for _ in range(STOPS):
            time.sleep(0.1)
            started = time.time()
            done = self.archive_once()
            self.assertNotIn("time not told", done.out)
            self.check_now(started)


if __name__ == "__main__":
    lib.main()
