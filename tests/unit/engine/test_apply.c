/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a segment is refused unless it follows on the state and leads to what it carries, and the
 *         message says which of the two is wrong; the mark tells where in the WAL it ended.
 * Method  segments whose header lies about one thing, checked by the codec itself as sound.
 */
#include "engine/sqlite/apply.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "engine/sqlite/segment.h"
#include "engine/sqlite/wal.h"
#include "lib/archive_maker.h"
#include "lib/fixture.h"
#include "lib/ltx_fixture.h"
#include "lib/store_mem.h"

#define PAGE_BYTES 512

struct fixture {
    struct store_mem *store;
    struct maker m;
    struct hf_pool *pool;
    char *dir;
    char *path;
    struct digest *digest;
    struct apply a;
    struct hf_err err;
};

/* Four TXIDs of a growing and shrinking database; the digest stands at TXID 2. */
static void fixture_init(struct fixture *f, enum maker_kind kind)
{
    static const uint32_t sizes[] = {6, 9, 4, 12};
    const char *why;

    *f = (struct fixture){.store = store_mem_new(NULL)};
    maker_init(&f->m, &f->store->base, "t/a.db", kind, PAGE_BYTES, 3);
    for (size_t i = 0; i < HF_ARRAY_LEN(sizes); i++)
        maker_commit(&f->m, sizes[i], 2);
    f->pool = hf_pool_new(0);
    f->dir = test_tmp_new();
    f->path = hf_strfmt("%s/digest", f->dir);
    hf_must(digest_open(hf_fs_system(), f->path, &f->digest, &why, &f->err), &f->err);
    hf_must(digest_bulk_begin(f->digest, &f->err), &f->err);
    f->a = (struct apply){.digest = f->digest, .seed = f->m.seed, .pool = f->pool};
}

static void fixture_done(struct fixture *f)
{
    digest_free(f->digest);
    maker_done(&f->m);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    hf_free(f->path);
    test_tmp_remove(f->dir);
}

static enum hf_code apply_bytes(struct fixture *f, struct hf_slice bytes)
{
    struct test_source source;

    test_source_init(&source, bytes, "0000/x.ltx");
    return apply_segment(&f->a, &source.base, &f->err);
}

static enum hf_code apply_made(struct fixture *f, uint64_t min, uint64_t max)
{
    HF_AUTO_BUF bytes = {0};

    maker_segment(&f->m, min, max, &bytes);
    return apply_bytes(f, hf_buf_slice(&bytes));
}

/* Which field lies. */
enum lie {
    NO_LIE,
    LIE_ROOT,
    LIE_POST_SUM,
    LIE_PRE_SUM,
    LIE_PAGE_MISSING,
    LIE_PAGE_OTHER,
};

/* TXID 3 on a state of 9 pages that shrinks to 4, or TXID 4 that grows to 12. */
static enum hf_code apply_lie(struct fixture *f, uint64_t txid, enum lie lie)
{
    const struct maker_state *s = &f->m.states[txid];
    HF_AUTO_LTX_WRITER *w = NULL;
    HF_AUTO_BUF honest = {0};
    struct hf_ltx_header h;
    struct test_sink sink;
    uint32_t left_out = 0;

    maker_segment(&f->m, txid, txid, &honest);
    hf_must(hf_ltx_header_decode(hf_buf_slice(&honest), &h, &f->err), &f->err);
    if (lie == LIE_ROOT)
        h.root.lo ^= 1;
    if (lie == LIE_PRE_SUM)
        h.pre_sum ^= 1;
    test_sink_init(&sink);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &f->err), &f->err);
    for (uint32_t p = 1; p <= s->pages_count; p++) {
        uint8_t page[PAGE_BYTES];

        if (!s->changed[p - 1])
            continue;
        (void)memcpy(page, maker_page(&f->m, txid, p), sizeof(page));
        if (lie == LIE_PAGE_OTHER)
            page[100] ^= 1;
        if (lie == LIE_PAGE_MISSING && left_out == 0 &&
            (txid == 3 || p > f->m.states[txid - 1].pages_count)) {
            left_out = p;
            continue;
        }
        hf_must(hf_ltx_writer_page(w, p, hf_slice(page, sizeof(page)), &f->err), &f->err);
    }
    uint64_t post = hf_ltx_has_sums(&h) ? s->sum : 0;

    if (lie == LIE_POST_SUM)
        post ^= 1;
    hf_must(hf_ltx_writer_finish(w, post, &f->err), &f->err);
    const enum hf_code rc = apply_bytes(f, hf_buf_slice(&sink.bytes));

    test_sink_done(&sink);
    return rc;
}

static void what_a_segment_carries_must_be_where_it_leads(void **state)
{
    static const struct {
        enum maker_kind kind;
        uint64_t txid;
        enum lie lie;
        enum hf_code rc;
        const char *words;
    } cases[] = {
        {MAKER_OURS, 3, NO_LIE, HF_OK, ""},
        {MAKER_OURS, 3, LIE_ROOT, HF_DAMAGE, "does not lead to the root"},
        {MAKER_OURS, 3, LIE_POST_SUM, HF_DAMAGE, "does not lead to the checksum"},
        {MAKER_OURS, 3, LIE_PRE_SUM, HF_DAMAGE, "does not follow on TXID 2"},
        {MAKER_OURS, 3, LIE_PAGE_MISSING, HF_DAMAGE, "does not lead to the root"},
        {MAKER_OURS, 3, LIE_PAGE_OTHER, HF_DAMAGE, "does not lead to the root"},
        {MAKER_OURS, 4, LIE_PAGE_MISSING, HF_DAMAGE, "does not hold page 5"},
        {MAKER_TRACKED, 3, NO_LIE, HF_OK, ""},
        {MAKER_TRACKED, 3, LIE_POST_SUM, HF_DAMAGE, "does not lead to the checksum"},
        {MAKER_TRACKED, 3, LIE_PRE_SUM, HF_DAMAGE, "does not follow on TXID 2"},
        {MAKER_TRACKED, 3, LIE_PAGE_OTHER, HF_DAMAGE, "does not lead to the checksum"},
        {MAKER_PLAIN, 3, NO_LIE, HF_OK, ""},
        {MAKER_PLAIN, 3, LIE_PAGE_OTHER, HF_OK, ""}, /* the weaker proof: nothing to compare */
        {MAKER_PLAIN, 4, LIE_PAGE_MISSING, HF_DAMAGE, "does not hold page 5"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fixture f;

        fixture_init(&f, cases[i].kind);
        hf_must(apply_made(&f, 1, cases[i].txid - 1), &f.err);
        const struct digest_mark before = f.a.mark;
        const enum hf_code rc = apply_lie(&f, cases[i].txid, cases[i].lie);

        if (rc != cases[i].rc)
            fail_msg("case %zu: %s", i, hf_code_text(rc));
        if (rc != HF_OK) {
            assert_non_null(strstr(f.err.text, "0000/x.ltx"));
            if (strstr(f.err.text, cases[i].words) == NULL)
                fail_msg("case %zu: %s", i, f.err.text);
            assert_int_equal(f.a.mark.txid, before.txid);
        } else {
            assert_int_equal(f.a.mark.txid, cases[i].txid);
            assert_int_equal(f.a.mark.has_root, cases[i].kind == MAKER_OURS);
        }
        fixture_done(&f);
    }
}

static void what_is_wholly_in_the_past_is_our_own_mistake(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS);
    hf_must(apply_made(&f, 1, 3), &f.err);
    assert_int_equal(apply_made(&f, 2, 3), HF_USAGE);
    assert_false(f.a.begun);
    hf_must(apply_made(&f, 2, 4), &f.err); /* overlapping is no mistake */
    assert_true(hf_root_equal(f.a.mark.root, f.m.states[4].root));
    fixture_done(&f);
}

static void a_segment_of_another_page_size_is_damage(void **state)
{
    struct fixture f;
    struct maker other;
    HF_AUTO_BUF bytes = {0};

    (void)state;
    fixture_init(&f, MAKER_OURS);
    maker_init(&other, &f.store->base, "t/b.db", MAKER_OURS, 1024, 3);
    maker_commit(&other, 3, 0);
    maker_commit(&other, 3, 1);
    hf_must(apply_made(&f, 1, 1), &f.err);
    maker_segment(&other, 1, 2, &bytes);
    assert_int_equal(apply_bytes(&f, hf_buf_slice(&bytes)), HF_DAMAGE);
    assert_non_null(strstr(f.err.text, "1024"));
    maker_done(&other);
    fixture_done(&f);
}

/* A chain that once had a segment without root is not proved by roots, until a snapshot. */
static void roots_prove_only_an_unbroken_chain_of_them(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, MAKER_OURS);
    hf_must(apply_made(&f, 1, 1), &f.err);
    assert_true(f.a.mark.has_root);
    f.m.kind = MAKER_TRACKED;
    hf_must(apply_made(&f, 2, 2), &f.err);
    assert_false(f.a.mark.has_root);
    f.m.kind = MAKER_OURS;
    hf_must(apply_made(&f, 3, 3), &f.err);
    assert_false(f.a.mark.has_root);
    hf_must(apply_made(&f, 1, 4), &f.err);
    assert_true(f.a.mark.has_root);
    fixture_done(&f);
}

static void the_end_in_the_log_is_told_only_by_what_was_captured_from_it(void **state)
{
    const uint64_t frame_bytes = WAL_FRAME_HEADER_BYTES + PAGE_BYTES;
    const struct {
        struct hf_ltx_header h;
        bool found;
        uint32_t frame;
    } cases[] = {
        {{.min_txid = 2, .wal_offset = 32, .wal_size = (int64_t)frame_bytes}, true, 1},
        {{.min_txid = 9,
          .wal_offset = (int64_t)(32 + 7 * frame_bytes),
          .wal_size = (int64_t)(3 * frame_bytes)},
         true,
         10},
        {{.min_txid = 9, .wal_offset = (int64_t)(32 + 7 * frame_bytes)}, true, 7},
        {{.min_txid = 9}, false, 0},
        {{.min_txid = 1, .wal_offset = 32, .wal_size = (int64_t)frame_bytes}, false, 0},
        {{.min_txid = 2, .catchup = true, .wal_offset = 32, .wal_size = 0}, false, 0},
        {{.min_txid = 2, .wal_offset = 33, .wal_size = (int64_t)frame_bytes}, false, 0},
        {{.min_txid = 2, .wal_offset = 32, .wal_size = 5}, false, 0},
        {{.min_txid = 2, .wal_offset = 16}, false, 0},
        {{.min_txid = 2, .wal_offset = 32, .wal_size = (int64_t)(frame_bytes << 33)}, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_ltx_header h = cases[i].h;
        struct wal_position p;

        h.page_bytes = PAGE_BYTES;
        h.commit = 77;
        h.salts[0] = 5;
        h.salts[1] = 6;
        assert_int_equal(segment_log_end(&h, &p), cases[i].found);
        if (!cases[i].found)
            continue;
        assert_int_equal(p.frame, cases[i].frame);
        assert_int_equal(p.commit, 77);
        assert_int_equal(p.salt[0], 5);
        assert_int_equal(p.salt[1], 6);
        assert_int_equal(p.cksum[0], 0);
    }
}

static void the_engine_tells_a_segments_pages_and_its_end(void **state)
{
    struct fixture f;
    HF_AUTO_BUF bytes = {0};
    struct test_source source;
    struct hf_page_hasher *hasher;
    struct hf_position position;
    struct wal_position wal;

    (void)state;
    fixture_init(&f, MAKER_OURS);
    hasher = hf_page_hasher_new(f.m.seed);
    maker_segment(&f.m, 4, 4, &bytes);
    test_source_init(&source, hf_buf_slice(&bytes), "s");
    for (uint32_t p = 1; p <= 13; p++) {
        struct hf_root hash;
        uint8_t name[4];
        const enum hf_code rc = sqlite_segment_page(&source.base, f.m.seed, p, &hash, &f.err);

        assert_int_equal(rc, p <= 12 && f.m.states[4].changed[p - 1] ? HF_OK : HF_NOT_FOUND);
        if (rc != HF_OK)
            continue;
        hf_put_be32(name, p);
        assert_true(
            hf_root_equal(hash, hf_page_hash(hasher, hf_slice(name, 4),
                                             hf_slice(maker_page(&f.m, 4, p), PAGE_BYTES))));
    }
    assert_int_equal(sqlite_segment_page(&source.base, 0, 0, NULL, &f.err), HF_NOT_FOUND);
    assert_int_equal(sqlite_segment_page(&source.base, 0, UINT64_C(1) << 32, NULL, &f.err),
                     HF_NOT_FOUND);
    hf_must(sqlite_segment_end(hf_buf_slice(&bytes), &position, &f.err), &f.err);
    hf_must(wal_position_import(&position, &wal, &f.err), &f.err);
    assert_int_equal(wal.frame, 6); /* two frames for each of TXID 2, 3 and 4 */
    hf_buf_reset(&bytes);
    maker_segment(&f.m, 2, 4, &bytes);
    assert_int_equal(sqlite_segment_end(hf_buf_slice(&bytes), &position, &f.err), HF_NOT_FOUND);
    assert_int_equal(sqlite_segment_end(hf_slice("x", 1), &position, &f.err), HF_DAMAGE);
    hf_page_hasher_free(hasher);
    fixture_done(&f);
}

static void a_source_that_fails_is_passed_on(void **state)
{
    struct fixture f;
    HF_AUTO_BUF bytes = {0};

    (void)state;
    fixture_init(&f, MAKER_OURS);
    maker_segment(&f.m, 1, 1, &bytes);
    for (unsigned at = 1; at <= 2; at++) {
        struct test_source source;

        test_source_init(&source, hf_buf_slice(&bytes), "s");
        source.fail_at = at;
        assert_int_equal(apply_segment(&f.a, &source.base, &f.err), HF_TRANSIENT);
        assert_int_equal(f.a.begun, at == 2);
    }
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_segment_carries_must_be_where_it_leads),
        cmocka_unit_test(what_is_wholly_in_the_past_is_our_own_mistake),
        cmocka_unit_test(a_segment_of_another_page_size_is_damage),
        cmocka_unit_test(roots_prove_only_an_unbroken_chain_of_them),
        cmocka_unit_test(the_end_in_the_log_is_told_only_by_what_was_captured_from_it),
        cmocka_unit_test(the_engine_tells_a_segments_pages_and_its_end),
        cmocka_unit_test(a_source_that_fails_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
