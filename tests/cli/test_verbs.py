# SPDX-License-Identifier: Apache-2.0
"""The verbs at work on one database and a file:// store.

Goal: what each verb leaves behind, its exit status, its lines and its JSON; and that each kind of
wrong input is refused with a message that helps. Method: the database's rows are the oracle for
what was restored; damage and holes are made by hand.
"""

import fcntl
import glob
import json
import os
import shutil
import signal
import sqlite3
import unittest

from cli import Case, connect, damage, insert, later, rows_of


class Archive(Case):
    """holdfast archive."""

    def test_once_archives_what_is_committed_and_ends(self):
        self.database("app.db")
        answer = self.expect(0, "archive", "app.db", self.store, "--once")
        self.assertRegex(answer.stdout, r"^app\.db: archived up to TXID 1 \(.*\), .* sent\n$")
        self.expect(0, "verify", self.store)

    def test_once_says_json(self):
        path = self.database("app.db")
        said = self.json(0, "archive", "app.db", self.store, "--once")
        (row,) = said["partitions"]
        self.assertEqual(row["archived_txid"], 1)
        self.assertEqual(row["database"], path)
        self.assertEqual(row["url"], self.store)
        self.assertGreater(row["uploaded_bytes"], 0)

    def test_quiet_says_nothing(self):
        self.database("app.db")
        answer = self.expect(0, "archive", "app.db", self.store, "--once", "-q")
        self.assertEqual(answer.stdout, "")
        self.assertNotIn(" info ", answer.stderr)

    def test_it_follows_until_sigterm_and_then_says_where_it_stands(self):
        path = self.database("app.db")
        process = self.follow("app.db", self.store, "--capture", "50ms")
        self.wait_for(lambda: self.last_txid() >= 1)  # sooner, the rows might be in the snapshot
        with connect(path) as db:
            insert(db, 10)
            self.wait_for(lambda: self.last_txid() >= 2)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertRegex(stdout, r"^app\.db: archived up to TXID [2-9]")
        self.expect(0, "restore", self.store, "-o", "back.db")
        self.assertEqual(rows_of(self.path("back.db")), rows_of(path))

    def last_txid(self):
        """The last TXID in the store; 0 before there is any."""
        answer = self.holdfast("list", self.store, "--json")
        sections = json.loads(answer.stdout).get("partitions", [{}])[0].get("sections", [])
        return sections[-1]["last_txid"] if sections else 0

    def test_what_is_no_database_is_refused_before_a_store_is_made(self):
        with open(self.path("not.db"), "wb") as file:
            file.write(b"this is not a database " * 1000)
        self.database("journal.db", mode="delete")
        os.mkdir(self.path("folder"))
        for name, message in (("missing.db", "there is no such database"),
                              ("folder", "is a folder"),
                              ("not.db", "not a SQLite database"),
                              ("journal.db", "--set-wal")):
            answer = self.expect(2, "archive", name, self.store, "--once")
            self.assertIn(message, answer.stderr)
            self.assertIn(name, answer.stderr)
        self.assertFalse(os.path.exists(self.path("store")))

    def test_journal_mode_changes_only_when_asked(self):
        path = self.database("journal.db", mode="delete")
        self.expect(2, "archive", "journal.db", self.store, "--once")
        self.assertEqual(mode_of(path), "delete")
        self.expect(0, "archive", "journal.db", self.store, "--once", "--set-wal")
        self.assertEqual(mode_of(path), "wal")

    def test_local_state_goes_where_it_is_told(self):
        self.database("app.db")
        self.expect(0, "archive", "app.db", self.store, "--once", "--state", "elsewhere")
        self.assertTrue(os.listdir(self.path("elsewhere")))
        self.assertEqual(glob.glob(self.path(".app.db-holdfast")), [])

    def test_a_second_archiver_of_the_same_database_is_refused(self):
        self.database("app.db")
        self.follow("app.db", self.store)
        answer = self.expect(3, "archive", "app.db", self.store, "--once", "--state", "state")
        self.assertIn("another holdfast", answer.stderr)


def mode_of(path):
    """The journal mode, as SQLite says."""
    with connect(path) as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


class Archived(Case):
    """A test that begins with an archive of three TXIDs, and what the database held at each."""

    def setUp(self):
        super().setUp()
        self.db = self.database("app.db")
        self.rows = []
        for _ in range(3):
            if self.rows:
                with connect(self.db) as db:
                    insert(db, 50)
            self.expect(0, "archive", "app.db", self.store, "--once")
            self.rows.append(rows_of(self.db))

    def listed(self):
        """The archive's JSON of list."""
        return self.json(0, "list", self.store)["partitions"][0]

    def segments(self):
        """The files of all segments, in the order of their names."""
        return sorted(glob.glob(self.path("store", "ltx", "*", "*.ltx")))


class Restore(Archived):
    """holdfast restore and holdfast rebuild."""

    def test_the_latest_state_is_restored_by_default(self):
        answer = self.expect(0, "restore", self.store, "-o", "back.db")
        self.assertRegex(answer.stdout, r"^restored back\.db: TXID 3 \(.*\), \d+ pages of 4,096 "
                                        r"bytes, proved by the archive's root\n$")
        self.assertEqual(rows_of(self.path("back.db")), self.rows[2])

    def test_each_txid_is_restored_as_it_was(self):
        for txid in (1, 2, 3):
            name = f"back{txid}.db"
            said = self.json(0, "restore", self.store, "-o", name, "--txid", str(txid))
            self.assertEqual(said["partitions"][0]["txid"], txid)
            self.assertEqual(rows_of(self.path(name)), self.rows[txid - 1])

    def test_a_time_gives_the_last_capture_at_or_before_it(self):
        second = self.json(0, "restore", self.store, "-o", "2.db", "--txid", "2")["partitions"][0]
        # Nobody followed the database between two runs of --once: behind the capture is a gap.
        for name, ms, status in (("at.db", 0, 0), ("after.db", 1, 1)):
            said = self.json(status, "restore", self.store, "-o", name, "--timestamp",
                             later(second["time"], ms))
            self.assertEqual(said["partitions"][0]["txid"], 2)
            self.assertEqual("gap" in said["partitions"][0], status == 1)
            self.assertEqual(rows_of(self.path(name)), self.rows[1])

    def test_a_gap_is_told_under_quiet_too(self):
        second = self.json(0, "restore", self.store, "-o", "2.db", "--txid", "2")["partitions"][0]
        answer = self.expect(1, "restore", self.store, "-o", "b.db", "-q", "--timestamp",
                             later(second["time"]))
        self.assertRegex(answer.stdout, r"^b\.db: gap: .* \(TXID 2\) and .* \(TXID 3\), where "
                                        r"nothing was captured\n")
        self.assertEqual(rows_of(self.path("b.db")), self.rows[1])

    def test_a_time_in_the_future_or_before_the_first_is_refused_with_the_span(self):
        for time in ("2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"):
            answer = self.expect(2, "restore", self.store, "-o", "back.db", "-t", time)
            self.assertIn("20", answer.stderr)
            self.assertFalse(os.path.exists(self.path("back.db")))

    def test_a_txid_that_is_not_there_is_refused_with_the_span(self):
        answer = self.expect(2, "restore", self.store, "-o", "back.db", "--txid", "99")
        self.assertIn("1 to 3", answer.stderr)

    def test_a_time_and_a_txid_exclude_one_another(self):
        answer = self.expect(2, "restore", self.store, "-o", "back.db", "--txid", "1", "-t",
                             "2026-01-01T00:00:00Z")
        self.assertIn("exclude", answer.stderr)

    def test_an_existing_output_is_replaced_only_by_force(self):
        with open(self.path("back.db"), "w", encoding="utf-8") as file:
            file.write("precious")
        answer = self.expect(2, "restore", self.store, "-o", "back.db")
        self.assertIn("--force", answer.stderr)
        with open(self.path("back.db"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")
        self.expect(0, "restore", self.store, "-o", "back.db", "--force")
        self.assertEqual(rows_of(self.path("back.db")), self.rows[2])

    def test_a_missing_segment_is_a_hole_and_gives_no_file(self):
        os.unlink(self.segments()[0])
        said = json.loads(self.expect(1, "restore", self.store, "-o", "b.db", "--json").stdout)
        self.assertEqual(said["error"]["code"], "hole")
        self.assertFalse(os.path.exists(self.path("b.db")))

    def test_a_damaged_segment_gives_no_file(self):
        spoil(self.segments()[1])
        self.expect(1, "restore", self.store, "-o", "b.db")
        self.assertFalse(os.path.exists(self.path("b.db")))

    def test_what_is_missing_or_empty_is_never_a_success(self):
        os.mkdir(self.path("empty"))
        for verb in (["restore", "-o", "b.db"], ["rebuild", "-o", "b.db"], ["verify"], ["list"]):
            for name in ("empty", "nonexistent"):
                self.expect(2, verb[0], "file://" + self.path(name), *verb[1:])

    def test_rebuild_makes_the_same_file_and_reads_the_store_only(self):
        self.expect(0, "restore", self.store, "-o", "restored.db")
        before = snapshot_of(self.path("store"))
        shutil.rmtree(self.path(".app.db-holdfast"))
        os.unlink(self.db)
        answer = self.expect(0, "rebuild", self.store, "-o", "reference.db")
        self.assertIn("rebuilt reference.db: TXID 3", answer.stdout)
        self.assertEqual(snapshot_of(self.path("store")), before)
        self.assertEqual(bytes_of(self.path("reference.db")), bytes_of(self.path("restored.db")))


    def test_scrub_begins_with_a_reference_that_rebuild_made(self):
        self.expect(0, "rebuild", self.store, "-o", "reference.db")
        clean = self.json(0, "scrub", self.db, self.store, "--reference", "reference.db")
        self.assertTrue(clean["partitions"][0]["clean"])
        with open(self.path("reference.db"), "r+b") as f:
            f.seek(5000)
            f.write(b"changed")
        answer = self.expect(2, "scrub", self.db, self.store, "--reference", "reference.db")
        self.assertIn("none of the states", answer.stderr)


class LocalState(Archived):
    """What lies in the folder of local state is used only if it is right."""

    def state(self, *parts):
        """A path in the folder of local state."""
        return os.path.join(glob.glob(self.path(".app.db-holdfast", "*"))[0], *parts)

    def take_back(self):
        """As if the process had been killed before it sent TXID 3: that lies in the spool."""
        segment = [path for path in self.segments() if "/0/" in path][-1]
        shutil.move(segment, self.state("spool", "0000000000000003.ltx"))
        with open(self.state("confirmed"), "w", encoding="ascii") as f:
            f.write("00000000000000000002\n")
        with open(self.path("store", "holdfast", "owner"), "r+", encoding="ascii") as f:
            text = f.read()
            self.assertIn('"last_txid": 3', text)
            f.seek(0)
            f.write(text.replace('"last_txid": 3', '"last_txid": 2'))

    def assert_archived(self):
        self.expect(0, "archive", "app.db", self.store, "--once")
        self.expect(0, "verify", self.store)
        self.expect(0, "restore", self.store, "-o", "back.db")
        self.assertEqual(rows_of(self.path("back.db")), self.rows[2])

    def test_what_waits_in_the_spool_is_sent_at_the_next_start(self):
        self.take_back()
        self.assert_archived()
        self.assertEqual(os.listdir(self.state("spool")), [])

    def test_a_damaged_spool_is_never_sent(self):
        self.take_back()
        spoil(self.state("spool", "0000000000000003.ltx"))
        self.assert_archived()

    def test_an_emptied_spool_file_is_never_sent(self):
        self.take_back()
        os.truncate(self.state("spool", "0000000000000003.ltx"), 0)
        self.assert_archived()

    def test_an_archive_that_lost_its_newest_object_is_not_written_to(self):
        os.unlink([path for path in self.segments() if "/0/" in path][-1])
        answer = self.expect(1, "archive", "app.db", self.store, "--once")
        self.assertIn("up to TXID 3 was confirmed there", answer.stderr)

    def test_a_scrub_without_a_reference_says_why_once_and_that_nothing_was_compared(self):
        os.unlink(self.segments()[0])
        answer = self.expect(1, "scrub", "app.db", self.store, "--no-archive")
        self.assertRegex(answer.stdout + answer.stderr, r"app\.db: hole: TXID 2 to 2 are missing")
        self.assertIn("app.db: 1 finding; nothing was compared", answer.stdout + answer.stderr)
        said = self.json(1, "scrub", "app.db", self.store, "--no-archive")["partitions"][0]
        self.assertEqual(said["slices"], 0)
        self.assertNotIn("txid", said)
        self.assertNotIn("time", said)

    def test_one_scrub_of_a_database_at_a_time(self):
        self.expect(0, "scrub", self.db, self.store)
        with open(self.state("scrub", "lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer = self.expect(3, "scrub", self.db, self.store)
        self.assertIn("another scrub", answer.stderr)


class Check(Archived):
    """holdfast verify and holdfast list."""

    def test_a_whole_archive_is_proved(self):
        answer = self.expect(0, "verify", self.store)
        self.assertRegex(answer.stdout, r"whole: TXID 1 to 3 proved by roots; 3 objects, .* read")
        said = self.json(0, "verify", self.store)["partitions"][0]
        self.assertEqual((said["objects_read"], said["findings_count"]), (3, 0))

    def test_segments_removed_at_the_end_are_a_hole(self):
        os.unlink([path for path in self.segments() if "/0/" in path][-1])
        for verb in (["restore", "-o", "r.db"], ["verify"], ["list"]):
            answer = self.expect(1, verb[0], self.store, *verb[1:])
            self.assertRegex(answer.stdout + answer.stderr,
                             r"TXID 3 to 3 (are )?(missing )?at the end")
        self.assertFalse(os.path.exists(self.path("r.db")))
        self.expect(0, "restore", self.store, "--txid", "2", "-o", "r.db")

    def test_damage_is_found_and_named(self):
        spoil(self.segments()[1])
        answer = self.expect(1, "verify", self.store)
        self.assertIn("damage: TXID 3-3: ltx/0/", answer.stdout)
        said = self.json(1, "verify", self.store)["partitions"][0]
        self.assertIn(os.path.basename(self.segments()[1]),
                      " ".join(finding["key"] for finding in said["findings"]))

    def test_a_hole_is_found_by_verify_and_by_list(self):
        os.unlink(self.segments()[0])
        for verb in ("verify", "list"):
            answer = self.expect(1, verb, self.store)
            self.assertIn("hole: TXID 2", answer.stdout)
        holes = self.json(1, "list", self.store)["partitions"][0]["holes"]
        self.assertEqual(holes, [{"first_txid": 2, "last_txid": 2}])

    def test_no_snapshot_is_no_archive_that_could_be_restored(self):
        for snapshot in glob.glob(self.path("store", "ltx", "9", "*")):
            os.unlink(snapshot)
        answer = self.expect(1, "list", self.store)
        self.assertIn("Nothing can be restored", answer.stdout)
        self.assertIn("lost: no snapshot leads to TXID 2 to 3", answer.stdout)

    def test_verify_leaves_no_working_files(self):
        os.mkdir(self.path("tmp"))
        os.environ["TMPDIR"] = self.path("tmp")
        self.addCleanup(os.environ.pop, "TMPDIR")
        self.expect(0, "verify", self.store)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_list_says_what_restore_can_do(self):
        said = self.listed()
        (section,) = said["sections"]
        self.assertEqual((section["first_txid"], section["last_txid"]), (1, 3))
        self.assertEqual(section["step"], "every capture")
        self.assertEqual(said["segments_count"], 3)
        self.assertEqual(said["bytes"], sum(os.path.getsize(path) for path in self.segments()))
        self.assertEqual([row["txid"] for row in said["snapshots"]], [1])
        for row in (section["from"], section["to"]):
            self.expect(0, "restore", self.store, "-t", row, "-o", f"{row}.db")

    def test_list_is_for_people_too(self):
        text = self.expect(0, "list", self.store).stdout
        self.assertIn("every capture", text)
        self.assertRegex(text, r"(?m)^ +9  snapshots +1 ")
        for line in text.splitlines():
            self.assertLess(len(line), 100)


class Scrub(Archived):
    """holdfast scrub."""

    def test_an_untouched_database_is_clean(self):
        for words in ([], ["--no-archive"]):
            answer = self.expect(0, "scrub", "app.db", self.store, *words)
            self.assertRegex(answer.stdout, r"^app\.db: clean: \d+ pages equal at TXID 3 \(.*\), ")

    def test_a_database_that_was_never_archived_is_archived_first(self):
        self.database("new.db")
        url = "file://" + self.path("new-store")
        self.expect(0, "scrub", "new.db", url)
        self.expect(0, "verify", url)

    def test_without_archiving_first_there_must_be_an_archive(self):
        self.database("new.db")
        self.expect(2, "scrub", "new.db", "file://" + self.path("new-store"), "--no-archive")
        self.assertFalse(os.path.exists(self.path("new-store")))

    def test_damage_is_found_again_and_again(self):
        """A scrub must not archive the damage that it is to find."""
        damage(self.db, 5)
        for words in ([], [], ["--no-archive"]):
            said = self.json(1, "scrub", "app.db", self.store, *words)["partitions"][0]
            self.assertEqual([f["page"] for f in said["findings"]], [5])
            self.assertFalse(said["clean"])
        answer = self.expect(1, "scrub", "app.db", self.store)
        self.assertRegex(answer.stdout, r"(?m)^app\.db: differs: page 5 of table t")
        self.assertEqual(self.listed()["sections"][-1]["last_txid"], 3)

    def test_findings_are_told_under_quiet(self):
        damage(self.db, 5)
        self.assertIn("page 5", self.expect(1, "scrub", "-q", "app.db", self.store).stdout)

    def test_a_page_from_the_past_is_called_so(self):
        old = bytes_of(self.db)
        with connect(self.db) as db:
            db.execute("UPDATE t SET b = 'new' WHERE a = 1")
        self.expect(0, "archive", "app.db", self.store, "--once")
        with connect(self.db) as db:
            page = next(i for i in range(1, len(old) // 4096 + 1)
                        if b"row 0 " in old[(i - 1) * 4096:i * 4096])
        with open(self.db, "r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(old[(page - 1) * 4096:page * 4096])
        said = self.json(1, "scrub", "app.db", self.store)["partitions"][0]
        self.assertEqual([(f["kind"], f["page"]) for f in said["findings"]], [("live-stale", page)])

    def test_a_running_archiver_is_asked_and_the_database_may_be_written(self):
        process = self.follow("app.db", self.store, "--capture", "50ms")
        with connect(self.db) as db:
            for _ in range(3):
                insert(db, 20)
                said = self.json(0, "scrub", "app.db", self.store, "--state", "state")
                row = said["partitions"][0]
                self.assertTrue(row["clean"])
                self.assertTrue(row["attended"])
            damage(self.db, 5)
            self.expect(1, "scrub", "app.db", self.store, "--state", "state")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_a_log_that_goes_on_is_archived_and_compared(self):
        """The application is alive and no archiver runs: the scrub brings one for its time."""
        db = sqlite3.connect(self.db)
        self.addCleanup(db.close)
        insert(db, 5)
        reader = sqlite3.connect(self.db, isolation_level=None)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()  # keeps the log from beginning anew
        self.expect(0, "archive", "app.db", self.store, "--once")
        insert(db, 5)
        row = self.json(0, "scrub", "app.db", self.store)["partitions"][0]
        self.assertTrue(row["clean"])
        self.assertEqual(row["txid"], self.listed()["sections"][-1]["last_txid"])
        self.expect(0, "restore", self.store, "-o", "back.db")
        self.assertEqual(rows_of(self.path("back.db")), rows_of(self.db))

    def test_damage_in_the_archive_is_told_as_the_archives(self):
        spoil(self.segments()[1])
        said = self.json(1, "scrub", "app.db", self.store, "--no-archive")["partitions"][0]
        self.assertEqual({f["kind"] for f in said["findings"]}, {"store-damage"})


def spoil(path):
    """Change a byte in the middle of a file."""
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xff]))


def bytes_of(path):
    """The file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def snapshot_of(folder):
    """{path: bytes} of all files below."""
    return {os.path.join(where, name): bytes_of(os.path.join(where, name))
            for where, _, names in os.walk(folder) for name in names}


if __name__ == "__main__":
    unittest.main()
