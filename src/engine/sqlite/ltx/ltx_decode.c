/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_decode.c - a whole file, verified, by windows in parallel.
 *
 * One thread walks the index and cuts the frames into windows; pool tasks fetch and unpack them.
 * Windows live in a ring of slots, each with a task group of its own, and a slot is taken again in
 * ring order: so results are joined in file order, which the file's checksum needs, and waiting is
 * always hf_group_wait(), which works on queued tasks meanwhile and so cannot deadlock when decode
 * itself runs in a pool task.
 *
 * Invariants
 * 1. A slot is touched by its task from hf_group_run() to hf_group_wait() and by the walking
 *    thread otherwise.
 * 2. After the first failure (`stop`) tasks skip their work. The window that failed is still in
 *    the ring then, so run() meets its error before the sums of skipped windows mean anything.
 */
#include <inttypes.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/fs.h"
#include "engine/sqlite/ltx/ltx_frame.h"
#include "engine/sqlite/ltx/ltx_reader_priv.h"

#define HERE_BYTES_MAX (1 << 20) /* a smaller file is no work for other threads */

struct frame_id {
    uint32_t pgno;
    uint32_t frame_bytes;
};

struct window {
    struct decoding *decoding;
    struct hf_group *group;
    uint64_t offset; /* of the first frame in the file */
    size_t bytes;    /* of all frames */
    size_t frames_count;
    struct hf_buf ids; /* struct frame_id[frames_count] */
    struct hf_buf scratch;
    struct hf_ltx_run run; /* what was decoded and not visited yet, in ... */
    uint8_t *pages;        /* ... these two, which have room for ... */
    uint64_t *page_sums;
    uint32_t run_max; /* ... as many pages */
    struct hf_ltx_unpacker unpacker;
    uint64_t crc; /* as in hf_ltx_reader_check_sum() */
    uint64_t crc_bytes;
    uint64_t sum; /* of its pages; only for tracked snapshots */
};

struct decoding {
    struct hf_ltx_reader *reader;
    struct hf_ltx_cursor cursor;
    struct hf_ltx_entry entry; /* next one, not yet in a window */
    hf_ltx_visit_fn *visit;
    void *ctx;
    bool want_sum;
    const struct hf_crc64_shift *shift;
    atomic_bool stop;
    struct window *windows; /* the ring */
    size_t windows_count;
    uint64_t crc; /* of the windows joined so far */
    uint64_t crc_bytes;
    uint64_t sum;
};

/* Hand on what was decoded. */
static enum hf_code visit_run(struct window *w, struct hf_err *err)
{
    const struct decoding *d = w->decoding;
    struct hf_ltx_run run = w->run;

    w->run.count = 0;
    if (run.count == 0 || d->visit == NULL)
        return HF_OK;
    run.pages = hf_slice(w->pages, (size_t)run.count * d->reader->header.page_bytes);
    run.page_sums = w->page_sums;
    return d->visit(d->ctx, &run, err);
}

/* Room for page `pgno` at the end of a run, the one under way or a new one. */
static enum hf_code extend_run(struct window *w, uint32_t pgno, struct hf_err *err)
{
    if (w->run.count == w->run_max || w->run.first_pgno + w->run.count != pgno) {
        const enum hf_code rc = visit_run(w, err);

        if (rc != HF_OK)
            return rc;
    }
    if (w->run.count == 0)
        w->run.first_pgno = pgno;
    w->run.count++;
    return HF_OK;
}

static enum hf_code decode_frame(struct window *w, const struct frame_id *id, struct hf_slice frame,
                                 struct hf_err *err)
{
    const struct decoding *d = w->decoding;
    const uint32_t page_bytes = d->reader->header.page_bytes;
    enum hf_code rc = extend_run(w, id->pgno, err);

    if (rc != HF_OK)
        return rc;
    const uint32_t at = w->run.count - 1;
    uint8_t *page = w->pages + (size_t)at * page_bytes;

    rc = hf_ltx_frame_unpack(&w->unpacker, frame, id->pgno, page_bytes, page, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", d->reader->source->name);
    const struct hf_slice prefix = hf_ltx_frame_prefix(frame);
    const uint64_t page_crc = hf_crc64(0, page, page_bytes);

    w->crc = hf_crc64_join(d->shift, hf_crc64(w->crc, prefix.ptr, prefix.len), page_crc);
    w->crc_bytes += prefix.len + page_bytes;
    w->page_sums[at] = hf_ltx_page_sum_from(d->shift, id->pgno, page_crc);
    if (d->want_sum)
        w->sum = hf_ltx_sum_toggle(w->sum, w->page_sums[at]);
    return HF_OK;
}

/* Memory for the runs of this window; kept for the next ones. */
static void need_run(struct window *w)
{
    const uint32_t page_bytes = w->decoding->reader->header.page_bytes;
    const uint32_t fit = HF_LTX_RUN_BYTES / page_bytes;
    const uint32_t want = w->frames_count < fit ? (uint32_t)w->frames_count : fit;

    w->run.count = 0;
    if (want <= w->run_max)
        return;
    hf_free(w->pages);
    hf_free(w->page_sums);
    w->pages = hf_memalign(HF_BULK_ALIGN, (size_t)want * page_bytes);
    w->page_sums = hf_calloc(want, sizeof(*w->page_sums));
    w->run_max = want;
}

static enum hf_code decode_frames(struct window *w, struct hf_slice frames, struct hf_err *err)
{
    const struct frame_id *ids = (const struct frame_id *)(const void *)w->ids.ptr;
    size_t at = 0;

    need_run(w);
    for (size_t i = 0; i < w->frames_count; i++) {
        if (atomic_load_explicit(&w->decoding->stop, memory_order_relaxed))
            return HF_OK;
        const enum hf_code rc =
            decode_frame(w, &ids[i], hf_slice(frames.ptr + at, ids[i].frame_bytes), err);

        if (rc != HF_OK)
            return rc;
        at += ids[i].frame_bytes;
    }
    hf_assert(at == frames.len);
    return visit_run(w, err);
}

static enum hf_code fetch_and_decode(struct window *w, struct hf_err *err)
{
    struct hf_slice frames;
    const enum hf_code rc =
        hf_ltx_reader_view(w->decoding->reader, w->offset, w->bytes, &w->scratch, &frames, err);

    return rc != HF_OK ? rc : decode_frames(w, frames, err);
}

static enum hf_code decode_window(void *ctx, struct hf_err *err)
{
    struct window *w = ctx;

    if (atomic_load_explicit(&w->decoding->stop, memory_order_relaxed))
        return HF_OK;
    const enum hf_code rc = fetch_and_decode(w, err);

    if (rc != HF_OK)
        atomic_store_explicit(&w->decoding->stop, true, memory_order_relaxed);
    return rc;
}

/* Cut the next window off the index. It is empty at the end. */
static enum hf_code fill(struct window *w, struct hf_err *err)
{
    struct decoding *d = w->decoding;
    const uint64_t frames_max = HF_LTX_WINDOW_PAGES_BYTES / d->reader->header.page_bytes;

    hf_buf_reset(&w->ids);
    w->offset = d->entry.offset;
    w->bytes = 0;
    w->frames_count = 0;
    w->crc = 0;
    w->crc_bytes = 0;
    w->sum = HF_LTX_SUM_EMPTY;
    while (d->entry.pgno != 0 && w->bytes < HF_LTX_WINDOW_BYTES && w->frames_count < frames_max) {
        const struct frame_id id = {d->entry.pgno, d->entry.frame_bytes};

        hf_buf_append(&w->ids, &id, sizeof(id));
        w->bytes += id.frame_bytes;
        w->frames_count++;
        const enum hf_code rc = hf_ltx_index_next(&d->cursor, &d->entry, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* Wait for the window in this slot and add it to what is known of the file. */
static enum hf_code join(struct window *w, struct hf_err *err)
{
    struct decoding *d = w->decoding;
    const enum hf_code rc = hf_group_wait(w->group, err);

    if (rc != HF_OK)
        return rc;
    d->crc = hf_crc64_combine(d->crc, w->crc, w->crc_bytes);
    d->crc_bytes += w->crc_bytes;
    d->sum = hf_ltx_sum_toggle(d->sum, w->sum);
    return HF_OK;
}

/* Run all windows; on return none is in flight unless rc is a failure. */
static enum hf_code run(struct decoding *d, struct hf_err *err)
{
    size_t next = 0;
    enum hf_code rc;

    rc = hf_ltx_index_next(&d->cursor, &d->entry, err);
    if (rc != HF_OK)
        return rc;
    while (d->entry.pgno != 0) {
        struct window *w = &d->windows[next % d->windows_count];

        if (next >= d->windows_count) {
            rc = join(w, err);
            if (rc != HF_OK)
                return rc;
        }
        rc = fill(w, err);
        if (rc != HF_OK)
            return rc;
        hf_group_run(w->group, decode_window, w);
        next++;
    }
    for (size_t i = next > d->windows_count ? next - d->windows_count : 0; i < next; i++) {
        rc = join(&d->windows[i % d->windows_count], err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static void decoding_init(struct decoding *d, struct hf_ltx_reader *r, struct hf_pool *pool)
{
    const unsigned threads = pool != NULL ? hf_pool_threads(pool) : 0;

    d->reader = r;
    d->want_sum = hf_ltx_is_snapshot(&r->header) && hf_ltx_has_sums(&r->header);
    d->shift = hf_ltx_page_shift(r->header.page_bytes);
    d->sum = HF_LTX_SUM_EMPTY;
    hf_ltx_cursor_init(&d->cursor, r);
    d->windows_count = threads == 0 ? 1 : threads + 2;
    d->windows = hf_calloc(d->windows_count, sizeof(*d->windows));
    for (size_t i = 0; i < d->windows_count; i++) {
        d->windows[i].decoding = d;
        d->windows[i].group = hf_group_new(pool);
        if (r->tail_offset > 0) /* in one piece, so that it never grows by doubling */
            (void)hf_buf_reserve(&d->windows[i].scratch,
                                 HF_LTX_WINDOW_BYTES +
                                     hf_ltx_frame_bytes_max(r->header.page_bytes));
    }
}

/* Tasks still in flight after a failure find `stop` and end soon; their groups wait for them. */
static void decoding_done(struct decoding *d)
{
    atomic_store_explicit(&d->stop, true, memory_order_relaxed);
    for (size_t i = 0; i < d->windows_count; i++) {
        struct window *w = &d->windows[i];

        hf_group_free(w->group);
        hf_buf_done(&w->ids);
        hf_buf_done(&w->scratch);
        hf_free(w->pages);
        hf_free(w->page_sums);
        hf_ltx_unpacker_done(&w->unpacker);
    }
    hf_free(d->windows);
    hf_ltx_cursor_done(&d->cursor);
}

static enum hf_code decode_all(struct decoding *d, struct hf_err *err)
{
    enum hf_code rc;

    rc = run(d, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_reader_check_sum(d->reader, &d->cursor, d->crc, d->crc_bytes, err);
    if (rc != HF_OK)
        return rc;
    return hf_ltx_reader_check_post(d->reader, d->sum, err);
}

enum hf_code hf_ltx_decode(struct hf_source *source, struct hf_pool *pool, hf_ltx_visit_fn *visit,
                           void *ctx, struct hf_ltx_header *ret_header, uint64_t *ret_post_sum,
                           struct hf_err *err)
{
    HF_AUTO_LTX_READER *r = NULL;
    enum hf_code rc;

    rc = hf_ltx_open_unchecked(source, HF_LTX_WHOLE_BYTES_MAX, &r, err);
    if (rc != HF_OK)
        return rc;
    HF_CLEANUP(decoding_done) struct decoding d = {.visit = visit, .ctx = ctx};

    decoding_init(&d, r, source->size_bytes > HERE_BYTES_MAX ? pool : NULL);
    rc = decode_all(&d, err);
    if (rc != HF_OK)
        return rc;
    if (ret_header != NULL)
        *ret_header = r->header;
    if (ret_post_sum != NULL)
        *ret_post_sum = r->post_sum;
    return HF_OK;
}
