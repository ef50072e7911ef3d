#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_dev - the script that everybody runs first.

Goal: ./dev explains itself, installs only what is missing and only where it should, and counts
honestly.
Method: the script itself in a clone of its own, with stand-ins for apt-get, cmake and ctest on
PATH that write down how they were called.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

import tree

DEBIAN_12 = "ID=debian\nVERSION_ID=\"12\"\n"

# What dpkg-query says is installed stands in the file `installed`; apt-get adds to it.
DPKG_QUERY = """#!/bin/bash
while read -r name; do [[ " $* " == *" $name "* ]] && echo "$name installed"; done <installed
exit 1
"""
APT_GET = """#!/bin/bash
echo "apt-get $*" >>calls
[[ " $* " == *" update "* ]] && { touch lists; exit 0; }
[[ -e lists ]] || { echo "E: Unable to locate package" >&2; exit 100; }
[[ $1 == -s ]] && exit 0
[[ $DEBIAN_FRONTEND == noninteractive ]] || exit 99
for word; do
    [[ $word == -* || $word == install || $word == *::* || -e broken ]] || echo "$word" >>installed
done
"""
CMAKE = """#!/bin/bash
echo "cmake $*" >>calls
mkdir -p build/dev build/tsan
[[ ! -e cmake_fails ]]
"""
# Answers call N with what the file `ctest.N` says: tests failures skipped status.
CTEST = """#!/bin/bash
echo "ctest $*" >>calls
while [[ $# != 0 && $1 != --output-junit ]]; do shift; done
n=$(grep -c '^ctest' calls)
read -r tests failures skipped status <"ctest.$n" || exit 8
[[ $tests == none ]] && exit "$status"
printf '<?xml?>\\n<testsuite name="x"\\n\\ttests="%s"\\n\\tfailures="%s"\\n\\tdisabled="0"\\n' \
    "$tests" "$failures" >"$2"
printf '\\tskipped="%s"\\n>\\n<testcase name="tests=&quot;9&quot;"/>\\n' "$skipped" >>"$2"
exit "$status"
"""


class Dev(unittest.TestCase):
    """./dev in a folder that looks like a clone."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-dev-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.makedirs(self.path("packaging"))
        os.makedirs(self.path("bin"))
        os.makedirs(self.path(".ci"))
        shutil.copy(os.path.join(tree.ROOT, "dev"), self.path("dev"))
        shutil.copy(os.path.join(tree.ROOT, ".ci/run"), self.path(".ci/run"))
        self.write("packaging/debian-12.packages", "# why\none\n\ntwo # behind\nthree\n")
        self.write("os-release", DEBIAN_12)
        self.write("installed", "one\ntwo\nthree\n")
        self.write("calls", "")
        for name, text in (("dpkg-query", DPKG_QUERY), ("apt-get", APT_GET), ("cmake", CMAKE),
                           ("ctest", CTEST), ("id", "#!/bin/sh\necho 0\n")):
            self.write("bin/" + name, text, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_dev(self, *arguments, program="dev", **more):
        env = {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"],
               "HF_OS_RELEASE": self.path("os-release"), **more}
        return subprocess.run([self.path(program), *arguments], cwd="/", env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def calls(self, program):
        return [line for line in self.read("calls").splitlines() if line.startswith(program)]

    def test_help_fits_a_terminal(self):
        for arguments in ((), ("help",), ("--help",)):
            done = self.run_dev(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("usage: ./dev COMMAND", done.stdout)
            self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)

    def test_help_names_every_command(self):
        script = self.read("dev")
        cases = script[script.index("    case $command in"):]
        for command in ("demo", "test", "build", "format", "soak", "bench", "setup"):
            self.assertIn(f"\n    {command})", cases)
            self.assertIn(f"\n  {command}", self.run_dev().stdout)

    def test_wrong_words_are_refused(self):
        for arguments in (("tset",), ("build", "fast"), ("test", "slow"), ("soak",),
                          ("bench", "x")):
            done = self.run_dev(*arguments)
            self.assertEqual((done.returncode, done.stdout.strip()), (2, ""), arguments)
            self.assertTrue(done.stderr.startswith("dev: "), done.stderr)

    def test_nothing_is_installed_when_nothing_is_missing(self):
        done = self.run_dev("setup")
        self.assertEqual((done.returncode, done.stdout), (0, "setup: all packages are installed\n"))
        self.assertEqual(self.calls("apt-get"), [])

    def test_only_what_is_missing_is_installed(self):
        self.write("installed", "two\n")
        self.write("lists", "")
        done = self.run_dev("setup")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("setup: installing 2 Debian packages: one three\n", done.stdout)
        self.assertEqual(sorted(self.read("installed").split()), ["one", "three", "two"])
        self.assertFalse([call for call in self.calls("apt-get") if "update" in call])

    def test_package_lists_are_fetched_when_a_name_is_not_found(self):
        self.write("installed", "")
        done = self.run_dev("setup")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len([call for call in self.calls("apt-get") if "update" in call]), 1)

    def test_a_package_that_stays_missing_is_named(self):
        self.write("installed", "one\nthree\n")
        self.write("lists", "")
        self.write("broken", "")
        done = self.run_dev("setup")
        self.assertEqual(done.returncode, 2)
        self.assertIn("still missing after apt-get: two", done.stderr)

    def test_without_root_and_sudo_the_command_is_shown(self):
        self.write("installed", "one\nthree\n")
        self.write("lists", "")
        self.write("bin/id", "#!/bin/sh\necho 1000\n", 0o755)
        for name in ("bash", "sed", "tr", "sort", "comm", "dirname", "env"):
            os.symlink(shutil.which(name), self.path("bin/" + name))
        done = self.run_dev("setup", PATH=self.path("bin"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("As root: apt-get install two", done.stderr)

    def test_other_releases_are_refused_unless_told(self):
        for text in ("ID=ubuntu\nVERSION_ID=22.04\n", "ID=debian\nVERSION_ID=13\n", "ID=debian\n"):
            self.write("os-release", text)
            done = self.run_dev("setup")
            self.assertEqual(done.returncode, 2)
            self.assertIn("Debian 12", done.stderr)
            done = self.run_dev("setup", HF_ANY_DEBIAN="1")
            self.assertEqual(done.returncode, 0, done.stderr)

    def count(self, *answers, arguments=("test", "fast"), program="dev"):
        """(exit status, last line, FAILED lines) of a run whose ctest answers so."""
        for number, answer in enumerate(answers, 1):
            self.write(f"ctest.{number}", answer + "\n")
        done = self.run_dev(*arguments, program=program)
        lines = done.stdout.splitlines()
        return (done.returncode, lines[-1], [line for line in lines if line.startswith("FAILED")])

    def test_every_test_and_step_counts(self):
        self.assertEqual(self.count("5 0 0 0", "100 0 0 0"), (0, "107 passed, 0 failed", []))

    def test_a_failed_test_counts_and_is_named(self):
        self.assertEqual(self.count("5 0 0 0", "100 3 0 8"),
                         (1, "104 passed, 3 failed", ["FAILED: fast tests"]))

    def test_a_skipped_test_has_not_passed(self):
        self.assertEqual(self.count("5 0 0 0", "100 0 2 0"),
                         (1, "105 passed, 2 failed", ["FAILED: fast tests"]))

    def test_a_run_without_tests_has_failed(self):
        self.assertEqual(self.count("none 0 0 8", "100 0 0 0"),
                         (1, "102 passed, 1 failed", ["FAILED: style"]))

    def test_a_run_that_fails_without_a_failed_test_has_failed(self):
        self.assertEqual(self.count("5 0 0 1", "100 0 0 0"),
                         (1, "107 passed, 1 failed", ["FAILED: style"]))

    def test_a_failed_build_does_not_hide_the_tests(self):
        self.write("cmake_fails", "")
        status, last, failed = self.count("5 1 0 8", "none 0 0 8")
        self.assertEqual((status, last), (1, "4 passed, 4 failed"))
        self.assertEqual(len(failed), 4)

    def test_ci_runs_everything(self):
        self.write("minio-test/with-minio", "#!/bin/sh\necho with-minio >>calls\nexec \"$@\"\n",
                   0o755)
        self.write("tests/model/run_models.sh", "#!/bin/sh\nexit 7\n", 0o755)
        self.write("build/release/tests/sim", "#!/bin/sh\necho sim \"$@\" >>calls\n", 0o755)
        self.assertEqual(
            self.count("5 0 0 0", "200 0 0 0", "100 0 0 0", arguments=(), program=".ci/run"),
            (1, "311 passed, 1 failed", ["FAILED: models"]))
        self.assertEqual(self.calls("sim"), ["sim --seeds 10000 --from 1"])
        self.assertEqual(self.calls("with-minio"), ["with-minio"])
        self.assertIn("-D CMAKE_C_COMPILER=clang-14", self.read("calls"))

    def test_soak_and_bench_hand_on_their_words(self):
        self.write("tests/soak/steady", "#!/bin/sh\necho soak \"$@\"\n", 0o755)
        self.write("tests/soak/README.md", "not a program\n")
        self.write("bench/codec", "#!/bin/sh\necho bench \"$@\"\nexit 3\n", 0o755)
        self.assertEqual(self.run_dev("soak").stdout, "steady\n")
        self.assertEqual(self.run_dev("soak", "steady", "--minutes", "2").stdout,
                         "building holdfast\nsoak --minutes 2\n")
        self.assertIn("build/dev", self.calls("cmake")[-1])
        self.assertIn("--target holdfast", self.calls("cmake")[-1])
        done = self.run_dev("bench", "codec", "a b")
        self.assertEqual((done.returncode, done.stdout), (3, "bench a b\n"))
        self.assertIn("there is: steady", self.run_dev("soak", "stead").stderr)

    def test_demo_builds_the_program_first(self):
        self.assertIn("tools/demo is missing", self.run_dev("demo").stderr)
        self.write("tools/demo", "#!/bin/sh\necho shown \"$@\"\n", 0o755)
        done = self.run_dev("demo", "--quick")
        self.assertTrue(done.stdout.endswith("shown --quick\n"), done.stdout)
        self.assertIn("--target holdfast", self.calls("cmake")[-1])


if __name__ == "__main__":
    unittest.main()
