#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_outage.py's proofs on a real S3 server that cannot be reached for a while.

Goal:   as there, whether connections are refused, or taken and never answered.
Method: a proxy stands between the archiver and the server. It can be shut, or fall silent.
"""
import os
import re
import time

import lib
import test_outage


class S3Outage(test_outage.Outages, lib.S3Case):
    def setUp(self):
        super().setUp()
        self.create()
        self.proxy = lib.Proxy(self.endpoint)
        self.addCleanup(self.proxy.shut)
        self.url = self.s3_url(self.id().split(".")[-1][:40] + f"-{self.made}-{id(self)}",
                               endpoint=self.proxy.endpoint)

    def close_store(self):
        self.proxy.shut()

    def open_store(self):
        self.proxy.open()

    def test_a_stop_while_the_server_is_away_ends_before_a_service_manager_loses_patience(self):
        """systemd's default is 90 s; then it kills, and nobody is told what waits."""
        self.begin()
        self.close_store()
        lib.wait_for("segments in the spool", lambda: self.spooled() >= 5)
        self.writer.stop()
        started = time.monotonic()
        said = self.archiver.stop(expect=3, seconds=90)
        self.assertLess(time.monotonic() - started, 40, "20 s for the spool, and no retries behind")
        self.assertRegex(said, r"segments from TXID \d+ on are not archived yet")
        self.open_store()
        self.hf("archive", self.db, self.url, "--once")
        self.check_all()


    def test_a_stop_before_the_server_was_ever_reached_ends_at_once(self):
        """Nothing is captured, so there is nothing to bring there; a request takes 30 s to fail."""
        self.proxy.silent = True
        archiver = self.start_archiver(attached=False)
        lib.wait_for("a request", lambda: self.proxy.sockets)
        started = time.monotonic()
        archiver.stop(expect=3)
        self.assertLess(time.monotonic() - started, 20)


class S3Snapshot(lib.S3Case):
    """A first snapshot that is killed while it travels."""

    def test_a_snapshot_that_was_killed_goes_on_with_the_parts_that_are_there(self):
        self.create(cold_bytes=60 << 20)
        size = os.path.getsize(self.db)
        proxy = lib.Proxy(self.endpoint)
        self.addCleanup(proxy.shut)
        url = self.s3_url(f"snapshot-{id(self)}", endpoint=proxy.endpoint)
        proxy.silent_after(size * 3 // 4)
        archiver = self.start_archiver(url=url, attached=False)
        lib.wait_for("three quarters", lambda: proxy.silent)
        archiver.kill()
        proxy.open()
        before = proxy.sent_bytes
        lib.touch(self.db)
        said = self.hf("archive", self.db, url, "--once", "--no-progress").err
        found = re.search(r"snapshot: (\d+) of (\d+) bytes were there from an earlier try", said)
        self.assertIsNotNone(found, said)
        reused, total = int(found[1]), int(found[2])
        self.report(f"{reused} of {total} bytes were there; {proxy.sent_bytes - before} were sent")
        self.assertGreater(reused, total // 4)
        self.assertLess(proxy.sent_bytes - before, total - reused + (4 << 20))
        self.assert_whole(url=url)
        self.assert_restores_to_live(url=url)


    def test_what_is_committed_while_it_travels_has_restore_points(self):
        """The store hangs for a while; the log is followed, and every state met then is there."""
        self.create(cold_bytes=60 << 20)
        proxy = lib.Proxy(self.endpoint)
        self.addCleanup(proxy.shut)
        url = self.s3_url(f"beside-{id(self)}", endpoint=proxy.endpoint)
        proxy.silent_after(os.path.getsize(self.db) // 2)
        archiver = self.start_archiver(url=url, attached=False)
        lib.wait_for("half of it", lambda: proxy.silent)
        writer = self.start_writer("small", "--checkpoint", "PASSIVE")
        lib.wait_for("commits", lambda: writer.commits() > 30)
        spool = self.path(".app.db-holdfast")
        lib.wait_for("segments in the spool", lambda: sum(
            n.endswith(".ltx") for _, _, names in os.walk(spool) for n in names) > 3)
        self.assertNotIn("snapshot is archived", archiver.log())
        while_it_hung = lib.rfc3339(time.time())
        before = writer.commits()
        lib.wait_for("more commits", lambda: writer.commits() > before + 30)
        proxy.shut()
        proxy.open()
        archiver.wait_attached()
        writer.stop()
        archiver.stop()
        self.assert_whole(url=url)
        history = self.histories()
        seqs = [history.check(self.restore("--txid", str(n), url=url)) for n in (1, 2, 3, 4)]
        self.assertEqual(seqs, sorted(set(seqs)), "each is a later state")
        seq = history.check(self.restore("--timestamp", while_it_hung, url=url))
        self.assertGreaterEqual(seq, seqs[-1])
        self.assertLess(seq, len(history))
        history.check(self.assert_restores_to_live(url=url))


class S3Silence(lib.S3Case):
    """A server that takes requests and never answers: only capture is asked for here, because a
    stall is noticed by its time-out, which is longer than a test should be."""

    def test_capture_goes_on_while_the_server_is_silent(self):
        self.create()
        proxy = lib.Proxy(self.endpoint)
        self.addCleanup(proxy.shut)
        url = self.s3_url(f"silent-{id(self)}", endpoint=proxy.endpoint)
        archiver = self.start_archiver(url=url)
        writer = self.start_writer("small", "--checkpoint", "TRUNCATE")
        lib.wait_for("commits", lambda: writer.commits() > 20)
        proxy.silent = True
        before = writer.commits()
        lib.wait_for("commits", lambda: writer.commits() > before + 200)
        proxy.shut()  # what hangs is told so; otherwise it would go on hanging
        proxy.open()
        writer.stop()
        self.wait_archived(archiver, url=url)
        archiver.stop()
        self.assert_whole(url=url)
        self.histories().check(self.assert_restores_to_live(url=url))


if __name__ == "__main__":
    lib.main()
