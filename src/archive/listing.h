/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - which segments an archive has, by their names.
 *
 * Names that are no segments are skipped, as Litestream does. A name like a segment's one folder
 * deeper is skipped too, but counted: Litestream would take it for one and fail.
 */
#ifndef HF_ARCHIVE_LISTING_H
#define HF_ARCHIVE_LISTING_H

#include "archive/archive.h"

/* All zero is an empty list. */
struct hf_seg_list {
    struct hf_segment *items;
    size_t count;
    size_t cap;
    uint64_t nested_count; /* keys named like segments, in a folder where none belong */
    char *nested_key;      /* one of them, or NULL */
};

/* Add a copy at the end; the order is the caller's. */
void hf_seg_list_add(struct hf_seg_list *l, const struct hf_segment *segment);
/* By min TXID, then max TXID, then level; the same segment twice becomes one. */
void hf_seg_list_sort(struct hf_seg_list *l);
void hf_seg_list_done(struct hf_seg_list *l);
#define HF_AUTO_SEG_LIST HF_CLEANUP(hf_seg_list_done) struct hf_seg_list

/*
 * The level's segments with from_min <= min TXID < to_min are added to `l`, by (min, max).
 * Requests: one per 1000 keys in that range.
 */
enum hf_code hf_listing_level(const struct hf_archive *a, unsigned level, uint64_t from_min,
                              uint64_t to_min, struct hf_seg_list *l,
                              struct hf_err *err) HF_MUST_CHECK;

/* The first segment of the level with min TXID >= from_min is added, if there is one. One request.
 */
enum hf_code hf_listing_first(const struct hf_archive *a, unsigned level, uint64_t from_min,
                              struct hf_seg_list *l, struct hf_err *err) HF_MUST_CHECK;

/* All segments of all levels, sorted. For `list` and `verify`: costs as much as there is. */
enum hf_code hf_listing_all(const struct hf_archive *a, struct hf_seg_list *l,
                            struct hf_err *err) HF_MUST_CHECK;

/* What an archiver must know at its start. All zero: an empty archive. */
struct hf_head {
    uint64_t max_txid;        /* the largest TXID of any segment; 0: there are none */
    uint64_t head_txid;       /* the last TXID of the chain; max_txid unless there is a hole */
    uint64_t snapshot_txid;   /* that of the newest snapshot; 0: none, nothing can be restored */
    bool has_from;            /* the chain holds from_txid (trivially so for 0) */
    struct hf_seg_list after; /* all segments with max TXID > from_txid, sorted */
};

/*
 * Where the archive stands, seen from an archiver that last wrote `from_txid` (0: knows nothing).
 * The chain begins at the newest snapshot or, where it reaches further back, at from_txid itself.
 * from_txid > max_txid: the archive has lost what was written. The caller ends with hf_head_done().
 * An empty archive is HF_OK. Requests: about one a level, plus one per 1000 newer segments.
 */
enum hf_code hf_listing_head(const struct hf_archive *a, uint64_t from_txid, struct hf_head *ret,
                             struct hf_err *err) HF_MUST_CHECK;
void hf_head_done(struct hf_head *h);

#endif
