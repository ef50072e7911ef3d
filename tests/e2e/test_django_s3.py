#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_django.py's site, archived to a real S3 server.

Goal:   as there.
Method: as there, for a shorter time: Django's default transactions in the first cycle.
"""
import lib
import test_django


class SiteOnS3(test_django.Site, lib.S3Case):
    cycles = lib.count("DJANGO_CYCLES_S3", 1)
    requests = lib.count("DJANGO_REQUESTS_S3", 20)
    points = lib.count("DJANGO_POINTS_S3", 2)


if __name__ == "__main__":
    lib.main()
