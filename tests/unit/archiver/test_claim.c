/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_claim.c
 *
 * Goal: an archive is free to be claimed exactly if that can end nobody who may be at work.
 * Method: owners in a store in memory, folders of local state, and a clock that is moved.
 */
#include "archiver/archiver.h"
#include "archiver/partition.h"
#include "lib/fixture.h"
#include "lib/store_mem.h"

struct fixture {
    struct store_mem *store;
    struct hf_archive archive;
    struct test_clock clock;
    struct hf_rand rand;
    struct hf_owner owner;
    char *dir;
    struct hf_err err;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.store = store_mem_new(NULL), .dir = test_tmp_new()};
    f->rand = hf_rand_seeded(3);
    test_clock_init(&f->clock, INT64_C(1767225600000000));
    hf_must(hf_archive_open(&f->store->base, "a", &f->archive, &f->err), &f->err);
}

static void fixture_done(struct fixture *f)
{
    hf_store_free(&f->store->base);
    test_tmp_remove(f->dir);
}

static void claim(struct fixture *f)
{
    hf_owner_init(&f->owner, &f->rand, "host", 77);
    hf_must(hf_owner_claim(&f->archive, &f->owner, hf_now_ms(&f->clock.base), &f->err), &f->err);
}

/* A folder with a lock, over which the owner claimed the archive. */
static char *folder(struct fixture *f, const char *name, bool noted)
{
    char *path = hf_strfmt("%s/%s", f->dir, name);
    HF_AUTO_FREE char *lock_path = hf_strfmt("%s/lock", path);
    const struct hf_archiver_env env = {.fs = hf_fs_system()};
    const struct partition p = {.env = &env, .state_dir = path, .owner = f->owner};
    HF_AUTO_FILE *lock = NULL;

    hf_must(hf_fs_mkdirs(hf_fs_system(), path, 0700, &f->err), &f->err);
    hf_must(hf_fs_open(hf_fs_system(), lock_path, HF_OPEN_CREATE, 0600, &lock, &f->err), &f->err);
    if (noted)
        hf_must(partition_note_claiming(&p, &f->err), &f->err);
    if (noted)
        partition_note_claimed(&p);
    return path;
}

static enum hf_code check(struct fixture *f, const char *state_dir)
{
    return hf_archiver_check_claim(hf_fs_system(), &f->clock.base, &f->archive, state_dir, &f->err);
}

static void an_archive_that_nobody_owns_is_free(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    hf_must(check(&f, f.dir), &f.err);
    fixture_done(&f);
}

static void an_owner_that_was_seen_lately_is_not_ended(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    claim(&f);
    assert_int_equal(check(&f, f.dir), HF_USAGE);
    assert_non_null(strstr(f.err.text, "host (process 77"));
    for (int hours = 0; hours < 5; hours++) { /* as one that is at work */
        test_clock_move(&f.clock, OWNER_TOUCH_MS * INT64_C(1000));
        assert_int_equal(check(&f, f.dir), HF_USAGE);
        hf_must(hf_owner_touch(&f.archive, &f.owner, &f.clock.base, &f.err), &f.err);
    }
    test_clock_move(&f.clock, 2 * OWNER_TOUCH_MS * INT64_C(1000));
    hf_must(check(&f, f.dir), &f.err);
    fixture_done(&f);
}

static void an_owner_whose_clock_is_ahead_is_not_ended(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    claim(&f);
    test_clock_move(&f.clock, -86400 * INT64_C(1000000));
    assert_int_equal(check(&f, f.dir), HF_USAGE);
    fixture_done(&f);
}

/* Killed between the note and the claim, or between the claim and its note: one of the two notes is
 * the owner's. */
static void a_claim_that_was_cut_short_is_ours_all_the_same(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    claim(&f);
    HF_AUTO_FREE char *ours = folder(&f, "ours", true);
    const struct hf_archiver_env env = {.fs = hf_fs_system()};
    struct partition next = {.env = &env, .state_dir = ours};

    hf_owner_init(&next.owner, &f.rand, "host", 78);
    hf_must(partition_note_claiming(&next, &f.err), &f.err);
    hf_must(check(&f, ours), &f.err); /* the owner is still the one before */
    hf_must(hf_owner_claim(&f.archive, &next.owner, hf_now_ms(&f.clock.base), &f.err), &f.err);
    hf_must(check(&f, ours), &f.err);
    partition_note_claimed(&next);
    hf_must(check(&f, ours), &f.err);
    fixture_done(&f);
}

static void an_owner_over_this_very_folder_has_ended(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    claim(&f);
    HF_AUTO_FREE char *ours = folder(&f, "ours", true);
    HF_AUTO_FREE char *other = folder(&f, "other", false);
    HF_AUTO_FREE char *from = hf_strfmt("%s/claimed", ours);
    HF_AUTO_FREE char *to = hf_strfmt("%s/claimed", other);

    hf_must(check(&f, ours), &f.err);
    assert_int_equal(check(&f, other), HF_USAGE);
    hf_must(hf_fs_link(hf_fs_system(), from, to, &f.err), &f.err); /* a copy of the folder */
    assert_int_equal(check(&f, other), HF_USAGE);
    claim(&f); /* by another, since */
    assert_int_equal(check(&f, ours), HF_USAGE);
    fixture_done(&f);
}

static enum hf_code check_database(struct fixture *f, const char *host, const char *path)
{
    const struct hf_archiver_env env = {.fs = hf_fs_system()};
    HF_AUTO_FREE char *own = hf_strdup(path);
    struct partition p = {.env = &env, .archive = f->archive};
    struct hf_owner owner = {0}; /* as before any claim */
    const enum hf_code rc = hf_owner_read(&f->archive, &owner, &f->err);

    assert_true(rc == HF_OK || rc == HF_NOT_FOUND);
    p.target.db_path = own;
    p.target.url = "mem:";
    hf_owner_init(&p.owner, &f->rand, host, 78);
    hf_owner_set_database(&p.owner, path);
    return partition_check_database(&p, &owner, &f->err);
}

static char *file(struct fixture *f, const char *name)
{
    char *path = hf_strfmt("%s/%s", f->dir, name);

    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str("x"), 0600, &f->err), &f->err);
    return path;
}

static void another_database_of_this_machine_that_is_still_there_is_not_archived_over(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    HF_AUTO_FREE char *a = file(&f, "a 100%.db");
    HF_AUTO_FREE char *b = file(&f, "b.db");
    HF_AUTO_FREE char *link = hf_strfmt("%s/link.db", f.dir);

    hf_must(check_database(&f, "host", b), &f.err); /* nobody's */
    claim(&f);
    hf_must(check_database(&f, "host", b), &f.err); /* its owner did not say which */
    hf_owner_init(&f.owner, &f.rand, "host", 77);
    hf_owner_set_database(&f.owner, a);
    hf_must(hf_owner_claim(&f.archive, &f.owner, hf_now_ms(&f.clock.base), &f.err), &f.err);
    assert_int_equal(check_database(&f, "host", b), HF_USAGE);
    assert_non_null(strstr(f.err.text, a));
    assert_non_null(strstr(f.err.text, b));
    hf_must(hf_owner_touch(&f.archive, &f.owner, &f.clock.base, &f.err), &f.err);
    assert_int_equal(check_database(&f, "host", b), HF_USAGE);

    hf_must(check_database(&f, "host", a), &f.err);
    hf_must(check_database(&f, "elsewhere", b), &f.err); /* its paths are not ours */
    hf_must(hf_fs_link(hf_fs_system(), a, link, &f.err), &f.err);
    hf_must(check_database(&f, "host", link), &f.err); /* the same by another name */
    hf_must(hf_fs_unlink(hf_fs_system(), a, &f.err), &f.err);
    hf_must(check_database(&f, "host", b), &f.err); /* it took the other's place */
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_that_nobody_owns_is_free),
        cmocka_unit_test(an_owner_that_was_seen_lately_is_not_ended),
        cmocka_unit_test(an_owner_whose_clock_is_ahead_is_not_ended),
        cmocka_unit_test(an_owner_over_this_very_folder_has_ended),
        cmocka_unit_test(a_claim_that_was_cut_short_is_ours_all_the_same),
        cmocka_unit_test(another_database_of_this_machine_that_is_still_there_is_not_archived_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
