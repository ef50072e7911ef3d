/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrubber.h - the live database against a reference replica rebuilt from the archive alone.
 *
 * It never reads the archiver's digest, spool or local segments: what is compared with comes only
 * from bytes fetched from the store (or from a reference file that rebuild made). The archiver is
 * asked for one thing, a TXID that ends exactly where the scan stands; a wrong answer can only
 * give a false alarm, never a false "clean". Invariants: scrubber/DESIGN.md.
 */
#ifndef HF_SCRUBBER_SCRUBBER_H
#define HF_SCRUBBER_SCRUBBER_H

#include "archive/archive.h"
#include "base/rand.h"
#include "engine/engine.h"

/* Where "this position is TXID n" comes from: a running archiver's socket, or its absence. */
struct hf_boundary {
    /*
     * A segment ends exactly at `p` and is archived: `*ret_txid`.
     * HF_NOT_FOUND  the position has been passed in the middle of a segment, or an application
     *               waits for whoever holds the log: let go, and pin again.
     * HF_BUSY       nobody answers: go by the archive's headers.
     */
    enum hf_code (*ask)(struct hf_boundary *b, const struct hf_position *p, uint64_t *ret_txid,
                        struct hf_err *err);
};

struct hf_scrub_options {
    const struct hf_engine *engine;
    const struct hf_archive *archive; /* borrowed, as all here */
    struct hf_fs *fs;
    struct hf_clock *clock;
    struct hf_pool *pool;
    const char *db_path;
    const char *work_dir;         /* keeps the reference between scrubs */
    const char *reference_path;   /* a database file that rebuild made: its pages take the place of
                                     the reference in work_dir. HF_USAGE: it is none of the
                                     archive's states. NULL: from the store alone */
    struct hf_boundary *boundary; /* or NULL: by the archive's headers alone */
    bool may_suppose; /* where nothing tells what came after the archive's last TXID, suppose that
                         nothing did: what is equal is equal, and what differs is told. Otherwise
                         that is HF_UNSUPPORTED */
    uint64_t bytes_per_s_max; /* 0: no limit */
    int64_t slice_ms;         /* 0: 10 s */
    struct hf_progress *progress;
    hf_stop_flag *stop;
};

/* What a finding means (sqlite-engine words: docs/OPERATIONS.md says what to do for each). */
enum hf_finding_kind {
    HF_FINDING_LIVE_STALE, /* the live page is an image the archive held earlier: a lost write */
    HF_FINDING_LIVE_UNREADABLE, /* the device gave no bytes */
    HF_FINDING_LIVE_ZEROED,     /* zeros where the archive has content */
    HF_FINDING_LIVE_COPIES,     /* database file and WAL disagree about a page they both hold */
    HF_FINDING_DIFFERS,         /* the live page was never archived: live damage, or the archive is
                                   behind; neither side is proved wrong */
    HF_FINDING_STORE_DAMAGE,    /* an object of the archive is damaged */
    HF_FINDING_HOLE,            /* the archive has a hole */
    HF_FINDING_LIMIT,           /* something could not be checked */
};

/* "live-stale", ...: the same in text, JSON and docs. */
const char *hf_finding_kind_text(enum hf_finding_kind kind);

struct hf_finding {
    enum hf_finding_kind kind;
    uint64_t page;       /* 0: not about a page */
    uint64_t txid;       /* the reference's */
    uint64_t stale_txid; /* LIVE_STALE: the last TXID at which the archive held this image */
    const char *owner;   /* what the page belongs to: "table orders (b-tree 5)"; or "" */
    const char *text;    /* what was met, what was expected, what to do */
};

typedef void hf_finding_fn(void *ctx, const struct hf_finding *finding);

/* TXIDs min_txid .. max_txid. */
struct hf_txid_span {
    uint64_t min_txid;
    uint64_t max_txid;
};

struct hf_scrub_report {
    bool complete; /* every page was compared, at the archive's TXID of its slice */
    bool supposed; /* of o->may_suppose use was made */
    uint64_t txid; /* of the last slice's reference */
    int64_t time_ms;
    uint64_t slices_count;
    struct hf_scan_counts pages;
    uint64_t findings_count;
    uint64_t fetched_bytes; /* from the store, to advance the reference */
    bool from_device;       /* live pages were read past the page cache */
    const char *weaker_why; /* why not, or NULL */
    bool proved_by_roots;
    struct hf_txid_span *catch_ups; /* what the reference has on the disk's word alone: damage that
                                       was there before would not show */
    size_t catch_ups_count;
    uint64_t catch_ups_since_txid; /* of those up to here nothing is known: they are in a reference
                                      that was given, or made before this was kept */
};

void hf_scrub_report_done(struct hf_scrub_report *r);

/*
 * HF_OK: the scrub has its verdict: findings_count, 0 only if the whole database was compared.
 * Pages that could not be are a finding, too (HF_FINDING_LIMIT). Otherwise the scrub did not
 * complete; findings told so far stand. The caller ends with hf_scrub_report_done() in any case.
 */
enum hf_code hf_scrub(const struct hf_scrub_options *o, hf_finding_fn *fn, void *ctx,
                      struct hf_scrub_report *report, struct hf_err *err) HF_MUST_CHECK;

#endif
