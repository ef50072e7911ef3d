#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run_tidy - clang-tidy over our C files, one process a file, as many as there are processors.

usage: run_tidy.py BUILD_FOLDER [FILE...]

One file at a time, because clang-tidy 14 reports va_list falsely when given several. What was found
clean is not looked at again until it, any header, .clang-tidy or its compile command changes.
"""

import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys

import tree

TIDY = os.environ.get("CLANG_TIDY", "clang-tidy-14")
ASSUME = "tools/tidy_assume.h"
WITHOUT_ASSUME = {"src/base/err.c"}  # defines what ASSUME replaces


def commands(build, root):
    """{path relative to the root: its compile command}."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        return {os.path.relpath(entry["file"], root): entry["command"]
                for entry in json.load(file)}


def shared_state(root):
    """A hash of all that can change a verdict besides the file itself."""
    state = hashlib.sha256()
    for path in [".clang-tidy", *tree.files(root, ".h")]:
        state.update(path.encode() + b"\0" + tree.read(root, path).encode() + b"\0")
    return state


def tidy(root, build, path):
    """(clean, what clang-tidy printed) for one file."""
    call = [TIDY, "-p", build, "--quiet"]
    if path not in WITHOUT_ASSUME:
        call += ["--extra-arg=-include", "--extra-arg=" + os.path.join(tree.ROOT, ASSUME),
                 "--extra-arg=-I" + os.path.join(tree.ROOT, "src")]
    done = subprocess.run(call + [os.path.join(root, path)], capture_output=True, text=True,
                          check=False)
    return done.returncode == 0, done.stdout if done.stdout.strip() else done.stderr


def run(root, build, only=()):
    """Paths of the files that are not clean; their findings are printed."""
    compiled = commands(build, root)
    cache = os.path.join(build, "tidy")
    os.makedirs(cache, exist_ok=True)
    shared = shared_state(root)

    def look(path):
        state = shared.copy()
        state.update((compiled[path] + tree.read(root, path)).encode())
        stamp = os.path.join(cache, state.hexdigest())
        if os.path.exists(stamp):
            return None
        clean, text = tidy(root, build, path)
        if clean:
            with open(stamp, "w", encoding="utf-8"):
                return None
        return path, text

    paths = [path for path in tree.files(root, ".c") if path in compiled]
    if only:
        paths = [path for path in paths if path in only]
    bad = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(look, paths):
            if found:
                bad.append(found[0])
                print(found[1].rstrip())
    print(f"run_tidy.py: {len(paths)} files, {len(bad)} not clean")
    return bad


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(1 if run(tree.ROOT, os.path.abspath(sys.argv[1]), set(sys.argv[2:])) else 0)
