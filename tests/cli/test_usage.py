# SPDX-License-Identifier: Apache-2.0
"""What holdfast says about itself, and how it refuses what it does not understand.

Goal: the exit status and stream of every answer, help that fits a terminal, and errors that say
what was meant. Method: golden files for the help (rewrite them with UPDATE_GOLDEN=1), a table for
the refusals.
"""

import json
import os
import re
import unittest

from cli import HOLDFAST, PLANNED, ROOT, VERBS, Case, holdfast

GOLDEN = os.path.join(ROOT, "tests", "cli", "golden")

# (words, what the message must say)
REFUSALS = [
    (["restor"], "there is no verb 'restor': did you mean 'restore'?"),
    (["xyzzy"], "there is no verb 'xyzzy'"),
    (["help", "srcub"], "did you mean 'scrub'?"),
    (["restore", "--timestmp", "x"], "restore has no option --timestmp: did you mean --timestamp?"),
    (["list", "--frobnicate"], "list has no option --frobnicate"),
    (["list", "--txid", "1"], "list has no option --txid; restore has"),
    (["--once", "archive"], "--once is an option of a verb and stands behind it"),
    (["-x"], "holdfast has no option -x"),
    (["list", "-json"], "list has no option -j"),
    (["restore", "u", "-o"], "--output needs a value: --output PATH"),
    (["restore", "u", "-o", "a", "--output=b"], "--output is given twice"),
    (["restore", "u", "-o", ""], "--output: the PATH is empty"),
    (["archive", "--once=yes"], "--once takes no value"),
    (["restore", "u", "-o", "a", "--txid", "0"], "'0' is not a TXID"),
    (["restore", "u", "-o", "a", "--txid", "seven"], "'seven' is not a TXID"),
    (["restore", "u", "-o", "a", "--txid", "99999999999999999999"], "is not a TXID"),
    (["restore", "u", "-o", "a", "-t", "yesterday"], "--timestamp: 'yesterday' is not a time"),
    (["restore", "u", "-o", "a", "-t", "2026-01-02T03:04:05"],
     "has no offset: did you mean '2026-01-02T03:04:05Z'"),
    (["restore", "u", "-o", "a", "-t", "2026-01-02T03:04:05Z", "--txid", "1"],
     "expected file:///folder"),
    (["restore", "file:///x"], "restore needs -o"),
    (["archive", "db", "file:///x", "--capture", "1"], "--capture: "),
    (["archive", "db", "file:///x", "--capture", "1ms"], "--capture must be from 50ms to 1h"),
    (["scrub", "db", "file:///x", "--rate", "50"], "--rate: "),
    (["scrub", "db", "file:///x", "--repair"], "--repair is not available yet"),
    (["archive", "db"], "archive needs more: holdfast archive DB URL"),
    (["list"], "list needs more: holdfast list URL"),
    (["list", "a", "b"], "'b' is one word too many for list"),
    (["list", "a", "b", "c", "d"], "one word too many for list"),
    (["list", ""], "an operand is empty"),
    (["list", "/srv/backups"], "'/srv/backups' is no URL"),
    (["list", "http://x/y"], "it has to begin with file://, s3:// or s3+v2://"),
    (["list", "--", "--json"], "'--json' is no URL"),
    (["config", "check"], "config needs the file"),
    (["config", "chekc", "-c", "/dev/null"], ""),
]


class Refusals(Case):
    """Wrong words are refused on stderr, with exit status 2."""

    def test_each_wrong_command_line_says_what_is_wrong(self):
        for words, message in REFUSALS:
            with self.subTest(words=words):
                answer = self.expect(2, *words)
                self.assertEqual(answer.stdout, "")
                self.assertIn(message, answer.stderr)

    def test_refusals_of_words_point_at_the_help(self):
        self.assertIn("Try 'holdfast restore --help'.", self.expect(2, "restore", "-y").stderr)
        self.assertIn("Try 'holdfast --help'.", self.expect(2, "restor").stderr)

    def test_planned_verbs_are_known_and_not_available(self):
        for verb in PLANNED:
            for words in ([verb], [verb, "a", "b"], ["help", verb]):
                self.assertIn(f"'{verb}' is not available yet", self.expect(2, *words).stderr)

    def test_an_error_is_one_json_object_too(self):
        for words in (["restor"], ["list", "--frobnicate"], ["list", "file:///nonexistent/x"]):
            answer = self.expect(2, "--json", *words)
            said = json.loads(answer.stdout)
            self.assertEqual(said["schema"], 1)
            self.assertEqual(set(said["error"]), {"code", "message"})
            self.assertIn(said["error"]["message"], answer.stderr)
            self.assertIn(said["error"]["code"], ("usage", "not_found"))

    def test_control_characters_of_a_name_do_not_reach_the_terminal(self):
        answer = self.expect(2, "list", "a\x1b[31mb\nc")
        self.assertNotIn("\x1b", answer.stderr)
        self.assertIn("a?[31mb?c", answer.stderr)


class Help(Case):
    """Help goes to stdout, with exit status 0, and fits 80 columns."""

    def texts(self):
        """(name, text) of the overview and of each verb."""
        yield "overview", self.expect(0).stdout
        for verb in VERBS:
            yield verb, self.expect(0, verb, "--help").stdout

    def test_help_is_as_it_was_reviewed(self):
        for name, text in self.texts():
            path = os.path.join(GOLDEN, name + ".txt")
            if os.environ.get("UPDATE_GOLDEN"):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(text, file.read(), f"{path} (UPDATE_GOLDEN=1 rewrites it)")

    def test_help_fits_a_terminal_of_80_columns(self):
        for name, text in self.texts():
            for line in text.splitlines():
                self.assertLess(len(line), 80, f"{name}: {line}")
                self.assertEqual(line, line.rstrip(), name)

    def test_all_ways_to_ask_give_the_same_text(self):
        overview = self.expect(0).stdout
        for words in (["help"], ["--help"], ["-h"], ["--help", "--json"], ["--help", "--quiet"]):
            self.assertEqual(self.expect(0, *words).stdout, overview)
        for verb in VERBS:
            text = self.expect(0, verb, "--help").stdout
            for words in (["help", verb], [verb, "-h"], ["-h", verb], [verb, "a", "b", "-h"]):
                self.assertEqual(self.expect(0, *words).stdout, text)

    def test_help_says_nothing_on_stderr(self):
        for words in ([], ["--help"], ["help", "list"], ["--version"], ["--man"]):
            self.assertEqual(self.expect(0, *words).stderr, "")

    def test_the_overview_has_all_verbs_and_plans_no_more_than_it_says(self):
        text = self.expect(0).stdout
        verbs = re.findall(r"^  ([a-z]+)  ", text.split("Verbs:")[1].split("Planned:")[0], re.M)
        planned = re.split(r",\s+", text.split("Planned: ")[1].split("\n\n")[0])
        self.assertEqual(verbs, VERBS)
        self.assertEqual(planned, PLANNED)

    def test_the_examples_of_the_help_are_understood(self):
        for _, text in self.texts():
            for line in text.partition("Examples:\n")[2].splitlines():
                answer = self.holdfast(*line.split()[1:])
                self.assertNotIn("Try 'holdfast", answer.stderr, line)

    def test_the_version_is_the_projects(self):
        with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
            version = re.search(r"VERSION ([0-9.]+) LANGUAGES", file.read()).group(1)
        self.assertEqual(self.expect(0, "--version").stdout, f"holdfast {version}\n")


class Streams(Case):
    """What cannot be written is an error."""

    def test_a_full_disk_under_stdout_is_not_a_success(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            answer = self.run_to(full, "--help")
        self.assertEqual(answer.returncode, 3)
        self.assertIn("standard output", answer.stderr)

    def test_a_reader_that_went_away_is_not_a_success(self):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as gone:
            answer = self.run_to(gone, "help", "list")
        self.assertEqual(answer.returncode, 3)
        self.assertIn("Broken pipe", answer.stderr)

    def run_to(self, stdout, *words):
        """Run with a standard output of our own."""
        import subprocess
        return subprocess.run([HOLDFAST, *words], stdout=stdout, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)


if __name__ == "__main__":
    unittest.main()
