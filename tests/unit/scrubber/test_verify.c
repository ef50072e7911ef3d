/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    verify reads every object, proves those of every restorable chain, and finds whatever is
 *         done to an archive; what is whole behind the damage is still proved.
 * Method  random archives by archive_maker, sound ones and ones with one thing done to them: each
 *         object in turn is corrupted, deleted, exchanged, moved.
 */
#include "scrubber/verify.h"

#include <inttypes.h>

#include "engine/sqlite/ltx/ltx_writer.h"
#include "lib/archive_maker.h"
#include "lib/fixture.h"
#include "lib/ltx_fixture.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"

#define FINDINGS_MAX 200

struct met {
    enum hf_verify_kind kind;
    uint64_t from;
    uint64_t to;
    char *key;
    char *text;
};

struct fixture {
    struct store_mem *store;
    struct store_fault *fault;
    struct maker m;
    struct hf_pool *pool;
    char *dir;
    struct hf_verify_options options;
    struct hf_verify_report report;
    struct met met[FINDINGS_MAX];
    size_t met_count;
    struct hf_err err;
};

static void fixture_init(struct fixture *f, enum maker_kind kind, uint64_t seed)
{
    (void)memset(f, 0, sizeof(*f));
    f->store = store_mem_new(NULL);
    f->fault = store_fault_new(&f->store->base);
    maker_init(&f->m, &f->fault->base, "t/a.db", kind, 512, seed);
    f->pool = hf_pool_new(2);
    f->dir = test_tmp_new();
    f->options = (struct hf_verify_options){
        .engine = hf_engine_sqlite(),
        .archive = &f->m.archive,
        .fs = hf_fs_system(),
        .pool = f->pool,
        .work_dir = f->dir,
    };
}

static void forget(struct fixture *f)
{
    for (size_t i = 0; i < f->met_count; i++) {
        hf_free(f->met[i].key);
        hf_free(f->met[i].text);
    }
    f->met_count = 0;
}

static void fixture_done(struct fixture *f)
{
    forget(f);
    maker_done(&f->m);
    hf_store_free(&f->fault->base);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    test_tmp_remove(f->dir);
}

static void meet(void *ctx, const struct hf_verify_finding *finding)
{
    struct fixture *f = ctx;

    assert_true(f->met_count < FINDINGS_MAX);
    f->met[f->met_count++] = (struct met){
        .kind = finding->kind,
        .from = finding->from_txid,
        .to = finding->to_txid,
        .key = hf_strdup(finding->key),
        .text = hf_strdup(finding->text),
    };
}

static enum hf_code fail_name(void *ctx, const char *name, struct hf_err *err)
{
    (void)ctx;
    return hf_err_set(err, HF_IO, "%s is left behind", name);
}

static enum hf_code verify(struct fixture *f)
{
    enum hf_code rc;
    struct hf_err err;

    forget(f);
    rc = hf_verify(&f->options, meet, f, &f->report, &f->err);
    hf_must(hf_fs_list(hf_fs_system(), f->dir, fail_name, NULL, &err), &err);
    if (rc == HF_OK)
        assert_int_equal(f->report.findings_count, f->met_count);
    return rc;
}

/* The finding of this kind about this key ("" for any), or NULL. */
static const struct met *find(struct fixture *f, enum hf_verify_kind kind, const char *key)
{
    for (size_t i = 0; i < f->met_count; i++) {
        if (f->met[i].kind == kind && (*key == '\0' || strcmp(f->met[i].key, key) == 0))
            return &f->met[i];
    }
    return NULL;
}

static void print_findings(struct fixture *f)
{
    for (size_t i = 0; i < f->met_count; i++)
        print_message("finding %d %" PRIu64 "-%" PRIu64 " %s: %s\n", f->met[i].kind, f->met[i].from,
                      f->met[i].to, f->met[i].key, f->met[i].text);
}

static void verify_clean(struct fixture *f)
{
    hf_must(verify(f), &f->err);
    if (f->report.findings_count > 0) {
        print_findings(f);
        fail();
    }
}

/* All levels; at times the lower ones begin where the second segment of the highest does, as
 * retention leaves them. */
static void put_history(struct fixture *f, uint64_t txids)
{
    static const uint64_t widths[] = {1, 3, 7, 20};
    const uint64_t begin = hf_rand_below(&f->m.rand, 2) == 0 ? 22 : 2;

    for (uint64_t t = 1; t <= txids; t++)
        maker_commit_random(&f->m, 60);
    maker_put(&f->m, HF_LEVEL_SNAPSHOT, 1, 1);
    for (unsigned level = 0; level < HF_ARRAY_LEN(widths); level++) {
        for (uint64_t t = 2; t <= txids; t += widths[level]) {
            const uint64_t to = t + widths[level] - 1;

            if (to <= txids && (t >= begin || level == 3))
                maker_put(&f->m, level, t, to);
        }
    }
    maker_put(&f->m, HF_LEVEL_SNAPSHOT, 1, txids / 2);
    maker_put(&f->m, HF_LEVEL_SNAPSHOT, 1, txids - 5);
}

static void a_sound_archive_is_read_whole_and_has_no_findings(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct fixture f;
        struct hf_seg_list all = {0};

        fixture_init(&f, (enum maker_kind)(seed % 3), seed);
        put_history(&f, 61);
        verify_clean(&f);
        hf_must(hf_listing_all(&f.m.archive, &all, &f.err), &f.err);
        assert_int_equal(f.report.objects_read, all.count);
        assert_int_equal(f.report.proved_by_roots, seed % 3 == MAKER_OURS);
        assert_int_equal(f.report.first_txid, 1);
        assert_int_equal(f.report.last_txid, 61);
        assert_true(f.report.bytes_read > 0);
        hf_seg_list_done(&all);
        fixture_done(&f);
    }
}

/* Corrupt each object in turn, of an archive without findings. */
static void assert_damage_of_each_is_told(struct fixture *f)
{
    struct hf_seg_list all = {0};

    hf_must(hf_listing_all(&f->m.archive, &all, &f->err), &f->err);
    for (size_t i = 0; i < all.count; i++) {
        const struct hf_segment *s = &all.items[i];
        char key[HF_KEY_MAX + 1];

        hf_archive_segment_key(&f->m.archive, s, key);
        /* The file's checksum, which no other byte of the file can stand in for. */
        store_fault_corrupt(f->fault, key, s->size_bytes - 3, 0x04);
        hf_must(verify(f), &f->err);
        const struct met *met = find(f, HF_VERIFY_DAMAGE, key);

        if (met == NULL) {
            fail_msg("%s: not found", key);
            return;
        }
        assert_int_equal(met->from, s->min_txid);
        assert_int_equal(met->to, s->max_txid);
        for (size_t k = 0; k < f->met_count; k++) /* it is not blamed on others */
            assert_true(&f->met[k] == met || f->met[k].kind == HF_VERIFY_HOLE);
    }
    store_fault_corrupt(f->fault, NULL, 0, 0);
    verify_clean(f);
    assert_int_equal(f->report.objects_read, all.count);
    hf_seg_list_done(&all);
}

static void no_object_can_be_damaged_unnoticed(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    put_history(&f, 42);
    assert_damage_of_each_is_told(&f);
    fixture_done(&f);
}

/* Only level 0: each missing one is a hole, and what a later snapshot leads to is proved. */
static void every_hole_is_named(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&f.m, 60);
    maker_put_all(&f.m);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 8);
    for (uint64_t t = 2; t <= 11; t++) {
        const struct met *met;

        maker_delete(&f.m, 0, t, t);
        hf_must(verify(&f), &f.err);
        met = find(&f, HF_VERIFY_HOLE, "");
        if (t == 8) { /* the snapshot ends there */
            assert_int_equal(f.report.findings_count, 0);
        } else {
            assert_non_null(met);
            assert_int_equal(met->from, t);
            assert_int_equal(met->to, t);
            assert_int_equal(f.report.last_txid, t < 8 ? 12 : t - 1);
        }
        maker_put(&f.m, 0, t, t);
    }
    verify_clean(&f);
    fixture_done(&f);
}

static void a_merge_that_lost_a_page_is_found_though_its_file_is_sound(void **state)
{
    struct fixture f;
    HF_AUTO_BUF honest = {0};
    HF_AUTO_LTX_WRITER *w = NULL;
    struct hf_ltx_header h;
    struct test_sink sink;
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    maker_commit(&f.m, 20, 0);
    for (int k = 0; k < 6; k++)
        maker_commit(&f.m, 20, 4);
    maker_put_all(&f.m);
    maker_segment(&f.m, 3, 5, &honest);
    hf_must(hf_ltx_header_decode(hf_buf_slice(&honest), &h, &f.err), &f.err);
    test_sink_init(&sink);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &f.err), &f.err);
    for (uint32_t p = 1; p <= 20; p++) {
        if (f.m.states[5].changed[p - 1]) /* and none that only 3 or 4 wrote */
            hf_must(hf_ltx_writer_page(w, p, hf_slice(maker_page(&f.m, 5, p), 512), &f.err),
                    &f.err);
    }
    hf_must(hf_ltx_writer_finish(w, f.m.states[5].sum, &f.err), &f.err);
    maker_put_bytes(&f.m, 1, 3, 5, hf_buf_slice(&sink.bytes));
    hf_must(verify(&f), &f.err);
    maker_key(&f.m, 1, 3, 5, key);
    assert_int_equal(f.report.findings_count, 1);
    assert_non_null(find(&f, HF_VERIFY_DAMAGE, key));
    assert_int_equal(f.report.last_txid, 7); /* by the others */
    test_sink_done(&sink);
    fixture_done(&f);
}

/* A snapshot that is sound in itself, but of another database. */
static void ways_that_lead_to_different_states_are_found(void **state)
{
    struct fixture f;
    struct maker other;
    HF_AUTO_BUF bytes = {0};
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f, MAKER_TRACKED, 4);
    maker_init(&other, &f.fault->base, "t/b.db", MAKER_TRACKED, 512, 77);
    for (int k = 0; k < 6; k++) {
        maker_commit(&f.m, 20, 4);
        maker_commit(&other, 20, 4);
    }
    maker_put_all(&f.m);
    maker_segment(&other, 1, 6, &bytes);
    maker_put_bytes(&f.m, HF_LEVEL_SNAPSHOT, 1, 6, hf_buf_slice(&bytes));
    hf_must(verify(&f), &f.err);
    maker_key(&f.m, HF_LEVEL_SNAPSHOT, 1, 6, key);
    assert_int_equal(f.report.findings_count, 1);
    assert_non_null(find(&f, HF_VERIFY_DAMAGE, key));
    assert_non_null(strstr(f.met[0].text, "another state of TXID 6"));
    maker_done(&other);
    fixture_done(&f);
}

static void a_key_that_lies_and_one_that_is_misplaced_are_told(void **state)
{
    struct fixture f;
    HF_AUTO_BUF bytes = {0};
    const struct hf_put put = {.cond = HF_PUT_ALWAYS};
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 6; k++)
        maker_commit_random(&f.m, 60);
    maker_put_all(&f.m);
    maker_segment(&f.m, 3, 3, &bytes);
    maker_put_bytes(&f.m, 1, 3, 4, hf_buf_slice(&bytes));
    hf_must(hf_store_put(&f.fault->base, "t/a.db/0000/x/0000000000000002-0000000000000002.ltx",
                         hf_buf_slice(&bytes), &put, NULL, &f.err),
            &f.err);
    hf_must(verify(&f), &f.err);
    maker_key(&f.m, 1, 3, 4, key);
    assert_int_equal(f.report.findings_count, 2);
    assert_non_null(find(&f, HF_VERIFY_FOREIGN, key));
    assert_non_null(
        find(&f, HF_VERIFY_FOREIGN, "t/a.db/0000/x/0000000000000002-0000000000000002.ltx"));
    assert_int_equal(f.report.last_txid, 6);
    fixture_done(&f);
}

/* Restores to a time go by it; the files are sound, and lead to the roots they carry. */
static void a_time_that_falls_is_told(void **state)
{
    static const struct {
        unsigned level;
        uint64_t min_txid;
        uint64_t max_txid;
        int64_t shift_ms;
        unsigned culprit_level; /* told of: the one that is earlier than what comes before it */
        uint64_t culprit_min;
        uint64_t culprit_max;
    } cases[] = {
        {0, 5, 5, -3600000, 0, 5, 5}, {0, 5, 5, 3600000, 0, 6, 6}, {1, 2, 4, 1, 1, 2, 4},
        {1, 2, 4, -1, 1, 2, 4},       {9, 1, 6, 500, 9, 1, 6},     {9, 1, 1, 3600000, 0, 2, 2},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        char key[HF_KEY_MAX + 1];
        struct fixture f;

        fixture_init(&f, MAKER_OURS, 30 + i);
        for (int k = 0; k < 9; k++)
            maker_commit_random(&f.m, 40);
        maker_put_all(&f.m);
        maker_put(&f.m, 1, 2, 4);
        maker_put(&f.m, 9, 1, 6);
        verify_clean(&f);
        f.m.time_shift_ms = cases[i].shift_ms;
        maker_put(&f.m, cases[i].level, cases[i].min_txid, cases[i].max_txid);
        hf_must(verify(&f), &f.err);
        maker_key(&f.m, cases[i].culprit_level, cases[i].culprit_min, cases[i].culprit_max, key);
        const struct met *met = find(&f, HF_VERIFY_DAMAGE, key);

        if (met == NULL)
            print_findings(&f);
        assert_non_null(met);
        assert_non_null(strstr(met->text, "time"));
        assert_int_equal(f.report.first_txid, 1);
        assert_int_equal(f.report.last_txid, 9); /* all of it can be restored by TXID */
        fixture_done(&f);
    }
}

static void an_archive_without_snapshot_is_no_clean_one(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 6; k++)
        maker_commit_random(&f.m, 60);
    assert_int_equal(verify(&f), HF_NOT_FOUND);
    maker_put_all(&f.m);
    maker_delete(&f.m, HF_LEVEL_SNAPSHOT, 1, 1);
    hf_must(verify(&f), &f.err);
    assert_int_equal(f.report.findings_count, 1);
    assert_int_equal(f.met[0].kind, HF_VERIFY_HOLE);
    assert_int_equal(f.met[0].from, 2);
    assert_int_equal(f.met[0].to, 6);
    assert_int_equal(f.report.last_txid, 0);
    assert_false(f.report.proved_by_roots);
    fixture_done(&f);
}

/* Retention removed what a snapshot made needless, but not all of it. The rest is read all the
 * same: nobody can tell that it is no longer needed but whoever keeps the archive. */
static void leftovers_before_the_first_snapshot_are_no_finding(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 10; k++)
        maker_commit_random(&f.m, 60);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 7);
    for (uint64_t t = 4; t <= 10; t++)
        maker_put(&f.m, 0, t, t);
    verify_clean(&f);
    assert_int_equal(f.report.first_txid, 7);
    assert_int_equal(f.report.last_txid, 10);
    assert_damage_of_each_is_told(&f);
    fixture_done(&f);
}

/* Level 0 is kept from 6 on, but only a segment up to 8 leads there. */
static void what_retention_leaves_in_the_middle_of_a_merged_segment_is_no_finding(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&f.m, 60);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 1);
    maker_put(&f.m, 1, 2, 8);
    for (uint64_t t = 6; t <= 12; t++)
        maker_put(&f.m, 0, t, t);
    verify_clean(&f);
    assert_int_equal(f.report.first_txid, 1);
    assert_int_equal(f.report.last_txid, 12);
    assert_damage_of_each_is_told(&f);
    fixture_done(&f);
}

static void what_is_whole_behind_damage_is_proved_and_what_is_lost_is_told(void **state)
{
    struct fixture f;
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 20; k++)
        maker_commit_random(&f.m, 60);
    maker_put_all(&f.m);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 10);
    maker_key(&f.m, 0, 5, 5, key);
    store_mem_corrupt(f.store, key, 130, 0x20);
    maker_key(&f.m, 0, 15, 15, key);
    store_mem_corrupt(f.store, key, 130, 0x20);
    hf_must(verify(&f), &f.err);
    assert_int_equal(f.report.findings_count, 4);
    assert_non_null(find(&f, HF_VERIFY_DAMAGE, key));
    assert_int_equal(f.met[2].from, 6); /* the snapshot holds 10 again */
    assert_int_equal(f.met[2].to, 9);
    assert_int_equal(f.met[3].from, 16);
    assert_int_equal(f.met[3].to, 20);
    assert_int_equal(f.report.first_txid, 10);
    assert_int_equal(f.report.last_txid, 14);
    fixture_done(&f);
}

/* Everything damaged must not cost a walk per object without end. */
static void damage_without_end_ends(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    for (int k = 0; k < 150; k++)
        maker_commit(&f.m, 5, 1);
    maker_put(&f.m, HF_LEVEL_SNAPSHOT, 1, 1);
    for (uint64_t t = 2; t <= 150; t++)
        maker_put_bytes(&f.m, 0, 2, t, hf_slice_str("garbage"));
    hf_must(verify(&f), &f.err);
    assert_in_range(f.report.findings_count, 100, 110);
    fixture_done(&f);
}

struct pruner {
    struct hf_progress base; /* first, so that the pointers convert */
    struct fixture *f;
    bool leave_hole;
    bool done;
};

/* Retention runs as soon as verify has read something. */
static void prune(struct hf_progress *p, uint64_t done, uint64_t total)
{
    struct pruner *pruner = (struct pruner *)p;

    (void)done;
    (void)total;
    if (pruner->done)
        return;
    pruner->done = true;
    if (!pruner->leave_hole)
        maker_put(&pruner->f->m, 1, 29, 30);
    maker_delete(&pruner->f->m, 0, 29, 29);
}

static void what_retention_removes_meanwhile_is_a_finding_only_if_it_leaves_a_hole(void **state)
{
    (void)state;
    for (int leave_hole = 0; leave_hole <= 1; leave_hole++) {
        struct fixture f;
        struct pruner pruner = {.base = {.tell = prune}, .f = &f, .leave_hole = leave_hole};

        fixture_init(&f, MAKER_OURS, 4);
        for (int k = 0; k < 30; k++)
            maker_commit_random(&f.m, 60);
        maker_put_all(&f.m);
        f.options.progress = &pruner.base;
        hf_must(verify(&f), &f.err);
        assert_int_equal(find(&f, HF_VERIFY_HOLE, "") != NULL, leave_hole);
        if (leave_hole)
            assert_int_equal(find(&f, HF_VERIFY_HOLE, "")->to, 29);
        fixture_done(&f);
    }
}

static void what_it_cannot_read_it_does_not_judge(void **state)
{
    struct fixture f;
    hf_stop_flag stop = true;

    (void)state;
    fixture_init(&f, MAKER_OURS, 4);
    put_history(&f, 30);
    for (uint64_t at = 1;; at += 7) {
        store_fault_arm(f.fault, (struct store_fault_plan){.fail_at = at, .code = HF_DENIED});
        const enum hf_code rc = verify(&f);

        if (f.fault->guarded.failed == 0)
            break;
        assert_int_equal(rc, HF_DENIED);
    }
    store_fault_disarm(f.fault);
    f.options.stop = &stop;
    assert_int_equal(verify(&f), HF_CANCELED);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_archive_is_read_whole_and_has_no_findings),
        cmocka_unit_test(no_object_can_be_damaged_unnoticed),
        cmocka_unit_test(every_hole_is_named),
        cmocka_unit_test(a_merge_that_lost_a_page_is_found_though_its_file_is_sound),
        cmocka_unit_test(ways_that_lead_to_different_states_are_found),
        cmocka_unit_test(a_key_that_lies_and_one_that_is_misplaced_are_told),
        cmocka_unit_test(a_time_that_falls_is_told),
        cmocka_unit_test(an_archive_without_snapshot_is_no_clean_one),
        cmocka_unit_test(leftovers_before_the_first_snapshot_are_no_finding),
        cmocka_unit_test(what_retention_leaves_in_the_middle_of_a_merged_segment_is_no_finding),
        cmocka_unit_test(what_is_whole_behind_damage_is_proved_and_what_is_lost_is_told),
        cmocka_unit_test(damage_without_end_ends),
        cmocka_unit_test(what_retention_removes_meanwhile_is_a_finding_only_if_it_leaves_a_hole),
        cmocka_unit_test(what_it_cannot_read_it_does_not_judge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
