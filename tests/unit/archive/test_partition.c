/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a database's path has one partition name and a name one path; names are safe in keys.
 * Method: tables, and random paths of awkward bytes taken there and back.
 */
#include "archive/partition.h"

#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"

static void paths_are_named_below_the_fixed_part_of_the_glob(void **state)
{
    static const struct {
        const char *glob;
        const char *path;
        const char *name; /* NULL: HF_USAGE */
    } cases[] = {
        {"/var/app/*.db", "/var/app/orders.db", "orders.db"},
        {"/var/app/*/*.db", "/var/app/eu/orders.db", "eu/orders.db"},
        {"/var/app/o*/x.db", "/var/app/orders/x.db", "orders/x.db"},
        {"/var/app/a?b/[x]/c", "/var/app/aab/x/c", "aab/x/c"},
        {"/var/app/orders.db", "/var/app/orders.db", "orders.db"},
        {"*.db", "orders.db", "orders.db"},
        {"/var/app/*.db", "/var/app/Größe 1.db", "Gr%C3%B6%C3%9Fe%201.db"},
        {"/var/app/*.db", "/var/app/50%.db", "50%25.db"},
        {"/var/app/*.db", "/var/app/.hidden.db", "%2Ehidden.db"},
        {"/var/app/**", "/var/app/.d/..e/f.", "%2Ed/%2E.e/f."},
        {"/var/app/**", "/var/app/holdfast/x", "%68oldfast/x"},
        {"/var/app/**", "/var/app/x/holdfast", "x/%68oldfast"},
        {"/var/app/**", "/var/app/holdfast2/x", "holdfast2/x"},
        {"/var/app/**", "/var/app/a-b_c~d.e", "a-b_c~d.e"},
        {"/var/app/*.db", "/srv/app/orders.db", NULL},
        {"/var/app/*.db", "/var/app/", NULL},
        {"/var/app/**", "/var/app/x//y", NULL},
        {"/var/app/**", "/var/app/x/../y", NULL},
        {"/var/app/**", "/var/app/./y", NULL},
        {"/var/app/**", "/var/app/y/", NULL},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        char name[HF_PARTITION_MAX + 1] = "untouched";
        struct hf_err err;
        const enum hf_code rc = hf_partition_name(cases[i].glob, cases[i].path, name, &err);

        assert_int_equal(rc, cases[i].name != NULL ? HF_OK : HF_USAGE);
        assert_string_equal(name, cases[i].name != NULL ? cases[i].name : "untouched");
    }
}

static void names_come_back_as_the_path_they_were(void **state)
{
    static const char awkward[] = "ab./%~ \n\t\\\"*?[\xc3\xbc\xff.h";
    struct hf_rand rand = hf_rand_seeded(2);
    unsigned named = 0;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        HF_AUTO_BUF path = {0};
        HF_AUTO_BUF back = {0};
        char name[HF_PARTITION_MAX + 1];
        struct hf_err err;
        const uint64_t len = 1 + hf_rand_below(&rand, 12);

        for (uint64_t j = 0; j < len; j++)
            hf_buf_append(&path, &awkward[hf_rand_below(&rand, sizeof(awkward) - 1)], 1);
        if (hf_partition_escape(hf_buf_str(&path), name, &err) != HF_OK)
            continue;
        named++;
        hf_must(hf_partition_unescape(name, &back, &err), &err);
        assert_string_equal(hf_buf_str(&back), hf_buf_str(&path));
        assert_null(strstr(name, "/."));
        assert_true(name[0] != '.' && name[0] != '/');
        assert_int_equal(strspn(name, "abhAEFCBD0123456789%/.~"), strlen(name));
    }
    assert_true(named > 1000);
}

static void a_name_in_another_spelling_is_refused(void **state)
{
    static const char *const bad[] = {
        "%61.db",  "a%2fb",      "a%2Fb", "a%c3", "a%",   "a%C",  "a%zz",   "%00", "a%00b",
        ".hidden", "holdfast/x", "a b",   "",     "a//b", "../a", "%2E%2E", "a/",  "/a",
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        HF_AUTO_BUF path = {0};
        struct hf_err err;

        if (hf_partition_unescape(bad[i], &path, &err) != HF_USAGE)
            fail_msg("\"%s\" was taken for a name", bad[i]);
        assert_int_equal(path.len, 0);
    }
}

static void a_name_has_at_most_512_bytes(void **state)
{
    char name[HF_PARTITION_MAX + 1];
    char path[HF_PARTITION_MAX + 2];
    struct hf_err err;

    (void)state;
    (void)memset(path, 'x', sizeof(path));
    path[HF_PARTITION_MAX + 1] = '\0';
    assert_int_equal(hf_partition_escape(path, name, &err), HF_USAGE);
    path[HF_PARTITION_MAX] = '\0';
    hf_must(hf_partition_escape(path, name, &err), &err);
    assert_string_equal(name, path);
    path[HF_PARTITION_MAX - 1] = ' '; /* two bytes more when escaped */
    assert_int_equal(hf_partition_escape(path, name, &err), HF_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_named_below_the_fixed_part_of_the_glob),
        cmocka_unit_test(names_come_back_as_the_path_they_were),
        cmocka_unit_test(a_name_in_another_spelling_is_refused),
        cmocka_unit_test(a_name_has_at_most_512_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
