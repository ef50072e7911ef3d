# SPDX-License-Identifier: Apache-2.0
"""cli - what the tests of the command line share: run holdfast, make databases, look at answers.

The binary is named by HOLDFAST (ctest sets it). Nothing here waits for a time to pass; what has to
be waited for is looked at until it is there, with a limit.
"""

import datetime
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOLDFAST = os.environ.get("HOLDFAST", os.path.join(ROOT, "build", "dev", "holdfast"))
WAIT_S_MAX = 30

VERBS = ["archive", "restore", "scrub", "verify", "list", "rebuild", "config", "help"]
PLANNED = ["run", "status", "sync", "mark", "forget", "compact", "prune", "check", "follow",
           "query", "diff", "copy", "export", "import"]


def environment():
    """As the caller's, but with times in UTC, plain characters, and no store of his."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    env.update(TZ="UTC", LC_ALL="C")
    return env


def holdfast(*words, **options):
    """Run to the end; the answer has returncode, stdout and stderr."""
    return subprocess.run([HOLDFAST, *words], capture_output=True, text=True, timeout=120,
                          env=environment(), check=False, **options)


def later(text, ms=1):
    """A time that holdfast printed, and so much more."""
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    when += datetime.timedelta(milliseconds=ms)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Case(unittest.TestCase):
    """A test with a folder of its own, which is the working directory of holdfast."""

    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="hf-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.store = "file://" + self.path("store")

    def path(self, *parts):
        """A path below the test's folder."""
        return os.path.join(self.folder, *parts)

    def holdfast(self, *words):
        """Run in the test's folder."""
        return holdfast(*words, cwd=self.folder)

    def expect(self, status, *words):
        """Run, and insist on the exit status; errors speak on stderr and only there."""
        answer = self.holdfast(*words)
        self.assertEqual(answer.returncode, status,
                         f"{words}\nstdout: {answer.stdout}\nstderr: {answer.stderr}")
        if status >= 2:
            self.assertIn("holdfast: ", answer.stderr)
        return answer

    def json(self, status, *words):
        """Run with --json, insist on the status, and return the object."""
        answer = self.expect(status, *words, "--json")
        said = json.loads(answer.stdout)
        self.assertEqual(said["schema"], 1)
        self.assertEqual("error" in said, status >= 2, said)
        return said

    def database(self, name, rows=100, mode="wal"):
        """A new database; its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with connect(path) as db:
            db.execute(f"PRAGMA journal_mode={mode}")
            db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
            insert(db, rows)
        return path

    def follow(self, *words):
        """An archiver that runs until the test ends; it is up when its state has a socket."""
        process = subprocess.Popen([HOLDFAST, "archive", *words, "--state", self.path("state")],
                                   cwd=self.folder, env=environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(end, process)
        self.wait_for(lambda: find(self.path("state"), "socket"))
        return process

    def wait_for(self, condition):
        """Look until it is so."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it did not become so")
            time.sleep(0.02)


def end(process):
    """End a process and close what was read from it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S_MAX)


def find(folder, name):
    """Is there a file of that name anywhere below?"""
    return any(name in names for _, _, names in os.walk(folder))


class connect:  # pylint: disable=invalid-name
    """A connection that commits and closes."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.db = sqlite3.connect(self.path)
        return self.db

    def __exit__(self, kind, value, trace):
        self.db.commit()
        self.db.close()


def insert(db, rows):
    """Rows of which no two are alike."""
    first = db.execute("SELECT count(*) FROM t").fetchone()[0]
    db.executemany("INSERT INTO t (b) VALUES (?)",
                   [(f"row {first + i} " + "x" * 200,) for i in range(rows)])
    db.commit()


def rows_of(path):
    """What table t holds."""
    with connect(path) as db:
        return db.execute("SELECT a, b FROM t ORDER BY a").fetchall()


def damage(path, page, page_bytes=4096):
    """Change bytes in the middle of a page, past SQLite."""
    with open(path, "r+b") as file:
        file.seek((page - 1) * page_bytes + page_bytes // 2)
        file.write(b"these bytes were never written by the application")
