/* SPDX-License-Identifier: Apache-2.0 */
/* follow.c - frames collected in log order, sorted by page, the newest of each kept. */
#include "engine/sqlite/follow.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

struct collector {
    struct frame_ref *refs;
    size_t count;
    size_t cap;
    uint32_t smallest;    /* size of the database on the way, in pages */
    uint32_t last_commit; /* of the last frame seen; 0 if it ended no transaction */
};

static void push(struct collector *c, uint32_t pgno, uint32_t frame)
{
    if (c->count == c->cap) {
        c->cap = c->cap > 0 ? c->cap * 2 : 256;
        c->refs = hf_realloc(c->refs, c->cap, sizeof(*c->refs));
    }
    c->refs[c->count++] = (struct frame_ref){.pgno = pgno, .frame = frame};
}

static void collector_done(struct collector *c)
{
    hf_free(c->refs);
}

static enum hf_code collect(void *ctx, const struct wal_frame *f, struct hf_err *err)
{
    struct collector *c = ctx;

    (void)err;
    push(c, f->pgno, f->frame);
    c->last_commit = f->commit;
    if (f->commit != 0 && f->commit < c->smallest)
        c->smallest = f->commit;
    return HF_OK;
}

/* By page, and the newest frame of a page first. */
static int compare_refs(const void *a, const void *b)
{
    const struct frame_ref *x = a;
    const struct frame_ref *y = b;

    if (x->pgno != y->pgno)
        return x->pgno < y->pgno ? -1 : 1;
    return x->frame > y->frame ? -1 : x->frame < y->frame ? 1 : 0;
}

/* Sort, keep the newest frame of each page, and leave out what is not in the database at the end.
 */
static void keep_newest(struct collector *c, uint32_t commit, uint32_t lock_page)
{
    size_t kept = 0;

    if (c->count == 0)
        return;
    qsort(c->refs, c->count, sizeof(*c->refs), compare_refs);
    for (size_t i = 0; i < c->count; i++) {
        if (c->refs[i].pgno > commit || c->refs[i].pgno == lock_page)
            continue;
        if (kept == 0 || c->refs[kept - 1].pgno != c->refs[i].pgno)
            c->refs[kept++] = c->refs[i];
    }
    c->count = kept;
}

/* Pages added here may still have an older frame of this generation, which readers would see. */
static enum hf_code find_old_frames(struct collector *grown, struct wal_file *w,
                                    uint32_t page_bytes, uint32_t frames_count, struct hf_err *err)
{
    for (uint32_t frame = 1; frame <= frames_count; frame++) {
        uint8_t head[WAL_FRAME_HEADER_BYTES];
        const enum hf_code rc = wal_read_frame_header(w, page_bytes, frame, head, err);

        if (rc != HF_OK)
            return rc;
        const struct frame_ref *ref = frame_ref_find(grown->refs, grown->count, hf_get_be32(head));

        if (ref != NULL)
            grown->refs[ref - grown->refs].frame = frame;
    }
    return HF_OK;
}

static enum hf_code add_grown_pages(struct collector *c, struct wal_file *w,
                                    const struct wal_header *h, const struct wal_position *from,
                                    const struct wal_position *to, struct hf_err *err)
{
    const uint32_t lock_page = hf_ltx_lock_page(h->page_bytes);
    HF_CLEANUP(collector_done) struct collector grown = {0};

    for (uint64_t p = (uint64_t)c->smallest + 1; p <= to->commit; p++) {
        if (p != lock_page && frame_ref_find(c->refs, c->count, (uint32_t)p) == NULL)
            push(&grown, (uint32_t)p, 0);
    }
    if (grown.count == 0)
        return HF_OK;
    const enum hf_code rc = find_old_frames(&grown, w, h->page_bytes, from->frame, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < grown.count; i++)
        push(c, grown.refs[i].pgno, grown.refs[i].frame);
    qsort(c->refs, c->count, sizeof(*c->refs), compare_refs);
    return HF_OK;
}

enum hf_code stretch_read(struct wal_file *w, const struct wal_header *h,
                          const struct wal_position *from, const struct wal_position *to,
                          uint32_t old_commit, struct stretch *ret, struct hf_err *err)
{
    HF_CLEANUP(collector_done) struct collector c = {.smallest = old_commit};
    enum hf_code rc = wal_read_chain(w, h, from, to, collect, &c, err);

    if (rc != HF_OK)
        return rc;
    if (c.count > 0 && c.last_commit != to->commit)
        return hf_err_set(err, HF_DAMAGE,
                          "WAL frame %u should end a transaction with %u pages; it says %u",
                          to->frame, to->commit, c.last_commit);
    keep_newest(&c, to->commit, hf_ltx_lock_page(h->page_bytes));
    rc = add_grown_pages(&c, w, h, from, to, err);
    if (rc != HF_OK)
        return rc;
    ret->count = c.count;
    ret->refs = hf_take_ptr(&c.refs);
    ret->pgnos = hf_calloc(ret->count, sizeof(*ret->pgnos));
    for (size_t i = 0; i < ret->count; i++)
        ret->pgnos[i] = ret->refs[i].pgno;
    return HF_OK;
}

void stretch_done(struct stretch *s)
{
    hf_free(s->refs);
    hf_free(s->pgnos);
    *s = (struct stretch){0};
}
