/* SPDX-License-Identifier: Apache-2.0 */
/* live_round.c - one round: check, capture, hand over, seal, rest (C2 to C5). */
#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/live.h"
#include "engine/sqlite/rest_note.h"

#define FILES_CHECK_US 1000000
/* To the next round, in ms: while somebody waits for us; and at rest, commits having been made not
 * long ago, as they go on, and a checkpoint behind the next one would wait. */
#define WAITED_FOR_MS      5
#define LIVELY_MS          10
#define LIVELY_US          2000000
#define BUSY_POLL_US       110000  /* SQLite's busy handler looks again after 100 ms at most */
#define SEAL_EVERY_US      1000000 /* at a pause ... */
#define SEAL_LONG_EVERY_US 200000  /* ... and of a log that is long, pause or not */
/* Applications begin checkpoints of their own at 1000 frames. From half of that on a log is sealed
 * when a segment is due anyway, as a seal makes one; and in time before that in any case. */
#define SEAL_LONG_FRAMES   500
#define SEAL_URGENT_FRAMES 800
#define SEAL_VAIN_FRAMES   1500 /* its writer makes no pauses: now and then is enough */
#define SEAL_TRIES         6
#define SEAL_NEAR_FRAMES   64 /* left to backfill: the next try may be the one */
#define SEAL_BUSY_TRIES    20 /* past the limit, a ms each, for a checkpointer to end */
#define LOCKED_EVERY_US    1000000
#define LOCKED_TRIES       10 /* to get the write lock between two transactions ... */
#define LOCKED_PAUSES_MAX  20 /* ... behind so many ms, until nobody is at a checkpoint */
#define LOCKED_BUSY_TRIES  3  /* a ms each, for one who is all the same */
/* To capture, or to backfill, under the write lock: what a writer at full speed adds during two
 * syncs, several times over; of large pages fewer, and few where a checkpoint is slow. */
#define LOCKED_SEAL_FRAMES_MAX 1024
#define LOCKED_SEAL_FRAMES_MIN 64
#define LOCKED_SEAL_BYTES_MAX  (4U << 20)
#define SLOW_CHECKPOINT_US     30000
/* Behind the mark: more would make the application's own checkpoint, which comes when the mark has
 * moved, long for one commit. */
#define MARK_BEHIND_FRAMES_MAX 1000

/* C3, as far as files go; at most once a second. */
static enum hf_code check_files(struct live *l, struct hf_err *err)
{
    const int64_t now_us = hf_mono_us(l->o.clock);
    struct companions now;

    if (now_us - l->files_checked_us < FILES_CHECK_US && l->files_checked_us != 0)
        return HF_OK;
    l->files_checked_us = now_us;
    if (companions_read(l->db_path, &now, err) != HF_OK)
        return live_break_off(l, err);
    if (!companions_equal(&now, &l->files) || conn_has_moved(live_holder(l))) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "%s, its -wal or its -shm was replaced while it was followed (%s)",
                         l->db_path, companions_difference(&now, &l->files));
        return live_break_off(l, err);
    }
    live_note_rest(l);
    return HF_OK;
}

/* C3, as far as the log goes: `index` continues what was captured. */
static enum hf_code check_log(struct live *l, const struct walindex *index, struct hf_err *err)
{
    if (!wal_position_same_log(&index->end, &l->from)) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "the WAL of %s was restarted while a reader of ours held it", l->db_path);
        return live_break_off(l, err);
    }
    if (index->end.frame < l->from.frame ||
        (index->end.frame == l->from.frame && l->from.frame > 0 &&
         !wal_position_equal(&index->end, &l->from))) {
        (void)hf_err_set(err, HF_CONFLICT,
                         "the WAL of %s went back from frame %u to %u: commits that were captured "
                         "are gone from the live database",
                         l->db_path, l->from.frame, index->end.frame);
        return live_break_off(l, err);
    }
    return HF_OK;
}

static enum hf_code capture_counted(struct live *l, const struct wal_position *end,
                                    struct hf_round *round, struct hf_taker *t, struct hf_err *err)
{
    const enum hf_code rc = live_capture_to(l, end, t, err);

    if (rc == HF_OK)
        round->segments_count++;
    return rc;
}

/* End a segment at the position asked for, if it lies ahead in this log. */
static enum hf_code capture_until(struct live *l, const struct walindex *index,
                                  struct hf_round *round, struct hf_taker *t, struct hf_err *err)
{
    struct wal_position until;
    uint8_t head[WAL_FRAME_HEADER_BYTES];

    if (round->until == NULL || wal_position_import(round->until, &until, err) != HF_OK)
        return HF_OK; /* whoever asks for what is no position gets none */
    if (!wal_position_same_log(&until, &index->end) || until.frame <= l->from.frame ||
        until.frame > index->end.frame ||
        wal_read_frame_header(&l->wal, l->page_bytes, until.frame, head, err) != HF_OK ||
        !wal_frame_is_at(head, &until))
        return HF_OK;
    return capture_counted(l, &until, round, t, err);
}

/*
 * C5: all is captured, and a checkpoint waits. If it still does after it must have looked again, it
 * may wait for the very mark on which we are, although that stands at the end of the log: then
 * another one is held for a while (ADR 0005).
 */
static void give_way(struct live *l, const struct walindex *index)
{
    const int64_t now_us = hf_mono_us(l->o.clock);
    struct hf_err ignored;

    if (l->hold != CONN_HOLD_MARK || index->end.frame != l->from.frame ||
        !companions_checkpointer_waits(&l->files)) {
        l->waited_us = 0;
        return;
    }
    if (l->waited_us == 0)
        l->waited_us = now_us;
    if (now_us - l->waited_us < BUSY_POLL_US ||
        conn_hold_mark(live_other(l), index, &ignored) != HF_OK)
        return;
    live_hand_over(l, CONN_HOLD_MARK);
    l->aside_us = now_us;
    l->waited_us = 0;
}

/* On a mark without a transaction, for as long as a checkpoint needs to get the one that was left.
 */
static bool is_aside(struct live *l)
{
    if (l->aside_us != 0 && hf_mono_us(l->o.clock) - l->aside_us >= BUSY_POLL_US)
        l->aside_us = 0;
    return l->aside_us != 0;
}

static void note_log(struct live *l, const struct walindex *index, struct hf_round *round)
{
    round->log_bytes = (uint64_t)index->end.frame * (WAL_FRAME_HEADER_BYTES + l->page_bytes);
    l->log_frames = index->end.frame;
    l->log_frames_left = index->end.frame - index->backfill;
}

/*
 * C2 without a hand-over, on a mark that is not far behind: nothing is to be captured now, lock 0
 * is not to be had, and nobody is at a checkpoint, so nobody waits for the mark. Then what is held
 * is as good as what would be, and one look at shared memory is enough. False: it takes more than
 * that.
 */
static enum hf_code look(struct live *l, struct hf_round *round, bool *ret_enough,
                         struct hf_err *err)
{
    struct walindex index;

    *ret_enough = false;
    const bool seen = conn_checkpointer_seen(live_other(l));

    l->is_waited_for = seen && companions_checkpointer_waits(&l->files);
    if (seen || round->until != NULL || l->waited_us != 0 ||
        conn_walindex(live_holder(l), &index, err) != HF_OK)
        return HF_OK;
    if ((round->cut && !wal_position_equal(&index.end, &l->from)) ||
        index.backfill == index.end.frame ||
        index.end.frame - l->mark_frame > MARK_BEHIND_FRAMES_MAX)
        return HF_OK;
    const enum hf_code rc = check_log(l, &index, err);

    note_log(l, &index, round);
    round->looked = true;
    round->current = index.end.frame == l->from.frame;
    *ret_enough = rc == HF_OK;
    return rc;
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
    enum hf_code rc = conn_begin_known(live_other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    note_log(l, &index, round);
    rc = check_log(l, &index, err);
    if (rc == HF_OK)
        rc = capture_until(l, &index, round, t, err);
    if (rc == HF_OK && index.end.frame > l->from.frame && (round->cut || hold != CONN_HOLD_MARK))
        rc = capture_counted(l, &index.end, round, t, err);
    if (rc != HF_OK) {
        conn_end(live_other(l));
        return rc;
    }
    live_hand_over(l, hold);
    l->mark_frame = index.end.frame;
    give_way(l, &index);
    round->looked = true;
    round->current = index.end.frame == l->from.frame;
    return HF_OK;
}

static uint32_t locked_frames_max(const struct live *l)
{
    const uint32_t fit = LOCKED_SEAL_BYTES_MAX / l->page_bytes;

    if (l->checkpoint_us > SLOW_CHECKPOINT_US || fit < LOCKED_SEAL_FRAMES_MIN)
        return LOCKED_SEAL_FRAMES_MIN;
    return fit < LOCKED_SEAL_FRAMES_MAX ? fit : LOCKED_SEAL_FRAMES_MAX;
}

/* Is it worth trying again? While much is left, only if less and less is. */
static bool seal_gains(uint32_t left_before, uint32_t left)
{
    return left <= SEAL_NEAR_FRAMES || left <= left_before / 2;
}

/* A checkpoint of ours; while another is at work, past the limit, soon again: such an application
 * is at one most of the time. */
static enum hf_code seal_checkpoint(struct live *l, bool past_limit, struct hf_err *err)
{
    int64_t began_us = hf_mono_us(l->o.clock);
    enum hf_code rc = conn_checkpoint(&l->ckpt, err);

    for (int i = 0; rc == HF_BUSY && past_limit && i < SEAL_BUSY_TRIES; i++) {
        hf_sleep_ms(l->o.clock, 1);
        began_us = hf_mono_us(l->o.clock);
        rc = conn_checkpoint(&l->ckpt, err);
    }
    l->checkpoint_us = hf_mono_us(l->o.clock) - began_us;
    return rc;
}

/* C4, without the write lock: backfill, and see whether lock 0 is to be had; past the limit, until
 * so little is left that it can be done under the write lock. */
static enum hf_code try_seal(struct live *l, struct hf_round *round, struct hf_taker *t,
                             bool past_limit, struct hf_err *err)
{
    bool gains = true;

    for (int i = 0; i < SEAL_TRIES && gains && l->hold == CONN_HOLD_MARK && !is_aside(l); i++) {
        const uint32_t left_before = l->log_frames_left;
        enum hf_code rc = seal_checkpoint(l, past_limit, err);

        if (rc == HF_BUSY)
            return HF_OK; /* somebody else is at it */
        if (rc != HF_OK) {
            hf_log(HF_LOG_WARN, "%s: %s; the WAL stays as long as it is", l->db_path, err->text);
            return HF_OK; /* what was to be captured is captured */
        }
        rc = follow(l, round, t, err);
        if (rc != HF_OK)
            return rc;
        gains = seal_gains(left_before, l->log_frames_left) ||
                (past_limit && l->log_frames_left > locked_frames_max(l));
    }
    return HF_OK;
}

/*
 * All was just captured, so what comes meanwhile makes a segment at the end at most, if lock 0 is
 * to be had; or at once, where the write lock is to be taken next, under which little is to be left
 * to do.
 */
static enum hf_code seal(struct live *l, struct hf_round *round, struct hf_taker *t,
                         bool past_limit, struct hf_err *err)
{
    const bool cut = round->cut;

    l->sealed_us = hf_mono_us(l->o.clock);
    round->cut = cut && past_limit;
    const enum hf_code rc = try_seal(l, round, t, past_limit, err);

    round->cut = cut;
    return rc;
}

/* While the write lock is ours, a checkpointer can only be one that began before. */
static enum hf_code checkpoint_with_lock(struct live *l, struct hf_err *err)
{
    enum hf_code rc = conn_checkpoint(&l->ckpt, err);

    for (int i = 0; rc == HF_BUSY && i < LOCKED_BUSY_TRIES; i++) {
        hf_sleep_ms(l->o.clock, 1);
        rc = conn_checkpoint(&l->ckpt, err);
    }
    return rc;
}

/* With the write lock held by the other reader, so that nothing is added: C4 under `seal: auto`. */
static enum hf_code seal_with_lock(struct live *l, struct hf_round *round, struct hf_taker *t,
                                   struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex(live_other(l), &index, err);

    if (rc == HF_OK)
        rc = check_log(l, &index, err);
    if (rc != HF_OK)
        return rc;
    if (index.end.frame - index.backfill > locked_frames_max(l) ||
        index.end.frame - l->from.frame > locked_frames_max(l))
        return HF_OK; /* it would take too long */
    if (index.end.frame > l->from.frame)
        rc = capture_counted(l, &index.end, round, t, err);
    if (rc != HF_OK)
        return rc;
    conn_end(live_holder(l)); /* the other one holds a mark, and nobody else can write */
    rc = checkpoint_with_lock(l, err);
    if (rc != HF_OK && rc != HF_BUSY)
        hf_log(HF_LOG_WARN, "%s: %s; the WAL stays as long as it is", l->db_path, err->text);
    if (conn_begin_known(live_holder(l), &l->ckpt, &l->hold, &index, err) == HF_OK)
        return HF_OK;
    /* Whichever lock this gets: all is captured and nobody can write, so lock 0's rules hold. */
    l->hold = CONN_HOLD_EITHER;
    rc = conn_begin(live_holder(l), err);
    return rc == HF_OK ? HF_OK : live_break_off(l, err);
}

/*
 * The write lock, if it is free at one of a few looks: an application that writes without a pause
 * has it for most of the time, and is not to be made to wait. It would be had most easily while the
 * application is at a checkpoint of its own, which its long log and our newer mark lead it to: and
 * then for nothing, so that is waited for first.
 */
static enum hf_code take_write(struct live *l, struct hf_err *err)
{
    for (int i = 0; i < LOCKED_PAUSES_MAX && conn_checkpointer_seen(live_other(l)); i++)
        hf_sleep_ms(l->o.clock, 1);
    for (int i = 1; i < LOCKED_TRIES; i++) {
        const enum hf_code rc = conn_begin_write(live_other(l), err);

        if (rc != HF_BUSY)
            return rc;
    }
    return conn_begin_write(live_other(l), err);
}

/* Past the limit only, at most once a second, right behind a seal without the lock. */
static enum hf_code seal_past_limit(struct live *l, struct hf_round *round, struct hf_taker *t,
                                    struct hf_err *err)
{
    if (l->hold != CONN_HOLD_MARK || is_aside(l) || l->log_frames_left > locked_frames_max(l))
        return HF_OK;
    l->locked_us = hf_mono_us(l->o.clock);
    enum hf_code rc = take_write(l, err);

    if (rc == HF_BUSY)
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    rc = seal_with_lock(l, round, t, err);
    conn_end(live_other(l));
    return rc;
}

/* `quiet`: a segment could have been made, and nothing was new. */
static bool seal_is_due(const struct live *l, const struct hf_round *round, bool quiet)
{
    const int64_t since_us = hf_mono_us(l->o.clock) - l->sealed_us;
    const uint32_t long_frames = round->cut ? SEAL_LONG_FRAMES : SEAL_URGENT_FRAMES;
    const int64_t pause_us = l->log_frames < SEAL_VAIN_FRAMES ? SEAL_LONG_EVERY_US : SEAL_EVERY_US;

    return l->hold == CONN_HOLD_MARK && ((quiet && since_us >= SEAL_EVERY_US) ||
                                         (l->log_frames >= long_frames && since_us >= pause_us));
}

/* Only when everything was just captured: under the lock little is to be left to do. */
static bool locked_seal_is_due(const struct live *l, const struct hf_round *round)
{
    return round->cut && round->log_bytes > l->o.log_bytes_max && !l->o.never_lock &&
           hf_mono_us(l->o.clock) - l->locked_us >= LOCKED_EVERY_US;
}

/* Nothing new since we came to rest: one look at shared memory. Somebody else's recovery of the
 * wal-index may bring back the same header, with nothing backfilled. */
static bool still_resting(struct live *l)
{
    struct walindex index;

    return l->resting && walindex_read(live_holder(l)->shm, &index) &&
           walindex_same(&index, &l->resting_at) && index.backfill >= index.end.frame;
}

void live_note_rest(struct live *l)
{
    if (!l->rest_noted && still_resting(l))
        l->rest_noted = rest_note_write(l->o.fs, l->rest_path, l->db_path, l->state.txid,
                                        hf_now_us(l->o.clock));
}

/*
 * Is there anything to leave lock 0 for? Frames that are new, or, after a recovery (A10), to be
 * backfilled again, which lock 0 keeps from being done. A restarted, still empty WAL is not.
 */
static bool has_to_leave(const struct live *l, const struct walindex *index)
{
    if (!wal_position_same_log(&index->end, &l->from))
        return index->end.frame != 0;
    return index->end.frame != l->from.frame || index->backfill < index->end.frame;
}

/* Attached on lock 0 with frames that were not captured: their pages come from the file, which
 * nobody can change. */
static enum hf_code capture_owed(struct live *l, struct hf_round *round, struct hf_taker *t,
                                 struct hf_err *err)
{
    enum hf_code rc = conn_check_size(live_holder(l), l->page_bytes, l->owed.commit, err);

    if (rc == HF_OK)
        rc = live_capture_stretch(l, &l->owed_pages, &l->owed, t, err);
    if (rc == HF_OK)
        round->segments_count++;
    if (rc == HF_OK || l->untold.is)
        live_forget_owed(l);
    return rc;
}

/* Hold by another reader, in the hope that it is lock 0 for certain; not if that has to be left. */
static enum hf_code make_sure(struct live *l, struct hf_err *err)
{
    struct walindex index;
    enum conn_hold hold;
    const enum hf_code rc = conn_begin_known(live_other(l), &l->ckpt, &hold, &index, err);

    if (rc != HF_OK)
        return rc;
    if (hold == CONN_HOLD_MARK || has_to_leave(l, &index))
        conn_end(live_other(l));
    else
        live_hand_over(l, hold);
    return HF_OK;
}

/* Not on a mark. Rest, unless `*ret_leave`. */
static enum hf_code rest(struct live *l, bool *ret_leave, struct hf_err *err)
{
    struct walindex index;
    enum hf_code rc = conn_walindex_recovered(live_other(l), &index, err);

    if (rc != HF_OK)
        return rc;
    *ret_leave = has_to_leave(l, &index);
    if (*ret_leave)
        return HF_OK;
    if (!wal_position_same_log(&index.end, &l->from)) {
        rc = live_move_position(l, &index.end, err);
        if (rc != HF_OK)
            return rc;
    }
    if (l->hold == CONN_HOLD_EITHER)
        return make_sure(l, err);
    l->resting = true;
    l->rested_us = hf_mono_us(l->o.clock);
    l->resting_at = index;
    l->rest_noted = false;
    return HF_OK;
}

/* Lock 0's part of a round; on a mark afterwards, unless `*ret_done`. */
static enum hf_code round_on_zero(struct live *l, struct hf_round *round, struct hf_taker *t,
                                  bool *ret_done, struct hf_err *err)
{
    bool leave = false;
    enum hf_code rc = HF_OK;

    l->resting = false;
    if (l->owes)
        rc = capture_owed(l, round, t, err);
    if (rc == HF_OK)
        rc = rest(l, &leave, err);
    *ret_done = !leave;
    if (rc != HF_OK || !leave)
        return rc;
    return live_leave_zero(l, err);
}

static enum hf_code round_on_mark(struct live *l, struct hf_round *round, struct hf_taker *t,
                                  struct hf_err *err)
{
    const uint32_t from_frame = l->from.frame;
    bool enough = false;
    enum hf_code rc = look(l, round, &enough, err);

    if (rc != HF_OK || (enough && !seal_is_due(l, round, round->cut)))
        return rc;
    rc = follow(l, round, t, err);
    if (rc != HF_OK)
        return rc;
    const bool locked = locked_seal_is_due(l, round);

    if (locked || seal_is_due(l, round, l->from.frame == from_frame && round->cut))
        rc = seal(l, round, t, locked, err);
    if (rc == HF_OK && locked)
        rc = seal_past_limit(l, round, t, err);
    return rc;
}

static enum hf_code run_round(struct live *l, struct hf_round *round, struct hf_taker *t,
                              struct hf_err *err)
{
    bool done = false;
    enum hf_code rc = live_tell_digest(l, err);

    l->is_waited_for = false;
    if (rc == HF_OK && l->hold != CONN_HOLD_MARK)
        rc = round_on_zero(l, round, t, &done, err);
    if (rc != HF_OK || done || is_aside(l))
        return rc;
    return round_on_mark(l, round, t, err);
}

enum hf_code live_round(struct hf_live *base, struct hf_round *round, struct hf_taker *t,
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
    if (l->resting && hf_mono_us(l->o.clock) - l->rested_us < LIVELY_US)
        round->wait_ms = LIVELY_MS;
    if ((l->waited_us != 0 || l->is_waited_for) && l->hold == CONN_HOLD_MARK)
        round->wait_ms = WAITED_FOR_MS;
    round->waited_for = l->waited_us != 0 || l->aside_us != 0 ||
                        (round->until != NULL && companions_checkpointer_waits(&l->files));
    round->resting = l->resting;
    round->current = round->current || l->resting;
    round->looked = round->looked || l->resting;
    return rc;
}
