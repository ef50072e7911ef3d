# SPDX-License-Identifier: Apache-2.0
"""What a program's CPU goes to, by the libraries and kernel functions that `perf` finds it in."""
import os
import re
import shutil
import subprocess

PARTS = (  # the first that fits: of the object and the function
    ("compress (LZ4)", r"^liblz4"),
    ("page hashes (CRC-64, XXH3)", r"^(libisal|libxxhash)"),
    ("SHA-256 and TLS (OpenSSL)", r"^(libcrypto|libssl)"),
    ("copies and zeroes, also the kernel's",
     r" (__mem(move|cpy|set)|_copy_(to|from)_iter|copy_(user|mc|page)|clear_page|rep_)"),
    ("kernel, the rest", r"^\[kernel"),
    ("holdfast and the rest", r""),
)


def missing():
    """Why this cannot be told here, or None."""
    return None if shutil.which("perf") else "perf is not installed (Debian: linux-perf)"


def words(record):
    """To be put before a command, for by_part(record) afterwards."""
    return ["perf", "record", "--quiet", "--freq", "999", "--no-buildid", "--no-buildid-cache",
            "--output", record]


def by_part(record):
    """{part: share of all CPU}; the record is removed."""
    text = subprocess.run(["perf", "report", "--stdio", "--no-children", "--sort", "dso,symbol",
                           "--percent-limit", "0", "--field-separator", ";", "--input", record],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=True).stdout
    os.remove(record)
    shares = dict.fromkeys((name for name, _ in PARTS), 0.0)
    for line in text.splitlines():
        found = re.match(r"\s*([\d.]+)%?\s*;\s*(\S+)\s*;\s*\[.\] (\S+)", line)
        if found:
            where = f"{found[2]} {found[3]}"
            name = next(name for name, pattern in PARTS if re.search(pattern, where))
            shares[name] += float(found[1]) / 100
    if abs(sum(shares.values()) - 1) > 0.05:
        raise AssertionError(f"perf's report adds up to {sum(shares.values()):.2f} of the CPU")
    return shares
