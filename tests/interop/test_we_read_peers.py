#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An archive that Litestream wrote is listed, verified and restored, and never written to.

Goal:   at every restore point, by TXID and by time, we give the pages that the peer gives, which
        are those that the database had; what such an archive cannot prove is said, for people and
        in --json; a hole in it is exit status 1; and nothing of ours is put beside it.
Method: the peer replicates while its compaction makes levels and snapshots and its retention
        removes level 0; an image of the database is kept for each TXID that the peer tells of. The
        oracles are these images and the peer's own restore.
"""
import itertools
import json

import peer
from peer import lib

LEVELS = 3
SECONDS = {"levels": [{"interval": "1s"}, {"interval": "3s"}],
           "snapshot": {"interval": "4s", "retention": "1h"},
           "l0-retention": "1s", "l0-retention-check-interval": "1s"}
WEAKER = "weaker proof"


class Points:
    """One archive of the peer's for each test; where it lies is the subclass's."""

    page_bytes = 4096

    def setUp(self):
        super().setUp()
        self.images = {}  # TXID → all pages
        self.create(page_bytes=self.page_bytes)
        self.assertEqual(lib.page_size(self.db), self.page_bytes)
        socket = self.path("peer.sock")
        config = self.configure(**SECONDS, socket={"enabled": True, "path": socket})
        self.peer = peer.Replicating(self, config, socket)
        self.processes.append(self.peer)
        self.write_until_all_is_there()
        self.peer.stop()

    def write_until_all_is_there(self):
        """Each kind of transaction, growth and shrinking, until the peer has all that is wanted."""
        statements = itertools.cycle((
            "INSERT INTO cold(body) VALUES(randomblob(9000))",
            "INSERT INTO item SELECT max(ifnull((SELECT max(id) FROM item), 0), 0) + 1, 1, 1, "
            "randomblob(300)",
            "UPDATE item SET body = randomblob(200)",
            "DELETE FROM cold WHERE id % 3 = 0",
            "PRAGMA incremental_vacuum(4)",
        ))

        def there():
            for statement in itertools.islice(statements, 5):
                lib.sql(self.db, statement)
                txid = self.peer.sync()
                self.images[txid] = lib.image(self.db)
            return self.is_enough(self.listed_by_peer())
        lib.wait_for("levels, snapshots and retention", there)
        lib.sql(self.db, "VACUUM")  # and in the end it is smaller, at level 0 only
        self.images[self.peer.sync()] = lib.image(self.db)

    def listed_by_peer(self):
        """(level, min, max) of every segment."""
        files = json.loads(self.ask_peer("ltx", "-json", "-level", "all", "-config",
                                         self.path("peer.yml"), self.db))
        return [(f["level"], int(f["min_txid"], 16), int(f["max_txid"], 16)) for f in files]

    def is_enough(self, files):
        """Every level is there, and what was merged has been removed."""
        of = {level: [f for f in files if f[0] == level] for level in (0, 1, 2, 9)}
        return (len(of[9]) >= 2 and len(of[1]) >= 2 and of[2] and
                min(f[1] for f in of[0]) > of[2][-1][2])

    def reachable(self, files):
        """The TXIDs that a chain of the files ends at, by the definition and not cleverly."""
        found = {last for _, first, last in files if first == 1}
        while True:
            more = {last for _, first, last in files
                    for at in found if 1 < first <= at + 1 and last > at} - found
            if not more:
                return sorted(found)
            found |= more

    def test_every_restore_point(self):
        files = self.listed_by_peer()
        points = self.reachable(files)
        modelled = [txid for txid in points if txid in self.images]
        # Two snapshots and the last TXID at least; on a slow machine retention leaves no more.
        self.assertGreaterEqual(len(modelled), 3)
        self.assert_latest(points[-1])
        times = {}
        for txid in points:
            ours, said = self.our_restore("--txid", str(txid))
            self.assert_weaker(said)
            theirs = self.peer_restore("-txid", f"{txid:016x}")
            self.assert_same(ours, theirs, self.page_bytes, f"TXID {txid}")
            if txid in self.images:
                self.assert_same(ours, self.images[txid], self.page_bytes, f"TXID {txid}, model")
            times[txid] = said["time"]
        self.assert_times(points, times)
        self.report(f"{len(points)} TXIDs of {points[-1]}, {len(modelled)} of them with a model; "
                    f"{len(files)} segments")

    def assert_latest(self, last):
        ours, said = self.our_restore()
        self.assertEqual(said["txid"], last)
        self.assert_same(ours, self.images[last], self.page_bytes, "latest")
        self.assert_same(ours, self.peer_restore(), self.page_bytes, "latest, the peer's")
        out = self.new_path()
        done = self.hf("rebuild", self.url, "-o", out, "--no-progress")
        self.assertIn(WEAKER, done.out)
        self.assert_same(self.taken(out), ours, self.page_bytes, "rebuild")

    def assert_times(self, points, times):
        """At a point's time it is that point; before the first, and in the future, nothing."""
        for txid in self.random.sample(points[1:], min(8, len(points) - 1)):
            ours, said = self.our_restore("--timestamp", times[txid])
            # The peer dates a snapshot by its making, when the next TXID may have come already.
            if all(times[later] > times[txid] for later in points if later > txid):
                self.assertEqual(said["txid"], txid)
            self.assert_same(ours, self.peer_restore("-timestamp", self.later(times[txid])),
                             self.page_bytes, f"TXID {txid} by its time")
        for when in (lib.from_rfc3339(times[points[0]]) - 1, lib.time.time() + 3600):
            self.our_restore_fails(2, "--timestamp", lib.rfc3339(when))

    def later(self, time):
        return lib.rfc3339(lib.from_rfc3339(time) + 0.0015)

    def our_restore_fails(self, status, *target):
        out = self.new_path()
        done = self.hf("restore", self.url, "-o", out, "--no-progress", *target, expect=status)
        self.assert_no_output(out)
        return done.err

    def assert_weaker(self, said):
        self.assertEqual(said["proved"], False)
        self.assertEqual(said["proof"], "checksums")


class Replicated(Points):
    """All that may be asked of an archive of the peer's."""

    def test_list_and_verify_say_what_is_there_and_that_the_proof_is_weaker(self):
        files = self.listed_by_peer()
        listed = self.hf("list", self.url, "--json").partition
        self.assertEqual(listed["segments_count"], len(files))
        self.assertEqual({row["level"]: row["segments_count"] for row in listed["levels"]},
                         {level: sum(f[0] == level for f in files) for level in
                          {f[0] for f in files}})
        self.assertEqual(listed["holes"], [])
        self.assertEqual(listed["proof"], "checksums")
        self.assertIn(WEAKER, self.hf("list", self.url).out)
        verified = self.hf("verify", self.url, "--no-progress", "--json").partition
        self.assertEqual(verified["objects_read"], len(files))
        self.assertEqual(verified["last_txid"], max(f[2] for f in files))
        self.assertEqual((verified["proved_by_roots"], verified["proof"]), (False, "checksums"))
        self.assertIn(WEAKER, self.hf("verify", self.url, "--no-progress").out)

    def test_nothing_is_written_to_it(self):
        before = self.contents()
        done = self.archive_once(expect=2)
        self.assertIn("another program", done.err)
        self.assertIn(self.url.split("?")[0], done.err)
        done = self.hf("scrub", self.db, self.url, "--no-progress", expect=2)
        self.assertIn("another program", done.err)
        self.assertEqual(self.contents(), before)

    def test_a_hole_is_status_1(self):
        """Whatever leads over the newest TXID but one is gone: the last is behind a hole."""
        objects = self.objects()
        last = max(txid for _, _, txid in objects)
        for key in [key for key in objects if key[1] < last <= key[2] + 1]:
            self.remove(objects[key])
            del objects[key]
        # What was merged leads over more than that one, and level 0 may lack the first of them.
        first = self.reachable(objects)[-1] + 1
        self.assertLess(first, last)
        listed = self.hf("list", self.url, "--json", expect=1).partition["holes"]
        self.assertIn(first, [hole["first_txid"] for hole in listed])
        verified = self.hf("verify", self.url, "--json", expect=1).findings
        self.assertIn(("hole", first), [(f["kind"], f["from_txid"]) for f in verified])
        for target in ((), ("--txid", str(last))):
            self.assertIn(f"TXID {first}", self.our_restore_fails(1, *target))


class OnFiles(Replicated, peer.Case):
    def test_damage_is_status_1_whichever_object_has_it(self):
        for path in self.objects().values():
            with self.subTest(path=path, objects=sorted(self.objects())):
                self.flip(path)
                done = self.hf("verify", self.url, "--no-progress", "--json", expect=1)
                self.assertIn("damage", [f["kind"] for f in done.findings])
                self.assertTrue(any(path.endswith(f["key"]) for f in done.findings), done)
                self.flip(path)

    def test_scrub_compares_the_live_database_with_it(self):
        lib.checkpoint(self.db)  # so that the page that is damaged is read from the file
        words = ("scrub", self.db, self.url, "--no-archive", "--no-progress", "--json")
        said = self.hf(*words).partition
        self.assertEqual((said["clean"], said["complete"], said["proof"]),
                         (True, True, "checksums"))
        self.assertEqual(said["txid"], max(self.images))
        page = lib.sql(self.db, "SELECT rootpage FROM sqlite_master WHERE name = 'counter'")[0][0]
        at = page * self.page_bytes - 1  # of its one row
        lib.overwrite(self.db, at, bytes([lib.read_bytes(self.db, at, 1)[0] ^ 1]))
        self.assertEqual([f["page"] for f in self.hf(*words, expect=1).findings], [page])

    def flip(self, path):
        """A bit of the segment's own checksum."""
        at = lib.os.path.getsize(path) - 5
        lib.overwrite(path, at, bytes([lib.read_bytes(path, at, 1)[0] ^ 1]))


class OnS3(Replicated, peer.S3Case):
    pass


class Sized(Points):
    """Another page size, for which a few merged segments will do."""

    def is_enough(self, files):
        return sum(level > 0 and first > 1 and last > first for level, first, last in files) >= 2

    def test_every_restore_point(self):
        super().test_every_restore_point()
        self.hf("verify", self.url, "--no-progress")


class SmallestOnFiles(Sized, peer.Case):
    page_bytes = 512


class SmallOnS3(Sized, peer.S3Case):
    page_bytes = 1024


class LargeOnFiles(Sized, peer.Case):
    page_bytes = 8192


class LargestOnS3(Sized, peer.S3Case):
    page_bytes = 65536


if __name__ == "__main__":
    lib.main()
