#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives with missing and wrong objects.

Goal:   a hole or a damaged object is an error that names it, never an older or another database;
        what does not need it can still be restored.
Method: one archive of about 30 segments is made once; each test damages a copy of it. Nothing may
        be left where the output would have been.
"""
import os
import shutil
import struct

import lib

COMMITS = 30


def make(case):
    """One capture per commit, and a second archive of another database."""
    for db, store in ((case.db, case.store), (f"{case.folder}/other.db", f"{case.folder}/second")):
        case.create(db)
        archiver = case.start_archiver(db=db, url=f"file://{store}")
        for i in range(COMMITS):
            with lib.connect(db) as c:
                seq = lib.model.apply(c, "small" if i % 5 else "medium")
                c.execute("COMMIT")
            case.wait_archived_to(store, seq + 1)
        archiver.stop()


class StoreDamage(lib.Case):
    """The archive is made by the first test and copied for each."""

    template = None

    @classmethod
    def tearDownClass(cls):
        if cls.template:
            shutil.rmtree(cls.template, ignore_errors=True)

    def wait_archived_to(self, store, txid):
        lib.wait_for(f"TXID {txid}", lambda: self.head(store) >= txid)

    def setUp(self):
        super().setUp()
        if StoreDamage.template is None:
            make(self)
            StoreDamage.template = lib.tempfile.mkdtemp(prefix="holdfast-e2e-archive-")
            for name in ("store", "second"):
                shutil.copytree(self.path(name), f"{self.template}/{name}")
        else:
            for name in ("store", "second"):
                shutil.copytree(f"{self.template}/{name}", self.path(name))
        self.segments = self.level0()
        self.assertGreaterEqual(len(self.segments), 20)
        self.middle = sorted(self.segments)[len(self.segments) // 2]

    def key(self, path):
        return os.path.relpath(path, self.store)

    def fails(self, *words, expect, says):
        """A verb that makes an output does not make it."""
        out = self.path("never.db")
        done = self.hf(*words, "-o", out, "--no-progress", expect=expect)
        self.assert_no_output(out)
        self.assertIn(says, done.err)
        return done

    def time_of(self, txid):
        """The time of a segment, as its restore tells it."""
        done = self.hf("restore", self.url, "-o", self.new_path(), "--txid", str(txid), "--json")
        return done.partition["time"]

    # ---- holes ----

    def test_a_hole_is_named_and_is_an_error_for_all_that_lies_behind_it(self):
        last = max(self.segments)
        behind = self.time_of(last)
        os.unlink(self.segments[self.middle])
        for target in ([], ["--timestamp", behind], ["--txid", str(self.middle)],
                       ["--txid", str(last)]):
            self.fails("restore", self.url, *target, expect=1, says=str(self.middle))
        self.fails("rebuild", self.url, expect=1, says=str(self.middle))
        for verb in ("verify", "list"):
            done = self.hf(verb, self.url, expect=1)
            self.assertRegex(done.text, rf"hole: TXID {self.middle}\b")
        listed = self.hf("list", self.url, "--json", expect=1).partition["holes"]
        self.assertEqual([(h["first_txid"], h["last_txid"]) for h in listed],
                         [(self.middle, self.middle)])

    def test_what_lies_before_a_hole_is_restored_by_txid_and_by_time(self):
        before = self.middle - 1
        # What was captured after the time of the last one is unknown, so ask for just before it.
        when = lib.rfc3339(lib.from_rfc3339(self.time_of(before)) - 0.001)
        last, earlier = (lib.image(self.restore("--txid", str(t))) for t in (before, before - 1))
        os.unlink(self.segments[self.middle])
        self.assertEqual(lib.image(self.restore("--txid", str(before))), last)
        self.assertEqual(lib.image(self.restore("--timestamp", when)), earlier)

    def test_a_wide_hole_is_told_from_its_first_to_its_last_txid(self):
        for txid in range(self.middle, self.middle + 4):
            os.unlink(self.segments[txid])
        holes = self.hf("list", self.url, "--json", expect=1).partition["holes"]
        self.assertEqual([(h["first_txid"], h["last_txid"]) for h in holes],
                         [(self.middle, self.middle + 3)])
        self.fails("restore", self.url, expect=1, says=str(self.middle))

    def test_an_archive_without_its_snapshot_restores_nothing(self):
        os.unlink(self.objects()[(9, 1, 1)])
        self.fails("restore", self.url, expect=1, says="snapshot")
        self.hf("verify", self.url, expect=1)
        self.hf("list", self.url, expect=1)

    # ---- objects that are not what they should be ----

    def assert_refused(self, path, *more, expect=1):
        """Restore and verify end with `expect`, and name the key."""
        keys = [self.key(p) for p in (path, *more)]
        out = self.path("never.db")
        done = self.hf("restore", self.url, "-o", out, "--no-progress", expect=expect)
        self.assert_no_output(out)
        self.assertTrue(any(k in done.err for k in keys), f"{keys}:\n{done}")
        done = self.hf("verify", self.url, "--no-progress", expect=expect)
        self.assertTrue(any(k in done.text for k in keys), f"{keys}:\n{done}")
        return done

    def test_truncated_objects_are_refused_wherever_they_end(self):
        whole = lib.read_bytes(self.segments[self.middle])
        for length in {len(whole) - 1, len(whole) // 2, 100, 99, 1}:
            with open(self.segments[self.middle], "wb") as f:
                f.write(whole[:length])
            self.assert_refused(self.segments[self.middle])

    def test_an_emptied_object_is_refused(self):
        os.truncate(self.segments[self.middle], 0)
        self.assert_refused(self.segments[self.middle])

    def test_an_emptied_snapshot_is_refused(self):
        snapshot = self.objects()[(9, 1, 1)]
        os.truncate(snapshot, 0)
        self.assert_refused(snapshot)

    def test_an_object_with_bytes_behind_its_end_is_refused(self):
        with open(self.segments[self.middle], "ab") as f:
            f.write(b"more")
        self.assert_refused(self.segments[self.middle])

    def test_a_flipped_bit_is_found_wherever_it_is(self):
        path = self.segments[self.middle]
        whole = lib.read_bytes(path)
        for _ in range(lib.count("FLIPS", 6)):
            offset = self.random.randrange(len(whole))
            lib.flip(path, offset)
            # In its format number a bit makes it a segment of the future.
            self.assert_refused(path, expect=(1, 2) if offset < 100 else 1)
            with open(path, "wb") as f:
                f.write(whole)
        self.hf("verify", self.url)

    def test_two_objects_swapped_with_each_other_are_refused(self):
        a, b = self.segments[self.middle], self.segments[self.middle + 2]
        os.rename(a, f"{self.folder}/x")
        os.rename(b, a)
        os.rename(f"{self.folder}/x", b)
        self.assert_refused(a, b)

    def test_a_segment_of_another_archive_is_refused(self):
        foreign = self.level0(f"{self.folder}/second")[self.middle]
        shutil.copy(foreign, self.segments[self.middle])
        self.assert_refused(self.segments[self.middle])

    def test_a_snapshot_of_another_archive_is_refused(self):
        foreign = self.objects(f"{self.folder}/second")[(9, 1, 1)]
        shutil.copy(foreign, self.objects()[(9, 1, 1)])
        self.assert_refused(self.objects()[(9, 1, 1)], *self.segments.values())

    # ---- our small objects ----

    def test_without_its_format_object_all_is_restored_by_checksums_and_is_status_1(self):
        path = f"{self.store}/holdfast/format"
        kept, whole = lib.read_bytes(path), lib.image(self.restore())
        self.create()
        for damaged in (False, True):
            os.rename(path, self.path("spare"))
            if damaged:
                with open(path, "wb") as f:
                    f.write(kept[:50])
                says = "holdfast/format is not JSON"
                self.fails("restore", self.url, expect=1, says=says)
                self.assertIn("move it away", self.hf("verify", self.url, expect=1).err)
                os.unlink(path)
            out = self.new_path()
            done = self.hf("restore", self.url, "-o", out, "--no-progress", expect=1)
            self.assertIn("holdfast/format is missing", done.text)
            self.assertEqual(lib.image(out), whole)
            done = self.hf("verify", self.url, expect=1)
            self.assertEqual(done.text.count("holdfast/format is missing"), 1, done)
            listed = self.hf("list", self.url, expect=1)
            self.assertIn("holdfast/format is missing", listed.text)
            self.assertNotIn("another program", listed.text)
            self.assertIn(": 1 finding", done.text)
            # Checksums still judge, and a segment that is damaged stays one.
            lib.flip(self.segments[self.middle], os.path.getsize(self.segments[self.middle]) // 2)
            self.fails("restore", self.url, expect=1, says=self.key(self.segments[self.middle]))
            lib.flip(self.segments[self.middle], os.path.getsize(self.segments[self.middle]) // 2)
            self.archive_once(expect=2)
            os.rename(self.path("spare"), path)
            self.hf("verify", self.url)

    def test_without_its_owner_object_whole_all_but_the_end_is_known(self):
        whole = lib.image(self.restore())
        with open(f"{self.store}/holdfast/owner", "w", encoding="utf-8") as f:
            f.write('{"epoch')
        last = max(self.segments)
        done = self.fails("restore", self.url, expect=1, says="holdfast/owner is not JSON")
        self.assertIn(f"TXID {last} can still be asked for by number", done.err)
        self.assertEqual(lib.image(self.restore("--txid", str(last))), whole)
        done = self.hf("verify", self.url, "--json", expect=1)
        self.assertEqual([f["kind"] for f in done.findings], ["damage"], done)
        self.assertEqual(done.partition["last_txid"], last, done)
        done = self.hf("list", self.url, expect=1)
        self.assertIn("holdfast/owner is not JSON", done.text)
        self.assertIn("every capture", done.out)

    def test_what_can_still_be_had_of_a_damaged_archive_is_told(self):
        path = self.segments[self.middle]
        lib.flip(path, os.path.getsize(path) // 2)
        done = self.fails("restore", self.url, expect=1, says=self.key(path))
        self.assertIn(f"; TXID {self.middle - 1} can still be asked for by number", done.err)
        self.restore("--txid", str(self.middle - 1))

    def test_an_archive_of_a_future_format_is_refused_with_status_2(self):
        path = f"{self.store}/holdfast/format"
        with open(path) as f:
            format_ = lib.json.load(f)
        for name in ("format", "least_reader"):
            self.assertIn(name, format_)
            format_[name] = 9999
        with open(path, "w") as f:
            lib.json.dump(format_, f)
        out = self.path("never.db")
        for words in (("restore", self.url, "-o", out), ("verify", self.url), ("list", self.url),
                      ("archive", self.db, self.url, "--once")):
            if words[0] == "archive" and not os.path.exists(self.db):
                self.create()
            done = self.hf(*words, expect=2)
            self.assertIn("9999", done.err, done)
        self.assert_no_output(out)

    def test_a_segment_of_a_future_format_is_refused_with_status_2(self):
        path = self.segments[self.middle]
        # FORMAT.md: of the reserved bytes at 80, 16 are the root, and 2 our format number.
        self.assertEqual(lib.read_bytes(path, 96, 2), struct.pack(">H", 1))
        lib.overwrite(path, 96, struct.pack(">H", 9999))
        self.assert_refused(path, expect=2)


if __name__ == "__main__":
    lib.main()
