#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong buckets and credentials, on a real S3 server.

Goal:   a missing bucket and keys that are not accepted are told as such, soon, with exit status 2
        or 3, and no message holds a secret.
Method: the server's own answers.
"""
import time

import lib

WRONG = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "do-not-tell-anybody"}


class BadS3(lib.S3Case):
    def refused(self, *words, expect, says, env=None):
        started = time.monotonic()
        done = self.hf(*words, expect=expect, env=env)
        self.assertLess(time.monotonic() - started, 20, f"it is not worth repeating:\n{done}")
        for word in says:
            self.assertIn(word, done.err, done)
        for secret in (lib.os.environ["AWS_SECRET_ACCESS_KEY"], WRONG["AWS_SECRET_ACCESS_KEY"]):
            self.assertNotIn(secret, done.text)

    def verbs(self, url):
        """Each way to begin with this URL."""
        out = self.new_path()
        return (("restore", url, "-o", out), ("verify", url), ("list", url),
                ("archive", self.db, url, "--once"))

    def test_a_bucket_that_does_not_exist(self):
        self.create()
        for words in self.verbs(self.s3_url("prefix", bucket="no-such-bucket-here")):
            self.refused(*words, expect=(2, 3), says=["no-such-bucket-here"])

    def test_keys_that_the_server_does_not_know(self):
        self.create()
        for words in self.verbs(self.url):
            self.refused(*words, expect=3, says=["AWS_ACCESS_KEY_ID"], env=WRONG)

    def test_a_secret_that_is_not_the_keys(self):
        self.create()
        wrong = {"AWS_SECRET_ACCESS_KEY": WRONG["AWS_SECRET_ACCESS_KEY"]}
        for words in self.verbs(self.url):
            self.refused(*words, expect=3, says=["ecret"], env=wrong)

    def test_no_keys_at_all(self):
        self.create()
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": self.folder,
                "AWS_SHARED_CREDENTIALS_FILE": self.path("none")}
        for words in self.verbs(self.url):
            self.refused(*words, expect=(2, 3), says=["AWS_ACCESS_KEY_ID"], env=none)

    def test_an_archive_that_is_missing_is_never_a_success(self):
        for words in self.verbs(self.url)[:3]:
            self.refused(*words, expect=2, says=[self.bucket])

    def test_a_server_that_is_not_there_is_waited_for_and_that_is_said(self):
        url = self.s3_url("prefix", endpoint="http://127.0.0.1:1")  # nobody's port
        p = lib.subprocess.Popen([self.holdfast, "list", url], stdin=lib.subprocess.DEVNULL,
                                 stdout=lib.subprocess.DEVNULL, stderr=lib.subprocess.PIPE,
                                 text=True, env=lib.environment())
        said = p.stderr.readline()
        self.assertRegex(said, "the store is tried again for up to 60 s: .*127.0.0.1")
        p.send_signal(lib.signal.SIGINT)
        p.communicate(timeout=lib.WAIT_S)
        self.assertEqual(p.returncode, 3)

    def test_a_daemon_with_wrong_keys_says_so_and_waits(self):
        """It waits, because keys are exchanged while it runs; --once ends at once (above)."""
        self.create()
        archiver = self.start_archiver(attached=False, env=WRONG)
        archiver.wait_log("again in")
        self.assertIn("AWS_ACCESS_KEY_ID", archiver.log())
        archiver.stop(expect=3)


if __name__ == "__main__":
    lib.main()
