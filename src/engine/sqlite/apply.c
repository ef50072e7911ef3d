/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.c - a segment's header is judged against the mark, then its pages go to digest and pages
 * file from many threads, then the outcome is judged against header and trailer.
 *
 * The pages of a snapshot, which are all that the file has yet, go past the page cache: they are
 * many, and in place already. Those of other segments are few and scattered. Never both ways within
 * one segment: what one thread writes past the cache another could just have in it.
 *
 * a->mark moves only when all judgements have passed.
 */
#include "engine/sqlite/apply.h"

#include <inttypes.h>

#include "base/check.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "engine/sqlite/pagehash.h"
#include "engine/sqlite/segment.h"

#define LZ4_GAIN_MAX  255 /* one byte of a block stands for as many, by the LZ4 block format */
#define CHECK_PAGES   256 /* entries looked at in one go */
#define RUN_PAGES_MAX (HF_LTX_RUN_BYTES / HF_LTX_PAGE_BYTES_MIN) /* the decoder hands on */

struct work {
    struct apply *a;
    struct hf_ltx_header header;
    bool bulk; /* pages are written past the page cache */
};

static enum hf_code write_pages(const struct work *w, const struct hf_ltx_run *run,
                                struct hf_err *err)
{
    const uint64_t offset = (uint64_t)(run->first_pgno - 1) * w->header.page_bytes;

    if (w->a->pages == NULL)
        return HF_OK;
    return w->bulk ? hf_file_write_bulk(w->a->pages, offset, run->pages, err)
                   : hf_file_write(w->a->pages, offset, run->pages, err);
}

static enum hf_code visit(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    const struct work *w = ctx;
    struct digest_entry entries[RUN_PAGES_MAX];
    AUTO_PAGE_HASHER *hasher = hf_page_hasher_new(w->a->seed);

    if (w->a->stop != NULL && *w->a->stop)
        return hf_err_set(err, HF_CANCELED, "stopped while a segment was being applied");
    hf_assert(run->count <= RUN_PAGES_MAX);
    for (uint32_t i = 0; i < run->count; i++) {
        const uint32_t pgno = run->first_pgno + i;

        entries[i] = (struct digest_entry){
            .hash = page_hash(hasher, pgno, hf_ltx_run_page(run, i)),
            .sum = run->page_sums[i],
        };
    }
    const enum hf_code rc =
        digest_bulk_put(w->a->digest, run->first_pgno, run->count, entries, err);

    return rc == HF_OK ? write_pages(w, run, err) : rc;
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

/* The files have their new size. */
static enum hf_code settle(struct work *w, struct hf_err *err)
{
    struct apply *a = w->a;
    const enum hf_code rc = digest_bulk_resize(a->digest, w->header.commit, err);

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

/*
 * Room for the pages of a snapshot, before many threads write them. A header's word alone takes no
 * more of the disk than the segment can expand to.
 */
static void make_room(const struct work *w, const struct hf_source *segment)
{
    const uint64_t bytes = (uint64_t)w->header.commit * w->header.page_bytes;

    if (w->bulk && w->a->pages != NULL && bytes / LZ4_GAIN_MAX <= segment->size_bytes)
        hf_file_reserve(w->a->pages, bytes);
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

    struct work w = {
        .a = a,
        .header = header,
        .bulk = hf_ltx_is_snapshot(&header) && header.page_bytes % HF_BULK_ALIGN == 0,
    };

    a->begun = true;
    make_room(&w, segment);
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
