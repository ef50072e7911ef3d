/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: what the file:// store promises beyond store.h (store_file.h), and that each failure of the
 * file system is told as what it means.
 * Method: a folder on the real file system behind fs_fault; the test looks at the folder with
 * hf_fs_system(). Every failure at every call: test_store_file_torture.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "store/store_file.h"

#define SEGMENT "ltx/0/0000000000000001-0000000000000001.ltx"

static const struct hf_put always = {.cond = HF_PUT_ALWAYS};
static const struct hf_put if_absent = {.cond = HF_PUT_IF_ABSENT};

struct test {
    char *root;
    struct fs_fault fs;
    struct test_clock clock;
    struct hf_store_env env;
    struct hf_store *store;
    struct hf_err err;
};

static struct hf_store *open_again(struct test *t)
{
    struct hf_store *store = NULL;

    hf_must(hf_store_file_new(t->root, &t->env, &store, &t->err), &t->err);
    return store;
}

static int setup(void **state)
{
    struct test *t = hf_calloc(1, sizeof(*t));

    t->root = test_tmp_new();
    fs_fault_init(&t->fs, hf_fs_system());
    test_clock_init(&t->clock, INT64_C(1767322445678901));
    t->env =
        (struct hf_store_env){&t->fs.base, &t->clock.base, hf_rand_system(), false, NULL, NULL};
    t->store = open_again(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    hf_store_free(t->store);
    fs_fault_done(&t->fs);
    test_tmp_remove(t->root);
    hf_free(t);
    return 0;
}

static enum hf_code put(struct test *t, const char *key, const char *text, const struct hf_put *how)
{
    return hf_store_put(t->store, key, hf_slice_str(text), how, NULL, &t->err);
}

static void put_ok(struct test *t, const char *key, const char *text)
{
    hf_must(put(t, key, text, &always), &t->err);
}

static void assert_text(struct test *t, const char *key, const char *text)
{
    HF_AUTO_BUF got = {0};

    hf_must(hf_store_get(t->store, key, 0, 0, &got, NULL, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), text);
}

static void assert_missing(struct test *t, const char *key)
{
    struct hf_object object;

    assert_int_equal(hf_store_head(t->store, key, &object, &t->err), HF_NOT_FOUND);
}

static char *path_of(struct test *t, const char *name)
{
    return hf_strfmt("%s/%s", t->root, name);
}

static bool exists(struct test *t, const char *name)
{
    HF_AUTO_FREE char *path = path_of(t, name);

    return access(path, F_OK) == 0;
}

static void make_file(struct test *t, const char *name)
{
    HF_AUTO_FREE char *path = path_of(t, name);
    struct hf_file *f = NULL;

    hf_must(hf_fs_open(hf_fs_system(), path, HF_OPEN_NEW, 0600, &f, &t->err), &t->err);
    hf_file_close(f);
}

static void make_folder(struct test *t, const char *name)
{
    HF_AUTO_FREE char *path = path_of(t, name);

    assert_int_equal(mkdir(path, 0700), 0);
}

static enum hf_code append_key(void *ctx, const char *key, const struct hf_object *object,
                               struct hf_err *err)
{
    (void)object;
    (void)err;
    hf_buf_printf(ctx, "%s ", key);
    return HF_OK;
}

static void assert_listed(struct test *t, const char *prefix, const char *after, const char *want)
{
    HF_AUTO_BUF got = {0};

    hf_must(hf_store_list(t->store, prefix, after, append_key, &got, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), want);
}

/* --- the folder as others see it -------------------------------------------------------------- */

static void object_is_a_plain_file_with_the_time_of_the_put(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, SEGMENT);
    HF_AUTO_BUF got = {0};
    const struct hf_put how = {.cond = HF_PUT_IF_ABSENT, .timestamp_ms = 1234567890123};
    struct hf_stat st;

    hf_must(put(t, SEGMENT, "bytes", &how), &t->err);
    hf_must(hf_fs_read_all(hf_fs_system(), path, 100, &got, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), "bytes");
    hf_must(hf_fs_stat(hf_fs_system(), path, &st, &t->err), &t->err);
    assert_int_equal(st.mtime_us, how.timestamp_ms * 1000); /* to the microsecond */
}

static void object_without_timestamp_has_the_time_of_the_clock(void **state)
{
    struct test *t = *state;
    struct hf_object object;

    put_ok(t, "object", "x");
    hf_must(hf_store_head(t->store, "object", &object, &t->err), &t->err);
    assert_int_equal(object.timestamp_ms, t->clock.now_us / 1000);
}

static void file_that_others_put_there_is_an_object(void **state)
{
    struct test *t = *state;

    make_folder(t, "foreign");
    make_file(t, "foreign/file");
    assert_text(t, "foreign/file", "");
    assert_listed(t, "", "", "foreign/file ");
}

static void names_that_are_no_keys_are_not_listed(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *dangling = path_of(t, "dangling");

    make_file(t, ".hidden");
    make_folder(t, ".folder");
    make_file(t, ".folder/file");
    make_folder(t, "empty");
    make_file(t, "control\n");
    make_file(t, "latin\xe9");
    assert_int_equal(symlink("nowhere", dangling), 0);
    put_ok(t, "object", "");
    assert_listed(t, "", "", "object ");
    assert_listed(t, ".folder/", "", "");
    assert_listed(t, ".h", "", "");
}

static void keys_that_are_no_file_names_are_refused(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *part = hf_calloc(1, 257);

    (void)memset(part, 'x', 255);
    put_ok(t, part, "longest name");
    part[255] = 'x';
    assert_int_equal(put(t, part, "", &always), HF_USAGE);
    assert_int_equal(put(t, ".lock", "", &always), HF_USAGE);
    assert_int_equal(put(t, "a/.b", "", &always), HF_USAGE);
    assert_int_equal(put(t, ".tmp/x", "", &always), HF_USAGE);
    assert_int_equal(hf_store_delete(t->store, ".lock", &t->err), HF_USAGE);
}

static void object_and_folder_cannot_have_one_name(void **state)
{
    static const struct hf_put *const hows[] = {&always, &if_absent};
    struct test *t = *state;

    put_ok(t, "a/b", "object");
    for (size_t i = 0; i < HF_ARRAY_LEN(hows); i++) {
        assert_int_equal(put(t, "a", "x", hows[i]), HF_USAGE);
        assert_int_equal(put(t, "a/b/c", "x", hows[i]), HF_USAGE);
        assert_int_equal(put(t, "a/b/c/d", "x", hows[i]), HF_USAGE);
    }
    hf_must(hf_store_delete(t->store, "a", &t->err), &t->err); /* no object, so nothing happens */
    assert_text(t, "a/b", "object");
}

static void reading_writes_nothing(void **state)
{
    struct test *t = *state;

    make_file(t, "object");
    assert_text(t, "object", "");
    assert_missing(t, "other");
    assert_listed(t, "", "", "object ");
    fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
    assert_listed(t, "", "", "object ");
    assert_int_equal(t->fs.guarded.count[FS_OPEN_INDEX], 0);
    assert_false(exists(t, ".lock"));
    assert_false(exists(t, ".tmp"));
}

/* --- versions --------------------------------------------------------------------------------- */

/* Same length, perhaps the same inode again, a clock that stands still: the moved mtime alone tells
 * them apart on every file system. */
static void each_version_has_its_own_etag_though_the_clock_stands(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "k");
    struct hf_etag etags[40];
    int64_t last_us = 0;

    for (size_t i = 0; i < HF_ARRAY_LEN(etags); i++) {
        struct hf_stat st;

        hf_must(hf_store_put(t->store, "k", hf_slice_str("same"), &always, &etags[i], &t->err),
                &t->err);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(etags[i].str, etags[k].str);
        hf_must(hf_fs_stat(hf_fs_system(), path, &st, &t->err), &t->err);
        assert_true(st.mtime_us > last_us);
        last_us = st.mtime_us;
    }
}

/* Two handles are two processes as far as the locks go: flock(2) belongs to the open file. */
static void two_processes_lose_no_update(void **state)
{
    struct test *t = *state;
    struct hf_store *other = open_again(t);
    struct hf_put mine = {.cond = HF_PUT_IF_MATCH};
    struct hf_put theirs = {.cond = HF_PUT_IF_MATCH};

    hf_must(hf_store_put(t->store, "k", hf_slice_str("v1"), &always, &mine.match, &t->err),
            &t->err);
    theirs.match = mine.match;
    hf_must(hf_store_put(other, "k", hf_slice_str("v2"), &theirs, &theirs.match, &t->err), &t->err);
    assert_int_equal(put(t, "k", "v3", &mine), HF_CONFLICT);
    hf_must(hf_store_put(other, "k", hf_slice_str("v4"), &theirs, NULL, &t->err), &t->err);
    hf_store_free(other);
    assert_text(t, "k", "v4");
}

/* --- failures --------------------------------------------------------------------------------- */

static void fail_once(struct test *t, unsigned kinds, uint64_t at, enum hf_code code)
{
    fs_fault_arm(&t->fs, (struct fs_fault_plan){.kinds = kinds, .fail_at = at, .code = code});
}

static void failed_directory_fsync_is_uncertain(void **state)
{
    struct test *t = *state;

    put_ok(t, "other", "");
    fail_once(t, FS_SYNC_DIR, 1, HF_IO);
    assert_int_equal(put(t, "object", "new", &if_absent), HF_UNCERTAIN);
    assert_text(t, "object", "new"); /* the caller looks, and may find it */
    fail_once(t, FS_SYNC_DIR, 1, HF_IO);
    assert_int_equal(put(t, "object", "newer", &always), HF_UNCERTAIN);
    fail_once(t, FS_SYNC_DIR, 1, HF_IO);
    assert_int_equal(hf_store_delete(t->store, "object", &t->err), HF_UNCERTAIN);
    fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
    hf_must(hf_store_delete(t->store, "object", &t->err), &t->err); /* repeated, it syncs */
    assert_int_equal(t->fs.guarded.count[FS_SYNC_DIR_INDEX], 1);
}

static void failed_fsync_of_a_new_folder_writes_nothing(void **state)
{
    struct test *t = *state;

    for (uint64_t n = 1; n <= 2; n++) {
        fail_once(t, FS_SYNC_DIR, n, HF_IO);
        assert_int_equal(put(t, "a/b/object", "new", &if_absent), HF_IO);
        assert_missing(t, "a/b/object");
    }
    hf_must(put(t, "a/b/object", "new", &if_absent), &t->err);
}

static void failed_data_fsync_writes_nothing(void **state)
{
    struct test *t = *state;

    put_ok(t, "object", "old");
    fail_once(t, FS_SYNC, 1, HF_IO);
    assert_int_equal(put(t, "object", "new", &always), HF_IO);
    assert_text(t, "object", "old");
    fail_once(t, FS_SYNC, 1, HF_IO);
    assert_int_equal(put(t, "fresh", "new", &if_absent), HF_IO);
    assert_missing(t, "fresh");
}

static void full_device_is_told_as_such(void **state)
{
    struct test *t = *state;

    fail_once(t, FS_WRITE, 1, HF_FULL);
    assert_int_equal(put(t, "object", "new", &always), HF_FULL);
    assert_true(hf_code_retryable(t->err.code));
    assert_missing(t, "object");
    assert_listed(t, "", "", "");
}

static void object_that_was_cut_is_an_error(void **state)
{
    struct test *t = *state;
    HF_AUTO_BUF got = {0};

    put_ok(t, "object", "0123456789");
    fs_fault_arm(&t->fs,
                 (struct fs_fault_plan){.kinds = FS_READ, .fail_at = 1, .cuts_reads = true});
    assert_int_equal(hf_store_get(t->store, "object", 0, 0, &got, NULL, &t->err), HF_IO);
    assert_int_equal(got.len, 0);
}

static void lost_answer_to_link_or_rename_is_success(void **state)
{
    struct test *t = *state;

    fs_fault_arm(&t->fs, (struct fs_fault_plan){.kinds = FS_LINK | FS_RENAME,
                                                .fail_at = 1,
                                                .from_then_on = true,
                                                .after_effect = true});
    hf_must(put(t, "object", "first", &if_absent), &t->err);
    hf_must(put(t, "object", "second", &always), &t->err);
    assert_int_equal(t->fs.guarded.failed, 2);
    assert_int_equal(put(t, "object", "third", &if_absent), HF_CONFLICT); /* not ours */
    assert_text(t, "object", "second");
}

static void folders_made_by_others_are_synced_once(void **state)
{
    struct test *t = *state;

    make_folder(t, "a");
    make_folder(t, "a/b"); /* perhaps not durable: its maker may have died */
    fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
    put_ok(t, "a/b/first", "");
    assert_int_equal(t->fs.guarded.count[FS_SYNC_DIR_INDEX], 3); /* root, a, and a/b */
    put_ok(t, "a/b/second", "");
    assert_int_equal(t->fs.guarded.count[FS_SYNC_DIR_INDEX], 4);
}

static void folder_removed_by_others_is_made_again(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *folder = path_of(t, "a");

    put_ok(t, "a/object", "");
    hf_must(hf_store_delete(t->store, "a/object", &t->err), &t->err);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(put(t, "a/object", "x", &if_absent), HF_IO);
    hf_must(put(t, "a/object", "x", &if_absent), &t->err);
}

/* --- left-overs ------------------------------------------------------------------------------- */

static void leftovers_of_the_dead_go_at_the_first_write(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *object = path_of(t, "object");
    HF_AUTO_FREE char *second_name = path_of(t, ".tmp/second-name");

    put_ok(t, "object", "stays");
    make_file(t, ".tmp/dead");
    assert_int_equal(link(object, second_name), 0); /* it died between link and unlink */
    put_ok(t, "other", "");
    assert_true(exists(t, ".tmp/dead")); /* this handle has swept before */
    struct hf_store *next = open_again(t);

    assert_true(exists(t, ".tmp/dead")); /* opening alone writes nothing */
    hf_must(hf_store_put(next, "another", hf_slice_str(""), &always, NULL, &t->err), &t->err);
    hf_store_free(next);
    assert_false(exists(t, ".tmp/dead"));
    assert_false(exists(t, ".tmp/second-name"));
    assert_text(t, "object", "stays");
}

static void files_of_the_living_stay(void **state)
{
    struct test *t = *state;
    struct hf_store *other = open_again(t);
    struct hf_upload *u = NULL;

    hf_must(hf_upload_new(t->store, "slow", &if_absent, &u, &t->err), &t->err);
    hf_must(hf_upload_write(u, hf_slice_str("first "), &t->err), &t->err);
    hf_must(hf_store_put(other, "quick", hf_slice_str(""), &always, NULL, &t->err), &t->err);
    hf_store_free(other);
    hf_must(hf_upload_write(u, hf_slice_str("second"), &t->err), &t->err);
    hf_must(hf_upload_finish(u, NULL, &t->err), &t->err);
    hf_upload_free(u);
    assert_text(t, "slow", "first second");
}

/* --- the root --------------------------------------------------------------------------------- */

static void root_is_judged_when_opened(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *missing = path_of(t, "new");
    HF_AUTO_FREE char *deeper = path_of(t, "not/mounted/");
    HF_AUTO_FREE char *file = path_of(t, "file");
    struct hf_store_env create = t->env;
    struct hf_store *store = NULL;

    create.create = true;
    make_file(t, "file");
    assert_int_equal(hf_store_file_new(missing, &t->env, &store, &t->err), HF_NOT_FOUND);
    assert_int_equal(hf_store_file_new(file, &t->env, &store, &t->err), HF_USAGE);
    assert_int_equal(hf_store_file_new(file, &create, &store, &t->err), HF_USAGE);
    assert_int_equal(hf_store_file_new("relative", &create, &store, &t->err), HF_USAGE);
    assert_null(store);
    hf_must(hf_store_file_new(missing, &create, &store, &t->err), &t->err);
    hf_store_free(store);
    assert_true(exists(t, "new"));
    store = NULL;
    assert_int_equal(hf_store_file_new(deeper, &create, &store, &t->err), HF_NOT_FOUND);
    assert_non_null(strstr(t->err.text, "/not, in which "));
    assert_null(store);
    assert_false(exists(t, "not"));
}

static void root_that_went_away_is_not_made_again(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *aside = hf_strfmt("%s.aside", t->root);
    struct hf_upload *u = NULL;
    HF_AUTO_BUF got = {0};

    assert_int_equal(rename(t->root, aside), 0); /* as if it were unmounted */
    assert_int_equal(put(t, "object", "x", &if_absent), HF_IO);
    assert_int_equal(put(t, "a/object", "x", &always), HF_IO);
    assert_int_equal(hf_upload_new(t->store, "object", &always, &u, &t->err), HF_IO);
    assert_int_equal(hf_store_delete(t->store, "object", &t->err), HF_IO);
    assert_int_equal(hf_store_list(t->store, "", "", append_key, &got, &t->err), HF_NOT_FOUND);
    assert_int_not_equal(access(t->root, F_OK), 0);
    assert_int_equal(mkdir(t->root, 0700), 0); /* the empty mount point */
    assert_int_equal(put(t, "object", "x", &if_absent), HF_IO);
    /* Nor is anything in it taken for absent from the store. */
    assert_int_equal(hf_store_get(t->store, "object", 0, 0, &got, NULL, &t->err), HF_IO);
    assert_int_equal(hf_store_list(t->store, "", "", append_key, &got, &t->err), HF_IO);
    assert_int_equal(rmdir(t->root), 0);
    assert_int_equal(rename(aside, t->root), 0);
    put_ok(t, "object", "x");
}

/* --- listing ---------------------------------------------------------------------------------- */

static void listing_reads_only_folders_that_matter(void **state)
{
    static const struct {
        const char *prefix, *after;
        uint64_t folders;
        const char *want;
    } rows[] = {
        {"", "", 4, "a/1 b/1 b/2 c/1 "},
        {"b/", "", 1, "b/1 b/2 "},
        {"b", "", 2, "b/1 b/2 "},
        {"", "b/1", 3, "b/2 c/1 "},
        {"", "b/zz", 3, "c/1 "},
        {"", "bb", 2, "c/1 "},
        {"a/", "b", 1, ""},
        {"x/y/", "", 1, ""},
    };
    struct test *t = *state;

    put_ok(t, "b/2", "");
    put_ok(t, "c/1", "");
    put_ok(t, "a/1", "");
    put_ok(t, "b/1", "");
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
        assert_listed(t, rows[i].prefix, rows[i].after, rows[i].want);
        assert_int_equal(t->fs.guarded.count[FS_LIST_INDEX], rows[i].folders);
    }
}

/* Removes what comes later in the listing when it sees "a/1". */
static enum hf_code remove_the_rest(void *ctx, const char *key, const struct hf_object *object,
                                    struct hf_err *err)
{
    struct test *t = ctx;
    HF_AUTO_FREE char *folder = path_of(t, "b");

    (void)object;
    assert_string_equal(key, "a/1");
    hf_must(hf_store_delete(t->store, "b/1", err), err);
    assert_int_equal(rmdir(folder), 0);
    return HF_OK;
}

static void folder_that_vanishes_while_listed_is_no_error(void **state)
{
    struct test *t = *state;

    put_ok(t, "a/1", "");
    put_ok(t, "b/1", "");
    hf_must(hf_store_list(t->store, "", "", remove_the_rest, t, &t->err), &t->err);
}

static void unreadable_folder_is_an_error_not_an_end(void **state)
{
    struct test *t = *state;
    HF_AUTO_BUF got = {0};

    put_ok(t, "a/1", "");
    put_ok(t, "b/1", "");
    fail_once(t, FS_LIST, 3, HF_IO);
    assert_int_equal(hf_store_list(t->store, "", "", append_key, &got, &t->err), HF_IO);
    fail_once(t, FS_STAT, 3, HF_IO);
    assert_int_equal(hf_store_list(t->store, "", "", append_key, &got, &t->err), HF_IO);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(object_is_a_plain_file_with_the_time_of_the_put),
        TEST(object_without_timestamp_has_the_time_of_the_clock),
        TEST(file_that_others_put_there_is_an_object),
        TEST(names_that_are_no_keys_are_not_listed),
        TEST(keys_that_are_no_file_names_are_refused),
        TEST(object_and_folder_cannot_have_one_name),
        TEST(reading_writes_nothing),
        TEST(each_version_has_its_own_etag_though_the_clock_stands),
        TEST(two_processes_lose_no_update),
        TEST(failed_directory_fsync_is_uncertain),
        TEST(failed_fsync_of_a_new_folder_writes_nothing),
        TEST(failed_data_fsync_writes_nothing),
        TEST(full_device_is_told_as_such),
        TEST(object_that_was_cut_is_an_error),
        TEST(lost_answer_to_link_or_rename_is_success),
        TEST(folders_made_by_others_are_synced_once),
        TEST(folder_removed_by_others_is_made_again),
        TEST(leftovers_of_the_dead_go_at_the_first_write),
        TEST(files_of_the_living_stay),
        TEST(root_is_judged_when_opened),
        TEST(root_that_went_away_is_not_made_again),
        TEST(listing_reads_only_folders_that_matter),
        TEST(folder_that_vanishes_while_listed_is_no_error),
        TEST(unreadable_folder_is_an_error_not_an_end),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
