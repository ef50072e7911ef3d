/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - pages are read twice, once to hash them and once to pack them: a segment's header holds
 * the root after it, and only the second pass knows that. The reader that the caller holds makes
 * both passes see the same bytes.
 */
#include "engine/sqlite/image.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/check.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "engine/sqlite/pagehash.h"

#define WINDOW_PAGES 256
#define WINDOW_BYTES (1 << 20) /* at most: a store's parts end between windows */
#define WINDOWS_MAX  16        /* in flight; memory: 16 MiB of pages and their compressed form */

struct page_set image_all_pages(const struct image *image)
{
    const uint32_t lock = hf_ltx_lock_page(image->page_bytes);

    return (struct page_set){.count = image->pages_count - (image->pages_count >= lock ? 1 : 0)};
}

static uint32_t page_at(const struct image *image, struct page_set set, size_t i)
{
    if (set.pgnos != NULL)
        return set.pgnos[i];
    return (uint32_t)i + 1 + (i + 1 >= hf_ltx_lock_page(image->page_bytes) ? 1 : 0);
}

const struct frame_ref *frame_ref_find(const struct frame_ref *refs, size_t count, uint32_t pgno)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (refs[mid].pgno < pgno)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && refs[low].pgno == pgno ? &refs[low] : NULL;
}

enum hf_code image_read_page(const struct image *image, uint32_t pgno, uint8_t *dst,
                             struct hf_err *err)
{
    const struct frame_ref *ref = frame_ref_find(image->refs, image->refs_count, pgno);

    if (ref != NULL && ref->frame > 0)
        return wal_read_page(image->wal, image->page_bytes, ref->frame, dst, err);
    return conn_read_page(image->conn, image->page_bytes, pgno, dst, err);
}

/* Pages first .. first + count - 1 of the set. */
struct window {
    const struct image *image;
    struct page_set set;
    size_t first;
    size_t count;
    image_entries_fn *fn; /* of the hashing pass */
    void *ctx;
    struct hf_ltx_batch batch; /* of the packing pass */
};

static bool stopped(const struct image *image)
{
    return image->stop != NULL && *image->stop;
}

/* Hand entries on in runs of pages without a gap. */
static enum hf_code give_runs(const struct window *w, const struct digest_entry *entries,
                              struct hf_err *err)
{
    for (size_t i = 0; i < w->count;) {
        const uint32_t first = page_at(w->image, w->set, w->first + i);
        size_t n = 1;

        while (i + n < w->count && page_at(w->image, w->set, w->first + i + n) == first + n)
            n++;
        const enum hf_code rc = w->fn(w->ctx, first, n, entries + i, err);

        if (rc != HF_OK)
            return rc;
        i += n;
    }
    return HF_OK;
}

static enum hf_code hash_window(void *ctx, struct hf_err *err)
{
    const struct window *w = ctx;
    const struct image *image = w->image;
    struct digest_entry entries[WINDOW_PAGES];
    HF_AUTO_FREE uint8_t *page = hf_malloc(image->page_bytes);
    AUTO_PAGE_HASHER *hasher = hf_page_hasher_new(image->seed);

    if (stopped(image))
        return hf_err_set(err, HF_CANCELED, "stopped while reading the database");
    for (size_t i = 0; i < w->count; i++) {
        const uint32_t pgno = page_at(image, w->set, w->first + i);
        const enum hf_code rc = image_read_page(image, pgno, page, err);

        if (rc != HF_OK)
            return rc;
        entries[i] = page_entry(hasher, pgno, hf_slice(page, image->page_bytes));
    }
    return give_runs(w, entries, err);
}

static enum hf_code pack_window(void *ctx, struct hf_err *err)
{
    struct window *w = ctx;
    const struct image *image = w->image;
    HF_AUTO_FREE uint8_t *page = hf_malloc(image->page_bytes);

    hf_ltx_batch_reset(&w->batch);
    if (stopped(image))
        return hf_err_set(err, HF_CANCELED, "stopped while reading the database");
    for (size_t i = 0; i < w->count; i++) {
        const uint32_t pgno = page_at(image, w->set, w->first + i);
        const enum hf_code rc = image_read_page(image, pgno, page, err);

        if (rc != HF_OK)
            return rc;
        hf_ltx_pack(&w->batch, pgno, hf_slice(page, image->page_bytes));
    }
    return HF_OK;
}

/* Set up windows from `*next` on, at most WINDOWS_MAX / 2; returns how many. */
static size_t next_windows(const struct image *image, struct page_set set, size_t *next,
                           struct window *windows)
{
    const size_t fit = WINDOW_BYTES / image->page_bytes;
    const size_t pages_max = fit < WINDOW_PAGES ? fit : WINDOW_PAGES;
    size_t n = 0;

    for (; n < WINDOWS_MAX / 2 && *next < set.count; n++) {
        const size_t left = set.count - *next;
        struct window *w = &windows[n];

        w->image = image;
        w->set = set;
        w->first = *next;
        w->count = left < pages_max ? left : pages_max;
        *next += w->count;
    }
    return n;
}

static void tell(const struct image *image, size_t done, size_t total)
{
    if (image->progress != NULL)
        image->progress->tell(image->progress, (uint64_t)done * image->page_bytes,
                              (uint64_t)total * image->page_bytes);
}

enum hf_code image_hash(const struct image *image, struct page_set set, image_entries_fn *fn,
                        void *ctx, struct hf_err *err)
{
    struct window windows[WINDOWS_MAX / 2] = {0};
    HF_CLEANUP(hf_group_free_ptr) struct hf_group *group = hf_group_new(image->pool);

    for (size_t next = 0; next < set.count;) {
        const size_t n = next_windows(image, set, &next, windows);

        for (size_t i = 0; i < n; i++) {
            windows[i].fn = fn;
            windows[i].ctx = ctx;
            hf_group_run(group, hash_window, &windows[i]);
        }
        const enum hf_code rc = hf_group_wait(group, err);

        if (rc != HF_OK)
            return rc;
        tell(image, next / 2, set.count); /* the second half is packing */
    }
    return HF_OK;
}

/* Two sets of windows in turn: one is packed while the other is written. */
struct packing {
    struct window windows[2][WINDOWS_MAX / 2];
    size_t counts[2];
    struct hf_group *group;
};

static void packing_done(struct packing *p)
{
    hf_group_free(p->group);
    for (size_t i = 0; i < HF_ARRAY_LEN(p->windows); i++) {
        for (size_t j = 0; j < HF_ARRAY_LEN(p->windows[i]); j++)
            hf_ltx_batch_done(&p->windows[i][j].batch);
    }
}

static void start_packing(struct packing *p, size_t side, const struct image *image,
                          struct page_set set, size_t *next)
{
    p->counts[side] = next_windows(image, set, next, p->windows[side]);
    for (size_t i = 0; i < p->counts[side]; i++)
        hf_group_run(p->group, pack_window, &p->windows[side][i]);
}

static enum hf_code write_window(struct hf_sink *sink, struct hf_ltx_writer *writer,
                                 const struct window *w, struct hf_err *err)
{
    if (sink->border != NULL)
        sink->border(sink, (uint64_t)w->first * w->image->page_bytes);
    return hf_ltx_writer_batch(writer, &w->batch, err);
}

static enum hf_code write_pages(const struct image *image, struct page_set set,
                                struct hf_sink *sink, struct hf_ltx_writer *writer,
                                struct hf_err *err)
{
    HF_CLEANUP(packing_done) struct packing p = {.group = hf_group_new(image->pool)};
    size_t next = 0;

    for (size_t i = 0; i < HF_ARRAY_LEN(p.windows); i++) {
        for (size_t j = 0; j < HF_ARRAY_LEN(p.windows[i]); j++)
            hf_ltx_batch_init(&p.windows[i][j].batch, image->page_bytes);
    }
    start_packing(&p, 0, image, set, &next);
    for (size_t side = 0; p.counts[side] > 0; side = 1 - side) {
        enum hf_code rc = hf_group_wait(p.group, err);

        if (rc != HF_OK)
            return rc;
        start_packing(&p, 1 - side, image, set, &next);
        for (size_t i = 0; i < p.counts[side]; i++) {
            rc = write_window(sink, writer, &p.windows[side][i], err);
            if (rc != HF_OK)
                return rc;
        }
        p.counts[side] = 0;
        tell(image, set.count / 2 + next / 2, set.count);
    }
    return HF_OK;
}

static enum hf_code write_segment(const struct image *image, struct page_set set,
                                  const struct hf_ltx_header *header, uint64_t post_sum,
                                  struct hf_sink *sink, struct hf_err *err)
{
    HF_AUTO_LTX_WRITER *writer = NULL;
    enum hf_code rc = hf_ltx_writer_new(sink, header, &writer, err);

    if (rc != HF_OK)
        return rc;
    rc = write_pages(image, set, sink, writer, err);
    if (rc != HF_OK)
        return rc;
    return hf_ltx_writer_finish(writer, post_sum, err);
}

enum hf_code image_emit(const struct image *image, struct page_set set,
                        const struct hf_ltx_header *header, uint64_t post_sum, struct hf_taker *t,
                        struct hf_err *err)
{
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_seg_info info;
    struct hf_sink *sink = NULL;
    enum hf_code rc = hf_ltx_header_encode(header, bytes, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_seg_info(hf_slice(bytes, sizeof(bytes)), &info, err);
    if (rc != HF_OK)
        return rc;
    rc = t->begin(t, &info, &sink, err);
    if (rc != HF_OK)
        return rc;
    rc = write_segment(image, set, header, post_sum, sink, err);
    if (rc == HF_OK)
        rc = t->commit(t, err);
    if (rc != HF_OK)
        t->abort(t);
    return rc;
}
