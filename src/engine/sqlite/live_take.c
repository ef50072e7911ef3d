/* SPDX-License-Identifier: Apache-2.0 */
/* live_take.c - segments are made of pages, given to the taker, and told to the digest. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/live.h"

#define CLOCK_BEHIND_MS 2000 /* less is a clock that is being disciplined */

struct hf_state live_state_at(const struct digest_mark *m)
{
    return (struct hf_state){
        .txid = m->txid,
        .time_ms = m->time_ms,
        .page_bytes = m->page_bytes,
        .pages_count = m->pages_count,
        .has_root = m->has_root,
        .root = m->root,
    };
}

void live_publish_state(struct live *l)
{
    l->state = live_state_at(digest_mark(l->digest));
}

void live_forget_untold(struct live *l)
{
    hf_free(l->untold.changes);
    l->untold = (struct untold){0};
}

/* Restore points cannot be told apart by time until the clock has come up to `last_ms` again. */
static void watch_clock(struct live *l, int64_t now_ms, int64_t last_ms)
{
    const bool behind = now_ms < last_ms - CLOCK_BEHIND_MS;

    if (behind && !l->clock_behind)
        hf_log(HF_LOG_ERROR,
               "%s: the clock stands %" PRId64
               " s before the time of the last segment: it was set back. What is archived until it "
               "has come up to that time carries that time, and can be restored by --txid only",
               l->db_path, (last_ms - now_ms) / 1000);
    l->clock_behind = behind;
}

struct digest_mark live_next_mark(struct live *l, const struct wal_position *end)
{
    const struct digest_mark *now = digest_mark(l->digest);
    const int64_t time_ms = hf_now_ms(l->o.clock);

    watch_clock(l, time_ms, now->time_ms);
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

struct hf_ltx_header live_header_at(const struct live *l, const struct digest_mark *mark)
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
        .clamped = mark->txid > 1 && l->clock_behind,
    };
}

struct image live_image_at(struct live *l, struct conn *conn, const struct wal_position *end,
                           const struct stretch *frames)
{
    return (struct image){
        .conn = conn,
        .wal = &l->wal,
        .page_bytes = l->page_bytes,
        .pages_count = end->commit,
        .refs = frames->refs,
        .refs_count = frames->count,
        .seed = l->o.seed,
        .pool = l->o.pool,
        .stop = l->o.stop,
    };
}

/* ---- one segment ------------------------------------------------------------------------------
 */

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

enum hf_code live_tell_digest(struct live *l, struct hf_err *err)
{
    const struct untold *u = &l->untold;

    if (!u->is)
        return HF_OK;
    const enum hf_code rc = digest_commit(l->digest, u->changes, u->count, &u->mark, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "local state after TXID %" PRIu64, u->mark.txid);
    live_forget_untold(l);
    live_publish_state(l);
    return HF_OK;
}

enum hf_code live_take_changes(struct live *l, const struct image *image,
                               const struct digest_change *changes, size_t count,
                               struct digest_mark *mark, struct hf_ltx_header *header,
                               struct hf_taker *t, struct hf_err *err)
{
    HF_AUTO_FREE uint32_t *pgnos = hf_calloc(count, sizeof(*pgnos));
    enum hf_code rc = digest_next(l->digest, changes, count, mark, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < count; i++)
        pgnos[i] = changes[i].pgno;
    header->root = mark->root;
    rc = image_emit(image, (struct page_set){.pgnos = pgnos, .count = count}, header, mark->sum, t,
                    err);
    if (rc != HF_OK)
        return rc;
    l->untold = (struct untold){.mark = *mark, .count = count, .is = true};
    l->untold.changes = hf_calloc(count, sizeof(*changes));
    if (count > 0)
        (void)memcpy(l->untold.changes, changes, count * sizeof(*changes));
    l->from = mark->wal;
    return live_tell_digest(l, err);
}

enum hf_code live_capture_stretch(struct live *l, const struct stretch *s,
                                  const struct wal_position *end, struct hf_taker *t,
                                  struct hf_err *err)
{
    const struct image image = live_image_at(l, live_holder(l), end, s);
    const struct page_set set = {.pgnos = s->pgnos, .count = s->count};
    struct digest_mark mark = live_next_mark(l, end);
    struct hf_ltx_header header = live_header_at(l, &mark);
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
    return live_take_changes(l, &image, list.changes, list.count, &mark, &header, t, err);
}

/* ---- the log ----------------------------------------------------------------------------------
 */

enum hf_code live_read_wal_header(struct live *l, const struct wal_position *end,
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

enum hf_code live_read_stretch(struct live *l, const struct wal_position *from,
                               const struct wal_position *end, struct stretch *ret,
                               struct hf_err *err)
{
    struct wal_header h;
    const enum hf_code rc = live_read_wal_header(l, end, &h, err);

    if (rc != HF_OK)
        return rc;
    return stretch_read(&l->wal, &h, from, end, (uint32_t)l->state.pages_count, ret, err);
}

enum hf_code live_read_whole_log(struct live *l, const struct wal_position *end,
                                 struct stretch *ret, struct hf_err *err)
{
    struct wal_header h;
    struct wal_position start = *end;
    const enum hf_code rc = live_read_wal_header(l, end, &h, err);

    if (rc != HF_OK)
        return rc;
    start.frame = 0;
    return stretch_read(&l->wal, &h, &start, end, end->commit, ret, err);
}

enum hf_code live_capture_to(struct live *l, const struct wal_position *end, struct hf_taker *t,
                             struct hf_err *err)
{
    HF_CLEANUP(stretch_done) struct stretch s = {0};
    const enum hf_code rc = live_read_stretch(l, &l->from, end, &s, err);

    return rc == HF_OK ? live_capture_stretch(l, &s, end, t, err) : rc;
}

enum hf_code live_move_position(struct live *l, const struct wal_position *end, struct hf_err *err)
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
