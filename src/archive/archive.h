/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.h - one partition's archive: a prefix in a store, and where the segments lie below it.
 *
 * A struct hf_archive is a plain value: it may be copied, owns nothing and needs no destructor; the
 * store must outlive it. Functions that take it const may be called from any thread.
 */
#ifndef HF_ARCHIVE_ARCHIVE_H
#define HF_ARCHIVE_ARCHIVE_H

#include "archive/format.h"
#include "archive/names.h"
#include "store/store.h"

#define HF_PREFIX_MAX       900  /* bytes without NUL: HF_KEY_MAX less the longest name */
#define HF_LIST_PAGE_KEYS   1000 /* S3 ListObjectsV2: keys one request returns at most */
#define HF_ARCHIVE_URL_MAX  (HF_PREFIX_MAX + 512) /* bytes with NUL */
#define HF_OBJECT_BYTES_MAX 65536                 /* of one of our small objects */

struct hf_archive {
    struct hf_store *store;         /* borrowed */
    char prefix[HF_PREFIX_MAX + 1]; /* "" or a path without '/' at either end */
    enum hf_layout layout;
    bool has_format; /* false: written by others, or empty */
    struct hf_archive_format format;
    unsigned list_page_keys; /* what one listing request returns; HF_LIST_PAGE_KEYS */
};

/*
 * `*ret` stands for the archive at `prefix`, whether or not anything is there. The layout is that
 * of the format object; without one, that of the first segment found in either; without any, the
 * store's own (HF_STORE_LTX_FOLDER).
 * HF_USAGE        the prefix begins or ends with '/' or is longer than HF_PREFIX_MAX.
 * HF_UNSUPPORTED  a newer holdfast wrote it; the message has both numbers.
 * HF_DAMAGE       the format object is not readable, or without one there are segments in both
 *                 layouts, so that neither can be taken for the archive.
 * HF_NOT_FOUND    the bucket or the store's folder does not exist.
 * One request with a format object, three without.
 */
enum hf_code hf_archive_open(struct hf_store *store, const char *prefix, struct hf_archive *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* The key of `name` (names.h) in this archive. */
void hf_archive_key(const struct hf_archive *a, const char *name, char ret[HF_KEY_MAX + 1]);
/* The key of a segment. */
void hf_archive_segment_key(const struct hf_archive *a, const struct hf_segment *segment,
                            char ret[HF_KEY_MAX + 1]);
/* The store's URL and the prefix, for messages. */
void hf_archive_url(const struct hf_archive *a, char ret[HF_ARCHIVE_URL_MAX]);

/*
 * Append one of our small objects to `ret`; `ret_etag` may be NULL. HF_NOT_FOUND: there is none.
 * HF_DAMAGE: it is larger than HF_OBJECT_BYTES_MAX.
 */
enum hf_code hf_archive_get(const struct hf_archive *a, const char *name, struct hf_buf *ret,
                            struct hf_etag *ret_etag, struct hf_err *err) HF_MUST_CHECK;

/* Put a small object; codes as for hf_store_put(). `match` is read only for HF_PUT_IF_MATCH. */
enum hf_code hf_archive_put(const struct hf_archive *a, const char *name, struct hf_slice body,
                            enum hf_put_cond cond, const struct hf_etag *match,
                            struct hf_etag *ret_etag, struct hf_err *err) HF_MUST_CHECK;

#endif
