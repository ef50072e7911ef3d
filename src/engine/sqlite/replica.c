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
        .pool = o->pool,
        .stop = o->stop,
    };
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
