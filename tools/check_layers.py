#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_layers - includes go one way only (docs/ARCHITECTURE.md, "The house").

The one truth is CMakeLists.txt: hf_library(FOLDER USES ...) and hf_program(FOLDER USES ...). A file
in a folder may include its own folder's headers and those of the folders it uses, directly or
through them. Tests and benchmarks may include everything. Beyond that, the engine seam: headers of
src/engine/sqlite are for src/engine and the tests, and so is <sqlite3.h>; everyone else goes
through engine/engine.h.
"""

import os
import re

import tree

DECLARATION = re.compile(r"^hf_(?:library|program)\(([^)]*)\)", re.M)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+([\"<])([^\">]+)[\">]", re.M)
KEYWORDS = {"USES", "LINK", "OUTPUT"}

SEAM = "src/engine"
SEAM_HEADERS = re.compile(r"^engine/sqlite/|^sqlite3(ext)?\.h$")
FREE_FOLDERS = ("tests", "bench", "minio-test", "tools")  # may include any folder
SEAM_FOLDERS = (SEAM, "tests")


def declarations(text):
    """[(folder, [names of the libraries it uses])] in the order of CMakeLists.txt."""
    found = []
    for match in DECLARATION.finditer(re.sub(r"#[^\n]*", "", text)):
        words = match.group(1).split()
        uses, keyword = [], None
        for word in words[1:]:
            if word in KEYWORDS:
                keyword = word
            elif keyword == "USES":
                uses.append(word)
        found.append((words[0], uses))
    return found


def closures(declared):
    """({folder: folders it may include}, findings). A list may name only what stands above it,
    so there can be no cycle."""
    folders, reach, findings = {}, {}, []
    for folder, uses in declared:
        reach[folder] = {folder}
        for name in uses:
            if name not in folders:
                findings.append(f"CMakeLists.txt: {folder} uses {name}, which does not stand above")
                continue
            reach[folder] |= reach[folders[name]]
        folders[os.path.basename(folder)] = folder
    return reach, findings


def owner(path, folders):
    """The declared folder a file lies in; None for tests, tools and the like."""
    for folder in folders:
        if path.startswith(folder + "/"):
            return folder
    return None


def under(path, folders):
    """Does the file lie in one of these folders?"""
    return path.startswith(tuple(folder + "/" for folder in folders))


def resolve(header, path, known):
    """Where a quoted include is found: beside the file, or below one of the include roots."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), header))
    for candidate in (header, "src/" + header, "tests/" + header, beside):
        if candidate in known:
            return candidate
    return None


def check_include(path, quote, header, reach, known):
    """What is wrong with one include; None if nothing is."""
    home = owner(path, reach)
    if SEAM_HEADERS.search(header) and not under(path, SEAM_FOLDERS):
        return f"{header} is behind the engine seam; include engine/engine.h"
    if quote == "<":
        return None
    if home is not None and "/" not in header:
        return f'write the folder too: "{os.path.basename(home)}/{header}"'
    target = resolve(header, path, known)
    if target is None:
        return f'there is no "{header}"'
    target_home = owner(target, reach)
    if home is None:
        if target_home is None or under(path, FREE_FOLDERS):
            return None
        return f"{path.split('/')[0]} is not a folder of the house, but includes {header}"
    if target_home is None:
        return f"{home} may not include {target}"
    if target_home not in reach[home]:
        return f"{home} does not use {target_home} (CMakeLists.txt), but includes {header}"
    return None


def check(root):
    """Findings for all C files of the tree."""
    reach, findings = closures(declarations(tree.read(root, "CMakeLists.txt")))
    if not reach:
        return ["CMakeLists.txt: no hf_library() line found"]
    paths = tree.files(root, ".c", ".h")
    known = set(paths)
    for path in paths:
        text = tree.read(root, path)
        for match in INCLUDE.finditer(text):
            wrong = check_include(path, match.group(1), match.group(2), reach, known)
            if wrong:
                findings.append(f"{path}:{tree.line_of(text, match.start())}: {wrong}")
    return findings


if __name__ == "__main__":
    tree.main(check)
