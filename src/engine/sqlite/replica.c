/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica.c - struct hf_replica over a digest and a pages file.
 *
 * The first segment begins a bulk rewrite of the digest, which then counts as empty on disk until
 * finish() has made pages and digest durable, in this order. A failure in between leaves the
 * rewrite open for good, so neither this replica nor what is on disk can be taken for finished.
 */
#include "engine/sqlite/replica.h"

#include "base/alloc.h"
#include "base/check.h"
#include "engine/sqlite/apply.h"
#include "engine/sqlite/pagehash.h"

struct replica {
    struct hf_replica base; /* first, so that the pointers convert */
    struct digest *digest;
    struct hf_file *pages; /* or NULL */
    struct apply apply;
    struct hf_state state;
    bool bulk;   /* segments were applied since the last finish */
    bool failed; /* only free is allowed */
};

static struct replica *replica_of(struct hf_replica *r)
{
    return (struct replica *)r;
}

static void show(struct replica *r)
{
    const struct digest_mark *m = &r->apply.mark;

    r->state = (struct hf_state){
        .txid = m->txid,
        .time_ms = m->time_ms,
        .page_bytes = m->page_bytes,
        .pages_count = m->pages_count,
        .has_root = m->has_root,
        .root = m->root,
    };
}

static enum hf_code apply_next(struct replica *r, struct hf_source *segment, struct hf_err *err)
{
    if (!r->bulk) {
        const enum hf_code rc = digest_bulk_begin(r->digest, err);

        if (rc != HF_OK)
            return hf_err_wrap(err, "digest");
        r->bulk = true;
    }
    return apply_segment(&r->apply, segment, err);
}

static enum hf_code replica_apply(struct hf_replica *base, struct hf_source *segment,
                                  struct hf_err *err)
{
    struct replica *r = replica_of(base);

    hf_assert(!r->failed);
    const enum hf_code rc = apply_next(r, segment, err);

    r->failed = rc != HF_OK && (rc != HF_HOLE || r->apply.begun);
    if (rc == HF_OK)
        show(r);
    return rc;
}

static const struct hf_state *replica_state(const struct hf_replica *base)
{
    return &((const struct replica *)base)->state;
}

static enum hf_code finish(struct replica *r, struct hf_err *err)
{
    enum hf_code rc;

    if (r->pages != NULL) {
        rc = hf_file_sync(r->pages, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = digest_bulk_end(r->digest, &r->apply.mark, err);
    if (rc != HF_OK)
        return rc;
    return digest_sync(r->digest, err);
}

static enum hf_code replica_finish(struct hf_replica *base, struct hf_err *err)
{
    struct replica *r = replica_of(base);

    hf_assert(!r->failed);
    if (!r->bulk)
        return HF_OK;
    const enum hf_code rc = finish(r, err);

    r->failed = rc != HF_OK;
    r->bulk = false;
    return rc;
}

static void replica_free(struct hf_replica *base)
{
    struct replica *r = replica_of(base);

    if (r == NULL)
        return;
    digest_free(r->digest);
    hf_file_close(r->pages);
    hf_free(r);
}

static void replica_free_ptr(struct replica **r)
{
    replica_free(*r != NULL ? &(*r)->base : NULL);
    *r = NULL;
}

static const struct hf_replica_ops ops = {
    .apply = replica_apply,
    .state = replica_state,
    .finish = replica_finish,
    .free = replica_free,
};

enum hf_code sqlite_replica_open(const struct hf_replica_options *o, struct hf_replica **ret,
                                 struct hf_err *err)
{
    HF_CLEANUP(replica_free_ptr) struct replica *r = hf_calloc(1, sizeof(*r));
    const char *why = NULL;
    enum hf_code rc;

    r->base.ops = &ops;
    if (o->pages_path != NULL) {
        rc = hf_fs_open(o->fs, o->pages_path, HF_OPEN_NEW, o->mode, &r->pages, err);
        if (rc != HF_OK)
            return rc;
    }
    /* A digest that is not valid counts as none: everything in it is in the archive. */
    rc = digest_open(o->fs, o->digest_path, &r->digest, &why, err);
    if (rc != HF_OK)
        return rc;
    if (o->pages_path != NULL || o->anew) {
        rc = digest_reset(r->digest, err);
        if (rc != HF_OK)
            return rc;
    }
    r->apply = (struct apply){
        .digest = r->digest,
        .mark = *digest_mark(r->digest),
        .pages = r->pages,
        .seed = o->seed,
        .no_seed = o->no_seed,
        .pool = o->pool,
        .stop = o->stop,
    };
    show(r);
    struct replica *done = hf_take_ptr(&r);

    *ret = &done->base;
    return HF_OK;
}

/* ---- import ---- */

#define IMPORT_WINDOW_PAGES 256

struct import {
    struct replica *replica;
    struct hf_file *file;
    uint32_t page_bytes;
    uint32_t pages_count;
    hf_stop_flag *stop;
};

struct import_window {
    const struct import *import;
    uint32_t first_pgno;
    uint32_t count;
};

static enum hf_code import_window(void *ctx, struct hf_err *err)
{
    const struct import_window *w = ctx;
    const struct import *m = w->import;
    const size_t bytes = (size_t)w->count * m->page_bytes;
    HF_AUTO_FREE uint8_t *pages = hf_malloc(bytes);
    AUTO_PAGE_HASHER *hasher = hf_page_hasher_new(m->replica->apply.seed);
    struct digest_entry entries[IMPORT_WINDOW_PAGES];
    size_t got = 0;

    if (m->stop != NULL && *m->stop)
        return hf_err_set(err, HF_CANCELED, "stopped");
    const enum hf_code rc = hf_file_read(m->file, (uint64_t)(w->first_pgno - 1) * m->page_bytes,
                                         pages, bytes, &got, err);

    if (rc != HF_OK)
        return rc;
    if (got < bytes)
        return hf_err_set(err, HF_USAGE, "the reference file became shorter while it was read");
    for (uint32_t i = 0; i < w->count; i++)
        entries[i] = page_entry(hasher, w->first_pgno + i,
                                hf_slice(pages + (size_t)i * m->page_bytes, m->page_bytes));
    return digest_bulk_put(m->replica->digest, w->first_pgno, w->count, entries, err);
}

static enum hf_code import_pages(const struct import *m, struct hf_err *err)
{
    HF_CLEANUP(hf_group_free_ptr)
    struct hf_group *group = hf_group_new(m->replica->apply.pool);
    struct import_window windows[16];

    for (uint64_t next = 1; next <= m->pages_count;) {
        for (size_t i = 0; i < HF_ARRAY_LEN(windows) && next <= m->pages_count; i++) {
            const uint64_t left = m->pages_count - next + 1;

            windows[i] = (struct import_window){
                .import = m,
                .first_pgno = (uint32_t)next,
                .count = left < IMPORT_WINDOW_PAGES ? (uint32_t)left : IMPORT_WINDOW_PAGES,
            };
            hf_group_run(group, import_window, &windows[i]);
            next += windows[i].count;
        }
        const enum hf_code rc = hf_group_wait(group, err);

        if (rc != HF_OK)
            return rc;
    }
    return digest_bulk_resize(m->replica->digest, m->pages_count, err);
}

static enum hf_code open_import(const struct hf_replica_options *o, const char *pages,
                                struct import *m, struct hf_err *err)
{
    struct hf_stat st;
    enum hf_code rc = hf_fs_open(o->fs, pages, HF_OPEN_READ, 0, &m->file, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_file_stat(m->file, &st, err);
    if (rc != HF_OK)
        return rc;
    if (st.size_bytes == 0 || st.size_bytes % m->page_bytes != 0 ||
        st.size_bytes / m->page_bytes > UINT32_MAX)
        return hf_err_set(err, HF_USAGE,
                          "%s has %llu bytes, which is no whole number of pages of %u: expected a "
                          "file that `holdfast rebuild` made",
                          pages, (unsigned long long)st.size_bytes, m->page_bytes);
    m->pages_count = (uint32_t)(st.size_bytes / m->page_bytes);
    return HF_OK;
}

static void import_done(struct import *m)
{
    hf_file_close(m->file);
}

enum hf_code sqlite_replica_import(const struct hf_replica_options *o, const char *pages,
                                   uint32_t page_bytes, hf_identify_fn *identify, void *ctx,
                                   struct hf_replica **ret, struct hf_err *err)
{
    HF_CLEANUP(import_done)
    struct import m = {.page_bytes = page_bytes, .stop = o->stop};
    struct hf_replica_options anew = *o;
    struct hf_replica *opened = NULL;
    enum hf_code rc = open_import(o, pages, &m, err);

    if (rc != HF_OK)
        return rc;
    anew.anew = true;
    anew.pages_path = NULL;
    rc = sqlite_replica_open(&anew, &opened, err);
    if (rc != HF_OK)
        return rc;
    HF_CLEANUP(replica_free_ptr) struct replica *r = replica_of(opened);
    struct digest_mark mark = {.page_bytes = page_bytes, .has_root = true};

    m.replica = r;
    rc = digest_bulk_begin(r->digest, err);
    if (rc == HF_OK)
        rc = import_pages(&m, err);
    if (rc != HF_OK)
        return rc;
    mark.pages_count = m.pages_count;
    digest_bulk_sums(r->digest, &mark.root, &mark.sum);
    rc = identify(ctx, mark.root, mark.pages_count, &mark.txid, &mark.time_ms, err);
    if (rc == HF_OK)
        rc = digest_bulk_end(r->digest, &mark, err);
    if (rc != HF_OK)
        return rc;
    r->apply.mark = mark;
    show(r);
    struct replica *done = hf_take_ptr(&r);

    *ret = &done->base;
    return HF_OK;
}

enum hf_code replica_entries(struct hf_replica *r, uint32_t first_pgno, size_t n,
                             struct digest_entry *ret, struct hf_err *err)
{
    hf_assert(r->ops == &ops && !replica_of(r)->bulk);
    return digest_read(replica_of(r)->digest, first_pgno, n, ret, err);
}

const struct digest_mark *replica_mark(const struct hf_replica *r)
{
    hf_assert(r->ops == &ops);
    return &((const struct replica *)r)->apply.mark;
}
