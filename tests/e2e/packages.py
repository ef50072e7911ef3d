# SPDX-License-Identifier: Apache-2.0
"""A Python with the packages of requirements.txt, for applications that are not ours.

Goal:   python() is the path of an interpreter that has exactly what requirements.txt pins.
Method: a virtual environment of the interpreter that runs the tests, made once by pip and kept in
        $XDG_CACHE_HOME/holdfast-test (else ~/.cache) under a name that tells interpreter and
        requirements; whoever comes while it is made waits. Where it cannot be had the tests fail,
        with what pip said.
"""
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, "requirements.txt")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "holdfast-test")
SECONDS_MAX = 400


def run(*words):
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise AssertionError(f"{' '.join(words)}: {e}") from None
    if done.returncode != 0:
        raise AssertionError(f"the packages of {REQUIREMENTS} cannot be had: {' '.join(words)}: "
                             f"exit status {done.returncode}\n{done.stdout}")


def make(folder):
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", folder)
    run(f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--only-binary", ":all:", "--no-deps", "-r", REQUIREMENTS)
    run(f"{folder}/bin/python", "-m", "pip", "check", "--disable-pip-version-check")
    with open(f"{folder}/complete", "w", encoding="utf-8"):
        pass


@functools.cache
def python():
    with open(REQUIREMENTS, "rb") as f:
        key = hashlib.sha256(f.read() + sys.version.encode() + sys.prefix.encode()).hexdigest()[:16]
    folder = os.path.join(CACHE, f"python-{key}")
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(f"{folder}/complete"):
            make(folder)
    return f"{folder}/bin/python"
