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
 *    captured and backfilled when the lock was taken (but for `owed`), and of the frames that come
 *    after that none can be backfilled, so the WAL restarts at most once.
 * 3. Lock 0 is left only while a mark is held as well, and only after it is known that no
 *    checkpointer is left that read the wal-index header before that restart (C1).
 * 4. The digest moves only after the taker has committed the segment. A segment that was taken is
 *    never made again: until the digest has followed (`untold`), nothing else is done.
 * 5. A hold that may be lock 0 or a mark (CONN_HOLD_EITHER) is treated as lock 0, except that
 *    capture does not rest on it.
 */
#include "engine/sqlite/capture.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/apply.h"
#include "engine/sqlite/companions.h"
#include "engine/sqlite/follow.h"
#include "engine/sqlite/image.h"

#define HAND_OVER_MS           50
#define FREE_PAGES_OFFSET      36    /* in page 1 (SQLite, "Database File Format", section 1.3) */
#define ATTACH_MS_MAX          10000 /* to wait for a checkpointer that is at work when we come */
#define ATTACH_PAUSE_MS        100   /* between tries, holding nothing: it may wait for us */
#define FILES_CHECK_US         1000000
#define SEAL_EVERY_US          1000000
#define SEAL_LOG_BYTES         (UINT64_C(4) << 20)
#define SEAL_TRIES             3
#define LOCKED_SEAL_FRAMES_MAX 64 /* left to backfill when the write lock is taken */

/* A segment that the taker has, and the digest not yet. */
struct untold {
    struct digest_mark mark;
    struct digest_change *changes;
    size_t count;
    bool is; /* there is one */
};

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
    struct wal_position from;  /* invariant 2 */
    struct wal_position owed;  /* attached on lock 0 with frames behind `from`: up to here ... */
    struct stretch owed_pages; /* ... these pages, all of them in the database file */
    bool owes;
    struct untold untold; /* invariant 4 */
    struct wal_file wal;
    struct companions files; /* identity of database, -wal and -shm */
    bool attached;
    bool broken; /* continuity broke: only detach is left */
    uint32_t page_bytes;
    int64_t files_checked_us;
    int64_t sealed_us;
    struct walindex resting_at; /* the wal-index's header when we came to rest */
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

static void forget_untold(struct live *l)
{
    hf_free(l->untold.changes);
    l->untold = (struct untold){0};
}

static enum hf_code live_reset(struct hf_live *base, struct hf_err *err)
{
    struct live *l = live_of(base);
    const enum hf_code rc = digest_reset(l->digest, err);

    forget_untold(l);
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

/* Let the digest follow the segment that was taken last (invariant 4). */
static enum hf_code tell_digest(struct live *l, struct hf_err *err)
{
    const struct untold *u = &l->untold;

    if (!u->is)
        return HF_OK;
    const enum hf_code rc = digest_commit(l->digest, u->changes, u->count, &u->mark, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "local state after TXID %" PRIu64, u->mark.txid);
    forget_untold(l);
    publish_state(l);
    return HF_OK;
}

/* Give the pages of `set` to the taker as the next TXID, and move the digest. */
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
    l->untold = (struct untold){.mark = *mark, .count = list->count, .is = true};
    l->untold.changes = hf_calloc(list->count, sizeof(*list->changes));
    if (list->count > 0)
        (void)memcpy(l->untold.changes, list->changes, list->count * sizeof(*list->changes));
    l->from = mark->wal;
    return tell_digest(l, err);
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

/* Make one segment of what the stretch from `from` to `end` changed. */
static enum hf_code capture_stretch(struct live *l, const struct stretch *s,
                                    const struct wal_position *end, struct hf_taker *t,
                                    struct hf_err *err)
{
    const struct image image = image_at(l, end, s->refs, s->count);
    const struct page_set set = {.pgnos = s->pgnos, .count = s->count};
    struct digest_mark mark = next_mark(l, end);
    struct hf_ltx_header header = header_of(l, &mark);
    HF_CLEANUP(change_list_done)
    struct change_list list = {.changes = hf_calloc(s->count, sizeof(*list.changes)),
                               .count = s->count};

    header.wal_offset = (int64_t)wal_frame_offset(l->from.frame + 1, l->page_bytes);
    header.wal_size = (int64_t)(end->frame - l->from.frame) *
                      (WAL_FRAME_HEADER_BYTES + l->page_bytes);
    header.salts[0] = end->salt[0];
    header.salts[1] = end->salt[1];
    for (size_t i = 0; i < s->count; i++)
        list.changes[i].pgno = s->pgnos[i];
    const enum hf_code rc = image_hash(&image, set, fill_changes, &list, err);

    if (rc != HF_OK)
        return rc;
    return take_changes(l, &image, set, &list, &mark, &header, t, err);
}

/* What the log says was changed between two positions of it. */
static enum hf_code read_stretch(struct live *l, const struct wal_position *from,
                                 const struct wal_position *end, struct stretch *ret,
                                 struct hf_err *err)
{
    struct wal_header h;
    const enum hf_code rc = read_header_of(l, end, &h, err);

    if (rc != HF_OK)
        return rc;
    return stretch_read(&l->wal, &h, from, end, (uint32_t)l->state.pages_count, ret, err);
}

/* C2, on a mark: capture exactly what was committed behind `from` up to `end`. */
static enum hf_code capture_to(struct live *l, const struct wal_position *end, struct hf_taker *t,
                               struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    const enum hf_code rc = read_stretch(l, &l->from, end, &s, err);

    return rc == HF_OK ? capture_stretch(l, &s, end, t, err) : rc;
}

/* ---- comparing with the digest ------------------------------------------------------------ */

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

/* ---- attach -------------------------------------------------------------------------------- */

/* Stop following for good: the reason stands in `err`. */
static enum hf_code break_off(struct live *l, struct hf_err *err)
{
    l->broken = true;
    err->code = HF_CONFLICT;
    return HF_CONFLICT;
}

/* End the hold and let the other reader's be the only one (invariant 1). */
static void hand_over(struct live *l, enum conn_hold hold)
{
    conn_end(holder(l));
    l->holder = 1 - l->holder;
    l->hold = hold;
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

/* What the log holds up to `end`, from its first frame on. */
static enum hf_code read_whole_log(struct live *l, const struct wal_position *end,
                                   struct stretch *ret, struct hf_err *err)
{
    struct wal_header h;
    struct wal_position start = *end;
    const enum hf_code rc = read_header_of(l, end, &h, err);

    if (rc != HF_OK)
        return rc;
    start.frame = 0;
    return stretch_read(&l->wal, &h, &start, end, end->commit, ret, err);
}

/* HF_DAMAGE: the last image that the log has, up to `pos`, of a page is not the digest's. */
static enum hf_code log_leads_to_digest(struct live *l, const struct wal_position *pos,
                                        struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    HF_CLEANUP(difference_done)
    struct difference d = {.digest = l->digest, .mutex = PTHREAD_MUTEX_INITIALIZER};
    size_t kept = 0;
    enum hf_code rc = read_whole_log(l, pos, &s, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < s.count; i++) {
        if (s.refs[i].frame > 0)
            s.pgnos[kept++] = s.refs[i].pgno;
    }
    const struct image image = image_at(l, pos, s.refs, s.count);
    const struct page_set set = {.pgnos = s.pgnos, .count = kept};

    rc = image_hash(&image, set, compare_entries, &d, err);
    if (rc == HF_OK && d.guarded.count > 0)
        return hf_err_set(err, HF_DAMAGE, "the log leads to other pages than were captured");
    return rc;
}

/*
 * HF_DAMAGE: the log, which has the salts of `pos`, does not hold what was captured up to there.
 * A position that came from a segment in the archive lacks the checksum of its last frame, and a
 * log that lost its end and went on differently could end in the same frame: it is taken for the
 * same one only if it leads to the digest's pages, every one of them. The checksum is filled in.
 */
static enum hf_code find_position(struct live *l, struct wal_position *pos, struct hf_err *err)
{
    uint8_t head[WAL_FRAME_HEADER_BYTES];
    const bool complete = pos->cksum[0] != 0 || pos->cksum[1] != 0;
    enum hf_code rc;

    if (pos->frame == 0)
        return HF_OK;
    rc = wal_read_frame_header(&l->wal, l->page_bytes, pos->frame, head, err);
    if (rc != HF_OK)
        return rc;
    if (!complete) {
        pos->cksum[0] = hf_get_be32(head + 16);
        pos->cksum[1] = hf_get_be32(head + 20);
    }
    if (!wal_frame_is_at(head, pos))
        return hf_err_set(err, HF_DAMAGE, "another frame is in place of frame %u", pos->frame);
    return complete ? HF_OK : log_leads_to_digest(l, pos, err);
}

/*
 * A checkpointer that waits for lock 0 holds CKPT, so the barrier cannot pass while it waits; but
 * one that waits is a FULL, RESTART or TRUNCATE that read the header under the write lock it still
 * holds, so its header is not from before the restart, and it may go on (ADR 0004). Nothing is
 * committed under that lock: if something is, it is not that.
 */
static bool checkpointer_waits(struct live *l)
{
    struct walindex before;
    struct walindex after;

    return walindex_read(holder(l)->shm, &before) &&
           companions_checkpointer_holds_write(&l->files) &&
           walindex_read(holder(l)->shm, &after) && walindex_same(&before, &after);
}

/* C1: from lock 0, which is still held, to a mark that the other reader holds. */
static enum hf_code pass_barrier(struct live *l, struct hf_err *err)
{
    enum hf_code rc = barrier(l, HAND_OVER_MS / 10, err);

    if (rc == HF_BUSY && checkpointer_waits(l))
        return HF_OK;
    if (rc == HF_BUSY)
        rc = barrier(l, HAND_OVER_MS, err);
    return rc == HF_BUSY && checkpointer_waits(l) ? HF_OK : rc;
}

/*
 * C7: does the WAL prove that nothing is missing between `pos`, where capture ended, and `end`?
 * `*ret_lost`: it is the same log, and no longer holds what was captured there.
 */
static bool log_continues(struct live *l, struct wal_position *pos, const struct wal_position *end,
                          bool *ret_lost)
{
    struct wal_header h;
    struct hf_err ignored;

    if (!wal_position_same_log(pos, end) || (end->salt[0] == 0 && end->salt[1] == 0))
        return false;
    if (end->frame == 0 && pos->frame == 0)
        return true;
    const enum hf_code rc = end->frame < pos->frame ? HF_DAMAGE : find_position(l, pos, &ignored);

    *ret_lost = rc == HF_DAMAGE;
    return rc == HF_OK && read_header_of(l, end, &h, &ignored) == HF_OK &&
           wal_read_chain(&l->wal, &h, pos, end, ignore_frame, NULL, &ignored) == HF_OK;
}

/* Where capture ended, if the digest knows it and the files are still the same ones. */
static bool known_position(const struct live *l, struct wal_position *ret)
{
    const struct digest_mark *m = digest_mark(l->digest);

    *ret = m->wal;
    return m->from_log && m->db_inode == l->files.db.inode && m->wal_inode == l->files.wal.inode;
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

/*
 * On a mark, pages may rightly be missing at the end of the file: those that the log holds, and
 * those that the database has grown by without a frame. The latter are free pages, all of them.
 * HF_DAMAGE: more than that is missing.
 */
static enum hf_code check_size_on_mark(struct live *l, const struct wal_position *end,
                                       const struct stretch *log, struct hf_err *err)
{
    const uint32_t lock_page = hf_ltx_lock_page(l->page_bytes);
    HF_AUTO_FREE uint8_t *first = hf_malloc(l->page_bytes);
    uint64_t file_pages = 0;
    uint64_t missing = 0;
    enum hf_code rc = conn_file_pages(holder(l), l->page_bytes, &file_pages, err);

    if (rc != HF_OK || file_pages >= end->commit)
        return rc;
    missing = end->commit - file_pages;
    if (lock_page > file_pages && lock_page <= end->commit)
        missing--;
    for (size_t i = 0; i < log->count; i++)
        missing -= log->refs[i].pgno > file_pages && log->refs[i].frame > 0 ? 1 : 0;
    if (missing == 0)
        return HF_OK;
    const struct image image = image_at(l, end, log->refs, log->count);

    rc = image_read_page(&image, 1, first, err);
    if (rc != HF_OK || missing <= hf_get_be32(first + FREE_PAGES_OFFSET))
        return rc;
    return conn_check_size(holder(l), l->page_bytes, end->commit, err);
}

/* The same before any checkpoint of ours, which would fill up a file that was cut off. */
static enum hf_code check_size_first(struct live *l, const struct walindex *index,
                                     struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch log = {0};
    uint64_t file_pages = 0;
    enum hf_code rc = conn_file_pages(holder(l), l->page_bytes, &file_pages, err);

    if (rc != HF_OK || file_pages >= index->end.commit || index->end.frame == 0)
        return rc;
    rc = read_whole_log(l, &index->end, &log, err);
    return rc == HF_OK ? check_size_on_mark(l, &index->end, &log, err) : rc;
}

/*
 * HF_DAMAGE: a checkpointer with an old header has stored its nBackfill just before the barrier
 * (the WAL-reset bug, as the model's no-struck-check shows), or a process died in the middle of a
 * restart. Readers then skip frames of the WAL, and what capture sees is not what was committed.
 */
static enum hf_code check_not_struck(struct live *l, struct hf_err *err)
{
    struct walindex index;
    const enum hf_code rc = conn_walindex(other(l), &index, err);

    if (rc != HF_OK || index.backfill <= index.end.frame)
        return rc;
    return hf_err_set(err, HF_DAMAGE,
                      "%s: the wal-index says that %u frames are in the database file, and the WAL "
                      "has only %u: SQLite's WAL-reset bug, or a process that died in a restart of "
                      "the WAL. Stop all programs that use the database and open it once, so that "
                      "SQLite rebuilds the wal-index; then check it",
                      l->db_path, index.backfill, index.end.frame);
}

/*
 * C1: begin to hold, and let no checkpointer be left that read the header before. First some lock,
 * so that the checkpoints of ours that follow cannot be such checkpointers themselves; then one of
 * a known kind; the first is let go behind the barrier. HF_BUSY: somebody is at a checkpoint;
 * nothing is held then, as it may be waiting for us.
 */
static enum hf_code try_hold(struct live *l, struct walindex *ret_index, struct hf_err *err)
{
    enum conn_hold hold;
    enum hf_code rc = conn_begin(holder(l), err);

    if (rc != HF_OK)
        return rc;
    rc = conn_pragma(holder(l), "PRAGMA page_size", &l->page_bytes, err);
    if (rc == HF_OK)
        rc = conn_begin_known(other(l), &l->ckpt, &hold, ret_index, err);
    if (rc == HF_OK && hold == CONN_HOLD_MARK)
        rc = check_size_first(l, ret_index, err);
    if (rc == HF_OK)
        rc = barrier(l, HAND_OVER_MS, err);
    if (rc == HF_OK)
        rc = check_not_struck(l, err);
    if (rc != HF_OK) {
        conn_end(other(l));
        conn_end(holder(l));
        return rc;
    }
    hand_over(l, hold);
    return HF_OK;
}

static enum hf_code hold_on(struct live *l, struct walindex *ret_index, struct hf_err *err)
{
    const int64_t until_us = hf_mono_us(l->o.clock) + ATTACH_MS_MAX * INT64_C(1000);

    for (;;) {
        const enum hf_code rc = try_hold(l, ret_index, err);

        if (rc != HF_BUSY || hf_mono_us(l->o.clock) >= until_us)
            return rc;
        hf_sleep_ms(l->o.clock, ATTACH_PAUSE_MS);
    }
}

static void forget_owed(struct live *l)
{
    stretch_done(&l->owed_pages);
    l->owes = false;
}

/*
 * On lock 0 the frames behind `from` are in the database file, and there they stay; but in the WAL
 * they may be overwritten at any moment. So which pages they are is read now, and the first round
 * captures them.
 */
static enum hf_code owe(struct live *l, const struct wal_position *end, struct hf_err *err)
{
    const enum hf_code rc = read_stretch(l, &l->from, end, &l->owed_pages, err);

    for (size_t i = 0; rc == HF_OK && i < l->owed_pages.count; i++)
        l->owed_pages.refs[i].frame = 0;
    l->owed = *end;
    l->owes = rc == HF_OK;
    return rc;
}

/* C7. On lock 0 the WAL may be restarted while it is read here, which loses nothing and yet looks
 * like it. */
static enum hf_live_need judge_position(struct live *l, const struct walindex *index,
                                        bool *ret_lost)
{
    struct wal_position pos;
    struct walindex now;
    struct hf_err ignored;

    if (!known_position(l, &pos))
        return HF_LIVE_CATCH_UP;
    if (!log_continues(l, &pos, &index->end, ret_lost)) {
        *ret_lost = *ret_lost && walindex_read(holder(l)->shm, &now) &&
                    wal_position_same_log(&now.end, &index->end);
        return HF_LIVE_CATCH_UP;
    }
    l->from = pos;
    if (l->hold != CONN_HOLD_MARK && pos.frame != index->end.frame &&
        owe(l, &index->end, &ignored) != HF_OK)
        return HF_LIVE_CATCH_UP;
    return HF_LIVE_FOLLOW;
}

/* What is needed, with the log held since `index`. */
static enum hf_code judge_need(struct live *l, const struct walindex *index,
                               enum hf_live_need *ret_need, bool *ret_lost, struct hf_err *err)
{
    const struct digest_mark *m = digest_mark(l->digest);

    l->from = index->end; /* until a position is known; snapshot and catch-up set it */
    forget_owed(l);
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
    *ret_need = judge_position(l, index, ret_lost);
    return HF_OK;
}

static void live_detach(struct hf_live *base)
{
    struct live *l = live_of(base);

    conn_close(&l->readers[0]);
    conn_close(&l->readers[1]);
    conn_close(&l->ckpt);
    wal_file_close(&l->wal);
    forget_owed(l);
    l->attached = false;
    l->broken = false;
    l->resting = false;
    l->hold = CONN_HOLD_NONE;
}

static enum hf_code live_attach(struct hf_live *base, enum hf_live_need *ret_need, bool *ret_lost,
                                struct hf_err *err)
{
    struct live *l = live_of(base);
    struct walindex index;

    hf_assert(!l->attached);
    *ret_lost = false;
    enum hf_code rc = tell_digest(l, err);

    if (rc == HF_OK)
        rc = open_connections(l, err);

    if (rc == HF_OK)
        rc = companions_keep_owner(l->db_path, err);
    if (rc == HF_OK)
        rc = companions_read(l->db_path, &l->files, err);
    if (rc == HF_OK)
        rc = wal_file_open(l->o.fs, l->wal_path, &l->wal, err);
    if (rc == HF_OK)
        rc = hold_on(l, &index, err);
    if (rc == HF_OK)
        rc = judge_need(l, &index, ret_need, ret_lost, err);
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
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (l->hold != CONN_HOLD_MARK && hold == CONN_HOLD_MARK)
        rc = pass_barrier(l, err);
    if (rc != HF_OK) {
        conn_end(other(l));
        return rc;
    }
    hand_over(l, hold);
    ret->end = index.end;
    /* A wal-index that was recovered from an empty WAL does not say how large the database is. */
    if (ret->end.commit == 0)
        rc = conn_pragma(holder(l), "PRAGMA page_count", &ret->end.commit, err);
    if (rc != HF_OK)
        return rc;
    if (hold != CONN_HOLD_MARK)
        return conn_check_size(holder(l), l->page_bytes, ret->end.commit, err);
    return read_whole_log(l, &index.end, &ret->frames, err);
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
    const enum hf_code rc = digest_reposition(l->digest, &mark, err);

    if (rc == HF_OK)
        l->from = *end;
    return rc;
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

/* C1: frames have come while we were on lock 0. Take a mark, keep lock 0 through the barrier, then
 * let it go. */
static enum hf_code leave_zero(struct live *l, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(other(l), NULL, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (hold != CONN_HOLD_MARK)
        rc = hf_err_set(err, HF_BUSY, "frames are there, and yet no mark could be had");
    if (rc == HF_OK)
        rc = pass_barrier(l, err);
    if (rc == HF_OK && !wal_position_same_log(&index.end, &l->from)) {
        const struct wal_position start = {.salt = {index.end.salt[0], index.end.salt[1]},
                                           .commit = l->from.commit};

        rc = move_position(l, &start, err);
    }
    if (rc != HF_OK) {
        conn_end(other(l));
        return rc;
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
    if (rc == HF_OK && index.end.frame > l->from.frame && (round->cut || hold != CONN_HOLD_MARK))
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
    for (int i = 0; i < SEAL_TRIES && l->hold == CONN_HOLD_MARK; i++) {
        enum hf_code rc = conn_checkpoint(&l->ckpt, err);

        if (rc == HF_BUSY)
            return HF_OK; /* somebody else is at it */
        if (rc != HF_OK) {
            hf_log(HF_LOG_WARN, "%s: %s; the WAL stays as long as it is", l->db_path, err->text);
            return HF_OK; /* what was to be captured is captured */
        }
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
    l->hold = CONN_HOLD_EITHER;
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

    return l->resting && walindex_read(holder(l)->shm, &index) &&
           walindex_same(&index, &l->resting_at);
}

/* Is there anything to leave lock 0 for? A restarted, still empty WAL is not. */
static bool has_new_frames(const struct live *l, const struct walindex *index)
{
    return wal_position_same_log(&index->end, &l->from) ? index->end.frame != l->from.frame
                                                        : index->end.frame != 0;
}

/* Attached on lock 0 with frames that were not captured: their pages come from the file, which
 * nobody can change. */
static enum hf_code capture_owed(struct live *l, struct hf_round *round, struct hf_taker *t,
                                 struct hf_err *err)
{
    const enum hf_code rc = capture_stretch(l, &l->owed_pages, &l->owed, t, err);

    if (rc == HF_OK)
        round->segments_count++;
    if (rc == HF_OK || l->untold.is)
        forget_owed(l);
    return rc;
}

/* Hold by another reader, in the hope that it is lock 0 for certain; not if there are new frames.
 */
static enum hf_code make_sure(struct live *l, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    const enum hf_code rc = conn_begin_known(other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (hold == CONN_HOLD_MARK || has_new_frames(l, &index))
        conn_end(other(l));
    else
        hand_over(l, hold);
    return HF_OK;
}

/* Not on a mark. Rest, unless `*ret_new_frames`. */
static enum hf_code rest(struct live *l, bool *ret_new_frames, struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex_recovered(other(l), &index, err);

    if (rc != HF_OK)
        return rc;
    *ret_new_frames = has_new_frames(l, &index);
    if (*ret_new_frames)
        return HF_OK;
    if (!wal_position_same_log(&index.end, &l->from)) {
        rc = move_position(l, &index.end, err);
        if (rc != HF_OK)
            return rc;
    }
    if (l->hold == CONN_HOLD_EITHER)
        return make_sure(l, err);
    l->resting = true;
    l->resting_at = index;
    return HF_OK;
}

/* Lock 0's part of a round; on a mark afterwards, unless `*ret_done`. */
static enum hf_code round_on_zero(struct live *l, struct hf_round *round, struct hf_taker *t,
                                  bool *ret_done, struct hf_err *err)
{
    bool new_frames = false;
    enum hf_code rc = HF_OK;

    l->resting = false;
    if (l->owes)
        rc = capture_owed(l, round, t, err);
    if (rc == HF_OK)
        rc = rest(l, &new_frames, err);
    *ret_done = !new_frames;
    if (rc != HF_OK || !new_frames)
        return rc;
    return leave_zero(l, err);
}

static enum hf_code run_round(struct live *l, struct hf_round *round, struct hf_taker *t,
                              struct hf_err *err)
{
    const uint32_t from_frame = l->from.frame;
    bool done = false;
    enum hf_code rc = tell_digest(l, err);

    if (rc == HF_OK && l->hold != CONN_HOLD_MARK)
        rc = round_on_zero(l, round, t, &done, err);
    if (rc != HF_OK || done)
        return rc;
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

    hf_assert(!l->attached && !l->untold.is);
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

/*
 * The WAL-reset bug (SQLite 3.7.0 to 3.51.2; mended in 3.51.3 and in 3.50.7 and 3.44.6): which
 * version wrote the file last stands at offset 96 of its header.
 */
static bool has_wal_reset_bug(uint32_t version)
{
    return version >= 3007000 && version < 3051003 && !(version >= 3050007 && version < 3051000) &&
           !(version >= 3044006 && version < 3045000);
}

static enum hf_code probe_version(struct conn *c, struct hf_live_probe *probe, struct hf_err *err)
{
    HF_AUTO_FREE uint8_t *page = hf_malloc(probe->page_bytes);
    const enum hf_code rc = conn_read_page(c, probe->page_bytes, 1, page, err);

    if (rc == HF_OK && has_wal_reset_bug(hf_get_be32(page + 96)))
        probe->warning =
            "it was last written by a SQLite version with the WAL-reset bug (before 3.51.3; mended "
            "in 3.50.7 and 3.44.6), which can lose commits when two connections checkpoint at "
            "once. "
            "While holdfast is attached this cannot happen; update the application's SQLite";
    return rc;
}

enum hf_code sqlite_live_probe(const char *db_path, struct hf_live_probe *ret, struct hf_err *err)
{
    HF_CLEANUP(conn_close) struct conn c = {0};
    struct hf_live_probe probe = {0};
    enum hf_code rc = companions_check_place(db_path, err);

    if (rc == HF_OK)
        rc = conn_open(db_path, &c, err);
    if (rc == HF_OK)
        rc = companions_keep_owner(db_path, err);
    if (rc == HF_OK)
        rc = conn_pragma(&c, "PRAGMA page_size", &probe.page_bytes, err);
    if (rc == HF_OK)
        rc = probe_version(&c, &probe, err);
    if (rc == HF_OK)
        *ret = probe;
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
    forget_untold(l);
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
