# SPDX-License-Identifier: Apache-2.0
"""The manual page, the help and the completion know the same options.

Goal: no option that works is missing from any of them, and none is described that does not work.
Method: the option table is read back from --help, and each of its rows is looked for in the man
page, in the completion, and in the parser.
"""

import os
import re
import subprocess
import unittest

from cli import ROOT, VERBS, Case

PAGE = os.path.join(ROOT, "docs", "man", "holdfast.1")
OPTION = re.compile(r"^  (?:-(\w), |    )--([a-z-]+)(?: ([A-Z]+))?", re.M)


class Man(Case):
    """holdfast(1) and the tables."""

    def options(self, verb):
        """[(letter, name, argument)] of a verb's help."""
        return OPTION.findall(self.expect(0, verb, "--help").stdout)

    def section(self, verb):
        """The verb's part of the page, and that of options of every verb."""
        page = self.page().replace("\\-", "-")
        own = page.split(f"\n.SS {verb}\n")[1].split("\n.SS ")[0]
        return own + page.split(".SH OPTIONS OF EVERY VERB")[1].split(".SH ")[0]

    def page(self):
        """The page that lies in the tree."""
        with open(PAGE, encoding="utf-8") as file:
            return file.read()

    def test_the_page_in_the_tree_is_made_from_the_tables(self):
        made = self.expect(0, "--man").stdout
        if os.environ.get("UPDATE_GOLDEN"):
            with open(PAGE, "w", encoding="utf-8") as file:
                file.write(made)
        self.assertEqual(made, self.page(), f"make it again: holdfast --man > {PAGE}")

    def test_each_option_is_on_the_page_with_its_letter_and_argument(self):
        for verb in VERBS:
            options = self.options(verb)
            self.assertGreaterEqual(len(options), 7)
            for letter, name, argument in options:
                row = rf"\\fB--{name}\\fR" + (rf" \\fI{argument}\\fR" if argument else r"\n")
                if letter:
                    row = rf"\\fB-{letter}\\fR, " + row
                self.assertRegex(self.section(verb), row, f"{verb} --{name}")

    def test_the_page_describes_no_option_that_help_does_not(self):
        for verb in VERBS:
            on_page = re.findall(r"\\fB--([a-z-]+)\\fR", self.section(verb))
            self.assertEqual(sorted(on_page), sorted(name for _, name, _ in self.options(verb)))

    def test_each_option_is_taken_by_the_parser(self):
        for verb in VERBS:
            for letter, name, argument in self.options(verb):
                for word in [f"--{name}"] + ([f"-{letter}"] if letter else []):
                    answer = self.holdfast(verb, word, *(["1"] if argument else []), "--help")
                    self.assertNotIn("has no option", answer.stderr)
                    if argument:
                        answer = self.expect(2, verb, word)
                        self.assertIn(f"--{name} needs a value", answer.stderr)

    def test_each_option_is_completed(self):
        script = self.expect(0, "--completion", "bash").stdout
        for verb in VERBS:
            words = self.complete(script, ["holdfast", verb, "--"])
            self.assertEqual(sorted(words), sorted(f"--{n}" for _, n, _ in self.options(verb)))
        self.assertEqual(sorted(self.complete(script, ["holdfast", ""])), sorted(VERBS))
        self.assertEqual(self.complete(script, ["holdfast", "re"]), ["restore", "rebuild"])

    def complete(self, script, words):
        """What bash would offer for the last of the words."""
        done = subprocess.run(
            ["bash", "-c", script + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; '
             'printf "%s\\n" "${COMPREPLY[@]}"', "bash", *words],
            capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_no_line_of_the_page_can_be_taken_for_a_request_by_mistake(self):
        for line in self.page().splitlines():
            self.assertFalse(line.startswith("'"), line)
            if line.startswith("."):
                self.assertRegex(line, r"^\.(\\\"|TH|SH|SS|TP|PP|nf|fi)", line)


if __name__ == "__main__":
    unittest.main()
