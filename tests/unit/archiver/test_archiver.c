/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_archiver.c
 *
 * Goal: partitions of one process do not keep one another waiting: while any number of them start,
 * which waits for the store, those that are followed are followed on.
 * What fails is not tried again without a pause.
 * Method: a run on threads over the engine and stores in memory. The starts are held in a request
 * that does not return before the test says so; nothing is measured, only waited for.
 */
#include <stdio.h>

#include "archiver/step.h"
#include "lib/engine_mem.h"
#include "lib/fixture.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"

#define PAGE_BYTES  512
#define STARTING    9 /* more than any loop has threads */
#define HELD_MIN    4 /* so many starts run at once */
#define COMMITS     6
#define WAIT_MS_MAX 60000

/* What a get of the gated store does. */
enum gate { GATE_FAILS, GATE_HOLDS, GATE_OPEN };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum gate gate;
    unsigned held;
    const struct hf_store_ops *inner;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_gate(enum gate to)
{
    (void)pthread_mutex_lock(&gate.mutex);
    gate.gate = to;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static enum hf_code gated_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                              struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    (void)pthread_mutex_lock(&gate.mutex);
    const bool fails = gate.gate == GATE_FAILS;

    gate.held++;
    (void)pthread_cond_broadcast(&gate.changed);
    while (gate.gate == GATE_HOLDS)
        (void)pthread_cond_wait(&gate.changed, &gate.mutex);
    gate.held--;
    (void)pthread_mutex_unlock(&gate.mutex);
    if (fails)
        return hf_err_set(err, HF_TRANSIENT, "not now");
    return gate.inner->get(s, key, offset, len, ret, ret_object, err);
}

static void wait_held(unsigned count)
{
    (void)pthread_mutex_lock(&gate.mutex);
    while (gate.held < count)
        (void)pthread_cond_wait(&gate.changed, &gate.mutex);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void commit(struct mem_db *db, int n)
{
    uint8_t bytes[PAGE_BYTES];

    (void)memset(bytes, n, sizeof(bytes));
    mem_db_write(db, 1, hf_slice(bytes, sizeof(bytes)));
}

static void wait_archived(struct hf_archiver *a, size_t index, uint64_t txid)
{
    struct hf_archiver_status status = {0};

    for (int ms = 0; status.archived_txid < txid; ms++) {
        if (ms > WAIT_MS_MAX)
            fail_msg("TXID %d of partition %d was not archived", (int)txid, (int)index);
        hf_sleep_ms(hf_clock_system(), 1);
        hf_archiver_status(a, index, &status);
    }
}

static void *run(void *a)
{
    struct hf_err err;

    hf_must(hf_archiver_run(a, false, &err), &err);
    return NULL;
}

static void add(struct hf_archiver *a, const char *dir, struct hf_store *store, int i,
                struct mem_db **ret_db)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%d.db", dir, i);
    HF_AUTO_FREE char *prefix = hf_strfmt("p%d", i);
    HF_AUTO_FREE char *url = hf_strfmt("mem://%d", i);
    const struct hf_archiver_target target = {
        .engine = engine_mem(),
        .name = prefix,
        .db_path = path,
        .store = store,
        .prefix = prefix,
        .url = url,
        .state_root = dir,
        .capture_ms = 50,
    };

    *ret_db = mem_db_new(path, PAGE_BYTES);
    commit(*ret_db, 0);
    hf_archiver_add(a, &target);
}

static void what_is_followed_is_followed_on_while_many_others_start(void **state)
{
    char *dir = test_tmp_new();
    struct store_mem *good = store_mem_new(NULL);
    struct store_mem *gated = store_mem_new(NULL);
    struct hf_pool *pool = hf_pool_new(1);
    hf_stop_flag stop = false;
    const struct hf_archiver_env env = {.fs = hf_fs_system(),
                                        .clock = hf_clock_system(),
                                        .rand = hf_rand_system(),
                                        .pool = pool,
                                        .stop = &stop};
    struct hf_archiver *a = hf_archiver_new(&env);
    struct mem_db *dbs[1 + STARTING];
    struct hf_store_ops ops = *gated->base.ops;
    pthread_t thread;

    (void)state;
    gate.inner = gated->base.ops;
    ops.get = gated_get;
    gated->base.ops = &ops;
    for (int i = 0; i <= STARTING; i++)
        add(a, dir, i == 0 ? &good->base : &gated->base, i, &dbs[i]);
    assert_int_equal(pthread_create(&thread, NULL, run, a), 0);
    wait_archived(a, 0, 1);
    set_gate(GATE_HOLDS);
    wait_held(HELD_MIN);
    for (int n = 1; n <= COMMITS; n++) {
        commit(dbs[0], n);
        wait_archived(a, 0, 1 + (uint64_t)n);
    }
    set_gate(GATE_OPEN);
    for (size_t i = 1; i <= STARTING; i++)
        wait_archived(a, i, 1);
    stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    hf_archiver_free(a);
    for (size_t i = 0; i <= STARTING; i++)
        mem_db_free(dbs[i]);
    gated->base.ops = gate.inner;
    hf_store_free(&good->base);
    hf_store_free(&gated->base);
    hf_pool_free(pool);
    test_tmp_remove(dir);
}

static void a_start_that_fails_is_tried_again_after_a_pause(void **state)
{
    char *dir = test_tmp_new();
    struct store_mem *mem = store_mem_new(NULL);
    struct store_fault *store = store_fault_new(&mem->base);
    struct hf_rand rand = hf_rand_seeded(1);
    struct hf_pool *pool = hf_pool_new(0);
    struct test_clock clock;
    hf_stop_flag stop = false;
    const struct hf_archiver_env env = {
        .fs = hf_fs_system(), .clock = &clock.base, .rand = &rand, .pool = pool, .stop = &stop};
    struct hf_archiver *a = hf_archiver_new(&env);
    struct mem_db *db = NULL;
    int64_t pause_us = 0;

    (void)state;
    test_clock_init(&clock, INT64_C(1700000000000000));
    store_fault_arm(store, (struct store_fault_plan){.fail_at = 1, .from_then_on = true});
    add(a, dir, &store->base, 0, &db);
    hf_archiver_begin(a, false);
    for (int tries = 0; tries < 5; tries++) {
        assert_true(hf_archiver_step(a, HF_ARCHIVER_ATTACH));
        const int64_t next_us = hf_archiver_due_us(a, HF_ARCHIVER_ATTACH) - clock.now_us;

        assert_true(next_us >= (tries == 0 ? 1 : 2 * pause_us));
        pause_us = next_us;
        test_clock_move(&clock, pause_us);
    }
    hf_archiver_free(a);
    mem_db_free(db);
    hf_store_free(&store->base);
    hf_store_free(&mem->base);
    hf_pool_free(pool);
    test_tmp_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_fails_is_tried_again_after_a_pause),
        cmocka_unit_test(what_is_followed_is_followed_on_while_many_others_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
