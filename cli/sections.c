/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sections.c - one sweep over the ends of segments.
 *
 * The last TXID that was found reachable is the largest one below the next end, so a segment leads
 * to its end if it begins at or before the TXID behind that one.
 */
#include "cli/sections.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

static const struct {
    const char *step;
    const char *level;
} texts[HF_LEVELS_COUNT] = {
    {"every capture", "as captured"}, {"every 30 s", "30 s"},
    {"every 5 min", "5 min"},         {"every hour", "1 h"},
    {"every day", "1 day"},           {"level 5", "level 5"},
    {"level 6", "level 6"},           {"level 7", "level 7"},
    {"level 8", "level 8"},           {"snapshot only", "snapshots"},
};

const char *hf_section_step(unsigned level)
{
    hf_assert(level < HF_LEVELS_COUNT);
    return texts[level].step;
}

const char *hf_level_text(unsigned level)
{
    hf_assert(level < HF_LEVELS_COUNT);
    return texts[level].level;
}

/* By the last TXID, then from fine to coarse. */
static int compare_ends(const void *pa, const void *pb)
{
    const struct hf_segment *a = pa;
    const struct hf_segment *b = pb;

    if (a->max_txid != b->max_txid)
        return a->max_txid < b->max_txid ? -1 : 1;
    return (a->level > b->level) - (a->level < b->level);
}

static bool is_snapshot(const struct hf_segment *s)
{
    return s->min_txid == 1;
}

/*
 * The segment by which the end that all items[0 .. count) share is reached from `reached` (0:
 * nothing is); `*ret_follows` says whether it is a step and not a snapshot. NULL: it is not.
 */
static const struct hf_segment *find_way(const struct hf_segment *items, size_t count,
                                         uint64_t reached, bool *ret_follows)
{
    const struct hf_segment *snapshot = NULL;

    for (size_t i = 0; i < count; i++) {
        if (is_snapshot(&items[i])) {
            snapshot = &items[i];
        } else if (reached != 0 && items[i].min_txid <= reached + 1) {
            *ret_follows = true;
            return &items[i];
        }
    }
    *ret_follows = false;
    return snapshot;
}

static void begin_section(struct hf_sections *s, unsigned level, const struct hf_segment *way)
{
    s->items[s->count++] =
        (struct hf_section){.level = level, .first = *way, .last = *way, .points_count = 1};
}

static void add_point(struct hf_sections *s, const struct hf_segment *way, bool follows)
{
    struct hf_section *section = s->count > 0 ? &s->items[s->count - 1] : NULL;

    if (!follows) {
        begin_section(s, HF_LEVEL_SNAPSHOT, way);
        return;
    }
    hf_assert(section != NULL);
    if (section->points_count == 1 && section->level == HF_LEVEL_SNAPSHOT)
        section->level = way->level; /* a snapshot, and how it goes on from there */
    if (section->level != way->level) {
        begin_section(s, way->level, way);
        return;
    }
    section->last = *way;
    section->points_count++;
}

void hf_sections_find(const struct hf_seg_list *all, struct hf_sections *ret)
{
    HF_AUTO_FREE struct hf_segment *ends = hf_calloc(all->count, sizeof(*ends));
    struct hf_sections s = {.items = hf_calloc(all->count, sizeof(*s.items))};
    uint64_t reached = 0;
    size_t next = 0;

    for (size_t i = 0; i < all->count; i++)
        ends[i] = all->items[i];
    qsort(ends, all->count, sizeof(*ends), compare_ends);
    for (size_t i = 0; i < all->count; i = next) {
        const struct hf_segment *way = NULL;
        bool follows = false;

        for (next = i + 1; next < all->count && ends[next].max_txid == ends[i].max_txid; next++)
            continue;
        way = find_way(&ends[i], next - i, reached, &follows);
        if (way == NULL)
            continue;
        reached = way->max_txid;
        add_point(&s, way, follows);
    }
    *ret = s;
}

void hf_sections_done(struct hf_sections *s)
{
    hf_free(s->items);
    *s = (struct hf_sections){0};
}
