#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong databases, targets, times, folders and archives.

Goal:   each is refused with the exit status of its kind, by a message that names the thing and says
        what to do; nothing is made where an output would have been.
Method: one case each, with the words that the message must hold. test_bad_input_s3.py has those of
        a real S3 server.
"""
import os
import shutil
import sqlite3
import time

import lib


class BadDatabases(lib.Case):
    def refused(self, *words, expect, says, notes=0, **more):
        done = self.hf(*words, expect=expect, **more)
        for word in says:
            self.assertIn(word, done.err, done)
        self.assertEqual(done.err.count("holdfast: "), 1 + notes, f"said once:\n{done}")
        return done

    def archive(self, path, *options, expect, says, **more):
        done = self.refused("archive", path, self.url, "--once", *options, expect=expect,
                            says=says, **more)
        self.assertEqual(self.head() if os.path.isdir(self.store) else 0, 0)
        return done

    def test_a_file_that_is_no_sqlite_database(self):
        with open(self.db, "wb") as f:
            f.write(b"This is a letter to somebody.\n" * 500)
        before = lib.read_bytes(self.db)
        self.archive(self.db, expect=2, says=[self.db, "not a"])
        self.assertEqual(lib.read_bytes(self.db), before)

    def test_an_empty_file(self):
        with open(self.db, "wb"):
            pass
        self.archive(self.db, expect=2, says=[self.db])

    def test_a_file_that_does_not_exist_is_not_made(self):
        self.archive(self.db, expect=2, says=[self.db, "no such database"])
        self.assertFalse(os.path.exists(self.db))

    def test_a_folder(self):
        os.mkdir(self.db)
        self.archive(self.db, expect=2, says=[self.db, "folder"])

    def test_a_pipe_and_a_device(self):
        os.mkfifo(self.db)
        for path in (self.db, "/dev/null"):
            self.archive(path, expect=2, says=[path, "device", "expected a database file"])

    def test_a_database_in_rollback_journal_mode_is_left_as_it_is_unless_set_wal_is_said(self):
        with lib.connect(self.db) as db:
            db.execute("CREATE TABLE t(v)")
        before = lib.read_bytes(self.db)
        self.archive(self.db, expect=2, says=[self.db, "WAL", "--set-wal"])
        self.assertEqual(lib.read_bytes(self.db), before)
        self.archive_once("--set-wal")
        self.assertEqual(lib.sql(self.db, "PRAGMA journal_mode"), [("wal",)])
        self.assert_restores_to_live()

    def test_set_wal_while_somebody_uses_the_database_says_so(self):
        db = sqlite3.connect(self.db, isolation_level=None)
        db.execute("CREATE TABLE t(v)")
        db.execute("BEGIN EXCLUSIVE")
        self.archive(self.db, "--set-wal", expect=3, says=[self.db, "--set-wal"])
        db.execute("ROLLBACK")
        db.close()

    def test_a_database_that_was_cut_off(self):
        self.create(cold_bytes=200_000)
        size = os.path.getsize(self.db)
        os.truncate(self.db, size // 2 // 4096 * 4096)
        self.archive(self.db, expect=1, says=[self.db, "cut off"])

    def test_a_database_cut_in_the_middle_of_a_page(self):
        self.create(cold_bytes=200_000)
        os.truncate(self.db, os.path.getsize(self.db) - 1000)
        self.archive(self.db, expect=1, says=[self.db, "cut off"])

    def test_a_folder_for_local_state_that_cannot_be_made(self):
        self.create()
        with open(self.path("file"), "w"):
            pass
        self.refused("archive", self.db, self.url, "--once", "--state", self.path("file/state"),
                     expect=(2, 3), says=["local state", self.path("file")])

    def test_a_folder_for_local_state_that_is_not_writable(self):
        self.create()
        state, user = self.path("state"), None
        os.mkdir(state)
        os.mkdir(self.store)
        if os.geteuid() == 0:  # root may write everywhere
            user = lib.NOBODY
            self.holdfast = shutil.copy(self.holdfast, self.path("holdfast"))
            os.chmod(self.holdfast, 0o755)
            for path in (self.folder, self.db, state, self.store):
                os.chown(path, user, user)
        os.chmod(state, 0o500)
        self.refused("archive", self.db, self.url, "--once", "--state", state, expect=3,
                     says=[state, "local state"], user=user)
        os.chmod(state, 0o700)

    def test_a_store_that_is_a_file(self):
        self.create()
        with open(self.store, "w"):
            pass
        self.refused("archive", self.db, self.url, "--once", expect=2, says=[self.store, "file"])

    def test_a_url_that_is_none(self):
        self.create()
        for url, word in (("/some/folder", "file:///"), ("ftp://host/path", "file://"),
                          ("s3:/bucket", "s3:/bucket"), ("file://relative", "relative"),
                          ("s3://bucket/p?colour=red", "colour")):
            self.refused("archive", self.db, url, "--once", expect=2, says=[word])

    def test_an_endpoint_where_nobody_listens_ends_once_in_a_bounded_time(self):
        self.create()
        proxy = lib.Proxy("http://127.0.0.1:1")
        proxy.shut()
        url = f"s3://bucket/prefix?endpoint={proxy.endpoint}&region=us-east-1"
        keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "do-not-tell-anybody"}
        started = time.monotonic()
        done = self.refused("restore", url, "-o", self.path("never.db"), expect=3,
                            says=[str(proxy.port), "the store is tried again for up to 60 s"],
                            notes=1, env=keys, seconds=150)
        self.assertLess(time.monotonic() - started, 90)
        self.assertNotIn("do-not-tell-anybody", done.text)
        self.assert_no_output(self.path("never.db"))


class BadTargets(lib.Case):
    """Restores that cannot be."""

    def setUp(self):
        super().setUp()
        self.create()
        archiver = self.start_archiver()
        self.start_writer("small", "--count", "20", "--pause", "20").wait()
        self.wait_archived(archiver)
        archiver.stop()
        self.out = self.path("out.db")

    def refused(self, *options, expect, says, url=None):
        done = self.hf("restore", url or self.url, "-o", self.out, *options, expect=expect)
        for word in says:
            self.assertIn(word, done.err, done)
        self.assert_no_output(self.out)
        return done

    def test_a_time_in_the_future_is_refused_and_the_span_told(self):
        span = self.hf("list", self.url, "--json").partition["sections"]
        done = self.refused("--timestamp", lib.rfc3339(time.time() + 3600), expect=2,
                            says=["future"])
        self.assertIn(span[-1]["to"][:16], done.err)

    def test_a_time_before_the_first_is_refused_and_the_span_told(self):
        span = self.hf("list", self.url, "--json").partition["sections"]
        self.refused("--timestamp", "2001-01-01T00:00:00Z", expect=2,
                     says=["2001-01-01", span[0]["from"][:19]])

    def test_a_time_after_the_last_gives_the_last_and_says_until_when_it_is_known(self):
        time.sleep(1.2)
        done = self.hf("restore", self.url, "-o", self.out, "--timestamp",
                       lib.rfc3339(time.time() - 0.1))
        self.assertIn("attached until", done.out)
        self.assert_same_pages(self.out, self.db)

    def test_a_time_without_offset_is_refused_and_both_readings_are_shown(self):
        self.refused("--timestamp", "2026-01-02T03:04:05", expect=2,
                     says=["2026-01-02T03:04:05", "Z", "offset"])

    def test_what_is_no_time_at_all_is_refused(self):
        for text in ("yesterday", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "1700000000"):
            self.refused("--timestamp", text, expect=2, says=[text])

    def test_a_txid_that_there_is_not_is_refused_and_the_last_one_told(self):
        last = self.head()
        self.refused("--txid", str(last + 1000), expect=2, says=[str(last)])
        self.refused("--txid", "0", expect=2, says=["0"])
        self.refused("--txid", "many", expect=2, says=["many"])

    def test_an_output_that_exists_stays_as_it_is_unless_force_is_said(self):
        with open(self.out, "w") as f:
            f.write("somebody's work")
        done = self.hf("restore", self.url, "-o", self.out, expect=2)
        self.assertIn(self.out, done.err)
        self.assertIn("--force", done.err)
        self.assertEqual(lib.read_bytes(self.out), b"somebody's work")
        self.hf("restore", self.url, "-o", self.out, "--force")
        self.assert_same_pages(self.out, self.db)

    def test_an_output_that_exists_survives_a_forced_restore_that_fails(self):
        with open(self.out, "w") as f:
            f.write("somebody's work")
        os.unlink(self.level0()[5])
        self.hf("restore", self.url, "-o", self.out, "--force", expect=1)
        self.assertEqual(lib.read_bytes(self.out), b"somebody's work")
        self.assertEqual(self.temporaries(), [])

    def test_a_log_beside_the_output_is_refused_because_sqlite_would_take_it(self):
        for suffix in ("-wal", "-journal"):
            with open(self.out + suffix, "w"):
                pass
            self.refused("--force", expect=2, says=[self.out + suffix])
            os.unlink(self.out + suffix)

    def test_an_output_in_a_folder_that_is_not_there(self):
        done = self.hf("restore", self.url, "-o", self.path("no/out.db"), expect=2)
        self.assertIn(self.path("no"), done.err)

    def test_an_archive_that_is_empty_or_missing_is_never_a_success(self):
        os.mkdir(self.path("empty"))
        for url in (f"file://{self.path('empty')}", f"file://{self.path('missing')}"):
            self.refused(expect=2, says=[url[len("file://"):]], url=url)
            for verb in ("verify", "list"):
                self.assertIn(url[len("file://"):], self.hf(verb, url, expect=2).err)
        self.assertFalse(os.path.exists(self.path("missing")), "a reader makes no folder")

    def test_an_archive_that_is_only_a_claim_is_never_a_success(self):
        """The owner is there, and no segment: a first snapshot that was interrupted."""
        for key, path in self.objects().items():
            os.unlink(path)
        self.refused(expect=2, says=[self.store])
        self.hf("verify", self.url, expect=2)
        self.hf("list", self.url, expect=2)


if __name__ == "__main__":
    lib.main()
