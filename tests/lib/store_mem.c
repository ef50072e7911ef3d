/* SPDX-License-Identifier: Apache-2.0 */
/* store_mem.c - objects in one sorted array under one mutex; a listing copies a page at a time. */
#include "lib/store_mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/fixture.h"

struct mem_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_put put;
    struct hf_buf body;
};

static struct store_mem *store_mem(struct hf_store *s)
{
    return (struct store_mem *)s;
}

static void lock(struct store_mem *m)
{
    (void)pthread_mutex_lock(&m->mutex);
}

static void unlock(struct store_mem *m)
{
    (void)pthread_mutex_unlock(&m->mutex);
}

/* Index of the first object whose key is not below `key`. */
static size_t lower_bound_locked(const struct store_mem *m, const char *key)
{
    size_t low = 0;
    size_t high = m->guarded.count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (strcmp(m->guarded.objects[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct store_mem_object *find_locked(struct store_mem *m, const char *key)
{
    const size_t at = lower_bound_locked(m, key);

    if (at == m->guarded.count || strcmp(m->guarded.objects[at].key, key) != 0)
        return NULL;
    return &m->guarded.objects[at];
}

static struct store_mem_object *insert_locked(struct store_mem *m, const char *key)
{
    const size_t at = lower_bound_locked(m, key);

    if (m->guarded.count == m->guarded.cap) {
        m->guarded.cap = m->guarded.cap == 0 ? 64 : m->guarded.cap * 2;
        m->guarded.objects =
            hf_realloc(m->guarded.objects, m->guarded.cap, sizeof(*m->guarded.objects));
    }
    struct store_mem_object *o = &m->guarded.objects[at];

    (void)memmove(o + 1, o, (m->guarded.count - at) * sizeof(*o));
    m->guarded.count++;
    *o = (struct store_mem_object){.key = hf_strdup(key)};
    return o;
}

static enum hf_code put_locked(struct store_mem *m, const char *key, struct hf_slice body,
                               const struct hf_put *put, struct hf_etag *ret_etag,
                               struct hf_err *err)
{
    struct store_mem_object *o = find_locked(m, key);

    m->guarded.requests.put++;
    m->guarded.requests.bytes_up += body.len;
    if (put->cond == HF_PUT_IF_ABSENT && o != NULL)
        return hf_err_set(err, HF_CONFLICT, "the object exists");
    if (put->cond == HF_PUT_IF_MATCH &&
        (o == NULL || strcmp(o->object.etag.str, put->match.str) != 0))
        return hf_err_set(err, HF_CONFLICT, "the object is another than %s", put->match.str);
    if (o == NULL)
        o = insert_locked(m, key);
    hf_buf_reset(&o->body);
    hf_buf_append(&o->body, body.ptr, body.len);
    o->object = (struct hf_object){
        .size_bytes = body.len,
        .modified_ms = hf_now_ms(m->clock),
        .timestamp_ms = put->timestamp_ms,
    };
    (void)snprintf(o->object.etag.str, sizeof(o->object.etag.str), "mem-%" PRIu64,
                   ++m->guarded.versions);
    *ret_etag = o->object.etag;
    return HF_OK;
}

static enum hf_code mem_put(struct hf_store *s, const char *key, struct hf_slice body,
                            const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct store_mem *m = store_mem(s);

    lock(m);
    const enum hf_code rc = put_locked(m, key, body, put, ret_etag, err);

    unlock(m);
    return rc;
}

static enum hf_code get_locked(struct store_mem *m, const char *key, uint64_t offset, uint64_t len,
                               struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    const struct store_mem_object *o = find_locked(m, key);

    m->guarded.requests.get++;
    if (o == NULL)
        return hf_err_set(err, HF_NOT_FOUND, "there is no such object");

    const uint64_t left = offset < o->body.len ? o->body.len - offset : 0;
    const size_t want = (size_t)(len == 0 || len > left ? left : len);

    if (want > 0)
        hf_buf_append(ret, o->body.ptr + offset, want);
    m->guarded.requests.bytes_down += want;
    *ret_object = o->object;
    return HF_OK;
}

static enum hf_code mem_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                            struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct store_mem *m = store_mem(s);

    lock(m);
    const enum hf_code rc = get_locked(m, key, offset, len, ret, ret_object, err);

    unlock(m);
    return rc;
}

static enum hf_code mem_head(struct hf_store *s, const char *key, struct hf_object *ret,
                             struct hf_err *err)
{
    struct store_mem *m = store_mem(s);
    enum hf_code rc = HF_OK;

    lock(m);
    const struct store_mem_object *o = find_locked(m, key);

    m->guarded.requests.head++;
    if (o == NULL)
        rc = hf_err_set(err, HF_NOT_FOUND, "there is no such object");
    else
        *ret = o->object;
    unlock(m);
    return rc;
}

static void done_object(struct store_mem_object *o)
{
    hf_free(o->key);
    hf_buf_done(&o->body);
}

static enum hf_code mem_delete(struct hf_store *s, const char *key, struct hf_err *err)
{
    struct store_mem *m = store_mem(s);

    (void)err;
    lock(m);
    struct store_mem_object *o = find_locked(m, key);

    m->guarded.requests.del++;
    if (o != NULL) {
        done_object(o);
        m->guarded.count--;
        (void)memmove(o, o + 1, (m->guarded.count - (size_t)(o - m->guarded.objects)) * sizeof(*o));
    }
    unlock(m);
    return HF_OK;
}

/* One answer of a listing, copied, so that the caller's function may use the store. */
struct page {
    struct store_mem_object items[STORE_MEM_PAGE_KEYS]; /* bodies are left out */
    size_t count;
};

static void page_free(struct page **page)
{
    for (size_t i = 0; i < (*page)->count; i++)
        done_object(&(*page)->items[i]);
    hf_free(*page);
}

static void fill_page(struct store_mem *m, const char *prefix, const char *after, struct page *page)
{
    lock(m);
    const char *from = strcmp(after, prefix) > 0 ? after : prefix;

    page->count = 0;
    m->guarded.requests.list++;
    for (size_t i = lower_bound_locked(m, from);
         i < m->guarded.count && page->count < STORE_MEM_PAGE_KEYS; i++) {
        const struct store_mem_object *o = &m->guarded.objects[i];
        struct store_mem_object *item = &page->items[page->count];

        if (strncmp(o->key, prefix, strlen(prefix)) != 0)
            break;
        if (strcmp(o->key, after) <= 0)
            continue;
        *item = (struct store_mem_object){.key = hf_strdup(o->key), .object = o->object};
        if (!m->lists_timestamps)
            item->object.timestamp_ms = 0;
        page->count++;
    }
    unlock(m);
}

static enum hf_code mem_list(struct hf_store *s, const char *prefix, const char *start_after,
                             hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    HF_AUTO_FREE char *after = hf_strdup(start_after);

    for (;;) {
        HF_CLEANUP(page_free) struct page *page = hf_calloc(1, sizeof(*page));

        fill_page(store_mem(s), prefix, after, page);
        for (size_t i = 0; i < page->count; i++) {
            const enum hf_code rc = fn(ctx, page->items[i].key, &page->items[i].object, err);

            if (rc != HF_OK)
                return rc;
        }
        if (page->count < STORE_MEM_PAGE_KEYS)
            return HF_OK;
        hf_free(after);
        after = hf_strdup(page->items[page->count - 1].key);
    }
}

static enum hf_code upload_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    (void)err;
    hf_buf_append(&((struct mem_upload *)u)->body, data.ptr, data.len);
    return HF_OK;
}

static enum hf_code upload_finish(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct mem_upload *mu = (struct mem_upload *)u;

    return mem_put(u->store, u->key, hf_buf_slice(&mu->body), &mu->put, ret_etag, err);
}

static void count_uploads(struct store_mem *m, bool opened)
{
    lock(m);
    m->guarded.uploads_open += opened ? 1 : UINT64_MAX;
    unlock(m);
}

static void upload_free(struct hf_upload *u)
{
    count_uploads(store_mem(u->store), false);
    hf_buf_done(&((struct mem_upload *)u)->body);
    hf_free(u);
}

static const struct hf_upload_ops upload_ops = {
    .write = upload_write,
    .finish = upload_finish,
    .free = upload_free,
};

static enum hf_code mem_upload_new(struct hf_store *s, const char *key, const struct hf_put *put,
                                   struct hf_upload **ret, struct hf_err *err)
{
    struct mem_upload *mu = hf_calloc(1, sizeof(*mu));

    (void)key;
    (void)err;
    mu->base.ops = &upload_ops;
    mu->put = *put;
    count_uploads(store_mem(s), true);
    *ret = &mu->base;
    return HF_OK;
}

static void mem_free(struct hf_store *s)
{
    struct store_mem *m = store_mem(s);

    assert_int_equal(m->guarded.uploads_open, 0);
    for (size_t i = 0; i < m->guarded.count; i++)
        done_object(&m->guarded.objects[i]);
    hf_free(m->guarded.objects);
    (void)pthread_mutex_destroy(&m->mutex);
    hf_free(m);
}

static const struct hf_store_ops mem_ops = {
    .put = mem_put,
    .get = mem_get,
    .head = mem_head,
    .del = mem_delete,
    .list = mem_list,
    .upload_new = mem_upload_new,
    .free = mem_free,
};

struct store_mem *store_mem_new(struct hf_clock *clock)
{
    struct store_mem *m = hf_calloc(1, sizeof(*m));

    m->base.ops = &mem_ops;
    m->base.caps = HF_STORE_COND_PUT | HF_STORE_LARGE;
    m->base.url = hf_strdup("mem://test");
    m->clock = clock != NULL ? clock : hf_clock_system();
    (void)pthread_mutex_init(&m->mutex, NULL);
    return m;
}

struct store_mem_requests store_mem_requests_take(struct store_mem *m)
{
    lock(m);
    const struct store_mem_requests requests = m->guarded.requests;

    m->guarded.requests = (struct store_mem_requests){0};
    unlock(m);
    return requests;
}

const struct store_mem_object *store_mem_find(struct store_mem *m, const char *key)
{
    lock(m);
    const struct store_mem_object *o = find_locked(m, key);

    unlock(m);
    return o;
}

void store_mem_corrupt(struct store_mem *m, const char *key, uint64_t offset, uint8_t mask)
{
    lock(m);
    struct store_mem_object *o = find_locked(m, key);
    const bool found = o != NULL && offset < o->body.len;

    if (found)
        o->body.ptr[offset] ^= mask;
    unlock(m);
    if (!found)
        fail_msg("%s has no byte %" PRIu64, key, offset);
}
