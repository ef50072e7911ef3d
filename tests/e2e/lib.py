# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end proofs share: the binary, real processes, folders, and the oracles.

Goal:   a proof reads as what it proves. Nothing in here knows how holdfast works inside; databases
        are judged by SQLite and by the model of model.py, archives by their files.
Method: every program is started here and ended here, by its own process id. A sanitizer's report in
        anything that a program wrote fails the test, whatever the exit status was. This process
        never opens a database file but through SQLite, and damages files only while it has no
        connection, because closing a descriptor would drop SQLite's locks.
"""
import contextlib
import datetime
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools")]
import model  # noqa: E402  (in the folders just named)
import s3_request  # noqa: E402

SEED = int(os.environ.get("HF_E2E_SEED", random.SystemRandom().randrange(1 << 32)))
WAIT_S = float(os.environ.get("HF_E2E_WAIT_S", "60"))  # for what must happen, on a loaded machine
NOBODY = 65534
SANITIZER_STATUS = 99  # no status of holdfast's own
LEASH = ("setpriv", "--pdeathsig", "KILL")  # a test that is killed leaves no process behind

# What nohup or a shell's & has set to be ignored would stay so in every program that we start.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def count(name, default):
    """A number of repetitions, which a soak raises: HF_E2E_KILLS=10000."""
    return int(os.environ.get(f"HF_E2E_{name}", default))


def holdfast_path():
    path = os.environ.get("HOLDFAST", "")
    if not os.access(path, os.X_OK):
        raise AssertionError(f"HOLDFAST={path!r}: expected the path of the holdfast binary")
    return path


def environment(extra=None):
    env = dict(os.environ)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        env[name] = f"exitcode={SANITIZER_STATUS}:print_stacktrace=1:" + env.get(name, "")
    env.update(extra or {})
    return env


def rfc3339(seconds):
    """UTC with milliseconds, cut off, as holdfast counts."""
    ms = int(seconds * 1000)
    when = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def from_rfc3339(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def wait_for(what, happened, seconds=WAIT_S, poll_s=0.02):
    """The first true value of happened(); AssertionError with `what` if none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = happened()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(poll_s)


@contextlib.contextmanager
def connect(path, timeout=30):
    db = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def sql(path, statement, *values):
    with connect(path) as db:
        return db.execute(statement, values).fetchall()


def touch(path):
    """A commit beside the model's. (An UPDATE that changes nothing would write no page.)"""
    sql(path, "INSERT INTO cold(body) VALUES(randomblob(100))")


def image(path):
    """All pages of the database as SQLite sees them, log included."""
    with connect(path) as db:
        return db.serialize()


def page_size(path):
    return sql(path, "PRAGMA page_size")[0][0]


def checkpoint(path, mode="TRUNCATE"):
    """Until everything is in the file."""
    def done():
        busy, log, moved = sql(path, f"PRAGMA wal_checkpoint({mode})")[0]
        return busy == 0 and log == moved
    wait_for(f"checkpoint of {path}", done)


def settle(path):
    """Until everything is in the file and the log says so; nobody is asked to truncate it."""
    checkpoint(path, "PASSIVE")


class Done:
    """A program that has ended."""

    def __init__(self, words, status, out, err):
        self.words, self.status, self.out, self.err = words, status, out, err

    def __str__(self):
        return (f"$ {' '.join(self.words)}\nexit status {self.status}\n--- stdout\n{self.out}"
                f"--- stderr\n{self.err}---")

    @property
    def text(self):
        return self.out + self.err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def partition(self):
        return self.json["partitions"][0]

    @property
    def findings(self):
        return self.partition.get("findings", [])


def check_sanitizers(done):
    if done.status == SANITIZER_STATUS or re.search(
            r"AddressSanitizer|LeakSanitizer|runtime error:|holdfast: assertion", done.err):
        raise AssertionError(f"a sanitizer or an assertion ended it:\n{done}")


class Archiver:
    """`holdfast archive`, as long as it runs; its words go to a file."""

    def __init__(self, folder, words, env=None, user=None):
        self.words = [*words, "--no-progress"]
        self.log_path = tempfile.mktemp(prefix="archiver-", suffix=".log", dir=folder)
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [*LEASH, *self.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(env), user=user, group=user,
                extra_groups=[] if user is not None else None)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def done(self):
        return Done(self.words, self.process.returncode, "", self.log())

    def alive(self):
        return self.process.poll() is None

    def wait_log(self, pattern, seconds=WAIT_S):
        def seen():
            found = re.search(pattern, self.log())
            if not found and not self.alive() and not re.search(pattern, self.log()):
                raise AssertionError(f"it ended before it said {pattern!r}:\n{self.done()}")
            return found
        try:
            return wait_for(f"{pattern!r} in its log", seen, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.done()}") from None

    def wait_attached(self):
        """The log is followed, and what came before it is archived."""
        self.wait_log("following the log")
        if ": first snapshot" in self.log():
            self.wait_log("snapshot is archived")
        return self

    def wait_end(self, expect, seconds=WAIT_S):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s:\n{self.done()}") from None
        check_sanitizers(self.done())
        if self.process.returncode not in (expect if isinstance(expect, tuple) else (expect,)):
            raise AssertionError(f"expected exit status {expect}:\n{self.done()}")
        return self.log()

    def stop(self, expect=0, seconds=WAIT_S):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end(expect, seconds)

    def kill(self):
        """As a crash does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        check_sanitizers(self.done())


class Writer:
    """One application process of writer.py. Its log tells what it committed, and when."""

    def __init__(self, folder, db, kind, *options, name="writer", python=sys.executable):
        self.log_path = f"{folder}/{name}.log"
        self.err_path = f"{folder}/{name}.err"
        with open(self.err_path, "w") as err, open(self.log_path, "w"):
            self.process = subprocess.Popen(
                [*LEASH, python, f"{HERE}/writer.py", db, self.log_path, kind, *options],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err)

    def stop(self):
        """The current transaction ends; any error that the application saw fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()

    def wait(self):
        """It ends by itself."""
        status = self.process.wait(WAIT_S)
        with open(self.err_path) as f:
            said = f.read()
        if status != 0:
            raise AssertionError(f"the application saw an error (status {status}):\n{said}")

    def commits(self):
        with open(self.log_path) as f:
            return sum(1 for _ in f)


class Case(unittest.TestCase):
    """A folder, a store in it, and the processes of one test."""

    maxDiff = 2000
    base = None  # the folder of its folder, where it must not be $TMPDIR

    def setUp(self):
        self.holdfast = holdfast_path()
        self.folder = tempfile.mkdtemp(prefix="holdfast-e2e-", dir=self.base)
        self.db = f"{self.folder}/app.db"
        self.store = f"{self.folder}/store"
        self.url = f"file://{self.store}"
        self.random = random.Random(f"{SEED} {self.id()}")
        self.processes = []
        self.made = 0
        self.addCleanup(self.end_all)

    def end_all(self):
        for p in self.processes:
            if p.process.poll() is None:
                p.process.kill()
                p.process.wait()
        for p in self.processes:
            if isinstance(p, Archiver):
                check_sanitizers(p.done())
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"{self.id()}: to repeat it: HF_E2E_SEED={SEED}", file=sys.stderr)

    def report(self, text):
        """A figure for people; ctest shows it with -V."""
        print(f"  {self.id().split('.')[-1]}: {text}", flush=True)

    def path(self, name):
        return f"{self.folder}/{name}"

    def new_path(self, suffix=".db"):
        self.made += 1
        return f"{self.folder}/out-{self.made}{suffix}"

    # ---- programs ----

    def hf(self, *words, expect=0, seconds=120, env=None, user=None):
        """Run holdfast to its end and insist on its exit status (or one of several)."""
        done = self.try_hf(*words, seconds=seconds, env=env, user=user)
        expected = expect if isinstance(expect, tuple) else (expect,)
        self.assertIn(done.status, expected, f"expected exit status {expect}:\n{done}")
        return done

    def try_hf(self, *words, seconds=120, env=None, user=None):
        full = [self.holdfast, *words]
        try:
            p = subprocess.run(full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, errors="replace",
                               timeout=seconds, env=environment(env), user=user, group=user,
                               extra_groups=[] if user is not None else None, check=False)
        except subprocess.TimeoutExpired as e:
            self.fail(f"$ {' '.join(full)}\nno end within {seconds} s:\n{e.stdout}\n{e.stderr}")
        done = Done(full, p.returncode, p.stdout, p.stderr)
        check_sanitizers(done)
        return done

    def start_archiver(self, *options, db=None, url=None, attached=True, capture="50ms", env=None,
                       user=None):
        archiver = Archiver(self.folder, [self.holdfast, "archive", db or self.db, url or self.url,
                                          "--capture", capture, *options], env, user)
        self.processes.append(archiver)
        return archiver.wait_attached() if attached else archiver

    def start_writer(self, kind, *options, db=None, python=sys.executable):
        self.made += 1
        writer = Writer(self.folder, db or self.db, kind, *options, name=f"writer-{self.made}",
                        python=python)
        self.processes.append(writer)
        return writer

    def archive_once(self, *options, expect=0, **more):
        return self.hf("archive", self.db, self.url, "--once", "--no-progress", *options,
                       expect=expect, **more)

    # ---- databases ----

    def create(self, path=None, cold_bytes=0, mode=None, page_bytes=4096):
        """The application's database; see model.py. `cold_bytes` of it never change."""
        path = path or self.db
        model.create(path, cold_bytes, page_bytes)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def histories(self, shape="rows"):
        return model.History([w.log_path for w in self.processes if isinstance(w, Writer)], shape)

    # ---- archives ----

    def restore(self, *target, url=None, out=None):
        out = out or self.new_path()
        self.hf("restore", url or self.url, "-o", out, "--no-progress", *target)
        return out

    def assert_same_pages(self, restored, live):
        """Every byte, header included, page by page."""
        a, b = image(restored), image(live)
        size = page_size(live)
        self.assertEqual(len(a) // size, len(b) // size, "number of pages")
        for at in range(0, len(b), size):
            if a[at:at + size] != b[at:at + size]:
                self.fail(f"page {at // size + 1} of {restored} is not that of {live}")

    def assert_restores_to_live(self, url=None, live=None):
        out = self.restore(url=url)
        self.assert_same_pages(out, live or self.db)
        return out

    def assert_whole(self, url=None):
        """Verify finds nothing, and no TXID is missing in the listing."""
        self.hf("verify", url or self.url, "--no-progress")
        done = self.hf("list", url or self.url, "--json")
        self.assertEqual(done.partition["holes"], [])
        self.assertEqual(len(done.partition["runs"]), 1, done.out)
        self.assertEqual(done.partition["runs"][0]["restorable_from_txid"], 1)
        return done.partition

    def objects(self, store=None):
        """(level, min TXID, max TXID) → path, by the names in the store's folder."""
        found = {}
        for folder, _, names in os.walk(f"{store or self.store}/ltx"):
            for name in names:
                first, last = (int(t, 16) for t in name[:-len(".ltx")].split("-"))
                found[(int(os.path.basename(folder)), first, last)] = f"{folder}/{name}"
        return found

    def level0(self, store=None):
        """TXID → path."""
        return {k[2]: v for k, v in sorted(self.objects(store).items()) if k[0] == 0}

    def head(self, store=None):
        return max((k[2] for k in self.objects(store)), default=0)

    def wait_archived(self, archiver, txid=None, url=None):
        """Until the store holds everything that is committed now."""
        target = self.new_path()
        want = image(self.db) if txid is None else None

        def there():
            self.assertTrue(archiver.alive(), archiver.done())
            if txid is not None:
                return self.head() >= txid
            done = self.try_hf("restore", url or self.url, "-o", target, "--force", "--no-progress")
            return done.status == 0 and image(target) == want
        try:
            wait_for("everything archived", there, poll_s=0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{archiver.done()}") from None
        if txid is None:
            os.unlink(target)

    def state_dirs(self, db=None):
        base = f"{self.folder}/.{os.path.basename(db or self.db)}-holdfast"
        return [f"{base}/{name}" for name in sorted(os.listdir(base))]

    def temporaries(self, folder=None):
        """What a restore that failed must not leave."""
        return [n for n in os.listdir(folder or self.folder) if ".holdfast-" in n]

    def assert_no_output(self, path):
        self.assertFalse(os.path.exists(path), f"{path} was made")
        self.assertEqual(self.temporaries(os.path.dirname(path)), [])


class S3Case(Case):
    """The same, on the S3 server that minio-test/with-minio puts into the environment."""

    def setUp(self):
        super().setUp()
        for name in ("HOLDFAST_TEST_S3", "HOLDFAST_TEST_S3_BUCKET", "AWS_ACCESS_KEY_ID"):
            self.assertIn(name, os.environ, "run this by minio-test/with-minio")
        self.endpoint = os.environ["HOLDFAST_TEST_S3"]
        self.bucket = os.environ["HOLDFAST_TEST_S3_BUCKET"]
        self.url = self.s3_url(self.id().split(".")[-1] + f"-{random.SystemRandom().random()}")

    def s3_url(self, prefix, endpoint=None, bucket=None):
        return (f"s3://{bucket or self.bucket}/{prefix}?endpoint={endpoint or self.endpoint}"
                "&region=us-east-1")

    def keys(self, url=None):
        """The archive's, or the store's, in full."""
        return s3_request.Bucket().keys(
            urllib.parse.urlsplit(url or self.url).path.lstrip("/") + "/")

    def objects(self, store=None):
        """(level, min TXID, max TXID) → key; `store` is a URL here."""
        names = ((key, key.split("/")[-2:]) for key in self.keys(store) if key.endswith(".ltx"))
        return {(int(level), *(int(t, 16) for t in name[:-len(".ltx")].split("-"))): key
                for key, (level, name) in names}


class Proxy:
    """A door in front of a server: open, shut (connections are refused), or silent (they are
    taken, and nothing ever comes back)."""

    def __init__(self, endpoint):
        host, port = endpoint.split("//")[1].split(":")
        self.target = (host, int(port))
        self.sockets = set()
        self.lock = threading.Lock()
        self.silent = False
        self.sent_bytes = 0  # to the server
        self.bytes_max = None
        self.listener = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.open()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def silent_after(self, more_bytes):
        """It falls silent by itself when so many bytes have gone to the server."""
        self.bytes_max = self.sent_bytes + more_bytes

    def open(self):
        self.silent = False
        self.bytes_max = None
        if self.listener is None:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.listener.listen(64)
            threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            for s in self.sockets:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
            self.sockets.clear()

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            if self.silent:
                with self.lock:
                    self.sockets.add(near)
                continue
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.sockets |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with self.lock:
                    if self.bytes_max is not None and self.sent_bytes >= self.bytes_max:
                        self.silent = True
                    if sink.getpeername() == self.target and not self.silent:
                        self.sent_bytes += len(data)
                if self.silent:
                    continue
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.sockets.discard(source)
        source.close()


def in_child(uid, fn):
    """fn() in a process of its own under another user; True if it returned without an exception."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            fn()
            status = 0
        except BaseException as e:  # pylint: disable=broad-except
            print(f"child: {e!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- damage ----

def overwrite(path, offset, data):
    """Bytes of a file change behind everybody's back."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, data, offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def read_bytes(path, offset=0, length=None):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


def flip(path, offset):
    overwrite(path, offset, bytes([read_bytes(path, offset, 1)[0] ^ 0x40]))


def main():
    unittest.main(verbosity=2)
