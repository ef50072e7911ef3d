/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fs.c
 *
 * Goal: the machine's file system and the one in memory (lib/fs_mem.h) keep every sentence of fs.h,
 * so what the simulator runs over the latter holds over the former.
 * Method: the same questions to both, below a folder of their own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/fixture.h"
#include "lib/fs_mem.h"

struct place {
    struct hf_fs *fs;
    char *dir;
    struct test_clock clock;
    struct fs_mem *disk;
    struct fs_mem_view view;
    struct hf_err err;
};

static int on_machine(void **state)
{
    struct place *p = hf_calloc(1, sizeof(*p));

    p->fs = hf_fs_system();
    p->dir = test_tmp_new();
    *state = p;
    return 0;
}

static int in_memory(void **state)
{
    struct place *p = hf_calloc(1, sizeof(*p));

    test_clock_init(&p->clock, INT64_C(1700000000000000));
    p->disk = fs_mem_new(&p->clock.base);
    fs_mem_view_init(&p->view, p->disk);
    p->fs = &p->view.base;
    p->dir = hf_strdup("/dir");
    hf_must(hf_fs_mkdirs(p->fs, p->dir, 0700, &p->err), &p->err);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    if (p->disk != NULL) {
        fs_mem_free(p->disk);
        hf_free(p->dir);
    } else {
        test_tmp_remove(p->dir);
    }
    hf_free(p);
    return 0;
}

static char *path_of(const struct place *p, const char *name)
{
    return hf_strfmt("%s/%s", p->dir, name);
}

static void write_file(struct place *p, const char *name, const char *text)
{
    HF_AUTO_FREE char *path = path_of(p, name);
    HF_AUTO_FILE *f = NULL;

    hf_must(hf_fs_open(p->fs, path, HF_OPEN_CREATE, 0600, &f, &p->err), &p->err);
    hf_must(hf_file_truncate(f, 0, &p->err), &p->err);
    hf_must(hf_file_write(f, 0, hf_slice_str(text), &p->err), &p->err);
}

/* The file's text, or "-" if there is none. */
static void assert_file(struct place *p, const char *name, const char *text)
{
    HF_AUTO_FREE char *path = path_of(p, name);
    HF_AUTO_BUF found = {0};
    const enum hf_code rc = hf_fs_read_all(p->fs, path, SIZE_MAX, &found, &p->err);

    if (rc == HF_NOT_FOUND)
        hf_buf_printf(&found, "-");
    else
        assert_int_equal(rc, HF_OK);
    assert_string_equal(hf_buf_str(&found), text);
}

static void each_way_to_open_does_what_it_says(void **state)
{
    static const struct {
        enum hf_open how;
        enum hf_code missing;
        enum hf_code there;
    } cases[] = {
        {HF_OPEN_READ, HF_NOT_FOUND, HF_OK},
        {HF_OPEN_WRITE, HF_NOT_FOUND, HF_OK},
        {HF_OPEN_CREATE, HF_OK, HF_OK},
        {HF_OPEN_NEW, HF_OK, HF_CONFLICT},
    };
    struct place *p = *state;
    HF_AUTO_FREE char *nowhere = path_of(p, "no-folder/file");
    HF_AUTO_FREE char *missing = path_of(p, "missing");
    HF_AUTO_FREE char *there = path_of(p, "there");

    write_file(p, "there", "text");
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_file *f = NULL;

        assert_int_equal(hf_fs_open(p->fs, nowhere, cases[i].how, 0600, &f, &p->err), HF_NOT_FOUND);
        assert_int_equal(hf_fs_open(p->fs, missing, cases[i].how, 0600, &f, &p->err),
                         cases[i].missing);
        if (cases[i].missing == HF_OK)
            hf_file_close(f);
        hf_must(hf_fs_unlink(p->fs, missing, &p->err), &p->err);
        assert_int_equal(hf_fs_open(p->fs, there, cases[i].how, 0600, &f, &p->err), cases[i].there);
        if (cases[i].there == HF_OK)
            hf_file_close(f);
        assert_file(p, "there", "text");
    }
}

static void bytes_are_read_and_written_where_it_is_said(void **state)
{
    struct place *p = *state;
    HF_AUTO_FREE char *path = path_of(p, "file");
    HF_AUTO_FILE *f = NULL;
    struct hf_stat st;
    char got[16] = "";
    size_t len = 0;

    hf_must(hf_fs_open(p->fs, path, HF_OPEN_NEW, 0640, &f, &p->err), &p->err);
    hf_must(hf_file_write(f, 3, hf_slice_str("abc"), &p->err), &p->err);
    hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &p->err), &p->err);
    assert_int_equal(len, 6);
    assert_memory_equal(got, "\0\0\0abc", 6);
    hf_must(hf_file_write(f, 1, hf_slice_str("xyz"), &p->err), &p->err);
    hf_must(hf_file_read(f, 2, got, 3, &len, &p->err), &p->err);
    assert_int_equal(len, 3);
    assert_memory_equal(got, "yzb", 3);
    hf_must(hf_file_read(f, 6, got, 3, &len, &p->err), &p->err);
    assert_int_equal(len, 0);
    hf_must(hf_file_truncate(f, 2, &p->err), &p->err);
    hf_must(hf_file_truncate(f, 4, &p->err), &p->err);
    hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &p->err), &p->err);
    assert_int_equal(len, 4);
    assert_memory_equal(got, "\0x\0\0", 4);
    hf_must(hf_file_sync(f, &p->err), &p->err);
    hf_must(hf_file_stat(f, &st, &p->err), &p->err);
    assert_int_equal(st.size_bytes, 4);
    assert_int_equal(st.mode, 0640);
    assert_false(st.is_dir);
    hf_must(hf_file_set_mtime(f, INT64_C(1234567890123456), &p->err), &p->err);
    hf_must(hf_fs_stat(p->fs, path, &st, &p->err), &p->err);
    assert_int_equal(st.mtime_us, INT64_C(1234567890123456));
}

static void names_change_as_is_said(void **state)
{
    struct place *p = *state;
    HF_AUTO_FREE char *a = path_of(p, "a");
    HF_AUTO_FREE char *b = path_of(p, "b");
    HF_AUTO_FREE char *nowhere = path_of(p, "no-folder/file");
    struct hf_stat st_a;
    struct hf_stat st_b;

    write_file(p, "a", "one");
    write_file(p, "b", "two");
    assert_int_equal(hf_fs_link(p->fs, a, b, &p->err), HF_CONFLICT);
    assert_file(p, "b", "two");
    hf_must(hf_fs_rename(p->fs, a, b, &p->err), &p->err);
    assert_file(p, "a", "-");
    assert_file(p, "b", "one");
    hf_must(hf_fs_link(p->fs, b, a, &p->err), &p->err);
    hf_must(hf_fs_stat(p->fs, a, &st_a, &p->err), &p->err);
    hf_must(hf_fs_stat(p->fs, b, &st_b, &p->err), &p->err);
    assert_int_equal(st_a.inode, st_b.inode);
    hf_must(hf_fs_rename(p->fs, a, b, &p->err), &p->err); /* one file: both names stay */
    assert_file(p, "a", "one");
    hf_must(hf_fs_unlink(p->fs, a, &p->err), &p->err);
    hf_must(hf_fs_unlink(p->fs, a, &p->err), &p->err);
    hf_must(hf_fs_unlink(p->fs, nowhere, &p->err), &p->err);
    assert_file(p, "b", "one");
    assert_int_equal(hf_fs_rename(p->fs, a, b, &p->err), HF_IO);
    assert_int_equal(hf_fs_rename(p->fs, b, nowhere, &p->err), HF_IO);
    assert_int_equal(hf_fs_link(p->fs, a, nowhere, &p->err), HF_IO);
    assert_int_equal(hf_fs_stat(p->fs, a, &st_a, &p->err), HF_NOT_FOUND);
}

/* An open file outlives its name. */
static void a_file_that_is_open_can_be_unlinked(void **state)
{
    struct place *p = *state;
    HF_AUTO_FREE char *path = path_of(p, "file");
    HF_AUTO_FILE *f = NULL;
    char got[4];
    size_t len = 0;

    write_file(p, "file", "old");
    hf_must(hf_fs_open(p->fs, path, HF_OPEN_READ, 0, &f, &p->err), &p->err);
    hf_must(hf_fs_unlink(p->fs, path, &p->err), &p->err);
    write_file(p, "file", "new");
    hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &p->err), &p->err);
    assert_int_equal(len, 3);
    assert_memory_equal(got, "old", 3);
}

static enum hf_code add_name(void *ctx, const char *name, struct hf_err *err)
{
    char *names = ctx;

    (void)err;
    assert_int_equal(strlen(name), 1);
    names[name[0] - 'a'] = name[0];
    return name[0] == 'z' ? hf_err_set(err, HF_CANCELED, "enough") : HF_OK;
}

static void folders_are_made_and_listed(void **state)
{
    struct place *p = *state;
    HF_AUTO_FREE char *c = path_of(p, "c");
    HF_AUTO_FREE char *deep = path_of(p, "d/e/f");
    HF_AUTO_FREE char *below = path_of(p, "no-folder/x");
    HF_AUTO_FREE char *file = path_of(p, "a");
    char names[26] = "";
    struct hf_stat st;

    write_file(p, "a", "");
    write_file(p, "b", "");
    hf_must(p->fs->ops->mkdir(p->fs, c, 0700, &p->err), &p->err);
    assert_int_equal(p->fs->ops->mkdir(p->fs, c, 0700, &p->err), HF_CONFLICT);
    assert_int_equal(p->fs->ops->mkdir(p->fs, below, 0700, &p->err), HF_NOT_FOUND);
    hf_must(hf_fs_mkdirs(p->fs, deep, 0700, &p->err), &p->err);
    hf_must(hf_fs_stat(p->fs, deep, &st, &p->err), &p->err);
    assert_true(st.is_dir);
    hf_must(hf_fs_list(p->fs, p->dir, add_name, names, &p->err), &p->err);
    assert_string_equal(names, "abcd");
    assert_int_equal(hf_fs_list(p->fs, below, add_name, names, &p->err), HF_NOT_FOUND);
    write_file(p, "z", "");
    assert_int_equal(hf_fs_list(p->fs, p->dir, add_name, names, &p->err), HF_CANCELED);
    hf_must(hf_fs_sync_dir(p->fs, p->dir, &p->err), &p->err);
    assert_int_equal(hf_fs_sync_dir(p->fs, below, &p->err), HF_IO);
    assert_int_equal(hf_fs_unlink(p->fs, c, &p->err), HF_IO);
    assert_int_equal(hf_fs_mkdirs(p->fs, file, 0700, &p->err), HF_USAGE);
}

static void a_lock_is_held_by_one_until_it_is_closed(void **state)
{
    struct place *p = *state;
    HF_AUTO_FREE char *path = path_of(p, "lock");
    struct hf_file *first = NULL;
    HF_AUTO_FILE *second = NULL;

    hf_must(hf_fs_open(p->fs, path, HF_OPEN_CREATE, 0600, &first, &p->err), &p->err);
    hf_must(hf_fs_open(p->fs, path, HF_OPEN_CREATE, 0600, &second, &p->err), &p->err);
    hf_must(hf_file_lock(first, false, &p->err), &p->err);
    hf_must(hf_file_lock(first, false, &p->err), &p->err);
    assert_int_equal(hf_file_lock(second, false, &p->err), HF_BUSY);
    hf_file_close(first);
    hf_must(hf_file_lock(second, false, &p->err), &p->err);
}

int main(void)
{
#define BOTH(test)                                                                                 \
    {#test " (machine)", test, on_machine, teardown, NULL},                                        \
    {                                                                                              \
#test " (memory)", test, in_memory, teardown, NULL                                         \
    }
    const struct CMUnitTest tests[] = {
        BOTH(each_way_to_open_does_what_it_says),
        BOTH(bytes_are_read_and_written_where_it_is_said),
        BOTH(names_change_as_is_said),
        BOTH(a_file_that_is_open_can_be_unlinked),
        BOTH(folders_are_made_and_listed),
        BOTH(a_lock_is_held_by_one_until_it_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
