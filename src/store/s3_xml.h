/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml.h - the few XML answers of S3, read into structs.
 *
 * What comes in is not trusted: depth, text length and entry count have limits, and a document type
 * (the door to entity expansion) is refused. Element names are taken without their namespace.
 * Pure functions; any thread. A document that is not what was expected is HF_IO.
 */
#ifndef HF_STORE_S3_XML_H
#define HF_STORE_S3_XML_H

#include <stdbool.h>

#include "store/s3_cut.h"
#include "store/store.h"

#define HF_S3_XML_DEPTH_MAX 16
#define HF_S3_XML_TEXT_MAX  8192 /* bytes of one element's text */
#define HF_S3_PAGE_KEYS_MAX 1000 /* S3 gives no more in one answer */
#define HF_S3_PENDING_MAX   1000 /* unfinished uploads of one key that are looked at */
#define HF_S3_CODE_MAX      64   /* bytes with NUL */
#define HF_S3_MESSAGE_MAX   256  /* bytes with NUL; a longer one is cut */
#define HF_S3_REGION_MAX    64   /* bytes with NUL */

/* S3 API Reference, "Error responses". Fields that did not come are "". */
struct hf_s3_error {
    char code[HF_S3_CODE_MAX];
    char message[HF_S3_MESSAGE_MAX];
    char region[HF_S3_REGION_MAX];
    char endpoint[HF_S3_MESSAGE_MAX];
};

/* true: `xml` is an <Error>, and `*ret` tells of it. Otherwise `*ret` is empty. */
bool hf_s3_error_parse(struct hf_slice xml, struct hf_s3_error *ret);

struct hf_s3_entry {
    char *key; /* decoded */
    struct hf_object object;
};

/* One answer of ListObjectsV2. All zero is an empty one. */
struct hf_s3_page {
    struct hf_s3_entry *entries;
    size_t entries_count;
    bool truncated;
    char *token; /* of the next page; NULL if there is none */
};

/* `*ret` owns what was read; hf_s3_page_done() frees it. */
enum hf_code hf_s3_page_parse(struct hf_slice xml, struct hf_s3_page *ret,
                              struct hf_err *err) HF_MUST_CHECK;
void hf_s3_page_done(struct hf_s3_page *page); /* for HF_CLEANUP */
/* Give the entries to `fn`, without the store's prefix; its failure ends that and is returned. */
enum hf_code hf_s3_page_tell(const struct hf_s3_page *page, const char *store_prefix,
                             hf_list_fn *fn, void *ctx, struct hf_err *err) HF_MUST_CHECK;

/* The UploadId of a CreateMultipartUpload; the caller frees. */
enum hf_code hf_s3_upload_id_parse(struct hf_slice xml, char **ret_id,
                                   struct hf_err *err) HF_MUST_CHECK;

/* The unfinished uploads of one key. All zero is none. */
struct hf_s3_pending {
    struct hf_s3_pending_upload {
        char *id;
        int64_t begun_ms; /* 0 if the store does not say */
    } * items;
    size_t count;
    char *next_key; /* where the list goes on; NULL: it is whole */
    char *next_id;
};
void hf_s3_pending_done(struct hf_s3_pending *p); /* for HF_CLEANUP */

/* Add to `list` those uploads of one answer of ListMultipartUploads that are of `key`. */
enum hf_code hf_s3_pending_parse(struct hf_slice xml, const char *key, struct hf_s3_pending *list,
                                 struct hf_err *err) HF_MUST_CHECK;

/* A part of a multipart upload. All zero is none: there is no part of 0 bytes. */
struct hf_s3_part {
    uint64_t size_bytes;
    struct hf_etag etag;
    bool used; /* by the upload under way */
};

/* Enter the parts of one answer of ListParts in parts[number - 1], of HF_S3_PARTS_MAX. `*ret_next`
 * is the number behind which the next answer goes on, 0 if there is none. */
enum hf_code hf_s3_parts_parse(struct hf_slice xml, struct hf_s3_part *parts, unsigned *ret_next,
                               struct hf_err *err) HF_MUST_CHECK;

/* The ETag of a CompleteMultipartUpload. */
enum hf_code hf_s3_complete_parse(struct hf_slice xml, struct hf_etag *ret,
                                  struct hf_err *err) HF_MUST_CHECK;

/* The ETag as it is kept: without quotes. HF_IO if it is too long or empty. */
enum hf_code hf_s3_etag_parse(const char *text, struct hf_etag *ret,
                              struct hf_err *err) HF_MUST_CHECK;

#endif
