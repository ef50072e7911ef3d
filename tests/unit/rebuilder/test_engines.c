/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    nothing from capture to scan needs to know the engine: the same path, with a storage
 *         engine that has neither LTX, nor page files, nor a WAL.
 * Method  a database of engine_mem is captured into an archive in memory, rebuilt at every TXID,
 *         and scanned against what was rebuilt; the database itself is the model.
 */
#include <inttypes.h>

#include "archive/archive.h"
#include "lib/engine_mem.h"
#include "lib/fixture.h"
#include "lib/store_mem.h"
#include "rebuilder/rebuilder.h"

#define PAGE_BYTES 64
#define STATES_MAX 200

struct taker {
    struct hf_taker base; /* first, so that the pointers convert */
    struct hf_sink sink;
    struct hf_archive *archive;
    struct hf_seg_info info;
    struct hf_buf bytes;
    bool refuse; /* the next commit */
    unsigned aborts;
};

struct fixture {
    struct test_clock clock;
    struct store_mem *store;
    struct hf_archive archive;
    struct hf_rand rand;
    struct hf_pool *pool;
    struct mem_db *db;
    struct hf_live *live;
    struct taker taker;
    char *dir;
    char *digest_path;
    char *pages_path;
    struct hf_buf states[STATES_MAX]; /* by TXID: the database when it was captured */
    struct hf_err err;
};

static struct taker *taker_of(struct hf_taker *t)
{
    return (struct taker *)t;
}

static enum hf_code take_bytes(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    struct taker *t = (struct taker *)(void *)((char *)s - offsetof(struct taker, sink));

    (void)err;
    hf_buf_append(&t->bytes, data.ptr, data.len);
    return HF_OK;
}

static enum hf_code taker_begin(struct hf_taker *base, const struct hf_seg_info *info,
                                struct hf_sink **ret, struct hf_err *err)
{
    struct taker *t = taker_of(base);

    (void)err;
    t->info = *info;
    hf_buf_reset(&t->bytes);
    *ret = &t->sink;
    return HF_OK;
}

static enum hf_code taker_commit(struct hf_taker *base, struct hf_err *err)
{
    struct taker *t = taker_of(base);
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT, .timestamp_ms = t->info.time_ms};
    const struct hf_segment s = {.level = t->info.min_txid == 1 ? HF_LEVEL_SNAPSHOT : 0,
                                 .min_txid = t->info.min_txid,
                                 .max_txid = t->info.max_txid};
    char key[HF_KEY_MAX + 1];

    if (t->refuse) {
        t->refuse = false;
        return hf_err_set(err, HF_TRANSIENT, "not now");
    }
    hf_archive_segment_key(t->archive, &s, key);
    return hf_store_put(t->archive->store, key, hf_buf_slice(&t->bytes), &put, NULL, err);
}

static void taker_abort(struct hf_taker *base)
{
    taker_of(base)->aborts++;
}

static void open_live(struct fixture *f)
{
    const struct hf_live_options options = {
        .fs = hf_fs_system(),
        .clock = &f->clock.base,
        .pool = f->pool,
        .db_path = "a.db",
        .state_dir = f->dir,
        .seed = f->archive.format.seed,
        .epoch = 1,
    };

    hf_must(engine_mem()->live_open(&options, &f->live, &f->err), &f->err);
}

static void fixture_init(struct fixture *f)
{
    struct hf_archive_format format;

    (void)memset(f, 0, sizeof(*f));
    test_clock_init(&f->clock, INT64_C(1767225600000000));
    f->store = store_mem_new(&f->clock.base);
    f->rand = hf_rand_seeded(8);
    f->pool = hf_pool_new(0);
    f->dir = test_tmp_new();
    f->digest_path = hf_strfmt("%s/digest", f->dir);
    f->pages_path = hf_strfmt("%s/pages", f->dir);
    f->db = mem_db_new("a.db", PAGE_BYTES);
    hf_must(hf_archive_open(&f->store->base, "t/a.db", &f->archive, &f->err), &f->err);
    hf_format_init(&format, MEM_ENGINE_NAME, PAGE_BYTES, f->archive.layout, &f->rand);
    hf_must(hf_format_create(&f->archive, &format, &f->err), &f->err);
    f->taker = (struct taker){
        .base = {.begin = taker_begin, .commit = taker_commit, .abort = taker_abort},
        .sink = {.write = take_bytes},
        .archive = &f->archive,
    };
    open_live(f);
}

static void fixture_done(struct fixture *f)
{
    f->live->ops->detach(f->live);
    f->live->ops->free(f->live);
    mem_db_free(f->db);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    hf_buf_done(&f->taker.bytes);
    for (size_t i = 0; i < STATES_MAX; i++)
        hf_buf_done(&f->states[i]);
    hf_free(f->digest_path);
    hf_free(f->pages_path);
    test_tmp_remove(f->dir);
}

static void write_random(struct fixture *f)
{
    const uint64_t pages = mem_db_pages(f->db);
    uint8_t bytes[PAGE_BYTES];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)hf_rand_u64(&f->rand);
    if (pages > 10 && hf_rand_below(&f->rand, 8) == 0)
        mem_db_resize(f->db, pages - 1 - hf_rand_below(&f->rand, 8));
    else
        mem_db_write(f->db, 1 + hf_rand_below(&f->rand, pages + 3), hf_slice(bytes, PAGE_BYTES));
}

/* The model: what the database holds now is TXID n. */
static void remember(struct fixture *f)
{
    const uint64_t txid = f->live->ops->state(f->live)->txid;

    assert_in_range(txid, 1, STATES_MAX - 1);
    hf_buf_reset(&f->states[txid]);
    for (uint64_t p = 1; p <= mem_db_pages(f->db); p++)
        mem_db_read(f->db, p, &f->states[txid]);
}

static void attach(struct fixture *f, enum hf_live_need need, bool lost)
{
    enum hf_live_need got;
    bool got_lost;

    hf_must(f->live->ops->attach(f->live, &got, &got_lost, &f->err), &f->err);
    assert_int_equal(got, need);
    assert_int_equal(got_lost, lost);
}

static void snapshot(struct fixture *f)
{
    attach(f, HF_LIVE_SNAPSHOT, false);
    hf_must(f->live->ops->snapshot(f->live, &f->err), &f->err);
    hf_must(f->live->ops->give_snapshot(f->live, &f->taker.base, NULL, &f->err), &f->err);
    remember(f);
}

static enum hf_code capture(struct fixture *f)
{
    struct hf_round round = {.cut = true};
    const enum hf_code rc = f->live->ops->round(f->live, &round, &f->taker.base, &f->err);

    test_clock_move(&f->clock, 1000000);
    if (rc != HF_OK)
        return rc;
    assert_true(round.resting);
    remember(f);
    return HF_OK;
}

static enum hf_code rebuild(struct fixture *f, struct hf_target target, const char *pages_path,
                            struct hf_replica **ret, struct hf_rebuild_report *report)
{
    const struct hf_rebuild_options options = {
        .engine = engine_mem(),
        .archive = &f->archive,
        .fs = hf_fs_system(),
        .pool = f->pool,
        .target = target,
        .digest_path = f->digest_path,
        .pages_path = pages_path,
        .mode = 0600,
    };

    return hf_rebuild(&options, ret, report, &f->err);
}

static void assert_restorable(struct fixture *f, uint64_t txid)
{
    struct hf_rebuild_report report;
    struct hf_replica *r = NULL;
    HF_AUTO_BUF file = {0};

    hf_must(rebuild(f, (struct hf_target){.kind = HF_TARGET_TXID, .txid = txid}, f->pages_path, &r,
                    &report),
            &f->err);
    r->ops->free(r);
    assert_int_equal(report.state.txid, txid);
    hf_must(hf_fs_read_all(hf_fs_system(), f->pages_path, 1 << 20, &file, &f->err), &f->err);
    assert_int_equal(file.len, f->states[txid].len);
    assert_memory_equal(file.ptr, f->states[txid].ptr, file.len);
    hf_must(hf_fs_unlink(hf_fs_system(), f->pages_path, &f->err), &f->err);
}

static void every_captured_state_is_rebuilt(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    write_random(&f);
    snapshot(&f);
    for (int k = 0; k < 60; k++) {
        write_random(&f);
        if (k % 3 == 0) {
            f.taker.refuse = true; /* capture stays, and gives the same TXID again */
            assert_int_equal(capture(&f), HF_TRANSIENT);
        }
        if (k % 10 == 9) { /* a restart of the archiver */
            f.live->ops->detach(f.live);
            f.live->ops->free(f.live);
            open_live(&f);
            attach(&f, HF_LIVE_FOLLOW, false);
        }
        hf_must(capture(&f), &f.err);
    }
    for (uint64_t t = 1; t <= 61; t++)
        assert_restorable(&f, t);
    fixture_done(&f);
}

/* Its position ends exactly where it was asked to. */
static void a_round_ends_where_it_is_told_and_find_knows_it(void **state)
{
    struct fixture f;
    struct hf_scan *scan = NULL;
    const struct hf_scan_options options = {.db_path = "a.db"};
    struct hf_position p;
    struct hf_round round = {.cut = true, .until = &p};
    uint64_t txid = 0;

    (void)state;
    fixture_init(&f);
    write_random(&f);
    snapshot(&f);
    write_random(&f);
    hf_must(engine_mem()->scan_open(&options, &scan, &f.err), &f.err);
    hf_must(scan->ops->pin(scan, &p, &f.err), &f.err);
    hf_buf_reset(&f.states[2]);
    for (uint64_t page = 1; page <= mem_db_pages(f.db); page++)
        mem_db_read(f.db, page, &f.states[2]);
    write_random(&f);
    assert_int_equal(f.live->ops->find(f.live, &p, &txid, &f.err), HF_NOT_FOUND);
    hf_must(f.live->ops->round(f.live, &round, &f.taker.base, &f.err), &f.err);
    assert_int_equal(round.segments_count, 1);
    assert_false(round.resting);
    hf_must(f.live->ops->find(f.live, &p, &txid, &f.err), &f.err);
    assert_int_equal(txid, 2);
    hf_must(capture(&f), &f.err);
    assert_restorable(&f, 2);
    assert_restorable(&f, 3);
    scan->ops->unpin(scan);
    scan->ops->free(scan);
    fixture_done(&f);
}

static void lost_commits_and_a_new_log_are_caught_up_with(void **state)
{
    struct fixture f;
    bool made = false;

    (void)state;
    fixture_init(&f);
    for (int k = 0; k < 9; k++)
        write_random(&f);
    snapshot(&f);
    for (int round = 0; round < 3; round++) {
        write_random(&f);
        write_random(&f);
        hf_must(capture(&f), &f.err);
        if (round == 0)
            mem_db_lose(f.db, 1);
        else
            mem_db_restart_log(f.db);
        write_random(&f);
        if (round == 2)
            mem_db_rot(f.db, 1, 5, 0x10);
        assert_int_equal(capture(&f), HF_CONFLICT);
        f.live->ops->detach(f.live);
        attach(&f, HF_LIVE_CATCH_UP, round == 0);
        hf_must(f.live->ops->catch_up(f.live, &f.taker.base, &made, &f.err), &f.err);
        assert_true(made);
        assert_true(f.taker.info.catchup);
        remember(&f);
        hf_must(f.live->ops->catch_up(f.live, &f.taker.base, &made, &f.err), &f.err);
        assert_false(made);
    }
    for (uint64_t t = 1; t <= f.live->ops->state(f.live)->txid; t++)
        assert_restorable(&f, t);
    fixture_done(&f);
}

/* The local state is lost, and made again from the archive's segments. */
static void adopting_the_archive_is_as_good_as_the_lost_state(void **state)
{
    struct fixture f;
    struct hf_plan *plan = NULL;
    struct hf_state before;

    (void)state;
    fixture_init(&f);
    write_random(&f);
    snapshot(&f);
    for (int k = 0; k < 5; k++) {
        write_random(&f);
        hf_must(capture(&f), &f.err);
    }
    before = *f.live->ops->state(f.live);
    f.live->ops->detach(f.live);
    hf_must(f.live->ops->reset(f.live, &f.err), &f.err);
    assert_int_equal(f.live->ops->state(f.live)->txid, 0);
    hf_must(hf_plan_new(&f.archive, engine_mem()->codec,
                        &(struct hf_target){.kind = HF_TARGET_LATEST}, &plan, &f.err),
            &f.err);
    for (size_t i = 0; i < plan->segments_count; i++) {
        struct hf_segment_source source;

        hf_segment_source_init(&source, &f.archive, &plan->segments[i]);
        hf_must(f.live->ops->adopt(f.live, &source.base, &f.err), &f.err);
        hf_segment_source_done(&source);
    }
    hf_plan_free(plan);
    assert_true(hf_root_equal(f.live->ops->state(f.live)->root, before.root));
    assert_int_equal(f.live->ops->state(f.live)->txid, before.txid);
    attach(&f, HF_LIVE_FOLLOW, false);
    write_random(&f);
    hf_must(capture(&f), &f.err);
    assert_restorable(&f, before.txid + 1);
    fixture_done(&f);
}

struct found {
    uint64_t page;
    enum hf_page_state state;
    unsigned count;
};

static enum hf_code find_page(void *ctx, const struct hf_page_diff *diff, struct hf_err *err)
{
    struct found *found = ctx;

    (void)err;
    found->page = diff->page;
    found->state = diff->state;
    found->count++;
    return HF_OK;
}

static void a_scan_finds_the_rotten_page_and_parks_the_newer_ones(void **state)
{
    struct fixture f;
    struct hf_scan *scan = NULL;
    struct hf_scan_options options = {.db_path = "a.db"};
    struct hf_position pin;
    struct hf_position end;
    struct hf_rebuild_report report;
    struct hf_replica *r = NULL;
    struct hf_scan_counts counts = {0};
    struct found found = {0};
    uint64_t next = 1;

    (void)state;
    fixture_init(&f);
    options.seed = f.archive.format.seed;
    mem_db_resize(f.db, 50);
    for (int k = 0; k < 30; k++)
        write_random(&f);
    const uint64_t rotten = mem_db_pages(f.db) / 2;
    uint8_t bytes[PAGE_BYTES] = {1, 2, 3};

    mem_db_write(f.db, rotten, hf_slice(bytes, PAGE_BYTES));
    snapshot(&f);
    hf_must(engine_mem()->scan_open(&options, &scan, &f.err), &f.err);
    hf_must(scan->ops->pin(scan, &end, &f.err), &f.err); /* where the replica stands */
    scan->ops->unpin(scan);
    mem_db_rot(f.db, rotten, 9, 0xff);
    mem_db_write(f.db, 1, hf_slice(bytes, PAGE_BYTES));
    mem_db_write(f.db, mem_db_pages(f.db) + 1, hf_slice(bytes, PAGE_BYTES));

    hf_must(rebuild(&f, (struct hf_target){.kind = HF_TARGET_LATEST}, NULL, &r, &report), &f.err);
    hf_must(scan->ops->pin(scan, &pin, &f.err), &f.err);
    while (next != 0)
        hf_must(
            scan->ops->slice(scan, r, &end, next, 1000, find_page, &found, &counts, &next, &f.err),
            &f.err);
    scan->ops->unpin(scan);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.page, rotten);
    assert_int_equal(found.state, HF_PAGE_DIFFERS);
    assert_int_equal(counts.parked, 2);
    assert_int_equal(counts.equal, mem_db_pages(f.db) - 3);
    assert_int_equal(counts.bytes_read, mem_db_pages(f.db) * PAGE_BYTES);
    r->ops->free(r);
    scan->ops->free(scan);
    fixture_done(&f);
}

static void a_kept_digest_is_advanced_here_too(void **state)
{
    struct fixture f;
    struct hf_rebuild_report report;
    struct hf_replica *r = NULL;

    (void)state;
    fixture_init(&f);
    write_random(&f);
    snapshot(&f);
    for (int k = 0; k < 8; k++) {
        write_random(&f);
        hf_must(capture(&f), &f.err);
        report = (struct hf_rebuild_report){0};
        hf_must(rebuild(&f, (struct hf_target){.kind = HF_TARGET_LATEST}, NULL, &r, &report),
                &f.err);
        assert_int_equal(report.segments_read, k == 0 ? 2 : 1);
        assert_int_equal(report.state.txid, k + 2);
        assert_true(report.proved);
        r->ops->free(r);
    }
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_captured_state_is_rebuilt),
        cmocka_unit_test(a_round_ends_where_it_is_told_and_find_knows_it),
        cmocka_unit_test(lost_commits_and_a_new_log_are_caught_up_with),
        cmocka_unit_test(adopting_the_archive_is_as_good_as_the_lost_state),
        cmocka_unit_test(a_scan_finds_the_rotten_page_and_parks_the_newer_ones),
        cmocka_unit_test(a_kept_digest_is_advanced_here_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
