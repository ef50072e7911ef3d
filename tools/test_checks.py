#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_checks - each check finds what it is there to find, and only that.

Goal: no check can rot into one that always passes.
Method: a small tree that is right, of which each case breaks one thing; the finding must name the
file, the line and the thing. The right tree must be found clean by every check.
"""

import contextlib
import io
import json
import os
import tempfile
import unittest

import check_banned
import check_format
import check_layers
import check_style
import run_tidy
import tree

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"

CMAKE = """# SPDX-License-Identifier: Apache-2.0
# hf_library(src/commented USES nothing)
hf_library(src/base LINK Threads::Threads)
hf_library(src/store USES base LINK ${S3_LIBRARY})
hf_library(src/engine USES base store
           LINK PkgConfig::SQLITE)
hf_library(archiver USES base store engine)
hf_program(cli OUTPUT holdfast USES archiver)
"""

GOOD = {
    "CMakeLists.txt": CMAKE,
    "src/base/err.h": SPDX + "/* err.h - errors. */\n\n/* Why. */\nint hf_err(void);\n",
    "src/base/alloc.c": SPDX + "/* alloc.c - memory. */\n#include <stdlib.h>\n\n"
                               "void *hf_malloc(void)\n{\n    return malloc(1);\n}\n",
    "src/store/store.h": SPDX + "/* store.h - keys. */\n#include \"base/err.h\"\n",
    "src/engine/engine.h": SPDX + "/* engine.h - the seam. */\n",
    "src/engine/sqlite/wal.h": SPDX + "/* wal.h - frames. */\n#include <sqlite3.h>\n",
    "src/engine/sqlite/wal.c": SPDX + "/* wal.c - frames. */\n#include \"engine/sqlite/wal.h\"\n"
                                      "#include \"store/store.h\"\n",
    "archiver/archiver.c": SPDX + "/* archiver.c - work. */\n#include \"engine/engine.h\"\n",
    "cli/main.c": SPDX + "/* main.c - verbs, by way of the archiver. */\n"
                         "#include \"store/store.h\"\n",
    "tests/unit/test_wal.c": SPDX + "/* Goal: ... */\n#include \"engine/sqlite/wal.h\"\n",
    "tools/x.py": "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\n\"\"\"x.\"\"\"\n",
}


class Tree:
    """A tree of files in a temporary folder: the good one and our settings, with changes."""

    def __init__(self, changes=None):
        self.folder = tempfile.TemporaryDirectory(prefix="holdfast-checks-")
        settings = {path: tree.read(tree.ROOT, path) for path in (".clang-format", ".clang-tidy")}
        for path, text in {**settings, **GOOD, **(changes or {})}.items():
            full = os.path.join(self.folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)

    def __enter__(self):
        return self.folder.name

    def __exit__(self, *unused):
        self.folder.cleanup()


class Checks(unittest.TestCase):
    """What all cases need."""

    def clean(self, check, changes=None):
        with Tree(changes) as root, contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(check(root), [])

    def finds(self, check, path, text, *expected):
        """The file's finding begins with its path and says each of the words expected."""
        with Tree({path: text}) as root, contextlib.redirect_stdout(io.StringIO()):
            findings = check(root)
        self.assertEqual(len(findings), 1, findings)
        self.assertTrue(findings[0].startswith(path + ":"), findings)
        for words in expected:
            self.assertIn(words, findings[0])


class Layers(Checks):
    """Includes and the lists they are held against."""

    def test_the_good_tree_is_clean(self):
        self.clean(check_layers.check)

    def test_lists_are_read_without_their_other_words(self):
        self.assertEqual(check_layers.declarations(CMAKE)[2:], [
            ("src/engine", ["base", "store"]), ("archiver", ["base", "store", "engine"]),
            ("cli", ["archiver"])])

    def test_an_include_that_goes_up_is_found(self):
        self.finds(check_layers.check, "src/base/err.h",
                   GOOD["src/base/err.h"] + "#include \"store/store.h\"\n",
                   ":6:", "src/base does not use src/store")

    def test_one_service_in_another_is_found(self):
        with Tree({"CMakeLists.txt": CMAKE + "hf_library(scrubber USES base)\n",
                   "scrubber/a.c": SPDX + "#include \"archiver/archiver.h\"\n",
                   "archiver/archiver.h": SPDX}) as root:
            self.assertEqual(check_layers.check(root), [
                "scrubber/a.c:2: scrubber does not use archiver (CMakeLists.txt), but includes "
                "archiver/archiver.h"])

    def test_the_engine_seam_holds(self):
        for header in ('"engine/sqlite/wal.h"', "<sqlite3.h>"):
            self.finds(check_layers.check, "archiver/archiver.c", SPDX + f"#include {header}\n",
                       ":2:", "behind the engine seam")

    def test_a_folder_outside_the_house_may_not_use_it(self):
        self.finds(check_layers.check, "extra/a.c", SPDX + "#include \"store/store.h\"\n",
                   "extra is not a folder of the house")

    def test_a_header_that_is_not_there_is_found(self):
        self.finds(check_layers.check, "cli/main.c", SPDX + "#include \"store/stroe.h\"\n",
                   'there is no "store/stroe.h"')

    def test_a_bare_name_is_found(self):
        self.finds(check_layers.check, "src/store/store.h", SPDX + "#include \"store.h\"\n",
                   'write the folder too: "store/store.h"')

    def test_a_header_of_the_tests_in_the_product_is_found(self):
        with Tree({"tests/lib/fixture.h": SPDX,
                   "cli/main.c": SPDX + "#include \"lib/fixture.h\"\n"}) as root:
            self.assertEqual(check_layers.check(root),
                             ["cli/main.c:2: cli may not include tests/lib/fixture.h"])

    def test_a_cycle_of_the_lists_is_found(self):
        text = CMAKE.replace("src/base LINK", "src/base USES store LINK")
        self.finds(check_layers.check, "CMakeLists.txt", text, "src/base uses store")

    def test_lists_that_went_away_are_found(self):
        self.finds(check_layers.check, "CMakeLists.txt", "# nothing\n", "no hf_library() line")


class Banned(Checks):
    """Calls, in code only."""

    def test_the_good_tree_is_clean(self):
        self.clean(check_banned.check)

    def test_every_banned_call_is_found(self):
        for name in check_banned.INSTEAD:
            self.finds(check_banned.check, "cli/main.c", SPDX + f"\nint a = {name} (b);\n",
                       ":3:", name + "()")

    def test_words_are_not_calls(self):
        self.clean(check_banned.check, {"cli/main.c": SPDX + """
/* Calls free(x) and strcpy(a, b). */
// sprintf(a)
const char *s = "malloc(1) \\" goto rand()";
char c = '"';
int hf_free(int), xfree(int), free_all(int);
int a = s->free(x) + s.free(x);
struct ops { void (*free)(struct hf_store *s); };
int no_goto_here;
"""})

    def test_jumps_and_macros_are_found(self):
        for line in ("goto out;", "#include <assert.h>", "#pragma once", "#  pragma  once"):
            self.finds(check_banned.check, "src/store/store.h", SPDX + line + "\n", ":2:")


class Style(Checks):
    """Heads, lines, prototypes, lengths."""

    def test_the_good_tree_is_clean(self):
        self.clean(check_style.check)

    def test_a_missing_licence_line_is_found(self):
        self.finds(check_style.check, "cli/main.c", "/* main.c - verbs. */\n", ":1:", "SPDX")
        self.finds(check_style.check, "tools/x.py", "\"\"\"x.\"\"\"\n", ":1:", "SPDX")
        self.finds(check_style.check, "tools/script", "#!/bin/bash\n# a script\n", ":1:", "SPDX")

    def test_a_missing_file_comment_is_found(self):
        self.finds(check_style.check, "cli/main.c", SPDX + "int a;\n", ":2:", "what this file is")

    def test_bad_lines_are_found(self):
        # The note is put together here, or it would be found in this file.
        for line, words in ((" " * 98 + "int;", "102 columns"), ("int\ta;", "a tab"),
                            ("int a; ", "blanks at the end"), ("/* FIX" "ME */", "FIX" "ME"),
                            ("/* TO" "DO: later */", "TO" "DO")):
            self.finds(check_style.check, "cli/main.c", GOOD["cli/main.c"] + line + "\n", ":4:",
                       words)

    def test_a_line_of_the_longest_width_is_taken(self):
        self.clean(check_style.check, {"cli/main.c": GOOD["cli/main.c"] + " " * 96 + "int;\n"})

    def test_prototypes_without_words_are_found(self):
        for text in ("\nint hf_a(void);\n", "\nstruct hf_x *hf_a(int b,\n              int c);\n",
                     "\nint hf_a(void)\n    __attribute__((unused));\n"):
            self.finds(check_style.check, "src/engine/engine.h", GOOD["src/engine/engine.h"] + text,
                       ":4:", "hf_a() needs a comment")

    def test_prototypes_with_words_are_taken(self):
        self.clean(check_style.check, {"src/engine/engine.h": GOOD["src/engine/engine.h"] + """
/* Why. */
int hf_a(void);
int hf_b(int x,
         int y);

int hf_c(void); /* because */

/* A thing. */
struct hf_d {
    int (*call)(int x);
};
int hf_d_make(struct hf_d *d);

void hf_d_done(struct hf_d *d);

static inline int hf_e(void)
{
    return hf_a();
}

typedef int hf_fn(int x);
"""})

    def test_a_function_over_the_ceiling_is_found(self):
        def function(lines):
            body = "    a++;\n" * (lines - 3)
            return GOOD["cli/main.c"] + f"\nstatic int grow(int a)\n{{\n{body}}}\n"
        self.clean(check_style.check, {"cli/main.c": function(check_style.FUNCTION_LINES_MAX)})
        self.finds(check_style.check, "cli/main.c", function(check_style.FUNCTION_LINES_MAX + 1),
                   ":5:", "grow() has 121 lines")


class Tools(Checks):
    """The checks that ask clang."""

    def test_badly_formatted_code_is_found(self):
        self.clean(check_format.check)
        self.finds(check_format.check, "cli/main.c", SPDX + "int  a;\n", "clang-format")

    def tidy(self, code):
        """The files that clang-tidy complains of, asked twice so that the cache is met."""
        with Tree({"cli/main.c": SPDX + code}) as root:
            path = os.path.join(root, "cli/main.c")
            with open(os.path.join(root, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump([{"directory": root, "file": path, "command": f"cc -c {path}"}], file)
            with contextlib.redirect_stdout(io.StringIO()):
                first, second = run_tidy.run(root, root), run_tidy.run(root, root)
        self.assertEqual(first, second)
        return first

    def test_a_null_pointer_is_found(self):
        code = "int a(int *p);\nint a(int *p)\n{\n    if (!p)\n        return *p;\n" \
               "    return 0;\n}\n"
        self.assertEqual(self.tidy(code), ["cli/main.c"])
        self.assertEqual(self.tidy(code.replace("!p", "p")), [])

    def test_an_error_is_known_not_to_be_ok(self):
        code = """
static enum hf_code get(int **ret, struct hf_err *err)
{
    static int x;

    if (err->text[0] != 0)
        return hf_err_set(err, HF_IO, "no");
    *ret = &x;
    return HF_OK;
}

int use(struct hf_err *err);
int use(struct hf_err *err)
{
    int *p = 0;

    if (get(&p, err) != HF_OK)
        return 0;
    return *p;
}
"""
        self.assertEqual(self.tidy(code), [])
        self.assertEqual(self.tidy(code.replace("HF_IO", "HF_OK")), ["cli/main.c"])


if __name__ == "__main__":
    unittest.main()
