/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - every live page once, from where readers of the database get it.
 *
 * While a read transaction holds the database at position m, with b frames backfilled when it
 * began: the newest frame f <= m of a page decides. None, or f <= b: readers may take the page from
 * the file, so the file's bytes are compared, from the device; with f <= b the frame is compared,
 * too. f > b: the file's page is old or being written, and the frame is compared. If b = m, the
 * transaction may hold lock 0 and the WAL may be restarted under it, and no frame is compared.
 *
 * A replica that ends before m is no measure for pages that the log changed since: they are parked.
 * Which ones these are is read from the frames, also of a log that is all backfilled.
 *
 * Invariants
 * 1. A page is told as different only after three looks, the last 60 ms after the first. The waits
 *    are for all pages of a slice together, so damage does not make a slice long.
 * 2. Pages are taken for free by proved bytes only: page 1 and the trunk pages have to be the
 *    replica's. Where one is not, what it would lead to is not free.
 * 3. A device that fails is asked for each page alone, so a bad sector costs only its own pages.
 * 4. A chunk is read while the one before it is compared, but never while the database is not held.
 */
#include "engine/sqlite/scan.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/pool.h"
#include "engine/sqlite/companions.h"
#include "engine/sqlite/conn.h"
#include "engine/sqlite/follow.h"
#include "engine/sqlite/freelist.h"
#include "engine/sqlite/pagehash.h"
#include "engine/sqlite/rawfile.h"
#include "engine/sqlite/replica.h"

#define PIN_TRIES_MAX   10000
#define CHUNK_BYTES_MAX (1U << 20)  /* a device answers few large reads faster */
#define CHUNK_BYTES_MIN (64U << 10) /* the largest page */
#define SUSPECTS_MAX    4096        /* pages that wait to be looked at again, in one go */
#define LOOKS_AGAIN     2
#define LOOK_AGAIN_MS   30
#define GIVE_WAY_US     50000 /* after this a slice looks whether a checkpoint waits for it */

/* Pages of the file that lie in one piece. */
struct chunk {
    struct scan *scan;
    struct hf_group *group; /* of the task that reads it */
    uint8_t *bytes;         /* aligned */
    uint32_t first;
    uint32_t count;
    size_t at; /* of the first page in `bytes` */
    size_t got;
    bool readable;
};

struct scan {
    struct hf_scan base; /* first, so that the pointers convert */
    struct hf_scan_options o;
    char *db_path;
    char *wal_path;
    struct conn conn;
    struct rawfile raw;
    struct wal_file wal;
    struct hf_page_hasher *hasher;
    uint32_t page_bytes;
    struct hf_pool *pool; /* one thread, which reads ahead */
    struct chunk chunks[2];
    uint32_t chunk_bytes;
    uint8_t *block; /* aligned: the blocks of one page */
    size_t block_bytes;
    uint8_t *page; /* one page out of the WAL */
    struct companions files;
    bool pinned;
    struct wal_position at; /* while pinned, as all below */
    uint32_t backfill;
    struct stretch frames; /* empty if everything is backfilled: see above */
    struct stretch newer;  /* what the log changed behind the replica */
    uint8_t *unused;       /* bitmap of freelist leaves, made when first asked for */
};

static struct scan *scan_of(struct hf_scan *s)
{
    return (struct scan *)s;
}

/* ---- pin ---- */

/* Begin a read transaction of which the position is known exactly. */
static enum hf_code begin_exactly(struct scan *s, struct walindex *ret, struct hf_err *err)
{
    for (int i = 0; i < PIN_TRIES_MAX; i++) {
        struct walindex before;
        enum hf_code rc = conn_walindex(&s->conn, &before, err);

        if (rc == HF_BUSY)
            continue;
        if (rc != HF_OK)
            return rc;
        rc = conn_begin(&s->conn, err);
        if (rc != HF_OK)
            return rc;
        rc = conn_walindex(&s->conn, ret, err);
        if (rc == HF_OK && walindex_same(&before, ret))
            return HF_OK;
        conn_end(&s->conn);
    }
    return hf_err_set(err, HF_BUSY, "the database changes too fast to pin a moment of it");
}

static enum hf_code read_frames(struct scan *s, struct hf_err *err)
{
    struct wal_position start = s->at;
    struct wal_header h;

    if (s->backfill >= s->at.frame)
        return HF_OK;
    wal_file_close(&s->wal);
    enum hf_code rc = wal_file_open(s->o.fs, s->wal_path, &s->wal, err);

    if (rc == HF_OK)
        rc = wal_read_header(&s->wal, &h, err);
    if (rc != HF_OK)
        return rc;
    start.frame = 0;
    return stretch_read(&s->wal, &h, &start, &s->at, s->at.commit, &s->frames, err);
}

static void scan_unpin(struct hf_scan *base)
{
    struct scan *s = scan_of(base);

    conn_end(&s->conn);
    stretch_done(&s->frames);
    stretch_done(&s->newer);
    hf_free(s->unused);
    s->unused = NULL;
    s->pinned = false;
}

static enum hf_code scan_pin(struct hf_scan *base, struct hf_position *ret, struct hf_err *err)
{
    struct scan *s = scan_of(base);
    struct walindex index;

    hf_assert(!s->pinned);
    enum hf_code rc = companions_read(s->db_path, &s->files, err);

    if (rc == HF_OK)
        rc = begin_exactly(s, &index, err);

    if (rc != HF_OK)
        return rc;
    s->at = index.end;
    s->backfill = index.backfill;
    if (s->at.commit == 0)
        rc = conn_pragma(&s->conn, "PRAGMA page_count", &s->at.commit, err);
    if (rc == HF_OK)
        rc = read_frames(s, err);
    if (rc != HF_OK) {
        scan_unpin(base);
        return rc;
    }
    s->pinned = true;
    wal_position_export(&s->at, ret);
    return HF_OK;
}

/* ---- pages ---- */

/* The newest frame of the page, if frames are looked at; else 0. */
static uint32_t frame_of(const struct scan *s, uint32_t pgno)
{
    const struct frame_ref *ref = frame_ref_find(s->frames.refs, s->frames.count, pgno);

    return ref != NULL ? ref->frame : 0;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* The page's bytes where they were read to, with zeros where the file ends, as SQLite sees it. */
static const uint8_t *page_in(const struct scan *s, uint8_t *buf, size_t got, size_t at)
{
    const size_t end = at + s->page_bytes;

    if (got < end)
        (void)memset(buf + (got > at ? got : at), 0, end - (got > at ? got : at));
    return buf + at;
}

/* One page from the device, and no byte more than its blocks: a bad sector is only its pages'. */
static enum hf_code read_file_page(struct scan *s, uint32_t pgno, const uint8_t **ret,
                                   struct hf_err *err)
{
    const uint64_t offset = (uint64_t)(pgno - 1) * s->page_bytes;
    const size_t at = offset % RAWFILE_ALIGN;
    size_t got = 0;
    const enum hf_code rc = rawfile_read(&s->raw, offset - at, s->block, s->block_bytes, &got, err);

    if (rc == HF_OK)
        *ret = page_in(s, s->block, got, at);
    return rc;
}

static enum hf_code read_chunk(void *ctx, struct hf_err *err)
{
    struct chunk *k = ctx;
    struct scan *s = k->scan;
    const uint64_t offset = (uint64_t)(k->first - 1) * s->page_bytes;
    struct hf_err unread;

    (void)err;
    k->readable =
        rawfile_read(&s->raw, offset - k->at, k->bytes, s->chunk_bytes, &k->got, &unread) == HF_OK;
    return HF_OK;
}

/* Begin to read the pages from `first` on, if the database has any. */
static void chunk_ask(struct chunk *k, uint32_t first)
{
    const struct scan *s = k->scan;

    if (first > s->at.commit)
        return;
    k->first = first;
    k->at = (uint64_t)(first - 1) * s->page_bytes % RAWFILE_ALIGN;
    const uint32_t left = s->at.commit - first + 1;
    const uint32_t fit = (uint32_t)((s->chunk_bytes - k->at) / s->page_bytes);

    k->count = left < fit ? left : fit;
    hf_group_run(k->group, read_chunk, k);
}

/* It is read, or was never asked for. */
static void chunk_wait(struct chunk *k)
{
    struct hf_err ignored;

    (void)!hf_group_wait(k->group, &ignored);
}

/* ---- comparing ---- */

/* A page that was not equal when it was met. */
struct suspect {
    struct digest_entry want;
    struct hf_page_diff diff;
};

struct comparison {
    struct scan *scan;
    struct hf_replica *replica;
    const struct digest_mark *mark; /* the replica's */
    bool exact;                     /* it stands at the pinned moment */
    hf_page_diff_fn *fn;
    void *ctx;
    struct hf_scan_counts *counts;
    struct suspect *suspects; /* SUSPECTS_MAX */
    size_t suspects_count;
};

static bool is_equal(struct scan *s, uint32_t pgno, const uint8_t *bytes,
                     const struct digest_entry *want, struct hf_page_diff *diff)
{
    diff->live_hash = page_hash(s->hasher, pgno, hf_slice(bytes, s->page_bytes));
    if (hf_root_equal(diff->live_hash, want->hash))
        return true;
    diff->state = is_zero(bytes, s->page_bytes) ? HF_PAGE_ZEROED : HF_PAGE_DIFFERS;
    return false;
}

/*
 * The places where readers may get the page hold the image that the replica has: `*ret_bytes`,
 * until the next page is read. Otherwise `diff` says what was met.
 */
static bool page_is_right(struct scan *s, uint32_t pgno, const struct digest_entry *want,
                          struct hf_page_diff *diff, const uint8_t **ret_bytes)
{
    const uint32_t frame = frame_of(s, pgno);
    struct hf_err ignored;

    diff->state = HF_PAGE_UNREADABLE;
    if (frame > 0) {
        *ret_bytes = s->page;
        if (wal_read_page(&s->wal, s->page_bytes, frame, s->page, &ignored) != HF_OK ||
            !is_equal(s, pgno, s->page, want, diff))
            return false;
        if (frame > s->backfill)
            return true;
    }
    if (read_file_page(s, pgno, ret_bytes, &ignored) != HF_OK)
        return false;
    if (is_equal(s, pgno, *ret_bytes, want, diff))
        return true;
    if (frame > 0)
        diff->state = HF_PAGE_COPIES;
    return false;
}

/* ---- the freelist, whose leaves hold bytes that mean nothing ---- */

/* A copy of the page, if its bytes are the replica's: nothing else may say what is free. */
static bool read_proved(void *ctx, uint32_t pgno, uint8_t *dst)
{
    struct comparison *c = ctx;
    struct digest_entry want;
    struct hf_page_diff met;
    struct hf_err ignored;
    const uint8_t *bytes = NULL;

    if (replica_entries(c->replica, pgno, 1, &want, &ignored) != HF_OK ||
        !page_is_right(c->scan, pgno, &want, &met, &bytes))
        return false;
    (void)memcpy(dst, bytes, c->scan->page_bytes);
    return true;
}

static bool is_unused(struct comparison *c, const struct hf_page_diff *diff)
{
    struct scan *s = c->scan;

    if (diff->state != HF_PAGE_DIFFERS && diff->state != HF_PAGE_ZEROED)
        return false;
    if (s->unused == NULL)
        s->unused = freelist_leaves(s->page_bytes, s->at.commit, read_proved, c);
    return (s->unused[diff->page / 8] >> diff->page % 8 & 1) != 0;
}

/* ---- suspects ---- */

/* Read all suspects again, and keep those that are still not equal. */
static enum hf_code look_again(struct comparison *c, struct hf_err *err)
{
    struct scan *s = c->scan;
    size_t kept = 0;

    for (size_t i = 0; i < c->suspects_count; i++) {
        struct suspect *p = &c->suspects[i];
        const uint8_t *bytes = NULL;

        if (s->o.stop != NULL && *s->o.stop)
            return hf_err_set(err, HF_CANCELED, "stopped");
        if (page_is_right(s, (uint32_t)p->diff.page, &p->want, &p->diff, &bytes))
            c->counts->equal++;
        else
            c->suspects[kept++] = *p;
    }
    c->suspects_count = kept;
    return HF_OK;
}

/* Look again at what seemed wrong, after one wait for all of it, and tell what still does. */
static enum hf_code settle(struct comparison *c, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    for (int i = 0; rc == HF_OK && i < LOOKS_AGAIN && c->suspects_count > 0; i++) {
        hf_sleep_ms(c->scan->o.clock, LOOK_AGAIN_MS);
        rc = look_again(c, err);
    }
    for (size_t i = 0; rc == HF_OK && i < c->suspects_count; i++) {
        const struct hf_page_diff *diff = &c->suspects[i].diff;

        if (is_unused(c, diff)) {
            c->counts->unused++;
            continue;
        }
        c->counts->differ++;
        rc = c->fn(c->ctx, diff, err);
    }
    c->suspects_count = 0;
    return rc;
}

static bool is_newer(const struct comparison *c, uint32_t pgno)
{
    const struct stretch *newer = &c->scan->newer;

    return !c->exact &&
           (pgno > c->mark->pages_count || frame_ref_find(newer->refs, newer->count, pgno) != NULL);
}

/* `file_bytes` were read from the device; NULL: it gave none. */
static enum hf_code compare_page(struct comparison *c, uint32_t pgno, const uint8_t *file_bytes,
                                 const struct digest_entry *want, struct hf_err *err)
{
    struct scan *s = c->scan;
    struct hf_page_diff diff = {.page = pgno};
    const uint8_t *bytes = NULL;

    if (pgno == hf_ltx_lock_page(s->page_bytes))
        return HF_OK;
    if (is_newer(c, pgno)) {
        c->counts->parked++;
        return HF_OK;
    }
    const bool equal = file_bytes != NULL && frame_of(s, pgno) == 0
                           ? is_equal(s, pgno, file_bytes, want, &diff)
                           : page_is_right(s, pgno, want, &diff, &bytes);

    if (equal) {
        c->counts->equal++;
        return HF_OK;
    }
    c->suspects[c->suspects_count++] = (struct suspect){.want = *want, .diff = diff};
    return c->suspects_count == SUSPECTS_MAX ? settle(c, err) : HF_OK;
}

/* Compare the pages of a chunk, whether or not it can be read. */
static enum hf_code compare_chunk(struct comparison *c, const struct chunk *k, struct hf_err *err)
{
    struct scan *s = c->scan;
    struct digest_entry want[CHUNK_BYTES_MAX / HF_LTX_PAGE_BYTES_MIN];
    enum hf_code rc = replica_entries(c->replica, k->first, k->count, want, err);

    c->counts->bytes_read += (uint64_t)k->count * s->page_bytes;
    for (uint32_t i = 0; rc == HF_OK && i < k->count; i++) {
        const size_t at = k->at + (size_t)i * s->page_bytes;

        rc = compare_page(c, k->first + i, k->readable ? page_in(s, k->bytes, k->got, at) : NULL,
                          &want[i], err);
    }
    return rc;
}

/*
 * What the log changed between the replica's end and the pinned moment. The frames may be in the
 * file already, and then the log may be begun anew while they are read; their checksums tell.
 */
static enum hf_code read_newer(struct scan *s, const struct wal_position *end, struct hf_err *err)
{
    HF_CLEANUP(wal_file_close) struct wal_file wal = {0};
    struct wal_position from = *end;
    uint8_t frame[WAL_FRAME_HEADER_BYTES];
    struct wal_header h;
    enum hf_code rc = wal_file_open(s->o.fs, s->wal_path, &wal, err);

    if (rc == HF_OK)
        rc = wal_read_header(&wal, &h, err);
    if (rc == HF_OK && from.frame > 0) {
        rc = wal_read_frame_header(&wal, s->page_bytes, from.frame, frame, err);
        from.cksum[0] = hf_get_be32(frame + 16);
        from.cksum[1] = hf_get_be32(frame + 20);
    }
    if (rc == HF_OK)
        rc = stretch_read(&wal, &h, &from, &s->at, from.commit, &s->newer, err);
    if (rc == HF_DAMAGE || rc == HF_NOT_FOUND)
        return hf_err_recode(err, HF_UNSUPPORTED,
                             "the log does not tell what came after the reference");
    return rc;
}

/* How the replica relates to the pinned moment; NULL: it stands there. */
static enum hf_code relate(struct comparison *c, const struct hf_position *replica_end,
                           struct hf_err *err)
{
    struct scan *s = c->scan;
    struct wal_position end;
    enum hf_code rc;

    if (replica_end == NULL) {
        c->exact = true;
        return HF_OK;
    }
    rc = wal_position_import(replica_end, &end, err);
    if (rc != HF_OK)
        return rc;
    if (!wal_position_same_log(&end, &s->at) || end.frame > s->at.frame)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "the reference ends in another generation of the log: run the archiver, "
                          "which can end a segment where the scan stands");
    c->exact = end.frame == s->at.frame;
    return c->exact ? HF_OK : read_newer(s, &end, err);
}

/* An exact replica of another size than the live database: each missing page differs. */
static enum hf_code compare_sizes(struct comparison *c, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (!c->exact || c->mark->pages_count <= c->scan->at.commit)
        return HF_OK; /* surplus live pages differ by themselves: the replica's entry is empty */
    for (uint64_t p = (uint64_t)c->scan->at.commit + 1; rc == HF_OK && p <= c->mark->pages_count;
         p++) {
        const struct hf_page_diff diff = {.page = p, .state = HF_PAGE_MISSING};

        c->counts->differ++;
        rc = c->fn(c->ctx, &diff, err);
    }
    return rc;
}

/* Sleep so that bytes / time stays under the limit. */
static void keep_rate(const struct scan *s, int64_t started_us, uint64_t bytes)
{
    if (s->o.bytes_per_s_max == 0)
        return;
    const int64_t due_us = started_us +
                           (int64_t)((double)bytes / (double)s->o.bytes_per_s_max * 1e6);
    const int64_t now_us = hf_mono_us(s->o.clock);

    if (due_us > now_us)
        s->o.clock->sleep_us(s->o.clock, due_us - now_us);
}

/* An application's own checkpoint waits at most one hand-over for us, for a slice as for capture.
 */
static bool is_waited_for(const struct scan *s, int64_t *look_us)
{
    const int64_t now_us = hf_mono_us(s->o.clock);

    if (now_us - *look_us < GIVE_WAY_US)
        return false;
    *look_us = now_us;
    return companions_checkpointer_waits(&s->files);
}

/* Compare chunk after chunk, until the time is over or somebody waits. */
static enum hf_code compare_chunks(struct comparison *c, int64_t ms_max, uint32_t *next,
                                   struct hf_err *err)
{
    struct scan *s = c->scan;
    const int64_t started_us = hf_mono_us(s->o.clock);
    int64_t look_us = started_us;
    const uint64_t bytes_before = c->counts->bytes_read;
    struct chunk *k = &s->chunks[0];
    struct chunk *ahead = &s->chunks[1];
    enum hf_code rc = HF_OK;

    chunk_ask(k, *next);
    while (rc == HF_OK && *next <= s->at.commit) {
        if (s->o.stop != NULL && *s->o.stop)
            return hf_err_set(err, HF_CANCELED, "stopped");
        if (hf_mono_us(s->o.clock) - started_us >= ms_max * 1000)
            break;
        chunk_wait(k);
        chunk_ask(ahead, k->first + k->count);
        rc = compare_chunk(c, k, err);
        *next = k->first + k->count;
        struct chunk *done = k;

        k = ahead;
        ahead = done;
        keep_rate(s, started_us, c->counts->bytes_read - bytes_before);
        if (is_waited_for(s, &look_us))
            break;
    }
    return rc;
}

static enum hf_code compare_pages(struct comparison *c, int64_t ms_max, uint32_t *next,
                                  struct hf_err *err)
{
    struct scan *s = c->scan;
    enum hf_code rc = compare_chunks(c, ms_max, next, err);

    chunk_wait(&s->chunks[0]);
    chunk_wait(&s->chunks[1]);
    if (rc == HF_OK)
        rc = settle(c, err);
    if (rc == HF_OK && *next > s->at.commit)
        rc = compare_sizes(c, err);
    return rc;
}

static enum hf_code scan_slice(struct hf_scan *base, struct hf_replica *r,
                               const struct hf_position *replica_end, uint64_t from_page,
                               int64_t ms_max, hf_page_diff_fn *fn, void *ctx,
                               struct hf_scan_counts *counts, uint64_t *ret_next,
                               struct hf_err *err)
{
    struct scan *s = scan_of(base);
    struct comparison c = {
        .scan = s, .replica = r, .mark = replica_mark(r), .fn = fn, .ctx = ctx, .counts = counts};
    uint32_t next = (uint32_t)from_page;
    enum hf_code rc;

    hf_assert(s->pinned && from_page >= 1);
    if (c.mark->page_bytes != s->page_bytes)
        return hf_err_set(err, HF_USAGE, "live pages have %u bytes and the reference's %u",
                          s->page_bytes, c.mark->page_bytes);
    rc = relate(&c, replica_end, err);
    if (rc != HF_OK)
        return rc;
    HF_AUTO_FREE struct suspect *suspects = hf_calloc(SUSPECTS_MAX, sizeof(*suspects));

    c.suspects = suspects;
    rc = compare_pages(&c, ms_max, &next, err);
    if (rc == HF_OK)
        *ret_next = next > s->at.commit ? 0 : next;
    return rc;
}

static bool scan_reads_device(const struct hf_scan *base, const char **ret_why)
{
    const struct scan *s = (const struct scan *)base;

    *ret_why = s->raw.why_not;
    return s->raw.direct;
}

static void scan_free(struct hf_scan *base)
{
    struct scan *s = scan_of(base);

    scan_unpin(base);
    conn_close(&s->conn);
    rawfile_close(&s->raw); /* after the connection: see scan.h */
    wal_file_close(&s->wal);
    hf_page_hasher_free(s->hasher);
    for (size_t i = 0; i < HF_ARRAY_LEN(s->chunks); i++) {
        hf_group_free(s->chunks[i].group);
        hf_free(s->chunks[i].bytes);
    }
    hf_pool_free(s->pool);
    hf_free(s->block);
    hf_free(s->page);
    hf_free(s->db_path);
    hf_free(s->wal_path);
    hf_free(s);
}

static const struct hf_scan_ops ops = {
    .pin = scan_pin,
    .unpin = scan_unpin,
    .slice = scan_slice,
    .reads_device = scan_reads_device,
    .free = scan_free,
};

/* What may be read in the time after which it is looked whether a checkpoint waits: under a low
 * rate most of that time is slept through. */
static uint32_t choose_chunk(uint64_t bytes_per_s_max)
{
    const uint64_t fit = bytes_per_s_max / (1000000 / GIVE_WAY_US) / RAWFILE_ALIGN * RAWFILE_ALIGN;

    if (bytes_per_s_max == 0 || fit > CHUNK_BYTES_MAX)
        return CHUNK_BYTES_MAX;
    return fit < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : (uint32_t)fit;
}

enum hf_code sqlite_scan_open(const struct hf_scan_options *o, struct hf_scan **ret,
                              struct hf_err *err)
{
    struct scan *s = hf_calloc(1, sizeof(*s));

    s->base.ops = &ops;
    s->o = *o;
    s->raw.fd = -1;
    s->db_path = hf_strdup(o->db_path);
    s->wal_path = hf_strfmt("%s-wal", o->db_path);
    s->hasher = hf_page_hasher_new(o->seed);
    s->chunk_bytes = choose_chunk(o->bytes_per_s_max);
    s->pool = hf_pool_new(1);
    for (size_t i = 0; i < HF_ARRAY_LEN(s->chunks); i++)
        s->chunks[i] = (struct chunk){
            .scan = s,
            .group = hf_group_new(s->pool),
            .bytes = hf_memalign(RAWFILE_ALIGN, s->chunk_bytes),
        };
    enum hf_code rc = rawfile_open(o->db_path, &s->raw, err);

    if (rc == HF_OK)
        rc = conn_open(o->db_path, &s->conn, err);
    if (rc == HF_OK)
        rc = conn_pragma(&s->conn, "PRAGMA page_size", &s->page_bytes, err);
    if (rc != HF_OK) {
        scan_free(&s->base);
        return rc;
    }
    s->page = hf_malloc(s->page_bytes);
    s->block_bytes = s->page_bytes > RAWFILE_ALIGN ? s->page_bytes : RAWFILE_ALIGN;
    s->block = hf_memalign(RAWFILE_ALIGN, s->block_bytes);
    *ret = &s->base;
    return HF_OK;
}
