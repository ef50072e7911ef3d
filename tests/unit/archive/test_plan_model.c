/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the planner finds what can be restored, and says hole, usage or not found exactly where a
 * reader of the rules would, whatever segments there are and however little of a listing it sees.
 * Method: random archives of a few dozen TXIDs; every target of each is planned and compared with a
 * brute-force model that looks at single TXIDs. In half of them a listing page has very few keys,
 * so that windows, look-back and widening are used; those keep the rule for writers (FORMAT 1.2).
 */
#include "archive/plan.h"

#include "archive/spans.h"
#include "base/rand.h"
#include "fake.h"

#define TXIDS_MAX    80
#define SEGMENTS_MAX 400
#define ARCHIVES     60

struct model {
    struct hf_segment segments[SEGMENTS_MAX];
    size_t count;
    bool reachable[TXIDS_MAX + 2];
    bool covered[TXIDS_MAX + 2]; /* by a segment that is no snapshot */
    bool is_end[TXIDS_MAX + 2];
    int64_t time_ms[TXIDS_MAX + 2]; /* never falls */
    bool catchup[TXIDS_MAX + 2];
    bool clamped[TXIDS_MAX + 2]; /* has its predecessor's time */
    uint64_t first_snapshot;     /* max TXID; 0: none */
    uint64_t max;
};

static void model_add(struct model *m, unsigned level, uint64_t min, uint64_t max)
{
    if (m->count < SEGMENTS_MAX && max <= TXIDS_MAX)
        m->segments[m->count++] =
            (struct hf_segment){.level = level, .min_txid = min, .max_txid = max};
}

/* Any segments at all, or levels in which each one begins and ends no earlier than the last. */
static void model_fill(struct model *m, struct hf_rand *rand, bool ordered)
{
    const unsigned drop_percent = (unsigned)hf_rand_below(rand, 30);

    for (unsigned level = 0; level < HF_LEVELS_COUNT; level++) {
        const uint64_t width = 1 + hf_rand_below(rand, 1 + 4 * (uint64_t)level);
        const uint64_t overlap = hf_rand_below(rand, 3);
        uint64_t min = 1 + hf_rand_below(rand, 20);
        uint64_t max = min - 1;

        if (hf_rand_below(rand, 3) == 0 && level != 0)
            continue;
        for (uint64_t n = hf_rand_below(rand, 3); n > 0 && (level == 9 || level == 0); n--)
            model_add(m, level, 1, 1 + hf_rand_below(rand, TXIDS_MAX - 1));
        while (max < TXIDS_MAX && level < HF_LEVEL_SNAPSHOT) {
            if (!ordered && hf_rand_below(rand, 4) == 0) {
                const uint64_t at = 2 + hf_rand_below(rand, TXIDS_MAX - 2);
                model_add(m, level, at, at + hf_rand_below(rand, 10));
            }
            const uint64_t wide = hf_rand_below(rand, 12) == 0 ? 10 + hf_rand_below(rand, 40) : 0;
            uint64_t next = min + hf_rand_below(rand, width) + (width > 1) + wide;
            next = next < max ? max : next;
            if (hf_rand_below(rand, 100) >= drop_percent && min > 1)
                model_add(m, level, min, next);
            max = next;
            min = max + 1 > min + overlap ? max + 1 - overlap : max + 1;
        }
    }
}

static void model_solve(struct model *m, struct hf_rand *rand)
{
    int64_t now = FAKE_START_MS;

    for (size_t i = 0; i < m->count; i++) {
        const struct hf_segment *s = &m->segments[i];

        m->is_end[s->max_txid] = true;
        m->max = s->max_txid > m->max ? s->max_txid : m->max;
        if (s->min_txid == 1 && (m->first_snapshot == 0 || s->max_txid < m->first_snapshot))
            m->first_snapshot = s->max_txid;
        for (uint64_t t = s->min_txid; t <= s->max_txid && s->min_txid > 1; t++)
            m->covered[t] = true;
    }
    for (uint64_t t = 1; t <= TXIDS_MAX; t++) {
        now += (int64_t)hf_rand_below(rand, 3) * 10;
        m->time_ms[t] = now;
        m->catchup[t] = hf_rand_below(rand, 4) == 0;
        m->clamped[t] = t > 1 && now == m->time_ms[t - 1] && hf_rand_below(rand, 2) == 0;
        for (size_t i = 0; i < m->count; i++) {
            const struct hf_segment *s = &m->segments[i];

            m->reachable[t] |= s->max_txid == t && s->min_txid == 1;
            for (uint64_t from = s->min_txid - 1; from < t && s->max_txid == t; from++)
                m->reachable[t] |= from > 0 && m->reachable[from];
        }
    }
}

static uint64_t last_reachable(const struct model *m, uint64_t limit)
{
    while (limit > 0 && !m->reachable[limit])
        limit--;
    return limit;
}

static bool all_covered(const struct model *m, uint64_t from, uint64_t to)
{
    for (; from <= to; from++) {
        if (!m->covered[from])
            return false;
    }
    return true;
}

/* The first TXID behind a gap after `txid`: of a log segment, or a snapshot's end. 0: none. */
static uint64_t model_next(const struct model *m, uint64_t txid)
{
    uint64_t next = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct hf_segment *s = &m->segments[i];
        const uint64_t first = s->min_txid == 1 ? s->max_txid : s->min_txid;

        if (first > txid && (next == 0 || first < next))
            next = first;
    }
    return next;
}

/* How often each outcome was met, so that none is left untried. */
static unsigned outcomes[HF_IO + 1];
static unsigned coarse_count;
static unsigned after_last_count;
static unsigned gap_count;
static unsigned set_back_count;

struct expected {
    enum hf_code rc;
    uint64_t txid;
    uint64_t wanted;
    bool after_last;
    struct hf_gap gap;
    uint64_t set_back_txid;  /* 0: not */
    bool set_back_uncertain; /* segments that end with the same TXID say different things */
    char words[2][64];       /* in the message */
};

static void expect_hole(const struct model *m, uint64_t txid, struct expected *e)
{
    e->rc = HF_HOLE;
    (void)snprintf(e->words[0], 64, "TXID %" PRIu64 " to %" PRIu64 " are missing", txid + 1,
                   model_next(m, txid) - 1);
}

static void expect_txid(const struct model *m, uint64_t txid, struct expected *e)
{
    const uint64_t last = last_reachable(m, txid);
    uint64_t later = txid + 1;

    if (last == txid) {
        e->txid = e->wanted = txid;
        return;
    }
    if (last == 0 || (model_next(m, last) == 0 && !all_covered(m, last + 1, txid))) {
        e->rc = HF_USAGE;
        (void)snprintf(e->words[0], 64, "restorable is TXID %" PRIu64 " to", m->first_snapshot);
        return;
    }
    if (!all_covered(m, last + 1, txid) || !m->covered[last + 1]) {
        expect_hole(m, last, e);
        return;
    }
    while (!m->reachable[later])
        later++;
    e->rc = HF_USAGE;
    (void)snprintf(e->words[0], 64, "are %" PRIu64 " and %" PRIu64, last, later);
}

/* A segment has the marks of all TXIDs that it holds. */
static unsigned marks(const struct model *m, const struct hf_segment *s)
{
    unsigned flags = 0;

    for (uint64_t t = s->min_txid; t <= s->max_txid; t++)
        flags |= (m->catchup[t] ? FAKE_CATCHUP : 0) | (m->clamped[t] ? FAKE_CLAMPED : 0);
    return flags;
}

/* Of the narrowest segment, no snapshot, that ends with `txid`. */
static unsigned marks_of_end(const struct model *m, uint64_t txid)
{
    const struct hf_segment *narrowest = NULL;

    for (size_t i = 0; i < m->count; i++) {
        const struct hf_segment *s = &m->segments[i];

        if (s->max_txid == txid && s->min_txid > 1 &&
            (narrowest == NULL || s->min_txid > narrowest->min_txid))
            narrowest = s;
    }
    return narrowest != NULL ? marks(m, narrowest) : 0;
}

static bool has_segment(const struct model *m, uint64_t txid)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->segments[i].max_txid == txid && m->segments[i].min_txid > 1)
            return true;
    }
    return false;
}

/* The segments that hold txid + 1 and end first beyond it: is any clamped, and are all? */
static void look_behind(const struct model *m, uint64_t txid, bool *ret_any, bool *ret_all)
{
    uint64_t first = UINT64_MAX;

    *ret_any = false;
    *ret_all = true;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < m->count; i++) {
            const struct hf_segment *s = &m->segments[i];

            if (s->min_txid == 1 || s->min_txid > txid + 1 || s->max_txid <= txid)
                continue;
            if (pass == 0) {
                first = s->max_txid < first ? s->max_txid : first;
            } else if (s->max_txid == first) {
                const bool clamped = (marks(m, s) & FAKE_CLAMPED) != 0;

                *ret_any = *ret_any || clamped;
                *ret_all = *ret_all && clamped;
            }
        }
    }
    *ret_all = *ret_all && *ret_any;
}

/* What is doubtful about the wanted time between the ends `found` and `next`. */
static void expect_doubts(const struct model *m, int64_t time_ms, uint64_t found, uint64_t next,
                          struct expected *e)
{
    bool any;
    bool all;

    if (next == 0 || !has_segment(m, next))
        return;
    if ((marks_of_end(m, next) & FAKE_CATCHUP) != 0 && time_ms > m->time_ms[found])
        e->gap = (struct hf_gap){found, next, m->time_ms[found], m->time_ms[next]};
    look_behind(m, next, &any, &all);
    if ((marks_of_end(m, next) & FAKE_CLAMPED) != 0 || any)
        e->set_back_txid = next;
    e->set_back_uncertain = (marks_of_end(m, next) & FAKE_CLAMPED) == 0 && any && !all;
}

static void expect_time(const struct model *m, int64_t time_ms, struct expected *e)
{
    uint64_t found = 0;
    uint64_t next = 0;

    for (uint64_t t = 1; t <= TXIDS_MAX; t++) {
        if (m->is_end[t] && m->time_ms[t] <= time_ms)
            found = t;
        if (m->is_end[t] && m->time_ms[t] > time_ms && next == 0)
            next = t;
    }
    const uint64_t last = last_reachable(m, found);

    if (last == 0) {
        e->rc = HF_USAGE;
        (void)snprintf(e->words[0], 64, "before the first restorable moment");
        (void)snprintf(e->words[1], 64, "(TXID %" PRIu64 ") to", m->first_snapshot);
    } else if (!all_covered(m, last + 1, next == 0 ? found : next - 1)) {
        expect_hole(m, last, e);
    } else {
        e->txid = last;
        e->wanted = found;
        e->after_last = next == 0 && time_ms > m->time_ms[found];
        expect_doubts(m, time_ms, found, next, e);
    }
}

static struct expected expect(const struct model *m, const struct hf_target *target)
{
    struct expected e = {.rc = HF_OK};

    if (m->count == 0)
        e.rc = HF_NOT_FOUND;
    else if (m->first_snapshot == 0)
        e.rc = HF_HOLE;
    else if (target->kind == HF_TARGET_TXID)
        expect_txid(m, target->txid, &e);
    else if (target->kind == HF_TARGET_TIME)
        expect_time(m, target->time_ms, &e);
    else if (last_reachable(m, TXIDS_MAX) == m->max)
        e.txid = e.wanted = m->max;
    else
        expect_hole(m, last_reachable(m, TXIDS_MAX), &e);
    return e;
}

static void check_chain(struct fake *f, const struct hf_plan *p)
{
    uint64_t txid = 0;
    uint64_t bytes = 0;

    assert_true(p->segments_count > 0);
    assert_int_equal(p->segments[0].min_txid, 1);
    for (size_t i = 0; i < p->segments_count; i++) {
        const struct hf_segment_ref *s = &p->segments[i];
        const struct store_mem_object *o = store_mem_find(f->store, s->key);

        assert_non_null(o);
        assert_int_equal(s->offset_bytes, 0);
        assert_int_equal(s->length_bytes, o->object.size_bytes);
        assert_true(s->min_txid <= txid + 1 && s->max_txid > txid);
        txid = s->max_txid;
        bytes += s->length_bytes;
    }
    assert_int_equal(txid, p->txid);
    assert_int_equal(bytes, p->bytes);
}

static void check_target(struct fake *f, const struct model *m, const struct hf_target *target,
                         unsigned archive)
{
    const struct expected e = expect(m, target);
    struct hf_err err = {0};
    HF_AUTO_PLAN *p = NULL;
    const enum hf_code rc = hf_plan_new(&f->archive, &fake_codec, target, &p, &err);

    if (rc != e.rc)
        fail_msg("archive %u, kind %d, txid %" PRIu64 ", time %" PRId64 ": %s, not %s: %s", archive,
                 (int)target->kind, target->txid, target->time_ms - FAKE_START_MS, hf_code_text(rc),
                 hf_code_text(e.rc), err.text);
    outcomes[rc]++;
    if (rc != HF_OK) {
        assert_says(&err, e.words[0]);
        assert_says(&err, e.words[1]);
        return;
    }
    assert_int_equal(p->txid, e.txid);
    assert_int_equal(p->wanted_txid, e.wanted);
    assert_int_equal(p->after_last, e.after_last);
    assert_int_equal(p->time_ms, m->time_ms[e.txid]);
    assert_memory_equal(&p->gap, &e.gap, sizeof(e.gap));
    if (!e.set_back_uncertain)
        assert_int_equal(p->set_back.txid, e.set_back_txid);
    if (p->set_back.txid != 0)
        assert_int_equal(p->set_back.time_ms, m->time_ms[p->set_back.txid]);
    check_chain(f, p);
    gap_count += p->gap.to_txid != 0;
    set_back_count += p->set_back.txid != 0;
    coarse_count += p->wanted_txid > p->txid;
    after_last_count += p->after_last;
}

static void assert_outcomes_met(void)
{
    assert_true(outcomes[HF_OK] > 500 && outcomes[HF_HOLE] > 500 && outcomes[HF_USAGE] > 500);
    assert_true(coarse_count > 50 && after_last_count > 5);
    assert_true(gap_count > 50 && set_back_count > 50);
    (void)memset(outcomes, 0, sizeof(outcomes));
    coarse_count = 0;
    after_last_count = 0;
    gap_count = 0;
    set_back_count = 0;
}

/* Put the model's segments, with the store's own dates near the truth or anywhere. */
static void model_store(const struct model *m, struct fake *f, struct hf_rand *rand)
{
    const bool lies = hf_rand_below(rand, 2) == 0;

    f->store->lists_timestamps = false;
    for (size_t i = 0; i < m->count; i++) {
        const struct hf_segment *s = &m->segments[i];
        const uint64_t late_ms = hf_rand_below(rand, lies ? 2000 : 5);

        f->clock.now_us = (m->time_ms[s->max_txid] + (int64_t)late_ms) * 1000;
        fake_put_marked(f, s->level, s->min_txid, s->max_txid, m->time_ms[s->max_txid],
                        FAKE_HEADER_BYTES + (size_t)hf_rand_below(rand, 50), marks(m, s));
    }
}

static void check_archive(unsigned archive, bool ordered)
{
    struct hf_rand rand = hf_rand_seeded(archive);
    HF_AUTO_FREE struct model *m = hf_calloc(1, sizeof(*m));
    struct hf_target target = {.kind = HF_TARGET_LATEST};
    struct fake f;

    fake_init(&f);
    if (hf_rand_below(&rand, 2) == 0)
        f.archive.layout = HF_LAYOUT_LTX;
    if (ordered)
        f.archive.list_page_keys = 1 + (unsigned)hf_rand_below(&rand, 5);
    model_fill(m, &rand, ordered);
    model_solve(m, &rand);
    model_store(m, &f, &rand);

    check_target(&f, m, &target, archive);
    target.kind = HF_TARGET_TXID;
    for (target.txid = 1; target.txid <= TXIDS_MAX; target.txid++)
        check_target(&f, m, &target, archive);
    target = (struct hf_target){.kind = HF_TARGET_TIME, .now_ms = INT64_MAX};
    for (uint64_t t = 0; t <= TXIDS_MAX; t++) {
        target.time_ms = (t == 0 ? FAKE_START_MS : m->time_ms[t]) +
                         (int64_t)hf_rand_below(&rand, 2);
        check_target(&f, m, &target, archive);
    }
    fake_done(&f);
}

static void any_archive_is_planned_as_the_model_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARCHIVES; i++)
        check_archive(i, false);
    assert_outcomes_met();
}

static void small_windows_see_as_much_as_full_listings(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARCHIVES; i++)
        check_archive(1000000 + i, true);
    assert_outcomes_met();
}

/* Runs are what can be walked without a hole, and say from where on they can be restored. */
static void spans_agree_with_the_model(void **state)
{
    (void)state;
    for (unsigned archive = 0; archive < ARCHIVES; archive++) {
        struct hf_rand rand = hf_rand_seeded(archive);
        HF_AUTO_FREE struct model *m = hf_calloc(1, sizeof(*m));
        struct hf_seg_list all = {0};
        struct hf_spans spans;
        uint64_t count = 0;

        model_fill(m, &rand, hf_rand_below(&rand, 2) == 0);
        model_solve(m, &rand);
        for (size_t i = 0; i < m->count; i++)
            hf_seg_list_add(&all, &m->segments[i]);
        hf_plan_spans(&all, &spans);
        for (unsigned level = 0; level < HF_LEVELS_COUNT; level++)
            count += spans.levels[level].segments_count;
        assert_int_equal(count, m->count);
        for (size_t i = 0; i < spans.runs_count; i++) {
            const struct hf_run *run = &spans.runs[i];

            for (uint64_t t = run->first_txid; t <= run->last_txid; t++) {
                assert_true(m->covered[t] || m->reachable[t]);
                assert_int_equal(m->reachable[t], m->is_end[t] && run->restorable_from > 0 &&
                                                      t >= run->restorable_from && m->reachable[t]);
            }
            /* The end of a run with a snapshot is always to be had. */
            assert_int_equal(m->reachable[run->last_txid], run->restorable_from > 0);
            if (i + 1 < spans.runs_count) {
                assert_int_equal(spans.holes[i].first_txid, run->last_txid + 1);
                assert_int_equal(spans.holes[i].last_txid, run[1].first_txid - 1);
                assert_true(spans.holes[i].first_txid <= spans.holes[i].last_txid);
            }
        }
        for (size_t i = 0; i < spans.holes_count; i++) {
            for (uint64_t t = spans.holes[i].first_txid; t <= spans.holes[i].last_txid; t++)
                assert_false(m->covered[t] || m->reachable[t]);
        }
        if (m->count > 0)
            assert_int_equal(spans.runs[spans.runs_count - 1].last_txid, m->max);
        hf_spans_done(&spans);
        hf_seg_list_done(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_archive_is_planned_as_the_model_says),
        cmocka_unit_test(small_windows_see_as_much_as_full_listings),
        cmocka_unit_test(spans_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
