/* SPDX-License-Identifier: Apache-2.0 */
/* live_hold.c - beginning to hold, and leaving lock 0 (C1), with the barrier that both need. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "engine/sqlite/live.h"

#define FREE_PAGES_OFFSET 36    /* in page 1 (SQLite, "Database File Format", section 1.3) */
#define ATTACH_MS_MAX     10000 /* to wait for a checkpointer that is at work when we come */
#define ATTACH_PAUSE_MS   100   /* between tries, holding nothing: it may wait for us */

enum hf_code live_break_off(struct live *l, struct hf_err *err)
{
    l->broken = true;
    err->code = HF_CONFLICT;
    return HF_CONFLICT;
}

void live_hand_over(struct live *l, enum conn_hold hold)
{
    conn_end(live_holder(l));
    l->holder = 1 - l->holder;
    l->hold = hold;
}

/*
 * Run PASSIVE until it is not BUSY: then no checkpointer carries a header read before now. That it
 * had the checkpoint lock is what counts, not what came of the checkpoint: on a full disk it cannot
 * grow the database file, and an application that must be archived before space is made needs us
 * all the same.
 */
static enum hf_code barrier(struct live *l, int64_t ms_max, struct hf_err *err)
{
    for (int64_t waited_ms = 0;; waited_ms++) {
        const enum hf_code rc = conn_checkpoint(&l->ckpt, err);

        if (rc == HF_FULL)
            return HF_OK;
        if (rc != HF_BUSY || waited_ms >= ms_max)
            return rc;
        hf_sleep_ms(l->o.clock, 1);
    }
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

    return walindex_read(live_holder(l)->shm, &before) &&
           companions_checkpointer_holds_write(&l->files) &&
           walindex_read(live_holder(l)->shm, &after) && walindex_same(&before, &after);
}

/* C1: from lock 0, which is still held, to a mark that the other reader holds. */
enum hf_code live_pass_barrier(struct live *l, struct hf_err *err)
{
    enum hf_code rc = barrier(l, HAND_OVER_MS / 10, err);

    if (rc == HF_BUSY && checkpointer_waits(l))
        return HF_OK;
    if (rc == HF_BUSY)
        rc = barrier(l, HAND_OVER_MS, err);
    return rc == HF_BUSY && checkpointer_waits(l) ? HF_OK : rc;
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
    enum hf_code rc = conn_file_pages(live_holder(l), l->page_bytes, &file_pages, err);

    if (rc != HF_OK || file_pages >= end->commit)
        return rc;
    missing = end->commit - file_pages;
    if (lock_page > file_pages && lock_page <= end->commit)
        missing--;
    for (size_t i = 0; i < log->count; i++)
        missing -= log->refs[i].pgno > file_pages && log->refs[i].frame > 0 ? 1 : 0;
    if (missing == 0)
        return HF_OK;
    const struct image image = live_image_at(l, live_holder(l), end, log);

    rc = image_read_pages(&image, 1, 1, first, err);
    if (rc != HF_OK || missing <= hf_get_be32(first + FREE_PAGES_OFFSET))
        return rc;
    return conn_check_size(live_holder(l), l->page_bytes, end->commit, err);
}

/* The same before any checkpoint of ours, which would fill up a file that was cut off. */
static enum hf_code check_size_first(struct live *l, const struct walindex *index,
                                     struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch log = {0};
    uint64_t file_pages = 0;
    enum hf_code rc = conn_file_pages(live_holder(l), l->page_bytes, &file_pages, err);

    if (rc != HF_OK || file_pages >= index->end.commit || index->end.frame == 0)
        return rc;
    rc = live_read_whole_log(l, &index->end, &log, err);
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
    const enum hf_code rc = conn_walindex(live_other(l), &index, err);

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
    enum hf_code rc = conn_begin(live_holder(l), err);

    if (rc != HF_OK)
        return rc;
    rc = conn_pragma(live_holder(l), "PRAGMA page_size", &l->page_bytes, err);
    if (rc == HF_OK)
        rc = conn_begin_known(live_other(l), &l->ckpt, &hold, ret_index, err);
    if (rc == HF_OK && hold == CONN_HOLD_MARK)
        rc = check_size_first(l, ret_index, err);
    if (rc == HF_OK)
        rc = barrier(l, HAND_OVER_MS, err);
    if (rc == HF_OK)
        rc = check_not_struck(l, err);
    if (rc != HF_OK) {
        conn_end(live_other(l));
        conn_end(live_holder(l));
        return rc;
    }
    live_hand_over(l, hold);
    return HF_OK;
}

enum hf_code live_hold_on(struct live *l, struct walindex *ret_index, struct hf_err *err)
{
    const int64_t until_us = hf_mono_us(l->o.clock) + ATTACH_MS_MAX * INT64_C(1000);

    for (;;) {
        const enum hf_code rc = try_hold(l, ret_index, err);

        if (rc != HF_BUSY || hf_mono_us(l->o.clock) >= until_us)
            return rc;
        hf_sleep_ms(l->o.clock, ATTACH_PAUSE_MS);
    }
}

enum hf_code live_leave_zero(struct live *l, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    enum hf_code rc = conn_begin_known(live_other(l), NULL, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (hold != CONN_HOLD_MARK)
        rc = hf_err_set(err, HF_BUSY, "frames are there, and yet no mark could be had");
    if (rc == HF_OK)
        rc = live_pass_barrier(l, err);
    if (rc == HF_OK && !wal_position_same_log(&index.end, &l->from)) {
        const struct wal_position start = {.salt = {index.end.salt[0], index.end.salt[1]},
                                           .commit = l->from.commit};

        rc = live_move_position(l, &start, err);
    }
    if (rc != HF_OK) {
        conn_end(live_other(l));
        return rc;
    }
    live_hand_over(l, CONN_HOLD_MARK);
    return HF_OK;
}
