/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow.h - what a stretch of the WAL changed: the last frame of each page, and the pages that
 * the file gained without any frame.
 */
#ifndef HF_ENGINE_SQLITE_FOLLOW_H
#define HF_ENGINE_SQLITE_FOLLOW_H

#include "engine/sqlite/image.h"

/* Sorted by pgno, one a page; the caller frees with stretch_done(). */
struct stretch {
    struct frame_ref *refs;
    uint32_t *pgnos; /* the same pages, as image.h wants them */
    size_t count;
};

void stretch_done(struct stretch *s);

/*
 * Frames from->frame + 1 .. to->frame, verified from `from` to `to`: the last frame of every page
 * that is in the database at `to` (the lock page and pages behind its end are left out), and every
 * page above the smallest size that the database had on the way, which was `old_commit` before, up
 * to to->commit: such a page counts as changed even without a frame, or a later growth would
 * revive an old image of it. Read with a reader held that keeps these frames in place.
 * HF_DAMAGE  the frames are not those that were committed, or `to` is not the end of a transaction.
 */
enum hf_code stretch_read(struct wal_file *w, const struct wal_header *h,
                          const struct wal_position *from, const struct wal_position *to,
                          uint32_t old_commit, struct stretch *ret,
                          struct hf_err *err) HF_MUST_CHECK;

#endif
