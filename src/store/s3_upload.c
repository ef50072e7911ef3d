/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_upload.c - an object in pieces: buffered up to one part, then a multipart upload whose parts
 * travel in parallel.
 *
 * Invariants
 * 1. Nothing is visible until Complete. Parts may therefore be repeated freely.
 * 2. At most slots_count + 1 parts are in memory: those under way and the one being filled.
 * 3. Every multipart upload that was begun is aborted unless its Complete returned HF_OK. After an
 *    uncertain Complete, too: either the object is there and the abort finds nothing, or it is not
 *    and the parts must not be left to be paid for.
 * 4. All parts but the last have the same size (R2 demands it).
 *
 * Source: S3 User Guide, "Multipart upload limits": 10,000 parts of 5 MiB to 5 GiB.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/pool.h"
#include "store/s3_put.h"
#include "store/store_ops.h"

#define PARTS_MAX          10000
#define PART_BYTES_MIN     ((uint64_t)8 << 20)
#define PART_BYTES_MAX     ((uint64_t)5 << 30)
#define PARTS_PLANNED      8000 /* of a hinted size, so that it may be a quarter too low */
#define PART_BYTES_UNKNOWN ((uint64_t)16 << 20)
#define SLOTS_MAX          4
#define SLOTS_BYTES_MAX    ((uint64_t)256 << 20) /* fewer slots where parts are larger */
#define COMPLETE_STALL_MS  300000 /* S3 puts large objects together before it answers */
#define NUMBER_TEXT_MAX    24

struct part {
    struct hf_etag etag;
};

/* A part under way. */
struct slot {
    struct s3_upload *upload;
    struct hf_buf body;
    size_t number; /* from 1 */
    bool used;     /* by the upload's mutex */
};

struct s3_upload {
    struct hf_upload base;       /* first, so that the pointers convert */
    struct hf_s3_client *client; /* borrowed */
    struct hf_put put;
    uint64_t part_bytes;
    struct hf_buf filling; /* the part that write() adds to */
    char *upload_id;       /* NULL: no multipart upload was begun */
    bool completed;
    size_t parts_count; /* handed in so far */
    struct part *parts; /* PARTS_MAX; each written by one task */
    struct hf_pool *pool;
    struct hf_group *group;
    struct slot slots[SLOTS_MAX];
    size_t slots_count;
    pthread_mutex_t mutex;
    pthread_cond_t slot_free;
};

static struct s3_upload *s3_upload(struct hf_upload *u)
{
    return (struct s3_upload *)u;
}

static uint64_t choose_part_bytes(uint64_t size_hint)
{
    const uint64_t mib = 1 << 20;
    uint64_t bytes = (size_hint / PARTS_PLANNED + mib) / mib * mib;

    if (size_hint == 0)
        bytes = PART_BYTES_UNKNOWN;
    if (bytes < PART_BYTES_MIN)
        bytes = PART_BYTES_MIN;
    return bytes < PART_BYTES_MAX ? bytes : PART_BYTES_MAX;
}

static size_t choose_slots(uint64_t part_bytes)
{
    const uint64_t fit = SLOTS_BYTES_MAX / part_bytes;

    if (fit < 1)
        return 1;
    return fit < SLOTS_MAX ? (size_t)fit : SLOTS_MAX;
}

static enum hf_code create(struct s3_upload *u, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_put_values values;
    struct hf_s3_call call = {.method = "POST",
                              .key = u->base.key,
                              .query = {{"uploads", ""}},
                              .query_count = 1,
                              .has_body = true};
    enum hf_code rc;

    hf_s3_put_metadata(&u->put, &values, &call);
    rc = hf_s3_client_call(u->client, &call, &answer, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "begin a multipart upload");
    rc = hf_s3_upload_id_parse(hf_buf_slice(&answer.http.body), &u->upload_id, err);
    if (rc != HF_OK)
        return rc;

    u->slots_count = choose_slots(u->part_bytes);
    u->parts = (struct part *)hf_calloc(PARTS_MAX, sizeof(*u->parts));
    u->pool = hf_pool_new((unsigned)u->slots_count);
    u->group = hf_group_new(u->pool);
    for (size_t i = 0; i < u->slots_count; i++)
        u->slots[i].upload = u;
    return HF_OK;
}

static enum hf_code send_part(struct s3_upload *u, const struct slot *slot, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    char number[NUMBER_TEXT_MAX];
    const struct hf_s3_call call = {
        .method = "PUT",
        .key = u->base.key,
        .query = {{"partNumber", number}, {"uploadId", u->upload_id}},
        .query_count = 2,
        .body = hf_buf_slice(&slot->body),
        .has_body = true,
    };
    const char *etag;
    enum hf_code rc;

    (void)snprintf(number, sizeof(number), "%zu", slot->number);
    rc = hf_s3_client_call(u->client, &call, &answer, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "part %zu", slot->number);
    etag = hf_http_response_header(&answer.http, "etag");
    if (etag == NULL)
        return hf_err_set(err, HF_IO, "part %zu: the store gave no ETag", slot->number);
    return hf_s3_etag_parse(etag, &u->parts[slot->number - 1].etag, err);
}

static enum hf_code run_slot(void *ctx, struct hf_err *err)
{
    struct slot *slot = (struct slot *)ctx;
    struct s3_upload *u = slot->upload;
    enum hf_code rc = HF_OK;

    if (!hf_group_failed(u->group))
        rc = send_part(u, slot, err);
    (void)pthread_mutex_lock(&u->mutex);
    slot->used = false;
    (void)pthread_cond_signal(&u->slot_free);
    (void)pthread_mutex_unlock(&u->mutex);
    return rc;
}

static struct slot *find_free_slot_locked(struct s3_upload *u)
{
    for (size_t i = 0; i < u->slots_count; i++) {
        if (!u->slots[i].used)
            return &u->slots[i];
    }
    return NULL;
}

/* Blocks while all slots travel: that is what bounds the memory. */
static struct slot *take_slot(struct s3_upload *u)
{
    struct slot *slot;

    (void)pthread_mutex_lock(&u->mutex);
    for (slot = find_free_slot_locked(u); slot == NULL; slot = find_free_slot_locked(u))
        (void)pthread_cond_wait(&u->slot_free, &u->mutex);
    slot->used = true;
    (void)pthread_mutex_unlock(&u->mutex);
    return slot;
}

/* Hand what is in `filling` to a slot. Buffers are exchanged, so each is allocated once. */
static enum hf_code start_part(struct s3_upload *u, struct hf_err *err)
{
    enum hf_code rc;

    if (u->upload_id == NULL) {
        rc = create(u, err);
        if (rc != HF_OK)
            return rc;
    }
    if (hf_group_failed(u->group))
        return hf_group_wait(u->group, err);
    if (u->parts_count == PARTS_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the upload is larger than %d parts of %llu bytes, chosen by a size hint "
                          "of %llu bytes",
                          PARTS_MAX, (unsigned long long)u->part_bytes,
                          (unsigned long long)u->put.size_hint);

    struct slot *slot = take_slot(u);
    const struct hf_buf empty = slot->body;

    slot->body = u->filling;
    u->filling = empty;
    hf_buf_reset(&u->filling);
    slot->number = ++u->parts_count;
    hf_group_run(u->group, run_slot, slot);
    return HF_OK;
}

static enum hf_code upload_write(struct hf_upload *base, struct hf_slice data, struct hf_err *err)
{
    struct s3_upload *u = s3_upload(base);

    while (data.len > 0) {
        /* Only when more comes is a full part sent: the last may be all there is. */
        if (u->filling.len == u->part_bytes) {
            const enum hf_code rc = start_part(u, err);

            if (rc != HF_OK)
                return rc;
        }

        const size_t room = (size_t)u->part_bytes - u->filling.len;
        const size_t len = data.len < room ? data.len : room;

        hf_buf_append(&u->filling, data.ptr, len);
        data = hf_slice(data.ptr + len, data.len - len);
    }
    return HF_OK;
}

static void print_parts(const struct s3_upload *u, struct hf_buf *ret)
{
    hf_buf_printf(ret,
                  "<CompleteMultipartUpload"
                  " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < u->parts_count; i++) {
        hf_buf_printf(ret, "<Part><PartNumber>%zu</PartNumber><ETag>&quot;", i + 1);
        for (const char *p = u->parts[i].etag.str; *p != '\0'; p++) {
            if (*p == '<' || *p == '&')
                hf_buf_printf(ret, "&#%d;", *p);
            else
                hf_buf_append(ret, p, 1);
        }
        hf_buf_printf(ret, "&quot;</ETag></Part>");
    }
    hf_buf_printf(ret, "</CompleteMultipartUpload>");
}

/* Never sent again after an attempt without an answer: a second Complete of an upload that is done
 * is refused, and would read as if nothing had been written. */
static enum hf_code complete(struct s3_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    HF_AUTO_BUF body = {0};
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_put_values values;
    struct hf_s3_call call = {.method = "POST",
                              .key = u->base.key,
                              .query = {{"uploadId", u->upload_id}},
                              .query_count = 1,
                              .has_body = true,
                              .error_in_200 = true,
                              .stall_ms = COMPLETE_STALL_MS};
    enum hf_code rc;

    print_parts(u, &body);
    call.body = hf_buf_slice(&body);
    hf_s3_put_condition(&u->put, &values, &call);
    call.effect = HF_S3_PUT_ONCE;
    rc = hf_s3_client_call(u->client, &call, &answer, err);
    if (rc == HF_CONFLICT && answer.maybe_written)
        return hf_err_recode(err, HF_UNCERTAIN,
                             "perhaps a conflict with an earlier attempt of this very upload");
    if (rc != HF_OK)
        return rc;
    rc = hf_s3_complete_parse(hf_buf_slice(&answer.http.body), ret_etag, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "complete the multipart upload");
    return HF_OK;
}

static enum hf_code upload_finish(struct hf_upload *base, struct hf_etag *ret_etag,
                                  struct hf_err *err)
{
    struct s3_upload *u = s3_upload(base);
    struct hf_etag etag = {{0}};
    enum hf_code rc;

    if (u->upload_id == NULL)
        return hf_s3_put(u->client, u->base.key, hf_buf_slice(&u->filling), &u->put, ret_etag, err);
    rc = start_part(u, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_group_wait(u->group, err);
    if (rc != HF_OK)
        return rc;
    rc = complete(u, &etag, err);
    if (rc != HF_OK)
        return rc;
    u->completed = true;
    if (ret_etag != NULL)
        *ret_etag = etag;
    return HF_OK;
}

/* What fails here is left to the bucket's rule for unfinished uploads (docs/S3.md). */
static void abort_upload(struct s3_upload *u)
{
    HF_AUTO_S3_ANSWER answer = {0};
    const struct hf_s3_call call = {.method = "DELETE",
                                    .key = u->base.key,
                                    .query = {{"uploadId", u->upload_id}},
                                    .query_count = 1};
    struct hf_err err;

    (void)!hf_s3_client_call(u->client, &call, &answer, &err);
}

static void upload_free(struct hf_upload *base)
{
    struct s3_upload *u = s3_upload(base);

    hf_group_free(u->group);
    hf_pool_free(u->pool);
    if (u->upload_id != NULL && !u->completed)
        abort_upload(u);
    for (size_t i = 0; i < SLOTS_MAX; i++)
        hf_buf_done(&u->slots[i].body);
    hf_buf_done(&u->filling);
    hf_free(u->parts);
    hf_free(u->upload_id);
    (void)pthread_cond_destroy(&u->slot_free);
    (void)pthread_mutex_destroy(&u->mutex);
    hf_free(u);
}

struct hf_upload *hf_s3_upload_new(struct hf_s3_client *c, const struct hf_put *put)
{
    static const struct hf_upload_ops ops = {
        .write = upload_write, .finish = upload_finish, .free = upload_free};
    struct s3_upload *u = (struct s3_upload *)hf_calloc(1, sizeof(*u));

    u->base.ops = &ops;
    u->client = c;
    u->put = *put;
    u->part_bytes = choose_part_bytes(put->size_hint);
    (void)pthread_mutex_init(&u->mutex, NULL);
    (void)pthread_cond_init(&u->slot_free, NULL);
    return &u->base;
}
