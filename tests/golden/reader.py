#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A reader of archives that shares nothing with holdfast but docs/FORMAT.md, which it follows by
section.

    reader.py FOLDER              each TXID that can be restored: time, pages, root, SHA-256,
                                  whether it is a catch-up, and whether its time is clamped
    reader.py FOLDER TXID FILE    the database at TXID

Goal:   docs/FORMAT.md is enough to write a reader; and golden archives have an oracle of their own.
Method: the plain way, with all in memory: parse and check each segment as a whole, put its pages
        into a dictionary, compare sums. LZ4 and XXH3 come from Debian's python3-lz4 and
        python3-xxhash. FOLDER is an archive in a file system, in either layout.
"""
import datetime
import hashlib
import json
import os
import re
import struct
import sys

import lz4.block
import lz4.frame
import xxhash

FORMAT = 1  # the newest format number that this reader knows
NO_CHECKSUM = 2
FLAG = 1 << 63
MASK = (1 << 64) - 1
SEGMENT_NAME = re.compile(r"^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$")
CATCH_UP, CLAMPED = 1, 2


class Damage(Exception):
    """What is there is not what it should be; the text says where."""


class Hole(Exception):
    """TXIDs are missing."""


def demand(truth, what):
    if not truth:
        raise Damage(what)


# ---- 2.1 the checksum --------------------------------------------------------------------------

def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0xD800000000000000 if byte & 1 else 0)  # 0x1B, reflected
        table.append(byte)
    return table


TABLE = crc_table()


class Crc:
    """CRC-64/GO-ISO of what was given so far."""

    def __init__(self):
        self.state = MASK

    def add(self, data):
        state, table = self.state, TABLE
        for byte in data:
            state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
        self.state = state
        return self

    def value(self):
        """As it is stored: with bit 63 set."""
        return (self.state ^ MASK) | FLAG


def page_checksum(pgno, page):
    return Crc().add(struct.pack(">I", pgno)).add(page).value()


# ---- 3.1 page hash -----------------------------------------------------------------------------

def page_hash(seed, pgno, page):
    return xxhash.xxh3_128_intdigest(struct.pack(">I", pgno) + page, seed)


def lock_page(page_bytes):
    return 0x40000000 // page_bytes + 1


# ---- 2 the segment -----------------------------------------------------------------------------

class Header:
    """Section 2.2."""

    def __init__(self, raw):
        demand(len(raw) == 100, "the header is cut off")
        (magic, self.flags, self.page_bytes, self.commit, self.min, self.max, self.time_ms,
         self.pre, wal_offset, wal_size, salts, self.epoch) = struct.unpack(">4sIIIQQqQqqQQ",
                                                                           raw[:80])
        root, self.format, self.bits, last = struct.unpack(">16sHBB", raw[80:])
        self.root = int.from_bytes(root, "big")
        demand(magic == b"LTX1", "no LTX file")
        demand(self.flags in (0, NO_CHECKSUM), "flags")
        demand(self.page_bytes in [1 << n for n in range(9, 17)], "page size")
        demand(1 <= self.min <= self.max, "TXIDs")
        demand(wal_offset >= 0 and wal_size >= 0, "place in the log")
        demand(wal_offset > 0 or (wal_size == 0 and salts == 0), "place in the log")
        if self.flags == NO_CHECKSUM or self.min == 1:
            demand(self.pre == 0, "PreApplyChecksum without a database before")
        else:
            demand(self.pre & FLAG, "PreApplyChecksum")
        demand(self.format <= FORMAT, f"format number {self.format}: a newer reader is needed")
        if self.format != 0:
            demand(self.bits & ~(CATCH_UP | CLAMPED) == 0 and last == 0, "reserved bits")


def uvarint(raw, at):
    """The number there and where it ends, in its shortest form."""
    value = shift = 0
    while True:
        demand(at < len(raw) and shift < 64, "an integer of the index is cut off or too long")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            demand(byte != 0 or shift == 7, "an integer of the index is not in its shortest form")
            demand(value <= MASK, "an integer of the index is too large")
            return value, at


def read_index(raw, end):
    """Section 2.5: (page number, offset, length) of each frame, and where the index begins."""
    length = struct.unpack(">Q", raw[end - 8:end])[0]
    begin = at = end - 8 - length
    demand(106 <= begin < end - 8, "the length of the index")
    entries = []
    while True:
        pgno, at = uvarint(raw, at)
        if pgno == 0:
            demand(at == end - 8, "something stands between the index and its length")
            return entries, begin
        offset, at = uvarint(raw, at)
        size, at = uvarint(raw, at)
        entries.append((pgno, offset, size))


def expand(frame, pgno, page_bytes):
    """Section 2.3: the page, and the bytes in front of it that FileChecksum covers."""
    demand(len(frame) >= 6, f"page {pgno}: its frame is cut off")
    number, flags = struct.unpack(">IH", frame[:6])
    demand(number == pgno, f"page {pgno}: the frame is of page {number}")
    demand(flags in (0, 1), f"page {pgno}: flags {flags}")
    try:
        if flags == 0:
            page, used = lz4.frame.decompress(frame[6:], return_bytes_read=True)
            prefix = frame[:6]
            demand(used == len(frame) - 6, f"page {pgno}: something follows its LZ4 frame")
        else:
            demand(len(frame) >= 10, f"page {pgno}: its frame is cut off")
            prefix = frame[:10]
            demand(struct.unpack(">I", frame[6:10])[0] == len(frame) - 10, f"page {pgno}: length")
            page = lz4.block.decompress(frame[10:], uncompressed_size=page_bytes)
    except (RuntimeError, lz4.block.LZ4BlockError) as e:
        raise Damage(f"page {pgno}: {e}") from e
    demand(len(page) == page_bytes, f"page {pgno}: it expands to {len(page)} bytes")
    return page, prefix


class Segment:
    """A whole file, every rule of section 2 checked but those that need the state before it."""

    def __init__(self, raw):
        demand(len(raw) >= 100 + 6 + 9 + 16, "cut off")
        self.header = h = Header(raw[:100])
        self.post, stored = struct.unpack(">QQ", raw[-16:])
        entries, index_at = read_index(raw, len(raw) - 16)
        file_crc = Crc().add(raw[:100])
        self.pages = {}
        at, last = 100, 0
        for pgno, offset, size in entries:
            demand(offset == at, f"page {pgno}: its frame does not follow on the one before")
            demand(last < pgno <= h.commit, f"page {pgno}: out of order, or beyond the end")
            demand(pgno != lock_page(h.page_bytes), "the lock page is stored")
            at, last = offset + size, pgno
            demand(at <= index_at - 6, f"page {pgno}: its frame reaches into the index")
            page, prefix = expand(raw[offset:at], pgno, h.page_bytes)
            file_crc.add(prefix).add(page)
            self.pages[pgno] = page
        demand(at == index_at - 6 and raw[at:index_at] == bytes(6), "the end of the frames")
        file_crc.add(raw[at:-8])
        demand(file_crc.value() == stored, "FileChecksum")
        self.checksums = {pgno: page_checksum(pgno, page) for pgno, page in self.pages.items()}
        if h.min == 1:
            demand(set(self.pages) == set(range(1, h.commit + 1)) - {lock_page(h.page_bytes)},
                   "a snapshot lacks pages")
        if h.flags == NO_CHECKSUM:
            demand(self.post == 0 and h.commit > 0, "PostApplyChecksum")
        else:
            demand(self.post & FLAG, "PostApplyChecksum")


# ---- 5 reading an archive ----------------------------------------------------------------------

class State:
    """The database at a TXID, and what vouches for it."""

    def __init__(self, seed):
        self.seed = seed  # None: there is no format object, so roots cannot be judged
        self.txid = self.time_ms = self.commit = self.root = 0
        self.page_bytes = None
        self.catch_up = self.clamped = False
        self.pages, self.checksums = {}, {}

    def checksum(self):
        total = FLAG
        for one in self.checksums.values():
            total = (total ^ one) | FLAG
        return total

    def real_root(self):
        return sum(page_hash(self.seed or 0, n, p) for n, p in self.pages.items()) % (1 << 128)

    def apply(self, segment):
        """Step 4."""
        h = segment.header
        if h.min > self.txid + 1:
            raise Hole(f"TXID {self.txid + 1} to {h.min - 1}")
        demand(h.max > self.txid, "it ends where the state is already")
        demand(self.page_bytes in (None, h.page_bytes), "page size")
        tracked = h.flags != NO_CHECKSUM
        if tracked and self.txid > 0 and h.min == self.txid + 1:
            demand(h.pre == self.checksum(), "PreApplyChecksum")
        for pgno in range(self.commit + 1, h.commit + 1):
            demand(pgno in segment.pages or pgno == lock_page(h.page_bytes),
                   f"the database grew by page {pgno}, which is not there")
        for mine, new in ((self.pages, segment.pages), (self.checksums, segment.checksums)):
            mine.update(new)
            for pgno in [n for n in mine if n > h.commit]:
                del mine[pgno]
        self.txid, self.time_ms, self.commit = h.max, h.time_ms, h.commit
        self.page_bytes = h.page_bytes
        self.catch_up = h.format != 0 and bool(h.bits & CATCH_UP)
        self.clamped = h.format != 0 and bool(h.bits & CLAMPED)
        self.root = self.real_root()
        if h.format != 0 and self.seed is not None:
            demand(h.root == self.root, "root")
        if tracked:
            demand(segment.post == self.checksum(), "PostApplyChecksum")

    def summary(self):
        """What is expected of golden archives."""
        return {"time": time_text(self.time_ms), "pages": self.commit, "root": f"{self.root:032x}",
                "sha256": hashlib.sha256(self.file()).hexdigest(), "catch_up": self.catch_up,
                "clamped": self.clamped}

    def file(self):
        """Step 5. Nothing but the lock page can be missing, and that is zeros."""
        empty = bytes(self.page_bytes)
        return b"".join(self.pages.get(n, empty) for n in range(1, self.commit + 1))


def find_layout(folder):
    """Step 1 where others wrote the archive: that which has segments."""
    found = [layout for layout in ("0000", "ltx/0") if any(
        SEGMENT_NAME.match(name) for level in range(10)
        for name in listed(folder, level_folder(layout, level)))]
    demand(len(found) == 1, f"{folder}: no segments, or segments in both layouts")
    return found[0]


def level_folder(layout, level):
    return f"{level:04x}" if layout == "0000" else f"ltx/{level}"


def listed(folder, name):
    path = os.path.join(folder, name)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


class Archive:
    def __init__(self, folder):
        self.folder = folder
        self.seed = self.page_bytes = None
        self.has_format = os.path.exists(f"{folder}/holdfast/format")
        if self.has_format:
            self.read_format()
        else:
            self.layout = find_layout(folder)
        self.parsed = {}
        self.names = []  # (min, max, level, path)
        for level in range(10):  # step 2
            name = level_folder(self.layout, level)
            for file in listed(folder, name):
                match = SEGMENT_NAME.match(file)
                if match:
                    first, last = (int(text, 16) for text in match.groups())
                    if 1 <= first <= last <= MASK - 1:
                        self.names.append((first, last, level, f"{folder}/{name}/{file}"))
        demand(self.names, f"{folder}: no archive")

    def read_format(self):
        """Section 4.1, step 1."""
        said = self.small_object("format")
        demand(said["least_reader"] <= FORMAT, "a newer reader is needed")
        demand(said["engine"] == "sqlite", "not of SQLite")
        demand(re.fullmatch("[0-9a-f]{32}", said["lineage"]), "lineage")
        demand(said["layout"] in ("0000", "ltx/0"), "layout")
        self.layout, self.page_bytes = said["layout"], said["page_bytes"]
        self.seed = int(said["seed"], 16)

    @property
    def owner(self):
        """Section 4.2: who wrote last, and how far the archive reaches at least."""
        said = self.small_object("owner")
        demand(re.fullmatch("[0-9a-f]{32}", said["node"]), "node")
        for name in ("epoch", "pid", "since_ms", "attached_until_ms", "last_txid",
                     "lease_until_ms"):
            demand(isinstance(said[name], int) and 0 <= said[name] < FLAG, name)
        return said

    def catch_ups(self):
        """Section 4.4."""
        found = []
        for name in listed(self.folder, "holdfast/catch-ups"):
            said = self.small_object(f"catch-ups/{name}")
            demand(said["schema"] == 1 and said["max_txid"] == name, name)
            demand(said["from_ms"] <= said["to_ms"], name)
            found.append(said)
        return found

    def small_object(self, name):
        """Section 4."""
        with open(f"{self.folder}/holdfast/{name}", encoding="utf-8") as file:
            text = file.read()
        demand(len(text) <= 65536 and text.isascii(), name)
        said = json.loads(text)
        demand(text == json.dumps(said, indent=2) + "\n", f"{name}: its form")
        return said

    def segment(self, name):
        """Parsed once; its header agrees with its key and the format object."""
        if name not in self.parsed:
            first, last, _, path = name
            try:
                with open(path, "rb") as file:
                    segment = Segment(file.read())
                h = segment.header
                demand((h.min, h.max) == (first, last), "its TXIDs are not those of its name")
                demand(self.page_bytes in (None, h.page_bytes), "page size")
            except Damage as e:
                raise Damage(f"{path}: {e}") from e
            self.parsed[name] = segment
        return self.parsed[name]

    def chain(self, target):
        """Section 1.5, by TXID; a Hole or LookupError where that cannot be reached."""
        snapshots = [n for n in self.names if n[0] == 1 and n[1] <= target]
        if not snapshots:
            raise LookupError(f"TXID {target} is before the first snapshot")
        chain = [max(snapshots, key=lambda n: n[1])]
        while chain[-1][1] < target:
            at = chain[-1][1]
            steps = [n for n in self.names if 1 < n[0] <= at + 1 and at < n[1] <= target]
            if not steps:
                if any(n[0] <= at + 1 and n[1] > target for n in self.names if n[0] > 1):
                    raise LookupError(f"TXID {target} was merged with later ones")
                if any(n[1] > at for n in self.names):
                    raise Hole(f"TXID {at + 1} is nowhere")
                raise LookupError(f"TXID {target} is after the last")
            chain.append(max(steps, key=lambda n: n[1]))
        return chain

    def txids(self):
        """All that can be restored; a Hole if something between them is missing."""
        found = []
        for txid in sorted({n[1] for n in self.names}):
            try:
                self.chain(txid)
                found.append(txid)
            except LookupError:
                pass
        return found

    def state(self, txid):
        state = State(self.seed)
        for name in self.chain(txid):
            try:
                state.apply(self.segment(name))
            except Damage as e:
                raise Damage(f"{name[3]}: {e}") from e
        return state


def time_text(ms):
    when = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def main():
    archive = Archive(sys.argv[1])
    if len(sys.argv) == 4:
        with open(sys.argv[3], "wb") as file:
            file.write(archive.state(int(sys.argv[2])).file())
        return
    for txid in archive.txids():
        state = archive.state(txid)
        print(txid, *state.summary().values())


if __name__ == "__main__":
    main()
