/* SPDX-License-Identifier: Apache-2.0 */
/* chain.c - fetch, compare header and key, apply. */
#include "rebuilder/chain.h"

#include <inttypes.h>

#include "archive/names.h"

static enum hf_code check_page_bytes(const struct hf_archive *a, const struct hf_source *source,
                                     uint32_t page_bytes, struct hf_err *err)
{
    const uint32_t expected = a->has_format ? a->format.page_bytes : 0;

    if (expected == 0 || page_bytes == expected)
        return HF_OK;
    return hf_err_set(err, HF_DAMAGE,
                      "%s has pages of %" PRIu32 " bytes, and " HF_NAME_FORMAT " says %" PRIu32
                      ": one of them is not this archive's",
                      source->name, page_bytes, expected);
}

/* A key that lies about its TXIDs would let a plan lead elsewhere than it says. */
static enum hf_code meet(struct hf_chain *c, struct hf_source *source,
                         const struct hf_segment_ref *ref, struct hf_err *err)
{
    struct hf_seg_info info;
    enum hf_code rc;

    rc = hf_source_read_info(source, c->engine->codec, &info, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_seg_info_check_name(&info, ref->min_txid, ref->max_txid, source->name, err);
    if (rc != HF_OK) {
        c->names_lie = true;
        return rc;
    }
    rc = check_page_bytes(c->archive, source, info.page_bytes, err);
    if (rc != HF_OK)
        return rc;
    return c->met != NULL ? c->met(c->met_ctx, &info, err) : HF_OK;
}

static enum hf_code apply_next(struct hf_chain *c, struct hf_fetch *fetch, struct hf_replica *r,
                               const struct hf_segment_ref *ref, struct hf_err *err)
{
    struct hf_source *source;
    enum hf_code rc;

    rc = hf_fetch_next(fetch, &source, err);
    if (rc != HF_OK)
        return rc;
    rc = meet(c, source, ref, err);
    if (rc != HF_OK)
        return rc;
    rc = r->ops->apply(r, source, err);
    if (rc != HF_OK)
        return rc;
    if (r->ops->state(r)->txid != ref->max_txid)
        return hf_err_set(err, HF_DAMAGE, "%s changed while it was read", source->name);
    return HF_OK;
}

enum hf_code hf_chain_check_alone(struct hf_chain *c, const struct hf_segment_ref *ref,
                                  struct hf_err *err)
{
    HF_CLEANUP(hf_fetch_free_ptr)
    struct hf_fetch *fetch = hf_fetch_new(c->archive, c->pool, ref, 1, c->meter, c->stop);
    struct hf_source *source;
    enum hf_code rc;

    c->names_lie = false;
    c->applied = 0;
    if (c->stop != NULL && *c->stop)
        return hf_err_set(err, HF_CANCELED, "stopped before %s was read", ref->key);
    rc = hf_fetch_next(fetch, &source, err);
    if (rc == HF_OK)
        rc = meet(c, source, ref, err);
    return rc != HF_OK ? rc : c->engine->segment_check(source, c->pool, err);
}

enum hf_code hf_chain_apply(struct hf_chain *c, struct hf_replica *r,
                            const struct hf_segment_ref *refs, size_t refs_count, hf_chain_fn *fn,
                            void *ctx, struct hf_err *err)
{
    HF_CLEANUP(hf_fetch_free_ptr)
    struct hf_fetch *fetch = hf_fetch_new(c->archive, c->pool, refs, refs_count, c->meter, c->stop);
    enum hf_code rc;

    c->names_lie = false;
    for (c->applied = 0; c->applied < refs_count; c->applied++) {
        const struct hf_segment_ref *ref = &refs[c->applied];

        if (c->stop != NULL && *c->stop)
            return hf_err_set(err, HF_CANCELED, "stopped before %s was applied", ref->key);
        rc = apply_next(c, fetch, r, ref, err);
        if (rc == HF_OK && fn != NULL)
            rc = fn(ctx, c->applied, r->ops->state(r), err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}
