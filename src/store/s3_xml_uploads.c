/* SPDX-License-Identifier: Apache-2.0 */
/* s3_xml_uploads.c - what S3 answers about multipart uploads. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/s3_xml_priv.h"

/* The text of the one element that is wanted. */
struct wanted {
    const char *path;
    char *text;
};

static void wanted_done(struct wanted *w)
{
    hf_free(w->text);
}

static enum hf_code take_wanted(void *ctx, const char *path, const char *text, struct hf_err *err)
{
    struct wanted *w = (struct wanted *)ctx;

    (void)err;
    if (w->text == NULL && strcmp(path, w->path) == 0)
        w->text = hf_strdup(text);
    return HF_OK;
}

enum hf_code hf_s3_upload_id_parse(struct hf_slice xml, char **ret_id, struct hf_err *err)
{
    HF_CLEANUP(wanted_done)
    struct wanted w = {.path = "InitiateMultipartUploadResult/UploadId"};
    enum hf_code rc;

    rc = hf_s3_xml_read(xml, take_wanted, &w, err);
    if (rc != HF_OK)
        return rc;
    if (w.text == NULL || *w.text == '\0')
        return hf_err_set(err, HF_IO, "the store began a multipart upload and gave no UploadId");
    *ret_id = (char *)hf_take_ptr(&w.text);
    return HF_OK;
}

enum hf_code hf_s3_complete_parse(struct hf_slice xml, struct hf_etag *ret, struct hf_err *err)
{
    HF_CLEANUP(wanted_done) struct wanted w = {.path = "CompleteMultipartUploadResult/ETag"};
    enum hf_code rc;

    rc = hf_s3_xml_read(xml, take_wanted, &w, err);
    if (rc != HF_OK)
        return rc;
    if (w.text == NULL)
        return hf_err_set(err, HF_IO, "the store completed a multipart upload and gave no ETag");
    return hf_s3_etag_parse(w.text, ret, err);
}

void hf_s3_pending_done(struct hf_s3_pending *p)
{
    for (size_t i = 0; i < p->count; i++)
        hf_free(p->items[i].id);
    hf_free(p->items);
    hf_free(p->next_key);
    hf_free(p->next_id);
    *p = (struct hf_s3_pending){0};
}

/* The upload under construction, and whether it is one of the key that is looked for. */
struct pending_reader {
    struct hf_s3_pending *list;
    const char *key;
    bool is_list;
    bool is_ours;
    bool truncated;
    int64_t begun_ms;
    char *id;
    char *next_key;
    char *next_id;
};

static void pending_reader_done(struct pending_reader *p)
{
    hf_free(p->id);
    hf_free(p->next_key);
    hf_free(p->next_id);
}

static enum hf_code add_pending(struct pending_reader *p, struct hf_err *err)
{
    struct hf_s3_pending *list = p->list;

    if (p->is_ours && (p->id == NULL || *p->id == '\0'))
        return hf_err_set(err, HF_IO, "an unfinished upload without an UploadId");
    if (p->is_ours && list->count == HF_S3_PENDING_MAX)
        return hf_err_set(err, HF_IO, "more than %d unfinished uploads of one key",
                          HF_S3_PENDING_MAX);
    if (p->is_ours) {
        list->items = (struct hf_s3_pending_upload *)hf_realloc(list->items, list->count + 1,
                                                                sizeof(*list->items));
        list->items[list->count++] = (struct hf_s3_pending_upload){
            .id = (char *)hf_take_ptr(&p->id), .begun_ms = p->begun_ms};
    }
    p->is_ours = false;
    p->begun_ms = 0;
    return HF_OK;
}

static void keep_text(char **to, const char *text)
{
    hf_free(*to);
    *to = hf_strdup(text);
}

static enum hf_code take_pending(void *ctx, const char *path, const char *text, struct hf_err *err)
{
    static const char root[] = "ListMultipartUploadsResult";
    struct pending_reader *p = (struct pending_reader *)ctx;
    const char *name = path + sizeof(root) - 1;

    if (strncmp(path, root, sizeof(root) - 1) != 0)
        return HF_OK;
    if (*name == '\0')
        p->is_list = true;
    else if (strcmp(name, "/Upload") == 0)
        return add_pending(p, err);
    else if (strcmp(name, "/Upload/Key") == 0)
        p->is_ours = strcmp(text, p->key) == 0;
    else if (strcmp(name, "/Upload/UploadId") == 0)
        keep_text(&p->id, text);
    else if (strcmp(name, "/Upload/Initiated") == 0)
        return hf_time_parse(text, &p->begun_ms, err);
    else if (strcmp(name, "/IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(name, "/NextKeyMarker") == 0)
        keep_text(&p->next_key, text);
    else if (strcmp(name, "/NextUploadIdMarker") == 0)
        keep_text(&p->next_id, text);
    return HF_OK;
}

enum hf_code hf_s3_pending_parse(struct hf_slice xml, const char *key, struct hf_s3_pending *list,
                                 struct hf_err *err)
{
    HF_CLEANUP(pending_reader_done) struct pending_reader p = {.list = list, .key = key};
    enum hf_code rc;

    rc = hf_s3_xml_read(xml, take_pending, &p, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_IO, "list unfinished uploads");
    if (!p.is_list)
        return hf_err_set(err, HF_IO, "answer is not a <ListMultipartUploadsResult>");
    if (p.truncated && (p.next_key == NULL || p.next_id == NULL))
        return hf_err_set(err, HF_IO, "the list of unfinished uploads says not where to go on");
    hf_free(hf_take_ptr(&list->next_key));
    hf_free(hf_take_ptr(&list->next_id));
    if (p.truncated) {
        list->next_key = (char *)hf_take_ptr(&p.next_key);
        list->next_id = (char *)hf_take_ptr(&p.next_id);
    }
    return HF_OK;
}

struct parts_reader {
    struct hf_s3_part *parts;
    bool is_list;
    bool truncated;
    uint64_t next;
    uint64_t number;
    struct hf_s3_part now;
};

static enum hf_code add_part(struct parts_reader *p, struct hf_err *err)
{
    if (p->number < 1 || p->number > HF_S3_PARTS_MAX)
        return hf_err_set(err, HF_IO, "a part without a number from 1 to %d", HF_S3_PARTS_MAX);
    p->parts[p->number - 1] = p->now;
    p->now = (struct hf_s3_part){.size_bytes = 0};
    p->number = 0;
    return HF_OK;
}

static enum hf_code take_part(void *ctx, const char *path, const char *text, struct hf_err *err)
{
    static const char root[] = "ListPartsResult";
    struct parts_reader *p = (struct parts_reader *)ctx;
    const char *name = path + sizeof(root) - 1;

    if (strncmp(path, root, sizeof(root) - 1) != 0)
        return HF_OK;
    if (*name == '\0')
        p->is_list = true;
    else if (strcmp(name, "/Part") == 0)
        return add_part(p, err);
    else if (strcmp(name, "/Part/PartNumber") == 0)
        return hf_s3_xml_number(text, &p->number, err);
    else if (strcmp(name, "/Part/Size") == 0)
        return hf_s3_xml_number(text, &p->now.size_bytes, err);
    else if (strcmp(name, "/Part/ETag") == 0)
        return hf_s3_etag_parse(text, &p->now.etag, err);
    else if (strcmp(name, "/IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(name, "/NextPartNumberMarker") == 0)
        return hf_s3_xml_number(text, &p->next, err);
    return HF_OK;
}

enum hf_code hf_s3_parts_parse(struct hf_slice xml, struct hf_s3_part *parts, unsigned *ret_next,
                               struct hf_err *err)
{
    struct parts_reader p = {.parts = parts};
    enum hf_code rc;

    rc = hf_s3_xml_read(xml, take_part, &p, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "list the parts of an unfinished upload");
    if (!p.is_list)
        return hf_err_set(err, HF_IO, "answer is not a <ListPartsResult>");
    if (p.truncated && (p.next < 1 || p.next > HF_S3_PARTS_MAX))
        return hf_err_set(err, HF_IO, "the list of parts says not where to go on");
    *ret_next = p.truncated ? (unsigned)p.next : 0;
    return HF_OK;
}
