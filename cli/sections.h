/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sections.h - which moments of an archive can be reached, and how far apart they lie. Pure.
 *
 * A TXID can be reached if a segment ends with it and a chain leads there from a snapshot. Where
 * compaction and retention have passed, only the ends of larger segments are left.
 */
#ifndef HF_CLI_SECTIONS_H
#define HF_CLI_SECTIONS_H

#include "archive/listing.h"

/* Moments that follow one another in steps of one kind. */
struct hf_section {
    unsigned level;          /* of the segments that make the steps; HF_LEVEL_SNAPSHOT: alone */
    struct hf_segment first; /* ends with the section's first TXID */
    struct hf_segment last;
    size_t points_count;
};

struct hf_sections {
    struct hf_section *items; /* by TXID */
    size_t count;
};

/* The sections of the segments in `all` (any order); the caller ends with hf_sections_done(). */
void hf_sections_find(const struct hf_seg_list *all, struct hf_sections *ret);
void hf_sections_done(struct hf_sections *s);

/* "every capture", "every 30 s", ...: the steps of a section of this level. */
const char *hf_section_step(unsigned level);
/* "as captured", "30 s", ..., "snapshots": what lies in a level. */
const char *hf_level_text(unsigned level);

#endif
