/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the list holds every database of the pattern and nothing else, or an error says why not.
 * Method: one tree of files, many patterns; a file system that refuses one folder.
 */
#include "config/partition.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fixture.h"

static void put(const char *dir, const char *name)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", dir, name);
    HF_AUTO_FREE char *above = hf_path_dir(path);
    struct hf_err err;

    hf_must(hf_fs_mkdirs(hf_fs_system(), above, 0700, &err), &err);
    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str("x"), 0600, &err), &err);
}

static int make_tree(void **state)
{
    static const char *const files[] = {
        "a.db",
        "a.db-wal",
        "a.db-shm",
        "a.db-journal",
        "b.db",
        ".hidden.db",
        "notes.txt",
        ".a.db-holdfast/1f/state.db",
        "2024/x.db",
        "2024/y.db",
        "2024/.x.db-holdfast/1f/z.db",
        "2025/x.db",
        "folder.db/inner",
        "odd/*.db",
        "odd/plain.db",
        "taken/holdfast",
        "taken/ok.db",
        "deep/holdfast/x.db",
    };
    char *dir = test_tmp_new();

    for (size_t i = 0; i < HF_ARRAY_LEN(files); i++)
        put(dir, files[i]);
    HF_AUTO_FREE char *dangling = hf_strfmt("%s/dangling.db", dir);
    HF_AUTO_FREE char *linked = hf_strfmt("%s/2024/linked.db", dir);

    assert_int_equal(symlink("/nonexistent/file", dangling), 0);
    assert_int_equal(symlink("../b.db", linked), 0);
    *state = dir;
    return 0;
}

static int remove_tree(void **state)
{
    test_tmp_remove(*state);
    return 0;
}

static enum hf_code list(struct hf_fs *fs, const char *dir, const char *pattern,
                         struct hf_partitions *ret, struct hf_err *err)
{
    static char name[] = "orders";
    HF_AUTO_FREE char *glob = hf_strfmt("%s/%s", dir, pattern);
    const struct hf_table table = {.name = name, .partitions = glob};

    return hf_partition_list(fs, &table, ret, err);
}

static void every_database_is_listed_with_its_name(void **state)
{
    static const struct {
        const char *pattern;
        const char *names; /* each with a space behind it */
        const char *fixed; /* of the pattern: path = dir / fixed name */
    } cases[] = {
        {"*.db", "a.db b.db ", ""},
        {"*.db*", "a.db b.db ", ""},
        {"?.db", "a.db b.db ", ""},
        {"[!a].db", "b.db ", ""},
        {"a.db", "a.db ", ""},
        {".*.db", ".hidden.db ", ""},
        {"none.db", "", ""},
        {"*.none", "", ""},
        {"20*/*.db", "2024/linked.db 2024/x.db 2024/y.db 2025/x.db ", ""},
        {"20*/x.db", "2024/x.db 2025/x.db ", ""},
        {"2024/*.db", "linked.db x.db y.db ", "2024/"},
        {"*/x.db", "2024/x.db 2025/x.db ", ""},
        {".*/*/*.db", "", ""},
        {".a.db-holdfast/*/*.db", "", ""},
        {"*/.x*/*/z.db", "", ""},
        {"odd/\\*.db", "*.db ", "odd/"},
        {"odd/[*].db", "*.db ", "odd/"},
        {"folder.db/*", "inner ", "folder.db/"},
        {"taken/*.db", "ok.db ", "taken/"},
    };
    const char *dir = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        HF_CLEANUP(hf_partitions_done) struct hf_partitions found = {0};
        HF_AUTO_BUF names = {0};
        struct hf_err err;

        hf_must(list(hf_fs_system(), dir, cases[i].pattern, &found, &err), &err);
        for (size_t j = 0; j < found.count; j++) {
            const struct hf_partition *p = &found.items[j];
            HF_AUTO_FREE char *path = hf_strfmt("%s/%s%s", dir, cases[i].fixed, p->name);

            hf_buf_printf(&names, "%s ", p->name);
            assert_string_equal(p->path, path);
        }
        if (strcmp(hf_buf_str(&names), cases[i].names) != 0)
            fail_msg("%s gives %s", cases[i].pattern, hf_buf_str(&names));
    }
}

static void a_missing_fixed_folder_is_an_error_and_an_empty_one_is_not(void **state)
{
    struct hf_partitions found = {0};
    struct hf_err err;

    assert_int_equal(list(hf_fs_system(), *state, "nowhere/*.db", &found, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.text, "partitions: "));
    assert_non_null(strstr(err.text, "nowhere"));
    assert_int_equal(list(hf_fs_system(), *state, "a.db/*.db", &found, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.text, "a.db is not a folder"));
    assert_int_equal(found.count, 0);
    assert_null(found.items);
}

static void the_archive_s_own_name_is_refused(void **state)
{
    static const char *const patterns[] = {"taken/*", "deep/*/*.db"};
    struct hf_partitions found = {0};
    struct hf_err err;

    for (size_t i = 0; i < HF_ARRAY_LEN(patterns); i++) {
        assert_int_equal(list(hf_fs_system(), *state, patterns[i], &found, &err), HF_USAGE);
        assert_non_null(strstr(err.text, "keeps the name \"holdfast\" for itself"));
        assert_int_equal(found.count, 0);
    }
}

/* The machine's files, but one folder cannot be listed or one path cannot be looked at. */
struct refusing_fs {
    struct hf_fs base; /* first, so that the pointers convert */
    struct hf_fs_ops ops;
    const char *list_end; /* of the refused path */
    const char *stat_end;
    enum hf_code code;
};

static bool ends_in(const char *s, const char *end)
{
    return end != NULL && strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static enum hf_code refusing_list(struct hf_fs *fs, const char *path, hf_fs_list_fn *fn, void *ctx,
                                  struct hf_err *err)
{
    const struct refusing_fs *r = (const struct refusing_fs *)fs;

    if (ends_in(path, r->list_end))
        return hf_err_set(err, r->code, "list %s: refused", path);
    return hf_fs_list(hf_fs_system(), path, fn, ctx, err);
}

static enum hf_code refusing_stat(struct hf_fs *fs, const char *path, struct hf_stat *ret,
                                  struct hf_err *err)
{
    const struct refusing_fs *r = (const struct refusing_fs *)fs;

    if (ends_in(path, r->stat_end))
        return hf_err_set(err, r->code, "stat %s: refused", path);
    return hf_fs_stat(hf_fs_system(), path, ret, err);
}

static void a_folder_that_cannot_be_read_is_not_passed_over(void **state)
{
    static const struct {
        const char *list_end;
        const char *stat_end;
        enum hf_code code;
        enum hf_code expected;
        size_t count;
    } cases[] = {
        {"/2025", NULL, HF_DENIED, HF_DENIED, 0}, {"/2025", NULL, HF_IO, HF_IO, 0},
        {NULL, "/2025", HF_DENIED, HF_DENIED, 0}, {NULL, "/y.db", HF_IO, HF_IO, 0},
        {"/2025", NULL, HF_NOT_FOUND, HF_OK, 3}, /* removed while we looked */
        {NULL, "/y.db", HF_NOT_FOUND, HF_OK, 3},
    };

    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct refusing_fs r = {
            .ops = {.list = refusing_list, .stat = refusing_stat},
            .list_end = cases[i].list_end,
            .stat_end = cases[i].stat_end,
            .code = cases[i].code,
        };
        HF_CLEANUP(hf_partitions_done) struct hf_partitions found = {0};
        struct hf_err err;

        r.base.ops = &r.ops;
        assert_int_equal(list(&r.base, *state, "20*/*.db", &found, &err), cases[i].expected);
        assert_int_equal(found.count, cases[i].count);
        if (cases[i].expected != HF_OK)
            assert_non_null(strstr(err.text, "refused"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_database_is_listed_with_its_name),
        cmocka_unit_test(a_missing_fixed_folder_is_an_error_and_an_empty_one_is_not),
        cmocka_unit_test(the_archive_s_own_name_is_refused),
        cmocka_unit_test(a_folder_that_cannot_be_read_is_not_passed_over),
    };

    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
