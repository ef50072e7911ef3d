#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_kill.py's proof on a real S3 server, where an interrupted upload may leave a part behind.

Goal:   as there; and conditional puts of a killed process never lock out its successor.
Method: as there, with fewer kills, because each start costs requests.
"""
import lib
import test_kill


class KillsOnS3(test_kill.Kills, lib.S3Case):
    kills = lib.count("KILLS_S3", 20)


if __name__ == "__main__":
    lib.main()
