#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One database is archived to two URLs at once, by two processes.

Goal:   neither disturbs the other or the application: both archives are whole and restore to the
        live database, whichever is killed meanwhile, and scrubs of both find nothing.
Method: two archivers with the local state that each URL has, writers that checkpoint in every way
        and insist on it, kills and scrubs in turn. Every error that an application sees fails the
        test (writer.py); the oracles are SQLite's image of the live database, and the model.
"""
import lib

ROUNDS = lib.count("URL_ROUNDS", 4)


class TwoUrls(lib.Case):
    def setUp(self):
        super().setUp()
        self.create(cold_bytes=2 << 20)
        self.stores = [self.path("store-a"), self.path("store-b")]
        self.urls = [f"file://{store}" for store in self.stores]
        self.archivers = [self.start_archiver(url=url) for url in self.urls]

    def start_load(self):
        return [self.start_writer("small", "--pause", "10", "--checkpoint", "TRUNCATE"),
                self.start_writer("medium", "--pause", "30", "--checkpoint", "RESTART", "--reopen"),
                self.start_writer("large", "--pause", "200", "--checkpoint", "PASSIVE")]

    def scrub(self, url):
        done = self.hf("scrub", self.db, url, "--json", "--no-progress")
        self.assertEqual(done.findings, [], done)
        self.assertTrue(done.partition["clean"], done)
        self.assertGreater(done.partition["pages_equal"], 0, done)

    def wait_commits(self, writer, more):
        before = writer.commits()
        lib.wait_for("commits", lambda: writer.commits() >= before + more)

    def wait_both_follow(self):
        heads = [self.head(store) for store in self.stores]
        lib.wait_for("segments in both", lambda: all(
            self.head(store) > head for store, head in zip(self.stores, heads)))

    def check_all(self):
        history = self.histories()
        for url in self.urls:
            listed = self.assert_whole(url)
            self.assertEqual(len(listed["snapshots"]), 1, "no full copy travelled again")
            out = self.assert_restores_to_live(url)
            self.assertEqual(history.check(out), len(history))

    def test_either_may_be_killed_and_scrubs_of_both_find_nothing(self):
        writers = self.start_load()
        for i in range(ROUNDS):
            self.wait_both_follow()
            self.archivers[i % 2].kill()
            self.wait_commits(writers[0], 15)
            self.scrub(self.urls[1 - i % 2])
            self.archivers[i % 2] = self.start_archiver(url=self.urls[i % 2])
            self.wait_both_follow()
            for url in self.urls:
                self.scrub(url)
        for writer in writers:
            writer.stop()
        for archiver in self.archivers:
            archiver.stop()
        self.check_all()
        self.report(f"{ROUNDS} kills, {len(self.histories())} commits, "
                    f"TXIDs {[self.head(store) for store in self.stores]}")

    def test_one_that_ends_leaves_the_log_to_the_other(self):
        writers = self.start_load()
        for i in range(ROUNDS):
            self.wait_both_follow()
            self.archivers[i % 2].stop()
            self.wait_commits(writers[0], 15)
            self.assertTrue(self.archivers[1 - i % 2].alive())
            self.archivers[i % 2] = self.start_archiver(url=self.urls[i % 2])
        for writer in writers:
            writer.stop()
        for archiver in self.archivers:
            archiver.stop()
        self.check_all()


if __name__ == "__main__":
    lib.main()
