#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the simulator find bugs? Each mutant is the tree with one bug of the kind that loses data.

    python3 tests/sim/mutants.py [NAME ...] [--seeds N]

The tree is copied to build/mutants and built there once; then one mutant after the other is made,
built and run until a seed fails. A mutant that N seeds do not find fails the run, and so does one
whose text is not in the tree any more. tests/sim/README.md has what was found.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COPY = os.path.join(ROOT, "build", "mutants")

# No store has conditional puts, where one seed in seven has such a store.
LEASES = ("tests/sim/sim.c", "s->leases = sim_chance(s, 150);", "s->leases = true;")

# name: (file, text, what stands in its place; and perhaps more of these)
MUTANTS = {
    "adopt-unchecked": (
        "archiver/reconcile.c",
        "hf_root_equal(info->root, captured->root) &&",
        "(hf_root_equal(info->root, captured->root) || true) &&"),
    "uncertain-is-done": (
        "archiver/upload.c",
        "if (rc == HF_CONFLICT || rc == HF_UNCERTAIN)\n        rc = judge_conflict(p, s, err);",
        "if (rc == HF_UNCERTAIN)\n        return HF_OK;\n"
        "    if (rc == HF_CONFLICT)\n        rc = judge_conflict(p, s, err);"),
    "conflict-is-ours": (
        "archiver/upload.c",
        "if (rc == HF_CONFLICT || rc == HF_UNCERTAIN)\n        rc = judge_conflict(p, s, err);",
        "if (rc == HF_CONFLICT)\n        return HF_OK;\n"
        "    if (rc == HF_UNCERTAIN)\n        rc = judge_conflict(p, s, err);"),
    "put-without-condition": (
        "archiver/upload.c",
        "? HF_PUT_ALWAYS : HF_PUT_IF_ABSENT,",
        "? HF_PUT_ALWAYS : HF_PUT_ALWAYS,"),
    "dropped-before-put": (
        "archiver/upload.c",
        "        rc = put_segment(p, &s, err);\n    if (rc != HF_OK)\n        return rc;\n",
        "        rc = put_segment(p, &s, err);\n    if (rc == HF_TRANSIENT)\n"
        "        (void)!spool_drop(p->spool, txid, txid, err);\n"
        "    if (rc != HF_OK)\n        return rc;\n"),
    "claim-of-another-is-ours": (
        "src/archive/owner.c",
        "    if (is_same_claim(me, now))\n        return HF_OK;",
        "    if (is_same_claim(me, now) || now->epoch > me->epoch)\n        return HF_OK;"),
    "catch-up-left-out": (
        "archiver/attach.c",
        "if (need == HF_LIVE_CATCH_UP)\n        return catch_up(p, err);",
        "if (need == HF_LIVE_CATCH_UP && false)\n        return catch_up(p, err);"),
    "stop-without-last-round": (
        "archiver/capture.c",
        "const bool last = stopped || (",
        "const bool last = (",
        "archiver/capture.c",
        "if (!round->current && !stalled)",
        "if (!round->current && !stalled && false)",
        "archiver/capture.c",
        "if (!round->current)\n        partition_fail_unknown(p, NULL);",
        "if (!round->current && false)\n        partition_fail_unknown(p, NULL);"),
    "torn-spool-is-sent": (
        "archiver/reconcile.c",
        "rc = p->target.engine->segment_check(&source.base, p->env->pool, err);",
        "rc = HF_OK;",
        "archiver/upload.c",
        "rc = p->target.engine->segment_check(source, p->env->pool, err);",
        "rc = HF_OK;"),
    "state-ahead-of-the-spool-is-kept": (
        "archiver/reconcile.c",
        "local_txid(p) > p->head_txid && local_txid(p) > spool_last(p->spool))",
        "local_txid(p) > p->head_txid && local_txid(p) > spool_last(p->spool) && false)"),
    "times-fall": (
        "archiver/reconcile.c",
        "captured->time_ms == info->time_ms;",
        "(captured->time_ms == info->time_ms || true);"),
    "claim-without-condition": (
        "src/archive/owner.c",
        "cond = o->etag.str[0] != '\\0' ? HF_PUT_IF_MATCH : HF_PUT_IF_ABSENT;",
        "cond = HF_PUT_ALWAYS;"),
    "format-made-twice": (
        "src/archive/format.c",
        "HF_PUT_IF_ABSENT",
        "HF_PUT_ALWAYS"),
    "time-off-by-one": (
        "src/archive/plan_time.c",
        "if (info.time_ms <= time_ms) {",
        "if (info.time_ms < time_ms) {"),
    "gap-untold": (
        "src/archive/plan_time.c",
        "if (info.catchup && time_ms > f->time_ms)",
        "if (info.catchup && time_ms > f->time_ms + 60000)"),
    "scrub-by-the-wrong-boundary": (
        "archiver/boundary.c",
        "        p->guarded.until_txid = txid;",
        "        p->guarded.until_txid = txid > 1 ? txid - 1 : txid;"),
    "published-before-whole": (
        "restore/restore.c",
        "    rc = rebuild(p, report, err);\n",
        "    (void)!hf_fs_link(p->o->fs, p->pages, p->o->out_path, err);\n"
        "    rc = rebuild(p, report, err);\n"
        "    if (rc != HF_OK)\n        return rc;\n    return HF_OK;\n"),
    "lease-not-waited-for": (
        "src/archive/owner.c",
        "if (has_cond(a) || now->lease_until_ms <= now_ms ||",
        "if (has_cond(a) || now->lease_until_ms <= now_ms || true ||"),
    "lease-kept": (
        "archiver/upload.c",
        "last ? hf_owner_leave(",
        "last && false ? hf_owner_leave("),
    "lease-runs-out": (
        *LEASES,
        "archiver/upload.c",
        "return !hf_owner_lease_is_short(&p->owner, now_ms) &&",
        "return (!hf_owner_lease_is_short(&p->owner, now_ms) || true) &&"),
    "lease-renewed-late": (
        *LEASES,
        "src/archive/owner.c",
        "if (rc != HF_OK || !hf_owner_lease_is_short(me, hf_now_ms(clock)))",
        "if (rc != HF_OK || !hf_owner_lease_is_short(me, hf_now_ms(clock)) || true)"),
    "format-without-lease": (
        *LEASES,
        "archiver/start.c",
        "if (rc == HF_OK && partition_has_lease(p))\n        rc = hold(p, err);",
        "if (rc == HF_OK && partition_has_lease(p) && false)\n        rc = hold(p, err);"),
    "epoch-begins-anew": (
        "archiver/start.c",
        "if (rc == HF_OK && info.epoch > *ret &&",
        "if (rc == HF_OK && info.epoch > *ret && false &&"),
    "format-made-over-segments": (
        "archiver/start.c",
        "if (head.max_txid > 0)\n        return find_format(p, err);",
        "if (head.max_txid > 0 && false)\n        return find_format(p, err);"),
    "tail-not-asked-for": (
        "archiver/reconcile.c",
        "    if (confirmed <= head)\n        return HF_OK;\n",
        "    if (confirmed <= head || true)\n        return HF_OK;\n"),
    "scrub-archives-what-it-judges": (
        "archiver/attach.c",
        "    if (p->target.never_catch_up)\n        return hf_err_set(err, HF_CONFLICT,",
        "    if (p->target.never_catch_up && false)\n        return hf_err_set(err, HF_CONFLICT,"),
    "low-disk-not-let-go": (
        "archiver/limits.c",
        "if (held_bytes > HELD_BYTES_SMALL && partition_disk_is_low(p))",
        "if (held_bytes > HELD_BYTES_SMALL && partition_disk_is_low(p) && false)"),
    "not-attached-again": (
        "archiver/attach.c",
        "    if (spool_first(p->spool) != 0)\n        return LOOK_AGAIN_MS;\n",
        "    if (p->let_go_ms > 0 || spool_first(p->spool) != 0)\n        return LOOK_AGAIN_MS;\n"),
    # What only several partitions show.
    "one-ends-all": (
        "archiver/partition.c",
        "    if (p->guarded.status.failure == HF_OK) {",
        "    *p->env->stop = true;\n    if (p->guarded.status.failure == HF_OK) {"),
    "failure-told-of-another": (
        "archiver/archiver.c",
        "return hf_err_set(err, s->failure, \"%s: %s\", a->partitions[i]->target.name,",
        "return hf_err_set(err, s->failure, \"%s: %s\", a->partitions[0]->target.name,"),
    "slot-kept": (
        "archiver/snapshot.c",
        "if (p->guarded.has_slot)",
        "if (p->guarded.has_slot && step != SNAPSHOT_NONE)"),
    "slots-without-end": (
        "archiver/snapshot.c",
        "if (left == 0)\n            return false;",
        "if (left == 0)\n            break;"),
    "uploads-in-line": (
        "archiver/archiver.c",
        "[HF_ARCHIVER_UPLOAD] = UPLOAD_THREADS_MAX,",
        "[HF_ARCHIVER_UPLOAD] = 1,"),
    "cut-when-one-has-drained": (
        "archiver/archiver.c",
        "draining = draining || is_draining(a->partitions[i]);",
        "draining = is_draining(a->partitions[i]);"),
    "retry-without-pause": (
        "archiver/partition.c",
        "if (jobs[i] != NULL && jobs[i] != goes_on)",
        "if (jobs[i] != NULL)"),
}


def run(*words):
    return subprocess.run(words, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def copy_tree():
    """Files that are as they were keep their times, so that only what differs is built again."""
    os.makedirs(COPY, exist_ok=True)
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others",
                             "--exclude-standard"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split("\n")
    for name in filter(None, listed):
        here, there = os.path.join(ROOT, name), os.path.join(COPY, name)
        if not os.path.isfile(here):
            continue
        with open(here, "rb") as f:
            data = f.read()
        if os.path.exists(there):
            with open(there, "rb") as f:
                if f.read() == data:
                    continue
        os.makedirs(os.path.dirname(there), exist_ok=True)
        shutil.copyfile(here, there)
        shutil.copymode(here, there)


def build():
    run("cmake", "--preset", "release", "-D", "HF_WERROR=OFF", "--log-level=WARNING")
    done = run("cmake", "--build", "build/release", "-j", str(os.cpu_count()), "--target", "sim")
    if done.returncode != 0:
        raise SystemExit(done.stdout[-4000:])


def read(path):
    with open(os.path.join(COPY, path), encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(os.path.join(COPY, path), "w", encoding="utf-8") as f:
        f.write(text)


def change(name, path, text, instead, sources):
    """`sources` keeps what the file held before."""
    now = read(path)
    if text not in now:
        raise SystemExit(f"mutants: {name}: its text is not in {path} any more: {text}")
    sources.setdefault(path, now)
    write(path, now.replace(text, instead))


def try_mutant(name, seeds):
    """The number of the first failing seed of those that were tried, or None; and what it said."""
    words = MUTANTS[name]
    sources = {}
    try:
        for path, text, instead in zip(words[::3], words[1::3], words[2::3]):
            change(name, path, text, instead, sources)
        build()
        said = run("build/release/tests/sim", "--seeds", str(seeds), "--first").stdout
    finally:
        for path, source in sources.items():
            write(path, source)
    found = re.search(r"^seed (\d+): (.*)$", said, re.M)
    return (int(found[1]), found[2]) if found else (None, "")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME")
    p.add_argument("--seeds", type=int, default=2000)
    o = p.parse_args()
    copy_tree()
    build()
    missed = []
    for name in o.names or MUTANTS:
        seed, said = try_mutant(name, o.seeds)
        print(f"| {name} | {'not found' if seed is None else seed} | {said} |", flush=True)
        if seed is None:
            missed.append(name)
    if missed:
        print(f"not found in {o.seeds} seeds: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
