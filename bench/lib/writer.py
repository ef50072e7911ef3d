# SPDX-License-Identifier: Apache-2.0
"""An application that commits small transactions, at a steady rate or as fast as it can.

    python3 -B bench/lib/writer.py DB SECONDS RATE        RATE 0: flat out

A transaction inserts a row of 300 bytes and updates one of 1000 others, with SQLite's defaults but
synchronous=NORMAL, as is usual in WAL mode. Its latency is from BEGIN until COMMIT has returned.
Prints one JSON object. Any error of SQLite's, such as SQLITE_BUSY after 5 s, ends it.
"""
import array
import gc
import json
import sqlite3
import sys
import time

ACCOUNTS = 1000
BODY = "x" * 280


def make(path, filler_bytes):
    """The application's database, with something in it to be archived."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("BEGIN")
    db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, total INTEGER, name TEXT)")
    db.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY, account INTEGER, at REAL, body TEXT)")
    db.execute("CREATE TABLE filler(id INTEGER PRIMARY KEY, body BLOB)")
    db.executemany("INSERT INTO account VALUES(?, 0, ?)",
                   ((i, f"account {i}") for i in range(1, ACCOUNTS + 1)))
    db.executemany("INSERT INTO filler(body) VALUES(randomblob(100000))",
                   (() for _ in range(filler_bytes // 100_000)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()


def transact(db, i):
    account = 1 + i * 7919 % ACCOUNTS
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO entry(account, at, body) VALUES(?, ?, ?)", (account, i * 0.001, BODY))
    db.execute("UPDATE account SET total = total + 1 WHERE id = ?", (account,))
    db.execute("COMMIT")


def write(db, seconds, rate):
    """Latencies in ns. At a rate, one that comes late is followed by the next at once."""
    latencies = array.array("Q")
    start = time.perf_counter_ns()
    end = start + int(seconds * 1e9)
    while True:
        now = time.perf_counter_ns()
        due = start + len(latencies) * 1_000_000_000 // rate if rate else now
        if due > now:
            time.sleep((due - now) / 1e9)
        if max(due, now) >= end:
            return latencies, time.perf_counter_ns() - start
        began = time.perf_counter_ns()
        transact(db, len(latencies))
        latencies.append(time.perf_counter_ns() - began)


def main(path, seconds, rate):
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    db.execute("PRAGMA synchronous=NORMAL")
    transact(db, 0)  # opens the file and its log
    gc.disable()
    latencies, ns = write(db, seconds, rate)
    db.close()
    ordered = sorted(latencies)
    count = len(ordered)
    print(json.dumps({"commits": count, "seconds": ns / 1e9,
                      "p50_us": ordered[count // 2] / 1e3,
                      "p99_us": ordered[count * 99 // 100] / 1e3, "max_us": ordered[-1] / 1e3}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
