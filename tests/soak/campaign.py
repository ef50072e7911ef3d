# SPDX-License-Identifier: Apache-2.0
"""One test again and again, each time with another seed, for as long as one has time.

    ./dev soak LABEL [--minutes N] [--record]      LABEL is a program beside this file
    ./dev soak LABEL --seed S                      that seed alone, with all it says

Seeds count up from 1. build/soak/LABEL.json keeps the next one and what was done so far with this
commit, so that a later call goes on where this one stops. A seed that fails is told with the
command that repeats it, its output is kept in build/soak, and the others go on; then the exit
status is 1. Random choices are the seed's; what the machine does at which moment is not, so a rare
failure may need its seed more than once. --record adds a line to the table of docs/TESTING.md.

HOLDFAST names the program of the end-to-end tests; without it, that of build/dev is taken.
"""
import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "build", "soak")
TABLE = os.path.join(ROOT, "docs", "TESTING.md")
TABLE_HEAD = ("| day | commit | soak | minutes | seeds | done | failed |\n"
              "|---|---|---|---|---|---|---|\n")
RUN_SECONDS_MAX = 3600
TIMED_OUT = 124


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def commit():
    """What is tried; with a + if files were changed since."""
    changed = git("status", "--porcelain", "--", ".", ":!docs/TESTING.md")
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def as_text(counts):
    return ", ".join(f"{n:,} {word}" for word, n in counts.items())


class Tally:
    """What was done: by one call, or since the commit."""

    def __init__(self, words, kept=None):
        kept = kept or {}
        self.seconds = kept.get("seconds", 0.0)
        self.seeds = kept.get("seeds", 0)
        self.counts = {word: kept.get("counts", {}).get(word, 0) for word in words}
        self.failed = list(kept.get("failed", []))

    def add(self, seed, ok, seconds, counts):
        self.seconds += seconds
        self.seeds += 1
        for word, n in counts.items():
            self.counts[word] += n
        if not ok:
            self.failed.append(seed)

    def __str__(self):
        failed = f"; FAILED: seeds {', '.join(map(str, self.failed))}" if self.failed else ""
        return f"{self.seeds} seeds in {self.seconds / 60:.1f} min, {as_text(self.counts)}{failed}"


class EndToEnd:
    """tests/e2e/test_LABEL.py, with counts of its own (lib.count); LABEL_s3 beside an S3 server."""

    def __init__(self, label, settings):
        self.test = os.path.join(ROOT, "tests", "e2e", f"test_{label}.py")
        self.env = {**os.environ, **{f"HF_E2E_{name}": str(n) for name, n in settings.items()}}
        self.env.setdefault("HOLDFAST", os.path.join(ROOT, "build", "dev", "holdfast"))
        self.program = self.env["HOLDFAST"]
        self.via = [os.path.join(ROOT, "minio-test", "with-minio")] if label.endswith("_s3") else []

    def call(self, seed):
        """The words of its command, and its environment."""
        return [*self.via, sys.executable, "-B", self.test], {**self.env, "HF_E2E_SEED": str(seed)}


class Campaign:
    def __init__(self, label, test, words):
        self.label, self.test, self.words = label, test, words
        self.state = os.path.join(FOLDER, f"{label}.json")
        self.commit = commit()
        self.next_seed, self.total = self.load()

    def load(self):
        try:
            with open(self.state, encoding="utf-8") as f:
                kept = json.load(f)
        except FileNotFoundError:
            return 1, Tally(self.words)
        same = kept["commit"] == self.commit
        return kept["next_seed"], Tally(self.words, kept if same else None)

    def save(self):
        with open(self.state + ".new", "w", encoding="utf-8") as f:
            json.dump({"commit": self.commit, "next_seed": self.next_seed, **vars(self.total)}, f)
        os.replace(self.state + ".new", self.state)

    def command(self, seed):
        return f"./dev soak {self.label} --seed {seed}"

    def run(self, seed, out):
        """Its exit status."""
        words, env = self.test.call(seed)
        try:
            return subprocess.run(words, env=env, stdout=out, stderr=out,
                                  stdin=subprocess.DEVNULL, check=False,
                                  timeout=RUN_SECONDS_MAX).returncode
        except subprocess.TimeoutExpired:
            return TIMED_OUT

    def count(self, said):
        """As the test reports: "100 kills in 30 s, 1,234 commits"."""
        return {word: sum(int(n.replace(",", ""))
                          for n in re.findall(rf"(\d[\d,]*) {word}\b", said))
                for word in self.words}

    def run_one(self, seed):
        log = os.path.join(FOLDER, f"{self.label}-{seed}.log")
        started = time.monotonic()
        with open(log, "w", encoding="utf-8") as out:
            status = self.run(seed, out)
        seconds = time.monotonic() - started
        with open(log, encoding="utf-8", errors="replace") as f:
            counts = self.count(f.read())
        print(f"seed {seed}: {'ok' if status == 0 else 'FAILED'}, {seconds:.0f} s, "
              f"{as_text(counts)}", flush=True)
        if status == 0:
            os.unlink(log)
        else:
            print(f"  to repeat it: {self.command(seed)}\n  what it said: {log}", flush=True)
        return status == 0, seconds, counts

    def soak(self, minutes):
        os.makedirs(FOLDER, exist_ok=True)
        until = time.monotonic() + 60 * minutes
        now = Tally(self.words)
        while now.seeds == 0 or time.monotonic() < until:
            seed = self.next_seed
            outcome = self.run_one(seed)
            self.next_seed += 1
            for tally in (now, self.total):
                tally.add(seed, *outcome)
            self.save()
        print(f"{self.label}: {now}\n{self.commit}: {self.total}", flush=True)
        return now

    def record(self, tally):
        day = datetime.datetime.now(datetime.timezone.utc).date()
        failed = ", ".join(map(str, tally.failed)) or "none"
        line = (f"| {day} | {self.commit} | {self.label} | {tally.seconds / 60:.0f} | "
                f"{tally.seeds} | {as_text(tally.counts)} | {failed} |\n")
        with open(TABLE, encoding="utf-8") as f:
            text = f.read()
        if TABLE_HEAD not in text:
            raise SystemExit(f"soak: {TABLE} has no table that begins with {TABLE_HEAD!r}")
        at = text.index(TABLE_HEAD) + len(TABLE_HEAD)
        end = at + sum(len(row) for row in re.match(r"(\|.*\n)*", text[at:])[0].splitlines(True))
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write(text[:end] + line + text[end:])


def main(label, test, words):
    """`words`: what the test's report lines count."""
    p = argparse.ArgumentParser(prog=f"./dev soak {label}", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=10, help="a run that began is ended (10)")
    p.add_argument("--seed", type=int, help="this seed alone")
    p.add_argument("--record", action="store_true", help="add a line to docs/TESTING.md")
    o = p.parse_args()
    campaign = Campaign(label, test, words)
    if not os.access(test.program, os.X_OK):
        p.error(f"there is no {test.program}: ./dev build")
    if o.seed is not None:
        return campaign.run(o.seed, None)
    try:
        tally = campaign.soak(o.minutes)
    except KeyboardInterrupt:
        print(f"\n{label}: the seed that was running does not count; {campaign.total}")
        return 130
    if o.record:
        campaign.record(tally)
    return 1 if tally.failed else 0
