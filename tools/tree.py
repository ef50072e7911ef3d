# SPDX-License-Identifier: Apache-2.0
"""tree - what the checks share: which files are ours, C without its comments, how to report.

A check is a function that takes the root of a tree and returns findings, one line of text each,
"path:line: what is wrong". Run as a program it prints them and exits 1 if there are any. So
test_checks.py can hand it a small broken tree and see that it finds what is broken.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED_FOLDERS = {".git", "build", "__pycache__"}

# Comments, strings and character constants; the longest first.
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def files(root, *endings):
    """Paths below root, relative and sorted, of the files that git tracks or does not ignore."""
    try:
        listing = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        listing = ""  # no git, or not a checkout: an unpacked source archive
    found = set(listing.split("\0")) - {""} or walk(root)
    return sorted(path for path in found
                  if path.endswith(endings or ("",)) and os.path.isfile(os.path.join(root, path)))


def walk(root):
    """Paths of all files below root, without those of SKIPPED_FOLDERS."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found.update(os.path.relpath(os.path.join(folder, name), root) for name in names)
    return found


def read(root, path):
    """The file's text; bytes that are not UTF-8 become something that no rule allows."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(text):
    """C source with comments, strings and constants replaced by spaces; lines stay where they are.

    A string keeps its quotes, so that #include "x.h" can still be told from code.
    """
    def spaces(match):
        token = match.group()
        inner = re.sub(r"[^\n]", " ", token)
        if token[0] in "\"'":
            return token[0] + inner[1:-1] + token[0]
        return inner
    return TOKEN.sub(spaces, text)


def line_of(text, offset):
    """The line number, from 1, of an offset in text."""
    return text.count("\n", 0, offset) + 1


def main(check):
    """Run a check on this tree, or on the one named; end the program with its verdict."""
    root = sys.argv[1] if len(sys.argv) > 1 else ROOT
    findings = check(root)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{os.path.basename(sys.argv[0])}: {len(findings)} found")
    sys.exit(1 if findings else 0)
