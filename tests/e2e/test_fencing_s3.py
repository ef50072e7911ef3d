#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_fencing.py's proofs on a real S3 server, whose conditional puts decide who owns an archive.

Goal:   as there.
Method: as there.
"""
import lib
import test_fencing


class FencingOnS3(test_fencing.Fencing, lib.S3Case):
    takeovers = lib.count("TAKEOVERS_S3", 3)


if __name__ == "__main__":
    lib.main()
