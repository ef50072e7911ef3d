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
#define WINDOWS_MAX  16        /* in flight; memory: 16 MiB of packed pages ... */
#define CHUNK_BYTES  (1 << 16) /* ... and this much a thread: read at a time; the largest page */

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

/* The page's frame in the log, or 0 if the file has it. */
static uint32_t frame_of(const struct image *image, uint32_t pgno)
{
    const struct frame_ref *ref = frame_ref_find(image->refs, image->refs_count, pgno);

    return ref != NULL ? ref->frame : 0;
}

enum hf_code image_read_pages(const struct image *image, uint32_t pgno, uint32_t count,
                              uint8_t *dst, struct hf_err *err)
{
    for (uint32_t i = 0; i < count;) {
        uint8_t *to = dst + (size_t)i * image->page_bytes;
        const uint32_t frame = frame_of(image, pgno + i);
        uint32_t n = 1;
        enum hf_code rc;

        if (frame > 0) {
            rc = wal_read_page(image->wal, image->page_bytes, frame, to, err);
        } else {
            while (i + n < count && frame_of(image, pgno + i + n) == 0)
                n++;
            rc = conn_read_pages(image->conn, image->page_bytes, pgno + i, n, to, err);
        }
        if (rc != HF_OK)
            return rc;
        i += n;
    }
    return HF_OK;
}

/* Pages first .. first + count - 1 of the set. */
struct window {
    const struct image *image;
    struct page_set set;
    size_t first;
    size_t count;
    struct hf_group *group; /* its task alone */
    image_entries_fn *fn;   /* of the hashing pass */
    void *ctx;
    struct hf_ltx_batch batch; /* of the packing pass */
};

static bool stopped(const struct image *image)
{
    return image->stop != NULL && *image->stop;
}

/* How many pages from the i-th of the window on follow one another, `max` at most. */
static uint32_t run_length(const struct window *w, size_t i, uint32_t max)
{
    const uint32_t first = page_at(w->image, w->set, w->first + i);
    uint32_t n = 1;

    while (n < max && i + n < w->count && page_at(w->image, w->set, w->first + i + n) == first + n)
        n++;
    return n;
}

/* What a pass does with the i-th page of the window. */
typedef void page_fn(struct window *w, void *ctx, size_t i, uint32_t pgno, struct hf_slice page);

/* Read the window by chunks, which stay in the processor's cache until they are done with. */
static enum hf_code for_each_page(struct window *w, page_fn *fn, void *ctx, struct hf_err *err)
{
    const uint32_t page_bytes = w->image->page_bytes;
    HF_AUTO_FREE uint8_t *chunk = hf_malloc(CHUNK_BYTES);

    if (stopped(w->image))
        return hf_err_set(err, HF_CANCELED, "stopped while reading the database");
    for (size_t i = 0; i < w->count;) {
        const uint32_t first = page_at(w->image, w->set, w->first + i);
        const uint32_t n = run_length(w, i, CHUNK_BYTES / page_bytes);
        const enum hf_code rc = image_read_pages(w->image, first, n, chunk, err);

        if (rc != HF_OK)
            return rc;
        for (uint32_t j = 0; j < n; j++)
            fn(w, ctx, i + j, first + j, hf_slice(chunk + (size_t)j * page_bytes, page_bytes));
        i += n;
    }
    return HF_OK;
}

/* What hashing a window makes. */
struct hashed {
    struct hf_page_hasher *hasher;
    struct digest_entry entries[WINDOW_PAGES];
};

static void hashed_done(struct hashed *h)
{
    hf_page_hasher_free(h->hasher);
}

static void hash_page(struct window *w, void *ctx, size_t i, uint32_t pgno, struct hf_slice page)
{
    struct hashed *h = ctx;

    (void)w;
    h->entries[i] = page_entry(h->hasher, pgno, page);
}

/* Hand entries on in runs of pages without a gap. */
static enum hf_code give_runs(const struct window *w, const struct digest_entry *entries,
                              struct hf_err *err)
{
    for (size_t i = 0; i < w->count;) {
        const uint32_t n = run_length(w, i, WINDOW_PAGES);
        const enum hf_code rc =
            w->fn(w->ctx, page_at(w->image, w->set, w->first + i), n, entries + i, err);

        if (rc != HF_OK)
            return rc;
        i += n;
    }
    return HF_OK;
}

static enum hf_code hash_window(void *ctx, struct hf_err *err)
{
    struct window *w = ctx;
    HF_CLEANUP(hashed_done) struct hashed h = {.hasher = hf_page_hasher_new(w->image->seed)};
    const enum hf_code rc = for_each_page(w, hash_page, &h, err);

    return rc == HF_OK ? give_runs(w, h.entries, err) : rc;
}

static void pack_page(struct window *w, void *ctx, size_t i, uint32_t pgno, struct hf_slice page)
{
    (void)ctx;
    (void)i;
    hf_ltx_pack(&w->batch, pgno, page);
}

static enum hf_code pack_window(void *ctx, struct hf_err *err)
{
    struct window *w = ctx;

    hf_ltx_batch_reset(&w->batch);
    return for_each_page(w, pack_page, NULL, err);
}

/*
 * One pass over the set. Windows live in a ring: a slot is taken again only when its task is done
 * and `joined`, in the order of the pages, has had what came of it. So there is always something to
 * do for every thread, whatever joining waits for. A set of one window, as most segments are, is no
 * work for another thread.
 */
struct pass {
    hf_task_fn *task;
    enum hf_code (*joined)(struct pass *p, struct window *w, struct hf_err *err); /* or NULL */
    struct hf_sink *sink;         /* these two of the packing pass */
    struct hf_ltx_writer *writer; /* borrowed */
    uint64_t told_from;           /* progress: halves of the set that were done before */
    size_t pages_max;             /* of a window */
    size_t windows_count;
    size_t slots_count; /* of the ring, that are used */
    struct window ring[WINDOWS_MAX];
};

static void pass_init(struct pass *p, const struct image *image, struct page_set set)
{
    const size_t fit = WINDOW_BYTES / image->page_bytes;

    p->pages_max = fit < WINDOW_PAGES ? fit : WINDOW_PAGES;
    p->windows_count = (set.count + p->pages_max - 1) / p->pages_max;
    p->slots_count = p->windows_count < WINDOWS_MAX ? p->windows_count : WINDOWS_MAX;
    for (size_t i = 0; i < p->slots_count; i++) {
        p->ring[i] = (struct window){
            .image = image,
            .set = set,
            .group = hf_group_new(p->windows_count > 1 ? image->pool : NULL),
        };
        hf_ltx_batch_init(&p->ring[i].batch, image->page_bytes);
    }
}

static void pass_done(struct pass *p)
{
    for (size_t i = 0; i < p->slots_count; i++) {
        hf_group_free(p->ring[i].group);
        hf_ltx_batch_done(&p->ring[i].batch);
    }
}

static void tell(const struct pass *p, const struct window *w)
{
    const struct image *image = w->image;
    const uint64_t halves = p->told_from * w->set.count + w->first + w->count;

    if (image->progress != NULL)
        image->progress->tell(image->progress, halves * image->page_bytes / 2,
                              (uint64_t)w->set.count * image->page_bytes);
}

static enum hf_code join(struct pass *p, struct window *w, struct hf_err *err)
{
    enum hf_code rc = hf_group_wait(w->group, err);

    if (rc == HF_OK && p->joined != NULL)
        rc = p->joined(p, w, err);
    if (rc == HF_OK)
        tell(p, w);
    return rc;
}

static enum hf_code run(struct pass *p, struct page_set set, struct hf_err *err)
{
    for (size_t i = 0; i < p->windows_count + p->slots_count; i++) {
        struct window *w = &p->ring[i % p->slots_count];

        if (i >= p->slots_count) {
            const enum hf_code rc = join(p, w, err);

            if (rc != HF_OK)
                return rc;
        }
        if (i < p->windows_count) {
            const size_t left = set.count - i * p->pages_max;

            w->first = i * p->pages_max;
            w->count = left < p->pages_max ? left : p->pages_max;
            hf_group_run(w->group, p->task, w);
        }
    }
    return HF_OK;
}

enum hf_code image_hash(const struct image *image, struct page_set set, image_entries_fn *fn,
                        void *ctx, struct hf_err *err)
{
    HF_CLEANUP(pass_done) struct pass p = {.task = hash_window};

    pass_init(&p, image, set);
    for (size_t i = 0; i < p.slots_count; i++) {
        p.ring[i].fn = fn;
        p.ring[i].ctx = ctx;
    }
    return run(&p, set, err);
}

static enum hf_code write_window(struct pass *p, struct window *w, struct hf_err *err)
{
    if (p->sink->border != NULL)
        p->sink->border(p->sink, (uint64_t)w->first * w->image->page_bytes);
    return hf_ltx_writer_batch(p->writer, &w->batch, err);
}

static enum hf_code write_pages(const struct image *image, struct page_set set,
                                struct hf_sink *sink, struct hf_ltx_writer *writer,
                                struct hf_err *err)
{
    HF_CLEANUP(pass_done)
    struct pass p = {
        .task = pack_window,
        .joined = write_window,
        .sink = sink,
        .writer = writer,
        .told_from = 1,
    };

    pass_init(&p, image, set);
    return run(&p, set, err);
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
