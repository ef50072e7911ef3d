/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: parts keep S3's limits whatever is written, and a change in one place of the source changes
 * few of them.
 * Method: a writer by model, that knows of each window of its source how long it comes out and
 * which version of it that is; parts are compared as the list of what is in them. Seeded sizes.
 */
#include "lib/fixture.h"

#include "base/rand.h"
#include "store/s3_cut.h"

#define MIB         ((uint64_t)1 << 20)
#define WINDOWS_MAX 9000

struct window {
    uint64_t bytes;
    unsigned version;
};

struct source {
    struct window windows[WINDOWS_MAX];
    size_t count;
    uint64_t window_bytes; /* of the source */
    uint64_t tail_bytes;   /* of what comes behind the windows: an index */
};

/* A part, and a hash over what is in it. */
struct part {
    unsigned number;
    uint64_t bytes;
    uint64_t hash;
};

struct parts {
    struct part items[HF_S3_PARTS_MAX];
    size_t count;
};

/* The writer: what is held is known by where it begins in the whole. */
struct writer {
    const struct source *source;
    struct hf_s3_cutter cutter;
    uint64_t held_from;
    uint64_t held_bytes;
    size_t window; /* in which it is, and where that begins in the whole */
    uint64_t window_from;
    struct parts *parts;
};

/* Of the bytes from .. to of the whole: which windows, in which versions, and from where in them.
 */
static uint64_t hash_range(struct writer *w, uint64_t from, uint64_t to)
{
    const struct source *s = w->source;
    uint64_t hash = 14695981039346656037u;

    for (;;) {
        const bool tail = w->window == s->count;
        const uint64_t bytes = tail ? s->tail_bytes : s->windows[w->window].bytes;
        const uint64_t words[] = {w->window, tail ? 0 : s->windows[w->window].version, bytes,
                                  from > w->window_from ? from - w->window_from : 0};

        for (size_t k = 0; k < HF_ARRAY_LEN(words); k++)
            hash = (hash ^ words[k]) * 1099511628211u;
        if (tail || w->window_from + bytes >= to)
            return hash;
        w->window_from += bytes;
        w->window++;
    }
}

static void take(struct writer *w)
{
    struct part *p = &w->parts->items[w->parts->count];
    const struct part *before = w->parts->count > 0 ? p - 1 : NULL;

    assert_true(w->parts->count < HF_S3_PARTS_MAX);
    p->bytes = hf_s3_cutter_take(&w->cutter, w->held_bytes, &p->number);
    p->hash = hash_range(w, w->held_from, w->held_from + p->bytes);
    assert_true(p->bytes > 0 && p->bytes <= w->cutter.bytes_max);
    assert_true(p->number <= HF_S3_PARTS_MAX);
    if (before != NULL) {
        assert_true(p->number > before->number);
        assert_true(before->bytes >= HF_S3_PART_BYTES_MIN);
    }
    w->held_from += p->bytes;
    w->held_bytes -= p->bytes;
    w->parts->count++;
}

static void write_bytes(struct writer *w, uint64_t bytes)
{
    while (bytes > 0) {
        if (w->held_bytes == w->cutter.bytes_max)
            take(w);

        const uint64_t room = w->cutter.bytes_max - w->held_bytes;
        const uint64_t len = bytes < room ? bytes : room;

        w->held_bytes += len;
        bytes -= len;
    }
}

static void cut_all(const struct source *s, bool equal, struct parts *ret)
{
    struct writer w = {.source = s, .parts = ret};
    uint64_t total = s->tail_bytes;

    ret->count = 0;
    hf_s3_cutter_init(&w.cutter, s->count * s->window_bytes, equal);
    for (size_t i = 0; i < s->count; i++) {
        hf_s3_cutter_border(&w.cutter, (size_t)w.held_bytes, i * s->window_bytes);
        write_bytes(&w, s->windows[i].bytes);
        total += s->windows[i].bytes;
    }
    write_bytes(&w, s->tail_bytes);
    while (w.held_bytes > 0)
        take(&w);
    assert_int_equal(w.held_from, total);
    hf_s3_cutter_done(&w.cutter);
}

static bool is_same(const struct part *a, const struct part *b)
{
    return a->number == b->number && a->bytes == b->bytes && a->hash == b->hash;
}

/* Parts of `new_parts` that `old_parts` has not. */
static size_t count_changed(const struct parts *old_parts, const struct parts *new_parts)
{
    size_t n = 0;
    size_t k = 0;

    for (size_t i = 0; i < new_parts->count; i++) {
        const struct part *p = &new_parts->items[i];

        while (k < old_parts->count && old_parts->items[k].number < p->number)
            k++;
        n += k < old_parts->count && is_same(&old_parts->items[k], p) ? 0 : 1;
    }
    return n;
}

/* How the windows of a source come out, as a share of their size: from .. to in 1/1024. */
static const struct shape {
    const char *name;
    size_t windows;
    uint64_t window_bytes;
    unsigned from;
    unsigned to;
} shapes[] = {
    {"random bytes", 2000, MIB, 1028, 1028},
    {"text", 4000, MIB, 300, 500},
    {"anything", 4000, MIB, 30, 1028},
    {"nearly empty", 4000, MIB, 1, 3},
    {"small pages", 9000, MIB / 8, 1028, 1090},
    {"a terabyte of anything", 9000, 128 * MIB, 30, 1028},
    {"a terabyte of random bytes", 9000, 128 * MIB, 1028, 1090},
    {"one that just goes in", 8200, MIB, 900, 1028},
};

static void make(const struct shape *shape, struct hf_rand *rand, struct source *ret)
{
    ret->count = shape->windows;
    ret->window_bytes = shape->window_bytes;
    ret->tail_bytes = shape->windows * shape->window_bytes / 400;
    for (size_t i = 0; i < ret->count; i++)
        ret->windows[i] = (struct window){
            .bytes = shape->window_bytes / 1024 *
                     (shape->from + hf_rand_below(rand, shape->to - shape->from + 1))};
}

static struct source source;
static struct parts before;
static struct parts after;

static void every_source_is_cut_within_the_limits(void **state)
{
    struct hf_rand rand = hf_rand_seeded(11);

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(shapes); i++) {
        make(&shapes[i], &rand, &source);
        cut_all(&source, false, &before); /* asserts inside */
        assert_true(before.count > 0);
    }
}

static void a_changed_window_changes_its_part_and_few_behind_it(void **state)
{
    struct hf_rand rand = hf_rand_seeded(12);

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(shapes); i++) {
        size_t changed = 0;

        make(&shapes[i], &rand, &source);
        for (int n = 0; n < 20; n++) {
            struct window *w = &source.windows[hf_rand_below(&rand, source.count)];
            const uint64_t old = w->bytes;

            cut_all(&source, false, &before);
            w->version++;
            w->bytes = shapes[i].window_bytes / 1024 *
                       (shapes[i].from + hf_rand_below(&rand, shapes[i].to - shapes[i].from + 1));
            if (n % 2 == 0) /* so little that a border moves only by bytes */
                w->bytes = old + 1;
            cut_all(&source, false, &after);
            changed += count_changed(&before, &after);
        }
        /* Each time its own, and on average less than one more until the borders meet again. */
        if (changed > 40)
            fail_msg("%s: %zu parts changed by 20 windows", shapes[i].name, changed);
    }
}

/* The statement of DESIGN.md for windows that come out alike: borders do not move at all. */
static void windows_of_one_size_are_cut_at_the_same_places_from_wherever_one_begins(void **state)
{
    (void)state;
    for (uint64_t bytes = MIB / 2; bytes <= MIB; bytes += MIB / 16) {
        source = (struct source){.count = 2000, .window_bytes = MIB};
        for (size_t i = 0; i < source.count; i++)
            source.windows[i].bytes = bytes;
        cut_all(&source, false, &before);
        for (uint64_t more = 1; more <= 3; more++) {
            source.windows[0].bytes = bytes + more * 7 * MIB; /* another way in */
            source.windows[0].version = (unsigned)more;
            cut_all(&source, false, &after);
            assert_true(count_changed(&before, &after) <= 8);
        }
    }
}

static void equal_parts_have_one_size_and_no_gaps(void **state)
{
    struct hf_rand rand = hf_rand_seeded(13);

    (void)state;
    make(&shapes[2], &rand, &source);
    cut_all(&source, true, &before);
    for (size_t i = 0; i < before.count; i++) {
        assert_int_equal(before.items[i].number, i + 1);
        if (i + 1 < before.count)
            assert_int_equal(before.items[i].bytes, before.items[0].bytes);
    }
    assert_true(before.items[before.count - 1].bytes <= before.items[0].bytes);
}

static void more_than_the_hint_allows_passes_the_last_number(void **state)
{
    struct hf_s3_cutter c;
    unsigned number = 0;

    (void)state;
    hf_s3_cutter_init(&c, 1, false);
    for (int i = 0; i <= HF_S3_PARTS_MAX; i++)
        assert_int_equal(hf_s3_cutter_take(&c, (size_t)c.bytes_max, &number), c.bytes_max);
    assert_int_equal(number, HF_S3_PARTS_MAX + 1);
    hf_s3_cutter_done(&c);

    hf_s3_cutter_init(&c, 1, false);
    hf_s3_cutter_border(&c, 6u << 20, 20000 * MIB);
    assert_int_equal(hf_s3_cutter_take(&c, 7u << 20, &number), 6u << 20);
    assert_int_equal(number, 1);
    (void)hf_s3_cutter_take(&c, 1u << 20, &number);
    assert_int_equal(number, HF_S3_PARTS_MAX + 1);
    hf_s3_cutter_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_source_is_cut_within_the_limits),
        cmocka_unit_test(a_changed_window_changes_its_part_and_few_behind_it),
        cmocka_unit_test(windows_of_one_size_are_cut_at_the_same_places_from_wherever_one_begins),
        cmocka_unit_test(equal_parts_have_one_size_and_no_gaps),
        cmocka_unit_test(more_than_the_hint_allows_passes_the_last_number),
    };

    return cmocka_run_group_tests_name("s3_cut", tests, NULL, NULL);
}
