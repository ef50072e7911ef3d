/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_upload.c - an object in pieces: buffered up to one part, then a multipart upload whose parts
 * travel in parallel.
 *
 * Invariants
 * 1. Nothing is visible until Complete. Parts may therefore be repeated freely.
 * 2. At most slots_count + 1 parts are in memory: those under way and the one being filled.
 * 3. Every multipart upload that was begun is aborted unless its Complete returned HF_OK, or
 *    somebody will resume it. After an uncertain Complete, too: either the object is there and the
 *    abort finds nothing, or it is not and the parts must not be left to be paid for.
 * 4. Complete names exactly the parts of this upload, each with the ETag of its very bytes. A part
 *    that another process puts in between changes that ETag, and Complete is refused.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/pool.h"
#include "store/s3_put.h"
#include "store/s3_resume.h"
#include "store/store_ops.h"

#define SLOTS_MAX         4
#define SLOTS_BYTES_MAX   ((uint64_t)256 << 20) /* fewer slots where parts are larger */
#define COMPLETE_STALL_MS 300000 /* S3 puts large objects together before it answers */
#define NUMBER_TEXT_MAX   24

/* A part under way. */
struct slot {
    struct s3_upload *upload;
    struct hf_buf body;
    unsigned number;
    bool used; /* by the upload's mutex */
};

struct s3_upload {
    struct hf_upload base;       /* first, so that the pointers convert */
    struct hf_s3_client *client; /* borrowed */
    struct hf_put put;
    struct hf_s3_cutter cutter;
    struct hf_buf filling;    /* what write() adds to: the next part, and perhaps more */
    char *upload_id;          /* NULL: no multipart upload was begun */
    bool ended;               /* there is nothing to abort */
    bool keep;                /* for whoever resumes it */
    struct hf_s3_part *parts; /* HF_S3_PARTS_MAX, by number; each written by one task */
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
    return hf_s3_upload_id_parse(hf_buf_slice(&answer.http.body), &u->upload_id, err);
}

/* Where what is left cannot be seen, as without the permission to list it, nothing is left either:
 * invariant 3 holds as if nobody resumed. */
static enum hf_code resume_or_create(struct s3_upload *u, struct hf_err *err)
{
    if (u->put.resume) {
        const enum hf_code rc =
            hf_s3_resume_find(u->client, u->base.key, u->parts, &u->upload_id, err);

        if (rc == HF_TRANSIENT || rc == HF_CANCELED)
            return rc;
        u->keep = rc == HF_OK;
    }
    return u->upload_id != NULL ? HF_OK : create(u, err);
}

static enum hf_code begin(struct s3_upload *u, struct hf_err *err)
{
    enum hf_code rc;

    u->parts = (struct hf_s3_part *)hf_calloc(HF_S3_PARTS_MAX, sizeof(*u->parts));
    rc = resume_or_create(u, err);
    if (rc != HF_OK)
        return rc;
    u->slots_count = choose_slots(u->cutter.bytes_max);
    u->pool = hf_pool_new((unsigned)u->slots_count);
    u->group = hf_group_new(u->pool);
    for (size_t i = 0; i < u->slots_count; i++)
        u->slots[i].upload = u;
    return HF_OK;
}

/* Somebody ended the upload under us. To begin another is all that can be done. */
static enum hf_code judge_gone(const struct hf_s3_answer *answer, enum hf_code rc,
                               struct hf_err *err)
{
    if (rc == HF_NOT_FOUND && strcmp(answer->error.code, "NoSuchUpload") == 0)
        return hf_err_recode(err, HF_TRANSIENT, "another process ended this upload");
    return rc;
}

static enum hf_code send_part(struct s3_upload *u, const struct slot *slot, struct hf_err *err)
{
    HF_AUTO_S3_ANSWER answer = {0};
    struct hf_s3_part *part = &u->parts[slot->number - 1];
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

    (void)snprintf(number, sizeof(number), "%u", slot->number);
    rc = judge_gone(&answer, hf_s3_client_call(u->client, &call, &answer, err), err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "part %u", slot->number);
    etag = hf_http_response_header(&answer.http, "etag");
    if (etag == NULL)
        return hf_err_set(err, HF_IO, "part %u: the store gave no ETag", slot->number);
    part->used = true;
    return hf_s3_etag_parse(etag, &part->etag, err);
}

static bool is_there(struct s3_upload *u, const struct slot *slot)
{
    struct hf_s3_part *part = &u->parts[slot->number - 1];

    part->used = hf_s3_part_holds(part, hf_buf_slice(&slot->body));
    if (!part->used)
        return false;
    (void)pthread_mutex_lock(&u->mutex);
    u->base.reused_bytes += part->size_bytes;
    (void)pthread_mutex_unlock(&u->mutex);
    return true;
}

static enum hf_code run_slot(void *ctx, struct hf_err *err)
{
    struct slot *slot = (struct slot *)ctx;
    struct s3_upload *u = slot->upload;
    enum hf_code rc = HF_OK;

    if (!hf_group_failed(u->group) && !is_there(u, slot))
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

/* Hand the next part of what is in `filling` to a slot. */
static enum hf_code start_part(struct s3_upload *u, struct hf_err *err)
{
    unsigned number = 0;

    if (u->group == NULL) {
        const enum hf_code rc = begin(u, err);

        if (rc != HF_OK)
            return rc;
    }
    if (hf_group_failed(u->group))
        return hf_group_wait(u->group, err);

    const size_t cut = hf_s3_cutter_take(&u->cutter, u->filling.len, &number);

    if (number > HF_S3_PARTS_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the upload is larger than %d parts of %llu bytes, chosen by a size hint "
                          "of %llu bytes",
                          HF_S3_PARTS_MAX, (unsigned long long)u->cutter.bytes_max,
                          (unsigned long long)u->put.size_hint);

    struct slot *slot = take_slot(u);
    const struct hf_buf empty = slot->body;

    /* Buffers are exchanged, so each is allocated once. */
    slot->body = u->filling;
    u->filling = empty;
    hf_buf_reset(&u->filling);
    hf_buf_append(&u->filling, slot->body.ptr + cut, slot->body.len - cut);
    slot->body.len = cut;
    slot->number = number;
    hf_group_run(u->group, run_slot, slot);
    return HF_OK;
}

static enum hf_code upload_write(struct hf_upload *base, struct hf_slice data, struct hf_err *err)
{
    struct s3_upload *u = s3_upload(base);

    while (data.len > 0) {
        /* Only when more comes is a full part sent: the last may be all there is. */
        if (u->filling.len == u->cutter.bytes_max) {
            const enum hf_code rc = start_part(u, err);

            if (rc != HF_OK)
                return rc;
        }

        const size_t room = (size_t)u->cutter.bytes_max - u->filling.len;
        const size_t len = data.len < room ? data.len : room;

        hf_buf_append(&u->filling, data.ptr, len);
        data = hf_slice(data.ptr + len, data.len - len);
    }
    return HF_OK;
}

static void upload_cut_here(struct hf_upload *base, uint64_t position)
{
    struct s3_upload *u = s3_upload(base);

    hf_s3_cutter_border(&u->cutter, u->filling.len, position);
}

static void print_parts(const struct s3_upload *u, struct hf_buf *ret)
{
    hf_buf_printf(ret,
                  "<CompleteMultipartUpload"
                  " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < HF_S3_PARTS_MAX; i++) {
        if (!u->parts[i].used)
            continue;
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

/* Complete was refused for what the parts are: what is left of this upload is of no use. */
static enum hf_code judge_refused(struct s3_upload *u, const struct hf_s3_answer *answer,
                                  enum hf_code rc, struct hf_err *err)
{
    static const char *const codes[] = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"};

    u->keep = u->keep && rc != HF_CONFLICT;
    for (size_t i = 0; rc != HF_OK && i < HF_ARRAY_LEN(codes); i++) {
        if (strcmp(answer->error.code, codes[i]) != 0)
            continue;
        u->keep = false;
        if (rc == HF_UNCERTAIN || u->cutter.equal)
            return rc;
        hf_s3_client_set_equal_parts(u->client);
        return hf_err_recode(err, HF_TRANSIENT,
                             "the store may want parts of one size: the next try makes them");
    }
    return rc;
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
    rc = judge_gone(&answer, hf_s3_client_call(u->client, &call, &answer, err), err);
    rc = judge_refused(u, &answer, rc, err);
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

    if (u->group == NULL)
        return hf_s3_put(u->client, u->base.key, hf_buf_slice(&u->filling), &u->put, ret_etag, err);
    while (u->filling.len > 0) {
        rc = start_part(u, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = hf_group_wait(u->group, err);
    if (rc != HF_OK)
        return rc;
    rc = complete(u, &etag, err);
    if (rc != HF_OK)
        return rc;
    u->ended = true;
    if (ret_etag != NULL)
        *ret_etag = etag;
    return HF_OK;
}

static void upload_free(struct hf_upload *base)
{
    struct s3_upload *u = s3_upload(base);

    hf_group_free(u->group);
    hf_pool_free(u->pool);
    if (u->upload_id != NULL && !u->ended && !u->keep)
        hf_s3_upload_abort(u->client, u->base.key, u->upload_id);
    for (size_t i = 0; i < SLOTS_MAX; i++)
        hf_buf_done(&u->slots[i].body);
    hf_buf_done(&u->filling);
    hf_s3_cutter_done(&u->cutter);
    hf_free(u->parts);
    hf_free(u->upload_id);
    (void)pthread_cond_destroy(&u->slot_free);
    (void)pthread_mutex_destroy(&u->mutex);
    hf_free(u);
}

struct hf_upload *hf_s3_upload_new(struct hf_s3_client *c, const struct hf_put *put)
{
    static const struct hf_upload_ops ops = {.write = upload_write,
                                             .cut_here = upload_cut_here,
                                             .finish = upload_finish,
                                             .free = upload_free};
    struct s3_upload *u = (struct s3_upload *)hf_calloc(1, sizeof(*u));

    u->base.ops = &ops;
    u->client = c;
    u->put = *put;
    hf_s3_cutter_init(&u->cutter, put->size_hint, hf_s3_client_equal_parts(c));
    (void)pthread_mutex_init(&u->mutex, NULL);
    (void)pthread_cond_init(&u->slot_free, NULL);
    return &u->base;
}
