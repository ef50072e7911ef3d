# SPDX-License-Identifier: Apache-2.0
"""README.md says what happens.

Goal:   each command of a block marked `<!-- run -->` does what the block shows.
Method: the commands run in order, in one shell and one folder; a line of output is compared with
        the printed one, in which any number, time, size and name of a folder may be another. "..."
        stands for any lines. Blocks `<!-- run: s3 -->` have the test server's address put in, and
        `<!-- file: NAME -->` is written. Links to files of this tree lead somewhere.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOLDFAST = os.path.abspath(os.environ["HOLDFAST"])
END = "== end of a command =="
BLOCK = re.compile(r"^<!-- (run|run: s3|file: [\w.]+) -->\n```(\w+)\n(.*?)^```$", re.M | re.S)
SECONDS_MAX = 60

# What may differ from run to run, in the order in which it is looked for.
VARIABLE = [
    (r"file:///\S*?(?=[:\s]|$)", r"file:///\S*?"),
    (r"lineage [0-9a-f]+", r"lineage [0-9a-f]+"),
    (r"\d[\d.,]* (?:B|KiB|MiB)\b", r"\d[\d.,]* (?:B|KiB|MiB)"),
    (r"from the device", r"(?:from the device|but not from the device: .*)"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    (r"skew of \d+ ms", r"skew of \d.*"),
    (r"\s+", r"\s+"),
]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def pattern_of(line):
    """A regular expression of what a printed line stands for; one may end in " ..."."""
    if line.endswith(" ..."):
        return pattern_of(line[:-len("...")].rstrip()) + ".*"
    made, at = "", 0
    finder = re.compile("|".join(f"({wanted})" for wanted, _ in VARIABLE))
    for m in finder.finditer(line):
        made += re.escape(line[at:m.start()]) + VARIABLE[m.lastindex - 1][1]
        at = m.end()
    return made + re.escape(line[at:])


def steps_of(block):
    """(command, lines printed) of a block."""
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line.rstrip())
    return steps


def matches(expected, found):
    """Do the lines found follow the lines expected, of which "..." stands for any?"""
    if not expected:
        return not found
    if expected[0] == "...":
        return any(matches(expected[1:], found[i:]) for i in range(len(found) + 1))
    return bool(found) and re.fullmatch(pattern_of(expected[0]), found[0]) is not None \
        and matches(expected[1:], found[1:])


class Shell:
    """One bash for all commands, so that jobs and variables last."""

    def __init__(self, folder, env):
        self.errors = open(os.path.join(folder, ".errors"), "w+", encoding="utf-8")
        self.bash = subprocess.Popen(["timeout", str(SECONDS_MAX), "bash", "--norc"], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.errors, cwd=folder, env=env)

    def run(self, command):
        """(lines printed, exit status)."""
        self.bash.stdin.write(f"{command}\necho '{END}' $?\n")
        self.bash.stdin.flush()
        lines = []
        for line in self.bash.stdout:
            if line.startswith(END):
                return lines, int(line[len(END):])
            lines.append(line.rstrip())
        raise AssertionError(f"no end of: {command}; after {SECONDS_MAX} s?\n{self.said()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def stop(self):
        self.bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        self.bash.stdin.close()
        self.bash.stdout.close()
        self.bash.wait()
        self.errors.close()


class Readme(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="holdfast-readme-"))
        self.addCleanup(shutil.rmtree, self.folder)
        programs = os.path.join(self.folder, ".bin")
        os.makedirs(programs)
        os.symlink(HOLDFAST, os.path.join(programs, "holdfast"))
        env = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}", HOME=self.folder)
        self.shell = Shell(self.folder, env)
        self.addCleanup(self.shell.stop)

    def placed(self, text):
        """`text` with what the README supposes replaced by what is here."""
        server, bucket = os.environ["HOLDFAST_TEST_S3"], os.environ["HOLDFAST_TEST_S3_BUCKET"]
        keys = " ".join(f"{n}={os.environ[n]}" for n in ("AWS_ACCESS_KEY_ID",
                                                         "AWS_SECRET_ACCESS_KEY"))
        for wanted, given in (
                ("AWS_ACCESS_KEY_ID=minio AWS_SECRET_ACCESS_KEY=minio-secret", keys),
                ("s3://backups/", f"s3://{bucket}/readme/"),
                ("http://127.0.0.1:9000", server),
                ("/srv/backups", f"{self.folder}/srv"),
                ("/var/lib/app", f"{self.folder}/app")):
            text = text.replace(wanted, given)
        return text

    def make_orders(self):
        os.makedirs(f"{self.folder}/app/orders")
        for name in ("eu", "us"):
            self.shell.run(f"sqlite3 app/orders/{name}.db 'PRAGMA journal_mode=wal; "
                           "CREATE TABLE line(item)'")

    def check_step(self, command, expected):
        found, status = self.shell.run(self.placed(command))
        if not matches(expected, found):
            self.fail("\n".join([f"$ {command}", "README.md has:", *expected, "printed was:",
                                 *found, "and, of all commands, as errors:", self.shell.said()]))
        if "status $?" not in command and "ls hole.db" not in command:
            self.assertEqual(status, 0, f"{command}\n{self.shell.said()}")

    def test_its_commands_do_what_it_shows(self):
        blocks = BLOCK.findall(read("README.md"))
        self.assertGreaterEqual(len(blocks), 8)
        self.make_orders()
        for kind, _, text in blocks:
            if kind.startswith("file: "):
                with open(os.path.join(self.folder, kind[6:]), "w", encoding="utf-8") as f:
                    f.write(self.placed(text))
                continue
            for command, expected in steps_of(text):
                with self.subTest(command):
                    self.check_step(command, expected)

    def test_every_block_of_commands_is_marked(self):
        marked = len(BLOCK.findall(read("README.md")))
        blocks = re.findall(r"^```(?:console|yaml)$", read("README.md"), re.M)
        self.assertEqual(marked, len(blocks))


class Comparison(unittest.TestCase):
    """The comparison can fail."""

    def test_numbers_may_differ_where_they_are_times_sizes_or_names_and_nowhere_else(self):
        printed = "app.db: archived up to TXID 3 (2026-11-22T16:59:08.783Z), 702 B sent"
        for other, same in (
                ("app.db: archived up to TXID 3 (2031-01-02T03:04:05.006Z), 1.5 KiB sent", True),
                ("app.db: archived up to TXID 4 (2026-11-22T16:59:08.783Z), 702 B sent", False),
                ("app.db: nothing is archived", False)):
            self.assertEqual(matches([printed], [other]), same, other)

    def test_dots_stand_for_any_lines_and_at_the_end_for_any_more(self):
        self.assertTrue(matches(["a, ..."], ["a, b"]))
        self.assertFalse(matches(["a, ..."], ["b, a, b"]))
        self.assertTrue(matches(["a", "...", "b"], ["a", "x", "y", "b"]))
        self.assertFalse(matches(["a", "...", "b"], ["a", "x"]))
        self.assertFalse(matches([], ["a"]))
        self.assertFalse(matches(["a"], []))


class Links(unittest.TestCase):
    def documents(self):
        for below, folders, names in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in (".git", "build")]
            for name in names:
                if name.endswith(".md"):
                    yield os.path.relpath(os.path.join(below, name), ROOT)

    def test_links_lead_to_files_and_headings_that_exist(self):
        for document in self.documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, heading = target.partition("#")
                full = os.path.normpath(os.path.join(ROOT, os.path.dirname(document), path)) \
                    if path else os.path.join(ROOT, document)
                with self.subTest(document=document, target=target):
                    self.assertTrue(os.path.exists(full), "no such file")
                    if heading:
                        self.assertIn(heading, headings_of(full))


def headings_of(path):
    """The anchors of a document's headings, as forges make them."""
    with open(path, encoding="utf-8") as f:
        titles = re.findall(r"^#+ (.*)$", f.read(), re.M)
    return [re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles]


if __name__ == "__main__":
    unittest.main()
