/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.h - an archive as a picture of text: what can be reached when, snapshots, holes. Pure.
 */
#ifndef HF_CLI_TIMELINE_H
#define HF_CLI_TIMELINE_H

#include <stdbool.h>

#include "base/buf.h"

#define HF_TIMELINE_COLUMNS 70

struct hf_timeline_part {
    int64_t from_ms;
    int64_t to_ms;
    unsigned level; /* how fine the steps are */
};

struct hf_timeline {
    const struct hf_timeline_part *parts; /* all borrowed */
    size_t parts_count;
    const struct hf_timeline_part *holes; /* level is not read */
    size_t holes_count;
    const int64_t *snapshots_ms;
    size_t snapshots_count;
};

/* Append the picture, a few lines; nothing if all lies in one moment. */
void hf_timeline_print(const struct hf_timeline *t, bool utf8, struct hf_buf *ret);

#endif
