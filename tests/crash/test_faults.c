/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_faults.c
 *
 * Goal: whichever call of the file system fails while a database is captured, no segment is made
 * twice or left out, the next round or the next attach goes on, and no lock is left behind.
 * Method: one scenario (snapshot, rounds, restarts of the log, a catch-up, letting go and coming
 * back) is run once to count the calls, then once for each call that fails: alone, with its effect
 * made and its success hidden, and with all calls after it until the step is over. At the end the
 * restored database is the live one, and the application's TRUNCATE gets through.
 */
#include <stdio.h>

#include "engine/sqlite/digest.h"
#include "lib/capture_book.h"
#include "lib/fs_fault.h"

#define TRIES_MAX 4 /* of one step; a single failure costs one */

/* How a step that failed is taken up again. */
enum style {
    STYLE_AGAIN,   /* the same call once more, if it was a round */
    STYLE_REATTACH /* let everything go, open it again, adopt what the state lacks */
};

struct run {
    struct book *b;
    struct fs_fault fault;
    sqlite3 *app;
    enum style style;
    bool from_then_on;
    unsigned failures;
};

/* A step failed: from now on the disk works again, if all was to fail. */
static void note_failure(struct run *r)
{
    r->failures++;
    if (r->from_then_on)
        fs_fault_disarm(&r->fault);
}

/* Everything from the files: open, adopt, attach, and what is needed. */
static enum hf_code come_back(struct run *r, struct hf_err *err)
{
    struct book *b = r->b;
    enum hf_live_need need = HF_LIVE_FOLLOW;
    bool lost = false;
    bool made = false;
    enum hf_code rc = HF_OK;

    book_kill(b);
    rc = book_try_open(b, err);
    while (rc == HF_OK && b->live->ops->state(b->live)->txid < b->count)
        rc = book_adopt(b, b->live->ops->state(b->live)->txid + 1, err);
    if (rc == HF_OK)
        rc = b->live->ops->attach(b->live, &need, &lost, err);
    if (rc != HF_OK)
        return rc;
    assert_false(lost);
    if (need == HF_LIVE_SNAPSHOT) {
        rc = b->live->ops->snapshot(b->live, err);
        return rc == HF_OK ? b->live->ops->give_snapshot(b->live, &b->taker, NULL, err) : rc;
    }
    return need == HF_LIVE_CATCH_UP ? b->live->ops->catch_up(b->live, &b->taker, &made, err)
                                    : HF_OK;
}

static void must_come_back(struct run *r)
{
    struct hf_err err;

    for (int i = 0; i < TRIES_MAX; i++) {
        if (come_back(r, &err) == HF_OK)
            return;
        note_failure(r);
    }
    fail_msg("capture does not come back: %s", err.text);
}

static void round_once(struct run *r, struct hf_round *round)
{
    struct book *b = r->b;
    struct hf_err err;

    for (int i = 0; i < TRIES_MAX; i++) {
        test_clock_move(&b->clock, 50000);
        const enum hf_code rc = b->live->ops->round(b->live, round, &b->taker, &err);

        if (rc == HF_OK)
            return;
        note_failure(r);
        if (r->style == STYLE_REATTACH || rc == HF_CONFLICT)
            must_come_back(r);
    }
    fail_msg("rounds do not go on: %s", err.text);
}

static void rest(struct run *r)
{
    struct hf_round round = {.cut = true};

    for (int i = 0; i < 100; i++) {
        round_once(r, &round);
        if (round.resting)
            return;
    }
    fail_msg("capture did not come to rest");
}

static void commit(struct run *r, int bytes)
{
    book_exec(r->app, "INSERT INTO t(b) VALUES(randomblob(%d))", bytes);
}

static void let_go_and_come_back(struct run *r)
{
    struct book *b = r->b;
    enum hf_live_need need;
    bool lost;
    struct hf_err err;

    b->live->ops->detach(b->live);
    commit(r, 3000);
    if (b->live->ops->attach(b->live, &need, &lost, &err) == HF_OK && need == HF_LIVE_FOLLOW)
        return;
    must_come_back(r);
}

static void scenario(struct run *r)
{
    struct hf_round cut = {.cut = true};
    struct hf_round keep = {.cut = false};

    must_come_back(r);
    for (int i = 0; i < 4; i++) {
        commit(r, 2000 + i * 5000);
        round_once(r, i == 2 ? &keep : &cut);
    }
    rest(r);
    commit(r, 20000); /* restarts the log */
    round_once(r, &cut);
    book_exec(r->app, "DELETE FROM t WHERE a > 3; VACUUM");
    round_once(r, &cut);
    let_go_and_come_back(r);
    round_once(r, &cut);
    book_kill(r->b);
    commit(r, 9000);
    book_exec(r->app, "PRAGMA wal_checkpoint(TRUNCATE)");
    commit(r, 9000);
    must_come_back(r); /* by a catch-up */
    commit(r, 100);
    round_once(r, &cut);
}

static void check_end(struct run *r)
{
    struct book *b = r->b;
    struct hf_buf live;

    rest(r);
    struct hf_buf restored = book_image(b, b->count);

    live = book_live_image(r->app);
    book_same(&restored, &live, b->infos[0].page_bytes);
    hf_buf_done(&restored);
    hf_buf_done(&live);
    commit(r, 100);
    b->live->ops->detach(b->live);
    (void)sqlite3_busy_timeout(r->app, 0);
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(r->app, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
}

/* Run the scenario by the plan; the number of calls that it made. */
static uint64_t run_by(struct fs_fault_plan plan, enum style style)
{
    struct run r = {.b = book_new(), .style = style, .from_then_on = plan.from_then_on};

    fs_fault_init(&r.fault, hf_fs_system());
    r.fault.skips_sync = true;
    r.b->fs = &r.fault.base;
    r.app = book_app(r.b, "PRAGMA page_size=1024; PRAGMA synchronous=OFF");
    book_exec(r.app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(r.app, "INSERT INTO t(b) VALUES(randomblob(30000))");
    fs_fault_arm(&r.fault, plan);
    scenario(&r);
    fs_fault_disarm(&r.fault);
    const uint64_t calls = r.fault.guarded.calls;

    if (plan.fail_at > 0 && plan.fail_at <= calls)
        assert_true(r.fault.guarded.failed > 0);
    check_end(&r);
    (void)sqlite3_close(r.app);
    book_free(r.b);
    fs_fault_done(&r.fault);
    return calls;
}

/* With every call, or every `step`-th. */
static void fail_each(struct fs_fault_plan plan, enum style style, uint64_t step)
{
    const uint64_t calls = run_by((struct fs_fault_plan){.kinds = plan.kinds}, style);

    assert_true(calls > 20);
    for (uint64_t i = 1; i <= calls; i += step) {
        plan.fail_at = i;
        (void)run_by(plan, style);
    }
    print_message("%llu calls\n", (unsigned long long)calls);
}

static void after_any_failure_the_next_round_goes_on(void **state)
{
    (void)state;
    fail_each((struct fs_fault_plan){.code = HF_IO}, STYLE_AGAIN, 1);
}

static void after_any_failure_a_new_attach_goes_on(void **state)
{
    (void)state;
    fail_each((struct fs_fault_plan){.code = HF_IO}, STYLE_REATTACH, 2);
}

static void a_success_that_looked_like_a_failure_changes_nothing(void **state)
{
    (void)state;
    fail_each((struct fs_fault_plan){.kinds = FS_ALL & ~FS_READ, .after_effect = true}, STYLE_AGAIN,
              1);
}

static void when_everything_fails_for_a_while_capture_goes_on_afterwards(void **state)
{
    (void)state;
    fail_each(
        (struct fs_fault_plan){.kinds = FS_ALL & ~FS_READ, .from_then_on = true, .code = HF_FULL},
        STYLE_AGAIN, 1);
}

/* ---- the journal of the digest ------------------------------------------------------------- */

#define MANY_PAGES 50000 /* changed by a commit: the third one makes the journal long */
#define COMMITS    4

static void commit_to_digest(struct digest *d, uint64_t txid, struct fs_fault *fault)
{
    HF_AUTO_FREE struct digest_change *changes = hf_calloc(MANY_PAGES, sizeof(*changes));
    struct digest_mark mark = {.txid = txid, .page_bytes = 512, .pages_count = MANY_PAGES};
    struct hf_err err;
    enum hf_code rc = HF_IO;

    for (uint32_t i = 0; i < MANY_PAGES; i++)
        changes[i] = (struct digest_change){
            .pgno = i + 1, .entry = {.hash = {txid, i}, .sum = UINT64_C(1) << 63 | i}};
    hf_must(digest_next(d, changes, MANY_PAGES, &mark, &err), &err);
    for (int i = 0; i < TRIES_MAX && rc != HF_OK; i++)
        rc = digest_commit(d, changes, MANY_PAGES, &mark, &err);
    hf_must(rc, &err);
    assert_int_equal(digest_mark(d)->txid, txid);
    if (txid == COMMITS)
        fs_fault_disarm(fault);
}

/* The calls that the commits made; afterwards a new one finds what was committed. */
static uint64_t commit_by(struct fs_fault_plan plan)
{
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *path = hf_strfmt("%s/digest", dir);
    struct fs_fault fault;
    struct digest *d = NULL;
    const char *why = NULL;
    struct hf_err err;

    fs_fault_init(&fault, hf_fs_system());
    fault.skips_sync = true;
    hf_must(digest_open(&fault.base, path, &d, &why, &err), &err);
    fs_fault_arm(&fault, plan);
    for (uint64_t txid = 1; txid <= COMMITS; txid++)
        commit_to_digest(d, txid, &fault);
    const uint64_t calls = fault.guarded.calls;
    const struct hf_root root = digest_mark(d)->root;

    digest_free(d);
    hf_must(digest_open(&fault.base, path, &d, &why, &err), &err);
    assert_null(why);
    assert_int_equal(digest_mark(d)->txid, COMMITS);
    assert_true(hf_root_equal(digest_mark(d)->root, root));
    digest_free(d);
    fs_fault_done(&fault);
    test_tmp_remove(dir);
    return calls;
}

/* But for the many neighbouring writes to the array, each of which is as any other. */
static void a_commit_to_the_digest_that_failed_is_repeated(void **state)
{
    const unsigned kinds = FS_ALL & ~FS_WRITE & ~FS_READ;

    (void)state;
    for (int after_effect = 0; after_effect < 2; after_effect++) {
        const uint64_t calls = commit_by((struct fs_fault_plan){.kinds = kinds});

        assert_true(calls > COMMITS); /* the journal was shortened */
        for (uint64_t i = 1; i <= calls; i++)
            (void)commit_by((struct fs_fault_plan){
                .kinds = kinds, .fail_at = i, .after_effect = after_effect != 0});
        for (uint64_t i = 1; i < 900; i += 197)
            (void)commit_by((struct fs_fault_plan){
                .kinds = FS_WRITE, .fail_at = i, .after_effect = after_effect != 0});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_any_failure_the_next_round_goes_on),
        cmocka_unit_test(after_any_failure_a_new_attach_goes_on),
        cmocka_unit_test(a_success_that_looked_like_a_failure_changes_nothing),
        cmocka_unit_test(a_commit_to_the_digest_that_failed_is_repeated),
        cmocka_unit_test(when_everything_fails_for_a_while_capture_goes_on_afterwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
