/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    from an archive's bytes alone to the model's database at every restore point; a kept
 *         replica is advanced by new segments only, and never trusted; damage, holes and objects
 *         that vanish end as the header says.
 * Method  archives of random histories with random compaction, by archive_maker on store_mem, whose
 *         requests are counted.
 */
#include "rebuilder/rebuilder.h"

#include <inttypes.h>
#include <pthread.h>

#include "lib/archive_maker.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"
#include "rebuilder/fetch.h"

struct fixture {
    struct store_mem *store;
    struct store_fault *fault;
    struct maker m;
    struct hf_pool *pool;
    char *dir;
    char *digest_path;
    char *pages_path;
    struct hf_rebuild_options options;
    struct hf_rebuild_report report;
    struct hf_err err;
};

static void fixture_init(struct fixture *f, enum maker_kind kind, unsigned threads)
{
    *f = (struct fixture){.store = store_mem_new(NULL)};
    f->fault = store_fault_new(&f->store->base);
    maker_init(&f->m, &f->fault->base, "t/a.db", kind, 512, 11);
    f->pool = hf_pool_new(threads);
    f->dir = test_tmp_new();
    f->digest_path = hf_strfmt("%s/digest", f->dir);
    f->pages_path = hf_strfmt("%s/pages", f->dir);
    f->options = (struct hf_rebuild_options){
        .engine = hf_engine_sqlite(),
        .archive = &f->m.archive,
        .fs = hf_fs_system(),
        .pool = f->pool,
        .digest_path = f->digest_path,
        .mode = 0600,
    };
}

static void fixture_done(struct fixture *f)
{
    maker_done(&f->m);
    hf_store_free(&f->fault->base);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    hf_free(f->digest_path);
    hf_free(f->pages_path);
    test_tmp_remove(f->dir);
}

static enum hf_code rebuild(struct fixture *f, struct hf_target target)
{
    struct hf_replica *r = NULL;
    enum hf_code rc;

    f->options.target = target;
    f->report = (struct hf_rebuild_report){0};
    rc = hf_rebuild(&f->options, &r, &f->report, &f->err);
    assert_int_equal(r != NULL, rc == HF_OK);
    if (r != NULL) {
        assert_int_equal(r->ops->state(r)->txid, f->report.state.txid);
        r->ops->free(r);
    }
    return rc;
}

static enum hf_code rebuild_txid(struct fixture *f, uint64_t txid)
{
    return rebuild(f, (struct hf_target){.kind = HF_TARGET_TXID, .txid = txid});
}

static void assert_at(struct fixture *f, uint64_t txid)
{
    assert_int_equal(f->report.state.txid, txid);
    assert_true(hf_root_equal(f->report.state.root, f->m.states[txid].root));
    assert_int_equal(f->report.state.pages_count, f->m.states[txid].pages_count);
    assert_int_equal(f->report.proved, f->m.kind == MAKER_OURS);
}

/* Level 0 for all; at random runs of it also merged, and snapshots. */
static void put_history(struct fixture *f, uint64_t txids)
{
    for (uint64_t t = 1; t <= txids; t++)
        maker_commit_random(&f->m, 120);
    maker_put_all(&f->m);
    for (unsigned level = 1; level <= 3; level++) {
        for (uint64_t t = 2; t <= txids;) {
            const uint64_t to = t + hf_rand_below(&f->m.rand, 3 * level + 1);

            if (to > txids)
                break;
            maker_put(&f->m, level, t, to);
            t = to + 1;
        }
    }
    maker_put(&f->m, HF_LEVEL_SNAPSHOT, 1, txids / 2);
}

static void every_restore_point_is_the_models_database(void **state)
{
    (void)state;
    for (int kind = MAKER_OURS; kind <= MAKER_PLAIN; kind++) {
        struct fixture f;

        fixture_init(&f, (enum maker_kind)kind, 2);
        put_history(&f, 40);
        f.options.pages_path = f.pages_path;
        for (uint64_t t = 1; t <= 40; t++) {
            hf_must(rebuild_txid(&f, t), &f.err);
            assert_at(&f, t);
            maker_assert_file(&f.m, t, f.pages_path);
            hf_must(hf_fs_unlink(hf_fs_system(), f.pages_path, &f.err), &f.err);
            hf_must(rebuild(&f, (struct hf_target){.kind = HF_TARGET_TIME,
                                                   .time_ms = maker_time_ms(t) + 999,
                                                   .now_ms = maker_time_ms(1000)}),
                    &f.err);
            assert_at(&f, t);
            assert_int_equal(f.report.after_last, t == 40);
            hf_must(hf_fs_unlink(hf_fs_system(), f.pages_path, &f.err), &f.err);
        }
        fixture_done(&f);
    }
}

static void a_kept_digest_is_advanced_by_new_segments_only(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    for (int k = 0; k < 30; k++)
        maker_commit_random(&f.m, 60);
    maker_put_all(&f.m);
    hf_must(rebuild_txid(&f, 20), &f.err);
    assert_int_equal(f.report.segments_read, 20);

    (void)store_mem_requests_take(f.store);
    hf_must(rebuild_txid(&f, 25), &f.err);
    assert_at(&f, 25);
    assert_int_equal(f.report.segments_read, 5);
    assert_int_equal(store_mem_requests_take(f.store).get, 5 + 1); /* and the plan's last header */

    hf_must(rebuild_txid(&f, 25), &f.err); /* nothing new */
    assert_at(&f, 25);
    assert_int_equal(f.report.segments_read, 0);
    assert_int_equal(f.report.bytes_read, 0);

    hf_must(rebuild_txid(&f, 24), &f.err); /* it cannot go back */
    assert_at(&f, 24);
    assert_int_equal(f.report.segments_read, 24);
    fixture_done(&f);
}

/* Bytes of the digest are read only for pages that change: opening it would sum all of them. */
static void a_replica_that_is_open_is_moved_on_without_being_read_again(void **state)
{
    uint64_t reads[2];

    (void)state;
    for (int open = 0; open < 2; open++) {
        struct fixture f;
        struct fs_fault fs;
        struct hf_replica *kept = NULL;
        struct hf_replica *moved = NULL;

        fixture_init(&f, MAKER_OURS, 0);
        fs_fault_init(&fs, hf_fs_system());
        f.options.fs = &fs.base;
        f.options.kept = &kept;
        maker_commit(&f.m, MAKER_PAGES_MAX, 0);
        maker_commit(&f.m, MAKER_PAGES_MAX, 1);
        maker_put_all(&f.m);
        f.options.target = (struct hf_target){.kind = HF_TARGET_TXID, .txid = 1};
        hf_must(hf_rebuild(&f.options, &kept, &f.report, &f.err), &f.err);
        if (open == 0) {
            kept->ops->free(kept);
            kept = NULL;
        }
        fs_fault_arm(&fs, (struct fs_fault_plan){.kinds = FS_READ});
        f.options.target.txid = 2;
        hf_must(hf_rebuild(&f.options, &moved, &f.report, &f.err), &f.err);
        assert_at(&f, 2);
        assert_null(kept);
        reads[open] = fs.guarded.count[FS_READ_INDEX];
        moved->ops->free(moved);
        fs_fault_done(&fs);
        fixture_done(&f);
    }
    assert_true(reads[0] >= MAKER_PAGES_MAX * 32 / 8192);
    assert_true(reads[1] <= 2); /* the entry that changes */
}

/* An open replica that does not lead there is given up, as one that was kept on disk. */
static void an_open_replica_of_another_past_is_given_up(void **state)
{
    struct fixture f;
    struct fixture other;
    struct hf_replica *kept = NULL;
    struct hf_replica *moved = NULL;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    fixture_init(&other, MAKER_OURS, 0);
    put_history(&f, 20);
    maker_commit_random(&other.m, 100);
    put_history(&other, 30);
    other.options.target = (struct hf_target){.kind = HF_TARGET_TXID, .txid = 10};
    hf_must(hf_rebuild(&other.options, &kept, &other.report, &other.err), &other.err);
    f.options.digest_path = other.digest_path;
    f.options.kept = &kept;
    f.options.target = (struct hf_target){.kind = HF_TARGET_TXID, .txid = 20};
    hf_must(hf_rebuild(&f.options, &moved, &f.report, &f.err), &f.err);
    assert_at(&f, 20);
    assert_null(kept);
    moved->ops->free(moved);
    fixture_done(&f);
    fixture_done(&other);
}

/* The plan begins with a snapshot that is newer than what was kept. */
static void a_newer_snapshot_is_not_read_where_smaller_segments_lead_past_it(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    maker_commit(&f.m, 300, 0);
    for (int k = 0; k < 20; k++)
        maker_commit(&f.m, 300, 1);
    maker_put_all(&f.m);
    hf_must(rebuild_txid(&f, 10), &f.err);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 18);
    maker_put(&f.m, 1, 9, 14);
    hf_must(rebuild_txid(&f, 21), &f.err);
    assert_at(&f, 21);
    assert_int_equal(f.report.segments_read, 1 + 7); /* 9-14, 15 .. 21 */

    /* Without a way, the snapshot is. */
    for (int k = 0; k < 4; k++)
        maker_commit(&f.m, 300, 1);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 24);
    maker_put(&f.m, 0, 25, 25);
    hf_must(rebuild_txid(&f, 25), &f.err);
    assert_at(&f, 25);
    assert_int_equal(f.report.segments_read, 2);
    fixture_done(&f);
}

static void what_was_kept_of_another_archive_is_given_up(void **state)
{
    struct fixture f;
    struct maker other;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    put_history(&f, 12);
    maker_init(&other, &f.fault->base, "t/b.db", MAKER_OURS, 512, 99);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&other, 60);
    maker_put_all(&other);
    f.options.archive = &other.archive;
    hf_must(rebuild_txid(&f, 12), &f.err);
    f.options.archive = &f.m.archive;
    hf_must(rebuild_txid(&f, 12), &f.err); /* the same TXID, and another root */
    assert_at(&f, 12);
    f.options.archive = &other.archive;
    hf_must(rebuild_txid(&f, 5), &f.err);
    f.options.archive = &f.m.archive;
    hf_must(rebuild_txid(&f, 12), &f.err); /* on its way, but of another history */
    assert_at(&f, 12);
    maker_done(&other);
    fixture_done(&f);
}

/* Nothing could tell that it is this archive's. */
static void what_was_kept_without_roots_is_not_used(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_PLAIN, 0);
    put_history(&f, 9);
    hf_must(rebuild_txid(&f, 9), &f.err);
    const size_t whole = f.report.segments_read;

    hf_must(rebuild_txid(&f, 9), &f.err);
    assert_int_equal(f.report.segments_read, whole);
    fixture_done(&f);
}

static void damage_anywhere_names_the_object(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 2);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    for (uint64_t t = 1; t <= 12; t++) {
        char key[HF_KEY_MAX + 1];

        maker_key(&f.m, t == 1 ? 9 : 0, t, t, key);
        const uint64_t size = store_mem_find(f.store, key)->object.size_bytes;

        store_fault_corrupt(f.fault, key, size - 5, 0x80); /* the file checksum */
        assert_int_equal(rebuild_txid(&f, 12), HF_DAMAGE);
        assert_non_null(strstr(f.err.text, key));
        store_fault_corrupt(f.fault, NULL, 0, 0);
        hf_must(rebuild_txid(&f, t), &f.err); /* kept; the next damage lies behind it */
    }
    fixture_done(&f);
}

/* Rebuild to each TXID by its time: the model's, or an error that names the damaged object.
 * Returns how often it was an error. */
static unsigned rebuild_by_times(struct fixture *f, uint64_t txids, const char *damaged)
{
    unsigned refused = 0;

    for (uint64_t t = 1; t <= txids; t++) {
        const struct hf_target target = {.kind = HF_TARGET_TIME,
                                         .time_ms = maker_time_ms(t) + 999,
                                         .now_ms = maker_time_ms(1000)};
        const enum hf_code rc = rebuild(f, target);

        if (rc == HF_OK) {
            assert_at(f, t);
            continue;
        }
        refused++;
        if (rc == HF_USAGE) { /* the first snapshot says that it is later than the wanted time */
            assert_non_null(strstr(f->err.text, "before the first restorable moment"));
            continue;
        }
        assert_int_equal(rc, HF_DAMAGE);
        assert_non_null(strstr(f->err.text, damaged));
    }
    return refused;
}

static void a_damaged_time_leads_to_no_other_database(void **state)
{
    static const struct {
        unsigned level;
        uint64_t min_txid;
        uint64_t max_txid;
    } objects[] = {{9, 1, 1},   {0, 2, 2}, {0, 5, 5}, {0, 7, 7}, {0, 9, 9},
                   {0, 12, 12}, {1, 2, 4}, {1, 5, 8}, {9, 1, 6}, {2, 7, 10}};
    static const uint8_t masks[] = {0x02, 0x01}; /* later, earlier: by decades */
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    for (size_t i = 6; i < HF_ARRAY_LEN(objects); i++)
        maker_put(&f.m, objects[i].level, objects[i].min_txid, objects[i].max_txid);
    assert_int_equal(rebuild_by_times(&f, 12, ""), 0);
    for (size_t i = 0; i < HF_ARRAY_LEN(objects); i++) {
        for (size_t m = 0; m < HF_ARRAY_LEN(masks); m++) {
            char key[HF_KEY_MAX + 1];

            maker_key(&f.m, objects[i].level, objects[i].min_txid, objects[i].max_txid, key);
            store_fault_corrupt(f.fault, key, 34, masks[m]);
            assert_true(rebuild_by_times(&f, 12, key) > 0);
            store_fault_corrupt(f.fault, NULL, 0, 0);
        }
    }
    fixture_done(&f);
}

static void a_key_that_lies_is_damage(void **state)
{
    struct fixture f;
    HF_AUTO_BUF bytes = {0};

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    for (int k = 0; k < 6; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    maker_segment(&f.m, 4, 4, &bytes);
    maker_put_bytes(&f.m, 0, 3, 3, hf_buf_slice(&bytes));
    assert_int_equal(rebuild_txid(&f, 6), HF_DAMAGE);
    assert_non_null(strstr(f.err.text, "TXID 4 to 4"));
    fixture_done(&f);
}

static void pages_of_another_size_than_the_archives_are_damage(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    for (int k = 0; k < 3; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    f.m.archive.format.page_bytes = 1024;
    assert_int_equal(rebuild_txid(&f, 3), HF_DAMAGE);
    assert_non_null(strstr(f.err.text, "holdfast/format"));
    f.m.archive.format.page_bytes = 0; /* it does not say */
    hf_must(rebuild_txid(&f, 3), &f.err);
    fixture_done(&f);
}

static void a_hole_is_no_older_database(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    for (int k = 0; k < 9; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    maker_delete(&f.m, 0, 6, 6);
    assert_int_equal(rebuild(&f, (struct hf_target){.kind = HF_TARGET_LATEST}), HF_HOLE);
    assert_int_equal(rebuild_txid(&f, 8), HF_HOLE);
    hf_must(rebuild_txid(&f, 5), &f.err);
    assert_at(&f, 5);
    fixture_done(&f);
}

/* Retention takes planned segments away, and leaves another way. */
struct vanish {
    struct fixture *f;
    unsigned plans;
    unsigned vanish_at; /* this plan and those before it meet objects that go */
};

static enum hf_code vanish(void *ctx, const struct hf_plan *plan, struct hf_err *err)
{
    struct vanish *v = ctx;
    const struct hf_segment_ref *last = &plan->segments[plan->segments_count - 1];

    (void)err;
    if (++v->plans > v->vanish_at)
        return HF_OK;
    maker_put(&v->f->m, last->level + 1, last->min_txid, last->max_txid);
    maker_delete(&v->f->m, last->level, last->min_txid, last->max_txid);
    return HF_OK;
}

static void a_vanished_segment_is_planned_around_once(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 2; at++) {
        for (int with_pages = 0; with_pages <= 1; with_pages++) {
            struct fixture f;
            struct vanish v = {.f = &f, .vanish_at = at};

            fixture_init(&f, MAKER_OURS, 2);
            for (int k = 0; k < 6; k++)
                maker_commit_random(&f.m, 40);
            maker_put_all(&f.m);
            f.options.judge = vanish;
            f.options.judge_ctx = &v;
            f.options.pages_path = with_pages ? f.pages_path : NULL;
            const enum hf_code rc = rebuild_txid(&f, 6);

            assert_int_equal(v.plans, 2);
            assert_int_equal(rc, at == 1 ? HF_OK : HF_HOLE);
            if (rc == HF_OK)
                assert_at(&f, 6);
            if (rc == HF_OK && with_pages)
                maker_assert_file(&f.m, 6, f.pages_path);
            fixture_done(&f);
        }
    }
}

static enum hf_code refuse(void *ctx, const struct hf_plan *plan, struct hf_err *err)
{
    *(uint64_t *)ctx = plan->txid;
    return hf_err_set(err, HF_FULL, "no");
}

static void a_refused_plan_makes_nothing(void **state)
{
    struct fixture f;
    uint64_t seen = 0;
    struct hf_stat st;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    put_history(&f, 5);
    f.options.judge = refuse;
    f.options.judge_ctx = &seen;
    f.options.pages_path = f.pages_path;
    assert_int_equal(rebuild_txid(&f, 4), HF_FULL);
    assert_int_equal(seen, 4);
    assert_int_equal(hf_fs_stat(hf_fs_system(), f.pages_path, &st, &f.err), HF_NOT_FOUND);
    assert_int_equal(hf_fs_stat(hf_fs_system(), f.digest_path, &st, &f.err), HF_NOT_FOUND);
    fixture_done(&f);
}

static void a_database_of_another_engine_is_refused(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    put_history(&f, 3);
    (void)memcpy(f.m.archive.format.engine, "other", sizeof("other"));
    assert_int_equal(rebuild_txid(&f, 3), HF_USAGE);
    fixture_done(&f);
}

static void a_pages_file_that_exists_is_left_as_it_is(void **state)
{
    struct fixture f;
    HF_AUTO_BUF bytes = {0};

    (void)state;
    fixture_init(&f, MAKER_OURS, 0);
    put_history(&f, 3);
    hf_must(hf_fs_replace(hf_fs_system(), f.pages_path, hf_slice_str("mine"), 0600, &f.err),
            &f.err);
    f.options.pages_path = f.pages_path;
    assert_int_equal(rebuild_txid(&f, 3), HF_CONFLICT);
    hf_must(hf_fs_read_all(hf_fs_system(), f.pages_path, 100, &bytes, &f.err), &f.err);
    assert_string_equal(hf_buf_str(&bytes), "mine");
    fixture_done(&f);
}

/* ---- requests, progress, stopping ---------------------------------------------------------- */

struct watcher {
    struct hf_progress base; /* first, so that the pointers convert */
    uint64_t last;
    uint64_t total;
    unsigned calls;
    hf_stop_flag stop;
    unsigned stop_at; /* set the flag at this call; 0: never */
};

static void watch(struct hf_progress *p, uint64_t done, uint64_t total)
{
    struct watcher *w = (struct watcher *)p;

    assert_true(done >= w->last && done <= total);
    assert_true(w->calls == 0 || w->total == total);
    w->last = done;
    w->total = total;
    w->calls++;
    if (w->calls == w->stop_at)
        w->stop = true;
}

static void progress_runs_from_nothing_to_all_bytes(void **state)
{
    struct fixture f;
    struct watcher w = {.base = {.tell = watch}};

    (void)state;
    fixture_init(&f, MAKER_OURS, 3);
    put_history(&f, 20);
    f.options.progress = &w.base;
    hf_must(rebuild_txid(&f, 20), &f.err);
    assert_true(w.calls > 0);
    assert_int_equal(w.last, w.total);
    assert_int_equal(f.report.bytes_read, w.total);
    fixture_done(&f);
}

static void stop_ends_it_at_any_point(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 20; at += 6) {
        struct fixture f;
        struct watcher w = {.base = {.tell = watch}, .stop_at = at};

        fixture_init(&f, MAKER_OURS, 0);
        for (int k = 0; k < 30; k++)
            maker_commit_random(&f.m, 40);
        maker_put_all(&f.m);
        f.options.progress = &w.base;
        f.options.stop = &w.stop;
        assert_int_equal(rebuild_txid(&f, 30), HF_CANCELED);
        f.options.stop = NULL;
        f.options.progress = NULL;
        hf_must(rebuild_txid(&f, 30), &f.err);
        assert_at(&f, 30);
        fixture_done(&f);
    }
}

static void whatever_request_fails_the_next_try_succeeds(void **state)
{
    struct fixture f;
    uint64_t failed = 0;

    (void)state;
    fixture_init(&f, MAKER_OURS, 2);
    put_history(&f, 12);
    for (uint64_t at = 1;; at++) {
        store_fault_arm(f.fault, (struct store_fault_plan){.fail_at = at, .code = HF_TRANSIENT});
        const enum hf_code rc = rebuild_txid(&f, 12);

        if (f.fault->guarded.failed == 0) {
            hf_must(rc, &f.err);
            break;
        }
        failed++;
        assert_int_equal(rc, HF_TRANSIENT);
        store_fault_disarm(f.fault);
        hf_must(rebuild_txid(&f, 12), &f.err);
        assert_at(&f, 12);
        hf_must(rebuild_txid(&f, 1), &f.err);
    }
    assert_true(failed > 3);
    fixture_done(&f);
}

/* A store whose gets wait for each other: as many as are under way at the same time. */
struct meeting {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_store *inner;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned inside;
    unsigned most;
    unsigned wanted; /* the first gets wait until so many are inside */
};

static enum hf_code meeting_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                                struct hf_buf *ret, struct hf_object *ret_object,
                                struct hf_err *err)
{
    struct meeting *m = (struct meeting *)s;

    if (strstr(key, "0000/") != NULL) {
        (void)pthread_mutex_lock(&m->mutex);
        m->inside++;
        m->most = m->inside > m->most ? m->inside : m->most;
        (void)pthread_cond_broadcast(&m->changed);
        while (m->most < m->wanted)
            (void)pthread_cond_wait(&m->changed, &m->mutex);
        m->inside--;
        (void)pthread_mutex_unlock(&m->mutex);
    }
    return hf_store_get(m->inner, key, offset, len, ret, ret_object, err);
}

static void small_segments_are_fetched_side_by_side_and_once(void **state)
{
    struct fixture f;
    struct hf_store_ops ops;
    struct meeting meeting = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER,
                              .wanted = HF_FETCH_AHEAD};
    struct hf_meter meter;
    struct hf_fetch *fetch;
    struct hf_segment_ref refs[20];

    (void)state;
    fixture_init(&f, MAKER_OURS, HF_FETCH_AHEAD);
    for (int k = 0; k < 21; k++)
        maker_commit_random(&f.m, 40);
    maker_put_all(&f.m);
    meeting.inner = &f.fault->base;
    ops = *f.fault->base.ops;
    ops.get = meeting_get;
    meeting.base = f.fault->base;
    meeting.base.ops = &ops;
    struct hf_archive archive = f.m.archive;

    archive.store = &meeting.base;
    for (size_t i = 0; i < HF_ARRAY_LEN(refs); i++) {
        struct hf_segment s = {.min_txid = i + 2, .max_txid = i + 2};
        char key[HF_KEY_MAX + 1];

        maker_key(&f.m, 0, i + 2, i + 2, key);
        s.size_bytes = store_mem_find(f.store, key)->object.size_bytes;
        hf_segment_ref_init(&refs[i], &archive, &s);
    }
    (void)store_mem_requests_take(f.store);
    hf_meter_init(&meter, NULL, 0);
    fetch = hf_fetch_new(&archive, f.pool, refs, HF_ARRAY_LEN(refs), &meter, NULL);
    for (size_t i = 0; i < HF_ARRAY_LEN(refs); i++) {
        struct hf_source *source;
        HF_AUTO_BUF want = {0};
        HF_AUTO_BUF got = {0};

        hf_must(hf_fetch_next(fetch, &source, &f.err), &f.err);
        hf_must(source->read(source, 0, (size_t)source->size_bytes, &got, &f.err), &f.err);
        maker_segment(&f.m, i + 2, i + 2, &want);
        assert_int_equal(want.len, got.len);
        assert_memory_equal(want.ptr, got.ptr, got.len);
        assert_int_equal(source->read(source, got.len, 1, &got, &f.err), HF_DAMAGE);
    }
    hf_fetch_free(fetch);
    hf_meter_done(&meter);
    assert_int_equal(meeting.most, HF_FETCH_AHEAD);
    assert_int_equal(store_mem_requests_take(f.store).get, HF_ARRAY_LEN(refs));
    for (size_t i = 0; i < HF_ARRAY_LEN(refs); i++)
        hf_segment_ref_done(&refs[i]);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_restore_point_is_the_models_database),
        cmocka_unit_test(a_kept_digest_is_advanced_by_new_segments_only),
        cmocka_unit_test(a_replica_that_is_open_is_moved_on_without_being_read_again),
        cmocka_unit_test(an_open_replica_of_another_past_is_given_up),
        cmocka_unit_test(a_newer_snapshot_is_not_read_where_smaller_segments_lead_past_it),
        cmocka_unit_test(what_was_kept_of_another_archive_is_given_up),
        cmocka_unit_test(what_was_kept_without_roots_is_not_used),
        cmocka_unit_test(damage_anywhere_names_the_object),
        cmocka_unit_test(a_damaged_time_leads_to_no_other_database),
        cmocka_unit_test(a_key_that_lies_is_damage),
        cmocka_unit_test(pages_of_another_size_than_the_archives_are_damage),
        cmocka_unit_test(a_hole_is_no_older_database),
        cmocka_unit_test(a_vanished_segment_is_planned_around_once),
        cmocka_unit_test(a_refused_plan_makes_nothing),
        cmocka_unit_test(a_database_of_another_engine_is_refused),
        cmocka_unit_test(a_pages_file_that_exists_is_left_as_it_is),
        cmocka_unit_test(progress_runs_from_nothing_to_all_bytes),
        cmocka_unit_test(stop_ends_it_at_any_point),
        cmocka_unit_test(whatever_request_fails_the_next_try_succeeds),
        cmocka_unit_test(small_segments_are_fetched_side_by_side_and_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
