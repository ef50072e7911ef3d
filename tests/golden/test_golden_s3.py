#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_golden.py's proofs of what lies in a bucket.

Goal:   as there; archives that were put into another bucket, of either layout, are read there.
Method: all objects are put into the bucket of minio-test/with-minio, by other means than holdfast.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "tools"))
import s3_request  # noqa: E402  (in the folder just named)
import test_golden  # noqa: E402


class OnS3(test_golden.Holdfast):
    @classmethod
    def setUpClass(cls):
        cls.bucket = s3_request.Bucket()
        for path, _, names in os.walk(test_golden.HERE):
            for name in names:
                key = os.path.relpath(f"{path}/{name}", test_golden.HERE)
                if key.startswith("format-"):
                    with open(f"{path}/{name}", "rb") as file:
                        cls.bucket.put(key, file.read())

    def store_of(self, folder, kind):
        return (f"s3://{self.bucket.name}/{os.path.basename(folder)}/{kind}"
                f"?endpoint={self.bucket.endpoint}&region=us-east-1")


if __name__ == "__main__":
    del test_golden.Holdfast  # it has its own run
    unittest.main(verbosity=2)
