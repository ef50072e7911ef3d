#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""This version reads the archives that earlier versions wrote: all of them, whole.

Goal:   of each golden archive each TXID is restored to the database that it was, by TXID and by
        time; verify and list find nothing; a table is restored by its members. And docs/FORMAT.md
        is enough to write a reader from: reader.py reads the same.
Method: what is expected is committed beside the archives; reader.py shares nothing with holdfast.
        That it does refuse is shown by damage that is done to a copy. Run by Debian's Python, for
        which Debian has LZ4 and XXH3.
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse

import reader

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = "orders"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def archives():
    """(format folder, kind of store, prefix, TXID → what is expected) of each archive."""
    found = []
    for name in sorted(n for n in os.listdir(HERE) if n.startswith("format-")):
        with open(f"{HERE}/{name}/expected.json", encoding="utf-8") as file:
            for kind, prefixes in json.load(file).items():
                found += [(f"{HERE}/{name}", kind, prefix, {int(t): e for t, e in txids.items()})
                          for prefix, txids in prefixes.items()]
    return found


def at_time(expected, time):
    """docs/FORMAT.md, 1.5: the TXID that a restore to the time gives; and the first that may have
    been there at that time already, as the clock was set back, or None."""
    txid = max(t for t, want in expected.items() if want["time"] <= time)
    clamped = [t for t in (txid + 1, txid + 2) if expected.get(t, {}).get("clamped")]
    return txid, txid + 1 if clamped else None


class Case(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="holdfast-golden-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name

    def hf(self, *words, expect=0):
        done = subprocess.run([os.environ["HOLDFAST"], *words], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, expect, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def each(self):
        """The archives, each as a sub-test; there are some of both layouts, with every mark that a
        segment may have."""
        everything = archives()
        self.assertEqual({kind for _, kind, _, _ in everything}, {"files", "s3"})
        for mark in ("catch_up", "clamped"):
            self.assertTrue(any(want.get(mark) for _, _, _, expected in everything
                                for want in expected.values()), mark)
        for folder, kind, prefix, expected in everything:
            with self.subTest(archive=f"{os.path.basename(folder)}/{kind}/{prefix}"):
                self.assertGreater(len(expected), 3)
                yield folder, kind, prefix, expected

    def store_of(self, folder, kind):
        return f"file://{folder}/{kind}"

    def url_of(self, folder, kind, prefix):
        store, mark, query = self.store_of(folder, kind).partition("?")
        return f"{store}/{urllib.parse.quote(prefix)}{mark}{query}"


class Holdfast(Case):
    """With the S3 archives in a folder, too: the layout stands in the format object."""

    def test_each_txid_is_restored_by_txid_and_by_time(self):
        for folder, kind, prefix, expected in self.each():
            url = self.url_of(folder, kind, prefix)
            for txid, want in expected.items():
                said = self.restored(url, expected[txid], "--txid", str(txid))
                self.assertEqual(said["txid"], txid)
                there, doubted = at_time(expected, want["time"])
                said = self.restored(url, expected[there], "--timestamp", want["time"],
                                     expect=0 if doubted is None else 1)
                self.assertEqual(said["txid"], there)
                self.assertEqual(said.get("clock_set_back", {}).get("from_txid"), doubted)

    def restored(self, url, want, *target, expect=0):
        """What is said of the one database, which is what it should be."""
        out = f"{self.folder}/out.db"
        (said,) = json.loads(self.hf("restore", url, "-o", out, "--json", *target,
                                     expect=expect))["partitions"]
        self.assertEqual(digest(out), want["sha256"], target)
        os.unlink(out)
        self.assertEqual((said["time"], said["pages_count"], said["root"], said["proof"]),
                         (want["time"], want["pages"], want["root"], "roots"))
        return said

    def test_verify_and_list_find_them_whole(self):
        for folder, kind, prefix, expected in self.each():
            url = self.url_of(folder, kind, prefix)
            (verified,) = json.loads(self.hf("verify", url, "--json"))["partitions"]
            self.assertEqual((verified["first_txid"], verified["last_txid"], verified["proof"]),
                             (min(expected), max(expected), "roots"))
            (listed,) = json.loads(self.hf("list", url, "--json"))["partitions"]
            self.assertEqual(listed["runs"], [{"first_txid": 1, "last_txid": max(expected),
                                               "restorable_from_txid": min(expected)}])
            self.assertEqual([gap["to_txid"] for gap in listed["gaps"]],
                             [txid for txid, want in expected.items() if want["catch_up"]])

    def test_a_table_is_restored_by_its_members(self):
        stores = {(folder, kind) for folder, kind, _, _ in archives()}
        for number, (folder, kind) in enumerate(sorted(stores)):
            config = f"{self.folder}/{number}.yaml"
            with open(config, "w", encoding="utf-8") as file:
                json.dump({"store": self.store_of(folder, kind), "tables": [
                    {"name": TABLE, "partitions": f"{self.folder}/live/*/*.db"}]}, file)
            out = f"{self.folder}/out-{number}"
            os.mkdir(out)
            self.hf("restore", "-c", config, TABLE, "-o", out)
            found = {os.path.relpath(f"{path}/{name}", out): digest(f"{path}/{name}")
                     for path, _, names in os.walk(out) for name in names}
            self.assertEqual(found, {
                urllib.parse.unquote(prefix[len(TABLE) + 1:]): expected[max(expected)]["sha256"]
                for at, of, prefix, expected in archives() if (at, of) == (folder, kind)})


class Litestream(Case):
    """An archive of Litestream's whose pages are LZ4 frames, as its versions up to 0.5.15 wrote."""

    def setUp(self):
        super().setUp()
        self.place = f"{HERE}/litestream-0.5.15"
        with open(f"{self.place}/expected.json", encoding="utf-8") as file:
            self.expected = {int(txid): want for txid, want in json.load(file).items()}
        self.url = f"file://{self.place}/archive"

    def test_each_txid_is_restored_and_the_reader_says_the_same(self):
        archive = reader.Archive(f"{self.place}/archive")
        self.assertEqual(archive.txids(), sorted(self.expected))
        for txid, want in self.expected.items():
            out = f"{self.folder}/{txid}.db"
            self.hf("restore", self.url, "-o", out, "--txid", str(txid))
            self.assertEqual(digest(out), want["sha256"], txid)
            said = archive.state(txid).summary()
            self.assertEqual({name: said[name] for name in want}, want)

    def test_verify_and_list_find_it_whole_by_a_weaker_proof(self):
        segments = [name for _, _, names in os.walk(self.place) for name in names
                    if name.endswith(".ltx")]
        (verified,) = json.loads(self.hf("verify", self.url, "--json"))["partitions"]
        self.assertEqual((verified["objects_read"], verified["last_txid"], verified["proof"]),
                         (len(segments), max(self.expected), "checksums"))
        (listed,) = json.loads(self.hf("list", self.url, "--json"))["partitions"]
        self.assertEqual((listed["segments_count"], listed["holes"], listed["proof"]),
                         (len(segments), [], "checksums"))


class Reader(Case):
    """reader.py, that is docs/FORMAT.md."""

    def test_it_reads_what_is_expected(self):
        for folder, kind, prefix, expected in self.each():
            archive = reader.Archive(f"{folder}/{kind}/{prefix}")
            self.assertEqual(archive.txids(), sorted(expected))
            for txid, want in expected.items():  # older files do not tell of every mark
                said = archive.state(txid).summary()
                self.assertEqual({"clamped": False, **want}, {"clamped": said["clamped"],
                                 **{name: said[name] for name in want}}, txid)
            self.assertEqual(archive.owner["last_txid"], max(expected))
            self.assertEqual([record["max_txid"] for record in archive.catch_ups()],
                             [f"{txid:016x}" for txid, want in expected.items()
                              if want["catch_up"]])

    def test_it_refuses_what_is_damaged(self):
        """A bit of each part of a segment that a checksum covers as it is; an end that is cut off;
        another's name; and a hole."""
        chance = random.Random(4)
        for folder, kind, prefix, expected in self.each():
            for damage in (self.flip_header, self.flip_end, self.cut_off, self.exchange):
                copy = tempfile.mkdtemp(dir=self.folder)
                shutil.copytree(f"{folder}/{kind}/{prefix}", copy, dirs_exist_ok=True)
                names = sorted(reader.Archive(copy).names)
                damage(names, chance)
                with self.assertRaises(reader.Damage, msg=damage.__name__):
                    reader.Archive(copy).state(max(expected))
            os.unlink(chance.choice(names[1:-1])[3])
            with self.assertRaises(reader.Hole):
                reader.Archive(copy).state(max(expected))

    def flip(self, path, low, high, chance):
        with open(path, "r+b") as file:
            file.seek(chance.randrange(low, high) % os.path.getsize(path))
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1 << chance.randrange(8)]))

    def flip_header(self, names, chance):
        self.flip(chance.choice(names)[3], 0, 100, chance)

    def flip_end(self, names, chance):
        self.flip(chance.choice(names)[3], -40, 0, chance)

    def cut_off(self, names, chance):
        path = chance.choice(names)[3]
        os.truncate(path, chance.randrange(os.path.getsize(path)))

    def exchange(self, names, chance):
        one, two = (name[3] for name in chance.sample(names[1:], 2))
        os.rename(one, f"{one}-aside")
        os.rename(two, one)
        os.rename(f"{one}-aside", two)


if __name__ == "__main__":
    unittest.main(verbosity=2)
