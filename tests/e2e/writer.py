#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application: transactions of one kind until SIGTERM, or until it has made enough of them.

    writer.py DATABASE LOG small|medium|large|blobs [--pause MS] [--count N] [--checkpoint MODE]
              [--reopen] [--vacuum] [--rewrite] [--synchronous MODE] [--build NAME] [--shape NAME]
              [--settings "PRAGMA; PRAGMA"] [--tables BYTES] [--fill PAGES]

Goal:   load as applications make it, and a log line `seq kind before after` for each commit.
Method: nothing is repeated: any error that SQLite gives within a busy timeout of 5 s ends it with
        status 1, because no application may see one on our account.
"""
import argparse
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import builds  # noqa: E402
import model  # noqa: E402

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
    p.add_argument("--rewrite", action="store_true", help="VACUUM at the end")
    p.add_argument("--synchronous", default="NORMAL")
    p.add_argument("--build", choices=builds.BUILDS, default="python", help="of SQLite")
    p.add_argument("--shape", choices=model.SHAPES, default="rows", help="of the table")
    p.add_argument("--settings", help="make the database: pragmas, before WAL mode")
    p.add_argument("--tables", type=int, help="make the tables, and so many cold bytes")
    p.add_argument("--fill", type=int, help="cold zeros until there are so many pages")
    return p.parse_args()


def open_db(o):
    db = builds.connect(o.build, o.db)
    db.execute(f"PRAGMA synchronous={o.synchronous}")
    return db


def make(db, o):
    if o.settings is not None:
        for pragma in o.settings.split(";"):
            db.execute(f"PRAGMA {pragma}").fetchall()
    if o.tables is not None:
        model.create_tables(db, o.shape, o.tables)
    if o.fill is not None:
        model.fill(db, o.fill)
    if o.settings is not None:
        db.execute("PRAGMA journal_mode=wal").fetchall()


def commit(db, o, log):
    seq = model.apply(db, o.kind, o.shape)
    before = time.time()
    db.execute("COMMIT")
    log.write(f"{seq} {o.kind} {before:.6f} {time.time():.6f}\n")
    log.flush()


def checkpoint(db, mode):
    """SQLite waits for readers and writers, but never for another checkpointer: then it says busy
    at once, whoever that is, and an application that insists asks again."""
    started = time.monotonic()
    while db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] and mode != "PASSIVE":
        if time.monotonic() - started > builds.BUSY_S:
            raise builds.Error(f"wal_checkpoint({mode}) was busy for {builds.BUSY_S} s")
        time.sleep(0.001)


def now_and_then(db, o):
    if o.checkpoint:
        checkpoint(db, o.checkpoint)
    if o.vacuum:
        builds.give_back(db, 20)
    if o.reopen:
        db.close()
        db = open_db(o)
    return db


def main():
    o = options()
    signal.signal(signal.SIGTERM, stop)
    with open(o.log, "a") as log:
        db = open_db(o)
        make(db, o)
        for i in range(1, o.count + 1):
            if stopped:
                break
            commit(db, o, log)
            if i % o.every == 0:
                db = now_and_then(db, o)
            if o.pause:
                time.sleep(o.pause / 1000)
        if o.rewrite:
            db.execute("VACUUM").fetchall()
        db.close()


if __name__ == "__main__":
    try:
        main()
    except Exception as e:  # pylint: disable=broad-except
        sys.exit(f"writer: {e!r}")
