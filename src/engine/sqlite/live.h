/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - private to the files of capture: the state of one followed database, and the steps that
 * they share. The protocol and why it holds are in engine/sqlite/DESIGN.md; the rules cited as
 * C1..C10 are there.
 *
 * Invariants, from attach to detach:
 * 1. One of our two readers holds a read transaction at all times. It is ended only after the other
 *    holds one.
 * 2. `from` is where capture goes on: everything up to it is in the digest and was taken, or is in
 *    the snapshot's image. Frames behind it stay in the WAL: on a mark nobody can restart the WAL;
 *    on lock 0 everything was captured and backfilled when the lock was taken (but for `owed`), and
 *    of the frames that come after that none can be backfilled, so the WAL restarts at most once.
 * 3. Lock 0 is left only while a mark is held as well, and only after it is known that no
 *    checkpointer is left that read the wal-index header before that restart (C1).
 * 4. The digest moves only after the taker has committed the segment. A segment that was taken is
 *    never made again: until the digest has followed (`untold`), nothing else is done. Only TXID 1
 *    is in the digest before it is taken: its bytes stay as they are until then (`snapshot`).
 * 5. A hold that may be lock 0 or a mark (CONN_HOLD_EITHER) is treated as lock 0, except that
 *    capture does not rest on it.
 *
 * Threads: one, but for live_give_snapshot(), which may run beside everything else.
 */
#ifndef HF_ENGINE_SQLITE_LIVE_H
#define HF_ENGINE_SQLITE_LIVE_H

#include "engine/engine.h"
#include "engine/sqlite/companions.h"
#include "engine/sqlite/conn.h"
#include "engine/sqlite/digest.h"
#include "engine/sqlite/follow.h"
#include "engine/sqlite/image.h"

#define HAND_OVER_MS 50

/* A segment that the taker has, and the digest not yet. */
struct untold {
    struct digest_mark mark;
    struct digest_change *changes;
    size_t count;
    bool is; /* there is one */
};

/* A moment at which a reader holds the database still: position, and frames to read it with. */
struct moment {
    struct wal_position end;
    struct stretch frames; /* none on lock 0: everything is in the file, and the WAL may restart */
};

/* The image that is to be TXID 1, held by a reader of its own until it has been given. */
struct snapshot {
    struct conn reader;
    struct moment moment;
    struct digest_mark mark;
};

struct live {
    struct hf_live base; /* first, so that the pointers convert */
    struct hf_live_options o;
    char *db_path;
    char *wal_path;
    char *rest_path; /* see rest_note.h */
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
    struct snapshot snapshot;
    struct wal_file wal;
    struct companions files; /* identity of database, -wal and -shm */
    bool attached;
    bool broken; /* continuity broke: only detach is left */
    uint32_t page_bytes;
    int64_t files_checked_us;
    uint32_t mark_frame;      /* where the reader of the last hand-over stands */
    uint32_t log_frames;      /* of the log as it was last seen ... */
    uint32_t log_frames_left; /* ... and those not in the database file yet */
    int64_t sealed_us;
    int64_t checkpoint_us;      /* how long our last one took */
    int64_t locked_us;          /* the write lock was last tried for */
    struct walindex resting_at; /* the wal-index's header when we came to rest */
    bool resting;
    int64_t rested_us;  /* since when */
    int64_t waited_us;  /* since when an application's checkpoint waits, nothing being new; or 0 */
    bool is_waited_for; /* in this round, by a checkpoint that needs a newer mark than ours */
    int64_t aside_us;   /* since when the hold is one without a transaction (ADR 0005); or 0 */
    bool rest_noted;    /* of this rest */
    bool clock_behind;  /* the clock stands before the last segment's time; told once */
};

static inline struct live *live_of(struct hf_live *l)
{
    return (struct live *)l;
}

static inline struct conn *live_holder(struct live *l)
{
    return &l->readers[l->holder];
}

static inline struct conn *live_other(struct live *l)
{
    return &l->readers[1 - l->holder];
}

/* ---- live_take.c: segments, and the digest behind them -------------------------------------- */

/* What a mark tells a caller. */
struct hf_state live_state_at(const struct digest_mark *m);
/* Let the caller see the digest's state. */
void live_publish_state(struct live *l);
/* The mark of the next TXID, before its root is known: time never runs backwards. */
struct digest_mark live_next_mark(struct live *l, const struct wal_position *end);
/* The header of the segment that leads to `mark`. */
struct hf_ltx_header live_header_at(const struct live *l, const struct digest_mark *mark);
/* The database at `end`, as the reader `conn` holds it. */
struct image live_image_at(struct live *l, struct conn *conn, const struct wal_position *end,
                           const struct stretch *frames);
/* Let the digest follow the segment that was taken last (invariant 4). */
enum hf_code live_tell_digest(struct live *l, struct hf_err *err) HF_MUST_CHECK;
void live_forget_untold(struct live *l);
/* Give pages, whose entries are in `changes`, sorted, to the taker as the next TXID, and move the
 * digest. */
enum hf_code live_take_changes(struct live *l, const struct image *image,
                               const struct digest_change *changes, size_t count,
                               struct digest_mark *mark, struct hf_ltx_header *header,
                               struct hf_taker *t, struct hf_err *err) HF_MUST_CHECK;
/* The WAL's header, if it is that of `end`'s generation; else HF_DAMAGE. */
enum hf_code live_read_wal_header(struct live *l, const struct wal_position *end,
                                  struct wal_header *ret, struct hf_err *err) HF_MUST_CHECK;
/* What the log says was changed between two positions of it. */
enum hf_code live_read_stretch(struct live *l, const struct wal_position *from,
                               const struct wal_position *end, struct stretch *ret,
                               struct hf_err *err) HF_MUST_CHECK;
/* What the log holds up to `end`, from its first frame on. */
enum hf_code live_read_whole_log(struct live *l, const struct wal_position *end,
                                 struct stretch *ret, struct hf_err *err) HF_MUST_CHECK;
/* Make one segment of what the stretch from `from` to `end` changed. */
enum hf_code live_capture_stretch(struct live *l, const struct stretch *s,
                                  const struct wal_position *end, struct hf_taker *t,
                                  struct hf_err *err) HF_MUST_CHECK;
/* C2, on a mark: capture exactly what was committed behind `from` up to `end`. */
enum hf_code live_capture_to(struct live *l, const struct wal_position *end, struct hf_taker *t,
                             struct hf_err *err) HF_MUST_CHECK;
/* The state equals the digest's: only the position is a new one. */
enum hf_code live_move_position(struct live *l, const struct wal_position *end,
                                struct hf_err *err) HF_MUST_CHECK;

/* ---- live_hold.c: locks (C1) ------------------------------------------------------------------
 */

/* End the hold and let the other reader's be the only one (invariant 1). */
void live_hand_over(struct live *l, enum conn_hold hold);
/* Stop following for good: the reason stands in `err`, whose code becomes HF_CONFLICT. */
enum hf_code live_break_off(struct live *l, struct hf_err *err);
/* Begin to hold, behind the barrier; the header in force then. HF_BUSY: somebody was at a
 * checkpoint all the time; nothing is held. */
enum hf_code live_hold_on(struct live *l, struct walindex *ret_index,
                          struct hf_err *err) HF_MUST_CHECK;
/* While lock 0 is held, and a mark by the other reader: lock 0 may go. HF_BUSY: not yet. */
enum hf_code live_pass_barrier(struct live *l, struct hf_err *err) HF_MUST_CHECK;
/* Frames have come while we were on lock 0: hold a mark instead. HF_BUSY: try again; lock 0 is
 * still held. */
enum hf_code live_leave_zero(struct live *l, struct hf_err *err) HF_MUST_CHECK;

/* ---- live_attach.c: continuity (C7) ------------------------------------------------------------
 */

/* As in hf_live_ops. */
enum hf_code live_attach(struct hf_live *base, enum hf_live_need *ret_need, bool *ret_lost,
                         struct hf_err *err) HF_MUST_CHECK;
void live_detach(struct hf_live *base);
void live_forget_owed(struct live *l);

/* ---- live_whole.c: what reads every page --------------------------------------------------------
 */

/* As in hf_live_ops. */
enum hf_code live_snapshot(struct hf_live *base, struct hf_err *err) HF_MUST_CHECK;
enum hf_code live_give_snapshot(struct hf_live *base, struct hf_taker *t, hf_stop_flag *stop,
                                struct hf_err *err) HF_MUST_CHECK;
enum hf_code live_catch_up(struct hf_live *base, struct hf_taker *t, bool *ret_made,
                           struct hf_err *err) HF_MUST_CHECK;
void live_forget_snapshot(struct live *l);
/* HF_DAMAGE: the pages that the set names are not those of the digest. */
enum hf_code live_check_pages(struct live *l, const struct image *image, struct page_set set,
                              struct hf_err *err) HF_MUST_CHECK;

/* At rest: note which state the database file holds (rest_note.h), once a rest. */
void live_note_rest(struct live *l);

/* ---- live_round.c: the protocol's rounds (C2 to C5) ---------------------------------------------
 */

/* As in hf_live_ops. */
enum hf_code live_round(struct hf_live *base, struct hf_round *round, struct hf_taker *t,
                        struct hf_err *err) HF_MUST_CHECK;

#endif
