/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.c - windows on levels, and the greedy walk over what is known.
 *
 * Why greedy is right: whether a segment may follow depends only on min <= txid + 1, so whoever is
 * further can take every step that one who is behind can. The furthest reachable TXID under a limit
 * is therefore where the greedy walk ends.
 */
#include "archive/view.h"

#include <string.h>

#include "base/check.h"

#define BACK_SEGMENTS 16 /* how far before a TXID a window begins, in segments of average width */
#define BACK_GROWTH   16 /* and how much further each time that was not far enough */

struct head_listing {
    struct hf_view *view;
    unsigned level;
    size_t skip;
    unsigned keys_max;
    unsigned keys_count;
    uint64_t cut_min; /* the min TXID at which the listing was ended; 0: it was not */
};

static enum hf_code see_key(void *ctx, const char *key, const struct hf_object *object,
                            struct hf_err *err)
{
    struct head_listing *l = ctx;
    struct hf_segment segment = {
        .level = l->level,
        .size_bytes = object->size_bytes,
        .modified_ms = object->modified_ms,
        .timestamp_ms = object->timestamp_ms,
    };

    l->keys_count++;
    if (hf_name_parse(key + l->skip, &segment.min_txid, &segment.max_txid) != HF_NAME_SEGMENT)
        return HF_OK;
    hf_seg_list_add(&l->view->known, &segment);
    /* Cut only between two min TXIDs, so that all that begin at the first of them are known. That
     * holds for snapshots, which all begin at 1, so they are seen to the last. */
    const struct hf_seg_list *known = &l->view->known;

    if (l->keys_count < l->keys_max || known->count < 2 ||
        known->items[known->count - 2].min_txid == segment.min_txid)
        return HF_OK;
    l->cut_min = segment.min_txid;
    return hf_err_set(err, HF_CANCELED, "a page is enough");
}

/* Drop known segments with min >= to_min from the end. */
static void drop_from(struct hf_seg_list *l, uint64_t to_min)
{
    while (l->count > 0 && l->items[l->count - 1].min_txid >= to_min)
        l->count--;
}

static enum hf_code open_level(struct hf_views *v, unsigned level, struct hf_err *err)
{
    const struct hf_archive *a = v->archive;
    struct hf_view *view = &v->levels[level];
    struct head_listing ctx = {.view = view, .level = level, .keys_max = a->list_page_keys};
    char name[HF_NAME_MAX];
    char prefix[HF_KEY_MAX + 1];

    hf_name_level(a->layout, level, name);
    hf_archive_key(a, name, prefix);
    ctx.skip = strlen(prefix);
    const enum hf_code rc = hf_store_list(a->store, prefix, "", see_key, &ctx, err);

    if (rc != HF_OK)
        return rc;
    view->head_to = ctx.cut_min == 0 ? UINT64_MAX : ctx.cut_min;
    /* Others may begin where the listing was cut, so that TXID is not known in full. */
    drop_from(&view->known, view->head_to);
    hf_seg_list_sort(&view->known);
    return HF_OK;
}

enum hf_code hf_views_open(struct hf_views *v, const struct hf_archive *a, struct hf_err *err)
{
    hf_assert(a->list_page_keys > 0);
    v->archive = a;
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const enum hf_code rc = open_level(v, level, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

void hf_views_done(struct hf_views *v)
{
    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
        hf_seg_list_done(&v->levels[level].known);
    *v = (struct hf_views){0};
}

/* How many TXIDs to look back at first: some segments of the width seen so far. */
static uint64_t first_back(const struct hf_view *view)
{
    const struct hf_seg_list *l = &view->known;

    if (l->count == 0)
        return BACK_SEGMENTS;
    /* Of the later half: snapshots and what retention left of old times stand at the beginning. */
    const size_t half = l->count / 2;
    const uint64_t span = l->items[l->count - 1].max_txid - l->items[half].min_txid;
    const uint64_t width = span / (l->count - half) + 1;

    return width > UINT64_MAX / BACK_SEGMENTS ? UINT64_MAX : width * BACK_SEGMENTS;
}

/* Make the window include [from, to), and join it to the head where they meet. */
static enum hf_code extend(struct hf_views *v, unsigned level, uint64_t from, uint64_t to,
                           struct hf_err *err)
{
    struct hf_view *view = &v->levels[level];
    enum hf_code rc = HF_OK;

    if (view->tail_from == view->tail_to) {
        view->tail_from = from;
        view->tail_to = from;
    }
    if (from < view->tail_from) {
        rc = hf_listing_level(v->archive, level, from, view->tail_from, &view->known, err);
        if (rc != HF_OK)
            return rc;
        view->tail_from = from;
    }
    if (to > view->tail_to) {
        rc = hf_listing_level(v->archive, level, view->tail_to, to, &view->known, err);
        if (rc != HF_OK)
            return rc;
        view->tail_to = to;
    }
    if (view->tail_from <= view->head_to) {
        view->head_to = view->tail_to > view->head_to ? view->tail_to : view->head_to;
        view->tail_from = 0;
        view->tail_to = 0;
    }
    hf_seg_list_sort(&view->known);
    return HF_OK;
}

/* Is there a segment in the window that ends at or before `txid`? */
static bool has_witness(const struct hf_view *view, uint64_t txid)
{
    for (size_t i = view->known.count; i > 0; i--) {
        const struct hf_segment *s = &view->known.items[i - 1];

        if (s->min_txid < view->tail_from)
            return false;
        if (s->max_txid <= txid)
            return true;
    }
    return false;
}

enum hf_code hf_views_need(struct hf_views *v, unsigned level, uint64_t txid, uint64_t to_min,
                           struct hf_err *err)
{
    struct hf_view *view = &v->levels[level];
    uint64_t back = first_back(view);

    while (view->head_to < to_min) {
        uint64_t from = txid > back ? txid - back : 1;

        if (from < view->head_to)
            from = view->head_to;
        const enum hf_code rc = extend(v, level, from, to_min, err);

        if (rc != HF_OK)
            return rc;
        if (view->tail_from == view->tail_to || has_witness(view, txid))
            return HF_OK;
        back = back > UINT64_MAX / BACK_GROWTH ? UINT64_MAX : back * BACK_GROWTH;
    }
    return HF_OK;
}

enum hf_code hf_views_reach(struct hf_views *v, uint64_t txid, uint64_t limit, uint64_t *ret_txid,
                            struct hf_err *err)
{
    uint64_t end = hf_views_walk(v, txid, limit, NULL);

    for (unsigned level = HF_LEVELS_COUNT; level-- > 0 && end < limit;) {
        const enum hf_code rc = hf_views_need(v, level, end, limit + 1, err);

        if (rc != HF_OK)
            return rc;
        end = hf_views_walk(v, txid, limit, NULL);
    }
    *ret_txid = end;
    return HF_OK;
}

/* The TXID from which on a segment leads: a snapshot only to its end. */
static uint64_t first_txid(const struct hf_segment *s)
{
    return s->min_txid == 1 ? s->max_txid : s->min_txid;
}

/* The known segment of the level that is first beyond the gap behind `txid`, or NULL. */
static const struct hf_segment *known_next(const struct hf_view *view, uint64_t txid)
{
    const struct hf_segment *next = NULL;

    for (size_t i = 0; i < view->known.count; i++) {
        const struct hf_segment *s = &view->known.items[i];
        const bool is_beyond = s->min_txid == 1 ? s->max_txid > txid : s->min_txid > txid + 1;

        if (is_beyond && (next == NULL || first_txid(s) < first_txid(next)))
            next = s;
    }
    return next;
}

/* As known_next(), asking the store where the level is not known that far. */
static enum hf_code level_next(struct hf_views *v, unsigned level, uint64_t txid,
                               struct hf_segment *ret, bool *ret_found, struct hf_err *err)
{
    const struct hf_view *view = &v->levels[level];
    const struct hf_segment *known = known_next(view, txid);

    if (known != NULL) {
        *ret = *known;
        *ret_found = true;
    }
    if (view->head_to == UINT64_MAX || (known != NULL && known->min_txid > 1))
        return HF_OK;

    HF_AUTO_SEG_LIST first = {0};
    const enum hf_code rc = hf_listing_first(v->archive, level, txid + 2, &first, err);

    if (rc != HF_OK || first.count == 0)
        return rc;
    if (known == NULL || first_txid(&first.items[0]) < first_txid(known))
        *ret = first.items[0];
    *ret_found = true;
    return HF_OK;
}

enum hf_code hf_views_next(struct hf_views *v, uint64_t txid, struct hf_segment *ret,
                           bool *ret_found, struct hf_err *err)
{
    bool found = false;

    for (unsigned level = 0; level < HF_LEVELS_COUNT && txid < HF_TXID_MAX; level++) {
        struct hf_segment s;
        bool here = false;
        const enum hf_code rc = level_next(v, level, txid, &s, &here, err);

        if (rc != HF_OK)
            return rc;
        if (here && (!found || first_txid(&s) < first_txid(ret))) {
            *ret = s;
            found = true;
        }
    }
    *ret_found = found;
    return HF_OK;
}

uint64_t hf_views_snapshot(const struct hf_views *v, uint64_t limit)
{
    uint64_t newest = 0;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        for (size_t i = 0; i < l->count && l->items[i].min_txid == 1; i++) {
            if (l->items[i].max_txid <= limit && l->items[i].max_txid > newest)
                newest = l->items[i].max_txid;
        }
    }
    return newest;
}

uint64_t hf_views_max(const struct hf_views *v)
{
    uint64_t max = 0;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        for (size_t i = 0; i < l->count; i++)
            max = l->items[i].max_txid > max ? l->items[i].max_txid : max;
    }
    return max;
}

/* A walk's place in one level: everything before `next` has been weighed. */
struct cursor {
    const struct hf_seg_list *list;
    size_t next;
    const struct hf_segment *best; /* reaches furthest under the limit so far */
};

static bool is_better(const struct hf_segment *a, const struct hf_segment *b)
{
    if (b == NULL || a->max_txid != b->max_txid)
        return b == NULL || a->max_txid > b->max_txid;
    return a->size_bytes < b->size_bytes;
}

static void advance(struct cursor *c, uint64_t txid, uint64_t limit)
{
    for (; c->next < c->list->count; c->next++) {
        const struct hf_segment *s = &c->list->items[c->next];

        if (s->min_txid > txid + 1)
            return;
        if (s->min_txid > 1 && s->max_txid <= limit && is_better(s, c->best))
            c->best = s;
    }
}

uint64_t hf_views_walk(const struct hf_views *v, uint64_t txid, uint64_t limit,
                       struct hf_seg_list *chain)
{
    struct cursor cursors[HF_LEVELS_COUNT];

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
        cursors[level] = (struct cursor){.list = &v->levels[level].known};
    for (;;) {
        const struct hf_segment *best = NULL;

        for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
            advance(&cursors[level], txid, limit);
            if (cursors[level].best != NULL && is_better(cursors[level].best, best))
                best = cursors[level].best;
        }
        if (best == NULL || best->max_txid <= txid)
            return txid;
        txid = best->max_txid;
        if (chain != NULL)
            hf_seg_list_add(chain, best);
    }
}

const struct hf_segment *hf_views_beyond(const struct hf_views *v, uint64_t txid, uint64_t limit)
{
    const struct hf_segment *first = NULL;

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const struct hf_seg_list *l = &v->levels[level].known;

        for (size_t i = 0; i < l->count && l->items[i].min_txid <= txid + 1; i++) {
            const struct hf_segment *s = &l->items[i];

            if (s->min_txid > 1 && s->max_txid > txid && s->max_txid > limit &&
                (first == NULL || s->max_txid < first->max_txid))
                first = s;
        }
    }
    return first;
}
