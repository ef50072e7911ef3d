#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_soak - campaigns of random seeds.

Goal: each seed is tried once, also over several calls; counts are those of the commit; a seed that
fails is kept, named with the command that repeats it, and in the exit status.
Method: the campaign itself in a small repository, with a stand-in for the end-to-end test that
writes down its seeds and fails where it is told to.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import tree

TEST = """import os, sys
seed = os.environ["HF_E2E_SEED"]
with open(os.environ["PLACE"] + "/seeds", "a") as f:
    f.write(seed + "\\n")
print(f"  test_x: {os.environ['HF_E2E_KILLS']} kills in 2 s, 1,000 commits; 7 others", flush=True)
print("  test_y: 5 kills", file=sys.stderr)
sys.exit(seed in os.environ.get("FAIL", "").split())
"""


class Soak(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-soak-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.clone = os.path.join(self.folder, "clone")
        shutil.copytree(os.path.join(tree.ROOT, "tests/soak"), self.path("tests/soak"),
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(os.path.join(tree.ROOT, "docs"), self.path("docs"))
        self.write("tests/e2e/test_kill.py", TEST)
        self.write(".gitignore", "/build/\n__pycache__/\n")
        self.git("init", "-q")
        self.commit()

    def path(self, name):
        return os.path.join(self.clone, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def git(self, *words):
        return subprocess.run(["git", "-C", self.clone, "-c", "user.name=a", "-c", "user.email=b",
                               *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def soak(self, *words, expect=0, **env):
        done = subprocess.run([sys.executable, "-B", self.path("tests/soak/kill"), *words],
                              env={**os.environ, "HOLDFAST": "/bin/true", "PLACE": self.folder,
                                   **env},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout

    def seeds(self):
        with open(os.path.join(self.folder, "seeds"), encoding="utf-8") as file:
            return [int(seed) for seed in file]

    def state(self):
        return json.loads(self.read("build/soak/kill.json"))

    def test_a_later_call_goes_on_with_the_next_seed(self):
        for _ in range(3):
            self.soak("--minutes", "0")
        self.assertEqual(self.seeds(), [1, 2, 3])
        self.soak("--minutes", "0.01")
        self.assertEqual(self.seeds(), list(range(1, len(self.seeds()) + 1)))
        self.assertEqual(self.state()["next_seed"], len(self.seeds()) + 1)
        self.assertEqual(self.state()["seeds"], len(self.seeds()))
        self.assertEqual(os.listdir(self.path("build/soak")), ["kill.json"])

    def test_what_the_test_reports_is_summed_up(self):
        self.soak("--minutes", "0")
        self.assertIn("2 seeds in 0.0 min, 210 kills, 2,000 commits", self.soak("--minutes", "0"))

    def test_counts_begin_anew_with_another_commit_and_seeds_do_not(self):
        self.soak("--minutes", "0")
        self.commit()
        out = self.soak("--minutes", "0")
        self.assertEqual(self.seeds(), [1, 2])
        self.assertIn(": 1 seeds", out.splitlines()[-1])
        self.write("new.c", "")
        self.assertRegex(self.soak("--minutes", "0").splitlines()[-1], r"^[0-9a-f]{10}\+: 1 seeds")

    def test_a_seed_that_fails_is_kept_and_the_command_repeats_it(self):
        out = self.soak("--minutes", "0", expect=1, FAIL="1")
        self.assertIn("seed 1: FAILED", out)
        self.assertIn("to repeat it: ./dev soak kill --seed 1\n", out)
        self.assertIn("1,000 commits", self.read("build/soak/kill-1.log"))
        self.assertEqual(self.soak("--minutes", "0").count("FAILED: seeds 1"), 1)
        self.assertEqual(self.state()["failed"], [1])
        self.assertIn("test_x", self.soak("--seed", "1", expect=1, FAIL="1"))
        self.soak("--seed", "1")
        self.assertEqual(self.seeds(), [1, 2, 1, 1])
        self.assertEqual(self.state()["next_seed"], 3)

    def test_only_record_writes_and_it_adds_one_line_for_what_this_call_did(self):
        self.soak("--minutes", "0")
        self.assertEqual(self.git("status", "--porcelain"), "")
        before = self.read("docs/TESTING.md").splitlines()
        for _ in range(2):
            self.soak("--minutes", "0", "--record")
        after = self.read("docs/TESTING.md").splitlines()
        added = [line for line in after if line not in before]
        self.assertEqual(len(after), len(before) + 2)
        commit = self.git("rev-parse", "--short=10", "HEAD").strip()
        self.assertRegex(added[0], rf"^\| 20\d\d-\d\d-\d\d \| {commit} \| kill \| 0 \| 1 \| "
                                   r"105 kills, 1,000 commits \| none \|$")
        self.assertEqual(set(before) - set(after), set())

    def test_every_soak_has_its_test(self):
        folder = os.path.join(tree.ROOT, "tests/soak")
        names = [n for n in os.listdir(folder) if os.path.isfile(f"{folder}/{n}") and "." not in n]
        self.assertEqual(sorted(names), ["django", "django_s3", "fleet", "fleet_s3", "kill",
                                         "points", "scrub", "sim"])
        for name in set(names) - {"sim"}:
            self.assertTrue(os.path.exists(os.path.join(tree.ROOT, f"tests/e2e/test_{name}.py")))

    def test_a_program_that_is_missing_is_said(self):
        self.soak("--minutes", "0", expect=2, HOLDFAST="/nowhere")


if __name__ == "__main__":
    unittest.main()
