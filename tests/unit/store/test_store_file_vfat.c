/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: on a file system without links, and with times in steps of two seconds, file:// keeps its
 * promises as elsewhere; on one that also lacks a rename which replaces nothing, it says so.
 * Method: link(2), renameat2(2) and futimens(3) of this program stand before the system's, and do
 * what vfat does, or less.
 */
#include "lib/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/store_file.h"

static const struct hf_put always = {.cond = HF_PUT_ALWAYS};
static const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};

static int link_error;       /* what link(2) says */
static int rename_new_error; /* what renameat2(2) says of RENAME_NOREPLACE; 0: it works */
static time_t step_sec;      /* of times that are set */

int link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = link_error;
    return -1;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (flags != 0 && rename_new_error != 0) {
        errno = rename_new_error;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int futimens(int fd, const struct timespec times[2])
{
    struct timespec rounded[2] = {times[0], times[1]};

    if (step_sec > 0)
        rounded[1] = (struct timespec){.tv_sec = times[1].tv_sec / step_sec * step_sec};
    return (int)syscall(SYS_utimensat, fd, NULL, rounded, 0);
}

struct test {
    char *root;
    struct test_clock clock;
    struct hf_store *store;
    struct hf_err err;
};

static int setup(void **state)
{
    struct test *t = hf_calloc(1, sizeof(*t));

    t->root = test_tmp_new();
    test_clock_init(&t->clock, INT64_C(1767322445678901));
    const struct hf_store_env env = {
        .fs = hf_fs_system(), .clock = &t->clock.base, .rand = hf_rand_system()};

    link_error = EPERM;
    rename_new_error = 0;
    step_sec = 2;
    hf_must(hf_store_file_new(t->root, &env, &t->store, &t->err), &t->err);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    hf_store_free(t->store);
    test_tmp_remove(t->root);
    hf_free(t);
    return 0;
}

static enum hf_code put(struct test *t, const char *text, const struct hf_put *how,
                        struct hf_etag *ret_etag)
{
    return hf_store_put(t->store, "a/object", hf_slice_str(text), how, ret_etag, &t->err);
}

static void expect(struct test *t, const char *text, const struct hf_etag *etag)
{
    HF_AUTO_BUF got = {0};
    struct hf_object object;

    hf_must(hf_store_get(t->store, "a/object", 0, 0, &got, &object, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), text);
    assert_string_equal(object.etag.str, etag->str);
}

static void without_links_one_creator_wins(void **state)
{
    static const int errors[] = {EPERM, ENOSYS, EOPNOTSUPP};
    struct test *t = *state;

    for (size_t i = 0; i < HF_ARRAY_LEN(errors); i++) {
        struct hf_etag etag = {{0}};

        link_error = errors[i];
        hf_must(put(t, "first", &if_absent, &etag), &t->err);
        assert_int_equal(put(t, "second", &if_absent, NULL), HF_CONFLICT);
        expect(t, "first", &etag);
        hf_must(hf_store_delete(t->store, "a/object", &t->err), &t->err);
    }
}

/* Many within one step: each put names the version before, and an older name matches no more. */
static void versions_within_one_step_of_time_are_told_apart(void **state)
{
    struct test *t = *state;
    struct hf_etag etags[5] = {{{0}}};

    hf_must(put(t, "body", &always, &etags[0]), &t->err);
    for (size_t i = 1; i < HF_ARRAY_LEN(etags); i++) {
        struct hf_put put_next = {.cond = HF_PUT_IF_MATCH, .match = etags[i - 1]};

        hf_must(put(t, "body", &put_next, &etags[i]), &t->err);
        expect(t, "body", &etags[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(etags[k].str, etags[i].str);
        assert_int_equal(put(t, "late", &put_next, NULL), HF_CONFLICT);
    }
}

static void where_neither_works_the_file_system_is_named(void **state)
{
    static const int errors[] = {EINVAL, ENOSYS, EOPNOTSUPP};
    struct test *t = *state;
    struct hf_object object;

    for (size_t i = 0; i < HF_ARRAY_LEN(errors); i++) {
        rename_new_error = errors[i];
        assert_int_equal(put(t, "x", &if_absent, NULL), HF_UNSUPPORTED);
        assert_non_null(strstr(t->err.text, "neither links nor a rename"));
        assert_non_null(strstr(t->err.text, "(type 0x")); /* no test runs on vfat */
        assert_int_equal(hf_store_head(t->store, "a/object", &object, &t->err), HF_NOT_FOUND);
    }
}

static void times_that_are_not_kept_are_refused_for_versions(void **state)
{
    struct test *t = *state;

    step_sec = 3600;
    hf_must(put(t, "old", &always, NULL), &t->err);
    assert_int_equal(put(t, "new", &always, NULL), HF_UNSUPPORTED);
    assert_non_null(strstr(t->err.text, "told apart"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_links_one_creator_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_within_one_step_of_time_are_told_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(where_neither_works_the_file_system_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(times_that_are_not_kept_are_refused_for_versions, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("store_file_vfat", tests, NULL, NULL);
}
