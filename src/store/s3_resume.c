/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_resume.c - find the parts that need not travel again.
 *
 * The store's word on a part is its size and its ETag. Where the ETag is the MD5 of the bytes (AWS
 * without KMS or customer keys, MinIO), equal bytes are recognised; elsewhere it equals no MD5, and
 * every part is sent.
 */
#include "store/s3_resume.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"

#define ANSWERS_MAX     100 /* of one list: more than parts or uploads can fill */
#define NUMBER_TEXT_MAX 24

void hf_s3_upload_abort(struct hf_s3_client *c, const char *key, const char *id)
{
    HF_AUTO_S3_ANSWER answer = {0};
    const struct hf_s3_call call = {
        .method = "DELETE", .key = key, .query = {{"uploadId", id}}, .query_count = 1};
    struct hf_err ignored;

    (void)!hf_s3_client_call(c, &call, &answer, &ignored);
}

static enum hf_code list_some(struct hf_s3_client *c, const char *full_key,
                              struct hf_s3_pending *list, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_call call = {
        .method = "GET", .query = {{"uploads", ""}, {"prefix", full_key}}, .query_count = 2};
    enum hf_code rc;

    if (list->next_key != NULL) {
        call.query[call.query_count++] = (struct hf_http_pair){"key-marker", list->next_key};
        call.query[call.query_count++] = (struct hf_http_pair){"upload-id-marker", list->next_id};
    }
    rc = hf_s3_client_call(c, &call, &answer, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "list unfinished uploads");
    return hf_s3_pending_parse(hf_buf_slice(&answer.http.body), full_key, list, err);
}

static enum hf_code list_uploads(struct hf_s3_client *c, const char *key,
                                 struct hf_s3_pending *list, struct hf_err *err)
{
    HF_AUTO_FREE char *full_key = hf_strfmt("%s%s", hf_s3_client_prefix(c), key);

    for (int i = 0; i < ANSWERS_MAX; i++) {
        const enum hf_code rc = list_some(c, full_key, list, err);

        if (rc != HF_OK || list->next_key == NULL)
            return rc;
    }
    return hf_err_set(err, HF_IO, "the list of unfinished uploads has no end");
}

static enum hf_code list_parts(struct hf_s3_client *c, const char *key, const char *id,
                               struct hf_s3_part *parts, struct hf_err *err)
{
    char behind[NUMBER_TEXT_MAX] = "0";

    for (int i = 0; i < ANSWERS_MAX; i++) {
        HF_AUTO_S3_ANSWER answer = {0};
        const struct hf_s3_call call = {.method = "GET",
                                        .key = key,
                                        .query = {{"uploadId", id}, {"part-number-marker", behind}},
                                        .query_count = 2};
        unsigned next = 0;
        enum hf_code rc;

        rc = hf_s3_client_call(c, &call, &answer, err);
        if (rc == HF_OK)
            rc = hf_s3_parts_parse(hf_buf_slice(&answer.http.body), parts, &next, err);
        if (rc != HF_OK || next == 0)
            return rc;
        (void)snprintf(behind, sizeof(behind), "%u", next);
    }
    return hf_err_set(err, HF_IO, "the list of parts has no end");
}

enum hf_code hf_s3_resume_find(struct hf_s3_client *c, const char *key, struct hf_s3_part *parts,
                               char **ret_id, struct hf_err *err)
{
    HF_CLEANUP(hf_s3_pending_done) struct hf_s3_pending list = {0};
    size_t newest = 0;
    enum hf_code rc;

    rc = list_uploads(c, key, &list, err);
    if (rc != HF_OK)
        return rc;
    if (list.count == 0) {
        *ret_id = NULL;
        return HF_OK;
    }
    for (size_t i = 1; i < list.count; i++) {
        if (list.items[i].begun_ms >= list.items[newest].begun_ms)
            newest = i;
    }
    rc = list_parts(c, key, list.items[newest].id, parts, err);
    if (rc != HF_OK) {
        (void)memset(parts, 0, HF_S3_PARTS_MAX * sizeof(*parts));
        return rc;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (i != newest)
            hf_s3_upload_abort(c, key, list.items[i].id);
    }
    *ret_id = (char *)hf_take_ptr(&list.items[newest].id);
    return HF_OK;
}

bool hf_s3_part_holds(const struct hf_s3_part *part, struct hf_slice body)
{
    uint8_t md5[HF_MD5_BYTES];
    char hex[2 * HF_MD5_BYTES + 1];

    if (part->size_bytes == 0 || part->size_bytes != body.len || !hf_md5(body, md5))
        return false;
    hf_hex(hf_slice(md5, sizeof(md5)), hex);
    return strcmp(part->etag.str, hex) == 0;
}
