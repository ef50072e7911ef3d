# SPDX-License-Identifier: Apache-2.0
"""The programs that a bench runs: holdfast, its peer, and an S3 server that lasts for one block."""
import contextlib
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from go_program import NotHad, built, go_of_path, go_of_wheel  # noqa: E402  (folder just named)

HOLDFAST = os.path.join(ROOT, "build", "release", "holdfast")
LITESTREAM_MODULE = "github.com/benbjohnson/litestream/cmd/litestream"
LITESTREAM_VERSION = "v0.5.18"
WITH_MINIO = os.path.join(ROOT, "minio-test", "with-minio")
TELL_AND_WAIT = ("import json, os, sys; print(json.dumps(dict(os.environ)), flush=True);"
                 " sys.stdin.read()")
PREFIX = "db"


def build(target):
    """The release build of what is in this tree, assertions on, as it is shipped."""
    for words in (("cmake", "--preset", "release", "--log-level=WARNING"),
                  ("cmake", "--build", "build/release", "--target", target)):
        subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return os.path.join(ROOT, "build", "release", target)


def build_holdfast():
    return build("holdfast")


def build_litestream():
    try:
        return built(LITESTREAM_MODULE, LITESTREAM_VERSION, go_of_path)
    except NotHad:
        return built(LITESTREAM_MODULE, LITESTREAM_VERSION, go_of_wheel)


def environment(extra=None):
    """For any program that is measured. The peer does not start if AWS_CA_BUNDLE is set."""
    env = {**os.environ, **(extra or {})}
    env.pop("AWS_CA_BUNDLE", None)
    return env


class Store:
    """Where archives go: a URL, and the environment in which it is reached, by us and others."""

    def __init__(self, url, env, server_pid=None, certificate=None):
        self.url, self.env, self.server_pid = url, env, server_pid
        self.our_env = {**env, "AWS_CA_BUNDLE": certificate} if certificate else env

    def env_of(self, words):
        """For the program that runs by these words."""
        return self.our_env if HOLDFAST in words else self.env


@contextlib.contextmanager
def file_store(folder):
    """A folder that does not exist yet and is gone afterwards."""
    remove(folder)
    try:
        yield Store(f"file://{folder}", environment())
    finally:
        remove(folder)


def child_of(pid, name):
    """The process id of a program that `pid` started, or None."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as f:
                for child in f.read().split():
                    with open(f"/proc/{child}/comm") as comm:
                        if comm.read().strip().startswith(name):
                            return int(child)
    return None


@contextlib.contextmanager
def s3_store(folder, tls=False):
    """A server of our own with an empty bucket, whose data lies in `folder` and goes with it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_TEST_S3")}
    env.update(HOLDFAST_TEST_S3_BY="binary", HOLDFAST_TEST_S3_TLS=str(int(tls)), TMPDIR=folder)
    os.makedirs(folder, exist_ok=True)
    with subprocess.Popen([WITH_MINIO, sys.executable, "-c", TELL_AND_WAIT], env=env, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            line = server.stdout.readline()
            if not line:
                raise SystemExit(f"bench: {WITH_MINIO} gave no server")
            env = json.loads(line)
            url = (f"s3://{env['HOLDFAST_TEST_S3_BUCKET']}/{PREFIX}"
                   f"?endpoint={env['HOLDFAST_TEST_S3']}&region={env['AWS_REGION']}")
            yield Store(url, environment(env), child_of(server.pid, "minio"),
                        env["SSL_CERT_FILE"] if tls else None)
        finally:
            server.stdin.close()
            server.wait()
    remove(folder)


def s3_tls_store(folder):
    return s3_store(folder, tls=True)


STORES = {"file": file_store, "s3": s3_store, "s3+tls": s3_tls_store}


def remove(*paths):
    subprocess.run(["rm", "-rf", *paths], check=True)


def forget_state(db):
    """What either program keeps beside the database, so that the next run is a first one."""
    folder, name = os.path.split(db)
    remove(*(os.path.join(folder, f".{name}-{program}") for program in ("holdfast", "litestream")))


def output(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True,
                          env=environment()).stdout.strip()


def versions(litestream=None):
    """Of everything that is measured, for the record."""
    said = output(HOLDFAST, "--version").splitlines()[0]
    if litestream:
        minio = re.search(r'^VERSION = "(.*)"', open(WITH_MINIO).read(), re.M).group(1)
        said += f"; Litestream {output(litestream, 'version').lstrip('v')}; MinIO {minio}"
    return said
