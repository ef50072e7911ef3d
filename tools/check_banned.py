#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_banned - calls that the house does without, and what to use instead.

A grep for calls, outside comments and strings; not #pragma GCC poison, which breaks system headers
(rand is a field's name in <openssl/evp.h>). src/base wraps these functions and is left out.
"""

import re

import tree

FREE_FOLDER = "src/base/"

MEMORY = "base/alloc.h"
LENGTH = "base/buf.h or snprintf()"
TIME = "base/clock.h"
RANDOM = "base/rand.h"

INSTEAD = {
    "malloc": MEMORY, "calloc": MEMORY, "realloc": MEMORY, "reallocarray": MEMORY, "free": MEMORY,
    "strdup": MEMORY, "strndup": MEMORY, "asprintf": MEMORY, "vasprintf": MEMORY,
    "posix_memalign": MEMORY, "aligned_alloc": MEMORY, "alloca": MEMORY,
    "strcpy": LENGTH, "strcat": LENGTH, "strncat": LENGTH, "sprintf": LENGTH, "vsprintf": LENGTH,
    "gets": LENGTH,
    "strtok": "strcspn() or strtok_r()",
    "atoi": "strtol() or strtoull() with its checks", "atol": "strtol() with its checks",
    "atoll": "strtoll() with its checks", "atof": "strtod() with its checks",
    "gmtime": TIME, "localtime": TIME, "ctime": TIME, "asctime": TIME,
    "usleep": TIME, "sleep": TIME, "nanosleep": TIME,
    "rand": RANDOM, "srand": RANDOM, "random": RANDOM, "srandom": RANDOM,
    "setjmp": "a result code", "longjmp": "a result code",
    "assert": "hf_assert() of base/check.h, which stays on in every build",
    "exit": "a result code; only main() decides the exit status, by return",
}

# Not behind a member access; not a declaration of a field that is a function pointer: (*free)(.
CALL = re.compile(r"(?<![\w.>])(?<!\bstruct )(" + "|".join(INSTEAD) + r")[ \t]*\(")
OTHER = [
    (re.compile(r"\bgoto\b"), "goto: return early, and let HF_CLEANUP release what is owned"),
    (re.compile(r"#[ \t]*include[ \t]*<assert\.h>"), "<assert.h>: " + INSTEAD["assert"]),
    (re.compile(r"#[ \t]*pragma[ \t]+once\b"),
     "#pragma once: write an include guard, HF_FOLDER_FILE_H"),
]


def check(root):
    """Findings for all C files of the tree outside src/base."""
    findings = []
    for path in tree.files(root, ".c", ".h"):
        if path.startswith(FREE_FOLDER):
            continue
        text = tree.blank(tree.read(root, path))
        for match in CALL.finditer(text):
            name = match.group(1)
            findings.append((path, tree.line_of(text, match.start()),
                             f"{name}() is not used here: {INSTEAD[name]}"))
        for pattern, why in OTHER:
            for match in pattern.finditer(text):
                findings.append((path, tree.line_of(text, match.start()), why))
    return [f"{path}:{line}: {why}" for path, line, why in sorted(findings)]


if __name__ == "__main__":
    tree.main(check)
