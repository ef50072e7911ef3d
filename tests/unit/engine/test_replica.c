/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a replica built from segments is the model's database at every TXID, its digest says so,
 *         and what it leaves on disk is taken up again only if it was finished.
 * Method  random histories made by archive_maker; each state compared page by page, entry by entry.
 */
#include "engine/sqlite/replica.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "lib/archive_maker.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/ltx_fixture.h"
#include "lib/store_mem.h"

struct fixture {
    struct store_mem *store;
    struct maker m;
    struct hf_pool *pool;
    char *dir;
    char *digest_path;
    char *pages_path;
    struct hf_replica_options options;
    struct hf_err err;
};

static void fixture_init(struct fixture *f, enum maker_kind kind, uint32_t page_bytes,
                         unsigned threads)
{
    f->store = store_mem_new(NULL);
    maker_init(&f->m, &f->store->base, "t/a.db", kind, page_bytes, 7);
    f->pool = hf_pool_new(threads);
    f->dir = test_tmp_new();
    f->digest_path = hf_strfmt("%s/digest", f->dir);
    f->pages_path = hf_strfmt("%s/pages", f->dir);
    f->options = (struct hf_replica_options){
        .fs = hf_fs_system(),
        .pool = f->pool,
        .seed = f->m.seed,
        .digest_path = f->digest_path,
        .mode = 0600,
    };
}

static void fixture_done(struct fixture *f)
{
    maker_done(&f->m);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    hf_free(f->digest_path);
    hf_free(f->pages_path);
    test_tmp_remove(f->dir);
}

static enum hf_code apply_bytes(struct fixture *f, struct hf_replica *r, struct hf_slice bytes)
{
    struct test_source source;

    test_source_init(&source, bytes, "segment");
    return r->ops->apply(r, &source.base, &f->err);
}

static enum hf_code apply_made(struct fixture *f, struct hf_replica *r, uint64_t min, uint64_t max)
{
    HF_AUTO_BUF bytes = {0};

    maker_segment(&f->m, min, max, &bytes);
    return apply_bytes(f, r, hf_buf_slice(&bytes));
}

/* State and entries are the model's at `txid`. */
static void assert_stands_at(struct fixture *f, struct hf_replica *r, uint64_t txid, bool has_root)
{
    const struct hf_state *s = r->ops->state(r);
    const struct maker_state *model = &f->m.states[txid];

    assert_int_equal(s->txid, txid);
    if (txid == 0)
        return;
    assert_int_equal(s->time_ms, maker_time_ms(txid));
    assert_int_equal(s->page_bytes, f->m.page_bytes);
    assert_int_equal(s->pages_count, model->pages_count);
    assert_int_equal(s->has_root, has_root);
    assert_true(hf_root_equal(s->root, model->root));
    assert_int_equal(replica_mark(r)->sum, model->sum);
}

/* Only of a finished one. */
static void assert_entries(struct fixture *f, struct hf_replica *r, uint64_t txid)
{
    const struct maker_state *model = &f->m.states[txid];
    struct hf_page_hasher *hasher = hf_page_hasher_new(f->m.seed);
    struct digest_entry e;

    for (uint32_t p = 1; p <= model->pages_count; p++) {
        const struct hf_slice page = hf_slice(maker_page(&f->m, txid, p), f->m.page_bytes);
        uint8_t name[4];

        hf_put_be32(name, p);
        hf_must(replica_entries(r, p, 1, &e, &f->err), &f->err);
        assert_true(hf_root_equal(e.hash, hf_page_hash(hasher, hf_slice(name, 4), page)));
        assert_int_equal(e.sum, hf_ltx_page_sum(p, page));
    }
    hf_must(replica_entries(r, model->pages_count + 1, 1, &e, &f->err), &f->err);
    assert_int_equal(e.sum, 0);
    hf_page_hasher_free(hasher);
}

static struct hf_replica *open_replica(struct fixture *f)
{
    struct hf_replica *r = NULL;

    hf_must(sqlite_replica_open(&f->options, &r, &f->err), &f->err);
    return r;
}

/* Walk over the history by random steps; overlapping ones and snapshots among them. */
static void walk(struct fixture *f, struct hf_replica *r, bool has_root)
{
    uint64_t at = 0;

    while (at < f->m.txid) {
        const uint64_t to = at + 1 + hf_rand_below(&f->m.rand, f->m.txid - at);
        uint64_t end = to > at + 5 ? at + 5 : to;
        uint64_t from = at == 0 ? 1 : at + 1 - hf_rand_below(&f->m.rand, at > 3 ? 3 : at);

        if (at > 0 && hf_rand_below(&f->m.rand, 8) == 0)
            from = 1;
        hf_must(apply_made(f, r, from, end), &f->err);
        at = end;
        assert_stands_at(f, r, at, has_root);
    }
}

static void every_state_of_a_random_history_equals_the_model(void **state)
{
    static const struct {
        enum maker_kind kind;
        uint32_t page_bytes;
        unsigned threads;
    } cases[] = {
        {MAKER_OURS, 512, 0},    {MAKER_OURS, 4096, 3},  {MAKER_OURS, 65536, 2},
        {MAKER_TRACKED, 512, 2}, {MAKER_PLAIN, 1024, 2},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct hf_replica *r;

        fixture_init(&f, cases[i].kind, cases[i].page_bytes, cases[i].threads);
        for (int k = 0; k < 40; k++)
            maker_commit_random(&f.m, cases[i].page_bytes > 4096 ? 20 : 300);
        f.options.pages_path = f.pages_path;
        r = open_replica(&f);
        walk(&f, r, cases[i].kind == MAKER_OURS);
        hf_must(r->ops->finish(r, &f.err), &f.err);
        assert_entries(&f, r, f.m.txid);
        r->ops->free(r);
        maker_assert_file(&f.m, f.m.txid, f.pages_path);
        fixture_done(&f);
    }
}

static void a_finished_digest_is_taken_up_and_an_unfinished_one_is_not(void **state)
{
    struct fixture f;
    struct hf_replica *r;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 0);
    for (int k = 0; k < 12; k++)
        maker_commit_random(&f.m, 60);

    r = open_replica(&f);
    hf_must(apply_made(&f, r, 1, 4), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    r->ops->free(r);

    r = open_replica(&f);
    assert_stands_at(&f, r, 4, true);
    assert_entries(&f, r, 4);
    hf_must(apply_made(&f, r, 5, 9), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    hf_must(apply_made(&f, r, 10, 10), &f.err); /* a finish is no end */
    hf_must(r->ops->finish(r, &f.err), &f.err);
    assert_entries(&f, r, 10);
    hf_must(apply_made(&f, r, 11, 11), &f.err);
    r->ops->free(r); /* as kill -9 would */

    r = open_replica(&f);
    assert_stands_at(&f, r, 0, false);
    hf_must(apply_made(&f, r, 1, 12), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    r->ops->free(r);

    f.options.anew = true;
    r = open_replica(&f);
    assert_stands_at(&f, r, 0, false);
    r->ops->free(r);
    fixture_done(&f);
}

static void with_pages_it_begins_empty_and_never_touches_a_file_that_exists(void **state)
{
    struct fixture f;
    struct hf_replica *r;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 0);
    maker_commit(&f.m, 5, 0);
    r = open_replica(&f);
    hf_must(apply_made(&f, r, 1, 1), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    r->ops->free(r);

    f.options.pages_path = f.pages_path;
    r = open_replica(&f);
    assert_stands_at(&f, r, 0, false);
    r->ops->free(r);
    assert_int_equal(sqlite_replica_open(&f.options, &r, &f.err), HF_CONFLICT);
    fixture_done(&f);
}

static void a_segment_behind_the_next_txid_is_a_hole_and_changes_nothing(void **state)
{
    struct fixture f;
    struct hf_replica *r;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 0);
    for (int k = 0; k < 6; k++)
        maker_commit_random(&f.m, 30);
    r = open_replica(&f);
    assert_int_equal(apply_made(&f, r, 2, 2), HF_HOLE);
    assert_stands_at(&f, r, 0, false);
    hf_must(apply_made(&f, r, 1, 2), &f.err);
    assert_int_equal(apply_made(&f, r, 4, 5), HF_HOLE);
    assert_non_null(strstr(f.err.text, "TXID 3 to 3 are missing before segment"));
    assert_stands_at(&f, r, 2, true);
    hf_must(apply_made(&f, r, 3, 6), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    assert_entries(&f, r, 6);
    r->ops->free(r);
    fixture_done(&f);
}

/* Flip each byte of a segment in turn: it is refused, or leads to the very same state, as where LZ4
 * has two ways to say the same page. */
static void no_flipped_byte_leads_to_another_state(void **state)
{
    struct fixture f;
    HF_AUTO_BUF first = {0};
    HF_AUTO_BUF second = {0};
    size_t accepted = 0;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 0);
    maker_commit(&f.m, 3, 0);
    maker_commit(&f.m, 4, 1);
    maker_segment(&f.m, 1, 1, &first);
    maker_segment(&f.m, 2, 2, &second);
    for (size_t i = 0; i < second.len; i++) {
        struct hf_replica *r = open_replica(&f);
        enum hf_code rc;

        hf_must(apply_bytes(&f, r, hf_buf_slice(&first)), &f.err);
        second.ptr[i] ^= 0x10;
        rc = apply_bytes(&f, r, hf_buf_slice(&second));
        second.ptr[i] ^= 0x10;
        if (rc == HF_OK) {
            assert_stands_at(&f, r, 2, true);
            accepted++;
        } else if (rc != HF_DAMAGE && rc != HF_HOLE && rc != HF_UNSUPPORTED && rc != HF_USAGE)
            fail_msg("byte %zu: %s", i, hf_code_text(rc));
        r->ops->free(r);
        r = open_replica(&f);
        assert_stands_at(&f, r, 0, false);
        r->ops->free(r);
    }
    assert_true(accepted < second.len / 100);
    fixture_done(&f);
}

/* Every call of the file system fails once: no digest that is then found stands for anything but
 * the model's state. */
static void whatever_call_fails_a_digest_found_later_is_right(void **state)
{
    struct fixture f;
    struct fs_fault fs;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 0);
    for (int k = 0; k < 4; k++)
        maker_commit_random(&f.m, 30);
    fs_fault_init(&fs, hf_fs_system());
    for (uint64_t at = 1;; at++) {
        struct hf_replica *r = NULL;
        enum hf_code rc;

        fs_fault_arm(&fs, (struct fs_fault_plan){.fail_at = at, .code = HF_FULL});
        f.options.fs = &fs.base;
        f.options.anew = at % 2 == 0;
        rc = sqlite_replica_open(&f.options, &r, &f.err);
        if (rc == HF_OK && r->ops->state(r)->txid == 0)
            rc = apply_made(&f, r, 1, 2);
        if (rc == HF_OK && r->ops->state(r)->txid == 2)
            rc = apply_made(&f, r, 3, 4);
        if (rc == HF_OK)
            rc = r->ops->finish(r, &f.err);
        if (rc == HF_OK)
            assert_stands_at(&f, r, 4, true);
        if (r != NULL)
            r->ops->free(r);
        fs_fault_disarm(&fs);
        f.options.fs = hf_fs_system();
        f.options.anew = false;
        r = open_replica(&f);
        assert_stands_at(&f, r, r->ops->state(r)->txid == 0 ? 0 : 4, true);
        if (rc == HF_OK) /* else a failed sync may have hidden a success */
            assert_int_equal(r->ops->state(r)->txid, 4);
        r->ops->free(r);
        if (fs.guarded.failed == 0)
            break;
    }
    fs_fault_done(&fs);
    fixture_done(&f);
}

static void stop_ends_it_within_a_page(void **state)
{
    struct fixture f;
    struct hf_replica *r;
    hf_stop_flag stop = true;

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 2);
    maker_commit(&f.m, 100, 0);
    f.options.stop = &stop;
    r = open_replica(&f);
    assert_int_equal(apply_made(&f, r, 1, 1), HF_CANCELED);
    r->ops->free(r);
    fixture_done(&f);
}

/* 16,385 pages of 64 KiB: the last but few is the page that holds the lock byte at 1 GiB. */
static void the_lock_page_is_in_no_root_and_stays_zero(void **state)
{
    const uint32_t page_bytes = 65536;
    const uint32_t lock_page = hf_ltx_lock_page(page_bytes);
    struct hf_ltx_header h = test_header(page_bytes, lock_page + 2);
    struct hf_root root = {0};
    uint64_t sum = HF_LTX_SUM_EMPTY;
    struct digest_entry e[3];
    struct fixture f;
    struct hf_ltx_writer *w = NULL;
    struct hf_replica *r;
    struct test_sink sink;
    HF_AUTO_FREE uint8_t *page = hf_calloc(1, page_bytes);

    (void)state;
    fixture_init(&f, MAKER_OURS, 512, 2);
    struct hf_page_hasher *hasher = hf_page_hasher_new(f.m.seed);

    h.format = 0;
    test_sink_init(&sink);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &f.err), &f.err);
    for (uint32_t p = 1; p <= h.commit; p++) {
        uint8_t name[4];

        if (p == lock_page)
            continue;
        hf_put_be32(name, p);
        hf_root_add(&root, hf_page_hash(hasher, hf_slice(name, 4), hf_slice(page, page_bytes)));
        sum = hf_ltx_sum_toggle(sum, hf_ltx_page_sum(p, hf_slice(page, page_bytes)));
        hf_must(hf_ltx_writer_page(w, p, hf_slice(page, page_bytes), &f.err), &f.err);
    }
    hf_must(hf_ltx_writer_finish(w, sum, &f.err), &f.err);
    hf_ltx_writer_free(w);

    r = open_replica(&f);
    hf_must(apply_bytes(&f, r, hf_buf_slice(&sink.bytes)), &f.err);
    hf_must(r->ops->finish(r, &f.err), &f.err);
    assert_true(hf_root_equal(r->ops->state(r)->root, root));
    hf_must(replica_entries(r, lock_page - 1, 3, e, &f.err), &f.err);
    assert_int_not_equal(e[0].sum, 0);
    assert_int_equal(e[1].sum, 0);
    assert_true(hf_root_equal(e[1].hash, (struct hf_root){0}));
    assert_int_not_equal(e[2].sum, 0);
    r->ops->free(r);
    hf_page_hasher_free(hasher);
    test_sink_done(&sink);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_of_a_random_history_equals_the_model),
        cmocka_unit_test(a_finished_digest_is_taken_up_and_an_unfinished_one_is_not),
        cmocka_unit_test(with_pages_it_begins_empty_and_never_touches_a_file_that_exists),
        cmocka_unit_test(a_segment_behind_the_next_txid_is_a_hole_and_changes_nothing),
        cmocka_unit_test(no_flipped_byte_leads_to_another_state),
        cmocka_unit_test(whatever_call_fails_a_digest_found_later_is_right),
        cmocka_unit_test(stop_ends_it_within_a_page),
        cmocka_unit_test(the_lock_page_is_in_no_root_and_stays_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
