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

#include "store/store.h"

#define HF_S3_XML_DEPTH_MAX 16
#define HF_S3_XML_TEXT_MAX  8192 /* bytes of one element's text */
#define HF_S3_PAGE_KEYS_MAX 1000 /* S3 gives no more in one answer */
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

/* The UploadId of a CreateMultipartUpload; the caller frees. */
enum hf_code hf_s3_upload_id_parse(struct hf_slice xml, char **ret_id,
                                   struct hf_err *err) HF_MUST_CHECK;

/* The ETag of a CompleteMultipartUpload. */
enum hf_code hf_s3_complete_parse(struct hf_slice xml, struct hf_etag *ret,
                                  struct hf_err *err) HF_MUST_CHECK;

/* The ETag as it is kept: without quotes. HF_IO if it is too long or empty. */
enum hf_code hf_s3_etag_parse(const char *text, struct hf_etag *ret,
                              struct hf_err *err) HF_MUST_CHECK;

#endif
