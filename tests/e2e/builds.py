# SPDX-License-Identifier: Apache-2.0
"""Connections to a database through several builds of SQLite.

Goal:   the same application on the SQLite of Python, of the sqlite3 program, and of two packages
        that carry their own.
Method: a connection has execute(statement, values), whose result has fetchone() and fetchall(), and
        close(). A process uses one build: two copies of SQLite in one process would drop each
        other's locks. Python's and sqlite3's are Debian's library; see requirements.txt for others.
"""
import subprocess

BUSY_S = 5


class Error(Exception):
    """Something that SQLite refused; the text is SQLite's."""


def connect_python(path):
    import sqlite3  # pylint: disable=import-outside-toplevel
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)


def connect_pysqlite3(path):
    from pysqlite3 import dbapi2  # pylint: disable=import-outside-toplevel,import-error
    return dbapi2.connect(path, timeout=BUSY_S, isolation_level=None)


def connect_apsw(path):
    import apsw  # pylint: disable=import-outside-toplevel,import-error
    db = apsw.Connection(path)
    db.set_busy_timeout(1000 * BUSY_S)
    return db


class Rows:
    """What the program printed: integers and text."""

    def __init__(self, lines):
        self.rows = [tuple(int(word) if word.lstrip("-").isdigit() else word
                           for word in line.split("|")) for line in lines]

    def fetchall(self):
        return self.rows

    def fetchone(self):
        return self.rows[0] if self.rows else None


class Program:
    """`sqlite3`, which reads statements from a pipe and ends at the first that fails."""

    END = "@end@"

    def __init__(self, path):
        self.process = subprocess.Popen(
            ["sqlite3", "-batch", "-bail", "-noheader", "-list", path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
        self.ask(f".timeout {1000 * BUSY_S}")

    def ask(self, text):
        lines = []
        try:
            self.process.stdin.write(f"{text}\n.print {self.END}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and said why
        for line in self.process.stdout:
            if line == f"{self.END}\n":
                return Rows(lines)
            lines.append(line.rstrip("\n"))
        raise Error(f"sqlite3 ended with {self.process.wait()}: {' '.join(lines)}")

    def execute(self, statement, values=()):
        parts = statement.split("?")
        text = parts[0] + "".join(literal(v) + p for v, p in zip(values, parts[1:], strict=True))
        return self.ask(text + ";")

    def close(self):
        self.process.stdin.close()
        said = self.process.stdout.read()
        if self.process.wait() != 0:
            raise Error(f"sqlite3 ended with {self.process.returncode}: {said}")


def literal(value):
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value))


BUILDS = {"python": connect_python, "sqlite3": Program, "apsw": connect_apsw,
          "pysqlite3": connect_pysqlite3}


def connect(build, path):
    return BUILDS[build](path)


def give_back(db, pages=0):
    """Free pages, with auto_vacuum=incremental; 0: all. Python's execute() would do one step of it,
    since it has no columns, and its executescript() does all."""
    run = getattr(db, "executescript", db.execute)
    run(f"PRAGMA incremental_vacuum({pages})").fetchall()
