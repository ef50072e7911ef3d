# SPDX-License-Identifier: Apache-2.0
"""One signed request to an S3 server, on its own feet: what is tested does not prepare its test.

Signature version 4 as AWS describes it, over http.client; no retries, no streams. Whoever has to
see what lies in a bucket, or to put or remove something there, need not trust holdfast for it.
"""
import contextlib
import datetime
import hashlib
import hmac
import http.client
import os
import re
import urllib.parse

REGION = "us-east-1"


def connect(endpoint):
    url = urllib.parse.urlsplit(endpoint)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.netloc, timeout=10), url.netloc


def request(endpoint, credentials, method, path, query=None, body=b"", headers=None):
    """(status, body of the answer). `credentials` are key id and secret; headers are lower-case."""
    key_id, secret = credentials
    connection, host = connect(endpoint)
    region = os.environ.get("AWS_REGION", REGION)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    sent = {**(headers or {}), "host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(sent))
    lines = "".join(f"{n}:{sent[n]}\n" for n in sorted(sent))
    path = urllib.parse.quote(path, safe="/-_.~")
    query = "&".join(f"{urllib.parse.quote(k, safe='')}={urllib.parse.quote(v, safe='')}"
                     for k, v in sorted((query or {}).items()))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    sent["authorization"] = (f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, "
                             f"SignedHeaders={names}, Signature={signature}")
    with contextlib.closing(connection):
        connection.request(method, f"{path}?{query}" if query else path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()


class Bucket:
    """The bucket of minio-test/with-minio, by its environment."""

    def __init__(self, env=os.environ):
        self.endpoint, self.name = env["HOLDFAST_TEST_S3"], env["HOLDFAST_TEST_S3_BUCKET"]
        self.credentials = (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])

    def ask(self, method, key="", **more):
        status, body = request(self.endpoint, self.credentials, method, f"/{self.name}/{key}",
                               **more)
        if status not in (200, 204):
            raise AssertionError(f"{method} {self.name}/{key}: HTTP {status} {body[:300]!r}")
        return body

    def keys(self, prefix):
        """All of them, in their order."""
        found, more = [], True
        while more:
            text = self.ask("GET", query={"list-type": "2", "prefix": prefix,
                                          "encoding-type": "url",
                                          "start-after": found[-1] if found else ""}).decode()
            found += [urllib.parse.unquote_plus(key)
                      for key in re.findall(r"<Key>(.*?)</Key>", text)]
            more = "<IsTruncated>true" in text
        return found

    def get(self, key):
        return self.ask("GET", key)

    def put(self, key, body):
        self.ask("PUT", key, body=body)

    def remove(self, key):
        self.ask("DELETE", key)
