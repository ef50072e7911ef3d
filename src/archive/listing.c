/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.c - lists of segments from listings of keys.
 */
#include "archive/listing.h"

#include <stdlib.h>
#include <string.h>

#include "archive/view.h"
#include "base/alloc.h"
#include "base/check.h"

#define LIST_CAP_MIN 64

void hf_seg_list_add(struct hf_seg_list *l, const struct hf_segment *segment)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? LIST_CAP_MIN : l->cap * 2;
        l->items = hf_realloc(l->items, l->cap, sizeof(*l->items));
    }
    l->items[l->count++] = *segment;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_segments(const void *pa, const void *pb)
{
    const struct hf_segment *a = pa;
    const struct hf_segment *b = pb;

    if (a->min_txid != b->min_txid)
        return compare_u64(a->min_txid, b->min_txid);
    if (a->max_txid != b->max_txid)
        return compare_u64(a->max_txid, b->max_txid);
    return compare_u64(a->level, b->level);
}

void hf_seg_list_sort(struct hf_seg_list *l)
{
    size_t kept = 0;

    if (l->count == 0)
        return;
    qsort(l->items, l->count, sizeof(*l->items), compare_segments);
    for (size_t i = 1; i < l->count; i++) {
        if (compare_segments(&l->items[kept], &l->items[i]) != 0)
            l->items[++kept] = l->items[i];
    }
    l->count = kept + 1;
}

void hf_seg_list_done(struct hf_seg_list *l)
{
    hf_free(l->items);
    hf_free(l->nested_key);
    *l = (struct hf_seg_list){0};
}

struct level_listing {
    struct hf_seg_list *list;
    unsigned level;
    size_t skip; /* bytes of a key that are the level's folder */
    uint64_t to_min;
    bool one; /* the first is enough */
};

static enum hf_code see_key(void *ctx, const char *key, const struct hf_object *object,
                            struct hf_err *err)
{
    struct level_listing *l = ctx;
    struct hf_segment segment = {
        .level = l->level,
        .size_bytes = object->size_bytes,
        .modified_ms = object->modified_ms,
        .timestamp_ms = object->timestamp_ms,
    };

    switch (hf_name_parse(key + l->skip, &segment.min_txid, &segment.max_txid)) {
    case HF_NAME_OTHER:
        return HF_OK;
    case HF_NAME_NESTED:
        l->list->nested_count++;
        if (l->list->nested_key == NULL)
            l->list->nested_key = hf_strdup(key);
        return HF_OK;
    case HF_NAME_SEGMENT:
        break;
    }
    if (segment.min_txid >= l->to_min)
        return hf_err_set(err, HF_CANCELED, "behind the range");
    hf_seg_list_add(l->list, &segment);
    return l->one ? hf_err_set(err, HF_CANCELED, "one is enough") : HF_OK;
}

static enum hf_code list_keys(const struct hf_archive *a, struct level_listing *ctx,
                              uint64_t from_min, struct hf_err *err)
{
    char name[HF_NAME_MAX];
    char prefix[HF_KEY_MAX + 1];
    char start[HF_KEY_MAX + 1] = "";

    hf_name_level(a->layout, ctx->level, name);
    hf_archive_key(a, name, prefix);
    ctx->skip = strlen(prefix);
    if (from_min > 1) {
        hf_name_start(a->layout, ctx->level, from_min, name);
        hf_archive_key(a, name, start);
    }
    return hf_store_list(a->store, prefix, start, see_key, ctx, err);
}

enum hf_code hf_listing_level(const struct hf_archive *a, unsigned level, uint64_t from_min,
                              uint64_t to_min, struct hf_seg_list *l, struct hf_err *err)
{
    struct level_listing ctx = {.list = l, .level = level, .to_min = to_min};

    return list_keys(a, &ctx, from_min, err);
}

enum hf_code hf_listing_first(const struct hf_archive *a, unsigned level, uint64_t from_min,
                              struct hf_seg_list *l, struct hf_err *err)
{
    struct level_listing ctx = {.list = l, .level = level, .to_min = UINT64_MAX, .one = true};

    return list_keys(a, &ctx, from_min, err);
}

enum hf_code hf_listing_all(const struct hf_archive *a, struct hf_seg_list *l, struct hf_err *err)
{
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const enum hf_code rc = hf_listing_level(a, level, 1, UINT64_MAX, l, err);

        if (rc != HF_OK)
            return rc;
    }
    hf_seg_list_sort(l);
    return HF_OK;
}

/* The chain from the newest snapshot, and whether from_txid leads into it. */
static enum hf_code find_head(struct hf_views *views, uint64_t from_txid, struct hf_head *head,
                              struct hf_err *err)
{
    const uint64_t snapshot = hf_views_snapshot(views, HF_TXID_MAX);
    enum hf_code rc;

    head->snapshot_txid = snapshot;
    rc = hf_views_reach(views, snapshot, HF_TXID_MAX, &head->head_txid, err);
    if (rc != HF_OK)
        return rc;
    head->max_txid = hf_views_max(views);
    if (snapshot == 0)
        head->head_txid = 0;
    if (from_txid >= snapshot)
        head->has_from = from_txid <= head->head_txid;
    else if (from_txid > 0)
        head->has_from = hf_views_walk(views, from_txid, HF_TXID_MAX, NULL) >= head->head_txid;
    else
        head->has_from = true;
    return HF_OK;
}

enum hf_code hf_listing_head(const struct hf_archive *a, uint64_t from_txid, struct hf_head *ret,
                             struct hf_err *err)
{
    HF_AUTO_VIEWS views = {0};
    struct hf_head head = {0};
    enum hf_code rc;

    hf_assert(from_txid <= HF_TXID_MAX);
    rc = hf_views_open(&views, a, err);
    if (rc != HF_OK)
        return rc;
    /* What the archiver does not know yet, at every level. */
    for (unsigned level = 0; level < HF_LEVELS_COUNT && from_txid > 0; level++) {
        rc = hf_views_need(&views, level, from_txid, UINT64_MAX, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = find_head(&views, from_txid, &head, err);
    if (rc != HF_OK)
        return rc;
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *known = &views.levels[level].known;

        for (size_t i = 0; i < known->count; i++) {
            if (known->items[i].max_txid > from_txid)
                hf_seg_list_add(&head.after, &known->items[i]);
        }
    }
    hf_seg_list_sort(&head.after);
    *ret = head;
    return HF_OK;
}

void hf_head_done(struct hf_head *h)
{
    hf_seg_list_done(&h->after);
    *h = (struct hf_head){0};
}
