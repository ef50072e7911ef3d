/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.c - a segment's header is judged against the mark, then its pages go to digest and pages
 * file from many threads, then the outcome is judged against header and trailer.
 *
 * Pages come concurrently, but each of the decoder's windows in ascending order. So neighbours are
 * collected in lanes and go out in one write: a lane holds one run of consecutive pages, a page
 * takes the lane that ends right before it, and a lane belongs to one thread while it is taken.
 * What is still in lanes when decoding ends is written by the calling thread.
 *
 * Invariants
 * 1. A page is in exactly one lane or written, never both: a lane is emptied in the step that
 *    writes it.
 * 2. Nothing is judged before every lane is empty.
 * 3. a->mark moves only when all judgements have passed.
 */
#include "engine/sqlite/apply.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/check.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "engine/sqlite/pagehash.h"
#include "engine/sqlite/segment.h"

#define RUN_PAGES_MAX 64            /* collected in a lane */
#define RUN_BYTES_MAX (64U * 4096U) /* and this much of their bytes */
#define CHECK_PAGES   256           /* entries looked at in one go */

struct lane {
    struct hf_page_hasher *hasher; /* made at the first page: most segments need one lane */
    struct hf_buf pages;           /* of the run, if there is a pages file */
    struct digest_entry entries[RUN_PAGES_MAX];
    uint32_t first_pgno;
    uint32_t count;
    bool taken; /* under the lock of struct work */
};

struct work {
    struct apply *a;
    struct hf_ltx_header header;
    uint32_t run_pages_max;
    pthread_mutex_t mutex;
    size_t lanes_count;
    struct lane *lanes;
};

static void work_init(struct work *w, struct apply *a, const struct hf_ltx_header *h)
{
    const uint32_t by_bytes = RUN_BYTES_MAX / h->page_bytes;

    *w = (struct work){.a = a, .header = *h};
    w->run_pages_max = by_bytes < RUN_PAGES_MAX ? by_bytes : RUN_PAGES_MAX;
    hf_assert(w->run_pages_max > 0);
    (void)pthread_mutex_init(&w->mutex, NULL);
    /* As many as visits can be under way: one for each of the decoder's windows in flight. */
    w->lanes_count = hf_pool_threads(a->pool) + 2;
    w->lanes = hf_calloc(w->lanes_count, sizeof(*w->lanes));
}

static void work_done(struct work *w)
{
    for (size_t i = 0; i < w->lanes_count; i++) {
        hf_page_hasher_free(w->lanes[i].hasher);
        hf_buf_done(&w->lanes[i].pages);
    }
    hf_free(w->lanes);
    (void)pthread_mutex_destroy(&w->mutex);
}

/* The better of two free lanes for page `pgno`: one that it continues, then an empty one. */
static int fitness(const struct lane *l, uint32_t pgno)
{
    if (l->count > 0 && l->first_pgno + l->count == pgno)
        return 2;
    return l->count == 0 ? 1 : 0;
}

static struct lane *take_lane(struct work *w, uint32_t pgno)
{
    struct lane *best = NULL;

    (void)pthread_mutex_lock(&w->mutex);
    for (size_t i = 0; i < w->lanes_count; i++) {
        struct lane *l = &w->lanes[i];

        if (!l->taken && (best == NULL || fitness(l, pgno) > fitness(best, pgno)))
            best = l;
    }
    hf_assert(best != NULL);
    best->taken = true;
    (void)pthread_mutex_unlock(&w->mutex);
    return best;
}

static void give_lane(struct work *w, struct lane *l)
{
    (void)pthread_mutex_lock(&w->mutex);
    l->taken = false;
    (void)pthread_mutex_unlock(&w->mutex);
}

/* Write the lane's run and empty it. */
static enum hf_code flush(struct work *w, struct lane *l, struct hf_err *err)
{
    const struct apply *a = w->a;
    const uint32_t count = l->count;
    enum hf_code rc;

    l->count = 0;
    if (count == 0)
        return HF_OK;
    rc = digest_bulk_put(a->digest, l->first_pgno, count, l->entries, err);
    if (rc != HF_OK || a->pages == NULL)
        return rc;
    rc = hf_file_write(a->pages, (uint64_t)(l->first_pgno - 1) * w->header.page_bytes,
                       hf_buf_slice(&l->pages), err);
    hf_buf_reset(&l->pages);
    return rc;
}

static enum hf_code add_to_lane(struct work *w, struct lane *l, uint32_t pgno, struct hf_slice page,
                                struct hf_err *err)
{
    if (l->count > 0 && l->first_pgno + l->count != pgno) {
        const enum hf_code rc = flush(w, l, err);

        if (rc != HF_OK)
            return rc;
    }
    if (l->count == 0)
        l->first_pgno = pgno;
    if (l->hasher == NULL)
        l->hasher = hf_page_hasher_new(w->a->seed);
    l->entries[l->count++] = page_entry(l->hasher, pgno, page);
    if (w->a->pages != NULL)
        hf_buf_append(&l->pages, page.ptr, page.len);
    return l->count == w->run_pages_max ? flush(w, l, err) : HF_OK;
}

static enum hf_code visit(void *ctx, uint32_t pgno, struct hf_slice page, struct hf_err *err)
{
    struct work *w = ctx;

    if (w->a->stop != NULL && *w->a->stop)
        return hf_err_set(err, HF_CANCELED, "stopped while a segment was being applied");
    struct lane *l = take_lane(w, pgno);
    const enum hf_code rc = add_to_lane(w, l, pgno, page, err);

    give_lane(w, l);
    return rc;
}

/* The segment may come next. */
static enum hf_code judge_header(const struct apply *a, const struct hf_ltx_header *h,
                                 const char *name, struct hf_err *err)
{
    const struct digest_mark *m = &a->mark;

    if (m->txid == 0 && !hf_ltx_is_snapshot(h))
        return hf_err_set(err, HF_HOLE,
                          "%s begins with TXID %" PRIu64
                          ", but there is nothing to build on: "
                          "TXID 1 to %" PRIu64 " are missing",
                          name, h->min_txid, h->min_txid - 1);
    if (m->txid == 0)
        return HF_OK;
    if (h->min_txid > m->txid + 1)
        return hf_err_set(err, HF_HOLE, "TXID %" PRIu64 " to %" PRIu64 " are missing before %s",
                          m->txid + 1, h->min_txid - 1, name);
    if (h->max_txid <= m->txid)
        return hf_err_set(err, HF_USAGE,
                          "%s ends with TXID %" PRIu64 ", and the replica is at %" PRIu64
                          " already",
                          name, h->max_txid, m->txid);
    if (h->page_bytes != m->page_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "%s has pages of %" PRIu32 " bytes; those before it have %" PRIu32, name,
                          h->page_bytes, m->page_bytes);
    /* Every state has a checksum here, whether or not the segments on the way had theirs. */
    if (hf_ltx_has_sums(h) && h->min_txid == m->txid + 1 && h->pre_sum != m->sum)
        return hf_err_set(err, HF_DAMAGE,
                          "%s does not follow on TXID %" PRIu64
                          ": it was made for a database with "
                          "checksum %016" PRIx64 ", and what leads there gives %016" PRIx64,
                          name, m->txid, h->pre_sum, m->sum);
    return HF_OK;
}

/* No page between the old end and the new one was left out; only a snapshot's reader sees to that
 * itself. A page's checksum is never 0, so an entry of zeros was never put. */
static enum hf_code judge_growth(const struct work *w, const char *name, struct hf_err *err)
{
    const uint32_t lock_page = hf_ltx_lock_page(w->header.page_bytes);
    struct digest_entry entries[CHECK_PAGES];

    if (hf_ltx_is_snapshot(&w->header))
        return HF_OK;
    for (uint64_t p = (uint64_t)w->a->mark.pages_count + 1; p <= w->header.commit;) {
        const uint64_t left = w->header.commit - p + 1;
        const size_t n = left < CHECK_PAGES ? (size_t)left : CHECK_PAGES;
        const enum hf_code rc = digest_read(w->a->digest, (uint32_t)p, n, entries, err);

        if (rc != HF_OK)
            return rc;
        for (size_t i = 0; i < n; i++) {
            if (entries[i].sum == 0 && p + i != lock_page)
                return hf_err_set(err, HF_DAMAGE,
                                  "%s lets the database grow to %" PRIu32
                                  " pages, but does not hold page %" PRIu64,
                                  name, w->header.commit, p + i);
        }
        p += n;
    }
    return HF_OK;
}

/* The state led to is the one that the segment tells of. */
static enum hf_code judge_outcome(const struct apply *a, const struct hf_ltx_header *h,
                                  uint64_t post_sum, struct hf_root root, uint64_t sum,
                                  const char *name, struct hf_err *err)
{
    char expected[HF_ROOT_HEX_MAX];
    char found[HF_ROOT_HEX_MAX];

    if (h->format != 0 && !a->no_seed && !hf_root_equal(root, h->root)) {
        hf_root_hex(h->root, expected);
        hf_root_hex(root, found);
        return hf_err_set(err, HF_DAMAGE,
                          "%s does not lead to the root it carries: expected %s, found %s", name,
                          expected, found);
    }
    if (hf_ltx_has_sums(h) && post_sum != sum)
        return hf_err_set(err, HF_DAMAGE,
                          "%s does not lead to the checksum it carries: expected %016" PRIx64
                          ", found %016" PRIx64,
                          name, post_sum, sum);
    return HF_OK;
}

/* Everything visited is written, and the files have their new size. */
static enum hf_code settle(struct work *w, struct hf_err *err)
{
    struct apply *a = w->a;
    enum hf_code rc;

    for (size_t i = 0; i < w->lanes_count; i++) {
        hf_assert(!w->lanes[i].taken);
        rc = flush(w, &w->lanes[i], err);
        if (rc != HF_OK)
            return rc;
    }
    rc = digest_bulk_resize(a->digest, w->header.commit, err);
    if (rc != HF_OK || a->pages == NULL)
        return rc;
    return hf_file_truncate(a->pages, (uint64_t)w->header.commit * w->header.page_bytes, err);
}

static void move_mark(struct apply *a, const struct hf_ltx_header *h, struct hf_root root,
                      uint64_t sum)
{
    const bool had_roots = hf_ltx_is_snapshot(h) || a->mark.has_root;
    struct digest_mark mark = {
        .txid = h->max_txid,
        .time_ms = h->timestamp_ms,
        .page_bytes = h->page_bytes,
        .pages_count = h->commit,
        .root = root,
        .sum = sum,
        .has_root = had_roots && h->format != 0 && !a->no_seed,
    };

    mark.from_log = segment_log_end(h, &mark.wal);
    a->mark = mark;
}

/* The header; the pages are read later, by their own way. */
static enum hf_code read_header(struct hf_source *segment, struct hf_ltx_header *ret,
                                struct hf_err *err)
{
    HF_AUTO_BUF bytes = {0};
    enum hf_code rc;

    rc = segment->read(segment, 0, HF_LTX_HEADER_BYTES, &bytes, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_header_decode(hf_buf_slice(&bytes), ret, err);
    return rc == HF_OK ? HF_OK : hf_err_wrap(err, "%s", segment->name);
}

static enum hf_code check_same(const struct hf_ltx_header *a, const struct hf_ltx_header *b,
                               const char *name, struct hf_err *err)
{
    if (a->min_txid == b->min_txid && a->max_txid == b->max_txid && a->commit == b->commit &&
        a->page_bytes == b->page_bytes)
        return HF_OK;
    return hf_err_set(err, HF_DAMAGE, "%s changed while it was read", name);
}

enum hf_code apply_segment(struct apply *a, struct hf_source *segment, struct hf_err *err)
{
    struct hf_ltx_header header;
    struct hf_ltx_header decoded;
    struct hf_root root;
    uint64_t post_sum = 0;
    uint64_t sum;
    enum hf_code rc;

    a->begun = false;
    rc = read_header(segment, &header, err);
    if (rc != HF_OK)
        return rc;
    rc = judge_header(a, &header, segment->name, err);
    if (rc != HF_OK)
        return rc;

    HF_CLEANUP(work_done) struct work w;
    work_init(&w, a, &header);
    a->begun = true;
    rc = hf_ltx_decode(segment, a->pool, visit, &w, &decoded, &post_sum, err);
    if (rc != HF_OK)
        return rc;
    rc = check_same(&header, &decoded, segment->name, err);
    if (rc != HF_OK)
        return rc;
    rc = settle(&w, err);
    if (rc != HF_OK)
        return rc;
    rc = judge_growth(&w, segment->name, err);
    if (rc != HF_OK)
        return rc;
    digest_bulk_sums(a->digest, &root, &sum);
    rc = judge_outcome(a, &header, post_sum, root, sum, segment->name, err);
    if (rc != HF_OK)
        return rc;
    move_mark(a, &header, root, sum);
    return HF_OK;
}
