#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_fleet.py's databases, archived to a real S3 server.

Goal:   as there.
Method: as there, with fewer databases.
"""
import lib
import test_fleet


class FleetOnS3(test_fleet.Fleet, lib.S3Case):
    cycles = lib.count("FLEET_CYCLES_S3", 2)
    databases = lib.count("FLEET_DATABASES_S3", 6)
    visits = lib.count("FLEET_VISITS_S3", 30)


if __name__ == "__main__":
    lib.main()
