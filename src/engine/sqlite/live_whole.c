/* SPDX-License-Identifier: Apache-2.0 */
/* live_whole.c - what reads every page: the first snapshot, and a catch-up with the digest. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/live.h"

static void moment_done(struct moment *m)
{
    stretch_done(&m->frames);
}

/* What `conn`, which has just begun to read as `hold` and `index` say, sees, and how to read it. */
static enum hf_code see_moment(struct live *l, struct conn *conn, enum conn_hold hold,
                               const struct walindex *index, struct moment *ret, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    ret->end = index->end;
    /* A wal-index that was recovered from an empty WAL does not say how large the database is. */
    if (ret->end.commit == 0)
        rc = conn_pragma(conn, "PRAGMA page_count", &ret->end.commit, err);
    if (rc != HF_OK)
        return rc;
    if (hold != CONN_HOLD_MARK)
        return conn_check_size(conn, l->page_bytes, ret->end.commit, err);
    return live_read_whole_log(l, &index->end, &ret->frames, err);
}

/* ---- the first snapshot ------------------------------------------------------------------------
 */

void live_forget_snapshot(struct live *l)
{
    conn_close(&l->snapshot.reader);
    moment_done(&l->snapshot.moment);
    l->snapshot = (struct snapshot){0};
}

static enum hf_code put_entries(void *ctx, uint32_t first_pgno, size_t n,
                                const struct digest_entry *entries, struct hf_err *err)
{
    return digest_bulk_put(ctx, first_pgno, n, entries, err);
}

static struct image image_of_snapshot(struct live *l)
{
    const struct moment *m = &l->snapshot.moment;
    struct image image = live_image_at(l, &l->snapshot.reader, &m->end, &m->frames);

    image.progress = l->o.progress;
    return image;
}

/* Hash every page into the digest. */
static enum hf_code hash_snapshot(struct live *l, struct hf_err *err)
{
    struct snapshot *s = &l->snapshot;
    const struct image image = image_of_snapshot(l);
    enum hf_code rc = digest_bulk_begin(l->digest, err);

    s->mark = live_next_mark(l, &s->moment.end);
    if (rc == HF_OK)
        rc = image_hash(&image, image_all_pages(&image), put_entries, l->digest, err);
    if (rc == HF_OK)
        rc = digest_bulk_resize(l->digest, s->mark.pages_count, err);
    if (rc != HF_OK)
        return rc;
    digest_bulk_sums(l->digest, &s->mark.root, &s->mark.sum);
    return digest_bulk_end(l->digest, &s->mark, err);
}

/*
 * A third reader holds the image, so that the two others can go on taking turns. It only adds a
 * lock to what they hold: they keep to C1 as if it were not there, so it may end at any time.
 */
static enum hf_code begin_snapshot(struct live *l, struct hf_err *err)
{
    struct snapshot *s = &l->snapshot;
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_open(l->db_path, &s->reader, err);

    if (rc == HF_OK)
        rc = conn_begin_known(&s->reader, &l->ckpt, &hold, &index, err);
    return rc == HF_OK ? see_moment(l, &s->reader, hold, &index, &s->moment, err) : rc;
}

enum hf_code live_snapshot(struct hf_live *base, struct hf_err *err)
{
    struct live *l = live_of(base);
    struct hf_err ignored;

    hf_assert(l->attached && l->state.txid == 0);
    enum hf_code rc = begin_snapshot(l, err);

    if (rc == HF_OK)
        rc = hash_snapshot(l, err);
    if (rc == HF_OK) {
        l->from = l->snapshot.moment.end;
        live_publish_state(l);
        return HF_OK;
    }
    live_forget_snapshot(l);
    (void)!digest_reset(l->digest, &ignored);
    live_publish_state(l);
    return rc;
}

enum hf_code live_give_snapshot(struct hf_live *base, struct hf_taker *t, hf_stop_flag *stop,
                                struct hf_err *err)
{
    struct live *l = live_of(base);
    const struct snapshot *s = &l->snapshot;
    const struct hf_ltx_header header = live_header_at(l, &s->mark);
    struct image image = image_of_snapshot(l);

    hf_assert(s->mark.txid == 1);
    image.stop = stop;
    const enum hf_code rc =
        image_emit(&image, image_all_pages(&image), &header, s->mark.sum, t, err);

    if (rc == HF_OK)
        live_forget_snapshot(l);
    return rc;
}

/* ---- comparing with the digest ------------------------------------------------------------------
 */

/* Pages that differ from the digest, collected from many threads. */
struct difference {
    struct digest *digest;
    pthread_mutex_t mutex;
    struct {
        struct digest_change *changes;
        size_t count;
        size_t cap;
    } guarded; /* by mutex */
};

static void difference_done(struct difference *d)
{
    hf_free(d->guarded.changes);
    (void)pthread_mutex_destroy(&d->mutex);
}

static void push_change_locked(struct difference *d, const struct digest_change *c)
{
    if (d->guarded.count == d->guarded.cap) {
        d->guarded.cap = d->guarded.cap > 0 ? d->guarded.cap * 2 : 256;
        d->guarded.changes =
            hf_realloc(d->guarded.changes, d->guarded.cap, sizeof(*d->guarded.changes));
    }
    d->guarded.changes[d->guarded.count++] = *c;
}

static enum hf_code compare_entries(void *ctx, uint32_t first_pgno, size_t n,
                                    const struct digest_entry *entries, struct hf_err *err)
{
    struct difference *d = ctx;
    HF_AUTO_FREE struct digest_entry *known = hf_calloc(n, sizeof(*known));
    const enum hf_code rc = digest_read(d->digest, first_pgno, n, known, err);

    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&d->mutex);
    for (size_t i = 0; i < n; i++) {
        const struct digest_change c = {.pgno = first_pgno + (uint32_t)i, .entry = entries[i]};

        if (!hf_root_equal(known[i].hash, entries[i].hash))
            push_change_locked(d, &c);
    }
    (void)pthread_mutex_unlock(&d->mutex);
    return HF_OK;
}

static int compare_changes(const void *a, const void *b)
{
    const struct digest_change *x = a;
    const struct digest_change *y = b;

    return x->pgno < y->pgno ? -1 : x->pgno > y->pgno ? 1 : 0;
}

/* Which pages of the set are others than the digest's, ascending. */
static enum hf_code find_difference(const struct image *image, struct page_set set,
                                    struct difference *d, struct hf_err *err)
{
    const enum hf_code rc = image_hash(image, set, compare_entries, d, err);

    if (rc == HF_OK && d->guarded.count > 0)
        qsort(d->guarded.changes, d->guarded.count, sizeof(*d->guarded.changes), compare_changes);
    return rc;
}

enum hf_code live_check_pages(struct live *l, const struct image *image, struct page_set set,
                              struct hf_err *err)
{
    HF_CLEANUP(difference_done)
    struct difference d = {.digest = l->digest, .mutex = PTHREAD_MUTEX_INITIALIZER};
    const enum hf_code rc = find_difference(image, set, &d, err);

    if (rc == HF_OK && d.guarded.count > 0)
        return hf_err_set(err, HF_DAMAGE, "the log leads to other pages than were captured");
    return rc;
}

/* ---- catch-up
 * ------------------------------------------------------------------------------------ */

static void free_hasher(struct hf_page_hasher **h)
{
    hf_page_hasher_free(*h);
}

/*
 * What a catch-up carries is what the disk says, be it right or wrong. A page that had content and
 * is all zeros now may rightly be so (a freed page under secure_delete, the inside of a zeroblob)
 * or be damage. The archive takes it, keeps what was there before, and whoever reads the log is
 * told.
 */
static enum hf_code tell_zeros(struct live *l, const struct difference *d, struct hf_err *err)
{
    HF_CLEANUP(free_hasher) struct hf_page_hasher *hasher = hf_page_hasher_new(l->o.seed);
    HF_AUTO_FREE uint8_t *zeros = hf_calloc(1, l->page_bytes);
    uint32_t first = 0;
    size_t count = 0;

    for (size_t i = 0; i < d->guarded.count; i++) {
        const struct digest_change *c = &d->guarded.changes[i];
        struct digest_entry before;
        uint8_t name[4];

        hf_put_be32(name, c->pgno);
        if (!hf_root_equal(c->entry.hash, hf_page_hash(hasher, hf_slice(name, sizeof(name)),
                                                       hf_slice(zeros, l->page_bytes))))
            continue;
        const enum hf_code rc = digest_read(l->digest, c->pgno, 1, &before, err);

        if (rc != HF_OK)
            return rc;
        if (before.sum == 0)
            continue; /* it was not there before */
        first = count++ == 0 ? c->pgno : first;
    }
    if (count > 0)
        hf_log(
            HF_LOG_WARN,
            "%s: of %zu pages that changed while nobody followed the database, %zu are all zeros "
            "now, from page %u on: freed or blob pages, or damage. The archive has what they "
            "held at TXID %" PRIu64,
            l->db_path, d->guarded.count, count, first, l->state.txid);
    return HF_OK;
}

static enum hf_code give_catch_up(struct live *l, const struct moment *m, struct difference *d,
                                  struct hf_taker *t, bool *ret_made, struct hf_err *err)
{
    struct image image = live_image_at(l, live_holder(l), &m->end, &m->frames);

    image.progress = l->o.progress;
    enum hf_code rc = find_difference(&image, image_all_pages(&image), d, err);

    if (rc != HF_OK)
        return rc;
    if (d->guarded.count == 0 && m->end.commit == l->state.pages_count) {
        *ret_made = false;
        return live_move_position(l, &m->end, err);
    }
    rc = tell_zeros(l, d, err);
    if (rc != HF_OK)
        return rc;

    struct digest_mark mark = live_next_mark(l, &m->end);
    struct hf_ltx_header header = live_header_at(l, &mark);

    header.catchup = true;
    *ret_made = true;
    return live_take_changes(l, &image, d->guarded.changes, d->guarded.count, &mark, &header, t,
                             err);
}

/* Take a fresh hold, so that the position is that of the hold. */
static enum hf_code hand_over_to_moment(struct live *l, struct moment *ret, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(live_other(l), &l->ckpt, &hold, &index, err);

    if (rc == HF_OK && l->hold != CONN_HOLD_MARK && hold == CONN_HOLD_MARK)
        rc = live_pass_barrier(l, err);
    if (rc != HF_OK) {
        conn_end(live_other(l));
        return rc;
    }
    live_hand_over(l, hold);
    return see_moment(l, live_holder(l), hold, &index, ret, err);
}

enum hf_code live_catch_up(struct hf_live *base, struct hf_taker *t, bool *ret_made,
                           struct hf_err *err)
{
    struct live *l = live_of(base);
    HF_CLEANUP(moment_done) struct moment m = {0};
    HF_CLEANUP(difference_done)
    struct difference d = {.digest = l->digest, .mutex = PTHREAD_MUTEX_INITIALIZER};

    hf_assert(l->attached && l->state.txid > 0);
    const enum hf_code rc = hand_over_to_moment(l, &m, err);

    if (rc != HF_OK)
        return rc;
    return give_catch_up(l, &m, &d, t, ret_made, err);
}
