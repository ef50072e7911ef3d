#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden archive of Litestream 0.5.15, the last that wrote pages as LZ4 frames, once:
tests/golden/make_litestream.py

    tests/golden/litestream-0.5.15/archive/       as it lies in a folder
    tests/golden/litestream-0.5.15/expected.json  of each TXID: SHA-256, pages, time

Goal:   archives of that form are read, whichever form Litestream writes today.
Method: Litestream itself, which `go install` builds, replicates a small database, compacts and
        prunes. What is expected is what reader.py reads; where SQLite was asked at that TXID, it
        said the same, or nothing is made.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))
import go_program  # noqa: E402  (in the folder just named)
import make_golden  # noqa: E402
import reader  # noqa: E402

VERSION = "0.5.15"
TARGET = f"{HERE}/litestream-{VERSION}"
FRAME_FLAGS_AT = 104  # of the first page: behind the header and the page number
ROUNDS = 8
ROUND_S = 0.7  # so that levels and snapshots come of them


def configure(folder):
    db = {"path": f"{folder}/app.db", "monitor-interval": "1h",
          "replica": {"type": "file", "path": f"{TARGET}/archive", "sync-interval": "1h"}}
    path = f"{folder}/litestream.yml"
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"dbs": [db], "socket": {"enabled": True, "path": f"{folder}/socket"},
                   "levels": [{"interval": "1s"}], "snapshot": {"interval": "2s"},
                   "l0-retention": "2s", "l0-retention-check-interval": "1s"}, file)
    return path


def sync(program, folder):
    said = subprocess.run([program, "sync", "-wait", "-json", "-socket", f"{folder}/socket",
                           f"{folder}/app.db"], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(said.stdout)["txid"]


def replicate(program, folder):
    """TXID → the database's pages then."""
    db = make_golden.open_db(f"{folder}/app.db", 1024, "incremental")
    env = {k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"}
    images = {}
    peer = subprocess.Popen([program, "replicate", "-config", configure(folder)], env=env)
    try:
        while not os.path.exists(f"{folder}/socket"):
            time.sleep(0.1)
        for number in range(ROUNDS):
            make_golden.in_one(db, lambda d: make_golden.add(d, 5, 700))
            if number % 3 == 2:
                db.execute("DELETE FROM t WHERE id % 2 = 0")
                db.execute("PRAGMA incremental_vacuum(3)").fetchall()
            images[sync(program, folder)] = make_golden.image(f"{folder}/app.db")
            time.sleep(ROUND_S)
    finally:
        peer.terminate()
        peer.wait()
    return images


def expected(images):
    archive = reader.Archive(f"{TARGET}/archive")
    for path in (name[3] for name in archive.names):
        with open(path, "rb") as file:
            if file.read()[FRAME_FLAGS_AT:FRAME_FLAGS_AT + 2] != b"\0\0":
                raise SystemExit(f"{path} has no LZ4 frames")
    if {name[2] for name in archive.names} != {0, 1, 9}:
        raise SystemExit("not every level is there: once more, please")
    states = [archive.state(txid) for txid in archive.txids()]
    for state in states:
        if images.get(state.txid, state.file()) != state.file():
            raise SystemExit(f"TXID {state.txid}: the reader does not find what the database was")
    said = {state.txid: state.summary() for state in states}
    for one in said.values():
        del one["root"]  # such an archive has none
    return said


def main():
    if os.path.exists(TARGET):
        raise SystemExit(f"{TARGET} exists: golden archives are made once and kept")
    program = go_program.built("github.com/benbjohnson/litestream/cmd/litestream", f"v{VERSION}",
                               go_program.go_of_path)
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-golden-") as folder:
            said = expected(replicate(program, folder))
        with open(f"{TARGET}/expected.json", "w", encoding="utf-8") as file:
            json.dump(said, file, indent=1)
            file.write("\n")
    except BaseException:
        shutil.rmtree(TARGET, ignore_errors=True)
        raise


if __name__ == "__main__":
    main()
