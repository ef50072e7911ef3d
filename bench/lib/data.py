# SPDX-License-Identifier: Apache-2.0
"""A SQLite database of a wanted size, as an application might have it: customers, their orders as
JSON with two indexes, and files that are compressed already. LZ4 by pages makes 0.87 of it.

    python3 -B bench/lib/data.py FILE GIGABYTES

A gigabyte is 10^9 bytes. The same size gives the same rows: chance has one seed.
"""
import os
import random
import sqlite3
import sys

BATCH_ROWS = 2000
TEXT_SHARE = 0.34  # of all bytes: rows that compress; the rest are files
SCHEMA = """
PRAGMA page_size=4096;
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
PRAGMA cache_size=-65536;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, note TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, at TEXT, state TEXT, lines TEXT);
CREATE TABLE file(id INTEGER PRIMARY KEY, customer INTEGER, name TEXT, kind TEXT, body BLOB);
"""
INDEXES = """
CREATE INDEX orders_customer ON orders(customer, at);
CREATE INDEX file_customer ON file(customer);
"""
CUSTOMERS = "INSERT INTO customer(name, email, city, note) VALUES(?,?,?,?)"
ORDERS = "INSERT INTO orders(customer, at, state, lines) VALUES(?,?,?,?)"
STATES = ("open", "paid", "sent", "back")
FILES = "INSERT INTO file(customer, name, kind, body) VALUES(?,?,?,?)"


class Rows:
    """Rows of each table, by chance from one seed."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.words = [self.word() for _ in range(4000)]
        self.cities = [self.word().title() for _ in range(400)]
        self.phrases = [self.some_words(3) for _ in range(1 << 16)]

    def word(self):
        return "".join(self.r.choices("etaoinshrdlucmfwypvbgkjqxz", k=self.r.randrange(3, 11)))

    def some_words(self, count):
        return " ".join(self.r.choices(self.words, k=count))

    def customer(self):
        first, last = self.r.choices(self.words, k=2)
        mail = f"{first}.{last}@{self.r.choice(self.words)}.org"
        return (f"{first.title()} {last.title()}", mail, self.r.choice(self.cities),
                self.some_words(self.r.randrange(2, 30)))

    def line(self):
        bits = self.r.getrandbits(80)  # one draw a line: there are millions
        return (f'{{"sku":"{bits >> 40:010x}","count":{1 + (bits >> 36 & 7)},'
                f'"price":{(bits >> 16 & 0xfffff) / 100},"text":"{self.phrases[bits & 0xffff]}"}}')

    def order(self, customers):
        bits = self.r.getrandbits(64)
        lines = ",".join(self.line() for _ in range(1 + (bits & 3)))
        at = (f"20{15 + (bits >> 2) % 12}-{1 + (bits >> 8) % 12:02}-{1 + (bits >> 16) % 28:02}"
              f"T{(bits >> 24) % 24:02}:{(bits >> 32) % 60:02}:00Z")
        return (1 + (bits >> 40) % customers, at, STATES[bits >> 62], f"[{lines}]")

    def file(self, customers):
        r = self.r
        return (r.randrange(1, customers + 1), f"IMG_{r.randrange(10000):04}.jpg", "image/jpeg",
                r.randbytes(r.randrange(8_000, 120_000)))


def fill(db, bytes_wanted):
    """Add rows of each kind in turn, so that their pages lie mixed as they do after years."""
    rows = Rows(4711)
    customers = max(BATCH_ROWS, bytes_wanted // 20_000)
    blobs = 0

    def size():
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        return pages * db.execute("PRAGMA page_size").fetchone()[0]

    db.executemany(CUSTOMERS, (rows.customer() for _ in range(customers)))
    while size() < bytes_wanted * 0.985:  # the indexes come later
        while blobs > (1 - TEXT_SHARE) * size():
            db.executemany(ORDERS, (rows.order(customers) for _ in range(BATCH_ROWS)))
        batch = [rows.file(customers) for _ in range(32)]
        blobs += sum(len(row[3]) for row in batch)
        db.executemany(FILES, batch)


def make(path, bytes_wanted):
    """The file appears when it is whole, in WAL mode, with an empty log."""
    new = path + ".new"
    for left in (new, new + "-wal", new + "-shm"):
        if os.path.exists(left):
            os.unlink(left)
    db = sqlite3.connect(new, isolation_level=None)
    db.executescript(SCHEMA)
    db.execute("BEGIN")
    fill(db, bytes_wanted)
    db.execute("COMMIT")
    db.executescript(INDEXES)
    db.execute("PRAGMA journal_mode=WAL")
    db.close()
    fd = os.open(new, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)
    os.replace(new, path)


if __name__ == "__main__":
    make(sys.argv[1], int(float(sys.argv[2]) * 1e9))
