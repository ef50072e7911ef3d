/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - following a live database by its WAL. The protocol and why it holds are in
 * engine/sqlite/DESIGN.md; the rules cited as C1..C10 are there.
 *
 * Invariants, from attach to detach:
 * 1. One of our two readers holds a read transaction at all times. It is ended only after the other
 *    holds one.
 * 2. `from` is where capture goes on: everything up to it is in the digest and was taken. Frames
 *    behind it stay in the WAL: on a mark nobody can restart the WAL; on lock 0 everything was
 *    captured and backfilled when the lock was taken, and of the frames that come after that none
 *    can be backfilled, so the WAL restarts at most once.
 * 3. Lock 0 is left only while a mark is held as well, and only after it is known that no
 *    checkpointer is left that read the wal-index header before that restart (C1).
 * 4. The digest moves only after the taker has committed the segment.
 */
#include "engine/sqlite/capture.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/apply.h"
#include "engine/sqlite/companions.h"
#include "engine/sqlite/follow.h"
#include "engine/sqlite/image.h"

#define HAND_OVER_MS           50
#define BARRIER_ATTACH_MS      10000 /* to wait for a checkpointer that is at work when we come */
#define BARRIER_LEAVE_MS       HAND_OVER_MS
#define FILES_CHECK_US         1000000
#define SEAL_EVERY_US          1000000
#define SEAL_LOG_BYTES         (UINT64_C(4) << 20)
#define SEAL_TRIES             3
#define LOCKED_SEAL_FRAMES_MAX 64 /* left to backfill when the write lock is taken */

struct live {
    struct hf_live base; /* first, so that the pointers convert */
    struct hf_live_options o;
    char *db_path;
    char *wal_path;
    struct digest *digest;
    struct hf_state state; /* of the digest, for the caller */
    struct conn readers[2];
    struct conn ckpt;
    int holder; /* index of the reader that holds */
    enum conn_hold hold;
    struct wal_position from; /* invariant 2 */
    struct wal_file wal;
    struct companions files; /* identity of database, -wal and -shm */
    bool attached;
    bool broken; /* continuity broke: only detach is left */
    uint32_t page_bytes;
    int64_t files_checked_us;
    int64_t sealed_us;
    uint32_t resting_change; /* the wal-index's change counter when we came to rest */
    bool resting;
};

static struct live *live_of(struct hf_live *l)
{
    return (struct live *)l;
}

static struct conn *holder(struct live *l)
{
    return &l->readers[l->holder];
}

static struct conn *other(struct live *l)
{
    return &l->readers[1 - l->holder];
}

static void publish_state(struct live *l)
{
    const struct digest_mark *m = digest_mark(l->digest);

    l->state = (struct hf_state){
        .txid = m->txid,
        .time_ms = m->time_ms,
        .page_bytes = m->page_bytes,
        .pages_count = m->pages_count,
        .has_root = m->has_root,
        .root = m->root,
    };
}

static const struct hf_state *live_state(const struct hf_live *l)
{
    return &((const struct live *)l)->state;
}

static enum hf_code live_reset(struct hf_live *base, struct hf_err *err)
{
    struct live *l = live_of(base);
    const enum hf_code rc = digest_reset(l->digest, err);

    publish_state(l);
    return rc;
}

/* ---- taking segments --------------------------------------------------------------------- */

/* The mark of the next TXID, before its root is known: time never runs backwards. */
static struct digest_mark next_mark(struct live *l, const struct wal_position *end)
{
    const struct digest_mark *now = digest_mark(l->digest);
    const int64_t time_ms = hf_now_ms(l->o.clock);

    return (struct digest_mark){
        .txid = now->txid + 1,
        .time_ms = time_ms > now->time_ms ? time_ms : now->time_ms,
        .page_bytes = l->page_bytes,
        .pages_count = end->commit,
        .has_root = true,
        .from_log = true,
        .wal = *end,
        .db_inode = l->files.db.inode,
        .wal_inode = l->files.wal.inode,
    };
}

static struct hf_ltx_header header_of(const struct live *l, const struct digest_mark *mark)
{
    return (struct hf_ltx_header){
        .page_bytes = mark->page_bytes,
        .commit = mark->pages_count,
        .min_txid = mark->txid,
        .max_txid = mark->txid,
        .timestamp_ms = mark->time_ms,
        .pre_sum = mark->txid == 1 ? 0 : digest_mark(l->digest)->sum,
        .node_id = l->o.epoch,
        .format = HF_LTX_FORMAT,
        .root = mark->root,
    };
}

static struct image image_at(struct live *l, const struct wal_position *end,
                             const struct frame_ref *refs, size_t refs_count)
{
    return (struct image){
        .conn = holder(l),
        .wal = &l->wal,
        .page_bytes = l->page_bytes,
        .pages_count = end->commit,
        .refs = refs,
        .refs_count = refs_count,
        .seed = l->o.seed,
        .pool = l->o.pool,
        .stop = l->o.stop,
    };
}

/* Entries of a list of pages, in the list's order, filled in by image_hash(). */
struct change_list {
    struct digest_change *changes;
    size_t count;
};

static void change_list_done(struct change_list *c)
{
    hf_free(c->changes);
}

static enum hf_code fill_changes(void *ctx, uint32_t first_pgno, size_t n,
                                 const struct digest_entry *entries, struct hf_err *err)
{
    struct change_list *list = ctx;
    size_t low = 0;
    size_t high = list->count;

    (void)err;
    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (list->changes[mid].pgno < first_pgno)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t i = 0; i < n; i++) {
        hf_assert(list->changes[low + i].pgno == first_pgno + i);
        list->changes[low + i].entry = entries[i];
    }
    return HF_OK;
}

/* Give the pages of `set` to the taker as the next TXID, and move the digest (invariant 4). */
static enum hf_code take_changes(struct live *l, const struct image *image, struct page_set set,
                                 const struct change_list *list, struct digest_mark *mark,
                                 struct hf_ltx_header *header, struct hf_taker *t,
                                 struct hf_err *err)
{
    enum hf_code rc = digest_next(l->digest, list->changes, list->count, mark, err);

    if (rc != HF_OK)
        return rc;
    header->root = mark->root;
    rc = image_emit(image, set, header, mark->sum, t, err);
    if (rc != HF_OK)
        return rc;
    rc = digest_commit(l->digest, list->changes, list->count, mark, err);
    if (rc != HF_OK)
        return rc;
    publish_state(l);
    l->from = mark->wal;
    return HF_OK;
}

static enum hf_code read_header_of(struct live *l, const struct wal_position *end,
                                   struct wal_header *ret, struct hf_err *err)
{
    const enum hf_code rc = wal_read_header(&l->wal, ret, err);

    if (rc != HF_OK)
        return rc;
    if (ret->salt[0] != end->salt[0] || ret->salt[1] != end->salt[1] ||
        ret->page_bytes != l->page_bytes)
        return hf_err_set(err, HF_DAMAGE,
                          "the WAL's header (salts %08x %08x) is not the one of the wal-index "
                          "(%08x %08x)",
                          ret->salt[0], ret->salt[1], end->salt[0], end->salt[1]);
    return HF_OK;
}

/* C2: make one segment of exactly what was committed behind `from` up to `end`. */
static enum hf_code capture_to(struct live *l, const struct wal_position *end, struct hf_taker *t,
                               struct hf_err *err)
{
    struct wal_header h;
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    enum hf_code rc = read_header_of(l, end, &h, err);

    if (rc != HF_OK)
        return rc;
    rc = stretch_read(&l->wal, &h, &l->from, end,
                      l->state.pages_count == 0 ? 0 : (uint32_t)l->state.pages_count, &s, err);
    if (rc != HF_OK)
        return rc;

    const struct image image = image_at(l, end, s.refs, s.count);
    const struct page_set set = {.pgnos = s.pgnos, .count = s.count};
    struct digest_mark mark = next_mark(l, end);
    struct hf_ltx_header header = header_of(l, &mark);
    HF_CLEANUP(change_list_done)
    struct change_list list = {.changes = hf_calloc(s.count, sizeof(*list.changes)),
                               .count = s.count};

    header.wal_offset = (int64_t)wal_frame_offset(l->from.frame + 1, l->page_bytes);
    header.wal_size = (int64_t)(end->frame - l->from.frame) *
                      (WAL_FRAME_HEADER_BYTES + l->page_bytes);
    header.salts[0] = end->salt[0];
    header.salts[1] = end->salt[1];
    for (size_t i = 0; i < s.count; i++)
        list.changes[i].pgno = s.pgnos[i];
    rc = image_hash(&image, set, fill_changes, &list, err);
    if (rc != HF_OK)
        return rc;
    return take_changes(l, &image, set, &list, &mark, &header, t, err);
}

/* ---- attach -------------------------------------------------------------------------------- */

/* Stop following for good: the reason stands in `err`. */
static enum hf_code break_off(struct live *l, struct hf_err *err)
{
    l->broken = true;
    err->code = HF_CONFLICT;
    return HF_CONFLICT;
}

/* Run PASSIVE until it is not BUSY: then no checkpointer carries a header read before now. */
static enum hf_code barrier(struct live *l, int64_t ms_max, struct hf_err *err)
{
    for (int64_t waited_ms = 0;; waited_ms++) {
        const enum hf_code rc = conn_checkpoint(&l->ckpt, err);

        if (rc != HF_BUSY || waited_ms >= ms_max)
            return rc;
        hf_sleep_ms(l->o.clock, 1);
    }
}

static enum hf_code ignore_frame(void *ctx, const struct wal_frame *f, struct hf_err *err)
{
    (void)ctx;
    (void)f;
    (void)err;
    return HF_OK;
}

/* The image that a frame holds is the one the digest has for its page. */
static bool frame_is_in_digest(struct live *l, uint32_t frame, uint32_t pgno)
{
    HF_AUTO_FREE uint8_t *page = hf_malloc(l->page_bytes);
    struct digest_entry entry;
    struct hf_err ignored;
    uint8_t name[4];

    if (pgno == 0 || wal_read_page(&l->wal, l->page_bytes, frame, page, &ignored) != HF_OK ||
        digest_read(l->digest, pgno, 1, &entry, &ignored) != HF_OK)
        return false;

    struct hf_page_hasher *hasher = hf_page_hasher_new(l->o.seed);

    hf_put_be32(name, pgno);
    const struct hf_root hash =
        hf_page_hash(hasher, hf_slice(name, sizeof(name)), hf_slice(page, l->page_bytes));

    hf_page_hasher_free(hasher);
    return hf_root_equal(hash, entry.hash);
}

/*
 * A position that came from a segment in the archive lacks the checksum of its last frame. That
 * frame ended the segment, so its image is the last one of its page: if the WAL holds that image
 * there, under the same salts, it is that frame.
 */
static bool complete_position(struct live *l, struct wal_position *pos)
{
    uint8_t head[WAL_FRAME_HEADER_BYTES];
    struct hf_err ignored;

    if (pos->frame == 0 || pos->cksum[0] != 0 || pos->cksum[1] != 0)
        return true;
    if (wal_read_frame_header(&l->wal, l->page_bytes, pos->frame, head, &ignored) != HF_OK ||
        hf_get_be32(head + 8) != pos->salt[0] || hf_get_be32(head + 12) != pos->salt[1] ||
        !frame_is_in_digest(l, pos->frame, hf_get_be32(head)))
        return false;
    pos->cksum[0] = hf_get_be32(head + 16);
    pos->cksum[1] = hf_get_be32(head + 20);
    return true;
}

/*
 * C7: does the WAL prove that nothing is missing between `pos`, where capture ended, and `end`?
 * `*ret_lost`: it is the same log, and no longer holds what was captured there.
 */
static bool log_continues(struct live *l, const struct wal_position *pos,
                          const struct wal_position *end, bool *ret_lost)
{
    uint8_t head[WAL_FRAME_HEADER_BYTES];
    struct wal_header h;
    struct hf_err ignored;

    if (!wal_position_same_log(pos, end) || (end->salt[0] == 0 && end->salt[1] == 0))
        return false;
    if (end->frame == 0)
        return pos->frame == 0;
    *ret_lost =
        end->frame < pos->frame ||
        (pos->frame > 0 &&
         wal_read_frame_header(&l->wal, l->page_bytes, pos->frame, head, &ignored) == HF_OK &&
         !wal_frame_is_at(head, pos));
    return !*ret_lost && read_header_of(l, end, &h, &ignored) == HF_OK &&
           wal_read_chain(&l->wal, &h, pos, end, ignore_frame, NULL, &ignored) == HF_OK;
}

/* Where capture ended, if the digest knows it and the files are still the same ones. */
static bool known_position(struct live *l, struct wal_position *ret)
{
    const struct digest_mark *m = digest_mark(l->digest);

    *ret = m->wal;
    return m->from_log && m->db_inode == l->files.db.inode && m->wal_inode == l->files.wal.inode &&
           complete_position(l, ret);
}

static enum hf_code open_connections(struct live *l, struct hf_err *err)
{
    struct conn *const all[] = {&l->readers[0], &l->readers[1], &l->ckpt};

    for (size_t i = 0; i < HF_ARRAY_LEN(all); i++) {
        const enum hf_code rc = conn_open(l->db_path, all[i], err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* Begin to hold, and judge what is needed. */
static enum hf_code hold_on(struct live *l, enum hf_live_need *ret_need, bool *ret_lost,
                            struct hf_err *err)
{
    const struct digest_mark *m = digest_mark(l->digest);
    struct walindex index;
    enum hf_code rc = conn_begin_known(holder(l), &l->ckpt, &l->hold, &index, err);

    if (rc != HF_OK)
        return rc;
    rc = barrier(l, BARRIER_ATTACH_MS, err);
    if (rc != HF_OK)
        return rc;
    rc = conn_walindex(holder(l), &index, err);
    if (rc != HF_OK)
        return rc;
    rc = conn_pragma(holder(l), "PRAGMA page_size", &l->page_bytes, err);
    if (rc != HF_OK)
        return rc;
    l->from = index.end; /* until a position is known; snapshot and catch-up set it */
    if (m->txid == 0) {
        *ret_need = HF_LIVE_SNAPSHOT;
        return HF_OK;
    }
    if (m->page_bytes != l->page_bytes)
        return hf_err_set(
            err, HF_USAGE,
            "the database has pages of %u bytes and its archive pages of %u: the page "
            "size was changed. Archive it to a new URL",
            l->page_bytes, m->page_bytes);
    struct wal_position pos;

    *ret_need = HF_LIVE_CATCH_UP;
    if (known_position(l, &pos) && log_continues(l, &pos, &index.end, ret_lost)) {
        l->from = pos;
        *ret_need = HF_LIVE_FOLLOW;
    }
    return HF_OK;
}

static void live_detach(struct hf_live *base)
{
    struct live *l = live_of(base);

    conn_close(&l->readers[0]);
    conn_close(&l->readers[1]);
    conn_close(&l->ckpt);
    wal_file_close(&l->wal);
    l->attached = false;
    l->broken = false;
    l->resting = false;
    l->hold = CONN_HOLD_NONE;
}

static enum hf_code live_attach(struct hf_live *base, enum hf_live_need *ret_need, bool *ret_lost,
                                struct hf_err *err)
{
    struct live *l = live_of(base);

    hf_assert(!l->attached);
    *ret_lost = false;
    enum hf_code rc = open_connections(l, err);

    if (rc == HF_OK)
        rc = companions_keep_owner(l->db_path, err);
    if (rc == HF_OK)
        rc = companions_read(l->db_path, &l->files, err);
    if (rc == HF_OK)
        rc = wal_file_open(l->o.fs, l->wal_path, &l->wal, err);
    if (rc == HF_OK)
        rc = hold_on(l, ret_need, ret_lost, err);
    if (rc != HF_OK) {
        live_detach(base);
        return rc;
    }
    l->attached = true;
    return HF_OK;
}

/* ---- full images ----------------------------------------------------------------------------- */

/* A moment at which the holder holds the database still: position, and frames to read it with. */
struct moment {
    struct wal_position end;
    struct stretch frames; /* none on lock 0: everything is in the file, and the WAL may restart */
};

static void moment_done(struct moment *m)
{
    stretch_done(&m->frames);
}

/* Take a fresh hold, so that the position is that of the hold, and find the frames to read with. */
static enum hf_code begin_moment(struct live *l, struct moment *ret, struct hf_err *err)
{
    struct walindex index;
    struct wal_header h;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    conn_end(holder(l));
    l->holder = 1 - l->holder;
    l->hold = hold;
    ret->end = index.end;
    /* A wal-index that was recovered from an empty WAL does not say how large the database is. */
    if (ret->end.commit == 0)
        rc = conn_pragma(holder(l), "PRAGMA page_count", &ret->end.commit, err);
    if (rc != HF_OK)
        return rc;
    if (hold == CONN_HOLD_ZERO)
        return conn_check_size(holder(l), l->page_bytes, ret->end.commit, err);
    if (index.end.frame == 0)
        return HF_OK;
    rc = read_header_of(l, &index.end, &h, err);
    if (rc != HF_OK)
        return rc;

    struct wal_position start = index.end;

    start.frame = 0;
    return stretch_read(&l->wal, &h, &start, &index.end, index.end.commit, &ret->frames, err);
}

static enum hf_code put_entries(void *ctx, uint32_t first_pgno, size_t n,
                                const struct digest_entry *entries, struct hf_err *err)
{
    return digest_bulk_put(ctx, first_pgno, n, entries, err);
}

static enum hf_code give_snapshot(struct live *l, const struct moment *m, struct hf_taker *t,
                                  struct hf_err *err)
{
    struct image image = image_at(l, &m->end, m->frames.refs, m->frames.count);
    const struct page_set set = image_all_pages(&image);
    struct digest_mark mark = next_mark(l, &m->end);

    image.progress = l->o.progress;
    enum hf_code rc = digest_bulk_begin(l->digest, err);

    if (rc == HF_OK)
        rc = image_hash(&image, set, put_entries, l->digest, err);
    if (rc == HF_OK)
        rc = digest_bulk_resize(l->digest, mark.pages_count, err);
    if (rc != HF_OK)
        return rc;
    digest_bulk_sums(l->digest, &mark.root, &mark.sum);

    struct hf_ltx_header header = header_of(l, &mark);

    rc = image_emit(&image, set, &header, mark.sum, t, err);
    if (rc == HF_OK)
        rc = digest_bulk_end(l->digest, &mark, err);
    return rc;
}

static enum hf_code live_snapshot(struct hf_live *base, struct hf_taker *t, struct hf_err *err)
{
    struct live *l = live_of(base);
    HF_CLEANUP(moment_done) struct moment m = {0};

    hf_assert(l->attached && l->state.txid == 0);
    enum hf_code rc = begin_moment(l, &m, err);

    if (rc != HF_OK)
        return rc;
    rc = give_snapshot(l, &m, t, err);
    if (rc != HF_OK) {
        struct hf_err ignored;

        (void)!live_reset(base, &ignored);
        return rc;
    }
    l->from = m.end;
    publish_state(l);
    return HF_OK;
}

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

/* The state equals the digest's: only the position is a new one. */
static enum hf_code move_position(struct live *l, const struct wal_position *end,
                                  struct hf_err *err)
{
    struct digest_mark mark = *digest_mark(l->digest);

    mark.wal = *end;
    mark.from_log = true;
    mark.db_inode = l->files.db.inode;
    mark.wal_inode = l->files.wal.inode;
    l->from = *end;
    return digest_reposition(l->digest, &mark, err);
}

static enum hf_code give_catch_up(struct live *l, const struct moment *m, struct difference *d,
                                  struct hf_taker *t, bool *ret_made, struct hf_err *err)
{
    struct image image = image_at(l, &m->end, m->frames.refs, m->frames.count);

    image.progress = l->o.progress;
    enum hf_code rc = image_hash(&image, image_all_pages(&image), compare_entries, d, err);

    if (rc != HF_OK)
        return rc;
    if (d->guarded.count == 0 && m->end.commit == l->state.pages_count) {
        *ret_made = false;
        return move_position(l, &m->end, err);
    }

    struct digest_mark mark = next_mark(l, &m->end);
    struct hf_ltx_header header = header_of(l, &mark);
    const struct change_list list = {.changes = d->guarded.changes, .count = d->guarded.count};
    HF_AUTO_FREE uint32_t *pgnos = hf_calloc(list.count, sizeof(*pgnos));

    header.catchup = true;
    if (list.count > 0)
        qsort(list.changes, list.count, sizeof(*list.changes), compare_changes);
    for (size_t i = 0; i < list.count; i++)
        pgnos[i] = list.changes[i].pgno;
    *ret_made = true;
    return take_changes(l, &image, (struct page_set){.pgnos = pgnos, .count = list.count}, &list,
                        &mark, &header, t, err);
}

static enum hf_code live_catch_up(struct hf_live *base, struct hf_taker *t, bool *ret_made,
                                  struct hf_err *err)
{
    struct live *l = live_of(base);
    HF_CLEANUP(moment_done) struct moment m = {0};
    HF_CLEANUP(difference_done)
    struct difference d = {.digest = l->digest, .mutex = PTHREAD_MUTEX_INITIALIZER};

    hf_assert(l->attached && l->state.txid > 0);
    const enum hf_code rc = begin_moment(l, &m, err);

    if (rc != HF_OK)
        return rc;
    return give_catch_up(l, &m, &d, t, ret_made, err);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* C3, as far as files go; at most once a second. */
static enum hf_code check_files(struct live *l, struct hf_err *err)
{
    const int64_t now_us = hf_mono_us(l->o.clock);
    struct companions now;

    if (now_us - l->files_checked_us < FILES_CHECK_US && l->files_checked_us != 0)
        return HF_OK;
    l->files_checked_us = now_us;
    if (companions_read(l->db_path, &now, err) != HF_OK)
        return break_off(l, err);
    if (!companions_equal(&now, &l->files) || conn_has_moved(holder(l))) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "%s, its -wal or its -shm was replaced while it was followed (%s)",
                         l->db_path, companions_difference(&now, &l->files));
        return break_off(l, err);
    }
    return HF_OK;
}

/* End the hold and let the other reader's be the only one (invariant 1). */
static void hand_over(struct live *l, enum conn_hold hold)
{
    conn_end(holder(l));
    l->holder = 1 - l->holder;
    l->hold = hold;
}

/*
 * C1: frames have come while we were on lock 0. Take a mark, keep lock 0 through the barrier, then
 * let it go. A checkpointer that waits for lock 0 holds CKPT, so the barrier cannot pass; but one
 * that waits is a FULL, RESTART or TRUNCATE that read the header under the write lock it still
 * holds, so its header is not from before the restart, and it may go on (ADR 0004).
 */
static enum hf_code leave_zero(struct live *l, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(other(l), NULL, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (hold != CONN_HOLD_MARK) {
        conn_end(other(l));
        return hf_err_set(err, HF_BUSY, "frames are there, and yet no mark could be had");
    }
    rc = barrier(l, BARRIER_LEAVE_MS, err);
    if (rc == HF_BUSY && companions_checkpointer_holds_write(&l->files))
        rc = HF_OK;
    if (rc != HF_OK) {
        conn_end(other(l));
        return rc;
    }
    if (!wal_position_same_log(&index.end, &l->from)) {
        struct wal_position start = {.salt = {index.end.salt[0], index.end.salt[1]},
                                     .commit = l->from.commit};

        rc = move_position(l, &start, err);
        if (rc != HF_OK) {
            conn_end(other(l));
            return rc;
        }
    }
    hand_over(l, CONN_HOLD_MARK);
    return HF_OK;
}

/* C3, as far as the log goes: `index` continues what was captured. */
static enum hf_code check_log(struct live *l, const struct walindex *index, struct hf_err *err)
{
    if (!wal_position_same_log(&index->end, &l->from)) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "the WAL of %s was restarted while a reader of ours held it", l->db_path);
        return break_off(l, err);
    }
    if (index->end.frame < l->from.frame ||
        (index->end.frame == l->from.frame && l->from.frame > 0 &&
         !wal_position_equal(&index->end, &l->from))) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "the WAL of %s went back from frame %u to %u: commits that were captured "
                         "are gone from the live database",
                         l->db_path, l->from.frame, index->end.frame);
        return break_off(l, err);
    }
    return HF_OK;
}

static enum hf_code capture_counted(struct live *l, const struct wal_position *end,
                                    struct hf_round *round, struct hf_taker *t, struct hf_err *err)
{
    const enum hf_code rc = capture_to(l, end, t, err);

    if (rc == HF_OK)
        round->segments_count++;
    return rc;
}

/* End a segment at the position asked for, if it lies ahead in this log. */
static enum hf_code capture_until(struct live *l, const struct walindex *index,
                                  struct hf_round *round, struct hf_taker *t, struct hf_err *err)
{
    struct wal_position until;

    if (round->until == NULL || wal_position_import(round->until, &until, err) != HF_OK)
        return HF_OK; /* whoever asks for what is no position gets none */
    if (!wal_position_same_log(&until, &index->end) || until.frame <= l->from.frame ||
        until.frame > index->end.frame)
        return HF_OK;
    return capture_counted(l, &until, round, t, err);
}

/*
 * C2: a newer reader, capture if it is time to, and hand over. If the newer reader got lock 0,
 * capture comes first whether it is time or not: on lock 0 the frames are no longer held.
 */
static enum hf_code follow(struct live *l, struct hf_round *round, struct hf_taker *t,
                           struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    round->log_bytes = (uint64_t)index.end.frame * (WAL_FRAME_HEADER_BYTES + l->page_bytes);
    rc = check_log(l, &index, err);
    if (rc == HF_OK)
        rc = capture_until(l, &index, round, t, err);
    if (rc == HF_OK && index.end.frame > l->from.frame && (round->cut || hold == CONN_HOLD_ZERO))
        rc = capture_counted(l, &index.end, round, t, err);
    if (rc != HF_OK) {
        conn_end(other(l));
        return rc;
    }
    hand_over(l, hold);
    round->looked = true;
    round->current = index.end.frame == l->from.frame;
    return HF_OK;
}

/* C4, without the write lock: backfill, and see whether lock 0 is to be had. */
static enum hf_code seal(struct live *l, struct hf_round *round, struct hf_taker *t,
                         struct hf_err *err)
{
    l->sealed_us = hf_mono_us(l->o.clock);
    for (int i = 0; i < SEAL_TRIES && l->hold != CONN_HOLD_ZERO; i++) {
        enum hf_code rc = conn_checkpoint(&l->ckpt, err);

        if (rc == HF_BUSY)
            return HF_OK; /* somebody else is at it */
        if (rc != HF_OK)
            return rc;
        rc = follow(l, round, t, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* With the write lock held by the other reader, so that nothing is added: C4 under `seal: auto`. */
static enum hf_code seal_with_lock(struct live *l, struct hf_round *round, struct hf_taker *t,
                                   struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex(other(l), &index, err);

    if (rc == HF_OK)
        rc = check_log(l, &index, err);
    if (rc == HF_OK && index.end.frame > l->from.frame)
        rc = capture_counted(l, &index.end, round, t, err);
    if (rc != HF_OK)
        return rc;
    conn_end(holder(l)); /* the other one holds a mark, and nobody else can write */
    rc = conn_checkpoint(&l->ckpt, err);
    if (rc != HF_OK && rc != HF_BUSY)
        hf_log(HF_LOG_WARN, "%s: %s; the WAL stays as long as it is", l->db_path, err->text);
    if (conn_begin_known(holder(l), &l->ckpt, &l->hold, &index, err) == HF_OK)
        return HF_OK;
    /* Whichever lock this gets: all is captured and nobody can write, so lock 0's rules hold. */
    l->hold = CONN_HOLD_ZERO;
    rc = conn_begin(holder(l), err);
    return rc == HF_OK ? HF_OK : break_off(l, err);
}

/* Past the limit only, at most once a second, never waiting for the lock. */
static enum hf_code seal_past_limit(struct live *l, struct hf_round *round, struct hf_taker *t,
                                    struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex(holder(l), &index, err);

    if (rc != HF_OK || index.end.frame - index.backfill > LOCKED_SEAL_FRAMES_MAX)
        return rc;
    rc = conn_begin_write(other(l), err);
    if (rc == HF_BUSY)
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    rc = seal_with_lock(l, round, t, err);
    conn_end(other(l));
    return rc;
}

static bool seal_is_due(const struct live *l, const struct hf_round *round, bool quiet)
{
    return l->hold == CONN_HOLD_MARK && hf_mono_us(l->o.clock) - l->sealed_us >= SEAL_EVERY_US &&
           (quiet || round->log_bytes >= SEAL_LOG_BYTES);
}

/* Nothing new since we came to rest: one look at shared memory. */
static bool still_resting(struct live *l)
{
    struct walindex index;

    return l->resting && walindex_read(holder(l)->shm, &index) && index.change == l->resting_change;
}

/* On lock 0: is there anything to leave it for? A restarted, still empty WAL is not. */
static enum hf_code rest(struct live *l, bool *ret_new_frames, struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex(holder(l), &index, err);

    if (rc != HF_OK)
        return rc;
    *ret_new_frames = !(wal_position_same_log(&index.end, &l->from)
                            ? index.end.frame == l->from.frame
                            : index.end.frame == 0);
    if (*ret_new_frames)
        return HF_OK;
    if (!wal_position_same_log(&index.end, &l->from)) {
        rc = move_position(l, &index.end, err);
        if (rc != HF_OK)
            return rc;
    }
    l->resting = true;
    l->resting_change = index.change;
    return HF_OK;
}

static enum hf_code run_round(struct live *l, struct hf_round *round, struct hf_taker *t,
                              struct hf_err *err)
{
    const uint32_t from_frame = l->from.frame;
    enum hf_code rc = HF_OK;

    if (l->hold == CONN_HOLD_ZERO) {
        bool new_frames = false;

        rc = rest(l, &new_frames, err);
        if (rc != HF_OK || !new_frames)
            return rc;
        l->resting = false;
        rc = leave_zero(l, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = follow(l, round, t, err);
    if (rc != HF_OK)
        return rc;
    if (seal_is_due(l, round, l->from.frame == from_frame && round->cut))
        rc = seal(l, round, t, err);
    if (rc == HF_OK && l->hold == CONN_HOLD_MARK && round->log_bytes > l->o.log_bytes_max &&
        !l->o.never_lock && round->cut)
        rc = seal_past_limit(l, round, t, err);
    return rc;
}

static enum hf_code live_round(struct hf_live *base, struct hf_round *round, struct hf_taker *t,
                               struct hf_err *err)
{
    struct live *l = live_of(base);

    hf_assert(l->attached && l->state.txid > 0);
    round->segments_count = 0;
    round->wait_ms = HAND_OVER_MS;
    round->resting = false;
    round->current = false;
    round->looked = false;
    if (l->broken)
        return hf_err_set(err, HF_CONFLICT, "%s can no longer be followed: detach", l->db_path);
    enum hf_code rc = check_files(l, err);

    if (rc != HF_OK)
        return rc;
    if (!still_resting(l) || round->until != NULL) {
        rc = run_round(l, round, t, err);
        if (rc == HF_BUSY) {
            round->wait_ms = 5; /* somebody is in the way for a moment */
            return HF_OK;
        }
    }
    round->resting = l->resting;
    round->current = round->current || l->resting;
    round->looked = round->looked || l->resting;
    return rc;
}

static enum hf_code live_find(struct hf_live *base, const struct hf_position *p, uint64_t *ret_txid,
                              struct hf_err *err)
{
    struct live *l = live_of(base);
    struct wal_position pos;
    const enum hf_code rc = wal_position_import(p, &pos, err);

    if (rc != HF_OK)
        return rc;
    const uint64_t txid = digest_find(l->digest, &pos);

    if (txid == 0)
        return hf_err_set(err, HF_NOT_FOUND, "no segment ended at frame %u of WAL %08x-%08x",
                          pos.frame, pos.salt[0], pos.salt[1]);
    *ret_txid = txid;
    return HF_OK;
}

static bool live_root_at(struct hf_live *base, uint64_t txid, struct hf_root *ret)
{
    return digest_root_at(live_of(base)->digest, txid, ret);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static enum hf_code live_adopt(struct hf_live *base, struct hf_source *segment, struct hf_err *err)
{
    struct live *l = live_of(base);
    const struct digest_mark before = *digest_mark(l->digest);
    struct apply a = {
        .digest = l->digest,
        .mark = before,
        .seed = l->o.seed,
        .pool = l->o.pool,
        .stop = l->o.stop,
    };

    hf_assert(!l->attached);
    enum hf_code rc = digest_bulk_begin(l->digest, err);

    if (rc == HF_OK)
        rc = apply_segment(&a, segment, err);
    if (rc == HF_OK) {
        a.mark.db_inode = before.db_inode; /* unknown (0) if the whole state came from there */
        a.mark.wal_inode = before.wal_inode;
        rc = digest_bulk_end(l->digest, &a.mark, err);
    }
    publish_state(l);
    return rc;
}

enum hf_code sqlite_live_probe(const char *db_path, struct hf_live_probe *ret, struct hf_err *err)
{
    HF_CLEANUP(conn_close) struct conn c = {0};
    enum hf_code rc = conn_open(db_path, &c, err);

    if (rc == HF_OK)
        rc = companions_keep_owner(db_path, err);
    if (rc == HF_OK)
        rc = conn_pragma(&c, "PRAGMA page_size", &ret->page_bytes, err);
    return rc;
}

enum hf_code sqlite_live_prepare(const char *db_path, struct hf_err *err)
{
    return conn_set_wal_mode(db_path, err);
}

static void live_free(struct hf_live *base)
{
    struct live *l = live_of(base);

    live_detach(base);
    digest_free(l->digest);
    hf_free(l->db_path);
    hf_free(l->wal_path);
    hf_free(l);
}

static const struct hf_live_ops ops = {
    .state = live_state,
    .reset = live_reset,
    .adopt = live_adopt,
    .attach = live_attach,
    .snapshot = live_snapshot,
    .catch_up = live_catch_up,
    .round = live_round,
    .find = live_find,
    .root_at = live_root_at,
    .detach = live_detach,
    .free = live_free,
};

enum hf_code sqlite_live_open(const struct hf_live_options *o, struct hf_live **ret,
                              struct hf_err *err)
{
    struct live *l = hf_calloc(1, sizeof(*l));
    HF_AUTO_FREE char *digest_path = hf_strfmt("%s/digest", o->state_dir);
    const char *why = NULL;

    l->base.ops = &ops;
    l->o = *o;
    l->db_path = hf_strdup(o->db_path);
    l->wal_path = hf_strfmt("%s-wal", o->db_path);
    const enum hf_code rc = digest_open(o->fs, digest_path, &l->digest, &why, err);

    if (rc != HF_OK) {
        live_free(&l->base);
        return rc;
    }
    publish_state(l);
    *ret = &l->base;
    return HF_OK;
}
