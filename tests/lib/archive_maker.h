/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_maker.h - a model database with its whole history, and archives of it: any segments at
 * any level, written by the real LTX writer.
 *
 * The model keeps every page of every TXID, so it is the oracle for whatever is rebuilt. Roots and
 * checksums are computed from its pages alone.
 */
#ifndef HF_TESTS_LIB_ARCHIVE_MAKER_H
#define HF_TESTS_LIB_ARCHIVE_MAKER_H

#include "archive/archive.h"
#include "archive/listing.h"
#include "base/fs.h"
#include "base/rand.h"
#include "engine/sqlite/ltx/ltx.h"

#define MAKER_START_MS   INT64_C(1767225600000) /* 2026-01-01T00:00:00Z: TXID 0 */
#define MAKER_TXID_MS    1000                   /* between two TXIDs */
#define MAKER_PAGES_MAX  4096
#define MAKER_STATES_MAX 16384

enum maker_kind {
    MAKER_OURS,    /* roots, checksums, a format object */
    MAKER_TRACKED, /* of others: checksums, no roots */
    MAKER_PLAIN,   /* of others: neither */
};

/* The database at a TXID. */
struct maker_state {
    uint32_t pages_count;
    uint8_t *pages;   /* pages_count * page_bytes, page 1 first */
    uint8_t *changed; /* of each page: the commit wrote it */
    struct hf_root root;
    uint64_t sum;
};

struct maker {
    struct hf_store *store; /* borrowed */
    struct hf_archive archive;
    enum maker_kind kind;
    uint32_t page_bytes;
    uint64_t seed;
    struct hf_rand rand;
    uint64_t txid;              /* the last one */
    int64_t time_shift_ms;      /* added to the time of the segments that are made; 0 at first */
    struct maker_state *states; /* by TXID; states[0] is the empty database */
};

/* An archive at `prefix` with TXID 0; it has its format object if it is ours. */
void maker_init(struct maker *m, struct hf_store *store, const char *prefix, enum maker_kind kind,
                uint32_t page_bytes, uint64_t rand_seed);
void maker_done(struct maker *m);

/* The next TXID: `writes` random pages are written and the size changes to pages_count. */
void maker_commit(struct maker *m, uint32_t pages_count, unsigned writes);
/* The next TXID, all by chance: it grows, shrinks or stays, to at most pages_max pages. */
void maker_commit_random(struct maker *m, uint32_t pages_max);

/* The model's page at that TXID, and the time of the TXID. */
const uint8_t *maker_page(const struct maker *m, uint64_t txid, uint32_t pgno);
int64_t maker_time_ms(uint64_t txid);

/* Append the segment of TXID min..max as a file. */
void maker_segment(const struct maker *m, uint64_t min_txid, uint64_t max_txid, struct hf_buf *ret);
/* Put it at its place in `level`. */
void maker_put(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid);
/* Put these bytes there instead. */
void maker_put_bytes(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid,
                     struct hf_slice bytes);
void maker_delete(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid);
void maker_key(const struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid,
               char ret[HF_KEY_MAX + 1]);

/* Snapshot of TXID 1 and level 0 for all others; what every archive has at its beginning. */
void maker_put_all(struct maker *m);

/* Fail unless the file at `path` is the database at `txid`, byte for byte. */
void maker_assert_file(const struct maker *m, uint64_t txid, const char *path);

#endif
