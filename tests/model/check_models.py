#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_models - every run of the Promela models ends as the table below says.

Goal: the capture and fencing protocols hold in all orders of their steps, and each of their rules
is needed: with the rule left out the model must fail, and must fail with the assertion that the
rule protects. A state that should be reachable is shown to be so in the same way.
Method: spin writes a verifier for each row, gcc compiles it, and it searches all states; no state
is approximated away. A search that ends early for any reason is a failure. All in a temporary
folder, which is gone afterwards.

usage: check_models.py [--jobs N] [--list] [--trail] [NAME ...]

NAME is a row or the beginning of one; without any all rows run. --trail prints, for rows that end
in an error, the steps that lead there.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

DEPTH_MAX = 100_000     # steps of the longest path; a search that meets it counts as failed
MEMORY_MIB_MAX = 2000   # a verifier that needs more gives up, which counts as failed
HASH_BITS = 24
SECONDS_MAX = 900       # for one verifier

HOLDS = None
LOST = r"!\(attached\)"               # capture (a): a committed change is lost while attached
WRONG_PAGE = r"\? \(wal\["            # capture (a): a snapshot shows what was not committed
NOT_FOLLOWED = r"!\(synced\)"         # capture (b): the sequence breaks without a reason
SKIPPED = r"arch==committed"          # capture (b): a commit was left out
UNCOMMITTED = r"arch<=committed"      # capture (c)
NOT_CURRENT = r"arch>=must"           # capture (e): a round claims more than it captured
DEADLOCK = r"invalid end state"       # capture (d)
SECOND = r"chain\[.*\]==0\)"          # fencing (a): a second segment at one TXID
EPOCH_FALLS = r"/4\)>="               # fencing (b)
LOCKED_OUT = r"owner>epoch"           # fencing (d)

Run = collections.namedtuple("Run", "name model defines expected")


def run(name, defines, expected=HOLDS):
    return Run(name, name.split("/")[0], defines.split(), expected)


ONE = "WRITERS=1 COMMITS=4 CRASHES=0"
ONE_CRASH = "WRITERS=1 COMMITS=3 CRASHES=1"
KEEP = f"{ONE} KEEP_MARK"
KEEP_KILLED = "WRITERS=1 COMMITS=3 CRASHES=0 KEEP_MARK KILLED"
SHORT = "TXIDS=2 RETENTION=2 DEADLINE=0"

RUNS = [
    # The protocols as they are. The long ones first, so that both processors stay busy.
    run("capture/two-writers", "WRITERS=2 COMMITS=4 CRASHES=0"),
    run("capture/crash", "WRITERS=2 COMMITS=3 CRASHES=1"),
    run("capture/two-crashes", "WRITERS=1 COMMITS=3 CRASHES=2"),
    run("capture/one-page", f"{ONE} PAGES=0"),
    run("capture/pages-in-pairs", f"{ONE} PAGES=12"),
    run("capture/rounds-at-rest", f"{ONE} ROUNDS_AT_REST"),
    run("capture/kept-mark", KEEP),
    run("capture/kept-mark-two-writers", "WRITERS=2 COMMITS=3 CRASHES=0 KEEP_MARK KILLED"),
    run("capture/kept-mark-crash", f"{ONE_CRASH} KEEP_MARK KILLED"),
    run("fencing/crash-of-the-old", f"{SHORT} CRASHES=1 MORTAL=0"),
    run("fencing/crash-of-the-new", f"{SHORT} CRASHES=1 MORTAL=1"),
    run("fencing/three-segments", "TXIDS=3 CRASHES=0"),

    # SQLite alone: the bug is in the model, and is all that is wrong with it.
    run("capture/wal-reset-bug", "WRITERS=2 COMMITS=4 NO_ARCHIVER", LOST),
    run("capture/wal-reset-fixed", "WRITERS=2 COMMITS=4 NO_ARCHIVER FIXED_SQLITE"),
    run("capture/fixed-needs-no-barrier", f"{ONE} FIXED_SQLITE NO_BARRIER NO_TIMEOUT NO_LOOK"),

    # A rule of capture is left out.
    run("capture/no-barrier", f"{ONE} NO_BARRIER", LOST),
    run("capture/no-attach-barrier", f"{ONE} NO_ATTACH_BARRIER", LOST),
    run("capture/snapshot-before-barrier", f"{ONE} SNAPSHOT_BEFORE_BARRIER", WRONG_PAGE),
    run("capture/no-struck-check", f"{ONE} NO_STRUCK_CHECK", LOST),
    run("capture/release-first", f"{ONE} RELEASE_FIRST", NOT_FOLLOWED),
    run("capture/past-the-header", f"{ONE} CAPTURE_PAST_HEADER", UNCOMMITTED),
    run("capture/no-proof", f"{ONE_CRASH} NO_PROOF", SKIPPED),
    run("capture/backfill-read-later", f"{ONE} ROUNDS_AT_REST BACKFILL_READ_LATER", NOT_FOLLOWED),
    run("capture/empty-not-drained", f"{ONE} ROUNDS_AT_REST EMPTY_NOT_DRAINED", NOT_FOLLOWED),

    # Checkpoints whose busy handler never gives up: nobody waits for ever, by the look of ADR 0004.
    run("capture/patient-checkpoint", f"{ONE} NO_TIMEOUT"),
    run("capture/no-look", f"{ONE} NO_TIMEOUT NO_LOOK", DEADLOCK),
    run("capture/look-at-empty", f"{ONE} LOOK_AT_EMPTY", LOST),

    # Rounds that keep the mark (ADR 0034), and their rules.
    run("capture/kept-mark-patient", f"{KEEP_KILLED} NO_TIMEOUT"),
    run("capture/kept-mark-needs-no-salts",
        "WRITERS=1 COMMITS=3 CRASHES=0 KEEP_MARK KEEP_BY_FRAMES"),
    run("capture/keep-unheld", f"{KEEP} KEEP_UNHELD", NOT_FOLLOWED),
    run("capture/keep-on-zero", f"{KEEP} KEEP_ON_ZERO", NOT_FOLLOWED),
    run("capture/keep-by-frames", f"{KEEP} KEEP_ON_ZERO KEEP_BY_FRAMES", NOT_CURRENT),
    run("capture/keep-by-one-copy", f"{KEEP_KILLED} KEEP_BY_ONE_COPY", NOT_CURRENT),
    run("capture/keep-past-cut", f"{KEEP} KEEP_PAST_CUT", NOT_CURRENT),
    run("capture/keep-past-checkpoint", f"{KEEP} NO_TIMEOUT KEEP_PAST_CHECKPOINT", DEADLOCK),
    run("capture/uncaptured-on-zero", f"{KEEP} UNCAPTURED_ON_ZERO", NOT_FOLLOWED),
    run("capture/rest-by-header", f"{KEEP_KILLED} NO_TIMEOUT REST_BY_HEADER", DEADLOCK),

    # A rule of fencing is left out.
    run("fencing/no-reread", f"{SHORT} CRASHES=0 NO_REREAD", SECOND),
    run("fencing/reread-owner-only", f"{SHORT} MORTAL=1 REREAD_OWNER_ONLY", SECOND),
    run("fencing/list-without-epoch", f"{SHORT} CRASHES=0 LIST_WITHOUT_EPOCH", EPOCH_FALLS),
    run("fencing/always-foreign", f"{SHORT} MORTAL=1 NO_EPOCH_FOREIGN", LOCKED_OUT),
    run("fencing/always-adopt", f"{SHORT} CRASHES=0 NO_EPOCH_ADOPT", EPOCH_FALLS),
    run("fencing/reply-time", "TXIDS=2 CRASHES=0 REPLY_TIME", SECOND),
    run("fencing/no-deadline", "TXIDS=2 CRASHES=0 NO_DEADLINE", SECOND),
    run("fencing/short-retention", "TXIDS=2 CRASHES=0 RETENTION=2", SECOND),
    run("fencing/refresh-on-look", "TXIDS=2 CRASHES=0 REFRESH_ON_LOOK", SECOND),
    run("fencing/proof-apart", "TXIDS=2 MORTAL=1 PROOF_APART", SECOND),

    # What must be possible, so that none of the above holds for want of events.
    run("capture/reach-truncate", f"{ONE} REACH_TRUNCATE", r"mxFrame==0"),
    run("capture/reach-proof", f"{ONE_CRASH} REACH_PROOF", r"mx==captured"),
    run("capture/reach-catch-up", f"{ONE_CRASH} REACH_CATCH_UP", r"!\(started\)"),
    run("capture/reach-kept", f"{KEEP} REACH_KEPT", r"mx==captured\)\|\|\(nBackfill"),
    run("capture/reach-recovery", f"{KEEP_KILLED} REACH_RECOVERY", r"la==0"),
    run("fencing/reach-adopt", "TXIDS=2 MORTAL=1 REACH_ADOPT", r"top=="),
    run("fencing/reach-fenced", "TXIDS=2 CRASHES=0 REACH_FENCED", r"violated 0"),
    run("fencing/reach-late", "TXIDS=2 CRASHES=0 REACH_LATE", r"!\(ok\)"),
]

Result = collections.namedtuple("Result", "row passed verdict states depth seconds mib trail")


def number(pattern, text):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0


def build(row, folder):
    """The verifier of a row, in `folder`. None, or what went wrong."""
    shutil.copy(os.path.join(HERE, row.model + ".pml"), folder)
    flags = ["-D" + define for define in row.defines]
    level = "-O2" if row.expected is HOLDS else "-O0"  # a search that ends early is short
    for command in (["spin", "-a", *flags, row.model + ".pml"],
                    ["gcc", "-w", level, "-DSAFETY", f"-DMEMLIM={MEMORY_MIB_MAX}",
                     "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "rror:" in done.stdout:
            return (done.stdout + done.stderr).strip() or f"{command[0]} failed"
    return None


def judge(row, text):
    """Did the search end as expected? (passed, what it said in a few words)"""
    errors = re.search(r"errors: (\d+)", text)
    message = re.search(r"^pan:\d+: (.*)$", text, re.M)
    if errors is None:
        return False, "the verifier did not finish"
    if errors.group(1) == "0":
        if "not completed" in text or "max search depth" in text or "reached -DMEMLIM" in text:
            return False, "the search is not complete"
        return row.expected is HOLDS, "holds"
    if message is None:
        return False, "the search failed without a reason"
    if row.expected is HOLDS:
        return False, message.group(1)[:200]
    if not re.search(row.expected, message.group(1)):
        return False, f"expected {row.expected}, got {message.group(1)[:200]}"
    return True, "is reached" if "/reach-" in row.name else "fails, as it must"


def trail_of(row, folder):
    """The steps to the error, one a line, without what spin adds to them."""
    flags = ["-D" + define for define in row.defines]
    done = subprocess.run(["spin", "-t", "-p", *flags, row.model + ".pml"], cwd=folder,
                          capture_output=True, text=True, check=False)
    noise = re.compile(r"\[(IF|DO|else|\.\(goto\)|sub-sequence|goto .*)\]")
    return "\n".join(line for line in done.stdout.splitlines()
                     if "proc " in line and not noise.search(line))


def verify(row, with_trail):
    with tempfile.TemporaryDirectory(prefix="holdfast-model-") as folder:
        wrong = build(row, folder)
        if wrong:
            return Result(row, False, wrong, 0, 0, 0, 0, "")
        began = time.monotonic()
        try:
            done = subprocess.run(["./pan", f"-m{DEPTH_MAX}", f"-w{HASH_BITS}"], cwd=folder,
                                  capture_output=True, text=True, check=False,
                                  timeout=SECONDS_MAX)
            text = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            text = ""
        seconds = time.monotonic() - began
        passed, verdict = judge(row, text)
        trail = ""
        if with_trail and os.path.exists(os.path.join(folder, row.model + ".pml.trail")):
            trail = trail_of(row, folder)
        return Result(row, passed, verdict, number(r"([\d.e+]+) states, stored", text),
                      number(r"depth reached (\d+)", text), seconds,
                      number(r"([\d.]+)\s+total actual memory", text), trail)


def show(result):
    print(f"{'ok  ' if result.passed else 'FAIL'} {result.row.name:32}"
          f"{int(result.states):>11,} states {int(result.depth):>6,} deep"
          f"{result.seconds:>6.1f} s{result.mib:>6.0f} MiB  {result.verdict}", flush=True)
    if result.trail:
        print(result.trail)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="verifiers at a time, of up to 2 GiB each (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the rows and run nothing")
    parser.add_argument("--trail", action="store_true", help="print the steps to each error")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a row, or how rows begin")
    args = parser.parse_args()

    rows = [row for row in RUNS if not args.names or row.name.startswith(tuple(args.names))]
    if not rows:
        parser.error("no row begins with " + " or ".join(args.names))
    if args.list:
        for row in rows:
            print(f"{row.name:32} {' '.join(row.defines)}")
        return 0
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        print(f"check_models: {' and '.join(missing)} not found; apt-get install "
              f"{' '.join(missing)}", file=sys.stderr)
        return 3

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        for result in pool.map(lambda row: verify(row, args.trail), rows):
            failed += not result.passed
            show(result)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
