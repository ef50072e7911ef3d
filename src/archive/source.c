/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - struct hf_source over hf_store_get().
 */
#include "archive/source.h"

#include <inttypes.h>

#include "base/alloc.h"

void hf_segment_ref_init(struct hf_segment_ref *r, const struct hf_archive *a,
                         const struct hf_segment *segment)
{
    char key[HF_KEY_MAX + 1];

    hf_archive_segment_key(a, segment, key);
    *r = (struct hf_segment_ref){
        .level = segment->level,
        .min_txid = segment->min_txid,
        .max_txid = segment->max_txid,
        .key = hf_strdup(key),
        .length_bytes = segment->size_bytes,
    };
}

void hf_segment_ref_done(struct hf_segment_ref *r)
{
    hf_free(r->key);
    *r = (struct hf_segment_ref){0};
}

static enum hf_code read_range(struct hf_source *base, uint64_t offset, size_t len,
                               struct hf_buf *ret, struct hf_err *err)
{
    const struct hf_segment_source *s = (const struct hf_segment_source *)base;
    const size_t before = ret->len;
    struct hf_object object;
    enum hf_code rc;

    if (offset > base->size_bytes || len > base->size_bytes - offset)
        return hf_err_set(err, HF_DAMAGE,
                          "%s has %" PRIu64 " bytes, and bytes %" PRIu64 " to %" PRIu64
                          " of it are needed: it was cut off, or is no segment",
                          s->key, base->size_bytes, offset, offset + len);
    if (len == 0)
        return HF_OK;
    rc = hf_store_get(s->store, s->key, s->offset_bytes + offset, len, ret, &object, err);
    if (rc == HF_OK && ret->len - before == len)
        return HF_OK;
    ret->len = before;
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_HOLE, "%s was listed and is gone", s->key);
    if (rc != HF_OK)
        return rc;
    return hf_err_set(err, HF_DAMAGE, "%s is %" PRIu64 " bytes shorter than listed", s->key,
                      s->offset_bytes + base->size_bytes - object.size_bytes);
}

void hf_segment_source_init(struct hf_segment_source *s, const struct hf_archive *a,
                            const struct hf_segment_ref *ref)
{
    char *key = hf_strdup(ref->key);

    *s = (struct hf_segment_source){
        .base = {.read = read_range, .size_bytes = ref->length_bytes, .name = key},
        .store = a->store,
        .key = key,
        .offset_bytes = ref->offset_bytes,
    };
}

void hf_segment_source_done(struct hf_segment_source *s)
{
    hf_free(s->key);
    *s = (struct hf_segment_source){0};
}

enum hf_code hf_source_read_info(struct hf_source *segment, const struct hf_segment_codec *codec,
                                 struct hf_seg_info *ret, struct hf_err *err)
{
    HF_AUTO_BUF header = {0};
    enum hf_code rc = segment->read(segment, 0, codec->header_bytes, &header, err);

    if (rc != HF_OK)
        return rc;
    rc = codec->info(hf_buf_slice(&header), ret, err);
    return rc == HF_OK ? HF_OK : hf_err_wrap(err, "%s", segment->name);
}

enum hf_code hf_seg_info_check_name(const struct hf_seg_info *info, uint64_t min_txid,
                                    uint64_t max_txid, const char *name, struct hf_err *err)
{
    if (info->min_txid == min_txid && info->max_txid == max_txid)
        return HF_OK;
    return hf_err_set(err, HF_DAMAGE,
                      "%s does not hold what its name says: its header is of TXID %" PRIu64
                      " to %" PRIu64,
                      name, info->min_txid, info->max_txid);
}

enum hf_code hf_segment_read_info(const struct hf_archive *a, const struct hf_segment_codec *codec,
                                  const struct hf_segment *segment, struct hf_seg_info *ret,
                                  struct hf_err *err)
{
    HF_AUTO_BUF header = {0};
    char key[HF_KEY_MAX + 1];
    struct hf_seg_info info;
    enum hf_code rc;

    hf_archive_segment_key(a, segment, key);
    rc = hf_store_get(a->store, key, 0, codec->header_bytes, &header, NULL, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_HOLE, "%s was listed and is gone", key);
    if (rc != HF_OK)
        return rc;
    if (header.len < codec->header_bytes)
        return hf_err_set(err, HF_DAMAGE, "%s has %zu bytes, too few for a segment's header", key,
                          header.len);
    rc = codec->info(hf_buf_slice(&header), &info, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", key);
    rc = hf_seg_info_check_name(&info, segment->min_txid, segment->max_txid, key, err);
    if (rc == HF_OK)
        *ret = info;
    return rc;
}
