#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The archiver is killed at random moments while applications write, and started again each time.

Goal:   nothing that was committed is lost, the archive stays one contiguous run, the rightful
        archiver is never locked out by its own past, and no full copy of the database ever travels
        again.
Method: SIGKILL after a random time, half of them so early that it is still starting. Writers of
        three sizes run all the while and checkpoint, reopen and shrink the database themselves. The
        oracle is SQLite's own image of the live database, the model, and the sizes of the objects.
"""
import os
import time

import lib

KILLS = lib.count("KILLS", 100)
FIRST_KILLS = lib.count("FIRST_KILLS", 10)
COLD_BYTES = lib.count("COLD_MB", 24) << 20
STARTING_S = 0.25
RUNNING_S = 0.9


class Kills:
    """Shared by the stores; see test_kill_s3.py."""

    kills = KILLS

    def start_load(self):
        self.start_writer("small", "--pause", "15", "--reopen", "--checkpoint", "TRUNCATE")
        self.start_writer("medium", "--pause", "60", "--vacuum", "--every", "7")
        self.start_writer("large", "--pause", "400", "--checkpoint", "PASSIVE", "--every", "3")

    def kill_once(self):
        archiver = self.start_archiver(attached=False)
        early = self.random.random() < 0.5
        time.sleep(self.random.uniform(0.01, STARTING_S if early else RUNNING_S))
        self.assertTrue(archiver.alive(), f"it ended by itself:\n{archiver.done()}")
        archiver.kill()
        self.assertNotRegex(archiver.log(), "fenced|newer archiver|hole", "its own past")

    def test_nothing_is_lost_and_no_full_copy_travels_however_often_it_is_killed(self):
        self.create(cold_bytes=COLD_BYTES)
        self.start_archiver().kill()
        self.start_load()
        started = time.monotonic()
        for _ in range(self.kills):
            self.kill_once()
        seconds = time.monotonic() - started
        for writer in self.processes:
            if isinstance(writer, lib.Writer):
                writer.stop()
        self.start_archiver().stop()

        history = self.histories()
        restored = self.assert_restores_to_live()
        self.assertEqual(history.check(restored), len(history))
        listed = self.assert_whole()
        self.check_bytes(listed, history, seconds)

    def test_an_archiver_killed_while_it_makes_the_first_snapshot_begins_it_again(self):
        self.create(cold_bytes=COLD_BYTES)
        writer = self.start_writer("small", "--pause", "15")
        for _ in range(FIRST_KILLS):
            archiver = self.start_archiver(attached=False)
            time.sleep(self.random.uniform(0.02, 0.3))
            archiver.kill()
        archiver = self.start_archiver()
        writer.stop()
        archiver.stop()
        self.histories().check(self.assert_restores_to_live())
        self.assertEqual(len(self.assert_whole()["snapshots"]), 1)

    def check_bytes(self, listed, history, seconds):
        levels = {level["level"]: level for level in listed["levels"]}
        self.assertEqual(levels[9]["segments_count"], 1, "snapshots")
        sent = levels[0]["bytes"]
        bound = history.pages_bound(4096) * 4200
        self.assertLess(sent, bound, "more was sent than the pages that were changed")
        self.report(f"{self.kills} kills in {seconds:.0f} s, {len(history)} commits, "
                    f"{levels[0]['segments_count']} segments; "
                    f"snapshot {levels[9]['bytes']:,} bytes, "
                    f"then {sent // self.kills:,} bytes a kill")


class KillsOnFiles(Kills, lib.Case):
    def tearDown(self):
        left = os.listdir(f"{self.store}/.tmp")
        self.assertLess(len(left), 3, f"unfinished objects of killed processes: {left}")

    def check_bytes(self, listed, history, seconds):
        super().check_bytes(listed, history, seconds)
        for txid, path in self.level0().items():
            self.assertLess(os.path.getsize(path), COLD_BYTES // 4,
                            f"TXID {txid} holds what did not change")


if __name__ == "__main__":
    lib.main()
