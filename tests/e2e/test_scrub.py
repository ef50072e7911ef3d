#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scrubs of a sound database find nothing, however busy it is.

Goal:   no false finding under full write load, with an archiver beside it or without one.
Method: writers that never pause for long, change every kind of page, checkpoint and shrink; one
        scrub after the other, each of which must end with 0 and have looked at every page.
"""
import time

import lib

SCRUBS = lib.count("SCRUBS", 200)
ALONE = lib.count("SCRUBS_ALONE", 8)


class Scrubs(lib.Case):
    def scrub(self):
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress")
        self.assertEqual(done.findings, [], done)
        self.assertTrue(done.partition["clean"], done)
        self.assertGreater(done.partition["pages_equal"], 0, done)
        return done.partition

    def start_load(self):
        self.start_writer("small", "--pause", "3", "--checkpoint", "TRUNCATE", "--reopen")
        self.start_writer("medium", "--pause", "20", "--vacuum")
        self.start_writer("large", "--pause", "100", "--checkpoint", "FULL")

    def stop_load(self):
        for p in self.processes:
            if isinstance(p, lib.Writer):
                p.stop()

    def test_scrubs_under_full_write_load_find_nothing(self):
        self.create()
        archiver = self.start_archiver()
        self.start_load()
        started = time.monotonic()
        pages = 0
        for _ in range(SCRUBS):
            pages += self.scrub()["pages_equal"]
        seconds = time.monotonic() - started
        self.assertTrue(archiver.alive(), archiver.done())
        self.stop_load()
        archiver.stop()
        self.assert_restores_to_live()
        self.report(f"{SCRUBS} scrubs in {seconds:.0f} s, {SCRUBS / seconds:.1f} a second, "
                    f"{pages:,} pages; {len(self.histories())} commits meanwhile")

    def test_scrubs_without_a_running_archiver_find_nothing_in_a_database_at_rest(self):
        self.create()
        self.archive_once()
        for _ in range(ALONE):
            self.scrub()

    def test_scrubs_without_a_running_archiver_archive_what_the_log_proves_and_find_nothing(self):
        self.create()
        archiver = self.start_archiver()
        # While somebody reads, nobody restarts the log, and it proves what has come since.
        writers = [self.start_writer("small"), self.start_writer("medium", "--pause", "20")]
        lib.wait_for("commits", lambda: all(w.commits() > 5 for w in writers))
        with lib.connect(self.db) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT n FROM counter").fetchone()
            lib.wait_for("frames behind the reader's", lambda: self.has_moved_on(reader))
            archiver.stop()
            for _ in range(ALONE):
                self.scrub()
            self.stop_load()
            self.scrub()
            reader.execute("COMMIT")
        self.assert_restores_to_live()

    def has_moved_on(self, reader):
        return lib.sql(self.db, "SELECT n FROM counter") != reader.execute(
            "SELECT n FROM counter").fetchall()

    def test_commits_that_nobody_followed_are_told_until_they_are_archived(self):
        self.create()
        self.archive_once()
        self.start_writer("small", "--count", "4", "--checkpoint", "TRUNCATE").wait()
        for _ in range(2):
            done = self.hf("scrub", self.db, self.url, "--json", "--no-progress", expect=1)
            self.assertEqual({f["kind"] for f in done.findings}, {"differs"}, done)
            self.assertIs(done.partition["attended"], False, done)
            said = self.hf("scrub", self.db, self.url, "--no-progress", expect=1).text
            self.assertIn("no archiver has followed the database since TXID 1", said)
            self.assertIn("holdfast archive --once", said)
        self.archive_once()
        self.scrub()

    def test_pages_that_were_not_compared_are_told_and_are_not_clean(self):
        """The archive is behind: what came after it is no damage, and not proved either."""
        self.create()
        archiver = self.start_archiver()
        with lib.connect(self.db) as app:
            lib.touch(self.db)
            self.wait_archived(archiver)
            archiver.stop()
            for checkpoint in (False, True):
                app.execute("INSERT INTO cold(body) VALUES(randomblob(9000))")
                if checkpoint:
                    app.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self.assert_incomplete("--no-archive")
                reference = self.new_path()
                self.hf("rebuild", self.url, "-o", reference, "--no-progress")
                self.assert_incomplete("--no-archive", "--reference", reference)
            self.scrub()

    def assert_incomplete(self, *words):
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress", *words, expect=1)
        self.assertEqual([f["kind"] for f in done.findings], ["limit"], done)
        self.assertIs(done.partition["clean"], False, done)
        self.assertIs(done.partition["complete"], False, done)
        self.assertGreater(done.partition["pages_not_compared"], 0, done)
        self.assertEqual(done.partition["pages_differ"], 0, done)
        said = self.hf("scrub", self.db, self.url, "--no-progress", *words, expect=1).text
        self.assertIn(": incomplete: ", said)
        self.assertNotIn(": clean: ", said)
        self.assertIn("holdfast archive --once", said)

    def test_what_is_known_from_the_disk_alone_is_told_by_every_scrub(self):
        self.create()
        self.archive_once()
        for _ in range(2):
            self.start_writer("small", "--count", "4", "--checkpoint", "TRUNCATE").wait()
            self.archive_once()  # the log is gone
        self.assertEqual(self.head(), 3)
        for words in ([], [], ["--no-archive"]):
            done = self.hf("scrub", self.db, self.url, "--json", "--no-progress", *words)
            told = done.partition["catch_ups"]
            self.assertEqual([(t["min_txid"], t["max_txid"]) for t in told], [(2, 2), (3, 3)], done)
            self.assertEqual(done.partition["catch_ups_since_txid"], 0, done)
        said = self.hf("scrub", self.db, self.url, "--no-progress").text
        self.assertIn("TXID 2 to 3 came as catch-ups: what the disk held at that time", said)

    def test_a_scrub_of_what_was_never_archived_archives_it_first(self):
        self.create()
        self.scrub()
        self.assert_restores_to_live()


if __name__ == "__main__":
    lib.main()
