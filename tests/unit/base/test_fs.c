/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: files and directories do what fs.h says, and a replaced file is the old one or the new one
 * whatever fails.
 * Method: a folder of the real file system; fs_fault fails each call in turn.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"

struct test {
    char *root;
    struct fs_fault fs;
    struct hf_err err;
};

static int setup(void **state)
{
    struct test *t = hf_calloc(1, sizeof(*t));

    t->root = test_tmp_new();
    fs_fault_init(&t->fs, hf_fs_system());
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;

    fs_fault_done(&t->fs);
    test_tmp_remove(t->root);
    hf_free(t);
    return 0;
}

static char *path_of(struct test *t, const char *name)
{
    return hf_strfmt("%s/%s", t->root, name);
}

static struct hf_file *open_file(struct test *t, const char *name, enum hf_open how)
{
    HF_AUTO_FREE char *path = path_of(t, name);
    struct hf_file *f = NULL;

    hf_must(hf_fs_open(&t->fs.base, path, how, 0600, &f, &t->err), &t->err);
    return f;
}

static void assert_contents(struct test *t, const char *name, const char *want)
{
    HF_AUTO_FREE char *path = path_of(t, name);
    HF_AUTO_BUF got = {0};

    hf_must(hf_fs_read_all(hf_fs_system(), path, 1000, &got, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), want);
}

static void written_bytes_are_read_at_their_offset(void **state)
{
    struct test *t = *state;
    HF_AUTO_FILE *f = open_file(t, "file", HF_OPEN_NEW);
    struct hf_stat st;
    char got[10] = "";
    size_t len = 0;

    hf_must(hf_file_write(f, 3, hf_slice_str("defg"), &t->err), &t->err);
    hf_must(hf_file_write(f, 0, hf_slice_str("abc"), &t->err), &t->err);
    hf_must(hf_file_sync(f, &t->err), &t->err);
    hf_must(hf_file_read(f, 2, got, sizeof(got), &len, &t->err), &t->err);
    assert_int_equal(len, 5); /* fewer only at the end */
    assert_memory_equal(got, "cdefg", 5);
    hf_must(hf_file_read(f, 100, got, sizeof(got), &len, &t->err), &t->err);
    assert_int_equal(len, 0);
    hf_must(hf_file_truncate(f, 2, &t->err), &t->err);
    hf_must(hf_file_set_mtime(f, INT64_C(1234567890123456), &t->err), &t->err);
    hf_must(hf_file_stat(f, &st, &t->err), &t->err);
    assert_int_equal(st.size_bytes, 2);
    assert_int_equal(st.mtime_us, INT64_C(1234567890123456));
    assert_false(st.is_dir);
}

/* Room is zeros behind what is there; a file that is longer stays so. */
static void reserved_room_is_zeros_and_cuts_nothing(void **state)
{
    struct test *t = *state;
    HF_AUTO_FILE *f = open_file(t, "file", HF_OPEN_NEW);
    uint8_t want[300] = "abc";
    uint8_t got[301];
    size_t len = 0;

    hf_must(hf_file_write(f, 0, hf_slice_str("abc"), &t->err), &t->err);
    hf_file_reserve(f, 300);
    hf_file_reserve(f, 100);
    hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &t->err), &t->err);
    assert_int_equal(len, 300);
    assert_memory_equal(got, want, 300);
    hf_file_reserve(f, UINT64_C(1) << 60); /* nobody has it */
    hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &t->err), &t->err);
    assert_int_equal(len, 300);
    hf_must(hf_file_truncate(f, 3, &t->err), &t->err);
    assert_contents(t, "file", "abc");
}

#define BULK_BYTES (64 * 1024)

/* Bulk and plain writes in turn, over one another and behind the end, also when the file has no
 * name any more; the oracle is memory. */
static void bulk_and_plain_writes_make_one_file(void **state)
{
    struct test *t = *state;
    HF_AUTO_FILE *f = open_file(t, "f", HF_OPEN_NEW);
    HF_AUTO_FREE char *path = path_of(t, "f");
    HF_AUTO_FREE uint8_t *block = hf_memalign(HF_BULK_ALIGN, BULK_BYTES);
    HF_AUTO_FREE uint8_t *want = hf_calloc(8, BULK_BYTES);
    HF_AUTO_FREE uint8_t *got = hf_calloc(8, BULK_BYTES);
    struct hf_rand rand = hf_rand_seeded(31);
    size_t end = 0;
    size_t len = 0;

    for (int i = 0; i < 100; i++) {
        const bool bulk = i % 3 != 0;
        const size_t unit = bulk ? HF_BULK_ALIGN : 1;
        const size_t at = (size_t)hf_rand_below(&rand, 7 * BULK_BYTES / unit) * unit;
        const size_t n = (size_t)(1 + hf_rand_below(&rand, BULK_BYTES / unit)) * unit;

        if (i == 50)
            hf_must(hf_fs_unlink(&t->fs.base, path, &t->err), &t->err);
        (void)memset(block, i + 1, n);
        (void)memset(want + at, i + 1, n);
        hf_must((bulk ? hf_file_write_bulk : hf_file_write)(f, at, hf_slice(block, n), &t->err),
                &t->err);
        end = at + n > end ? at + n : end;
        hf_must(hf_file_read(f, 0, got, 8 * BULK_BYTES, &len, &t->err), &t->err);
        assert_int_equal(len, end);
        assert_memory_equal(got, want, end);
    }
}

struct bulk_task {
    struct hf_file *file;
    uint8_t *block;
    uint64_t at;
};

static enum hf_code write_bulk(void *ctx, struct hf_err *err)
{
    const struct bulk_task *task = ctx;

    return hf_file_write_bulk(task->file, task->at, hf_slice(task->block, HF_BULK_ALIGN), err);
}

/* All threads come to the first bulk write of a file at once. */
static void bulk_writes_of_many_threads_all_arrive(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE uint8_t *block = hf_memalign(HF_BULK_ALIGN, HF_BULK_ALIGN);
    struct hf_pool *pool = hf_pool_new(4);

    (void)memset(block, 7, HF_BULK_ALIGN);
    for (int round = 0; round < 20; round++) {
        HF_AUTO_FREE char *name = hf_strfmt("f%d", round);
        HF_AUTO_FILE *f = open_file(t, name, HF_OPEN_NEW);
        struct hf_group *group = hf_group_new(pool);
        struct bulk_task tasks[8];
        uint8_t got[8 * HF_BULK_ALIGN];
        size_t len = 0;

        for (size_t i = 0; i < HF_ARRAY_LEN(tasks); i++) {
            tasks[i] = (struct bulk_task){f, block, i * HF_BULK_ALIGN};
            hf_group_run(group, write_bulk, &tasks[i]);
        }
        hf_must(hf_group_wait(group, &t->err), &t->err);
        hf_group_free(group);
        hf_must(hf_file_read(f, 0, got, sizeof(got), &len, &t->err), &t->err);
        assert_int_equal(len, sizeof(got));
        for (size_t i = 0; i < len; i++)
            assert_int_equal(got[i], 7);
    }
    hf_pool_free(pool);
}

static void ways_to_open_differ_as_named(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "file");
    HF_AUTO_FREE char *below = path_of(t, "file/below");
    HF_AUTO_FREE char *nowhere = path_of(t, "no/where");
    struct hf_file *f = NULL;

    assert_int_equal(hf_fs_open(&t->fs.base, path, HF_OPEN_READ, 0, &f, &t->err), HF_NOT_FOUND);
    assert_int_equal(hf_fs_open(&t->fs.base, path, HF_OPEN_WRITE, 0, &f, &t->err), HF_NOT_FOUND);
    assert_int_equal(hf_fs_open(&t->fs.base, nowhere, HF_OPEN_NEW, 0, &f, &t->err), HF_NOT_FOUND);
    hf_file_close(open_file(t, "file", HF_OPEN_CREATE));
    hf_file_close(open_file(t, "file", HF_OPEN_CREATE));
    hf_file_close(open_file(t, "file", HF_OPEN_WRITE));
    assert_int_equal(hf_fs_open(&t->fs.base, path, HF_OPEN_NEW, 0, &f, &t->err), HF_CONFLICT);
    assert_int_equal(hf_fs_open(&t->fs.base, below, HF_OPEN_READ, 0, &f, &t->err), HF_NOT_FOUND);
    assert_null(f);
    f = open_file(t, "file", HF_OPEN_READ);
    assert_int_equal(hf_file_write(f, 0, hf_slice_str("x"), &t->err), HF_IO);
    hf_file_close(f);
}

static void lock_excludes_until_closed(void **state)
{
    struct test *t = *state;
    struct hf_file *a = open_file(t, "file", HF_OPEN_CREATE);
    struct hf_file *b = open_file(t, "file", HF_OPEN_CREATE);

    hf_must(hf_file_lock(a, false, &t->err), &t->err);
    assert_int_equal(hf_file_lock(b, false, &t->err), HF_BUSY);
    hf_file_close(a);
    hf_must(hf_file_lock(b, true, &t->err), &t->err);
    hf_file_close(b);
}

static void names_are_linked_renamed_and_unlinked(void **state)
{
    struct test *t = *state;
    struct hf_fs *fs = &t->fs.base;
    HF_AUTO_FREE char *a = path_of(t, "a");
    HF_AUTO_FREE char *b = path_of(t, "b");
    HF_AUTO_FREE char *below = path_of(t, "b/below");
    struct hf_stat first;
    struct hf_stat second;

    hf_file_close(open_file(t, "a", HF_OPEN_NEW));
    hf_must(hf_fs_link(fs, a, b, &t->err), &t->err);
    assert_int_equal(hf_fs_link(fs, a, b, &t->err), HF_CONFLICT);
    hf_must(hf_fs_stat(fs, a, &first, &t->err), &t->err);
    hf_must(hf_fs_stat(fs, b, &second, &t->err), &t->err);
    assert_true(first.inode == second.inode && first.device == second.device);
    hf_must(hf_fs_unlink(fs, a, &t->err), &t->err);
    hf_must(hf_fs_unlink(fs, a, &t->err), &t->err); /* gone is fine */
    hf_must(hf_fs_unlink(fs, below, &t->err), &t->err);
    assert_int_equal(hf_fs_rename(fs, a, b, &t->err), HF_IO);
    hf_must(hf_fs_rename(fs, b, a, &t->err), &t->err);
    assert_int_equal(hf_fs_stat(fs, b, &first, &t->err), HF_NOT_FOUND);
    assert_int_equal(hf_fs_stat(fs, below, &first, &t->err), HF_NOT_FOUND);
}

struct names {
    unsigned count;
    unsigned stop_at;
};

static enum hf_code count_name(void *ctx, const char *name, struct hf_err *err)
{
    struct names *n = ctx;

    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    n->count++;
    return n->count == n->stop_at ? hf_err_set(err, HF_DAMAGE, "stop") : HF_OK;
}

static void listing_gives_every_name_once(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *missing = path_of(t, "missing");
    HF_AUTO_FREE char *file = path_of(t, "f0");
    struct names all = {0};
    struct names some = {.stop_at = 3};

    for (int i = 0; i < 20; i++) {
        HF_AUTO_FREE char *name = hf_strfmt("f%d", i);

        hf_file_close(open_file(t, name, HF_OPEN_NEW));
    }
    hf_must(hf_fs_list(&t->fs.base, t->root, count_name, &all, &t->err), &t->err);
    assert_int_equal(all.count, 20);
    assert_int_equal(hf_fs_list(&t->fs.base, t->root, count_name, &some, &t->err), HF_DAMAGE);
    assert_int_equal(some.count, 3);
    assert_int_equal(hf_fs_list(&t->fs.base, missing, count_name, &all, &t->err), HF_NOT_FOUND);
    assert_int_equal(hf_fs_list(&t->fs.base, file, count_name, &all, &t->err), HF_NOT_FOUND);
}

static void mkdirs_makes_all_and_syncs_what_it_made(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *deep = path_of(t, "a/b/c");
    HF_AUTO_FREE char *file = path_of(t, "file");
    struct hf_stat st;

    fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
    hf_must(hf_fs_mkdirs(&t->fs.base, deep, 0700, &t->err), &t->err);
    hf_must(hf_fs_stat(&t->fs.base, deep, &st, &t->err), &t->err);
    assert_true(st.is_dir);
    assert_int_equal(t->fs.guarded.count[FS_SYNC_DIR_INDEX], 3);
    hf_must(hf_fs_mkdirs(&t->fs.base, deep, 0700, &t->err), &t->err);
    hf_file_close(open_file(t, "file", HF_OPEN_NEW));
    assert_int_equal(hf_fs_mkdirs(&t->fs.base, file, 0700, &t->err), HF_USAGE);
    fs_fault_arm(&t->fs, (struct fs_fault_plan){.kinds = FS_SYNC_DIR, .fail_at = 1});
    HF_AUTO_FREE char *other = path_of(t, "other");

    assert_int_equal(hf_fs_mkdirs(&t->fs.base, other, 0700, &t->err), HF_IO);
}

static void read_all_appends_and_keeps_to_its_limit(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "file");
    HF_AUTO_BUF got = {0};

    hf_must(hf_fs_replace(&t->fs.base, path, hf_slice_str("12345"), 0600, &t->err), &t->err);
    hf_buf_printf(&got, "0");
    hf_must(hf_fs_read_all(&t->fs.base, path, 5, &got, &t->err), &t->err);
    assert_string_equal(hf_buf_str(&got), "012345");
    assert_int_equal(hf_fs_read_all(&t->fs.base, path, 4, &got, &t->err), HF_USAGE);
    assert_int_equal(got.len, 6);
    fs_fault_arm(&t->fs, (struct fs_fault_plan){.kinds = FS_READ, .fail_at = 1});
    assert_int_equal(hf_fs_read_all(&t->fs.base, path, 5, &got, &t->err), HF_IO);
    assert_int_equal(got.len, 6);
}

/* The oracle: before the rename the old bytes and a plain code, from it on the new ones and
 * HF_UNCERTAIN. */
static void replaced_file_is_old_or_new_whatever_fails(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "file");
    uint64_t calls = 0;

    fs_fault_arm(&t->fs, (struct fs_fault_plan){0});
    hf_must(hf_fs_replace(&t->fs.base, path, hf_slice_str("old"), 0600, &t->err), &t->err);
    calls = t->fs.guarded.calls;
    const uint64_t rename_at = t->fs.guarded.first_at[FS_RENAME_INDEX];

    assert_true(calls > rename_at && rename_at > 2);
    for (unsigned mode = 0; mode < 2; mode++) {
        for (uint64_t n = 1; n <= calls; n++) {
            hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str("old"), 0600, &t->err),
                    &t->err);
            fs_fault_arm(&t->fs, (struct fs_fault_plan){
                                     .fail_at = n, .from_then_on = mode == 1, .code = HF_FULL});
            const enum hf_code rc =
                hf_fs_replace(&t->fs.base, path, hf_slice_str("new bytes"), 0600, &t->err);

            assert_int_equal(rc, n <= rename_at ? HF_FULL : HF_UNCERTAIN);
            assert_contents(t, "file", n <= rename_at ? "old" : "new bytes");
        }
    }
}

static void replaced_file_keeps_the_asked_mode_and_no_leftover(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "file");
    struct names all = {0};
    struct stat st;

    hf_must(hf_fs_replace(&t->fs.base, path, hf_slice_str("x"), 0600, &t->err), &t->err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    hf_must(hf_fs_list(&t->fs.base, t->root, count_name, &all, &t->err), &t->err);
    assert_int_equal(all.count, 1);
}

static void access_is_taken_over_from_another_file(void **state)
{
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "f");
    HF_AUTO_FILE *f = open_file(t, "f", HF_OPEN_NEW);
    struct hf_stat like = {.mode = 0640, .uid = geteuid(), .gid = getegid()};
    struct hf_stat got;

    if (geteuid() == 0)
        like.uid = like.gid = 65534;
    hf_must(hf_file_set_access(f, &like, &t->err), &t->err);
    hf_must(hf_file_stat(f, &got, &t->err), &t->err);
    assert_int_equal(got.mode, like.mode);
    assert_int_equal(got.uid, like.uid);
    assert_int_equal(got.gid, like.gid);
    hf_must(hf_fs_stat(&t->fs.base, path, &got, &t->err), &t->err);
    assert_int_equal(got.mode, like.mode);
}

static void a_group_that_cannot_be_given_gets_nothing(void **state)
{
    const struct hf_stat like = {.mode = 0664, .uid = 12345, .gid = 12345};
    const bool is_root = geteuid() == 0;
    struct test *t = *state;
    HF_AUTO_FREE char *path = path_of(t, "f");
    HF_AUTO_FILE *f = open_file(t, "f", HF_OPEN_NEW);
    struct hf_stat got;
    enum hf_code rc;

    if (is_root) { /* who may not give files away */
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    rc = hf_file_set_access(f, &like, &t->err);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    hf_must(rc, &t->err);
    hf_must(hf_file_stat(f, &got, &t->err), &t->err);
    assert_int_equal(got.mode, 0604);
    assert_int_not_equal(got.uid, like.uid);
    assert_int_not_equal(got.gid, like.gid);
}

static void parts_of_paths_are_found(void **state)
{
    static const struct {
        const char *path, *dir, *base;
    } rows[] = {{"/a/b", "/a", "b"},   {"/a", "/", "a"}, {"a", ".", "a"},
                {"a/b/c", "a/b", "c"}, {"/", "/", ""},   {"a/", "a", ""}};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_AUTO_FREE char *dir = hf_path_dir(rows[i].path);

        assert_string_equal(dir, rows[i].dir);
        assert_string_equal(hf_path_base(rows[i].path), rows[i].base);
    }
}

static void space_is_told(void **state)
{
    struct test *t = *state;
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;

    hf_must(hf_fs_space(&t->fs.base, t->root, &free_bytes, &total_bytes, &t->err), &t->err);
    assert_true(total_bytes > 0 && free_bytes <= total_bytes);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(written_bytes_are_read_at_their_offset),
        TEST(reserved_room_is_zeros_and_cuts_nothing),
        TEST(bulk_and_plain_writes_make_one_file),
        TEST(bulk_writes_of_many_threads_all_arrive),
        TEST(ways_to_open_differ_as_named),
        TEST(lock_excludes_until_closed),
        TEST(names_are_linked_renamed_and_unlinked),
        TEST(listing_gives_every_name_once),
        TEST(mkdirs_makes_all_and_syncs_what_it_made),
        TEST(read_all_appends_and_keeps_to_its_limit),
        TEST(replaced_file_is_old_or_new_whatever_fails),
        TEST(replaced_file_keeps_the_asked_mode_and_no_leftover),
        TEST(access_is_taken_over_from_another_file),
        TEST(a_group_that_cannot_be_given_gets_nothing),
        TEST(parts_of_paths_are_found),
        TEST(space_is_told),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
