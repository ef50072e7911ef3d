/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_ops.h - for implementers: what stands behind store.h. Callers never include it.
 *
 * store.c does what is the same for all: it checks the arguments, refuses conditional puts where
 * HF_STORE_COND_PUT is missing, adds "put s3://bucket/key: " to errors, keeps outputs untouched on
 * failure, ends a listing at the caller's wish and refuses one that is out of order. An
 * implementation puts struct hf_store first in its own struct, and can rely on this:
 *
 * - keys are valid (hf_store_key_check); prefixes have no empty, "." or ".." part before the last;
 * - no output pointer is NULL (ret_etag, ret_object, ret);
 * - upload: no write of 0 bytes, none after a failure, one finish at most; url and key need not be
 *   freed.
 */
#ifndef HF_STORE_STORE_OPS_H
#define HF_STORE_STORE_OPS_H

#include "store/store.h"

struct hf_store_ops {
    enum hf_code (*put)(struct hf_store *s, const char *key, struct hf_slice body,
                        const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err);
    enum hf_code (*get)(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                        struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err);
    enum hf_code (*head)(struct hf_store *s, const char *key, struct hf_object *ret,
                         struct hf_err *err);
    enum hf_code (*del)(struct hf_store *s, const char *key, struct hf_err *err);
    enum hf_code (*list)(struct hf_store *s, const char *prefix, const char *start_after,
                         hf_list_fn *fn, void *ctx, struct hf_err *err);
    enum hf_code (*upload_new)(struct hf_store *s, const char *key, const struct hf_put *put,
                               struct hf_upload **ret, struct hf_err *err);
    void (*free)(struct hf_store *s);
};

struct hf_upload_ops {
    enum hf_code (*write)(struct hf_upload *u, struct hf_slice data, struct hf_err *err);
    void (*cut_here)(struct hf_upload *u, uint64_t position); /* NULL: of no use here */
    enum hf_code (*finish)(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err);
    void (*free)(struct hf_upload *u);
};

struct hf_store {
    const struct hf_store_ops *ops;
    unsigned caps;
    char *url; /* without secrets; freed by hf_store_free() */
};

struct hf_upload {
    const struct hf_upload_ops *ops;
    struct hf_store *store; /* borrowed */
    char *key;              /* set by store.c, freed by hf_upload_free() */
    uint64_t reused_bytes;  /* kept by the implementation; 0 where nothing is reused */
    bool finished;          /* set by store.c when finish was called, whatever it returned */
    bool failed;            /* set by store.c when a write failed: finish is refused then */
};

/*
 * HF_OK if `key` can name an object in every store: 1 to HF_KEY_MAX bytes of UTF-8 in parts parted
 * by '/', no part empty, "." or "..", and no control byte. HF_USAGE otherwise.
 */
enum hf_code hf_store_key_check(const char *key, struct hf_err *err) HF_MUST_CHECK;

#endif
