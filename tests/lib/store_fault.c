/* SPDX-License-Identifier: Apache-2.0 */
/* store_fault.c - every request asks judge() for its fate, then goes to the inner store or not. */
#include "lib/store_fault.h"

#include <string.h>

#include "base/alloc.h"

struct fault_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_upload *inner;
};

/* What becomes of one request. */
enum fate { GOES_ON, FAILS_BEFORE, FAILS_AFTER };

static struct store_fault *store_fault(struct hf_store *s)
{
    return (struct store_fault *)s;
}

static enum fate judge(struct store_fault *f, unsigned kind, struct hf_err *ret_err)
{
    enum fate fate = GOES_ON;

    (void)pthread_mutex_lock(&f->mutex);
    const struct store_fault_plan *plan = &f->guarded.plan;

    if ((plan->kinds & kind) != 0) {
        const uint64_t n = ++f->guarded.calls;

        if (plan->fail_at != 0 && (n == plan->fail_at || (plan->from_then_on && n > plan->fail_at)))
            fate = plan->after_effect ? FAILS_AFTER : FAILS_BEFORE;
    }
    if (fate != GOES_ON) {
        const bool lost = fate == FAILS_AFTER && (kind & STORE_WRITES) != 0;

        f->guarded.failed++;
        (void)hf_err_set(ret_err, lost ? HF_UNCERTAIN : plan->code, "injected failure");
    }
    (void)pthread_mutex_unlock(&f->mutex);
    return fate;
}

/* Make `call` unless its fate forbids it; its result, or the injected one. A call that failed by
 * itself keeps its own result. */
#define FAULTY(fault, kind, call, err)                                                             \
    struct hf_err injected;                                                                        \
    const enum fate fate = judge(fault, STORE_##kind, &injected);                                  \
    enum hf_code rc = fate == FAILS_BEFORE ? injected.code : (call);                               \
    if (fate == FAILS_BEFORE || (fate == FAILS_AFTER && rc == HF_OK)) {                            \
        *(err) = injected;                                                                         \
        rc = injected.code;                                                                        \
    }

static enum hf_code fault_put(struct hf_store *s, const char *key, struct hf_slice body,
                              const struct hf_put *put, struct hf_etag *ret_etag,
                              struct hf_err *err)
{
    struct store_fault *f = store_fault(s);

    FAULTY(f, PUT, hf_store_put(f->inner, key, body, put, ret_etag, err), err)
    return rc;
}

/* Damage the bytes of a get that begin at `offset` of the object, if they are those chosen. */
static void corrupt(struct store_fault *f, const char *key, uint64_t offset, uint8_t *ptr,
                    size_t len)
{
    (void)pthread_mutex_lock(&f->mutex);
    const uint64_t at = f->guarded.corrupt_offset;

    if (f->guarded.corrupt_key != NULL && strcmp(f->guarded.corrupt_key, key) == 0 &&
        at >= offset && at - offset < len)
        ptr[at - offset] ^= f->guarded.corrupt_mask;
    (void)pthread_mutex_unlock(&f->mutex);
}

static enum hf_code fault_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                              struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct store_fault *f = store_fault(s);
    const size_t before = ret->len;

    FAULTY(f, GET, hf_store_get(f->inner, key, offset, len, ret, ret_object, err), err)
    if (rc == HF_OK && ret->len > before)
        corrupt(f, key, offset, ret->ptr + before, ret->len - before);
    return rc;
}

static enum hf_code fault_head(struct hf_store *s, const char *key, struct hf_object *ret,
                               struct hf_err *err)
{
    struct store_fault *f = store_fault(s);

    FAULTY(f, HEAD, hf_store_head(f->inner, key, ret, err), err)
    return rc;
}

static enum hf_code fault_delete(struct hf_store *s, const char *key, struct hf_err *err)
{
    struct store_fault *f = store_fault(s);

    FAULTY(f, DELETE, hf_store_delete(f->inner, key, err), err)
    return rc;
}

static enum hf_code fault_list(struct hf_store *s, const char *prefix, const char *start_after,
                               hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    struct store_fault *f = store_fault(s);

    FAULTY(f, LIST, hf_store_list(f->inner, prefix, start_after, fn, ctx, err), err)
    return rc;
}

static enum hf_code upload_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    struct fault_upload *fu = (struct fault_upload *)u;

    FAULTY(store_fault(u->store), UPLOAD_WRITE, hf_upload_write(fu->inner, data, err), err)
    return rc;
}

static enum hf_code upload_finish(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct fault_upload *fu = (struct fault_upload *)u;

    FAULTY(store_fault(u->store), UPLOAD_FINISH, hf_upload_finish(fu->inner, ret_etag, err), err)
    return rc;
}

static void upload_cut_here(struct hf_upload *u, uint64_t position)
{
    hf_upload_cut_here(((struct fault_upload *)u)->inner, position);
}

static void upload_free(struct hf_upload *u)
{
    hf_upload_free(((struct fault_upload *)u)->inner);
    hf_free(u);
}

static const struct hf_upload_ops upload_ops = {
    .write = upload_write,
    .cut_here = upload_cut_here,
    .finish = upload_finish,
    .free = upload_free,
};

static enum hf_code fault_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                     struct hf_upload **ret, struct hf_err *err)
{
    struct store_fault *f = store_fault(s);
    struct hf_upload *inner = NULL;

    FAULTY(f, UPLOAD_NEW, hf_upload_new(f->inner, key, put, &inner, err), err)
    if (rc != HF_OK) {
        hf_upload_free(inner);
        return rc;
    }

    struct fault_upload *fu = hf_calloc(1, sizeof(*fu));

    fu->base.ops = &upload_ops;
    fu->inner = inner;
    *ret = &fu->base;
    return HF_OK;
}

static void fault_free(struct hf_store *s)
{
    struct store_fault *f = store_fault(s);

    hf_free(f->guarded.corrupt_key);
    (void)pthread_mutex_destroy(&f->mutex);
    hf_free(f);
}

static const struct hf_store_ops fault_ops = {
    .put = fault_put,
    .get = fault_get,
    .head = fault_head,
    .del = fault_delete,
    .list = fault_list,
    .upload_new = fault_upload_new,
    .free = fault_free,
};

struct store_fault *store_fault_new(struct hf_store *inner)
{
    struct store_fault *f = hf_calloc(1, sizeof(*f));

    f->base.ops = &fault_ops;
    f->base.caps = hf_store_caps(inner);
    f->base.url = hf_strdup(hf_store_url(inner));
    f->inner = inner;
    (void)pthread_mutex_init(&f->mutex, NULL);
    store_fault_arm(f, (struct store_fault_plan){0});
    return f;
}

void store_fault_arm(struct store_fault *f, struct store_fault_plan plan)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->guarded.plan = plan;
    if (plan.kinds == 0)
        f->guarded.plan.kinds = STORE_ALL;
    if (plan.code == HF_OK)
        f->guarded.plan.code = HF_TRANSIENT;
    f->guarded.calls = 0;
    f->guarded.failed = 0;
    (void)pthread_mutex_unlock(&f->mutex);
}

void store_fault_disarm(struct store_fault *f)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->guarded.plan.fail_at = 0;
    (void)pthread_mutex_unlock(&f->mutex);
}

void store_fault_corrupt(struct store_fault *f, const char *key, uint64_t offset, uint8_t mask)
{
    (void)pthread_mutex_lock(&f->mutex);
    hf_free(f->guarded.corrupt_key);
    f->guarded.corrupt_key = key == NULL ? NULL : hf_strdup(key);
    f->guarded.corrupt_offset = offset;
    f->guarded.corrupt_mask = mask;
    (void)pthread_mutex_unlock(&f->mutex);
}
