/* SPDX-License-Identifier: Apache-2.0 */
/* capture_book.c - segments in memory, decoded in order onto one buffer. */
#include "lib/capture_book.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/sqlite/ltx/ltx_reader.h"

static struct book *book_of_sink(struct hf_sink *s)
{
    return (struct book *)(void *)((char *)s - offsetof(struct book, sink));
}

static enum hf_code sink_write(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    struct book *b = book_of_sink(s);

    (void)err;
    hf_buf_append(&b->segments[b->count], data.ptr, data.len);
    return HF_OK;
}

static enum hf_code taker_begin(struct hf_taker *t, const struct hf_seg_info *info,
                                struct hf_sink **ret, struct hf_err *err)
{
    struct book *b = (struct book *)t;

    (void)err;
    assert_false(b->open);
    assert_true(b->count < BOOK_SEGMENTS_MAX);
    assert_int_equal(info->min_txid, b->count + 1);
    b->open = true;
    b->infos[b->count] = *info;
    hf_buf_reset(&b->segments[b->count]);
    *ret = &b->sink;
    return HF_OK;
}

static enum hf_code taker_commit(struct hf_taker *t, struct hf_err *err)
{
    struct book *b = (struct book *)t;

    assert_true(b->open);
    if (b->refuse_commit) {
        b->refuse_commit = false;
        return hf_err_set(err, HF_FULL, "no room, says the test");
    }
    b->open = false;
    b->count++;
    return HF_OK;
}

static void taker_abort(struct hf_taker *t)
{
    ((struct book *)t)->open = false;
}

struct book *book_new(void)
{
    struct book *b = hf_calloc(1, sizeof(*b));

    b->taker =
        (struct hf_taker){.begin = taker_begin, .commit = taker_commit, .abort = taker_abort};
    b->sink.write = sink_write;
    b->dir = test_tmp_new();
    b->db_path = hf_strfmt("%s/app.db", b->dir);
    b->state_dir = hf_strfmt("%s/state", b->dir);
    b->pool = hf_pool_new(0);
    test_clock_init(&b->clock, hf_now_us(hf_clock_system()));
    b->log_bytes_max = UINT64_C(64) << 20;
    assert_int_equal(mkdir(b->state_dir, 0700), 0);
    return b;
}

void book_free(struct book *b)
{
    book_kill(b);
    for (size_t i = 0; i < BOOK_SEGMENTS_MAX; i++)
        hf_buf_done(&b->segments[i]);
    hf_pool_free(b->pool);
    hf_free(b->db_path);
    hf_free(b->state_dir);
    test_tmp_remove(b->dir);
    hf_free(b);
}

sqlite3 *book_app(struct book *b, const char *pragmas)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(b->db_path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    if (pragmas != NULL)
        book_exec(db, "%s", pragmas);
    book_exec(db, "PRAGMA journal_mode=wal");
    return db;
}

void book_exec(sqlite3 *db, const char *sql, ...)
{
    char text[4096];
    char *message = NULL;
    va_list ap;

    va_start(ap, sql);
    assert_in_range(vsnprintf(text, sizeof(text), sql, ap), 0, sizeof(text) - 1);
    va_end(ap);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
}

int64_t book_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const int64_t n = sqlite3_column_int64(stmt, 0);

    (void)sqlite3_finalize(stmt);
    return n;
}

enum hf_code book_try_open(struct book *b, struct hf_err *err)
{
    const struct hf_live_options o = {
        .fs = b->fs != NULL ? b->fs : hf_fs_system(),
        .clock = b->on_real_time ? hf_clock_system() : &b->clock.base,
        .pool = b->pool,
        .db_path = b->db_path,
        .state_dir = b->state_dir,
        .seed = BOOK_SEED,
        .epoch = 1,
        .log_bytes_max = b->log_bytes_max,
        .never_lock = b->never_lock,
    };

    const enum hf_code rc = sqlite_live_open(&o, &b->live, err);

    /* A snapshot that was never given is made anew. */
    if (rc == HF_OK && b->count == 0 && b->live->ops->state(b->live)->txid > 0)
        return b->live->ops->reset(b->live, err);
    return rc;
}

void book_open(struct book *b)
{
    struct hf_err err;

    hf_must(book_try_open(b, &err), &err);
}

enum hf_live_need book_attach(struct book *b, bool *ret_lost)
{
    enum hf_live_need need;
    bool lost = false;
    bool made;
    struct hf_err err;

    book_open(b);
    hf_must(b->live->ops->attach(b->live, &need, &lost, &err), &err);
    if (need == HF_LIVE_SNAPSHOT) {
        hf_must(b->live->ops->snapshot(b->live, &err), &err);
        hf_must(b->live->ops->give_snapshot(b->live, &b->taker, NULL, &err), &err);
    }
    if (need == HF_LIVE_CATCH_UP)
        hf_must(b->live->ops->catch_up(b->live, &b->taker, &made, &err), &err);
    if (ret_lost != NULL)
        *ret_lost = lost;
    return need;
}

void book_kill(struct book *b)
{
    if (b->live != NULL)
        b->live->ops->free(b->live);
    b->live = NULL;
}

unsigned book_round(struct book *b, bool cut)
{
    struct hf_round round = {.cut = cut};
    struct hf_err err;

    test_clock_move(&b->clock, 50000);
    hf_must(b->live->ops->round(b->live, &round, &b->taker, &err), &err);
    b->wait_ms = round.wait_ms;
    return round.segments_count;
}

void book_settle(struct book *b)
{
    struct hf_round round = {.cut = true};
    struct hf_err err;

    for (int i = 0; i < 200; i++) {
        test_clock_move(&b->clock, 50000);
        hf_must(b->live->ops->round(b->live, &round, &b->taker, &err), &err);
        b->wait_ms = round.wait_ms;
        if (round.resting)
            return;
        if (b->on_real_time)
            hf_sleep_ms(hf_clock_system(), 10);
    }
    fail_msg("capture did not come to rest");
}

struct memory_source {
    struct hf_source base;
    struct hf_slice bytes;
};

static enum hf_code memory_read(struct hf_source *s, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    const struct memory_source *m = (const struct memory_source *)s;

    if (offset + len > m->bytes.len)
        return hf_err_set(err, HF_DAMAGE, "segment too short");
    hf_buf_append(ret, m->bytes.ptr + offset, len);
    return HF_OK;
}

static struct memory_source source_of(const struct book *b, uint64_t txid)
{
    return (struct memory_source){
        .base = {.read = memory_read,
                 .size_bytes = b->segments[txid - 1].len,
                 .name = "segment in memory"},
        .bytes = hf_buf_slice(&b->segments[txid - 1]),
    };
}

enum hf_code book_adopt(struct book *b, uint64_t txid, struct hf_err *err)
{
    struct memory_source source = source_of(b, txid);

    return b->live->ops->adopt(b->live, &source.base, err);
}

struct image_builder {
    struct hf_buf *image;
    uint32_t page_bytes;
};

static enum hf_code put_run(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    struct image_builder *b = ctx;

    (void)err;
    (void)memcpy(b->image->ptr + (size_t)(run->first_pgno - 1) * b->page_bytes, run->pages.ptr,
                 run->pages.len);
    return HF_OK;
}

void book_advance(struct book *b, uint64_t txid, struct hf_buf *image)
{
    const struct hf_seg_info *info = &b->infos[txid - 1];
    const size_t bytes = (size_t)info->pages_count * info->page_bytes;
    struct memory_source source = source_of(b, txid);
    struct image_builder builder = {.image = image, .page_bytes = info->page_bytes};
    struct hf_err err;

    assert_true(txid >= 1 && txid <= b->count);
    if (bytes > image->len)
        (void)memset(hf_buf_extend(image, bytes - image->len), 0xA5, bytes - image->len);
    image->len = bytes;
    hf_must(hf_ltx_decode(&source.base, b->pool, put_run, &builder, NULL, NULL, &err), &err);
}

struct hf_buf book_image(struct book *b, uint64_t txid)
{
    struct hf_buf image = {0};

    for (uint64_t i = 1; i <= txid; i++)
        book_advance(b, i, &image);
    return image;
}

struct hf_buf book_live_image(sqlite3 *db)
{
    struct hf_buf image = {0};
    sqlite3_int64 len = 0;
    unsigned char *bytes = sqlite3_serialize(db, "main", &len, 0);

    assert_non_null(bytes);
    hf_buf_append(&image, bytes, (size_t)len);
    sqlite3_free(bytes);
    return image;
}

void book_same(const struct hf_buf *restored, const struct hf_buf *live, uint32_t page_bytes)
{
    assert_int_equal(restored->len, live->len);
    for (size_t at = 0; at < live->len; at += page_bytes) {
        if (memcmp(restored->ptr + at, live->ptr + at, page_bytes) != 0)
            fail_msg("page %zu differs", at / page_bytes + 1);
    }
}

sqlite3 *book_open_image(const struct hf_buf *image)
{
    sqlite3 *db = NULL;
    unsigned char *copy = sqlite3_malloc64(image->len);

    assert_non_null(copy);
    (void)memcpy(copy, image->ptr, image->len);
    copy[18] = copy[19] = 1; /* a database in memory has no WAL */
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_deserialize(db, "main", copy, (sqlite3_int64)image->len,
                                         (sqlite3_int64)image->len, SQLITE_DESERIALIZE_FREEONCLOSE),
                     SQLITE_OK);
    return db;
}
