#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is damaged decides what is found: the live database, the archive, or neither.

Goal:   damage of the live database is found, with kind, page and the table or index it belongs to;
        damage of an object is the store's, and its key is named; damage of the archiver's own notes
        is nobody's, because the scrubber never reads them.
Method: bytes are changed behind everybody's back, while the archiver runs and while it does not.
        Which page belongs to what is asked of SQLite (dbstat) before the damage.
"""
import os

import lib


class Findings(lib.Case):
    def setUp(self):
        super().setUp()
        self.create(cold_bytes=400_000)
        self.archiver = self.start_archiver()
        self.write(40)

    def write(self, commits):
        writer = self.start_writer("medium", "--count", str(commits), "--pause", "2")
        writer.wait()

    def scrub(self, expect):
        return self.hf("scrub", self.db, self.url, "--json", "--no-progress", expect=expect)

    def leaf_of(self, name):
        """A leaf page of the table or index."""
        return lib.sql(self.db, "SELECT max(pageno) FROM dbstat WHERE name=? AND pagetype='leaf'",
                       name)[0][0]

    def quiet(self):
        """Everything is archived and in the database file."""
        lib.checkpoint(self.db)
        self.wait_archived(self.archiver)

    def damage(self, page, data):
        lib.overwrite(self.db, (page - 1) * 4096, data)

    def page(self, page):
        return lib.read_bytes(self.db, (page - 1) * 4096, 4096)

    def assert_finding(self, done, kind, page, owner):
        self.assertEqual([f["page"] for f in done.findings], [page], done)
        finding = done.findings[0]
        self.assertEqual(finding["kind"], kind, done)
        self.assertIn(owner, finding["owner"], done)
        self.assertIn(f"page {page} of {owner}", self.try_hf("scrub", self.db, self.url).text)

    # ---- the live database ----

    def test_a_live_page_of_zeros_is_live_zeroed_and_its_table_is_named(self):
        self.quiet()
        page = self.leaf_of("item")
        self.damage(page, bytes(4096))
        self.assert_finding(self.scrub(1), "live-zeroed", page, "table item")

    def test_a_live_page_of_garbage_differs_and_its_table_is_named(self):
        self.quiet()
        page = self.leaf_of("item")
        # Its header stays, or SQLite could not say any more to what it belongs.
        self.damage(page, self.page(page)[:2000] + self.random.randbytes(2096))
        self.assert_finding(self.scrub(1), "differs", page, "table item")

    def test_a_single_flipped_bit_of_a_live_page_is_found(self):
        self.quiet()
        page = self.leaf_of("item")
        lib.flip(self.db, (page - 1) * 4096 + self.random.randrange(200, 4096))
        self.assert_finding(self.scrub(1), "differs", page, "table item")

    def test_a_live_page_that_is_an_older_image_of_itself_is_live_stale(self):
        lib.sql(self.db, "CREATE TABLE stock(id INTEGER PRIMARY KEY, amount INT, note TEXT)")
        lib.sql(self.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 999) "
                         "INSERT INTO stock SELECT i, 100, 'a note of some length' FROM n")
        self.quiet()
        page = self.leaf_of("stock")
        old = self.page(page)
        before = self.head()
        lib.sql(self.db, "UPDATE stock SET amount = amount - 1")
        self.quiet()
        self.damage(page, old)
        self.assertEqual(lib.sql(self.db, "PRAGMA integrity_check"), [("ok",)],
                         "SQLite itself sees nothing, which is the point")
        done = self.scrub(1)
        self.assert_finding(done, "live-stale", page, "table stock")
        self.assertEqual(done.findings[0]["stale_txid"], before, done)

    def test_a_damaged_page_of_an_index_names_the_index(self):
        self.quiet()
        page = self.leaf_of("item_by_seq")
        lib.flip(self.db, (page - 1) * 4096 + 3000)
        self.assert_finding(self.scrub(1), "differs", page, "index item_by_seq")

    def test_several_damaged_pages_are_told_one_by_one(self):
        self.quiet()
        pages = sorted([self.leaf_of("item"), self.leaf_of("item_by_seq")])
        for page in pages:
            lib.flip(self.db, (page - 1) * 4096 + 3000)
        done = self.scrub(1)
        self.assertEqual(sorted(f["page"] for f in done.findings), pages, done)

    def test_damage_that_was_there_before_the_archiver_stopped_is_found_without_one(self):
        self.quiet()
        self.archiver.stop()
        page = self.leaf_of("item")
        lib.flip(self.db, (page - 1) * 4096 + 3000)
        # The page did not come by the log: it must not be archived as if it had.
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress", "--no-archive",
                       expect=1)
        self.assertEqual([f["page"] for f in done.findings], [page], done)

    def test_what_is_mended_is_clean_again(self):
        self.quiet()
        page = self.leaf_of("item")
        good = self.page(page)
        self.damage(page, bytes(4096))
        self.scrub(1)
        self.damage(page, good)
        self.scrub(0)

    # ---- the archive ----

    def test_an_object_that_was_damaged_after_its_upload_is_store_damage_and_its_key_is_named(self):
        self.quiet()
        txid, path = self.random.choice(sorted(self.level0().items()))
        lib.flip(path, os.path.getsize(path) // 2)
        done = self.scrub(1)
        self.assertEqual([f["kind"] for f in done.findings], ["store-damage"], done)
        self.assertIn(os.path.relpath(path, self.store), done.findings[0]["text"], txid)
        self.assertEqual(self.hf("verify", self.url, expect=1).text.count(": damage: "), 1)

    def test_a_lost_object_is_a_hole_and_not_the_live_databases_fault(self):
        self.quiet()
        txid, path = self.random.choice(sorted(self.level0().items())[:-1])
        os.unlink(path)
        done = self.scrub(1)
        self.assertEqual([f["kind"] for f in done.findings], ["hole"], done)
        self.assertIn(str(txid), done.findings[0]["text"])

    def test_a_lost_format_object_is_store_damage_and_the_pages_are_compared_all_the_same(self):
        self.quiet()
        self.scrub(0)
        self.archiver.stop()
        os.unlink(f"{self.store}/holdfast/format")
        for _ in range(2):
            done = self.hf("scrub", self.db, self.url, "--json", "--no-progress", "--no-archive",
                           expect=1)
            self.assertEqual([f["kind"] for f in done.findings], ["store-damage"], done)
            self.assertIn("holdfast/format", done.findings[0]["text"])
            self.assertEqual(done.partition["pages_differ"], 0, done)
            self.assertGreater(done.partition["pages_equal"], 0, done)

    # ---- the archiver's notes ----

    def digest(self):
        return f"{self.state_dirs()[0]}/digest"

    def damage_digest(self):
        """Entries are hashes: any byte will do."""
        size = os.path.getsize(self.digest())
        self.assertGreater(size, 1000)
        for offset in self.random.sample(range(size), 20):
            lib.flip(self.digest(), offset)

    def test_a_digest_damaged_while_the_archiver_is_down_changes_nothing(self):
        self.quiet()
        self.archiver.stop()
        self.damage_digest()
        self.scrub(0)
        self.archiver = self.start_archiver()
        self.write(20)
        self.wait_archived(self.archiver)
        self.scrub(0)
        self.archiver.stop()
        self.assert_whole()
        self.assert_restores_to_live()

    def test_a_digest_damaged_while_the_archiver_runs_is_not_blamed_on_the_live_database(self):
        self.quiet()
        self.damage_digest()
        self.scrub(0)
        self.write(20)
        done = self.try_hf("scrub", self.db, self.url, "--json", "--no-progress")
        self.assertEqual([f for f in done.findings if f.get("page")], [], done)

    def test_an_archive_stays_restorable_when_the_digest_is_damaged_while_the_archiver_runs(self):
        self.quiet()
        for offset in range(0, os.path.getsize(self.digest()), 24):
            lib.flip(self.digest(), offset)  # each page's entry
        self.write(20)
        # If it is making its state anew when it is told to stop, it says that it has not done.
        said = self.processes[0].stop(expect=(0, 1, 3))
        if self.processes[0].process.returncode != 0:
            self.assertRegex(said, "capture has ended: stopped while |without the last commits")
        self.archive_once()
        self.assert_whole()
        self.assert_restores_to_live()


if __name__ == "__main__":
    lib.main()
