/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - keys to immutable blobs, with the guarantees S3 gives and no others.
 *
 * A store may be called from any thread; an upload belongs to one. Calls block until done or until
 * the store's deadline. What a call reports about the caller's data is the same in every
 * implementation: store_file.c (file://), store_s3.c (s3://), store_s3v2.c (s3+v2://) and, for
 * tests, tests/lib/store_mem.c; tests/lib/store_contract.c asks each sentence below of each.
 * Transient failures are retried inside, with backoff and jitter, until the deadline, or until the
 * store is told to stop (open.h): any call may then return HF_CANCELED, and nothing was written.
 */
#ifndef HF_STORE_STORE_H
#define HF_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HF_KEY_MAX  1024 /* bytes without NUL: S3 User Guide, "Naming Amazon S3 objects" */
#define HF_ETAG_MAX 64   /* bytes with NUL; opaque, compared only for equality */

struct hf_store;
struct hf_upload;

struct hf_etag {
    char str[HF_ETAG_MAX];
};

/* What a store can do. Where one cannot, the caller takes the way round named here. */
enum hf_store_cap {
    HF_STORE_COND_PUT = 1 << 0,   /* IF_ABSENT, IF_MATCH; else a lease and a plain warning */
    HF_STORE_LARGE = 1 << 1,      /* objects over 5 GiB (multipart upload) */
    HF_STORE_LTX_FOLDER = 1 << 2, /* segments go to ltx/<n>/, as on file://; else %04x/ */
};

/* What has to hold for a put to take effect. */
enum hf_put_cond {
    HF_PUT_ALWAYS,
    HF_PUT_IF_ABSENT, /* If-None-Match: * */
    HF_PUT_IF_MATCH,  /* If-Match: `match` */
};

struct hf_put {
    enum hf_put_cond cond;
    struct hf_etag match; /* read only for HF_PUT_IF_MATCH */
    int64_t timestamp_ms; /* what moment the object speaks of; 0: none. S3 keeps it as
                             x-amz-meta-litestream-timestamp, file:// as the file's mtime */
    uint64_t size_hint;   /* bytes of an upload, or of what it is made from; 0 if unknown. Chooses
                             the size of parts */
    bool resume;          /* an upload: hf_upload_new() */
};

struct hf_object {
    uint64_t size_bytes;
    int64_t modified_ms;  /* by the store's clock */
    int64_t timestamp_ms; /* as put; 0 if none, or if this call cannot tell (listings on S3);
                             file:// gives the time of the put where there is none */
    struct hf_etag etag;
};

/*
 * Replace the object at `key` in one step: readers see the old bytes or the new, never a mix.
 *
 * HF_OK           durable, and `*ret_etag` (may be NULL) names this version.
 * HF_CONFLICT     `put->cond` did not hold; nothing was written.
 * HF_UNCERTAIN    the write may or may not have happened. Get the key before deciding anything: a
 *                 blind retry of HF_PUT_IF_ABSENT can report HF_CONFLICT against itself.
 * HF_UNSUPPORTED  the store has no conditional puts (no HF_STORE_COND_PUT); nothing was written.
 * any other       nothing was written; hf_code_retryable() says whether to repeat the call.
 * S3: PutObject, "Add preconditions to S3 operations with conditional requests".
 */
enum hf_code hf_store_put(struct hf_store *s, const char *key, struct hf_slice body,
                          const struct hf_put *put, struct hf_etag *ret_etag,
                          struct hf_err *err) HF_MUST_CHECK;

/*
 * Append object bytes offset .. offset+len-1 to `ret`, which the caller owns; fewer only where the
 * object ends. len 0 means all from offset. `ret_object` (may be NULL) tells of the whole object.
 * HF_NOT_FOUND  there is no such object. An offset behind the end appends nothing, HF_OK.
 * S3: GetObject.
 */
enum hf_code hf_store_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                          struct hf_buf *ret, struct hf_object *ret_object,
                          struct hf_err *err) HF_MUST_CHECK;

/* HF_NOT_FOUND if there is no such object. S3: HeadObject. */
enum hf_code hf_store_head(struct hf_store *s, const char *key, struct hf_object *ret,
                           struct hf_err *err) HF_MUST_CHECK;

/*
 * Delete `key`. Deleting what is not there is HF_OK, as on S3.
 * any failure  the object may be there or gone (HF_UNCERTAIN says that it may be gone for now
 *              only). To delete again is harmless.
 */
enum hf_code hf_store_delete(struct hf_store *s, const char *key, struct hf_err *err) HF_MUST_CHECK;

/* Called once per key, never concurrently. HF_CANCELED ends the listing, which is then HF_OK; any
 * other failure ends it and is what hf_store_list() returns. */
typedef enum hf_code hf_list_fn(void *ctx, const char *key, const struct hf_object *object,
                                struct hf_err *err);

/*
 * Visit the keys that start with `prefix` and sort after `start_after` ("" for all), in byte order.
 * Keys put before the call are seen (S3 has been strongly consistent since 2020). No keys: HF_OK.
 * HF_NOT_FOUND  the bucket, or for file:// the store's root folder, does not exist.
 * HF_UNSUPPORTED  the store does not list in byte order, so that keys would be missed.
 * S3: ListObjectsV2; one request a 1000 keys.
 */
enum hf_code hf_store_list(struct hf_store *s, const char *prefix, const char *start_after,
                           hf_list_fn *fn, void *ctx, struct hf_err *err) HF_MUST_CHECK;

/*
 * An upload is a put whose body comes in pieces and need not fit into memory. The object appears,
 * whole, only by a finish that returns HF_OK (or perhaps HF_UNCERTAIN): result codes as for
 * hf_store_put(). One that is freed unfinished leaves nothing behind. `put` is copied.
 *
 * With put->resume, for a large object whose writer alone writes to `key`: what an unfinished
 * upload has brought to the store stays there, and the next one of the same key does not send those
 * parts again that have the same bytes. Between two tries bytes may change anywhere. Where the
 * store cannot tell what it has, everything is sent. The object's timestamp_ms (and on AWS its
 * modified_ms) may be that of the first try. Left-overs that nobody resumes go by the bucket's
 * lifecycle rule (docs/S3.md); file:// and s3+v2:// have none.
 *
 * S3: CreateMultipartUpload and others; bodies below one part go up as a plain put.
 */
enum hf_code hf_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                           struct hf_upload **ret, struct hf_err *err) HF_MUST_CHECK;
enum hf_code hf_upload_write(struct hf_upload *u, struct hf_slice data,
                             struct hf_err *err) HF_MUST_CHECK;
/* A hint: what is written next stands at `position` of what the upload is made from (in the unit of
 * size_hint; ascending), and does so in the next try, too. It lets parts begin at the same place
 * even if what was written before has another length then. At every multiple of 1 MiB, or oftener.
 */
void hf_upload_cut_here(struct hf_upload *u, uint64_t position);
enum hf_code hf_upload_finish(struct hf_upload *u, struct hf_etag *ret_etag,
                              struct hf_err *err) HF_MUST_CHECK;
/* Bytes of the finished object that an earlier try had brought to the store. */
uint64_t hf_upload_reused_bytes(const struct hf_upload *u);
void hf_upload_free(struct hf_upload *u); /* NULL is allowed */
void hf_upload_free_ptr(struct hf_upload **u);

unsigned hf_store_caps(const struct hf_store *s); /* of enum hf_store_cap */
/* The URL it was opened by, for messages: without credentials and query. Lives as the store does.
 */
const char *hf_store_url(const struct hf_store *s);
void hf_store_free(struct hf_store *s); /* NULL is allowed */
void hf_store_free_ptr(struct hf_store **s);

#endif
