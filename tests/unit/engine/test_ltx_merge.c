/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a merged file leads to the same database as its inputs one after another, with the header
 * that the format asks for, and no merge is made of inputs that do not follow one another.
 * Method: a model database lives through random transactions, each written as a file; any run of
 * the files is merged and applied to the model's state before it. Tables of what is refused.
 */
#include "engine/sqlite/ltx/ltx_merge.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_reader.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "lib/ltx_fixture.h"

#define PAGE_BYTES  1024
#define PAGES_MAX   60
#define FILES_COUNT 12

/* The database at each TXID, and the files that lead from one to the next. */
struct history {
    struct test_db states[FILES_COUNT + 1];
    struct test_sink files[FILES_COUNT + 1]; /* [0] is not used */
    struct hf_ltx_header headers[FILES_COUNT + 1];
};

static void copy_db(struct test_db *to, const struct test_db *from)
{
    test_db_init(to, PAGE_BYTES, PAGES_MAX);
    to->commit = from->commit;
    for (uint32_t pgno = 1; pgno <= from->commit; pgno++)
        if (from->pages[pgno] != NULL)
            test_db_put(to, pgno, from->pages[pgno]);
}

/* A random transaction: a new size, all pages that grew, some that were there. */
static void change(struct hf_rand *r, struct test_db *db, struct test_db *changed)
{
    const uint32_t before = db->commit;
    uint8_t page[PAGE_BYTES];

    db->commit = (uint32_t)hf_rand_below(r, PAGES_MAX) + 1;
    changed->commit = db->commit;
    for (uint32_t pgno = 1; pgno <= db->commit; pgno++) {
        if (pgno <= before && hf_rand_below(r, 4) != 0)
            continue;
        test_page_fill(r, pgno, page, PAGE_BYTES);
        test_db_put(db, pgno, page);
        test_db_put(changed, pgno, page);
    }
    for (uint32_t pgno = db->commit + 1; pgno <= PAGES_MAX; pgno++)
        test_db_drop(db, pgno);
}

static struct hf_ltx_header header_at(const struct history *h, uint64_t txid, bool tracked)
{
    return (struct hf_ltx_header){
        .flags = tracked ? 0 : HF_LTX_NO_CHECKSUM,
        .page_bytes = PAGE_BYTES,
        .commit = h->states[txid].commit,
        .min_txid = txid,
        .max_txid = txid,
        .timestamp_ms = 1767225600000 + (int64_t)txid * 1000,
        .pre_sum = tracked && txid > 1 ? test_db_sum(&h->states[txid - 1]) : 0,
        .wal_offset = 32,
        .wal_size = 4152,
        .salts = {1, 2},
        .node_id = 3,
        .format = tracked ? HF_LTX_FORMAT : 0,
        .root = {.hi = tracked ? txid : 0, .lo = tracked ? 9 : 0},
        .catchup = tracked && txid == 4,
        .clamped = tracked && txid == 3,
    };
}

/* Write the pages in LZ4 frames, as older writers did. */
static void write_v2(const struct test_db *db, const struct hf_ltx_header *h, uint64_t post_sum,
                     struct test_sink *sink)
{
    HF_CLEANUP(test_raw_done) struct test_raw raw;

    test_raw_begin(&raw, h);
    for (uint32_t pgno = 1; pgno <= db->commit; pgno++) {
        HF_AUTO_BUF frame = {0};

        if (db->pages[pgno] == NULL)
            continue;
        test_frame_v2(&frame, pgno, hf_slice(db->pages[pgno], PAGE_BYTES));
        test_raw_frame(&raw, pgno, hf_buf_slice(&frame), hf_slice(db->pages[pgno], PAGE_BYTES));
    }
    test_raw_end(&raw, post_sum);
    hf_buf_append(&sink->bytes, raw.file.ptr, raw.file.len);
}

static void history_init(struct history *h, uint64_t seed, bool tracked)
{
    struct hf_rand r = hf_rand_seeded(seed);

    test_db_init(&h->states[0], PAGE_BYTES, PAGES_MAX);
    h->states[0].commit = 0;
    for (uint64_t txid = 1; txid <= FILES_COUNT; txid++) {
        HF_CLEANUP(test_db_done) struct test_db changed;

        test_db_init(&changed, PAGE_BYTES, PAGES_MAX);
        copy_db(&h->states[txid], &h->states[txid - 1]);
        change(&r, &h->states[txid], &changed);
        h->headers[txid] = header_at(h, txid, tracked);
        test_sink_init(&h->files[txid]);
        const uint64_t post_sum = tracked ? test_db_sum(&h->states[txid]) : 0;

        if (txid % 3 == 0)
            write_v2(&changed, &h->headers[txid], post_sum, &h->files[txid]);
        else
            test_db_write(&changed, &h->headers[txid], post_sum, &h->files[txid]);
    }
}

static void history_done(struct history *h)
{
    test_db_done(&h->states[0]);
    for (uint64_t txid = 1; txid <= FILES_COUNT; txid++) {
        test_db_done(&h->states[txid]);
        test_sink_done(&h->files[txid]);
    }
}

static enum hf_code merge_slices(const struct hf_slice *files, size_t files_count,
                                 struct test_sink *sink, struct hf_ltx_header *ret_header,
                                 struct hf_err *err)
{
    struct test_source sources[2 * FILES_COUNT];
    struct hf_source *inputs[2 * FILES_COUNT];

    assert_true(files_count <= HF_ARRAY_LEN(inputs));
    for (size_t i = 0; i < files_count; i++) {
        test_source_init(&sources[i], files[i], i % 2 == 0 ? "even-file" : "odd-file");
        inputs[i] = &sources[i].base;
    }
    return hf_ltx_merge(inputs, files_count, 8, &sink->base, ret_header, err);
}

static enum hf_code merge_range(const struct history *h, uint64_t first, uint64_t last,
                                struct test_sink *sink, struct hf_ltx_header *ret_header,
                                struct hf_err *err)
{
    struct hf_slice files[FILES_COUNT];

    for (uint64_t txid = first; txid <= last; txid++)
        files[txid - first] = hf_buf_slice(&h->files[txid].bytes);
    return merge_slices(files, last - first + 1, sink, ret_header, err);
}

static enum hf_code apply_run(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    (void)err;
    for (uint32_t i = 0; i < run->count; i++)
        test_db_put(ctx, run->first_pgno + i, hf_ltx_run_page(run, i).ptr);
    return HF_OK;
}

/* Apply a file to the state before TXID `first`; it must give the state at `last`. */
static void assert_leads(const struct history *h, uint64_t first, uint64_t last,
                         struct hf_slice file, struct hf_ltx_header *ret_header,
                         uint64_t *ret_post_sum)
{
    HF_CLEANUP(test_db_done) struct test_db db;
    struct hf_pool *pool = hf_pool_new(0);
    struct test_source source;
    struct hf_err err;

    copy_db(&db, &h->states[first - 1]);
    test_source_init(&source, file, "merged");
    hf_must(hf_ltx_decode(&source.base, pool, apply_run, &db, ret_header, ret_post_sum, &err),
            &err);
    hf_pool_free(pool);
    for (uint32_t pgno = ret_header->commit + 1; pgno <= PAGES_MAX; pgno++)
        test_db_drop(&db, pgno);
    test_db_assert_equal(&db, &h->states[last]);
}

static void a_merge_leads_where_its_inputs_lead(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct history h;

        history_init(&h, seed, true);
        for (uint64_t first = 1; first <= FILES_COUNT; first++) {
            for (uint64_t last = first; last <= FILES_COUNT; last += seed) {
                HF_CLEANUP(test_sink_done) struct test_sink sink;
                struct hf_ltx_header got;
                struct hf_ltx_header told;
                uint64_t post_sum;
                struct hf_err err;

                test_sink_init(&sink);
                hf_must(merge_range(&h, first, last, &sink, &told, &err), &err);
                assert_leads(&h, first, last, hf_buf_slice(&sink.bytes), &got, &post_sum);
                assert_int_equal(post_sum, test_db_sum(&h.states[last]));
                assert_int_equal(got.flags, 0);
                assert_int_equal(got.min_txid, first);
                assert_int_equal(got.max_txid, last);
                assert_int_equal(got.commit, h.states[last].commit);
                assert_int_equal(got.timestamp_ms, h.headers[last].timestamp_ms);
                assert_int_equal(got.pre_sum, h.headers[first].pre_sum);
                assert_int_equal(got.wal_offset, 0);
                assert_int_equal(got.wal_size, 0);
                assert_int_equal(got.salts[0] | got.salts[1], 0);
                assert_int_equal(got.node_id, 8);
                assert_int_equal(got.format, HF_LTX_FORMAT);
                assert_true(hf_root_equal(got.root, h.headers[last].root));
                assert_int_equal(got.catchup, first <= 4 && last >= 4);
                assert_int_equal(got.clamped, first <= 3 && last >= 3);
                assert_int_equal(told.max_txid, last);
                assert_int_equal(told.commit, got.commit);
            }
        }
        history_done(&h);
    }
}

static void merging_merges_gives_the_same_bytes(void **state)
{
    struct history h;
    HF_CLEANUP(test_sink_done) struct test_sink at_once;
    HF_CLEANUP(test_sink_done) struct test_sink first_half;
    HF_CLEANUP(test_sink_done) struct test_sink second_half;
    HF_CLEANUP(test_sink_done) struct test_sink in_steps;
    struct hf_err err;

    (void)state;
    history_init(&h, 9, true);
    test_sink_init(&at_once);
    test_sink_init(&first_half);
    test_sink_init(&second_half);
    test_sink_init(&in_steps);
    hf_must(merge_range(&h, 1, FILES_COUNT, &at_once, NULL, &err), &err);
    hf_must(merge_range(&h, 1, 6, &first_half, NULL, &err), &err);
    hf_must(merge_range(&h, 7, FILES_COUNT, &second_half, NULL, &err), &err);
    const struct hf_slice halves[2] = {hf_buf_slice(&first_half.bytes),
                                       hf_buf_slice(&second_half.bytes)};

    hf_must(merge_slices(halves, 2, &in_steps, NULL, &err), &err);
    assert_int_equal(in_steps.bytes.len, at_once.bytes.len);
    assert_memory_equal(in_steps.bytes.ptr, at_once.bytes.ptr, at_once.bytes.len);
    history_done(&h);
}

/* Compaction does not look at how a page was compressed: block payloads are taken as they are. */
static void a_merge_of_one_file_of_ours_copies_its_frames(void **state)
{
    struct history h;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct hf_err err;

    (void)state;
    history_init(&h, 2, true);
    test_sink_init(&sink);
    hf_must(merge_range(&h, 2, 2, &sink, NULL, &err), &err);
    assert_int_equal(sink.bytes.len, h.files[2].bytes.len);
    assert_memory_equal(sink.bytes.ptr + HF_LTX_HEADER_BYTES,
                        h.files[2].bytes.ptr + HF_LTX_HEADER_BYTES,
                        sink.bytes.len - HF_LTX_HEADER_BYTES - 8);
    history_done(&h);
}

static void files_of_others_merge_untracked_but_snapshots_get_sums(void **state)
{
    struct history h;

    (void)state;
    history_init(&h, 5, false);
    for (uint64_t first = 1; first <= 3; first++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;
        struct hf_ltx_header got;
        uint64_t post_sum;
        struct hf_err err;

        test_sink_init(&sink);
        hf_must(merge_range(&h, first, 9, &sink, NULL, &err), &err);
        assert_leads(&h, first, 9, hf_buf_slice(&sink.bytes), &got, &post_sum);
        assert_int_equal(got.format, 0);
        assert_int_equal(got.flags, first == 1 ? 0 : HF_LTX_NO_CHECKSUM);
        assert_int_equal(post_sum, first == 1 ? test_db_sum(&h.states[9]) : 0);
    }
    history_done(&h);
}

/* Overlapping inputs, as plans over several levels have them. */
static void overlapping_inputs_merge(void **state)
{
    struct history h;
    HF_CLEANUP(test_sink_done) struct test_sink low;
    HF_CLEANUP(test_sink_done) struct test_sink high;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct hf_ltx_header got;
    uint64_t post_sum;
    struct hf_err err;

    (void)state;
    history_init(&h, 6, true);
    test_sink_init(&low);
    test_sink_init(&high);
    test_sink_init(&sink);
    hf_must(merge_range(&h, 2, 7, &low, NULL, &err), &err);
    hf_must(merge_range(&h, 5, 10, &high, NULL, &err), &err);
    const struct hf_slice files[2] = {hf_buf_slice(&low.bytes), hf_buf_slice(&high.bytes)};

    hf_must(merge_slices(files, 2, &sink, NULL, &err), &err);
    assert_leads(&h, 2, 10, hf_buf_slice(&sink.bytes), &got, &post_sum);
    const struct hf_slice swapped[2] = {files[1], files[0]};

    assert_int_equal(merge_slices(swapped, 2, &sink, NULL, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "does not lead on"));
    history_done(&h);
}

static void inputs_that_do_not_follow_are_refused(void **state)
{
    struct history h;
    struct history other;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct hf_err err;

    (void)state;
    history_init(&h, 7, true);
    history_init(&other, 8, true);
    test_sink_init(&sink);
    const struct {
        struct hf_slice files[2];
        size_t files_count;
        enum hf_code rc;
        const char *says;
    } cases[] = {
        {{{0}}, 0, HF_USAGE, "expected 1 to"},
        {{hf_buf_slice(&h.files[2].bytes), hf_buf_slice(&h.files[5].bytes)},
         2,
         HF_HOLE,
         "TXIDs 3 to 4 are missing between even-file and odd-file"},
        {{hf_buf_slice(&h.files[2].bytes), hf_buf_slice(&h.files[4].bytes)},
         2,
         HF_HOLE,
         "TXIDs 3 to 3 are missing"},
        {{hf_buf_slice(&h.files[2].bytes), hf_buf_slice(&h.files[2].bytes)},
         2,
         HF_USAGE,
         "does not lead on"},
        {{hf_buf_slice(&h.files[5].bytes), hf_buf_slice(&h.files[2].bytes)},
         2,
         HF_USAGE,
         "does not lead on"},
        {{hf_buf_slice(&h.files[4].bytes), hf_buf_slice(&other.files[5].bytes)},
         2,
         HF_DAMAGE,
         "do not chain"},
    };

    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_ltx_header told = {.commit = 4321};
        const enum hf_code rc =
            merge_slices(cases[i].files, cases[i].files_count, &sink, &told, &err);

        assert_int_equal(rc, cases[i].rc);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: says %s", i, err.text);
        assert_int_equal(told.commit, 4321);
    }
    assert_int_equal(sink.bytes.len, 0);
    history_done(&h);
    history_done(&other);
}

static void other_page_sizes_are_refused(void **state)
{
    struct history h;
    HF_CLEANUP(test_sink_done) struct test_sink larger;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_db_done) struct test_db db;
    struct hf_ltx_header header = test_header(2048, 0);
    struct hf_err err;

    (void)state;
    history_init(&h, 7, true);
    test_sink_init(&larger);
    test_sink_init(&sink);
    test_db_init(&db, 2048, 0);
    header.min_txid = 2;
    header.max_txid = 2;
    header.pre_sum = HF_LTX_SUM_FLAG;
    test_db_write(&db, &header, HF_LTX_SUM_EMPTY, &larger);
    const struct hf_slice files[2] = {hf_buf_slice(&h.files[1].bytes), hf_buf_slice(&larger.bytes)};

    assert_int_equal(merge_slices(files, 2, &sink, NULL, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "different lineages"));
    history_done(&h);
}

/* One input without sums lets a wrong neighbour pass the headers; the snapshot's sum does not. */
static void a_chain_that_ends_elsewhere_is_damage(void **state)
{
    struct history h;
    struct history untracked;
    struct history wrong;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    struct hf_err err;

    (void)state;
    history_init(&h, 7, true);
    history_init(&untracked, 7, false); /* the same pages */
    history_init(&wrong, 8, false);
    test_sink_init(&sink);
    const struct hf_slice right[3] = {hf_buf_slice(&h.files[1].bytes),
                                      hf_buf_slice(&untracked.files[2].bytes),
                                      hf_buf_slice(&h.files[3].bytes)};

    hf_must(merge_slices(right, 3, &sink, NULL, &err), &err);
    const struct hf_slice bad[3] = {right[0], hf_buf_slice(&wrong.files[2].bytes), right[2]};

    assert_int_equal(merge_slices(bad, 3, &sink, NULL, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "merging TXIDs 1 to 3"));
    history_done(&h);
    history_done(&untracked);
    history_done(&wrong);
}

/* A snapshot whose own sum is wrong, hidden behind a successor that claims no sums. */
static void a_wrong_sum_in_the_middle_is_damage(void **state)
{
    struct history h;
    struct history untracked;
    HF_CLEANUP(test_sink_done) struct test_sink sink;
    HF_CLEANUP(test_raw_done) struct test_raw raw;
    struct hf_err err;

    (void)state;
    history_init(&h, 7, true);
    history_init(&untracked, 7, false);
    test_sink_init(&sink);
    test_raw_begin(&raw, &h.headers[1]);
    for (uint32_t pgno = 1; pgno <= h.states[1].commit; pgno++) {
        const struct hf_slice page = hf_slice(h.states[1].pages[pgno], PAGE_BYTES);
        HF_AUTO_BUF frame = {0};

        test_frame_literal(&frame, pgno, page);
        test_raw_frame(&raw, pgno, hf_buf_slice(&frame), page);
    }
    test_raw_end(&raw, raw.sum ^ 1);
    const struct hf_slice files[2] = {hf_buf_slice(&raw.file),
                                      hf_buf_slice(&untracked.files[2].bytes)};

    assert_int_equal(merge_slices(files, 2, &sink, NULL, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "even-file: trailer: PostApplyChecksum"));
    history_done(&h);
    history_done(&untracked);
}

/* Larger inputs than are read whole, and failures of every read and write. */
static void windows_and_failures_of_large_inputs(void **state)
{
    HF_CLEANUP(test_db_done) struct test_db db;
    struct test_sink files[2];
    struct test_source sources[2];
    struct hf_source *inputs[2] = {&sources[0].base, &sources[1].base};
    struct hf_rand r = hf_rand_seeded(4);
    HF_AUTO_FREE uint8_t *page = hf_malloc(65536);
    struct hf_ltx_header h = test_header(65536, 70);
    enum hf_code rc = HF_TRANSIENT;
    struct hf_err err;

    (void)state;
    test_db_init(&db, 65536, 70);
    for (size_t i = 0; i < 2; i++) {
        for (uint32_t pgno = 1; pgno <= 70; pgno++) {
            for (size_t at = 0; at < 65536; at += 8)
                hf_put_be64(page + at, hf_rand_u64(&r));
            test_db_put(&db, pgno, page);
        }
        h.min_txid = i + 1;
        h.max_txid = i + 1;
        test_sink_init(&files[i]);
        test_db_write(&db, &h, test_db_sum(&db), &files[i]);
        h.pre_sum = test_db_sum(&db);
    }
    for (unsigned fail_at = 1; rc == HF_TRANSIENT; fail_at++) {
        HF_CLEANUP(test_sink_done) struct test_sink sink;

        test_sink_init(&sink);
        sink.fail_at = fail_at;
        test_source_init(&sources[0], hf_buf_slice(&files[0].bytes), "first");
        test_source_init(&sources[1], hf_buf_slice(&files[1].bytes), "second");
        sources[fail_at % 2].fail_at = fail_at / 2;
        rc = hf_ltx_merge(inputs, 2, 8, &sink.base, NULL, &err);
        if (rc != HF_OK)
            continue;
        assert_true(fail_at > 8);
        assert_true(atomic_load(&sources[0].bytes_read) < sources[0].data.len * 11 / 10);
        assert_memory_equal(sink.bytes.ptr + HF_LTX_HEADER_BYTES,
                            files[1].bytes.ptr + HF_LTX_HEADER_BYTES,
                            sink.bytes.len - HF_LTX_HEADER_BYTES - 8);
    }
    assert_int_equal(rc, HF_OK);
    test_sink_done(&files[0]);
    test_sink_done(&files[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merge_leads_where_its_inputs_lead),
        cmocka_unit_test(merging_merges_gives_the_same_bytes),
        cmocka_unit_test(a_merge_of_one_file_of_ours_copies_its_frames),
        cmocka_unit_test(files_of_others_merge_untracked_but_snapshots_get_sums),
        cmocka_unit_test(overlapping_inputs_merge),
        cmocka_unit_test(inputs_that_do_not_follow_are_refused),
        cmocka_unit_test(other_page_sizes_are_refused),
        cmocka_unit_test(a_chain_that_ends_elsewhere_is_damage),
        cmocka_unit_test(a_wrong_sum_in_the_middle_is_damage),
        cmocka_unit_test(windows_and_failures_of_large_inputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
