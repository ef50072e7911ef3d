/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listed.c - read what an archive has: one listing, and the headers at the ends of sections,
 * because only a header knows its segment's time; gaps by their records.
 */
#include "cli/listed.h"

#include "archive/source.h"
#include "base/alloc.h"
#include "base/check.h"

static int64_t hinted_ms(const struct hf_segment *segment)
{
    return segment->timestamp_ms != 0 ? segment->timestamp_ms : segment->modified_ms;
}

static enum hf_code read_time(const struct hf_session *s, struct hf_listed *l,
                              const struct hf_segment *segment, int64_t *ret, struct hf_err *err)
{
    struct hf_seg_info info;

    if (l->headers_read == HF_LISTED_HEADERS_MAX) {
        *ret = hinted_ms(segment);
        return HF_OK;
    }
    l->headers_read++;

    const enum hf_code rc =
        hf_segment_read_info(&l->archive, s->engine->codec, segment, &info, err);

    if (rc != HF_OK)
        return rc;
    l->seed_lost = l->seed_lost || (info.has_root && !l->archive.has_format);
    *ret = info.time_ms;
    return HF_OK;
}

static enum hf_code read_sections(const struct hf_session *s, struct hf_listed *l,
                                  struct hf_err *err)
{
    hf_sections_find(&l->all, &l->sections);
    l->parts = hf_calloc(l->sections.count, sizeof(*l->parts));
    for (size_t i = 0; i < l->sections.count; i++) {
        const struct hf_section *section = &l->sections.items[i];
        enum hf_code rc = read_time(s, l, &section->first, &l->parts[i].from_ms, err);

        l->parts[i].to_ms = l->parts[i].from_ms;
        l->parts[i].level = section->level;
        if (rc == HF_OK && section->points_count > 1)
            rc = read_time(s, l, &section->last, &l->parts[i].to_ms, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code read_snapshots(const struct hf_session *s, struct hf_listed *l,
                                   struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    l->snapshots = hf_calloc(l->all.count, sizeof(*l->snapshots));
    l->snapshots_ms = hf_calloc(l->all.count, sizeof(*l->snapshots_ms));
    for (size_t i = 0; rc == HF_OK && i < l->all.count; i++) {
        const struct hf_segment *segment = &l->all.items[i];

        if (segment->min_txid != 1)
            continue;
        rc = read_time(s, l, segment, &l->snapshots_ms[l->snapshots_count], err);
        l->snapshots[l->snapshots_count++] = *segment;
    }
    return rc;
}

/* The time of the last segment before (or the first behind) a TXID at which a hole ends. */
static enum hf_code read_edge(const struct hf_session *s, struct hf_listed *l, uint64_t txid,
                              bool before, int64_t *ret, struct hf_err *err)
{
    const struct hf_segment *edge = NULL;

    for (size_t i = 0; i < l->all.count; i++) {
        const struct hf_segment *segment = &l->all.items[i];

        if (before ? segment->max_txid == txid
                   : segment->min_txid == txid ||
                         (segment->min_txid == 1 && segment->max_txid == txid))
            edge = segment;
    }
    hf_assert(edge != NULL); /* a hole lies between two runs, and those begin and end somewhere */
    return read_time(s, l, edge, ret, err);
}

/* Between which times each hole lies; what no snapshot leads to behind it is lost as well. */
static enum hf_code place_holes(const struct hf_session *s, struct hf_listed *l, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    l->holes = hf_calloc(l->spans.holes_count, sizeof(*l->holes));
    for (size_t i = 0; rc == HF_OK && i < l->spans.holes_count; i++) {
        const struct hf_run *next = &l->spans.runs[i + 1];
        const bool lost = next->restorable_from == 0;

        rc = read_edge(s, l, l->spans.runs[i].last_txid, true, &l->holes[i].from_ms, err);
        if (rc == HF_OK)
            rc = read_edge(s, l, lost ? next->last_txid : next->first_txid, lost,
                           &l->holes[i].to_ms, err);
    }
    return rc;
}

static enum hf_code read_owner(struct hf_listed *l, struct hf_err *err)
{
    const enum hf_code rc = hf_owner_read(&l->archive, &l->owner, err);

    l->has_owner = rc == HF_OK;
    if (rc == HF_DAMAGE)
        l->owner_fault = *err;
    return rc == HF_NOT_FOUND || rc == HF_DAMAGE ? HF_OK : rc;
}

/* What the owner knows to have archived, behind the last segment. */
static void find_tail(struct hf_listed *l)
{
    const uint64_t last = l->spans.runs[l->spans.runs_count - 1].last_txid;

    if (l->has_owner && l->owner.last_txid > last)
        l->tail_txid = last + 1;
}

enum hf_code hf_listed_read(const struct hf_session *s, const struct hf_places *places,
                            const struct hf_place *place, struct hf_listed *ret, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    *ret = (struct hf_listed){0};
    rc = hf_archive_open(places->store, place->prefix, &ret->archive, err);
    if (rc == HF_OK)
        rc = hf_listing_all(&ret->archive, &ret->all, err);
    if (rc == HF_OK && ret->all.count == 0)
        rc = hf_err_set(err, HF_NOT_FOUND, "%s: there is no archive, or nothing in it", place->url);
    if (rc == HF_OK)
        rc = read_sections(s, ret, err);
    if (rc == HF_OK)
        rc = read_snapshots(s, ret, err);
    if (rc == HF_OK)
        rc = hf_catchups_list(&ret->archive, s->engine->codec, &ret->all, HF_LISTED_GAPS_MAX,
                              &ret->gaps, err);
    if (rc == HF_OK)
        rc = read_owner(ret, err);
    if (rc != HF_OK)
        return rc;
    hf_plan_spans(&ret->all, &ret->spans);
    find_tail(ret);
    return place_holes(s, ret, err);
}

void hf_listed_done(struct hf_listed *l)
{
    hf_seg_list_done(&l->all);
    hf_spans_done(&l->spans);
    hf_sections_done(&l->sections);
    hf_gaps_done(&l->gaps);
    hf_free(l->parts);
    hf_free(l->holes);
    hf_free(l->snapshots);
    hf_free(l->snapshots_ms);
    *l = (struct hf_listed){0};
}

bool hf_listed_is_broken(const struct hf_listed *l)
{
    for (size_t i = 0; i < l->spans.runs_count; i++) {
        if (l->spans.runs[i].restorable_from == 0)
            return true;
    }
    return l->spans.holes_count > 0 || l->tail_txid != 0 || l->seed_lost ||
           l->owner_fault.code != HF_OK;
}

uint64_t hf_listed_bytes(const struct hf_listed *l)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < HF_LEVELS_COUNT; i++)
        bytes += l->spans.levels[i].bytes;
    return bytes;
}
