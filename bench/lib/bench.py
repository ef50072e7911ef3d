# SPDX-License-Identifier: Apache-2.0
"""What all benches share: rounds, aims, and the record in bench/RESULTS.md.

A round measures each contestant once, in an order that turns from round to round; every ratio is
made within its round. One contestant runs twice in each round, under two names: the ratio of the
two is the noise (stats.py).
"""
import argparse
import datetime
import os
import re
import shlex
import statistics
import subprocess
import sys

from . import data, programs, stats
from .measure import floor_bytes, say, settle

RESULTS = os.path.join(programs.ROOT, "bench", "RESULTS.md")
PAIRS = 10
PAIRS_RECORDED_MIN = 6  # below that no interval reaches 95 % (stats.py)
MIB = 1 << 20


def options(doc, **more):
    p = argparse.ArgumentParser(prog=f"./dev bench {os.path.basename(sys.argv[0])}",
                                description=doc, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--pairs", type=int, default=PAIRS,
                   help=f"rounds ({PAIRS}; a record has {PAIRS_RECORDED_MIN} at least)")
    p.add_argument("--folder", default=os.path.join(programs.ROOT, "build", "bench"),
                   help="where databases and archives are made (build/bench)")
    p.add_argument("--record", action="store_true", help="append the outcome to bench/RESULTS.md")
    for name, words in more.items():
        p.add_argument(f"--{name}", **words)
    o = p.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    if o.record and o.pairs < PAIRS_RECORDED_MIN:
        p.error(f"--record wants --pairs {PAIRS_RECORDED_MIN} or more")
    return o


GB = {"type": int, "default": 1, "help": "size of the database, 10^9 bytes (1)"}
TO = {"choices": tuple(programs.STORES), "default": "file", "help": "the store (file)"}


def database(folder, gigabytes):
    """Made once by a process of its own, so that this one stays small; kept for the next run."""
    path = os.path.join(folder, f"data-{gigabytes}.db")
    if not os.path.exists(path):
        say(f"making {path}")
        subprocess.run([sys.executable, data.__file__, path, str(gigabytes)], check=True)
    return path


def drop_cached(path):
    """The file's clean pages are not in the page cache any more."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def cache(path):
    """The file is in the page cache, as far as there is memory for it."""
    with open(path, "rb", buffering=0) as f:
        block = bytearray(1 << 20)
        while f.readinto(block):
            pass


def rounds(count, contestants, folder):
    """[{name: what its function returned}] of `count` rounds."""
    done, names = [], list(contestants)
    for i in range(count):
        order = names[i % len(names):] + names[:i % len(names)]
        if i // len(names) % 2 == 1:
            order.reverse()
        outcome = {}
        for name in order:
            settle(folder)
            outcome[name] = contestants[name]()
            say(f"  {i + 1:2}/{count} {name:20} {outcome[name]}")
        done.append(outcome)
    return done


def column(done, name, field):
    return [getattr(outcome[name], field) for outcome in done]


class Report:
    """What was measured and what it means; printed as it comes, recorded at the end."""

    def __init__(self, title):
        self.title, self.lines, self.verdicts = title, [], []

    def line(self, text=""):
        say(text)
        self.lines.append(text)

    def table(self, head, rows):
        self.line(f"| {' | '.join(head)} |")
        self.line("|" + "---|" * len(head))
        for row in rows:
            self.line(f"| {' | '.join(str(cell) for cell in row)} |")
        self.line()

    def usage(self, done, names):
        """Medians of each contestant."""
        def median(name, field):
            return statistics.median(column(done, name, field))
        self.table(("", "elapsed s", "CPU s", "user", "system", "peak MB"),
                   [(name, f"{median(name, 'seconds'):.2f}", f"{median(name, 'cpu'):.2f}",
                     f"{median(name, 'user'):.2f}", f"{median(name, 'system'):.2f}",
                     f"{max(column(done, name, 'rss')) / 1e6:.0f}") for name in names])

    def aims(self, rows):
        self.table(("aim", "median ratio [95 %]", "same with itself", "answer"), rows)

    def aim(self, words, value, same, limit, at_most):
        answer = stats.judge(value, same, limit, at_most)
        self.verdicts.append(answer)
        return (f"{words} {'≤' if at_most else '≥'} {limit:g} ×", value, same, f"**{answer}**")

    def aim_memory(self, found_bytes, limit_bytes):
        """Of a peak, which one run above the limit breaks."""
        answer = stats.PASS if max(found_bytes) <= limit_bytes else stats.FAIL
        self.verdicts.append(answer)
        return (f"peak memory ≤ {limit_bytes // MIB} MiB",
                f"{max(found_bytes) / MIB:.0f} MiB, the most of {len(found_bytes)}",
                f"below {floor_bytes() / MIB:.0f} MiB it cannot be told", f"**{answer}**")

    def record(self, o, versions):
        with open(RESULTS, "a", encoding="utf-8") as f:
            day = datetime.datetime.now(datetime.timezone.utc).date()
            command = f"./dev bench {os.path.basename(sys.argv[0])} {shlex.join(sys.argv[1:])}"
            f.write(f"\n### {day}: {self.title}\n\n"
                    f"`{command}` at {commit()}, {o.pairs} rounds. {versions}. {machine()}\n\n"
                    + "\n".join(self.lines).rstrip() + "\n")

    def end(self, o, versions):
        """The exit status of the bench."""
        if o.record:
            self.record(o, versions)
        return 1 if stats.FAIL in self.verdicts else 0


def commit():
    """What is measured; with a + if files were changed since."""
    def git(*words):
        return programs.output("git", "-C", programs.ROOT, *words)
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/RESULTS.md")
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read()).group(1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, Linux {os.uname().release}, "
            f"load {os.getloadavg()[0]:.1f} when done.")
