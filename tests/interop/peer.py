# SPDX-License-Identifier: Apache-2.0
"""The peer of the interop proofs, Litestream, and what both directions share.

Goal:   a proof names what it asks of the peer, and no more: where the program comes from, how it is
        configured and what its environment must not have is told here once.
Method: the program is built once by `go install` and kept (tools/go_program.py). Where it cannot be
        had the test fails, and says what was tried. Its version is pinned: what is proved is proved
        of that one.
"""
import contextlib
import functools
import json
import os
import subprocess
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"),
                os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools")]
import go_program  # noqa: E402  (in the folders just named)
import lib  # noqa: E402

MODULE = "github.com/benbjohnson/litestream/cmd/litestream"
VERSION = "v0.5.18"
SNAPSHOT_LEVEL = 9


@functools.lru_cache(maxsize=None)
def program():
    tried = []
    for name, go_of in (("the go of PATH", go_program.go_of_path),
                        (f"the go of PyPI's {go_program.GO_WHEEL}", go_program.go_of_wheel)):
        try:
            return go_program.built(MODULE, VERSION, go_of)
        except (go_program.NotHad, OSError) as e:
            tried.append(f"{name}: {e}")
    raise AssertionError(f"{MODULE}@{VERSION} could not be had by go install; tried\n  "
                         + "\n  ".join(tried))


def environment():
    """AWS_CA_BUNDLE ends the peer at its start, whatever it names."""
    return {k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"}


def replica(url):
    """What the peer calls the place of ours that `url` names, as its configuration wants it."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return {"type": "file", "path": parts.path}
    query = dict(urllib.parse.parse_qsl(parts.query))
    return {"type": "s3", "bucket": parts.netloc, "path": parts.path.lstrip("/"),
            "endpoint": query["endpoint"], "region": query["region"], "force-path-style": True}


class Replicating:
    """`litestream replicate`, as long as it runs; it looks at the database when it is told to."""

    def __init__(self, case, config, socket):
        self.config, self.socket, self.db = config, socket, case.db
        self.log_path = case.path("peer.log")
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*lib.LEASH, program(), "replicate", "-config", config], env=environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lib.wait_for("the peer's control socket", self.is_up)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the peer ended:\n{self.log()}")
        return os.path.exists(self.socket)

    def sync(self):
        """Everything committed is in the peer's archive; up to which TXID."""
        done = subprocess.run(
            [program(), "sync", "-wait", "-json", "-socket", self.socket, self.db],
            env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False)
        if done.returncode != 0:
            raise AssertionError(f"the peer's sync: {done.stdout}{done.stderr}\n{self.log()}")
        said = json.loads(done.stdout)
        if said["replica_txid"] != said["txid"]:
            raise AssertionError(f"the peer's sync was not waited for: {said}")
        return said["txid"]

    def stop(self):
        self.process.terminate()
        self.process.wait(lib.WAIT_S)


class Case(lib.Case):
    """A lib.Case whose archive lies in a folder. PeerS3Case has it in a bucket."""

    def configure(self, url=None, **settings):
        """The peer's configuration for self.db and the archive; JSON is YAML."""
        path = self.path("peer.yml")
        text = {"dbs": [{"path": self.db, "monitor-interval": "1h",
                         "replica": {**replica(url or self.url), "sync-interval": "1h"}}],
                **settings}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(text, file)
        return path

    def ask_peer(self, *words):
        done = subprocess.run([program(), *words], env=environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, f"$ litestream {' '.join(words)}\n"
                         f"{done.stdout}{done.stderr}")
        return done.stdout

    def peer_restore(self, *target, by_url=False):
        """The bytes of what the peer restores: of the URL, or of the database in peer.yml."""
        out = self.new_path()
        place = [self.url] if by_url else ["-config", self.path("peer.yml"), self.db]
        self.ask_peer("restore", "-o", out, *target, *place)
        return self.taken(out)

    def our_restore(self, *target, expect=0):
        """The bytes of what we restore, and what we said of it."""
        out = self.new_path()
        done = self.hf("restore", self.url, "-o", out, "--json", "--no-progress", *target,
                       expect=expect)
        return self.taken(out), done.partition

    def remove(self, place):
        """An object, as objects() tells it."""
        os.unlink(place)

    def taken(self, path):
        """The file's bytes; nobody opens it, as SQLite would make files beside it."""
        with open(path, "rb") as file:
            content = file.read()
        os.unlink(path)
        return content

    def assert_same(self, found, expected, page_bytes, what):
        """Every byte, header included; the first page that differs is named."""
        self.assertEqual(len(found) // page_bytes, len(expected) // page_bytes,
                         f"{what}: number of pages")
        for at in range(0, len(expected), page_bytes):
            if found[at:at + page_bytes] != expected[at:at + page_bytes]:
                self.fail(f"{what}: page {at // page_bytes + 1} differs")
        self.assertEqual(len(found), len(expected), what)

    def contents(self):
        """Key → what would change if the object did; by whoever keeps it and not by holdfast."""
        found = {}
        for folder, folders, names in os.walk(self.store):
            folders[:] = [name for name in folders if not name.startswith(".")]  # no objects
            for path in (f"{folder}/{name}" for name in names):
                with contextlib.suppress(FileNotFoundError):  # the peer's, renamed when whole
                    found[os.path.relpath(path, self.store)] = os.stat(path).st_mtime_ns
        return found


class S3Case(Case, lib.S3Case):
    """The same on the S3 server of minio-test/with-minio."""

    def contents(self):
        bucket = lib.s3_request.Bucket()
        return {key: bucket.get(key) for key in self.keys()}

    def remove(self, place):
        lib.s3_request.Bucket().remove(place)


if __name__ == "__main__":  # before the proofs, which have less time than a build takes
    print(program())
