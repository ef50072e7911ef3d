/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: whichever call of the file system fails, nothing acknowledged is lost, no partial object is
 * visible, and the result code says what became of the caller's data.
 * Method: each scenario runs once to count its calls, then once for every n with the n-th call
 * failing: once or from then on, before or after its effect, as an error or as a full device. The
 * oracle is the pair of the old body and the new one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "store/store_file.h"

#define KEY       "table/partition/object"
#define OLD       "old body"
#define NEW       "the new body, which is longer than the old one was"
#define CALLS_MAX 200

enum act { PUT, UPLOAD, DELETE };

static const struct scenario {
    const char *name;
    enum act act;
    enum hf_put_cond cond;
    bool old_exists;
    bool stale; /* if-match with an etag of an earlier version */
    enum hf_code want;
} scenarios[] = {
    {"create by put", PUT, HF_PUT_IF_ABSENT, false, false, HF_OK},
    {"conflict of put", PUT, HF_PUT_IF_ABSENT, true, false, HF_CONFLICT},
    {"put where nothing is", PUT, HF_PUT_ALWAYS, false, false, HF_OK},
    {"put over old", PUT, HF_PUT_ALWAYS, true, false, HF_OK},
    {"put if match", PUT, HF_PUT_IF_MATCH, true, false, HF_OK},
    {"stale put if match", PUT, HF_PUT_IF_MATCH, true, true, HF_CONFLICT},
    {"create by upload", UPLOAD, HF_PUT_IF_ABSENT, false, false, HF_OK},
    {"upload over old", UPLOAD, HF_PUT_ALWAYS, true, false, HF_OK},
    {"upload if match", UPLOAD, HF_PUT_IF_MATCH, true, false, HF_OK},
    {"delete", DELETE, HF_PUT_ALWAYS, true, false, HF_OK},
    {"delete of nothing", DELETE, HF_PUT_ALWAYS, false, false, HF_OK},
};

/* One run of one scenario in a folder of its own. */
struct run {
    const struct scenario *scenario;
    struct fs_fault_plan plan;
    char *root;
    struct fs_fault fs;
    struct hf_store_env env;
    struct hf_put put;
    struct hf_etag etag; /* what the act gave out */
    enum hf_code rc;
    struct hf_err err;
};

static struct hf_store *open_store(struct run *r)
{
    struct hf_store *store = NULL;

    hf_must(hf_store_file_new(r->root, &r->env, &store, &r->err), &r->err);
    return store;
}

/* The old state, put by another process than the one that acts. */
static void prepare(struct run *r)
{
    struct hf_store *store = open_store(r);
    const struct hf_put always = {.cond = HF_PUT_ALWAYS};
    const struct scenario *s = r->scenario;

    r->put = (struct hf_put){.cond = s->cond};
    for (int version = s->stale ? 0 : 1; version <= 1 && s->old_exists; version++)
        hf_must(hf_store_put(store, KEY, hf_slice_str(OLD), &always,
                             version == 0 || !s->stale ? &r->put.match : NULL, &r->err),
                &r->err);
    hf_store_free(store);
}

static enum hf_code upload(struct run *r, struct hf_store *store)
{
    HF_CLEANUP(hf_upload_free_ptr) struct hf_upload *u = NULL;
    const size_t half = strlen(NEW) / 2;
    enum hf_code rc = hf_upload_new(store, KEY, &r->put, &u, &r->err);

    if (rc != HF_OK)
        return rc;
    rc = hf_upload_write(u, hf_slice(NEW, half), &r->err);
    if (rc != HF_OK)
        return rc;
    rc = hf_upload_write(u, hf_slice_str(&NEW[half]), &r->err);
    if (rc != HF_OK)
        return rc;
    return hf_upload_finish(u, &r->etag, &r->err);
}

static void act(struct run *r)
{
    struct hf_store *store = open_store(r);

    fs_fault_arm(&r->fs, r->plan);
    switch (r->scenario->act) {
    case PUT:
        r->rc = hf_store_put(store, KEY, hf_slice_str(NEW), &r->put, &r->etag, &r->err);
        break;
    case UPLOAD:
        r->rc = upload(r, store);
        break;
    case DELETE:
        r->rc = hf_store_delete(store, KEY, &r->err);
        break;
    }
    fs_fault_disarm(&r->fs);
    hf_store_free(store);
}

static void fail_run(const struct run *r, const char *why)
{
    fail_msg("%s, call %u fails%s%s with %s: %s; the act said: %s (%s)", r->scenario->name,
             (unsigned)r->plan.fail_at, r->plan.from_then_on ? " and all behind it" : "",
             r->plan.after_effect ? " after its effect" : "", hf_code_text(r->plan.code), why,
             r->rc == HF_OK ? "-" : r->err.text, hf_code_text(r->rc));
}

enum found { FOUND_NOTHING, FOUND_OLD, FOUND_NEW };

/* What a fresh process finds, which must be something whole. */
static enum found look(struct run *r, struct hf_object *ret_object)
{
    struct hf_store *store = open_store(r);
    HF_AUTO_BUF got = {0};
    struct hf_err err;
    const enum hf_code rc = hf_store_get(store, KEY, 0, 0, &got, ret_object, &err);

    hf_store_free(store);
    if (rc == HF_NOT_FOUND)
        return FOUND_NOTHING;
    hf_must(rc, &err);
    if (strcmp(hf_buf_str(&got), NEW) == 0)
        return FOUND_NEW;
    if (strcmp(hf_buf_str(&got), OLD) != 0)
        fail_run(r, "a mixed or partial object is visible");
    return FOUND_OLD;
}

/* The call by which the act takes effect, in the undisturbed run: a failure before it is certain.
 */
static uint64_t point_of_no_return(const struct run *clean)
{
    static const int kinds[] = {FS_LINK_INDEX, FS_RENAME_INDEX, FS_SYNC_DIR_INDEX};
    static const int delete_kinds[] = {FS_UNLINK_INDEX, FS_SYNC_DIR_INDEX};
    const bool is_delete = clean->scenario->act == DELETE;
    const int *all = is_delete ? delete_kinds : kinds;

    for (size_t i = 0; i < (is_delete ? HF_ARRAY_LEN(delete_kinds) : HF_ARRAY_LEN(kinds)); i++) {
        if (clean->fs.guarded.first_at[all[i]] != 0)
            return clean->fs.guarded.first_at[all[i]];
    }
    return UINT64_MAX; /* it never came that far: nothing can be uncertain */
}

static void judge(struct run *r, uint64_t no_return)
{
    const enum found before = r->scenario->old_exists ? FOUND_OLD : FOUND_NOTHING;
    const enum found after = r->scenario->act == DELETE ? FOUND_NOTHING : FOUND_NEW;
    struct hf_object object = {0};
    const enum found found = look(r, &object);

    if (r->rc == HF_OK && r->scenario->want != HF_OK)
        fail_run(r, "a conflict was overlooked");
    if (r->rc == HF_OK && found != after)
        fail_run(r, "what was acknowledged is not there");
    if (r->rc == HF_OK && after == FOUND_NEW && strcmp(object.etag.str, r->etag.str) != 0)
        fail_run(r, "the etag given out is not that of the object");
    if (r->rc == HF_CONFLICT && r->scenario->want != HF_CONFLICT)
        fail_run(r, "nothing conflicts here");
    if (r->rc == HF_NOT_FOUND || r->rc == HF_BUSY || r->rc == HF_USAGE)
        fail_run(r, "that is no answer to the caller");
    if (r->rc == HF_UNCERTAIN && r->plan.fail_at < no_return)
        fail_run(r, "nothing was uncertain yet");
    if (r->rc == HF_UNCERTAIN && found != before && found != after)
        fail_run(r, "neither the old state nor the new");
    /* A delete whose answer is lost may have happened: it is repeated whatever it said. */
    if (r->rc != HF_OK && r->rc != HF_UNCERTAIN && found != before && r->scenario->act != DELETE)
        fail_run(r, "it failed for certain, and wrote all the same");
}

static enum hf_code append_key(void *ctx, const char *key, const struct hf_object *object,
                               struct hf_err *err)
{
    (void)object;
    (void)err;
    hf_buf_printf(ctx, "%s ", key);
    return HF_OK;
}

static enum hf_code fail_at_name(void *ctx, const char *name, struct hf_err *err)
{
    (void)err;
    HF_AUTO_FREE char *why = hf_strfmt("%s was not swept", name);

    fail_run(ctx, why);
    return HF_OK;
}

/* Nothing but whole objects is listed, and the next process works as if nothing had been. */
static void judge_aftermath(struct run *r)
{
    HF_AUTO_FREE char *tmp = hf_strfmt("%s%s", r->root, HF_FILE_STORE_TMP);
    const struct hf_put always = {.cond = HF_PUT_ALWAYS};
    HF_AUTO_BUF listed = {0};
    struct hf_object object;
    struct hf_err err;
    const bool there = look(r, &object) != FOUND_NOTHING;
    struct hf_store *store = open_store(r);

    hf_must(hf_store_list(store, "", "", append_key, &listed, &err), &err);
    if (strcmp(hf_buf_str(&listed), there ? KEY " " : "") != 0)
        fail_run(r, "the listing shows something else than the object");
    hf_must(hf_store_put(store, KEY, hf_slice_str(NEW), &always, NULL, &err), &err);
    hf_store_free(store);
    if (look(r, &object) != FOUND_NEW)
        fail_run(r, "the next put did not work");
    hf_must(hf_fs_list(hf_fs_system(), tmp, fail_at_name, r, &err), &err);
}

static void begin(struct run *r, const struct scenario *s, struct fs_fault_plan plan)
{
    *r = (struct run){.scenario = s, .plan = plan, .root = test_tmp_new()};
    fs_fault_init(&r->fs, hf_fs_system());
    r->fs.skips_sync = true; /* what is kept through a power cut is not asked here */
    r->env =
        (struct hf_store_env){&r->fs.base, hf_clock_system(), hf_rand_system(), false, NULL, NULL};
    prepare(r);
    act(r);
}

static void end(struct run *r)
{
    fs_fault_done(&r->fs); /* no descriptor is left open */
    test_tmp_remove(r->root);
}

/* The scenario with the n-th call failing; false when it ends before its n-th call. */
static bool torture_once(const struct scenario *s, struct fs_fault_plan plan, uint64_t no_return)
{
    struct run r;

    begin(&r, s, plan);
    const bool failed = r.fs.guarded.failed > 0;

    judge(&r, no_return);
    if (!failed && r.rc != s->want)
        fail_run(&r, "undisturbed, it should have ended otherwise");
    judge_aftermath(&r);
    end(&r);
    return failed;
}

static void torture(const struct scenario *s)
{
    uint64_t no_return = 0;
    struct run clean;

    begin(&clean, s, (struct fs_fault_plan){0});
    assert_int_equal(clean.rc, s->want);
    no_return = point_of_no_return(&clean);
    end(&clean);
    for (unsigned mode = 0; mode < 4; mode++) {
        struct fs_fault_plan plan = {.from_then_on = (mode & 1) != 0,
                                     .after_effect = (mode & 2) != 0,
                                     .code = (mode & 2) != 0 ? HF_FULL : HF_IO};
        uint64_t n = 1;

        for (plan.fail_at = n; torture_once(s, plan, no_return); plan.fail_at = ++n)
            assert_true(n < CALLS_MAX);
        assert_true(n > 5); /* the faults were met */
    }
}

static void every_failure_of_a_put_is_told_truly(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(scenarios); i++) {
        if (scenarios[i].act == PUT)
            torture(&scenarios[i]);
    }
}

static void every_failure_of_an_upload_is_told_truly(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(scenarios); i++) {
        if (scenarios[i].act == UPLOAD)
            torture(&scenarios[i]);
    }
}

static void every_failure_of_a_delete_is_told_truly(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(scenarios); i++) {
        if (scenarios[i].act == DELETE)
            torture(&scenarios[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_of_a_put_is_told_truly),
        cmocka_unit_test(every_failure_of_an_upload_is_told_truly),
        cmocka_unit_test(every_failure_of_a_delete_is_told_truly),
    };

    /* Thousands of folders come and go; a file system in memory makes that ten times quicker. */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
