#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_format - every C file is as clang-format 14 would write it; `./dev format` writes it so."""

import os
import subprocess

import tree

FORMAT = os.environ.get("CLANG_FORMAT", "clang-format-14")


def check(root):
    """The first place of each file that clang-format would change."""
    paths = [os.path.join(root, path) for path in tree.files(root, ".c", ".h")]
    done = subprocess.run([FORMAT, "--dry-run", "-Werror", *paths], capture_output=True, text=True,
                          check=False)
    first = {}
    for line in done.stderr.split("\n"):
        if ": error: " in line:
            place = line.replace(root + "/", "")
            first.setdefault(place.split(":", 1)[0], place)
    if done.returncode != 0 and not first:
        return [f"{FORMAT}: {done.stderr.strip()}"]
    return [first[path] for path in sorted(first)]


if __name__ == "__main__":
    tree.main(check)
