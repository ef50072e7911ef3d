/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catchups.c - one small object per catch-up, named by its TXID.
 *
 * Names are matched with segments in one pass over the full listing, which its reader has anyway,
 * so that only records which may be true cost requests.
 */
#include "archive/catchups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/json.h"
#include "archive/source.h"
#include "base/alloc.h"
#include "base/check.h"

#define SCHEMA      1
#define TXID_DIGITS 16

/* Our objects hold no negative numbers: a clock that stood before 1970 is told as 1970. */
static void set_time(json_t *json, const char *field, int64_t ms)
{
    hf_json_set_number(json, field, ms > 0 ? (uint64_t)ms : 0);
}

static void set_txid(json_t *json, const char *field, uint64_t txid)
{
    char text[TXID_DIGITS + 1];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, txid);
    hf_json_set_text(json, field, text);
}

enum hf_code hf_catchup_put(const struct hf_archive *a, const struct hf_seg_info *segment,
                            int64_t from_ms, struct hf_err *err)
{
    HF_AUTO_JSON *json = hf_json_new();
    HF_AUTO_BUF body = {0};
    char name[HF_NAME_MAX];

    hf_assert(segment->catchup && segment->min_txid > 1);
    hf_json_set_number(json, "schema", SCHEMA);
    set_txid(json, "min_txid", segment->min_txid);
    set_txid(json, "max_txid", segment->max_txid);
    set_time(json, "from_ms", from_ms);
    set_time(json, "to_ms", segment->time_ms);
    hf_json_print(json, &body);
    hf_name_catchup(segment->max_txid, name);
    return hf_archive_put(a, name, hf_buf_slice(&body), HF_PUT_ALWAYS, NULL, NULL, err);
}

/* Records by their names, and the segment that each is judged by (NULL: there is none). */
struct records {
    uint64_t *txids; /* ascending */
    const struct hf_segment **segments;
    size_t count;
    size_t skip; /* bytes of a key that are the folder */
};

static void records_done(struct records *r)
{
    hf_free(r->txids);
    hf_free(r->segments);
    *r = (struct records){0};
}

static enum hf_code see_key(void *ctx, const char *key, const struct hf_object *object,
                            struct hf_err *err)
{
    struct records *r = ctx;
    uint64_t txid;

    (void)object;
    (void)err;
    if (!hf_name_catchup_parse(key + r->skip, &txid))
        return HF_OK;
    if ((r->count & (r->count + 1)) == 0) /* full at each power of two less one */
        r->txids = hf_realloc(r->txids, 2 * r->count + 1, sizeof(*r->txids));
    r->txids[r->count++] = txid;
    return HF_OK;
}

static enum hf_code list_records(const struct hf_archive *a, struct records *r, struct hf_err *err)
{
    char prefix[HF_KEY_MAX + 1];

    hf_archive_key(a, HF_NAME_CATCHUPS, prefix);
    r->skip = strlen(prefix);
    return hf_store_list(a->store, prefix, "", see_key, r, err);
}

/* The first record whose TXID is at least `txid`. */
static size_t find_record(const struct records *r, uint64_t txid)
{
    size_t low = 0;
    size_t high = r->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (r->txids[middle] < txid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Give each record the narrowest segment that holds its TXID. */
static void match(struct records *r, const struct hf_seg_list *all)
{
    r->segments = hf_calloc(r->count, sizeof(*r->segments));
    for (size_t i = 0; i < all->count; i++) {
        const struct hf_segment *s = &all->items[i];

        if (s->min_txid == 1)
            continue;
        for (size_t k = find_record(r, s->min_txid); k < r->count && r->txids[k] <= s->max_txid;
             k++) {
            const struct hf_segment *other = r->segments[k];

            if (other == NULL || s->max_txid - s->min_txid < other->max_txid - other->min_txid)
                r->segments[k] = s;
        }
    }
}

static enum hf_code parse_txid(const json_t *json, const char *field, uint64_t *ret,
                               struct hf_err *err)
{
    char text[TXID_DIGITS + 1];
    enum hf_code rc;

    rc = hf_json_get_hex(json, field, TXID_DIGITS, text, err);
    if (rc != HF_OK)
        return rc;
    if (!hf_name_catchup_parse(text, ret))
        return hf_err_set(err, HF_DAMAGE, "\"%s\" is %s, which is no TXID", field, text);
    return HF_OK;
}

static enum hf_code parse_fields(const json_t *json, uint64_t txid, struct hf_gap *ret,
                                 struct hf_err *err)
{
    uint64_t schema = 0;
    uint64_t min = 0;
    uint64_t max = 0;
    uint64_t from_ms = 0;
    uint64_t to_ms = 0;
    enum hf_code rc = hf_json_get_number(json, "schema", HF_NUMBER_MAX, &schema, err);

    if (rc == HF_OK && schema != SCHEMA)
        rc = hf_err_set(err, HF_UNSUPPORTED,
                        "a newer holdfast wrote it (schema %" PRIu64 ", this one reads %d)", schema,
                        SCHEMA);
    if (rc == HF_OK)
        rc = parse_txid(json, "min_txid", &min, err);
    if (rc == HF_OK)
        rc = parse_txid(json, "max_txid", &max, err);
    if (rc == HF_OK && (max != txid || min < 2 || min > max))
        rc = hf_err_set(err, HF_DAMAGE, "it speaks of TXID %" PRIu64 " to %" PRIu64, min, max);
    if (rc == HF_OK)
        rc = hf_json_get_number(json, "from_ms", HF_NUMBER_MAX, &from_ms, err);
    if (rc == HF_OK)
        rc = hf_json_get_number(json, "to_ms", HF_NUMBER_MAX, &to_ms, err);
    if (rc != HF_OK)
        return rc;
    *ret = (struct hf_gap){
        .from_txid = min - 1, .to_txid = max, .from_ms = (int64_t)from_ms, .to_ms = (int64_t)to_ms};
    return HF_OK;
}

static enum hf_code read_record(const struct hf_archive *a, uint64_t txid, struct hf_gap *ret,
                                struct hf_err *err)
{
    HF_AUTO_JSON *json = NULL;
    HF_AUTO_BUF body = {0};
    char name[HF_NAME_MAX];
    char key[HF_KEY_MAX + 1];
    enum hf_code rc;

    hf_name_catchup(txid, name);
    hf_archive_key(a, name, key);
    rc = hf_archive_get(a, name, &body, NULL, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_parse(hf_buf_slice(&body), key, &json, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_fields(json, txid, ret, err);
    return rc != HF_OK ? hf_err_wrap(err, "%s", key) : HF_OK;
}

/*
 * `*ret_found` if the segment says that it is a catch-up; `ret` has its header then. What it cannot
 * say does not count: it is for `verify` to find damage, and for the next look to see what is gone
 * since the listing.
 */
static enum hf_code judge(const struct hf_archive *a, const struct hf_segment_codec *codec,
                          const struct hf_segment *segment, bool *ret_found,
                          struct hf_seg_info *ret, struct hf_err *err)
{
    const enum hf_code rc = hf_segment_read_info(a, codec, segment, ret, err);

    *ret_found = rc == HF_OK && ret->catchup;
    return rc == HF_DAMAGE || rc == HF_HOLE ? HF_OK : rc;
}

/* The gap of one record, if it is one, is added. It ends when the catch-up says, where that is
 * still a segment of its own: the record may be of one that another archiver put first. */
static enum hf_code look_at(const struct hf_archive *a, const struct hf_segment_codec *codec,
                            const struct records *r, size_t i, struct hf_gaps *gaps,
                            struct hf_err *err)
{
    struct hf_gap *gap = &gaps->items[gaps->count];
    struct hf_seg_info info;
    bool found = false;
    enum hf_code rc;

    if (r->segments[i] == NULL)
        return HF_OK;
    rc = judge(a, codec, r->segments[i], &found, &info, err);
    if (rc != HF_OK || !found)
        return rc;
    rc = read_record(a, r->txids[i], gap, err);
    if (rc == HF_OK && info.min_txid == info.max_txid)
        gap->to_ms = info.time_ms;
    gaps->count += rc == HF_OK;
    return rc == HF_NOT_FOUND ? HF_OK : rc; /* removed since the listing */
}

enum hf_code hf_catchups_list(const struct hf_archive *a, const struct hf_segment_codec *codec,
                              const struct hf_seg_list *all, size_t gaps_max, struct hf_gaps *ret,
                              struct hf_err *err)
{
    HF_CLEANUP(records_done) struct records r = {0};
    struct hf_gaps gaps = {0};
    enum hf_code rc = list_records(a, &r, err);

    if (rc != HF_OK)
        return rc;
    match(&r, all);
    gaps.older_count = r.count > gaps_max ? r.count - gaps_max : 0;
    gaps.items = hf_calloc(r.count - gaps.older_count, sizeof(*gaps.items));
    for (size_t i = gaps.older_count; rc == HF_OK && i < r.count; i++)
        rc = look_at(a, codec, &r, i, &gaps, err);
    if (rc != HF_OK)
        hf_gaps_done(&gaps);
    else
        *ret = gaps;
    return rc;
}

void hf_gaps_done(struct hf_gaps *g)
{
    hf_free(g->items);
    *g = (struct hf_gaps){0};
}
