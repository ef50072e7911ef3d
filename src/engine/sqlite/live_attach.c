/* SPDX-License-Identifier: Apache-2.0 */
/* live_attach.c - does the log continue where capture ended (C7), and attaching by that. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/live.h"
#include "engine/sqlite/rest_note.h"

static enum hf_code ignore_frame(void *ctx, const struct wal_frame *f, struct hf_err *err)
{
    (void)ctx;
    (void)f;
    (void)err;
    return HF_OK;
}

/* HF_DAMAGE: the last image that the log has, up to `pos`, of a page is not the digest's. */
static enum hf_code log_leads_to_digest(struct live *l, const struct wal_position *pos,
                                        struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    size_t kept = 0;
    const enum hf_code rc = live_read_whole_log(l, pos, &s, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < s.count; i++) {
        if (s.refs[i].frame > 0)
            s.pgnos[kept++] = s.refs[i].pgno;
    }
    const struct image image = live_image_at(l, live_holder(l), pos, &s);

    return live_check_pages(l, &image, (struct page_set){.pgnos = s.pgnos, .count = kept}, err);
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
    return rc == HF_OK && live_read_wal_header(l, end, &h, &ignored) == HF_OK &&
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

void live_forget_owed(struct live *l)
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
    const enum hf_code rc = live_read_stretch(l, &l->from, end, &l->owed_pages, err);

    for (size_t i = 0; rc == HF_OK && i < l->owed_pages.count; i++)
        l->owed_pages.refs[i].frame = 0;
    l->owed = *end;
    l->owes = rc == HF_OK;
    return rc;
}

/* The WAL has nothing: a database whose file is the one that was noted has not changed. */
static bool wal_is_empty(struct live *l)
{
    struct hf_stat st;
    struct hf_err err;
    const enum hf_code rc = hf_fs_stat(l->o.fs, l->wal_path, &st, &err);

    return rc == HF_NOT_FOUND || (rc == HF_OK && st.size_bytes == 0);
}

/*
 * C7, where there was no log when we came: the file is the one that was noted at rest. What the
 * log has now was committed since, and if any of it had been backfilled, or an older log before
 * it, the file would show that.
 */
static bool is_as_noted(struct live *l, const struct walindex *index, bool wal_was_empty)
{
    return wal_was_empty && (index->end.frame == 0 || l->hold == CONN_HOLD_MARK) &&
           rest_note_holds(l->o.fs, l->rest_path, l->db_path, digest_mark(l->digest)->txid);
}

/* The database as noted is where this log begins. Kept, too: logs that are empty look alike, and
 * the end of this one must not be taken for that of an earlier TXID. */
static enum hf_code begin_log(struct live *l, const struct walindex *index, struct hf_err *err)
{
    const struct wal_position start = {.salt = {index->end.salt[0], index->end.salt[1]},
                                       .commit = (uint32_t)l->state.pages_count};

    return live_move_position(l, &start, err);
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
        *ret_lost = *ret_lost && walindex_read(live_holder(l)->shm, &now) &&
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
static enum hf_code judge_need(struct live *l, const struct walindex *index, bool wal_was_empty,
                               enum hf_live_need *ret_need, bool *ret_lost, struct hf_err *err)
{
    const struct digest_mark *m = digest_mark(l->digest);

    l->from = index->end; /* until a position is known; snapshot and catch-up set it */
    live_forget_owed(l);
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
    if (is_as_noted(l, index, wal_was_empty)) {
        *ret_need = HF_LIVE_FOLLOW;
        return begin_log(l, index, err);
    }
    *ret_need = judge_position(l, index, ret_lost);
    return HF_OK;
}

void live_detach(struct hf_live *base)
{
    struct live *l = live_of(base);

    live_note_rest(l);
    live_forget_snapshot(l);
    conn_close(&l->readers[0]);
    conn_close(&l->readers[1]);
    conn_close(&l->ckpt);
    wal_file_close(&l->wal);
    live_forget_owed(l);
    l->attached = false;
    l->broken = false;
    l->resting = false;
    l->waited_us = 0;
    l->aside_us = 0;
    l->hold = CONN_HOLD_NONE;
}

enum hf_code live_attach(struct hf_live *base, enum hf_live_need *ret_need, bool *ret_lost,
                         struct hf_err *err)
{
    struct live *l = live_of(base);
    struct walindex index;

    hf_assert(!l->attached);
    const bool wal_was_empty = wal_is_empty(l); /* opening the database makes one */

    *ret_lost = false;
    enum hf_code rc = live_tell_digest(l, err);

    if (rc == HF_OK)
        rc = open_connections(l, err);
    if (rc == HF_OK)
        rc = companions_keep_owner(l->db_path, err);
    if (rc == HF_OK)
        rc = companions_read(l->db_path, &l->files, err);
    if (rc == HF_OK)
        rc = wal_file_open(l->o.fs, l->wal_path, &l->wal, err);
    if (rc == HF_OK)
        rc = live_hold_on(l, &index, err);
    if (rc == HF_OK)
        rc = judge_need(l, &index, wal_was_empty, ret_need, ret_lost, err);
    if (rc != HF_OK) {
        live_detach(base);
        return rc;
    }
    l->attached = true;
    return HF_OK;
}
