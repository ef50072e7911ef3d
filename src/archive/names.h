/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the keys of an archive below its prefix (FORMAT section 1). Pure; any thread.
 *
 * Segments lie where Litestream looks for them, so their names are part of the format: lower-case
 * hex of fixed width, whose byte order is the order of (min, max).
 */
#ifndef HF_ARCHIVE_NAMES_H
#define HF_ARCHIVE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/segment.h"
#include "base/err.h"

#define HF_TXID_MAX (UINT64_MAX - 1) /* so that the next one still is a number */
#define HF_NAME_MAX 128              /* bytes with NUL, of a key below the prefix */

#define HF_NAME_FORMAT   "holdfast/format"
#define HF_NAME_OWNER    "holdfast/owner"
#define HF_NAME_PROOFS   "holdfast/proofs/"
#define HF_NAME_CATCHUPS "holdfast/catch-ups/"

/* Where the levels lie. Which one an archive uses stands in its format object. */
enum hf_layout {
    HF_LAYOUT_HEX, /* 0000/ .. 0009/, as Litestream does on S3 */
    HF_LAYOUT_LTX, /* ltx/0/ .. ltx/9/, as it does on file:// */
};
#define HF_LAYOUTS_COUNT 2

/* The level-0 folder, "0000" or "ltx/0": how format objects and messages name a layout. */
const char *hf_layout_text(enum hf_layout layout);
/* False if `text` names no layout; `*ret` is then untouched. */
bool hf_layout_parse(const char *text, enum hf_layout *ret);

/* "0000/" or "ltx/0/". */
void hf_name_level(enum hf_layout layout, unsigned level, char ret[HF_NAME_MAX]);
/* "0000/<min>-<max>.ltx". */
void hf_name_segment(enum hf_layout layout, const struct hf_segment *segment,
                     char ret[HF_NAME_MAX]);
/* What a listing starts after to see the segments of the level with min TXID >= `min_txid`. */
void hf_name_start(enum hf_layout layout, unsigned level, uint64_t min_txid, char ret[HF_NAME_MAX]);
/* "holdfast/proofs/<txid>-20260102T030405.678Z": sorted by TXID, then by time. */
void hf_name_proof(uint64_t txid, int64_t time_ms, char ret[HF_NAME_MAX]);
/* The inverse, for what stands behind "holdfast/proofs/"; false if it is no such name. */
bool hf_name_proof_parse(const char *rest, uint64_t *ret_txid, int64_t *ret_time_ms);

/* "holdfast/catch-ups/<max TXID>": sorted by TXID. */
void hf_name_catchup(uint64_t max_txid, char ret[HF_NAME_MAX]);
/* The inverse, for what stands behind "holdfast/catch-ups/"; false if it is no such name. */
bool hf_name_catchup_parse(const char *rest, uint64_t *ret_max_txid);

enum hf_name_kind {
    HF_NAME_SEGMENT, /* min and max are set */
    HF_NAME_NESTED,  /* named like a segment, but in a folder deeper: it breaks Litestream's plan */
    HF_NAME_OTHER,   /* not ours to judge: ignored */
};

/* What `rest` is, the part of a key behind the level's folder. 1 <= min <= max <= HF_TXID_MAX. */
enum hf_name_kind hf_name_parse(const char *rest, uint64_t *ret_min_txid, uint64_t *ret_max_txid);

#endif
