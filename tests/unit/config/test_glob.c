/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: two patterns overlap exactly if one path matches both; what cannot be expanded is refused.
 * Method: tables, and random patterns over a tiny alphabet held against fnmatch(3) asked about
 * every path of that alphabet up to a length.
 */
#include "config/glob.h"

#include <fnmatch.h>
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"

#define PATH_LEN_MAX 5 /* behind the first slash; long enough for patterns of PARTS_MAX tokens */
#define PARTS_MAX    4

static const char alphabet[] = {'a', 'b', '/'};

/* Every path over the alphabet, in turn: ret[0] is '/'. False after the last. */
static bool next_path(char ret[PATH_LEN_MAX + 2])
{
    const size_t len = strlen(ret);

    for (size_t i = 1; i < len; i++) {
        const char *at = memchr(alphabet, ret[i], sizeof(alphabet));

        if (at < alphabet + sizeof(alphabet) - 1) {
            ret[i] = at[1];
            return true;
        }
        ret[i] = alphabet[0];
    }
    if (len > PATH_LEN_MAX)
        return false;
    ret[len] = alphabet[0];
    ret[len + 1] = '\0';
    return true;
}

static bool oracle(const char *a, const char *b)
{
    char path[PATH_LEN_MAX + 2] = "/";

    do {
        if (fnmatch(a, path, FNM_PATHNAME) == 0 && fnmatch(b, path, FNM_PATHNAME) == 0)
            return true;
    } while (next_path(path));
    return false;
}

static void random_pattern(struct hf_rand *r, struct hf_buf *ret)
{
    static const char *const pieces[] = {"a", "b", "*", "?", "[ab]", "[!a]", "\\a", "/a", "/*"};
    const uint64_t count = 1 + hf_rand_below(r, PARTS_MAX - 1);

    hf_buf_reset(ret);
    hf_buf_printf(ret, "/");
    for (uint64_t i = 0; i < count; i++)
        hf_buf_printf(ret, "%s", pieces[hf_rand_below(r, HF_ARRAY_LEN(pieces))]);
}

static void overlap_is_what_fnmatch_finds_on_all_paths(void **state)
{
    struct hf_rand r = hf_rand_seeded(3);
    HF_AUTO_BUF a = {0};
    HF_AUTO_BUF b = {0};
    int overlapping = 0;

    (void)state;
    for (int i = 0; i < 1500; i++) {
        random_pattern(&r, &a);
        random_pattern(&r, &b);

        const char *left = hf_buf_str(&a);
        const char *right = hf_buf_str(&b);
        const bool expected = oracle(left, right);

        overlapping += expected;
        if (hf_glob_overlap(left, right) != expected || hf_glob_overlap(right, left) != expected)
            fail_msg("%s and %s: expected %d", left, right, expected);
    }
    assert_in_range(overlapping, 200, 1300); /* or the patterns test nothing */
}

static void overlap_of_patterns_people_write(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool expected;
    } cases[] = {
        {"/srv/a/*.db", "/srv/a/*.db", true},
        {"/srv/a/*.db", "/srv/b/*.db", false},
        {"/srv/a/*.db", "/srv/*/x.db", true},
        {"/srv/a/*.db", "/srv/a/b/*.db", false},
        {"/srv/a/orders-*.db", "/srv/a/users-*.db", false},
        {"/srv/a/orders-*.db", "/srv/a/*-old.db", true},
        {"/srv/a/[a-m]*.db", "/srv/a/[n-z]*.db", false},
        {"/srv/a/[!n-z]*.db", "/srv/a/[n-z]*.db", false},
        {"/srv/a/[[:alpha:]].db", "/srv/a/[0-9].db", false},
        {"/srv/a/[[:alpha:]].db", "/srv/a/x.db", true},
        {"/srv/a/\\*.db", "/srv/a/[*].db", true},
        {"/srv/a/\\*.db", "/srv/a/x.db", false},
        {"/srv/a/[x.db", "/srv/a/\\[x.db", true},
        {"/srv/a.db", "/srv/a.db", true},
        {"/srv/a.db", "/srv/a.dbx", false},
        {"/*a*a*a*a*a*a*a*a*a*b", "/*c*a*a*a*a*a*a*a*a*a", false},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        if (hf_glob_overlap(cases[i].a, cases[i].b) != cases[i].expected)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static void patterns_that_cannot_be_expanded_are_refused(void **state)
{
    static const struct {
        const char *glob;
        const char *why; /* NULL: taken */
    } cases[] = {
        {"/srv/*.db", NULL},
        {"/a", NULL},
        {"/srv/a\\\\", NULL},
        {"/srv/..a/.b", NULL},
        {"", "absolute path"},
        {"srv/*.db", "absolute path"},
        {"/", "empty part"},
        {"/srv//a.db", "empty part"},
        {"/srv/", "empty part"},
        {"/srv/./a.db", "write the path out"},
        {"/srv/../a.db", "write the path out"},
        {"/srv/**/a.db", "name each level"},
        {"/srv/a\\", "backslash"},
        {"/srv/a\\/b", "backslash"},
    };
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const enum hf_code rc = hf_glob_check(cases[i].glob, &err);

        if (rc != (cases[i].why != NULL ? HF_USAGE : HF_OK))
            fail_msg("%s", cases[i].glob);
        if (cases[i].why != NULL)
            assert_non_null(strstr(err.text, cases[i].why));
    }
}

static void a_pattern_ends_at_its_limit(void **state)
{
    char glob[HF_GLOB_MAX + 2];
    struct hf_err err;

    (void)state;
    (void)memset(glob, 'a', sizeof(glob));
    glob[0] = '/';
    glob[HF_GLOB_MAX + 1] = '\0';
    assert_int_equal(hf_glob_check(glob, &err), HF_USAGE);
    glob[HF_GLOB_MAX] = '\0';
    hf_must(hf_glob_check(glob, &err), &err);
    assert_true(hf_glob_overlap(glob, glob));
}

static void parts_are_wild_or_name_one_file(void **state)
{
    static const struct {
        const char *part;
        const char *name; /* NULL: wild */
    } cases[] = {
        {"a.db", "a.db"}, {"*.db", NULL},        {"a?", NULL},       {"[ab]", NULL},
        {"[ab", "[ab"},   {"\\*.db", "*.db"},    {"\\[ab]", "[ab]"}, {"a\\\\b", "a\\b"},
        {"[]", "[]"},     {"[[:digit:]]", NULL}, {"\\a*", NULL},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_AUTO_FREE char *name = hf_glob_unescape(cases[i].part);

        assert_int_equal(hf_glob_is_wild(cases[i].part), cases[i].name == NULL);
        if (cases[i].name != NULL)
            assert_string_equal(name, cases[i].name);
    }
}

static void wildcards_leave_hidden_files_alone(void **state)
{
    (void)state;
    assert_true(hf_glob_match("*.db", "a.db"));
    assert_false(hf_glob_match("*.db", ".a.db"));
    assert_true(hf_glob_match(".*.db", ".a.db"));
    assert_false(hf_glob_match("*.db", "a.dbx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlap_is_what_fnmatch_finds_on_all_paths),
        cmocka_unit_test(overlap_of_patterns_people_write),
        cmocka_unit_test(patterns_that_cannot_be_expanded_are_refused),
        cmocka_unit_test(a_pattern_ends_at_its_limit),
        cmocka_unit_test(parts_are_wild_or_name_one_file),
        cmocka_unit_test(wildcards_leave_hidden_files_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
