/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fs_mem.c
 *
 * Goal: after a power cut the disk in memory holds what was synced, and of the rest any part, but
 * never anything else; and each of the outcomes comes about.
 * Method: the same changes and a cut under many seeds; every outcome is looked up in a list of the
 * possible ones, and the list has to be used up. (That it is a file system: contract/fs.)
 */
#include "lib/fixture.h"
#include "lib/fs_mem.h"

#define SEEDS 400

struct rig {
    struct test_clock clock;
    struct fs_mem *disk;
    struct fs_mem_view v;
    struct hf_rand rand;
    struct hf_err err;
};

static void rig_init(struct rig *r, uint64_t seed)
{
    test_clock_init(&r->clock, INT64_C(1700000000000000));
    r->disk = fs_mem_new(&r->clock.base);
    fs_mem_view_init(&r->v, r->disk);
    r->rand = hf_rand_seeded(seed);
    r->v.rand = &r->rand;
    hf_must(hf_fs_mkdirs(&r->v.base, "/d", 0700, &r->err), &r->err);
}

static struct hf_file *open_file(struct rig *r, const char *path)
{
    struct hf_file *f = NULL;

    hf_must(hf_fs_open(&r->v.base, path, HF_OPEN_CREATE, 0600, &f, &r->err), &r->err);
    return f;
}

/* One sector of the letter at the sector's place. */
static void write_sector(struct rig *r, struct hf_file *f, uint64_t sector, char letter)
{
    char bytes[512];

    (void)memset(bytes, letter, sizeof(bytes));
    hf_must(hf_file_write(f, sector * sizeof(bytes), hf_slice(bytes, sizeof(bytes)), &r->err),
            &r->err);
}

/* A letter for each sector, '.' for zeros; "-" if there is no file. */
static void describe(struct rig *r, const char *path, struct hf_buf *ret)
{
    HF_AUTO_BUF found = {0};
    const enum hf_code rc = hf_fs_read_all(&r->v.base, path, SIZE_MAX, &found, &r->err);

    if (rc == HF_NOT_FOUND)
        hf_buf_printf(ret, "-");
    for (size_t at = 0; at < found.len; at += 512) {
        for (size_t i = at; i < at + 512 && i < found.len; i++)
            assert_int_equal(found.ptr[i], found.ptr[at]);
        hf_buf_printf(ret, "%c", found.ptr[at] == 0 ? '.' : found.ptr[at]);
    }
    (void)hf_buf_str(ret);
}

/* The outcomes of `change` and a cut are those of `wanted` (parted by spaces), and all of them. */
static void assert_outcomes(void (*change)(struct rig *r),
                            void (*look)(struct rig *, struct hf_buf *), const char *wanted)
{
    HF_AUTO_FREE char *left = hf_strdup(wanted);

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        HF_AUTO_BUF found = {0};
        struct rig r;

        rig_init(&r, seed);
        change(&r);
        fs_mem_cut(r.disk, &r.rand);
        hf_buf_printf(&found, " ");
        look(&r, &found);
        hf_buf_printf(&found, " ");
        if (strstr(wanted, hf_buf_str(&found)) == NULL)
            fail_msg("a cut left%s", hf_buf_str(&found));
        char *at = strstr(left, hf_buf_str(&found));

        if (at != NULL)
            (void)memset(at + 1, '_', found.len - 2);
        fs_mem_free(r.disk);
    }
    if (strspn(left, "_ ") != strlen(left))
        fail_msg("never came about: %s", left);
}

static void look_at_file(struct rig *r, struct hf_buf *ret)
{
    describe(r, "/d/a", ret);
}

static void look_at_both(struct rig *r, struct hf_buf *ret)
{
    describe(r, "/d/a", ret);
    hf_buf_printf(ret, "/");
    describe(r, "/d/b", ret);
}

static void sync_all(struct rig *r, struct hf_file *f)
{
    hf_must(hf_file_sync(f, &r->err), &r->err);
    hf_must(hf_fs_sync_dir(&r->v.base, "/d", &r->err), &r->err);
}

static void write_twice_and_sync(struct rig *r)
{
    HF_AUTO_FILE *f = open_file(r, "/d/a");

    write_sector(r, f, 0, 'x');
    write_sector(r, f, 1, 'y');
    sync_all(r, f);
}

static void what_was_synced_stays(void **state)
{
    (void)state;
    assert_outcomes(write_twice_and_sync, look_at_file, " xy ");
}

static void overwrite(struct rig *r)
{
    HF_AUTO_FILE *f = open_file(r, "/d/a");

    write_sector(r, f, 0, 'x');
    sync_all(r, f);
    write_sector(r, f, 0, 'y');
    write_sector(r, f, 1, 'z');
}

static void what_was_not_synced_stays_in_any_part(void **state)
{
    (void)state;
    assert_outcomes(overwrite, look_at_file, " x y xz yz x. y. ");
}

static void write_long(struct rig *r)
{
    HF_AUTO_FILE *f = open_file(r, "/d/a");
    char bytes[1024];

    write_sector(r, f, 0, 'x');
    write_sector(r, f, 1, 'x');
    sync_all(r, f);
    (void)memset(bytes, 'y', sizeof(bytes));
    hf_must(hf_file_write(f, 0, hf_slice(bytes, sizeof(bytes)), &r->err), &r->err);
}

static void a_write_is_torn_between_sectors(void **state)
{
    (void)state;
    assert_outcomes(write_long, look_at_file, " xx yx yy ");
}

/* As hf_fs_replace() does it, but for the syncing. */
static void replace(struct rig *r)
{
    HF_AUTO_FILE *old = open_file(r, "/d/a");

    write_sector(r, old, 0, 'x');
    sync_all(r, old);
    HF_AUTO_FILE *new = open_file(r, "/d/b");

    write_sector(r, new, 0, 'y');
    hf_must(hf_fs_rename(&r->v.base, "/d/b", "/d/a", &r->err), &r->err);
}

static void a_rename_that_was_not_synced_may_lead_to_an_empty_file(void **state)
{
    (void)state;
    assert_outcomes(replace, look_at_both, " x/- x/y x/ x/. y/- /- ./- ");
}

static void replace_well(struct rig *r)
{
    HF_AUTO_FILE *old = open_file(r, "/d/a");
    char bytes[512];

    write_sector(r, old, 0, 'x');
    sync_all(r, old);
    (void)memset(bytes, 'y', sizeof(bytes));
    hf_must(hf_fs_replace(&r->v.base, "/d/a", hf_slice(bytes, sizeof(bytes)), 0600, &r->err),
            &r->err);
}

static void a_file_that_is_replaced_well_is_the_new_one(void **state)
{
    (void)state;
    assert_outcomes(replace_well, look_at_file, " y ");
}

static void remove_one(struct rig *r)
{
    HF_AUTO_FILE *f = open_file(r, "/d/a");

    write_sector(r, f, 0, 'x');
    sync_all(r, f);
    hf_must(hf_fs_unlink(&r->v.base, "/d/a", &r->err), &r->err);
}

static void what_was_removed_may_come_back(void **state)
{
    (void)state;
    assert_outcomes(remove_one, look_at_file, " x - ");
}

static enum fs_mem_fate fail_syncs(void *ctx, int kind, const char *path, struct hf_err *err)
{
    (void)ctx;
    (void)path;
    if (kind != FS_SYNC_INDEX)
        return FS_MEM_WORKS;
    (void)hf_err_set(err, HF_IO, "injected failure");
    return FS_MEM_FAILS;
}

static void sync_in_vain(struct rig *r)
{
    HF_AUTO_FILE *f = open_file(r, "/d/a");
    HF_AUTO_BUF now = {0};

    write_sector(r, f, 0, 'x');
    r->v.judge = fail_syncs;
    assert_int_equal(hf_file_sync(f, &r->err), HF_IO);
    r->v.judge = NULL;
    describe(r, "/d/a", &now); /* whoever reads it sees what was written */
    assert_string_equal(hf_buf_str(&now), "x");
    hf_must(hf_fs_sync_dir(&r->v.base, "/d", &r->err), &r->err);
}

static void what_a_failed_fsync_should_have_written_may_never_be(void **state)
{
    (void)state;
    assert_outcomes(sync_in_vain, look_at_file, "  . x ");
}

static void a_folder_is_put_back_as_it_was(void **state)
{
    struct rig r;
    struct hf_file *f;
    HF_AUTO_BUF found = {0};

    (void)state;
    rig_init(&r, 1);
    assert_false(fs_mem_rewind(r.disk, "/d"));
    f = open_file(&r, "/d/a");
    write_sector(&r, f, 0, 'x');
    fs_mem_keep(r.disk, "/d");
    write_sector(&r, f, 0, 'y');
    hf_file_close(f);
    assert_true(fs_mem_rewind(r.disk, "/d"));
    fs_mem_cut(r.disk, &r.rand);
    look_at_file(&r, &found);
    assert_string_equal(hf_buf_str(&found), "x");
    fs_mem_remove(r.disk, "/d");
    fs_mem_cut(r.disk, &r.rand);
    hf_buf_reset(&found);
    look_at_file(&r, &found);
    assert_string_equal(hf_buf_str(&found), "-");
    fs_mem_free(r.disk);
}

static void a_disk_takes_what_there_is_room_for(void **state)
{
    struct rig r;
    struct hf_file *f;
    char bytes[1024] = {0};
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;

    (void)state;
    rig_init(&r, 1);
    f = open_file(&r, "/d/a");
    write_sector(&r, f, 0, 'x');
    fs_mem_set_space(r.disk, 700, 4096);
    write_sector(&r, f, 0, 'y'); /* takes nothing more */
    assert_int_equal(hf_file_write(f, 512, hf_slice(bytes, sizeof(bytes)), &r.err), HF_FULL);
    assert_int_equal(r.v.full_count, 1);
    hf_must(hf_fs_space(&r.v.base, "/d", &free_bytes, &total_bytes, &r.err), &r.err);
    assert_int_equal(free_bytes, 0);
    assert_int_equal(total_bytes, 4096);
    hf_must(hf_file_truncate(f, 512 + 700, &r.err), &r.err); /* that is how long it is */
    hf_must(hf_fs_space(&r.v.base, "/d", &free_bytes, &total_bytes, &r.err), &r.err);
    assert_int_equal(free_bytes, 0);
    hf_file_close(f);
    hf_must(hf_fs_unlink(&r.v.base, "/d/a", &r.err), &r.err);
    hf_must(hf_fs_space(&r.v.base, "/d", &free_bytes, &total_bytes, &r.err), &r.err);
    assert_int_equal(free_bytes, 512 + 700);
    fs_mem_free(r.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_stays),
        cmocka_unit_test(what_was_not_synced_stays_in_any_part),
        cmocka_unit_test(a_write_is_torn_between_sectors),
        cmocka_unit_test(a_rename_that_was_not_synced_may_lead_to_an_empty_file),
        cmocka_unit_test(a_file_that_is_replaced_well_is_the_new_one),
        cmocka_unit_test(what_was_removed_may_come_back),
        cmocka_unit_test(what_a_failed_fsync_should_have_written_may_never_be),
        cmocka_unit_test(a_folder_is_put_back_as_it_was),
        cmocka_unit_test(a_disk_takes_what_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
