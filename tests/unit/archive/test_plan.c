/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: each sentence of plan.h on a small archive, with the words of the message; and the number
 * of requests on large ones. Method: archives written out by hand (fake_put_all()); counts of
 * store_mem, as S3 would bill them.
 */
#include "archive/plan.h"

#include "base/rand.h"
#include "fake.h"

/* TXID n has this time. */
#define TIME(n) (FAKE_START_MS + 1000 * (int64_t)(n))

static enum hf_code plan(struct fake *f, struct hf_target target, struct hf_plan **ret)
{
    if (target.now_ms == 0)
        target.now_ms = INT64_MAX;
    return hf_plan_new(&f->archive, &fake_codec, &target, ret, &f->err);
}

static enum hf_code plan_latest(struct fake *f, struct hf_plan **ret)
{
    return plan(f, (struct hf_target){.kind = HF_TARGET_LATEST}, ret);
}

static enum hf_code plan_txid(struct fake *f, uint64_t txid, struct hf_plan **ret)
{
    return plan(f, (struct hf_target){.kind = HF_TARGET_TXID, .txid = txid}, ret);
}

static enum hf_code plan_time(struct fake *f, int64_t time_ms, struct hf_plan **ret)
{
    return plan(f, (struct hf_target){.kind = HF_TARGET_TIME, .time_ms = time_ms}, ret);
}

/* "9:1-5 0:6-6": the chain as fake_put_all() writes it. */
static void assert_chain(const struct hf_plan *p, const char *text)
{
    HF_AUTO_BUF got = {0};

    for (size_t i = 0; i < p->segments_count; i++)
        hf_buf_printf(&got, "%s%u:%" PRIu64 "-%" PRIu64, i > 0 ? " " : "", p->segments[i].level,
                      p->segments[i].min_txid, p->segments[i].max_txid);
    assert_string_equal(hf_buf_str(&got), text);
}

static void fewest_segments_lead_to_the_target(void **state)
{
    static const struct {
        const char *segments;
        uint64_t txid; /* 0: latest */
        const char *chain;
    } cases[] = {
        {"0:1-1", 0, "0:1-1"},
        {"0:1-1 0:2-2 0:3-3", 0, "0:1-1 0:2-2 0:3-3"},
        {"0:1-1 0:2-2 0:3-3", 2, "0:1-1 0:2-2"},
        {"0:1-1 0:2-2 0:3-3 9:1-2", 0, "9:1-2 0:3-3"},
        {"0:1-1 0:2-2 0:3-3 9:1-2", 1, "0:1-1"},
        {"0:1-1 0:2-2 0:3-3 0:4-4 1:2-4", 0, "0:1-1 1:2-4"},
        {"0:1-1 0:2-2 0:3-3 0:4-4 1:2-4", 3, "0:1-1 0:2-2 0:3-3"},
        {"0:1-1 1:2-4 2:2-9 0:5-5", 0, "0:1-1 2:2-9"},
        {"9:1-6 1:2-4 1:5-8 0:9-9", 0, "9:1-6 1:5-8 0:9-9"}, /* one that straddles the snapshot */
        {"9:1-6 1:5-8 1:7-9", 0, "9:1-6 1:7-9"},
        {"8:1-6 0:7-7", 0, "8:1-6 0:7-7"}, /* a snapshot at any level */
        {"5:1-3 0:4-4 9:1-2", 0, "5:1-3 0:4-4"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        if (cases[i].txid == 0)
            hf_must(plan_latest(&f, &p), &f.err);
        else
            hf_must(plan_txid(&f, cases[i].txid, &p), &f.err);
        assert_chain(p, cases[i].chain);
        assert_int_equal(p->time_ms, TIME(p->txid));
        assert_int_equal(p->info.max_txid, p->txid);
        fake_done(&f);
    }
}

static void an_empty_archive_is_not_found_and_named(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;
    struct hf_archive_format format;
    struct hf_rand rand = hf_rand_seeded(6);

    (void)state;
    fake_init(&f);
    assert_int_equal(plan_latest(&f, &p), HF_NOT_FOUND);
    assert_int_equal(plan_txid(&f, 1, &p), HF_NOT_FOUND);
    assert_int_equal(plan_time(&f, TIME(1), &p), HF_NOT_FOUND);
    assert_says(&f.err, "t/a.db");
    assert_says(&f.err, "0000/<min>-<max>.ltx or ltx/0/<min>-<max>.ltx");
    assert_int_not_equal(hf_code_exit_status(HF_NOT_FOUND), 0);

    hf_format_init(&format, "sqlite", 4096, HF_LAYOUT_HEX, &rand);
    hf_must(hf_format_create(&f.archive, &format, &f.err), &f.err);
    assert_int_equal(plan_latest(&f, &p), HF_NOT_FOUND);
    assert_says(&f.err, "no segment yet");
    assert_null(p);
    fake_done(&f);
}

static void a_hole_is_an_error_that_names_both_sides(void **state)
{
    static const struct {
        const char *segments;
        struct hf_target target;
        const char *words[3];
    } cases[] = {
        {"0:1-1 0:2-2 0:5-5",
         {.kind = HF_TARGET_LATEST},
         {"TXID 3 to 4 are missing", "0000/0000000000000002-0000000000000002.ltx",
          "0000/0000000000000005-0000000000000005.ltx"}},
        {"9:1-7 0:2-2 1:9-12",
         {.kind = HF_TARGET_LATEST},
         {"TXID 8 to 8 are missing", "0009/0000000000000001-0000000000000007.ltx",
          "0001/0000000000000009-000000000000000c.ltx"}},
        {"0:2-2 0:3-3",
         {.kind = HF_TARGET_LATEST},
         {"no snapshot", "TXID 1 to 1 are missing", "0000/0000000000000002-0000000000000002.ltx"}},
        {"0:1-1 0:2-2 0:5-5", {.kind = HF_TARGET_TXID, .txid = 5}, {"TXID 3 to 4 are missing"}},
        {"0:1-1 0:2-2 0:5-5", {.kind = HF_TARGET_TXID, .txid = 3}, {"TXID 3 to 4 are missing"}},
        /* A snapshot over the gap does not heal what lies before it. */
        {"0:1-1 0:2-2 0:5-5 9:1-6",
         {.kind = HF_TARGET_TXID, .txid = 5},
         {"TXID 3 to 4 are missing"}},
        {"0:1-1 0:2-2 9:1-6",
         {.kind = HF_TARGET_TXID, .txid = 4},
         {"TXID 3 to 5 are missing", "0009/0000000000000001-0000000000000006.ltx"}},
        /* By time: before the last segment ... */
        {"0:1-1 0:2-2 0:5-5 0:6-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(6)},
         {"TXID 3 to 4 are missing"}},
        /* ... and between it and the next, where the database of that moment is not had. */
        {"0:1-1 0:2-2 0:5-5 0:6-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(4)},
         {"TXID 3 to 4 are missing"}},
        {"0:1-1 0:2-2 9:1-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(2)},
         {"TXID 3 to 5 are missing"}},
        /* After the last. */
        {"0:1-1 0:2-2 0:5-5",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(99)},
         {"TXID 3 to 4 are missing"}},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        assert_int_equal(plan(&f, cases[i].target, &p), HF_HOLE);
        for (size_t w = 0; w < 3 && cases[i].words[w] != NULL; w++)
            assert_says(&f.err, cases[i].words[w]);
        assert_null(p);
        fake_done(&f);
    }
}

static void an_old_hole_does_not_keep_from_what_a_later_snapshot_gives(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *latest = NULL;
    HF_AUTO_PLAN *old = NULL;
    HF_AUTO_PLAN *by_time = NULL;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2 0:5-5 9:1-6 0:7-7");
    hf_must(plan_latest(&f, &latest), &f.err);
    assert_chain(latest, "9:1-6 0:7-7");
    hf_must(plan_txid(&f, 2, &old), &f.err);
    assert_chain(old, "0:1-1 0:2-2");
    hf_must(plan_time(&f, TIME(6) + 1, &by_time), &f.err);
    assert_chain(by_time, "9:1-6");
    fake_done(&f);
}

static void impossible_targets_are_usage_with_what_is_possible(void **state)
{
    static const struct {
        const char *segments;
        struct hf_target target;
        const char *words[3];
    } cases[] = {
        {"9:1-5 0:6-6 0:7-7",
         {.kind = HF_TARGET_TXID, .txid = 8},
         {"TXID 8 is after the last", "TXID 5 to 7"}},
        {"0:4-4 9:1-5 0:6-6 0:7-7",
         {.kind = HF_TARGET_TXID, .txid = 4},
         {"TXID 4 is before the first", "TXID 5 to 7"}},
        {"0:1-1", {.kind = HF_TARGET_TXID, .txid = 0}, {"count from 1"}},
        {"0:1-1", {.kind = HF_TARGET_TXID, .txid = UINT64_MAX}, {"is no TXID"}},
        {"0:1-1 1:2-9 0:10-10",
         {.kind = HF_TARGET_TXID, .txid = 5},
         {"merged into t/a.db/0001/0000000000000002-0000000000000009.ltx", "are 1 and 9"}},
        {"0:1-1 1:2-9 9:1-7", {.kind = HF_TARGET_TXID, .txid = 5}, {"are 1 and 7"}},
        {"9:1-5 0:6-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(5) - 1},
         {"before the first restorable moment", "2026-01-01T00:00:05.000Z (TXID 5)",
          "2026-01-01T00:00:06.000Z (TXID 6)"}},
        {"0:4-4 9:1-5 0:6-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(4)},
         {"before the first restorable moment", "(TXID 5)"}},
        {"9:1-5 0:6-6",
         {.kind = HF_TARGET_TIME, .time_ms = TIME(8), .now_ms = TIME(8) - 1},
         {"2026-01-01T00:00:08.000Z is in the future", "(TXID 5)", "(TXID 6)"}},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        assert_int_equal(plan(&f, cases[i].target, &p), HF_USAGE);
        for (size_t w = 0; w < 3 && cases[i].words[w] != NULL; w++)
            assert_says(&f.err, cases[i].words[w]);
        fake_done(&f);
    }
}

static void time_gives_the_last_capture_at_or_before_it(void **state)
{
    static const struct {
        int64_t time_ms;
        uint64_t txid;
        bool after_last;
    } cases[] = {
        {TIME(1), 1, false},     {TIME(2) - 1, 1, false}, {TIME(2), 2, false},
        {TIME(4) - 1, 3, false}, {TIME(5), 5, false},     {TIME(6) - 1, 5, false},
        {TIME(6), 6, false},     {TIME(6) + 1, 6, true},  {TIME(99), 6, true},
    };
    struct fake f;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2 0:3-3 0:4-4 0:5-5 0:6-6 1:2-5 9:1-3");
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_PLAN *p = NULL;

        hf_must(plan_time(&f, cases[i].time_ms, &p), &f.err);
        assert_int_equal(p->txid, cases[i].txid);
        assert_int_equal(p->wanted_txid, cases[i].txid);
        assert_int_equal(p->time_ms, TIME(cases[i].txid));
        assert_int_equal(p->after_last, cases[i].after_last);
    }
    fake_done(&f);
}

static void a_time_inside_a_compacted_segment_gives_its_start_and_says_so(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;

    (void)state;
    fake_init(&f);
    /* 5 and 6 are left of level 0, but nothing leads to them except through 9. */
    fake_put_all(&f, "0:1-1 1:2-3 1:4-9 0:5-5 0:6-6");
    hf_must(plan_time(&f, TIME(6), &p), &f.err);
    assert_int_equal(p->txid, 3);
    assert_int_equal(p->time_ms, TIME(3));
    assert_int_equal(p->wanted_txid, 6);
    fake_done(&f);
}

/* Litestream dates a snapshot with the moment it was made, not that of its last TXID. */
static void a_snapshot_dated_later_than_its_last_txid_hides_nothing(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;
    HF_AUTO_PLAN *later = NULL;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2 0:3-3");
    fake_put_segment(&f, 9, 1, 2, TIME(2) + 900, 100);
    hf_must(plan_time(&f, TIME(2) + 500, &p), &f.err);
    assert_int_equal(p->txid, 2);
    assert_int_equal(p->time_ms, TIME(2));
    assert_chain(p, "9:1-2");
    hf_must(plan_time(&f, TIME(2) + 950, &later), &f.err);
    assert_int_equal(later->txid, 2);
    fake_done(&f);
}

/* When it is made the next TXID may be there already, which it says nothing of. */
static void a_snapshot_dated_later_than_the_next_txid_hides_nothing(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;
    HF_AUTO_PLAN *between = NULL;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2 0:3-3 0:4-4 0:6-6");
    fake_put_marked(&f, 9, 1, 2, TIME(3) + 500, 100, FAKE_FOREIGN);
    fake_put_marked(&f, 9, 1, 5, TIME(5) + 100, 100, FAKE_FOREIGN);
    hf_must(plan_time(&f, TIME(3) + 200, &p), &f.err);
    assert_int_equal(p->txid, 3);
    assert_int_equal(p->time_ms, TIME(3));
    assert_chain(p, "9:1-2 0:3-3");
    hf_must(plan_time(&f, TIME(5), &between), &f.err); /* by the snapshot alone 5 is known */
    assert_int_equal(between->txid, 4);
    fake_done(&f);
}

static void a_header_that_disagrees_with_its_name_is_damage(void **state)
{
    static const struct {
        const char *what;
        size_t size;
        const char *words;
    } cases[] = {
        {"other", 100, "its header is of TXID 7 to 7"},
        {"short", FAKE_HEADER_BYTES - 1, "too few"},
        {"empty", 0, "too few"},
        {"garbage", 100, "not a fake segment"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        uint8_t body[100] = "FAKE";
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, "0:1-1");
        hf_put_be64(body + 4, 7);
        hf_put_be64(body + 12, 7);
        if (strcmp(cases[i].what, "garbage") == 0)
            (void)memset(body, 'x', sizeof(body));
        fake_put(&f, "t/a.db/0000/0000000000000002-0000000000000002.ltx",
                 hf_slice(body, cases[i].size));
        assert_int_equal(plan_latest(&f, &p), HF_DAMAGE);
        assert_says(&f.err, cases[i].words);
        assert_says(&f.err, "0000/0000000000000002-0000000000000002.ltx");
        assert_int_equal(plan_time(&f, TIME(2), &p), HF_DAMAGE);
        assert_says(&f.err, cases[i].words);
        fake_done(&f);
    }
}

static void names_that_are_no_segments_change_nothing(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2");
    fake_put(&f, "t/a.db/0000/manifest.json", hf_slice_str("{}"));
    fake_put(&f, "t/a.db/0000/0000000000000003-0000000000000003.ltx.tmp", hf_slice_str("x"));
    fake_put(&f, "t/a.db/0000/x/0000000000000009-0000000000000009.ltx", hf_slice_str("x"));
    fake_put(&f, "t/a.db/000a/0000000000000009-0000000000000009.ltx", hf_slice_str("x"));
    fake_put(&f, "t/a.db2/0000/0000000000000009-0000000000000009.ltx", hf_slice_str("x"));
    hf_must(plan_latest(&f, &p), &f.err);
    assert_chain(p, "0:1-1 0:2-2");
    fake_done(&f);
}

/* A store that loses a segment between the listing and the get, as retention may. */
struct losing_store {
    struct hf_store base;
    struct hf_store_ops ops;
    struct fake *fake;
    bool comes_back; /* compaction has put another in its place */
    unsigned gets_count;
};

static enum hf_code losing_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                               struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct losing_store *l = (struct losing_store *)s;

    if (l->gets_count++ == 0 || !l->comes_back) {
        if (l->comes_back)
            fake_put_all(l->fake, "1:2-3");
        fake_delete(l->fake, 0, 3, 3);
        return hf_err_set(err, HF_NOT_FOUND, "gone");
    }
    return hf_store_get(&l->fake->store->base, key, offset, len, ret, ret_object, err);
}

static enum hf_code losing_list(struct hf_store *s, const char *prefix, const char *start_after,
                                hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    struct losing_store *l = (struct losing_store *)s;

    return hf_store_list(&l->fake->store->base, prefix, start_after, fn, ctx, err);
}

static void a_segment_that_vanishes_is_looked_for_once_more(void **state)
{
    (void)state;
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        struct fake f;
        char url[] = "mem://losing";
        struct losing_store l = {.fake = &f, .comes_back = comes_back == 1};
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, "0:1-1 0:2-2 0:3-3");
        l.ops.get = losing_get;
        l.ops.list = losing_list;
        l.base = (struct hf_store){.ops = &l.ops, .caps = HF_STORE_COND_PUT, .url = url};
        f.archive.store = &l.base;
        const enum hf_code rc = plan_latest(&f, &p);

        assert_int_equal(rc, comes_back == 1 ? HF_OK : HF_HOLE);
        if (rc == HF_OK)
            assert_chain(p, "0:1-1 1:2-3");
        else
            assert_says(&f.err, "was listed and is gone");
        fake_done(&f);
    }
}

static void a_time_before_a_catch_up_lies_in_a_gap(void **state)
{
    static const struct {
        const char *segments;
        int64_t time_ms;
        uint64_t txid;
        struct hf_gap gap;
    } cases[] = {
        {"0:1-1 0:2-2 0:5-5c 0:3-3 0:4-4", TIME(4) + 1, 4, {4, 5, TIME(4), TIME(5)}},
        {"0:1-1 0:2-2c 0:3-3", TIME(2) - 1, 1, {1, 2, TIME(1), TIME(2)}},
        /* What was captured, at its very time or where no gap follows. */
        {"0:1-1 0:2-2c 0:3-3", TIME(1), 1, {0}},
        {"0:1-1 0:2-2c 0:3-3", TIME(2), 2, {0}},
        {"0:1-1 0:2-2c 0:3-3", TIME(2) + 1, 2, {0}},
        {"0:1-1 0:2-2c", TIME(9), 2, {0}},
        {"0:1-1 0:2-2 0:3-3", TIME(2) + 1, 2, {0}},
        /* The finest segment tells; a merged one has the mark of all that it was made of. */
        {"0:1-1 0:2-2 0:3-3 0:4-4c 2:2-4c 9:1-3", TIME(2) + 1, 2, {0}},
        {"0:1-1 0:2-2 0:3-3c 2:2-3c 9:1-3", TIME(2) + 1, 2, {2, 3, TIME(2), TIME(3)}},
        {"0:1-1 1:2-4c", TIME(2), 1, {1, 4, TIME(1), TIME(4)}},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        fake_put_all(&f, cases[i].segments);
        hf_must(plan_time(&f, cases[i].time_ms, &p), &f.err);
        assert_int_equal(p->txid, cases[i].txid);
        assert_memory_equal(&p->gap, &cases[i].gap, sizeof(p->gap));
        assert_int_equal(p->set_back.txid, 0);
        fake_done(&f);
    }
}

static void only_a_time_can_lie_in_a_gap(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *latest = NULL;
    HF_AUTO_PLAN *by_txid = NULL;

    (void)state;
    fake_init(&f);
    fake_put_all(&f, "0:1-1 0:2-2c 0:3-3c");
    hf_must(plan_latest(&f, &latest), &f.err);
    hf_must(plan_txid(&f, 1, &by_txid), &f.err);
    assert_int_equal(latest->gap.to_txid | by_txid->gap.to_txid, 0);
    fake_done(&f);
}

/* The clock stood at TIME(100) for TXID 3, and was set back: 4 and 5 carry that time, too. */
static void put_clock_set_back(struct fake *f)
{
    fake_put_all(f, "0:1-1 0:2-2");
    fake_put_marked(f, 0, 3, 3, TIME(100), 50, 0);
    fake_put_marked(f, 0, 4, 4, TIME(100), 50, FAKE_CLAMPED);
    fake_put_marked(f, 0, 5, 5, TIME(100), 50, FAKE_CLAMPED);
    fake_put_marked(f, 0, 6, 6, TIME(101), 50, 0);
}

static void a_time_before_a_clock_that_was_set_back_is_doubtful(void **state)
{
    static const struct {
        int64_t time_ms;
        uint64_t txid;
        uint64_t doubtful_from;
    } cases[] = {
        {TIME(1), 1, 0},       {TIME(1) + 500, 1, 0}, {TIME(2), 2, 3},   {TIME(50), 2, 3},
        {TIME(100) - 1, 2, 3}, {TIME(100), 5, 0},     {TIME(101), 6, 0}, {TIME(200), 6, 0},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        put_clock_set_back(&f);
        hf_must(plan_time(&f, cases[i].time_ms, &p), &f.err);
        assert_int_equal(p->txid, cases[i].txid);
        assert_int_equal(p->set_back.txid, cases[i].doubtful_from);
        assert_int_equal(p->set_back.time_ms, cases[i].doubtful_from != 0 ? TIME(100) : 0);
        assert_int_equal(p->gap.to_txid, 0);
        fake_done(&f);
    }
}

/* A segment beyond the target that cannot be read keeps nobody from the target. */
static void damage_behind_the_next_segment_is_no_failure(void **state)
{
    struct fake f;
    HF_AUTO_PLAN *p = NULL;

    (void)state;
    fake_init(&f);
    put_clock_set_back(&f);
    fake_put(&f, "t/a.db/0000/0000000000000004-0000000000000004.ltx", hf_slice_str("short"));
    hf_must(plan_time(&f, TIME(50), &p), &f.err);
    assert_int_equal(p->txid, 2);
    assert_int_equal(p->set_back.txid, 0);
    fake_done(&f);
}

static void what_the_archive_has_is_not_in_the_future(void **state)
{
    struct hf_target target = {.kind = HF_TARGET_TIME, .now_ms = TIME(3)};
    struct fake f;

    (void)state;
    fake_init(&f);
    put_clock_set_back(&f);
    for (target.time_ms = TIME(3); target.time_ms <= TIME(101); target.time_ms += 1000) {
        HF_AUTO_PLAN *p = NULL;

        hf_must(plan(&f, target, &p), &f.err);
    }
    HF_AUTO_PLAN *p = NULL;

    target.time_ms = TIME(101) + 1;
    assert_int_equal(plan(&f, target, &p), HF_USAGE);
    assert_says(&f.err, "in the future");
    fake_done(&f);
}

static uint64_t requests_take(struct fake *f)
{
    const struct store_mem_requests n = store_mem_requests_take(f->store);

    assert_int_equal(n.put + n.del + n.head, 0);
    return n.get + n.list;
}

static void five_thousand_segments_cost_few_requests(void **state)
{
    struct hf_rand rand = hf_rand_seeded(7);
    const uint64_t n = 5000;
    const uint64_t log2_n = 13;
    struct fake f;
    HF_AUTO_PLAN *latest = NULL;

    (void)state;
    fake_init(&f);
    for (uint64_t t = 1; t <= n; t++) {
        /* The store's dates lie by up to an hour, so that they cannot help. */
        f.clock.now_us = (TIME(t) + (int64_t)hf_rand_below(&rand, 3600000)) * 1000;
        fake_put_segment(&f, 0, t, t, TIME(t), FAKE_HEADER_BYTES);
    }
    (void)store_mem_requests_take(f.store);
    hf_must(plan_latest(&f, &latest), &f.err);
    assert_int_equal(latest->segments_count, n);
    assert_true(requests_take(&f) <= 20);
    for (int i = 0; i < 60; i++) {
        const uint64_t t = 1 + hf_rand_below(&rand, n);
        HF_AUTO_PLAN *p = NULL;

        hf_must(plan_time(&f, TIME(t) + (int64_t)hf_rand_below(&rand, 1000), &p), &f.err);
        assert_int_equal(p->txid, t);
        assert_true(requests_take(&f) <= 20 + log2_n);
    }
    fake_done(&f);
}

/* As an archiver leaves it: `days` of a TXID every 10 s, level 0 for the last day, snapshots a week
 * apart. */
static void put_compacted(struct fake *f, uint64_t days)
{
    static const uint64_t widths[] = {1, 6, 60, 720, 8640};
    static const uint64_t kept_days[] = {1, 5, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    const uint64_t last = days * 8640 + 2000;

    f->clock.now_us = TIME(1) * 1000;
    fake_put_segment(f, 0, 1, 1, TIME(1), FAKE_HEADER_BYTES);
    for (unsigned level = 0; level < HF_ARRAY_LEN(widths); level++) {
        const uint64_t width = widths[level];

        for (uint64_t min = 2; min + width - 1 <= last; min += width) {
            const uint64_t max = min + width - 1;

            if (kept_days[level] != UINT64_MAX && max + kept_days[level] * 8640 < last)
                continue;
            f->clock.now_us = TIME(max) * 1000;
            fake_put_segment(f, level, min, max, TIME(max), FAKE_HEADER_BYTES);
        }
    }
    for (uint64_t max = 1 + 7 * 8640; max <= last; max += 7 * 8640)
        fake_put_segment(f, 9, 1, max, TIME(max), FAKE_HEADER_BYTES);
    (void)store_mem_requests_take(f->store);
}

static void requests_do_not_grow_with_the_age_of_the_archive(void **state)
{
    uint64_t latest[2];
    uint64_t worst[2] = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const uint64_t days = i == 0 ? 20 : 80;
        struct hf_rand rand = hf_rand_seeded(8);
        struct fake f;
        HF_AUTO_PLAN *p = NULL;

        fake_init(&f);
        put_compacted(&f, days);
        hf_must(plan_latest(&f, &p), &f.err);
        assert_int_equal(p->txid, days * 8640 + 2000);
        latest[i] = requests_take(&f);
        for (int k = 0; k < 40; k++) {
            const uint64_t t = 2 + hf_rand_below(&rand, days * 8640);
            HF_AUTO_PLAN *by_time = NULL;

            hf_must(plan_time(&f, TIME(t), &by_time), &f.err);
            assert_true(by_time->txid <= t && by_time->txid + 60 > t);
            const uint64_t n = requests_take(&f);

            worst[i] = n > worst[i] ? n : worst[i];
        }
        fake_done(&f);
    }
    print_message("latest: %" PRIu64 " and %" PRIu64 " requests, a time: %" PRIu64 " and %" PRIu64
                  "\n",
                  latest[0], latest[1], worst[0], worst[1]);
    assert_true(latest[1] <= 20 && latest[1] <= latest[0] + 4);
    assert_true(worst[1] <= 45 && worst[1] <= worst[0] + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewest_segments_lead_to_the_target),
        cmocka_unit_test(an_empty_archive_is_not_found_and_named),
        cmocka_unit_test(a_hole_is_an_error_that_names_both_sides),
        cmocka_unit_test(an_old_hole_does_not_keep_from_what_a_later_snapshot_gives),
        cmocka_unit_test(impossible_targets_are_usage_with_what_is_possible),
        cmocka_unit_test(time_gives_the_last_capture_at_or_before_it),
        cmocka_unit_test(a_time_inside_a_compacted_segment_gives_its_start_and_says_so),
        cmocka_unit_test(a_snapshot_dated_later_than_its_last_txid_hides_nothing),
        cmocka_unit_test(a_snapshot_dated_later_than_the_next_txid_hides_nothing),
        cmocka_unit_test(a_header_that_disagrees_with_its_name_is_damage),
        cmocka_unit_test(names_that_are_no_segments_change_nothing),
        cmocka_unit_test(a_segment_that_vanishes_is_looked_for_once_more),
        cmocka_unit_test(a_time_before_a_catch_up_lies_in_a_gap),
        cmocka_unit_test(only_a_time_can_lie_in_a_gap),
        cmocka_unit_test(a_time_before_a_clock_that_was_set_back_is_doubtful),
        cmocka_unit_test(damage_behind_the_next_segment_is_no_failure),
        cmocka_unit_test(what_the_archive_has_is_not_in_the_future),
        cmocka_unit_test(five_thousand_segments_cost_few_requests),
        cmocka_unit_test(requests_do_not_grow_with_the_age_of_the_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
