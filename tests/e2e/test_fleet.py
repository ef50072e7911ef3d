#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet of small databases, written by Python and by the sqlite3 program at once, is archived by
one process, scrubbed and restored as a table.

Goal:   no program is refused anything that it would not be refused alone; every scrub of the table
        is clean; a table restored to a moment at rest has, in each database, what sqlite3 dumped
        then; and each database restored to its end is the live one, and what the model says.
Method: phases of the same load with and without the archiver (sides.py). Programs open a database,
        make some transactions, and close it again, which deletes the log when nobody else has it
        open. New databases come between phases.
"""
import os
import subprocess
import sys
import time
import unittest

import lib
import sides

CYCLES = lib.count("FLEET_CYCLES", 2)  # each with both sides
DATABASES = lib.count("FLEET_DATABASES", 16)
VISITS = lib.count("FLEET_VISITS", 60)  # of a process in a phase
NEW = 2  # databases a cycle
BUILDS = ("python", "python", "sqlite3", "sqlite3")  # a process each


class Visitor:
    """A process of fleet_writer.py."""

    def __init__(self, *words, out):
        with open(out, "w", encoding="utf-8") as f:
            self.process = subprocess.Popen(
                [*lib.LEASH, sys.executable, "-B", f"{lib.HERE}/fleet_writer.py", *words],
                stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.out = out

    def counts(self):
        said = lib.read_bytes(self.out).decode()
        if self.process.returncode != 0:
            raise AssertionError(f"a program saw an error:\n{said}")
        return [int(n) for n in said.split()]


class Fleet(lib.Case):
    """See test_fleet_s3.py, too."""

    cycles, databases, visits = CYCLES, DATABASES, VISITS

    def setUp(self):
        super().setUp()
        self.live = self.path("live")
        self.logs = self.path("logs")
        os.mkdir(self.live)
        self.config = self.path("holdfast.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"store: {self.url}\ntables:\n  - name: fleet\n"
                    f"    partitions: {self.live}/*.db\n    capture: 50ms\n")
        self.names = []
        self.dumps = []  # (moment, database → what sqlite3 dumped then)
        self.scrubs = 0
        self.archiver = None
        self.add_databases(self.databases)

    def add_databases(self, count):
        for _ in range(count):
            name = f"{len(self.names):03d}.db"
            self.create(f"{self.live}/{name}", cold_bytes=20000)
            self.names.append(name)

    def dump(self, folder):
        return {name: subprocess.run(["sqlite3", f"{folder}/{name}", ".dump"], check=True,
                                     stdout=subprocess.PIPE).stdout for name in self.names}

    # ---- holdfast on the table ----

    def attach(self):
        """Every database is followed, and what came before is archived."""
        self.archiver = lib.Archiver(self.folder, [self.holdfast, "archive", "-c", self.config])
        self.processes.append(self.archiver)
        for name in self.names:
            self.archiver.wait_log(f"{name}: following the log")
            if f"{name}: first snapshot" in self.archiver.log():
                self.archiver.wait_log(f"{name}: snapshot is archived")

    def scrub(self):
        done = self.hf("scrub", "-c", self.config, "fleet", "--json", "--no-progress")
        for partition in done.json["partitions"]:
            self.assertTrue(partition["clean"], done)
        self.scrubs += len(done.json["partitions"])

    def restore_table(self, *target, expect=0):
        out = self.new_path(suffix="")
        done = self.hf("restore", "-c", self.config, "fleet", "-o", out, "--json", "--no-progress",
                       *target, expect=expect)
        return out, done

    # ---- phases ----

    def load(self):
        visitors = []
        for build in BUILDS:
            self.made += 1
            visitors.append(Visitor(self.live, self.logs, build, "--count", str(self.visits),
                                    "--seed", str(self.random.random()),
                                    out=self.path(f"{self.made}.said")))
        self.processes += visitors
        while any(v.process.poll() is None for v in visitors):
            if self.archiver is None:
                time.sleep(0.05)
            else:
                self.scrub()
        return [sum(n) for n in zip(*(v.counts() for v in visitors))]

    def phase(self, side):
        if side == "attached":
            self.attach()
            self.dumps.append((time.time(), self.dump(self.live)))
        counts = self.load()
        if side == "attached":
            self.archiver.stop()
            self.archiver = None
        return counts

    def test_a_fleet_in_use(self):
        judged = sides.Sides("visits of databases", refuses=False)
        for cycle in range(self.cycles):
            for side in (("alone", "attached"), ("attached", "alone"))[cycle % 2]:
                judged.add(side, *self.phase(side))
            self.add_databases(NEW)
        self.hf("archive", "-c", self.config, "--once", "--no-progress")
        self.scrub()
        self.hf("verify", "-c", self.config, "--no-progress")
        for moment, dumps in self.dumps:
            self.check_moment(moment, dumps)
        commits = self.check_latest()
        self.report(f"{judged}; {sum(judged.done.values())} visits, {commits} commits, "
                    f"{self.scrubs} scrubs, {len(self.dumps)} dumps")
        judged.check()

    def check_moment(self, moment, dumps):
        """A database to which nothing was committed from then until the archiver ended, and then
        something: what comes next is a catch-up, and so the moment is told to lie in a gap."""
        out, done = self.restore_table("--timestamp", lib.rfc3339(moment), expect=(0, 1))
        gaps = [p for p in done.json["partitions"] if "gap" in p]
        self.assertEqual(done.status, 1 if gaps else 0, done)
        for p in gaps:
            self.assertEqual(p["gap"]["from_txid"], p["txid"], p)
        self.assertEqual(sorted(os.listdir(out)), sorted(dumps))
        for name, dump in dumps.items():
            self.assertEqual(subprocess.run(["sqlite3", f"{out}/{name}", ".dump"], check=True,
                                            stdout=subprocess.PIPE).stdout, dump, name)

    def check_latest(self):
        """The live pages, and the model; how many commits there were."""
        out, _ = self.restore_table()
        commits = 0
        for name in self.names:
            self.assert_same_pages(f"{out}/{name}", f"{self.live}/{name}")
            folder = f"{self.logs}/{name}"
            logs = [f"{folder}/{n}" for n in os.listdir(folder)] if os.path.exists(folder) else []
            history = lib.model.History(logs)
            self.assertEqual(history.check(f"{out}/{name}"), len(history), name)
            commits += len(history)
        return commits


class Judge(unittest.TestCase):
    """sides.py can say no."""

    def judge(self, alone, attached, refuses=True):
        s = sides.Sides("x", refuses)
        s.add("alone", 1000, alone)
        s.add("attached", 1000, attached)
        s.check()

    def test_where_nothing_is_refused_alone_one_beside_us_is_one_too_many(self):
        self.judge(0, 0, refuses=False)
        self.assertRaises(AssertionError, self.judge, 0, 1, refuses=False)

    def test_where_some_are_about_as_many_are_no_news_and_far_more_are(self):
        for attached in (0, 20, 35):
            self.judge(20, attached)
        self.assertRaises(AssertionError, self.judge, 20, 80)
        self.assertRaises(AssertionError, self.judge, 0, 80)


if __name__ == "__main__":
    lib.main()
