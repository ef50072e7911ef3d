/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listed.h - all that is to be said about what one archive has.
 */
#ifndef HF_CLI_LISTED_H
#define HF_CLI_LISTED_H

#include "archive/catchups.h"
#include "archive/owner.h"
#include "archive/spans.h"
#include "cli/places.h"
#include "cli/sections.h"
#include "cli/timeline.h"

#define HF_LISTED_HEADERS_MAX 500 /* then times are the store's, which are hints */

#define HF_LISTED_GAPS_MAX 250 /* of the newest; two requests each */

struct hf_listed {
    struct hf_archive archive;
    struct hf_seg_list all;
    struct hf_spans spans;
    struct hf_sections sections;
    struct hf_timeline_part *parts; /* times of sections.items[i] */
    struct hf_timeline_part *holes; /* times on both sides of spans.holes[i] */
    struct hf_gaps gaps;            /* in which nothing was captured, and yet nothing is missing */
    struct hf_segment *snapshots;   /* by TXID */
    int64_t *snapshots_ms;
    size_t snapshots_count;
    size_t headers_read;
    bool seed_lost; /* segments carry roots, and holdfast/format with their seed is gone */
    bool has_owner;
    struct hf_err owner_fault; /* HF_OK, or HF_DAMAGE and why there is none */
    struct hf_owner owner;
    uint64_t tail_txid; /* TXIDs from here to owner.last_txid are missing at the end; 0: none */
};

/*
 * `*ret` describes the archive; the caller ends with hf_listed_done().
 * HF_NOT_FOUND  there is no archive, or nothing in it.
 */
enum hf_code hf_listed_read(const struct hf_session *s, const struct hf_places *places,
                            const struct hf_place *place, struct hf_listed *ret,
                            struct hf_err *err) HF_MUST_CHECK;
void hf_listed_done(struct hf_listed *l);

/* Is something missing or damaged: a hole, TXIDs to which no snapshot leads, a small object? */
bool hf_listed_is_broken(const struct hf_listed *l);
/* Of all segments. */
uint64_t hf_listed_bytes(const struct hf_listed *l);

/* Put everything into `object`. */
void hf_listed_json(const struct hf_listed *l, json_t *object);
/* Append it as text for people; the picture only if `picture`. */
void hf_listed_print(const struct hf_listed *l, const struct hf_place *place, bool picture,
                     bool utf8, struct hf_buf *ret);

#endif
