/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    the output appears whole or not at all, under its name and nothing else, whatever fails.
 * Method  archives by archive_maker; every call of the file system and every request fails once,
 *         and the folder is looked at afterwards.
 */
#include "restore/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/archive_maker.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"

#define TXIDS 8

struct fixture {
    struct store_mem *store;
    struct store_fault *fault;
    struct fs_fault fs;
    struct hf_rand rand;
    struct maker m;
    struct hf_pool *pool;
    char *dir;
    char *out;
    struct hf_restore_options options;
    struct hf_rebuild_report report;
    struct hf_err err;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.store = store_mem_new(NULL), .rand = hf_rand_seeded(1)};
    f->fault = store_fault_new(&f->store->base);
    fs_fault_init(&f->fs, hf_fs_system());
    maker_init(&f->m, &f->fault->base, "t/a.db", MAKER_OURS, 512, 5);
    for (int k = 0; k < TXIDS; k++)
        maker_commit_random(&f->m, 60);
    maker_put_all(&f->m);
    f->pool = hf_pool_new(0);
    f->dir = test_tmp_new();
    f->out = hf_strfmt("%s/out.db", f->dir);
    f->options = (struct hf_restore_options){
        .engine = hf_engine_sqlite(),
        .archive = &f->m.archive,
        .fs = &f->fs.base,
        .rand = &f->rand,
        .pool = f->pool,
        .target = {.kind = HF_TARGET_LATEST},
        .out_path = f->out,
    };
}

static void fixture_done(struct fixture *f)
{
    fs_fault_done(&f->fs);
    maker_done(&f->m);
    hf_store_free(&f->fault->base);
    hf_store_free(&f->store->base);
    hf_pool_free(f->pool);
    hf_free(f->out);
    test_tmp_remove(f->dir);
}

static enum hf_code restore(struct fixture *f)
{
    return hf_restore(&f->options, &f->report, &f->err);
}

static void put_file(struct fixture *f, const char *suffix, const char *text)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s%s", f->out, suffix);

    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str(text), 0600, &f->err), &f->err);
}

static void remove_file(struct fixture *f, const char *suffix)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s%s", f->out, suffix);

    hf_must(hf_fs_unlink(hf_fs_system(), path, &f->err), &f->err);
}

static bool has_text(struct fixture *f, const char *text)
{
    HF_AUTO_BUF bytes = {0};

    hf_must(hf_fs_read_all(hf_fs_system(), f->out, 1 << 20, &bytes, &f->err), &f->err);
    return strcmp(hf_buf_str(&bytes), text) == 0;
}

static enum hf_code count_name(void *ctx, const char *name, struct hf_err *err)
{
    (void)name;
    (void)err;
    (*(unsigned *)ctx)++;
    return HF_OK;
}

static unsigned files_count(struct fixture *f)
{
    unsigned count = 0;

    hf_must(hf_fs_list(hf_fs_system(), f->dir, count_name, &count, &f->err), &f->err);
    return count;
}

static void every_restore_point_is_published_alone(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    for (uint64_t t = 1; t <= TXIDS; t++) {
        f.options.target = (struct hf_target){.kind = HF_TARGET_TXID, .txid = t};
        hf_must(restore(&f), &f.err);
        assert_int_equal(f.report.state.txid, t);
        assert_true(f.report.proved);
        maker_assert_file(&f.m, t, f.out);
        assert_int_equal(files_count(&f), 1);
        remove_file(&f, "");
    }
    fixture_done(&f);
}

static void the_file_is_its_owners_alone_whatever_the_umask(void **state)
{
    static const mode_t masks[] = {0, 022, 077};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(masks); i++) {
        struct fixture f;
        struct stat st;
        const mode_t before = umask(masks[i]);

        fixture_init(&f);
        f.options.force = i == 1; /* where there is nothing to replace */
        hf_must(restore(&f), &f.err);
        assert_int_equal(stat(f.out, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_nlink, 1);
        (void)umask(before);
        fixture_done(&f);
    }
}

static void a_replaced_file_lends_its_mode_and_owner(void **state)
{
    static const mode_t modes[] = {0600, 0640, 0664, 0400};
    const bool is_root = geteuid() == 0;

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(modes); i++) {
        struct fixture f;
        struct stat st;
        const mode_t before = umask(077);

        fixture_init(&f);
        put_file(&f, "", "mine");
        if (is_root)
            assert_int_equal(chown(f.out, 65534, 65533), 0);
        assert_int_equal(chmod(f.out, modes[i]), 0);
        f.options.force = true;
        hf_must(restore(&f), &f.err);
        maker_assert_file(&f.m, TXIDS, f.out);
        assert_int_equal(stat(f.out, &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(st.st_uid, is_root ? 65534 : geteuid());
        assert_int_equal(st.st_gid, is_root ? 65533 : getegid());
        assert_int_equal(files_count(&f), 1);
        (void)umask(before);
        fixture_done(&f);
    }
}

static void an_existing_output_is_replaced_only_by_force(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    put_file(&f, "", "mine");
    (void)store_mem_requests_take(f.store);
    assert_int_equal(restore(&f), HF_USAGE);
    assert_non_null(strstr(f.err.text, "--force"));
    assert_int_equal(store_mem_requests_take(f.store).get, 0);
    assert_true(has_text(&f, "mine"));
    f.options.force = true;
    hf_must(restore(&f), &f.err);
    maker_assert_file(&f.m, TXIDS, f.out);
    assert_int_equal(files_count(&f), 1);
    fixture_done(&f);
}

static void what_sqlite_would_take_for_its_own_is_refused_even_by_force(void **state)
{
    static const char *const suffixes[] = {"-wal", "-journal"};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(suffixes); i++) {
        struct fixture f;

        fixture_init(&f);
        f.options.force = true;
        put_file(&f, suffixes[i], "frames");
        assert_int_equal(restore(&f), HF_USAGE);
        assert_non_null(strstr(f.err.text, suffixes[i]));
        assert_int_equal(files_count(&f), 1);
        fixture_done(&f);
    }
}

static void an_output_that_cannot_be_is_told_before_anything_is_read(void **state)
{
    struct fixture f;
    HF_AUTO_FREE char *nowhere = NULL;
    HF_AUTO_FREE char *slash = NULL;

    (void)state;
    fixture_init(&f);
    nowhere = hf_strfmt("%s/no/such/out.db", f.dir);
    slash = hf_strfmt("%s/", f.dir);
    const char *const paths[] = {nowhere, slash, f.dir};

    (void)store_mem_requests_take(f.store);
    for (size_t i = 0; i < HF_ARRAY_LEN(paths); i++) {
        f.options.out_path = paths[i];
        assert_int_equal(restore(&f), HF_USAGE);
    }
    assert_int_equal(store_mem_requests_take(f.store).list, 0);
    fixture_done(&f);
}

/* A name as long as the file system allows leaves room for temporary ones. */
static void the_longest_name_can_be_restored_to(void **state)
{
    struct fixture f;
    char name[256];
    HF_AUTO_FREE char *path = NULL;

    (void)state;
    fixture_init(&f);
    (void)memset(name, 'n', sizeof(name) - 1);
    name[255 - strlen("-journal")] = '\0';
    path = hf_strfmt("%s/%s", f.dir, name);
    f.options.out_path = path;
    hf_must(restore(&f), &f.err);
    maker_assert_file(&f.m, TXIDS, path);
    fixture_done(&f);
}

static enum hf_code little_space(struct hf_fs *fs, const char *path, uint64_t *ret_free,
                                 uint64_t *ret_total, struct hf_err *err)
{
    (void)fs;
    (void)path;
    (void)err;
    *ret_free = 100;
    *ret_total = 1000;
    return HF_OK;
}

/* The message has the output and the bytes that it takes: pages, and 32 bytes a page of hashes. */
static void assert_needs(struct fixture *f)
{
    char bytes[64];

    (void)snprintf(bytes, sizeof(bytes), "%" PRIu32 " bytes",
                   f->m.states[TXIDS].pages_count * (512 + 32));
    assert_non_null(strstr(f->err.text, bytes));
    assert_non_null(strstr(f->err.text, f->out));
}

static void too_little_space_is_told_with_both_numbers_before_anything_is_made(void **state)
{
    struct fixture f;
    struct hf_fs_ops ops;
    struct hf_fs fs = {.ops = &ops};

    (void)state;
    fixture_init(&f);
    ops = *hf_fs_system()->ops;
    ops.space = little_space;
    f.options.fs = &fs;
    (void)store_mem_requests_take(f.store);
    assert_int_equal(restore(&f), HF_FULL);
    /* The last header and the owner; and the last segment, whose header may be wrong. */
    assert_true(store_mem_requests_take(f.store).get <= 3);
    assert_non_null(strstr(f.err.text, " 100 bytes free"));
    assert_needs(&f);
    char pages[64];

    (void)snprintf(pages, sizeof(pages), "%" PRIu32 " pages of 512", f.m.states[TXIDS].pages_count);
    assert_non_null(strstr(f.err.text, pages));
    assert_int_equal(files_count(&f), 0);
    fixture_done(&f);
}

/* The disk is full at the n-th write, or any call fails once: no output, or the whole one. */
static void whatever_call_fails_there_is_no_output_or_the_whole_one(void **state)
{
    static const struct {
        unsigned kinds;
        bool from_then_on;
        enum hf_code code;
    } cases[] = {
        {FS_WRITE | FS_TRUNCATE, true, HF_FULL},
        {FS_WRITE, false, HF_FULL},
        {FS_OPEN | FS_RENAME | FS_SET_ACCESS | FS_LINK | FS_SYNC | FS_SYNC_DIR | FS_STAT |
             FS_SPACE | FS_READ,
         false, HF_IO},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        uint64_t failures = 0;

        for (int force = 0; force <= 1; force++) {
            for (uint64_t at = 1;; at++) {
                struct fixture f;
                enum hf_code rc;
                bool done;

                fixture_init(&f);
                f.options.force = force;
                if (force)
                    put_file(&f, "", "mine");
                fs_fault_arm(&f.fs, (struct fs_fault_plan){.kinds = cases[i].kinds,
                                                           .fail_at = at,
                                                           .from_then_on = cases[i].from_then_on,
                                                           .code = cases[i].code});
                rc = restore(&f);
                done = f.fs.guarded.failed == 0;
                failures += !done;
                fs_fault_disarm(&f.fs);
                if (rc == HF_OK || rc == HF_UNCERTAIN)
                    maker_assert_file(&f.m, TXIDS, f.out);
                else if (force)
                    assert_true(has_text(&f, "mine"));
                assert_int_equal(files_count(&f),
                                 rc == HF_OK || rc == HF_UNCERTAIN || force ? 1 : 0);
                if (done)
                    hf_must(rc, &f.err);
                fixture_done(&f);
                if (done)
                    break;
            }
        }
        assert_true(failures > 10);
    }
}

/* Others fill the disk while the restore runs. */
static void a_disk_that_fills_up_is_told_with_what_is_needed(void **state)
{
    struct fixture f;
    uint64_t failures = 0;

    (void)state;
    for (uint64_t at = 1;; at++) {
        enum hf_code rc;

        fixture_init(&f);
        fs_fault_arm(&f.fs, (struct fs_fault_plan){.kinds = FS_WRITE | FS_TRUNCATE | FS_SYNC,
                                                   .fail_at = at,
                                                   .from_then_on = true,
                                                   .code = HF_FULL});
        rc = restore(&f);
        fs_fault_disarm(&f.fs);
        if (rc == HF_OK)
            break;
        assert_int_equal(rc, HF_FULL);
        assert_needs(&f);
        assert_non_null(strstr(f.err.text, "free at the beginning"));
        assert_int_equal(files_count(&f), 0);
        failures++;
        fixture_done(&f);
    }
    assert_true(failures > 5);
    fixture_done(&f);
}

static void damage_leaves_nothing_behind(void **state)
{
    struct fixture f;
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f);
    maker_key(&f.m, 0, 5, 5, key);
    store_mem_corrupt(f.store, key, 140, 1);
    assert_int_equal(restore(&f), HF_DAMAGE);
    assert_non_null(strstr(f.err.text, key));
    assert_int_equal(files_count(&f), 0);
    maker_delete(&f.m, 0, 5, 5);
    assert_int_equal(restore(&f), HF_HOLE);
    assert_int_equal(files_count(&f), 0);
    fixture_done(&f);
}

static enum hf_code gigabyte(struct hf_fs *fs, const char *path, uint64_t *ret_free,
                             uint64_t *ret_total, struct hf_err *err)
{
    (void)fs;
    (void)path;
    (void)err;
    *ret_free = *ret_total = 1 << 30;
    return HF_OK;
}

static void a_size_that_is_damage_is_not_told_as_want_of_room(void **state)
{
    struct fixture f;
    struct hf_fs_ops ops;
    struct hf_fs fs = {.ops = &ops};
    char key[HF_KEY_MAX + 1];

    (void)state;
    fixture_init(&f);
    ops = *hf_fs_system()->ops;
    ops.space = gigabyte;
    f.options.fs = &fs;
    maker_key(&f.m, 0, TXIDS, TXIDS, key);
    store_mem_corrupt(f.store, key, 12, 0x40); /* 2^30 pages more */
    assert_int_equal(restore(&f), HF_DAMAGE);
    assert_non_null(strstr(f.err.text, key));
    assert_int_equal(files_count(&f), 0);
    fixture_done(&f);
}

/* Somebody makes the output while the restore runs. */
struct intruder {
    struct hf_progress base; /* first, so that the pointers convert */
    struct fixture *f;
    const char *suffix;
};

static void intrude(struct hf_progress *p, uint64_t done, uint64_t total)
{
    struct intruder *i = (struct intruder *)p;

    (void)total;
    if (done > 0)
        put_file(i->f, i->suffix, "theirs");
}

static void what_came_meanwhile_is_left_as_it_is(void **state)
{
    static const char *const suffixes[] = {"", "-wal"};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(suffixes); i++) {
        struct fixture f;
        struct intruder intruder = {.base = {.tell = intrude}, .f = &f, .suffix = suffixes[i]};

        fixture_init(&f);
        f.options.progress = &intruder.base;
        assert_int_equal(restore(&f), HF_USAGE);
        assert_int_equal(files_count(&f), 1);
        if (i == 0)
            assert_true(has_text(&f, "theirs"));
        fixture_done(&f);
    }
}

static void stopping_leaves_nothing_behind(void **state)
{
    struct fixture f;
    hf_stop_flag stop = true;

    (void)state;
    fixture_init(&f);
    f.options.stop = &stop;
    assert_int_equal(restore(&f), HF_CANCELED);
    assert_int_equal(files_count(&f), 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_restore_point_is_published_alone),
        cmocka_unit_test(the_file_is_its_owners_alone_whatever_the_umask),
        cmocka_unit_test(a_replaced_file_lends_its_mode_and_owner),
        cmocka_unit_test(an_existing_output_is_replaced_only_by_force),
        cmocka_unit_test(what_sqlite_would_take_for_its_own_is_refused_even_by_force),
        cmocka_unit_test(an_output_that_cannot_be_is_told_before_anything_is_read),
        cmocka_unit_test(the_longest_name_can_be_restored_to),
        cmocka_unit_test(too_little_space_is_told_with_both_numbers_before_anything_is_made),
        cmocka_unit_test(whatever_call_fails_there_is_no_output_or_the_whole_one),
        cmocka_unit_test(a_disk_that_fills_up_is_told_with_what_is_needed),
        cmocka_unit_test(damage_leaves_nothing_behind),
        cmocka_unit_test(a_size_that_is_damage_is_not_told_as_want_of_room),
        cmocka_unit_test(what_came_meanwhile_is_left_as_it_is),
        cmocka_unit_test(stopping_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
