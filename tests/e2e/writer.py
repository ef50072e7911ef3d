#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application: transactions of one kind until SIGTERM, or until it has made enough of them.

    writer.py DATABASE LOG small|medium|large [--pause MS] [--count N] [--checkpoint MODE]
              [--reopen] [--vacuum] [--synchronous MODE]

Goal:   load as applications make it, and a log line `seq kind before after` for each commit.
Method: nothing is repeated: any error that SQLite gives within a busy timeout of 5 s ends it with
        status 1, because no application may see one on our account.
"""
import argparse
import os
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model  # noqa: E402

BUSY_S = 5

stopped = False


def stop(_number, _frame):
    global stopped
    stopped = True


def options():
    p = argparse.ArgumentParser()
    p.add_argument("db")
    p.add_argument("log")
    p.add_argument("kind", choices=model.KINDS)
    p.add_argument("--pause", type=float, default=5.0, help="ms between transactions")
    p.add_argument("--count", type=int, default=1 << 60)
    p.add_argument("--checkpoint", help="a mode, now and then, by this process itself")
    p.add_argument("--every", type=int, default=20, help="transactions between such things")
    p.add_argument("--reopen", action="store_true", help="close and open now and then")
    p.add_argument("--vacuum", action="store_true", help="give free pages back now and then")
    p.add_argument("--synchronous", default="NORMAL")
    return p.parse_args()


def open_db(o):
    db = sqlite3.connect(o.db, timeout=BUSY_S, isolation_level=None)
    db.execute(f"PRAGMA synchronous={o.synchronous}")
    return db


def commit(db, o, log):
    seq = model.apply(db, o.kind)
    before = time.time()
    db.execute("COMMIT")
    log.write(f"{seq} {o.kind} {before:.6f} {time.time():.6f}\n")
    log.flush()


def checkpoint(db, mode):
    """SQLite waits for readers and writers, but never for another checkpointer: then it says busy
    at once, whoever that is, and an application that insists asks again."""
    started = time.monotonic()
    while db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] and mode != "PASSIVE":
        if time.monotonic() - started > BUSY_S:
            raise sqlite3.OperationalError(f"wal_checkpoint({mode}) was busy for {BUSY_S} s")
        time.sleep(0.001)


def now_and_then(db, o):
    if o.checkpoint:
        checkpoint(db, o.checkpoint)
    if o.vacuum:
        db.execute("PRAGMA incremental_vacuum(20)").fetchall()
    if o.reopen:
        db.close()
        db = open_db(o)
    return db


def main():
    o = options()
    signal.signal(signal.SIGTERM, stop)
    with open(o.log, "a") as log:
        db = open_db(o)
        for i in range(1, o.count + 1):
            if stopped:
                break
            commit(db, o, log)
            if i % o.every == 0:
                db = now_and_then(db, o)
            if o.pause:
                time.sleep(o.pause / 1000)
        db.close()


if __name__ == "__main__":
    try:
        main()
    except sqlite3.Error as e:
        sys.exit(f"writer: {e!r}")
