/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - every live page once, from where readers of the database get it.
 *
 * While a read transaction holds the database at position m, with b frames backfilled when it
 * began: the newest frame f <= m of a page decides. None, or f <= b: readers may take the page from
 * the file, so the file's bytes are compared, from the device; with f <= b the frame is compared,
 * too. f > b: the file's page is old or being written, and the frame is compared. If b = m, the
 * transaction may hold lock 0 and the WAL may be restarted under it, and no frame is looked at.
 */
#include "engine/sqlite/scan.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/conn.h"
#include "engine/sqlite/follow.h"
#include "engine/sqlite/rawfile.h"
#include "engine/sqlite/replica.h"

#define PIN_TRIES_MAX  10000
#define CHUNK_BYTES    (256U * 1024)
#define LOOK_AGAIN_MAX 3
#define LOOK_AGAIN_MS  20

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
    uint8_t *chunk; /* aligned, CHUNK_BYTES */
    uint8_t *page;  /* one page out of the WAL */
    bool pinned;
    struct wal_position at; /* while pinned, as all below */
    uint32_t backfill;
    struct stretch frames;
    uint8_t *unused; /* bitmap of freelist leaves, made when first asked for */
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
    hf_free(s->unused);
    s->unused = NULL;
    s->pinned = false;
}

static enum hf_code scan_pin(struct hf_scan *base, struct hf_position *ret, struct hf_err *err)
{
    struct scan *s = scan_of(base);
    struct walindex index;

    hf_assert(!s->pinned);
    enum hf_code rc = begin_exactly(s, &index, err);

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

static uint32_t frame_of(const struct scan *s, uint32_t pgno)
{
    size_t low = 0;
    size_t high = s->frames.count;

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (s->frames.refs[mid].pgno < pgno)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->frames.count && s->frames.refs[low].pgno == pgno ? s->frames.refs[low].frame
                                                                     : 0;
}

static struct hf_root hash_of(struct scan *s, uint32_t pgno, const uint8_t *bytes)
{
    uint8_t name[4];

    hf_put_be32(name, pgno);
    return hf_page_hash(s->hasher, hf_slice(name, sizeof(name)), hf_slice(bytes, s->page_bytes));
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Pages around `pgno` from the device; `*ret_first` is the first one in the chunk. */
static enum hf_code read_chunk(struct scan *s, uint32_t pgno, uint32_t *ret_first,
                               size_t *ret_bytes, struct hf_err *err)
{
    const uint64_t offset = (uint64_t)(pgno - 1) * s->page_bytes;
    const uint64_t start = offset - offset % RAWFILE_ALIGN;

    *ret_first = (uint32_t)(start / s->page_bytes) + 1;
    return rawfile_read(&s->raw, start, s->chunk, CHUNK_BYTES, ret_bytes, err);
}

/* One page from the device; zeros where the file ends before it, as SQLite sees it. */
static enum hf_code read_file_page(struct scan *s, uint32_t pgno, const uint8_t **ret,
                                   struct hf_err *err)
{
    uint32_t first = 0;
    size_t bytes = 0;
    const enum hf_code rc = read_chunk(s, pgno, &first, &bytes, err);
    const size_t at = (size_t)(pgno - first) * s->page_bytes;

    if (rc != HF_OK)
        return rc;
    if (bytes < at + s->page_bytes)
        (void)memset(s->chunk + (bytes > at ? bytes : at), 0,
                     at + s->page_bytes - (bytes > at ? bytes : at));
    *ret = s->chunk + at;
    return HF_OK;
}

/* ---- the freelist, whose leaves hold bytes that mean nothing ---- */

static enum hf_code read_any_page(struct scan *s, uint32_t pgno, uint8_t *dst, struct hf_err *err)
{
    const uint32_t frame = frame_of(s, pgno);
    const uint8_t *bytes = NULL;

    if (frame > 0)
        return wal_read_page(&s->wal, s->page_bytes, frame, dst, err);
    const enum hf_code rc = read_file_page(s, pgno, &bytes, err);

    if (rc == HF_OK)
        (void)memcpy(dst, bytes, s->page_bytes);
    return rc;
}

static void mark_leaves(struct scan *s, const uint8_t *trunk)
{
    const uint32_t most = s->page_bytes / 4 - 2;
    uint32_t n = hf_get_be32(trunk + 4);

    for (uint32_t i = 0; i < (n < most ? n : most); i++) {
        const uint32_t leaf = hf_get_be32(trunk + 8 + 4 * (size_t)i);

        if (leaf > 1 && leaf <= s->at.commit)
            s->unused[leaf / 8] |= (uint8_t)(1U << leaf % 8);
    }
}

/* Source: SQLite, "Database File Format", section 1.5, "The Freelist". */
static bool is_unused(struct scan *s, uint32_t pgno)
{
    struct hf_err ignored;

    if (s->unused == NULL) {
        HF_AUTO_FREE uint8_t *trunk = hf_malloc(s->page_bytes);
        uint32_t next = 0;

        s->unused = hf_calloc((size_t)s->at.commit / 8 + 1, 1);
        if (read_any_page(s, 1, trunk, &ignored) == HF_OK)
            next = hf_get_be32(trunk + 32);
        for (uint32_t i = 0; next >= 1 && next <= s->at.commit && i < s->at.commit; i++) {
            if (read_any_page(s, next, trunk, &ignored) != HF_OK)
                break;
            mark_leaves(s, trunk);
            next = hf_get_be32(trunk);
        }
    }
    return (s->unused[pgno / 8] >> pgno % 8 & 1) != 0;
}

/* ---- comparing ---- */

struct comparison {
    struct scan *scan;
    const struct digest_mark *mark;
    bool exact;
    uint32_t replica_frame; /* pages with a frame behind this one are newer than the replica */
    hf_page_diff_fn *fn;
    void *ctx;
    struct hf_scan_counts *counts;
};

static bool is_equal(struct scan *s, uint32_t pgno, const uint8_t *bytes,
                     const struct digest_entry *want, struct hf_page_diff *diff)
{
    diff->live_hash = hash_of(s, pgno, bytes);
    if (hf_root_equal(diff->live_hash, want->hash))
        return true;
    diff->state = is_zero(bytes, s->page_bytes) ? HF_PAGE_ZEROED : HF_PAGE_DIFFERS;
    return false;
}

/* The places where readers may get the page hold the image that the replica has. */
static bool page_is_right(struct scan *s, uint32_t pgno, const struct digest_entry *want,
                          struct hf_page_diff *diff)
{
    const uint32_t frame = frame_of(s, pgno);
    const uint8_t *bytes = NULL;
    struct hf_err ignored;

    diff->state = HF_PAGE_UNREADABLE;
    if (frame > 0) {
        if (wal_read_page(&s->wal, s->page_bytes, frame, s->page, &ignored) != HF_OK ||
            !is_equal(s, pgno, s->page, want, diff))
            return false;
        if (frame > s->backfill)
            return true;
    }
    if (read_file_page(s, pgno, &bytes, &ignored) != HF_OK)
        return false;
    if (is_equal(s, pgno, bytes, want, diff))
        return true;
    if (frame > 0)
        diff->state = HF_PAGE_COPIES;
    return false;
}

/* A page that seemed wrong: look again before saying so, then tell. */
static enum hf_code judge_page(struct comparison *c, uint32_t pgno, const struct digest_entry *want,
                               struct hf_err *err)
{
    struct scan *s = c->scan;
    struct hf_page_diff diff = {.page = pgno};

    for (int i = 0; i < LOOK_AGAIN_MAX; i++) {
        if (page_is_right(s, pgno, want, &diff)) {
            c->counts->equal++;
            return HF_OK;
        }
        if (diff.state == HF_PAGE_DIFFERS && is_unused(s, pgno)) {
            c->counts->unused++;
            return HF_OK;
        }
        hf_sleep_ms(s->o.clock, LOOK_AGAIN_MS);
    }
    c->counts->differ++;
    return c->fn(c->ctx, &diff, err);
}

static enum hf_code compare_page(struct comparison *c, uint32_t pgno, const uint8_t *file_bytes,
                                 const struct digest_entry *want, struct hf_err *err)
{
    struct scan *s = c->scan;
    const uint32_t frame = frame_of(s, pgno);

    if (pgno == hf_ltx_lock_page(s->page_bytes))
        return HF_OK;
    if (!c->exact && (frame > c->replica_frame || pgno > c->mark->pages_count)) {
        c->counts->parked++;
        return HF_OK;
    }
    if (frame == 0 && file_bytes != NULL &&
        hf_root_equal(hash_of(s, pgno, file_bytes), want->hash)) {
        c->counts->equal++;
        return HF_OK;
    }
    return judge_page(c, pgno, want, err);
}

/* Compare the pages that one chunk holds; `*ret_next` is the page behind them. */
static enum hf_code compare_chunk(struct comparison *c, struct hf_replica *r, uint32_t from,
                                  uint32_t *ret_next, struct hf_err *err)
{
    struct scan *s = c->scan;
    struct digest_entry want[CHUNK_BYTES / 512];
    struct hf_err read_err;
    uint32_t first = from;
    size_t bytes = 0;
    const enum hf_code read_rc = read_chunk(s, from, &first, &bytes, &read_err);
    uint32_t n = read_rc == HF_OK ? (uint32_t)(bytes / s->page_bytes) : 0;
    enum hf_code rc;

    n = n > from - first ? n - (from - first) : 1; /* one page that the file does not give */
    if (n > s->at.commit - from + 1)
        n = s->at.commit - from + 1;
    rc = replica_entries(r, from, n, want, err);
    if (rc != HF_OK)
        return rc;
    c->counts->bytes_read += (uint64_t)n * s->page_bytes;
    /* judge_page() reads into the same chunk, so what it overwrites is compared from a copy. */
    HF_AUTO_FREE uint8_t *copy = hf_malloc((size_t)n * s->page_bytes);
    const size_t at = (size_t)(from - first) * s->page_bytes;
    const bool whole = read_rc == HF_OK && bytes >= at + (size_t)n * s->page_bytes;

    if (whole)
        (void)memcpy(copy, s->chunk + at, (size_t)n * s->page_bytes);
    for (uint32_t i = 0; i < n; i++) {
        rc = compare_page(c, from + i, whole ? copy + (size_t)i * s->page_bytes : NULL, &want[i],
                          err);
        if (rc != HF_OK)
            return rc;
    }
    *ret_next = from + n;
    return HF_OK;
}

/* How the replica relates to the pinned moment. */
static enum hf_code relate(struct comparison *c, const struct hf_position *replica_end, bool exact,
                           struct hf_err *err)
{
    const struct scan *s = c->scan;
    struct wal_position end;
    enum hf_code rc;

    c->exact = exact;
    c->replica_frame = s->at.frame;
    if (exact)
        return HF_OK;
    if (replica_end == NULL)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "nothing says how the reference relates to the live log");
    rc = wal_position_import(replica_end, &end, err);
    if (rc != HF_OK)
        return rc;
    if (!wal_position_same_log(&end, &s->at) || end.frame > s->at.frame)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "the reference ends in another generation of the log: run the archiver, "
                          "which can end a segment where the scan stands");
    c->exact = end.frame == s->at.frame;
    c->replica_frame = end.frame;
    return HF_OK;
}

/* An exact replica of another size than the live database: each missing page differs. */
static enum hf_code compare_sizes(struct comparison *c, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (!c->exact || c->mark->pages_count <= c->scan->at.commit)
        return HF_OK; /* surplus live pages differ by themselves: the replica's entry is empty */
    for (uint64_t p = (uint64_t)c->scan->at.commit + 1; rc == HF_OK && p <= c->mark->pages_count;
         p++) {
        const struct hf_page_diff diff = {.page = p, .state = HF_PAGE_UNREADABLE};

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

static enum hf_code scan_slice(struct hf_scan *base, struct hf_replica *r,
                               const struct hf_position *replica_end, uint64_t from_page,
                               int64_t ms_max, hf_page_diff_fn *fn, void *ctx,
                               struct hf_scan_counts *counts, uint64_t *ret_next,
                               struct hf_err *err)
{
    struct scan *s = scan_of(base);
    struct comparison c = {
        .scan = s, .mark = replica_mark(r), .fn = fn, .ctx = ctx, .counts = counts};
    const int64_t started_us = hf_mono_us(s->o.clock);
    const uint64_t bytes_before = counts->bytes_read;
    enum hf_code rc = relate(&c, replica_end, replica_end == NULL, err);
    uint32_t next = (uint32_t)from_page;

    hf_assert(s->pinned && from_page >= 1);
    if (rc == HF_OK && c.mark->page_bytes != s->page_bytes)
        rc = hf_err_set(err, HF_USAGE, "live pages have %u bytes and the reference's %u",
                        s->page_bytes, c.mark->page_bytes);
    while (rc == HF_OK && next <= s->at.commit) {
        if (s->o.stop != NULL && *s->o.stop)
            return hf_err_set(err, HF_CANCELED, "stopped");
        if (hf_mono_us(s->o.clock) - started_us >= ms_max * 1000)
            break;
        rc = compare_chunk(&c, r, next, &next, err);
        keep_rate(s, started_us, counts->bytes_read - bytes_before);
    }
    if (rc == HF_OK && next > s->at.commit)
        rc = compare_sizes(&c, err);
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
    hf_free(s->chunk);
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
    s->chunk = hf_memalign(RAWFILE_ALIGN, CHUNK_BYTES);
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
    *ret = &s->base;
    return HF_OK;
}

/* ---- what a page belongs to ---- */

static bool describe_by(struct conn *c, const char *sql, uint64_t page, char ret[HF_PAGE_TEXT_MAX])
{
    sqlite3_stmt *stmt = NULL;
    bool found = false;

    if (sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)page) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0) != NULL) {
        (void)sqlite3_snprintf(HF_PAGE_TEXT_MAX, ret, "%s", sqlite3_column_text(stmt, 0));
        found = true;
    }
    (void)sqlite3_finalize(stmt);
    return found;
}

enum hf_code sqlite_describe(const char *db_path, uint64_t page, char ret[HF_PAGE_TEXT_MAX],
                             struct hf_err *err)
{
    /* dbstat walks the b-trees; it names the tree of every page that one holds. */
    static const char walk[] =
        "SELECT CASE WHEN s.type IS NULL THEN 'the schema (b-tree 1)' "
        "WHEN s.type = 'index' THEN 'index ' || s.name || ' of table ' || s.tbl_name || "
        "' (b-tree ' || s.rootpage || ')' "
        "ELSE s.type || ' ' || s.name || ' (b-tree ' || s.rootpage || ')' END "
        "FROM dbstat d LEFT JOIN sqlite_schema s ON s.name = d.name WHERE d.pageno = ?1 LIMIT 1";
    HF_CLEANUP(conn_close) struct conn c = {0};
    const enum hf_code rc = conn_open(db_path, &c, err);

    if (rc != HF_OK)
        return rc;
    if (!describe_by(&c, walk, page, ret))
        (void)sqlite3_snprintf(HF_PAGE_TEXT_MAX, ret,
                               page == 1 ? "the header and the schema (b-tree 1)"
                                         : "no b-tree that can be walked");
    return HF_OK;
}
