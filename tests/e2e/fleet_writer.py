#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application with many small databases, each opened for some transactions and closed again.

    fleet_writer.py FOLDER LOGS BUILD --seed S --count N

Goal:   load as a fleet gets it from programs and scripts, and a log line for each commit, as
        writer.py writes it, in LOGS/<database>/<process id>.
Method: BUILD says which SQLite (builds.py); with `sqlite3`, a process is started each time. What
        SQLite refuses is counted and not tried again; any other error ends it with status 1. At the
        end it prints how many visits it made and how many were refused.
"""
import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import builds  # noqa: E402
import model  # noqa: E402
import writer  # noqa: E402

TRANSACTIONS_MAX = 3
CHECKPOINT_SHARE = 0.2


def visit(path, log, o, chance):
    db = builds.connect(o.build, path)
    try:
        for _ in range(chance.randint(1, TRANSACTIONS_MAX)):
            writer.commit(db, o, log)
        if chance.random() < CHECKPOINT_SHARE:
            writer.checkpoint(db, chance.choice(("PASSIVE", "FULL", "RESTART", "TRUNCATE")))
    finally:
        db.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("logs")
    p.add_argument("build", choices=builds.BUILDS)
    p.add_argument("--seed", required=True)
    p.add_argument("--count", type=int, required=True)
    o = p.parse_args()
    o.kind, o.shape = "small", "rows"
    chance = random.Random(o.seed)
    names = sorted(n for n in os.listdir(o.folder) if n.endswith(".db"))
    refused = 0
    for _ in range(o.count):
        name = chance.choice(names)
        os.makedirs(f"{o.logs}/{name}", exist_ok=True)
        with open(f"{o.logs}/{name}/{os.getpid()}", "a", encoding="utf-8") as log:
            try:
                visit(f"{o.folder}/{name}", log, o, chance)
            except Exception as e:  # pylint: disable=broad-except  # each build has its own
                if "database is locked" not in str(e):
                    raise
                refused += 1
    print(f"{o.count} {refused}")


if __name__ == "__main__":
    main()
