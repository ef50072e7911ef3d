#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_style - what clang-format does not see.

Every source file begins with its SPDX line and says what it is; lines end at 100 columns; no tabs;
no notes to ourselves left behind; every prototype of a header is commented, alone or with its
group; no function is endless. The five longest functions are printed each time.
"""

import os
import re

import tree

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 120
LONGEST_SHOWN = 5

C_SPDX = "/* SPDX-License-Identifier: Apache-2.0 */"
HASH_SPDX = "# SPDX-License-Identifier: Apache-2.0"
C_ENDINGS = (".c", ".h")
HASH_ENDINGS = (".py", ".sh", ".cmake", "CMakeLists.txt")

# Split, so that this file does not find itself.
NOTE = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
PROTOTYPE = re.compile(
    r"^(?!static\b|typedef\b|return\b)[A-Za-z_][\w \t*]*[ \t*]\w+\([^{}=;]*;", re.M)
SELF_EXPLAINING = re.compile(r"_(done|free|free_ptr|reset)$")


def is_script(root, path):
    """A program without ending, told by its first two bytes: ./dev and the like."""
    if "." in os.path.basename(path) and not path.endswith("/run"):
        return False
    with open(os.path.join(root, path), "rb") as file:
        return file.read(2) == b"#!"


def check_head(path, lines, is_c):
    """The SPDX line is there, and a comment behind it says what the file is."""
    if not is_c and lines and lines[0].startswith("#!"):
        lines = lines[1:]
    spdx = C_SPDX if is_c else HASH_SPDX
    if not lines or lines[0] != spdx:
        return [f"{path}:1: the first line must be {spdx}"]
    begins = ("/*",) if is_c else ("#", '"""', 'r"""')
    if len(lines) < 2 or not lines[1].startswith(begins):
        if not path.endswith("CMakeLists.txt"):  # a list that needs no more than its name
            return [f"{path}:2: a comment must say what this file is"]
    return []


def check_lines(path, lines):
    """Width, tabs, trailing blanks, notes to ourselves."""
    findings = []
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            findings.append(f"{path}:{number}: {len(line)} columns; the most is {COLUMNS_MAX}")
        if "\t" in line:
            findings.append(f"{path}:{number}: a tab")
        if line != line.rstrip():
            findings.append(f"{path}:{number}: blanks at the end of the line")
        note = NOTE.search(line)
        if note:
            findings.append(f"{path}:{number}: {note.group(1)}: do it, or open an issue")
    return findings


def check_prototypes(path, text):
    """Each prototype has a comment above or behind it, or above it in its group.

    A group is a run of lines without an empty one: a struct with its functions, or functions that
    one comment speaks of. Names that always mean the same (_done, _free, _reset) need no words.
    """
    findings, lines, code = [], text.split("\n"), tree.blank(text)
    for match in PROTOTYPE.finditer(code):
        name = re.search(r"(\w+)\(", match.group()).group(1)
        if in_braces(code, match.start()) or SELF_EXPLAINING.search(name):
            continue
        first = tree.line_of(code, match.start())
        last = tree.line_of(code, match.end() - 1)
        group = first
        while group > 1 and lines[group - 2].strip():
            group -= 1
        words = "\n".join(lines[group - 1:first - 1]) + lines[last - 1]
        if "/*" not in words.replace(C_SPDX, ""):
            findings.append(f"{path}:{first}: {name}() needs a comment directly above it")
    return findings


def in_braces(code, offset):
    """Is the offset inside a struct, an enum or a function?"""
    return code.count("{", 0, offset) > code.count("}", 0, offset)


def functions(path, text):
    """[(lines, path, line, name)] of the functions: from the name's line to the closing brace."""
    found, lines = [], tree.blank(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{") and not line.rstrip().endswith(";"):
            start = number
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 1 and re.match(r"[^}#\s]|[ ]+\S", lines[head - 2]):
                head -= 1  # up to what ends the thing before: an empty line, a brace, a directive
            name = re.search(r"(\w+)\(", " ".join(lines[head - 1:start]))
            found.append((number - head + 1, path, head, name.group(1) if name else "?"))
            start = None
    return found


def check(root):
    """Findings for all source files of the tree."""
    findings, all_functions = [], []
    paths = tree.files(root)
    for path in paths:
        is_c = path.endswith(C_ENDINGS)
        if not is_c and not path.endswith(HASH_ENDINGS) and not is_script(root, path):
            continue
        text = tree.read(root, path)
        lines = text.split("\n")
        findings += check_head(path, lines, is_c)
        findings += check_lines(path, lines)
        if path.endswith(".h"):
            findings += check_prototypes(path, text)
        if path.endswith(".c"):
            all_functions += functions(path, text)
    all_functions.sort(reverse=True)
    for length, path, line, name in all_functions[:LONGEST_SHOWN]:
        print(f"longest functions: {length:4} lines  {path}:{line} {name}()")
    for length, path, line, name in all_functions:
        if length > FUNCTION_LINES_MAX:
            findings.append(f"{path}:{line}: {name}() has {length} lines; the most is "
                            f"{FUNCTION_LINES_MAX}")
    return findings


if __name__ == "__main__":
    tree.main(check)
