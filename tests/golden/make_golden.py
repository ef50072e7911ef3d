#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden archives of this format number, once:

    HOLDFAST=... minio-test/with-minio tests/golden/make_golden.py [set-back]

    tests/golden/format-N/files/        a file:// store, with one table of three partitions
    tests/golden/format-N/s3/           the same from an S3 server, object by object
    tests/golden/format-N/expected.json of each TXID of each partition: SHA-256, pages, root, time
    tests/golden/format-N-set-back/     the same, of an archiver whose clock was set back

Goal:   archives as this version writes them, which every later version must read; so they are
        committed, and what is there is never made again.
Method: databases of three page sizes grow, shrink and are changed while nobody follows; each step
        is one commit, and waits for its capture. What is expected is what reader.py reads, which
        shares nothing with holdfast; and that is what SQLite said the database was at that moment,
        or nothing is made. The clock that is ahead is libfaketime's (Debian's package faketime),
        for which HOLDFAST must be a build without sanitizers.
"""
import glob
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))
import reader  # noqa: E402
import s3_request  # noqa: E402  (in the folder just named)

TABLE = "orders"
DATABASES = {"eu/a b.db": (512, "incremental"), "eu/plain.db": (4096, "none"),
             "late/large.db": (65536, "full")}
SET_BACK_DATABASES = {"eu/plain.db": (1024, "none")}
AHEAD_S = 20


def open_db(path, page_bytes, auto_vacuum):
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in (f"page_size={page_bytes}", f"auto_vacuum={auto_vacuum}", "journal_mode=wal",
                   "wal_autocheckpoint=0"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body TEXT)")
    return db


def add(db, rows, bytes_each):
    """Text that repeats itself, so that the archive stays small."""
    for number in range(rows):
        text = (f"row {number} of {rows}, " * (bytes_each // 10 + 1))[:bytes_each]
        db.execute("INSERT INTO t(body) VALUES(?)", (text,))


def in_one(db, *statements):
    db.execute("BEGIN")
    for statement in statements:
        statement(db)
    db.execute("COMMIT")


STEPS = (
    lambda db, size: in_one(db, lambda d: add(d, 12, size // 3)),
    lambda db, size: in_one(db, lambda d: add(d, 1, size * 9),  # grows by free pages
                            lambda d: d.execute("DELETE FROM t WHERE id > 12")),
    lambda db, size: in_one(db, lambda d: add(d, 3, size * 2)),
    lambda db, size: db.execute("DELETE FROM t WHERE id % 4 <> 0"),
    lambda db, size: db.execute("VACUUM"),
    None,  # nobody follows the database meanwhile, and the log is removed: a catch-up
    lambda db, size: in_one(db, lambda d: add(d, 8, size // 2)),
)


def image(path):
    db = sqlite3.connect(path)
    try:
        return db.serialize()
    finally:
        db.close()


class Live:
    """The application's databases, and what they were at each TXID."""

    def __init__(self, folder, databases):
        self.folder = folder
        self.databases = databases
        self.images = {name: [] for name in databases}
        self.connections = {}
        for name, kind in databases.items():
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.connections[name] = open_db(self.path(name), *kind)

    def path(self, name):
        return f"{self.folder}/{name}"

    def change(self, step):
        for name, (page_bytes, _) in self.databases.items():
            step(self.connections[name], page_bytes)

    def change_unseen(self):
        for name, kind in self.databases.items():
            self.connections[name].close()
            self.connections[name] = open_db(self.path(name), *kind)
            self.connections[name].execute("UPDATE t SET body = body || 'x'")
            self.connections[name].close()
            self.connections[name] = open_db(self.path(name), *kind)

    def remember(self):
        for name in self.databases:
            self.images[name].append(image(self.path(name)))


class Archiver:
    """holdfast archive over the databases, into a store whose keys `list_keys` tells."""

    def __init__(self, store, live, list_keys):
        self.list_keys = list_keys
        self.databases = live.databases
        self.config = f"{live.folder}/holdfast.yaml"
        self.process = None
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump({"store": store, "tables": [
                {"name": TABLE, "partitions": f"{live.folder}/*/*.db", "capture": "50ms"}]}, file)

    def start(self, ahead_s=0):
        self.process = subprocess.Popen(
            [os.environ["HOLDFAST"], "archive", "-c", self.config, "--no-progress"],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(clock_ahead(ahead_s) if ahead_s != 0 else {})})

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            raise SystemExit("the archiver failed")

    def wait_for(self, txid):
        """Each database has this TXID, and no other has come of it."""
        deadline = time.monotonic() + 60
        ends = []
        while len(ends) < len(self.databases) * txid:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"TXID {txid} was not archived")
            time.sleep(0.1)
            ends = [key[-20:-4] for key in self.list_keys() if key.endswith(".ltx")]
        if max(ends) != f"{txid:016x}":
            raise SystemExit("a step was not one capture")


def clock_ahead(seconds):
    """The environment of a program whose clock is."""
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return {"LD_PRELOAD": library, "FAKETIME": f"+{seconds}s", "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1"}


def archive_steps(store, live, list_keys):
    archiver = Archiver(store, live, list_keys)
    archiver.start()
    archiver.wait_for(1)
    live.remember()
    for txid, step in enumerate(STEPS, 2):
        if step is not None:
            live.change(step)
        else:
            archiver.stop()
            live.change_unseen()
            archiver.start()
        archiver.wait_for(txid)
        live.remember()
    archiver.stop()


def archive_with_a_clock_set_back(store, live, list_keys):
    """TXIDs 1 to 3 are made while the clock is ahead, 4 (a catch-up) and 5 when it is not any more,
    and 6 when it has got there."""
    archiver = Archiver(store, live, list_keys)
    archiver.start(AHEAD_S)
    ahead_until = 0
    for txid in range(1, 7):
        if txid == 4:
            archiver.stop()
            ahead_until = time.time() + AHEAD_S + 1
            live.change_unseen()
            archiver.start()
        elif txid > 1:
            if txid == 6:
                time.sleep(max(0, ahead_until - time.time()))
            live.change(STEPS[txid - 2])
        archiver.wait_for(txid)
        live.remember()
    archiver.stop()


def files_below(folder):
    return [os.path.relpath(f"{path}/{name}", folder)
            for path, _, names in os.walk(folder) for name in names]


def fetch(bucket, prefix, folder):
    for key in bucket.keys(prefix + "/"):
        path = f"{folder}/{key[len(prefix) + 1:]}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bucket.get(key))


def forget_the_machine(store, live):
    """Its name and folders, which the small objects have for messages and nothing else."""
    for path in files_below(store):
        if "/holdfast/owner" in path or "/holdfast/members/" in path:
            with open(f"{store}/{path}", encoding="utf-8") as file:
                text = file.read()
            text = text.replace(live.folder, "/srv/live").replace(
                f'"host": "{socket.gethostname()}"', '"host": "golden"')
            with open(f"{store}/{path}", "w", encoding="utf-8") as file:
                file.write(text)


def prefixes(store):
    """The partitions' prefixes, found by their format objects."""
    return sorted(os.path.relpath(folder, store)[:-len("/holdfast")]
                  for folder, _, names in os.walk(store) if "format" in names)


def expected(store, live):
    """What the reader reads, if it is what the databases were."""
    found = {}
    for prefix in prefixes(store):
        archive = reader.Archive(f"{store}/{prefix}")
        states = [archive.state(txid) for txid in archive.txids()]
        files = [state.file() for state in states]
        if files not in live.images.values():
            raise SystemExit(f"{prefix}: the reader does not find what the database was")
        found[prefix] = {state.txid: state.summary() for state in states}
    if len(found) != len(live.databases):
        raise SystemExit(f"there are {sorted(found)} of {sorted(live.databases)}")
    return found


def make(target, databases, archive):
    """`archive` has the databases archived while they are changed."""
    bucket = s3_request.Bucket()
    said = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-golden-") as folder:
        for kind in ("files", "s3"):
            live = Live(f"{folder}/live-{kind}", databases)
            if kind == "files":
                archive(f"file://{target}/files", live, lambda: files_below(f"{target}/files"))
                os.unlink(f"{target}/files/.lock")  # of a store in use, and no object
            else:
                store = f"s3://{bucket.name}/golden?endpoint={bucket.endpoint}&region=us-east-1"
                archive(store, live, lambda: bucket.keys("golden/"))
                fetch(bucket, "golden", f"{target}/s3")
            forget_the_machine(f"{target}/{kind}", live)
            said[kind] = expected(f"{target}/{kind}", live)
    with open(f"{target}/expected.json", "w", encoding="utf-8") as file:
        json.dump(said, file, indent=1)
        file.write("\n")


def main():
    set_back = sys.argv[1:] == ["set-back"]
    if not set_back and len(sys.argv) > 1:
        raise SystemExit(__doc__)
    target = f"{HERE}/format-{reader.FORMAT}{'-set-back' if set_back else ''}"
    if os.path.exists(target):
        raise SystemExit(f"{target} exists: golden archives are made once and kept")
    os.mkdir(target)
    try:
        if set_back:
            make(target, SET_BACK_DATABASES, archive_with_a_clock_set_back)
        else:
            make(target, DATABASES, archive_steps)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


if __name__ == "__main__":
    main()
