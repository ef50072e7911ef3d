/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.c - opening an archive: whose layout it has, and the small objects beside the segments.
 *
 * Without a format object both layouts are probed, not only the store's own: a bucket copied to a
 * disk keeps S3's folders, and must not look like an empty archive.
 */
#include "archive/archive.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define PROBE_KEYS_MAX 10000 /* looked at in search of the first segment of a layout */

void hf_archive_key(const struct hf_archive *a, const char *name, char ret[HF_KEY_MAX + 1])
{
    const int len =
        snprintf(ret, HF_KEY_MAX + 1, "%s%s%s", a->prefix, a->prefix[0] != '\0' ? "/" : "", name);

    hf_assert(len > 0 && len <= HF_KEY_MAX);
}

void hf_archive_segment_key(const struct hf_archive *a, const struct hf_segment *segment,
                            char ret[HF_KEY_MAX + 1])
{
    char name[HF_NAME_MAX];

    hf_name_segment(a->layout, segment, name);
    hf_archive_key(a, name, ret);
}

void hf_archive_url(const struct hf_archive *a, char ret[HF_ARCHIVE_URL_MAX])
{
    const char *url = hf_store_url(a->store);
    const size_t len = strlen(url);
    const bool slash = a->prefix[0] != '\0' && len > 0 && url[len - 1] != '/';

    (void)snprintf(ret, HF_ARCHIVE_URL_MAX, "%s%s%s", url, slash ? "/" : "", a->prefix);
}

enum hf_code hf_archive_get(const struct hf_archive *a, const char *name, struct hf_buf *ret,
                            struct hf_etag *ret_etag, struct hf_err *err)
{
    char key[HF_KEY_MAX + 1];
    struct hf_object object;
    const size_t before = ret->len;

    hf_archive_key(a, name, key);
    const enum hf_code rc =
        hf_store_get(a->store, key, 0, HF_OBJECT_BYTES_MAX + 1, ret, &object, err);
    if (rc != HF_OK)
        return rc;
    if (ret->len - before > HF_OBJECT_BYTES_MAX) {
        ret->len = before;
        return hf_err_set(err, HF_DAMAGE, "%s is larger than %d bytes, so it is not ours", key,
                          HF_OBJECT_BYTES_MAX);
    }
    if (ret_etag != NULL)
        *ret_etag = object.etag;
    return HF_OK;
}

enum hf_code hf_archive_put(const struct hf_archive *a, const char *name, struct hf_slice body,
                            enum hf_put_cond cond, const struct hf_etag *match,
                            struct hf_etag *ret_etag, struct hf_err *err)
{
    char key[HF_KEY_MAX + 1];
    struct hf_put put = {.cond = cond};

    hf_assert(body.len <= HF_OBJECT_BYTES_MAX);
    if (cond == HF_PUT_IF_MATCH)
        put.match = *match;
    hf_archive_key(a, name, key);
    return hf_store_put(a->store, key, body, &put, ret_etag, err);
}

struct probe {
    size_t skip; /* bytes of a key before the part that hf_name_parse() reads */
    size_t keys_count;
    bool found;
};

static enum hf_code see_key(void *ctx, const char *key, const struct hf_object *object,
                            struct hf_err *err)
{
    struct probe *p = ctx;
    uint64_t min;
    uint64_t max;

    (void)object;
    p->found = strlen(key) > p->skip && hf_name_parse(key + p->skip, &min, &max) == HF_NAME_SEGMENT;
    p->keys_count++;
    if (!p->found && p->keys_count < PROBE_KEYS_MAX)
        return HF_OK;
    return hf_err_set(err, HF_CANCELED, "seen enough");
}

/* Is there a segment at any level of this layout? One request. */
static enum hf_code probe_layout(const struct hf_archive *a, enum hf_layout layout, bool *ret_found,
                                 struct hf_err *err)
{
    char level[HF_NAME_MAX];
    char key[HF_KEY_MAX + 1];
    struct probe probe = {0};

    hf_name_level(layout, 0, level);
    hf_archive_key(a, level, key);
    probe.skip = strlen(key);
    /* All levels begin alike up to the level's digit: "000" or "ltx/". */
    key[probe.skip - 2] = '\0';
    const enum hf_code rc = hf_store_list(a->store, key, "", see_key, &probe, err);

    if (rc != HF_OK)
        return rc;
    *ret_found = probe.found;
    return HF_OK;
}

/* The layout of an archive that has no format object. */
static enum hf_code choose_layout(struct hf_archive *a, struct hf_err *err)
{
    const bool own_is_ltx = (hf_store_caps(a->store) & HF_STORE_LTX_FOLDER) != 0;
    const enum hf_layout own = own_is_ltx ? HF_LAYOUT_LTX : HF_LAYOUT_HEX;
    const enum hf_layout other = own_is_ltx ? HF_LAYOUT_HEX : HF_LAYOUT_LTX;
    bool has_own = false;
    bool has_other = false;
    char url[HF_ARCHIVE_URL_MAX];
    enum hf_code rc;

    rc = probe_layout(a, own, &has_own, err);
    if (rc != HF_OK)
        return rc;
    rc = probe_layout(a, other, &has_other, err);
    if (rc != HF_OK)
        return rc;
    if (has_own && has_other) {
        hf_archive_url(a, url);
        return hf_err_set(err, HF_DAMAGE,
                          "%s has segments below both 0000/ and ltx/, and no " HF_NAME_FORMAT
                          " that says which are the archive: move one of them away",
                          url);
    }
    a->layout = has_other ? other : own;
    return HF_OK;
}

enum hf_code hf_archive_open(struct hf_store *store, const char *prefix, struct hf_archive *ret,
                             struct hf_err *err)
{
    struct hf_archive a = {.store = store, .list_page_keys = HF_LIST_PAGE_KEYS};
    const size_t len = strlen(prefix);
    enum hf_code rc;

    if (len > HF_PREFIX_MAX || (len > 0 && (prefix[0] == '/' || prefix[len - 1] == '/')))
        return hf_err_set(err, HF_USAGE,
                          "\"%.200s\" is no prefix of an archive: at most %d bytes, and no '/' at "
                          "either end",
                          prefix, HF_PREFIX_MAX);
    (void)memcpy(a.prefix, prefix, len + 1);

    rc = hf_format_read(&a, &a.format, err);
    if (rc != HF_OK && rc != HF_NOT_FOUND)
        return rc;
    a.has_format = rc == HF_OK;
    a.layout = a.format.layout;
    if (!a.has_format) {
        rc = choose_layout(&a, err);
        if (rc != HF_OK)
            return rc;
    }
    *ret = a;
    return HF_OK;
}
