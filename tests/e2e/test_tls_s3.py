#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real S3 server that speaks https only.

Goal:   over TLS the chain is what it is without, through a break of the link, too; a server whose
        certificate is not trusted, or is another's, is sent nothing and told by name, soon, with
        what to do, by every verb.
Method: with-minio's server under HOLDFAST_TEST_S3_TLS=1, whose certificate nobody's system trusts.
        What came to the bucket is asked of the server, not of holdfast.
"""
import os
import time

import lib

COLD_BYTES = 40 << 20  # a snapshot in several parts


class Tls(lib.S3Case):
    def setUp(self):
        super().setUp()
        self.assertTrue(self.endpoint.startswith("https://"), "HOLDFAST_TEST_S3_TLS=1 makes it so")
        self.trust = {"AWS_CA_BUNDLE": os.environ["SSL_CERT_FILE"]}

    def check_chain(self, url):
        out = self.new_path()
        self.hf("restore", url, "-o", out, env=self.trust)
        self.assert_same_pages(out, self.db)
        self.hf("verify", url, env=self.trust)

    def test_archive_follow_and_restore(self):
        self.create(cold_bytes=COLD_BYTES)
        archiver = self.start_archiver(env=self.trust)
        writer = self.start_writer("small", "--pause", "10")
        lib.wait_for("commits", lambda: writer.commits() > 20)
        writer.stop()
        archiver.stop()
        self.check_chain(self.url)
        self.hf("scrub", self.db, self.url, env=self.trust)

    def test_a_link_that_breaks_in_the_first_snapshot(self):
        self.create(cold_bytes=COLD_BYTES)
        proxy = lib.Proxy(self.endpoint)
        self.addCleanup(proxy.shut)
        port = proxy.endpoint.rsplit(":", 1)[1]
        url = self.url.replace(self.endpoint, f"https://127.0.0.1:{port}")
        archiver = self.start_archiver(env=self.trust, url=url, attached=False)
        lib.wait_for("a part of it", lambda: proxy.sent_bytes > COLD_BYTES // 4)
        proxy.shut()
        time.sleep(1)
        proxy.open()
        archiver.wait_log("snapshot is archived")
        archiver.stop()
        self.check_chain(self.url)

    def refused(self, url, says, env):
        out = self.new_path()
        for words in (("archive", self.db, url, "--once"), ("restore", url, "-o", out),
                      ("verify", url), ("list", url), ("scrub", self.db, url)):
            started = time.monotonic()
            done = self.hf(*words, expect=(2, 3), env=env)
            self.assertLess(time.monotonic() - started, 20, f"it is not worth repeating:\n{done}")
            for word in says:
                self.assertIn(word, done.err, done)
        self.assert_no_output(out)
        self.assertEqual(self.keys(url), [])

    def test_a_certificate_that_nobody_trusts(self):
        self.create()
        self.refused(self.url, ["not trusted", "AWS_CA_BUNDLE"], env={})

    def test_a_certificate_of_another_host(self):
        self.create()
        port = self.endpoint.rsplit(":", 1)[1]
        url = self.url.replace(self.endpoint, f"https://localhost:{port}")
        self.refused(url, ["certificate", "localhost"], env=self.trust)

    def test_a_bundle_that_is_not_there(self):
        self.create()
        self.refused(self.url, ["AWS_CA_BUNDLE", "/no/such/bundle"],
                     env={"AWS_CA_BUNDLE": "/no/such/bundle"})

    def test_signature_version_2_says_that_nobody_checks_the_certificate(self):
        """libs3 does not, and offers no way to."""
        done = self.hf("list", self.url.replace("s3://", "s3+v2://"), expect=2)
        self.assertIn("there is no archive", done.err, "it did speak with the server")
        self.assertIn("does not check the server's certificate", done.err)

    def test_http_to_a_server_of_https(self):
        self.create()
        url = self.url.replace("https://", "http://")
        self.refused(url, ["http"], env=self.trust)


if __name__ == "__main__":
    lib.main()
