/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_partition.c
 *
 * Goal: a partition goes through its phases as archiver/DESIGN.md says, whatever fails when: it
 * lets go when it must and comes back, never ends with 0 while commits may be missing, and always
 * ends when it is told to.
 * Method: the three jobs are called by hand, one after the other, on a clock of the test, over the
 * engine and the store in memory, whose requests can be made to fail; the state's folder is real.
 */
#include <inttypes.h>

#include "archive/catchups.h"
#include "archiver/partition.h"
#include "lib/engine_mem.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/store_fault.h"
#include "lib/store_mem.h"

#define PAGE_BYTES       512
#define LARGE_PAGE_BYTES 65536
#define GIB              (UINT64_C(1) << 30)
#define MIB              (UINT64_C(1) << 20)
#define STEPS_MAX        200000

/* A file system of which only the free space is told otherwise, and one file can be lost. */
struct odd_fs {
    struct hf_fs base; /* first, so that the pointers convert */
    uint64_t free_bytes;
};

struct rig {
    char *dir;
    uint32_t page_bytes;
    struct odd_fs fs;
    struct hf_fs_ops fs_ops;
    struct test_clock clock;
    struct hf_rand rand;
    hf_stop_flag stop;
    _Atomic unsigned slots;
    struct hf_pool *pool;
    struct store_mem *mem;
    struct store_fault *store;
    struct mem_db *db;
    char *db_path;
    struct hf_archiver_env env;
    struct hf_control_server *server;
    struct hf_loop *loop; /* never run: its jobs are only woken */
    struct partition *p;
    struct hf_engine engine;
    struct hf_live_ops live_ops;
};

static int64_t never(void *ctx)
{
    (void)ctx;
    return HF_JOB_ENDED;
}

static enum hf_code tell_space(struct hf_fs *fs, const char *path, uint64_t *ret_free_bytes,
                               uint64_t *ret_total_bytes, struct hf_err *err)
{
    (void)path;
    (void)err;
    *ret_free_bytes = ((struct odd_fs *)fs)->free_bytes;
    *ret_total_bytes = UINT64_C(1) << 40;
    return HF_OK;
}

static void start_partition(struct rig *r, bool once)
{
    const struct hf_archiver_target target = {
        .engine = &r->engine,
        .name = "db",
        .db_path = r->db_path,
        .store = &r->store->base,
        .prefix = "a",
        .url = "mem://a",
        .state_root = r->dir,
        .capture_ms = 1000,
    };

    r->p = partition_new(&r->env, &target);
    r->p->once = once;
    r->p->server = r->server;
    r->p->snapshot_slots = &r->slots;
    r->p->attach_job = hf_loop_add(r->loop, never, NULL);
    r->p->capture_job = hf_loop_add(r->loop, never, NULL);
    r->p->upload_job = hf_loop_add(r->loop, never, NULL);
}

static void write_page(struct rig *r, uint64_t page)
{
    HF_AUTO_BUF bytes = {0};

    (void)memset(hf_buf_extend(&bytes, r->page_bytes), (int)hf_rand_below(&r->rand, 256),
                 r->page_bytes);
    mem_db_write(r->db, page, hf_buf_slice(&bytes));
}

static int set_up(void **state, uint32_t page_bytes)
{
    struct rig *r = hf_calloc(1, sizeof(*r));
    struct hf_err err;

    r->page_bytes = page_bytes;
    r->slots = 1;
    r->dir = test_tmp_new();
    r->fs_ops = *hf_fs_system()->ops;
    r->fs_ops.space = tell_space;
    r->fs = (struct odd_fs){.base = {.ops = &r->fs_ops}, .free_bytes = UINT64_C(1) << 39};
    test_clock_init(&r->clock, INT64_C(1700000000000000));
    r->rand = hf_rand_seeded(7);
    r->pool = hf_pool_new(0);
    r->mem = store_mem_new(&r->clock.base);
    r->store = store_fault_new(&r->mem->base);
    r->db_path = hf_strfmt("%s/app.db", r->dir);
    r->db = mem_db_new(r->db_path, page_bytes);
    r->engine = *engine_mem();
    r->env = (struct hf_archiver_env){.fs = &r->fs.base,
                                      .clock = &r->clock.base,
                                      .rand = &r->rand,
                                      .pool = r->pool,
                                      .stop = &r->stop};
    hf_must(hf_control_server_new(&r->server, &err), &err);
    r->loop = hf_loop_new(1, hf_clock_system());
    for (uint64_t page = 1; page <= 4; page++)
        write_page(r, page);
    start_partition(r, false);
    *state = r;
    return 0;
}

static int setup(void **state)
{
    return set_up(state, PAGE_BYTES);
}

static int setup_large(void **state)
{
    return set_up(state, LARGE_PAGE_BYTES);
}

static void end_partition(struct rig *r)
{
    partition_stop(r->p, PHASE_ENDED);
    partition_free(r->p);
    r->p = NULL;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    end_partition(r);
    hf_loop_free(r->loop);
    hf_control_server_free(r->server);
    mem_db_free(r->db);
    hf_store_free(&r->store->base);
    hf_store_free(&r->mem->base);
    hf_pool_free(r->pool);
    test_tmp_remove(r->dir);
    hf_free(r->db_path);
    hf_free(r);
    return 0;
}

/* ---- driving it ------------------------------------------------------------------------------ */

/* Each job once, and 50 ms pass. */
static void step(struct rig *r)
{
    (void)partition_attach(r->p);
    (void)partition_capture(r->p);
    (void)partition_upload(r->p);
    test_clock_move(&r->clock, 50000);
}

static void until_phase(struct rig *r, enum partition_phase phase)
{
    for (int i = 0; partition_phase(r->p) != phase; i++) {
        if (i == STEPS_MAX)
            fail_msg("phase %d was not reached from %d", phase, partition_phase(r->p));
        step(r);
    }
}

static void capture_a_commit(struct rig *r, struct partition *p, uint64_t page)
{
    write_page(r, page);
    test_clock_move(&r->clock, 1000000);
    (void)partition_capture(p);
}

/* TXID 2 is in the spool, and the first snapshot has not been given yet. */
static void spool_beside_first_snapshot(struct rig *r)
{
    while (partition_phase(r->p) != PHASE_FOLLOW)
        (void)partition_attach(r->p);
    write_page(r, 3);
    test_clock_move(&r->clock, 2 * INT64_C(1000000));
    (void)partition_capture(r->p);
    assert_int_equal(spool_first(r->p->spool), 2);
}

static void for_seconds(struct rig *r, int seconds)
{
    for (int i = 0; i < seconds * 20; i++)
        step(r);
}

static uint64_t archived(struct rig *r)
{
    return r->p->guarded.status.archived_txid;
}

/* A commit, archived. */
static void until_archived(struct rig *r)
{
    write_page(r, 2);
    for (int i = 0; i < STEPS_MAX; i++) {
        step(r);
        if (partition_phase(r->p) == PHASE_FOLLOW && r->p->guarded.status.caught_up)
            return;
    }
    fail_msg("not archived");
}

/* Told to stop: it ends, within `seconds` of its clock, with this code. */
static void must_end(struct rig *r, int seconds, enum hf_code code)
{
    r->stop = true;
    for (int i = 0; i < seconds * 20 && partition_phase(r->p) != PHASE_ENDED; i++)
        step(r);
    assert_int_equal(partition_phase(r->p), PHASE_ENDED);
    if (r->p->guarded.status.failure != code)
        fail_msg("ended with %s: %s", hf_code_text(r->p->guarded.status.failure),
                 r->p->guarded.status.failure_text);
}

static uint64_t odd_log_bytes;
static enum hf_code (*true_round)(struct hf_live *, struct hf_round *, struct hf_taker *,
                                  struct hf_err *);

/* Rounds go to `round` instead of the engine's; NULL: to that again. */
static void replace_round(struct rig *r, enum hf_code (*round)(struct hf_live *, struct hf_round *,
                                                               struct hf_taker *, struct hf_err *))
{
    if (r->p->live->ops != &r->live_ops) {
        r->live_ops = *r->p->live->ops;
        true_round = r->live_ops.round;
        r->p->live->ops = &r->live_ops;
    }
    r->live_ops.round = round != NULL ? round : true_round;
}

static void break_store(struct rig *r)
{
    store_fault_arm(r->store, (struct store_fault_plan){.fail_at = 1, .from_then_on = true});
}

static enum hf_code failing_round(struct hf_live *l, struct hf_round *round, struct hf_taker *t,
                                  struct hf_err *err)
{
    (void)l;
    (void)round;
    (void)t;
    return hf_err_set(err, HF_IO, "the log cannot be read");
}

static enum hf_code damaged_round(struct hf_live *l, struct hf_round *round, struct hf_taker *t,
                                  struct hf_err *err)
{
    (void)l;
    (void)round;
    (void)t;
    return hf_err_set(err, HF_DAMAGE, "the log is damaged");
}

/* As if somebody held the checkpoint lock for ever. */
static enum hf_code hindered_round(struct hf_live *l, struct hf_round *round, struct hf_taker *t,
                                   struct hf_err *err)
{
    (void)l;
    (void)t;
    (void)err;
    round->wait_ms = 5;
    round->current = false;
    return HF_OK;
}

static enum hf_code round_with_large_log(struct hf_live *l, struct hf_round *round,
                                         struct hf_taker *t, struct hf_err *err)
{
    const enum hf_code rc = true_round(l, round, t, err);

    round->log_bytes = odd_log_bytes;
    return rc;
}

/* ---- breaks ---------------------------------------------------------------------------------- */

static void a_log_that_does_not_continue_is_caught_up_with_and_remembered(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    mem_db_restart_log(r->db);
    (void)partition_capture(r->p);
    assert_false(r->p->guarded.status.caught_up);
    until_archived(r);
    assert_int_equal(r->p->guarded.status.breaks_count, 1);
    must_end(r, 60, HF_OK);
}

static void with_once_a_log_that_does_not_continue_ends_it(void **state)
{
    struct rig *r = *state;

    r->p->once = true;
    while (partition_phase(r->p) != PHASE_FOLLOW)
        (void)partition_attach(r->p);
    mem_db_restart_log(r->db);
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_CONFLICT);
}

static void a_database_that_is_missing_is_waited_for(void **state)
{
    struct rig *r = *state;

    mem_db_free(r->db);
    for_seconds(r, 60);
    assert_int_equal(partition_phase(r->p), PHASE_START);
    assert_int_equal(r->p->guarded.status.failure, HF_OK);
    r->db = mem_db_new(r->db_path, PAGE_BYTES);
    write_page(r, 1);
    until_archived(r);
}

static void with_once_a_database_that_is_missing_ends_it(void **state)
{
    struct rig *r = *state;

    mem_db_free(r->db);
    r->p->once = true;
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_USAGE);
    r->db = mem_db_new(r->db_path, PAGE_BYTES);
}

static void damage_of_the_log_begins_it_again_once_and_once_more_after_it_went_well(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 3; i++) {
        until_archived(r);
        until_archived(r);
        replace_round(r, damaged_round);
        until_phase(r, PHASE_RESTART);
        until_phase(r, PHASE_FOLLOW);
    }
    replace_round(r, damaged_round); /* at once, and nothing has been archived since */
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_DAMAGE);
}

static void rounds_that_fail_are_tried_at_a_hand_overs_pace_and_then_the_log_is_let_go(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    replace_round(r, failing_round);
    const int64_t since_us = r->clock.now_us;

    while (partition_phase(r->p) == PHASE_FOLLOW) {
        const int64_t again_ms = partition_capture(r->p);

        assert_true(again_ms <= 1000);
        assert_true(r->clock.now_us - since_us < 60000000);
        test_clock_move(&r->clock, again_ms > 0 ? again_ms * 1000 : 0);
    }
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    replace_round(r, NULL);
    until_archived(r);
    must_end(r, 60, HF_OK);
}

static char *spooled_path(struct rig *r, uint64_t txid)
{
    return hf_strfmt("%s/spool/%016" PRIx64 ".ltx", r->p->state_dir, txid);
}

static void a_spool_file_that_vanished_is_caught_up_with(void **state)
{
    struct rig *r = *state;
    struct hf_err err;

    until_archived(r);
    break_store(r);
    write_page(r, 3);
    for_seconds(r, 3);
    const uint64_t txid = spool_first(r->p->spool);
    HF_AUTO_FREE char *path = spooled_path(r, txid);

    assert_true(txid > archived(r));
    hf_must(hf_fs_unlink(hf_fs_system(), path, &err), &err);
    store_fault_disarm(r->store);
    until_archived(r);
    must_end(r, 60, HF_OK);
}

/* The key of the segment that ends with a TXID, as it was captured. */
static void key_of(struct rig *r, uint64_t txid, char *ret)
{
    const struct hf_segment segment = {
        .level = txid == 1 ? HF_LEVEL_SNAPSHOT : 0, .min_txid = txid, .max_txid = txid};

    hf_archive_segment_key(&r->p->archive, &segment, ret);
}

/* The time of a TXID in the archive. */
static int64_t time_of(struct rig *r, uint64_t txid)
{
    const struct store_mem_object *o;
    char key[HF_KEY_MAX + 1];
    struct hf_seg_info info;
    struct hf_err err;

    key_of(r, txid, key);
    o = store_mem_find(r->mem, key);
    assert_non_null(o);
    hf_must(engine_mem()->codec->info(hf_buf_slice(&o->body), &info, &err), &err);
    assert_int_equal(info.max_txid, txid);
    return info.time_ms;
}

/* The TXID is in the archive with this time. */
static bool is_archived_with(struct rig *r, uint64_t txid, int64_t time_ms)
{
    char key[HF_KEY_MAX + 1];

    key_of(r, txid, key);
    return store_mem_find(r->mem, key) != NULL && time_of(r, txid) == time_ms;
}

/* One bit of the time in a segment's header, nine hours' worth; or, again, undone. */
static void damage_time(struct rig *r, const char *key)
{
    store_mem_corrupt(r->mem, key, 28, 2);
}

/* A bit behind the header; or, again, undone. */
static void damage_middle(struct rig *r, const char *key)
{
    store_mem_corrupt(r->mem, key, store_mem_find(r->mem, key)->body.len / 2, 1);
}

/* The oldest gap that the archive lists. */
static struct hf_gap first_gap(struct rig *r)
{
    struct hf_archive *a = &r->p->archive;
    HF_AUTO_SEG_LIST all = {0};
    HF_AUTO_GAPS gaps = {0};
    struct hf_err err;

    hf_must(hf_listing_all(a, &all, &err), &err);
    hf_must(hf_catchups_list(a, engine_mem()->codec, &all, 9, &gaps, &err), &err);
    assert_true(gaps.count > 0);
    return gaps.items[0];
}

/* What the archive's last object says is proved before anything is put behind it, and until it is
 * mended the spool is kept: that is all there is of these moments. */
static void behind_a_head_with_a_damaged_time_nothing_is_put(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    const uint64_t head = archived(r);
    const int64_t head_ms = time_of(r, head);
    char key[HF_KEY_MAX + 1];

    key_of(r, head, key);
    break_store(r);
    mem_db_restart_log(r->db);
    write_page(r, 3);
    for_seconds(r, 10);
    assert_true(spool_first(r->p->spool) == head + 1);
    const int64_t captured_ms = r->p->live->ops->state(r->p->live)->time_ms;

    end_partition(r);
    store_fault_disarm(r->store);
    damage_time(r, key);
    start_partition(r, false);
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_DAMAGE);
    assert_true(time_of(r, head) != head_ms);
    end_partition(r);

    damage_time(r, key); /* and back again */
    start_partition(r, false);
    test_clock_move(&r->clock, 3600 * INT64_C(1000000));
    until_archived(r);
    const struct hf_gap gap = first_gap(r);

    assert_int_equal(gap.from_txid, head);
    assert_int_equal(gap.from_ms, head_ms);
    assert_int_equal(gap.to_ms, captured_ms);
    assert_int_equal(time_of(r, head + 1), captured_ms);
}

/* A repair of the file system, or a person, gave two files each other's names. */
static void swap_spooled(struct rig *r, uint64_t a, uint64_t b)
{
    HF_AUTO_FREE char *one = spooled_path(r, a);
    HF_AUTO_FREE char *other = spooled_path(r, b);
    HF_AUTO_FREE char *between = hf_strfmt("%s/between", r->dir);
    struct hf_err err;

    hf_must(hf_fs_rename(hf_fs_system(), one, between, &err), &err);
    hf_must(hf_fs_rename(hf_fs_system(), other, one, &err), &err);
    hf_must(hf_fs_rename(hf_fs_system(), between, other, &err), &err);
}

static void spool_files_that_were_mixed_up_are_caught_up_with(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    const uint64_t head = archived(r);

    break_store(r);
    for (uint64_t page = 3; page <= 4; page++) {
        write_page(r, page);
        for_seconds(r, 3);
    }
    assert_int_equal(spool_first(r->p->spool), head + 1);
    assert_int_equal(spool_last(r->p->spool), head + 2);
    swap_spooled(r, head + 1, head + 2);
    store_fault_disarm(r->store);
    until_archived(r);
    for (uint64_t txid = 2; txid <= archived(r); txid++) /* each is under its name */
        assert_true(time_of(r, txid) >= time_of(r, txid - 1));
    must_end(r, 60, HF_OK);
}

/* The partition with its jobs, over a local state of its own and a store that always answers. */
static struct partition *start_beside(struct rig *r, const char *name)
{
    struct partition *mine = r->p;
    struct partition *rival;
    HF_AUTO_FREE char *dir = r->dir;

    r->dir = hf_strfmt("%s/%s", dir, name);
    start_partition(r, false);
    rival = r->p;
    rival->target.store = &r->mem->base;
    hf_free(r->dir);
    r->dir = hf_take_ptr(&dir);
    r->p = mine;
    return rival;
}

static struct partition *start_rival(struct rig *r)
{
    return start_beside(r, "rival");
}

static void let_rival_archive(struct rig *r, struct partition *rival)
{
    struct partition *mine = r->p;

    r->p = rival;
    for (int i = 0; i < STEPS_MAX && !rival->guarded.status.caught_up; i++)
        step(r);
    assert_true(rival->guarded.status.caught_up);
    end_partition(r);
    r->p = mine;
}

/* Whoever has nothing but the archive comes to the database's state with it, by every root on the
 * way. */
static void prove_archive(struct rig *r)
{
    struct partition *reader = start_beside(r, "reader");

    let_rival_archive(r, reader);
}

#define SPOOLED 4

/* As many commits, each in a segment of its own that waits in the spool; their times, from that of
 * the first. */
static void spool_some(struct rig *r, int64_t ms[SPOOLED])
{
    const uint64_t head = archived(r);

    break_store(r);
    for (unsigned i = 0; i < SPOOLED; i++) {
        write_page(r, 3);
        for_seconds(r, 3);
        ms[i] = r->p->live->ops->state(r->p->live)->time_ms;
    }
    assert_int_equal(spool_first(r->p->spool), head + 1);
    assert_int_equal(spool_last(r->p->spool), head + SPOOLED);
    store_fault_disarm(r->store);
}

/* A power cut left a file without its bytes. */
static void before_a_torn_file_the_spool_is_kept(void **state)
{
    struct rig *r = *state;
    HF_AUTO_FILE *torn = NULL;
    int64_t ms[SPOOLED];
    struct hf_err err;

    until_archived(r);
    const uint64_t head = archived(r);

    spool_some(r, ms);
    HF_AUTO_FREE char *path = spooled_path(r, head + 3);

    end_partition(r);
    hf_must(hf_fs_open(hf_fs_system(), path, HF_OPEN_WRITE, 0, &torn, &err), &err);
    hf_must(hf_file_truncate(torn, 0, &err), &err);
    start_partition(r, false);
    until_archived(r);
    assert_true(is_archived_with(r, head + 1, ms[0]));
    assert_true(is_archived_with(r, head + 2, ms[1]));
    prove_archive(r);
}

/* The n-th call of these kinds fails while it starts, for every n. Returns how many starts there
 * were whose spool did not all come to the archive as it was. */
static unsigned starts_that_lost_some(struct rig *r, unsigned kinds)
{
    struct fs_fault fs;
    unsigned lost = 0;
    bool failed = true;

    end_partition(r);
    fs_fault_init(&fs, &r->fs.base);
    r->env.fs = &fs.base;
    start_partition(r, false);
    for (unsigned at = 1; failed; at++) {
        int64_t ms[SPOOLED];

        until_archived(r);
        const uint64_t head = archived(r);

        spool_some(r, ms);
        end_partition(r);
        fs_fault_arm(&fs, (struct fs_fault_plan){.kinds = kinds, .fail_at = at});
        start_partition(r, false);
        until_phase(r, PHASE_FOLLOW);
        failed = fs.guarded.failed > 0;
        fs_fault_disarm(&fs);
        until_archived(r);
        unsigned kept = 0;

        while (kept < SPOOLED && is_archived_with(r, head + 1 + kept, ms[kept]))
            kept++;
        lost += kept < SPOOLED ? 1 : 0;
    }
    end_partition(r);
    r->env.fs = &r->fs.base;
    fs_fault_done(&fs);
    start_partition(r, false);
    until_archived(r);
    return lost;
}

static void a_start_that_cannot_open_a_file_of_the_spool_is_tried_again(void **state)
{
    assert_int_equal(starts_that_lost_some(*state, FS_OPEN), 0);
}

/* That is final: the disk will not give it back. */
static void a_file_of_the_spool_that_cannot_be_read_is_caught_up_with(void **state)
{
    assert_true(starts_that_lost_some(*state, FS_READ) > 0);
}

static struct {
    uint64_t txid;
    unsigned left; /* times that its header is read */
} odd;

static enum hf_code info_of_another_version(struct hf_slice header, struct hf_seg_info *ret,
                                            struct hf_err *err)
{
    const enum hf_code rc = engine_mem()->codec->info(header, ret, err);

    if (rc != HF_OK || ret->max_txid != odd.txid || odd.left == 0)
        return rc;
    odd.left--;
    return hf_err_set(err, HF_UNSUPPORTED, "a later version wrote it");
}

/* One bit of a header makes it that of a version that is not known here: when it is to be sent, and
 * when the start that follows looks. */
static void a_spool_file_of_another_version_is_caught_up_with(void **state)
{
    struct rig *r = *state;
    const struct hf_segment_codec codec = {.header_bytes = engine_mem()->codec->header_bytes,
                                           .info = info_of_another_version};
    int64_t ms[SPOOLED];

    until_archived(r);
    const uint64_t head = archived(r);

    spool_some(r, ms);
    odd.txid = head + 2;
    odd.left = 2;
    r->engine.codec = &codec;
    until_archived(r);
    r->engine.codec = engine_mem()->codec;
    assert_int_equal(odd.left, 0);
    assert_true(is_archived_with(r, head + 1, ms[0]));
    assert_false(is_archived_with(r, head + 2, ms[1]));
    prove_archive(r);
}

/* The archive's object has our header, and behind it what we did not write. */
static void put_spoiled(struct rig *r, uint64_t txid)
{
    HF_AUTO_FREE char *path = spooled_path(r, txid);
    const struct hf_put put = {.cond = HF_PUT_IF_ABSENT};
    char key[HF_KEY_MAX + 1];
    HF_AUTO_BUF bytes = {0};
    struct hf_err err;

    key_of(r, txid, key);
    hf_must(hf_fs_read_all(hf_fs_system(), path, MIB, &bytes, &err), &err);
    bytes.ptr[bytes.len / 2] ^= 1;
    hf_must(hf_store_put(&r->mem->base, key, hf_buf_slice(&bytes), &put, NULL, &err), &err);
}

/* What stands at the key of a segment that nobody has seen confirmed is proved, all of it, before
 * the good copy in the spool is dropped for it; `crash`: it is met by a new process. */
static void meet_spoiled(struct rig *r, bool crash)
{
    int64_t ms[SPOOLED];

    until_archived(r);
    const uint64_t head = archived(r);
    char key[HF_KEY_MAX + 1];

    spool_some(r, ms);
    put_spoiled(r, head + 1);
    key_of(r, head + 1, key);
    if (crash) {
        end_partition(r);
        start_partition(r, false);
    }
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_DAMAGE);
    damage_middle(r, key); /* and back */
    end_partition(r);
    start_partition(r, false);
    until_archived(r);
    for (unsigned i = 0; i < SPOOLED; i++)
        assert_true(is_archived_with(r, head + 1 + i, ms[i]));
    prove_archive(r);
}

static void for_a_spoiled_object_of_ours_the_good_copy_is_not_dropped(void **state)
{
    meet_spoiled(*state, false);
}

static void for_a_spoiled_object_of_ours_a_start_does_not_drop_the_good_copy(void **state)
{
    meet_spoiled(*state, true);
}

/* While the store did not answer so much was captured that the engine knows no more what the
 * archive's head is. It is what the store confirmed last: nothing of the archive, whose snapshot is
 * damaged here, is read again. */
static void after_a_long_outage_a_start_knows_the_archives_head(void **state)
{
    struct rig *r = *state;
    char key[HF_KEY_MAX + 1];
    struct hf_state known;

    until_archived(r);
    const uint64_t head = archived(r);

    break_store(r);
    while (r->p->live->ops->recall(r->p->live, head, &known))
        capture_a_commit(r, r->p, 3);
    const struct hf_state last = *r->p->live->ops->state(r->p->live);

    key_of(r, 1, key);
    damage_middle(r, key);
    end_partition(r);
    store_fault_disarm(r->store);
    start_partition(r, false);
    until_archived(r);
    assert_int_equal(time_of(r, last.txid), last.time_ms);
    must_end(r, 60, HF_OK);
}

/* ---- beside another archiver ------------------------------------------------------------------
 */

/* Under the name of a spool's file lies a whole segment of the same TXID and database, and of a
 * time that fits, which leads to another state: as an older file would that came back after a power
 * cut. */
static void another_segment_under_the_name_of_a_spooled_one_is_not_put(void **state)
{
    struct rig *r = *state;
    struct hf_err err;

    until_archived(r);
    const uint64_t head = archived(r);
    struct partition *mine = r->p;
    struct partition *rival = start_rival(r);

    while (partition_phase(rival) != PHASE_FOLLOW)
        (void)partition_attach(rival);
    capture_a_commit(r, mine, 3);
    const int64_t first_ms = mine->live->ops->state(mine->live)->time_ms;

    (void)partition_capture(rival);
    capture_a_commit(r, rival, 4);
    write_page(r, 1);
    (void)partition_capture(mine);
    capture_a_commit(r, mine, 2);
    assert_int_equal(spool_last(mine->spool), head + 3);
    assert_int_equal(spool_last(rival->spool), head + 2);
    HF_AUTO_FREE char *to = spooled_path(r, head + 2);

    r->p = rival;
    HF_AUTO_FREE char *from = spooled_path(r, head + 2);

    hf_must(hf_fs_rename(hf_fs_system(), from, to, &err), &err);
    end_partition(r);
    r->p = mine;
    end_partition(r);
    start_partition(r, false);
    until_archived(r);
    assert_true(is_archived_with(r, head + 1, first_ms));
    prove_archive(r);
}

/* Another archiver, whose clock is ahead, has captured the same state as the same TXID. Mine has
 * that TXID in its spool, and `more` commits behind it. Then mine starts again. */
static void share_a_txid(struct rig *r, int more)
{
    uint64_t before;

    until_archived(r);
    before = archived(r);
    break_store(r);
    write_page(r, 3);
    for_seconds(r, 3);
    assert_int_equal(r->p->guarded.status.captured_txid, before + 1);
    test_clock_move(&r->clock, 600 * INT64_C(1000000));
    let_rival_archive(r, start_rival(r));
    test_clock_move(&r->clock, -600 * INT64_C(1000000));
    for (int i = 0; i < more; i++) {
        write_page(r, 4);
        for_seconds(r, 3);
    }
    assert_int_equal(r->p->guarded.status.captured_txid, before + 1 + (uint64_t)more);
    end_partition(r);
    store_fault_disarm(r->store);
    start_partition(r, false);
    until_archived(r);
    assert_true(archived(r) > before + 1);
    for (uint64_t txid = 2; txid <= archived(r); txid++)
        assert_true(time_of(r, txid) >= time_of(r, txid - 1));
}

static void times_do_not_fall_behind_another_archivers_segment_of_the_same_state(void **state)
{
    share_a_txid(*state, 0);
}

static void times_do_not_fall_where_the_spool_goes_on_behind_it(void **state)
{
    share_a_txid(*state, 1);
}

/* What a start lacks of the archive is fetched before the local state is touched: a store that does
 * not answer costs nothing of that, and the snapshot, which is damaged here, is not read again. */
static void a_store_that_fails_while_a_start_fetches_costs_no_local_state(void **state)
{
    struct rig *r = *state;
    char key[HF_KEY_MAX + 1];
    bool failed = true;

    until_archived(r);
    key_of(r, 1, key);
    let_rival_archive(r, start_rival(r));
    damage_middle(r, key);
    for (unsigned at = 1; failed; at++) {
        end_partition(r);
        write_page(r, 3);
        start_partition(r, false);
        let_rival_archive(r, start_rival(r));
        store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_GET, .fail_at = at});
        until_phase(r, PHASE_FOLLOW);
        failed = r->store->guarded.failed > 0;
        store_fault_disarm(r->store);
        until_archived(r);
    }
    must_end(r, 60, HF_OK);
}

static struct {
    struct partition *rival;
    const struct hf_store_ops *ops;
    unsigned left; /* listings until the rival archives what it has captured */
} between;

/* A listing, and then perhaps the rival is faster than whoever asked for it. */
static enum hf_code list_and_let_rival(struct hf_store *s, const char *prefix,
                                       const char *start_after, hf_list_fn *fn, void *ctx,
                                       struct hf_err *err)
{
    const enum hf_code rc = between.ops->list(s, prefix, start_after, fn, ctx, err);

    if (between.left > 0 && --between.left == 0) {
        (void)partition_upload(between.rival);
        assert_int_equal(spool_first(between.rival->spool), 0);
    }
    return rc;
}

/* Whatever of the archive a start has seen when it grows: all that is told is one moment of it. */
static void a_start_beside_an_archiver_tells_what_it_adopts(void **state)
{
    struct rig *r = *state;
    struct hf_store_ops ops;

    for (unsigned at = 1; at <= 40; at++) {
        until_archived(r);
        capture_a_commit(r, r->p, 3);
        assert_true(spool_first(r->p->spool) != 0);
        struct partition *old = r->p;

        between.rival = old;
        between.ops = r->mem->base.ops;
        between.left = at;
        ops = *between.ops;
        ops.list = list_and_let_rival;
        r->mem->base.ops = &ops;
        r->p = start_rival(r);
        while (partition_phase(r->p) != PHASE_FOLLOW)
            (void)partition_attach(r->p);
        r->mem->base.ops = between.ops;
        if (spool_first(r->p->spool) == 0)
            assert_int_equal(archived(r), r->p->guarded.status.captured_txid);
        end_partition(r);
        r->p = old;
        end_partition(r);
        start_partition(r, false);
    }
}

static struct rig *detaching_rig;
static void (*true_detach)(struct hf_live *);

static void detach_while_the_upload_job_runs(struct hf_live *l)
{
    (void)partition_upload(detaching_rig->p);
    true_detach(l);
}

/* What was asked for stands until the phase has changed: between the two the upload job could begin
 * to give what is being closed, or put TXID 2 behind no TXID 1. */
static void while_a_request_is_answered_the_upload_job_begins_nothing(void **state)
{
    struct rig *r = *state;

    spool_beside_first_snapshot(r);
    store_fault_arm(r->store, (struct store_fault_plan){
                                  .kinds = STORE_UPLOAD_FINISH, .fail_at = 1, .code = HF_CONFLICT});
    (void)partition_upload(r->p);
    assert_true(partition_is_asked(r->p));
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_WRITES | STORE_UPLOAD_NEW});
    detaching_rig = r;
    replace_round(r, NULL);
    true_detach = r->live_ops.detach;
    r->live_ops.detach = detach_while_the_upload_job_runs;
    (void)partition_capture(r->p);
    r->live_ops.detach = true_detach;
    assert_int_equal(partition_phase(r->p), PHASE_RESTART);
    assert_int_equal(r->store->guarded.calls, 0);
    store_fault_disarm(r->store);
    until_archived(r);
}

static void a_restart_waits_for_an_upload_without_holding_a_thread(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    partition_ask(r->p, REQUEST_RESTART);
    (void)partition_capture(r->p);
    assert_int_equal(partition_phase(r->p), PHASE_RESTART);
    (void)pthread_mutex_lock(&r->p->in_use);
    assert_true(partition_attach(r->p) > 0);
    assert_int_equal(partition_phase(r->p), PHASE_RESTART);
    (void)pthread_mutex_unlock(&r->p->in_use);
    (void)partition_attach(r->p);
    assert_int_equal(partition_phase(r->p), PHASE_START);
    write_page(r, 3);
    until_archived(r);
}

static struct {
    struct rig *rig;
    struct partition *rival; /* NULL: it has been at it */
    const struct hf_store_ops *ops;
} meanwhile;

/* The object as it is, and then the rival begins the archive. */
static enum hf_code get_and_let_rival_begin(struct hf_store *s, const char *key, uint64_t offset,
                                            uint64_t len, struct hf_buf *ret,
                                            struct hf_object *ret_object, struct hf_err *err)
{
    const enum hf_code rc = meanwhile.ops->get(s, key, offset, len, ret, ret_object, err);
    struct partition *rival = meanwhile.rival;

    meanwhile.rival = NULL;
    if (rival != NULL)
        let_rival_archive(meanwhile.rig, rival);
    return rc;
}

/* Both found no format; to the later one the other's segments are not those of another program. */
static void of_two_that_begin_an_archive_at_once_the_later_one_goes_on(void **state)
{
    struct rig *r = *state;
    struct hf_store_ops ops = *r->mem->base.ops;

    meanwhile.rig = r;
    meanwhile.rival = start_rival(r);
    meanwhile.ops = r->mem->base.ops;
    ops.get = get_and_let_rival_begin;
    r->mem->base.ops = &ops;
    until_archived(r);
    r->mem->base.ops = meanwhile.ops;
    assert_null(meanwhile.rival);
    assert_int_equal(r->p->owner.epoch, 2);
}

/* What waits in the spool was made under an epoch that the archive may not have seen yet. */
static void without_an_owner_the_epoch_is_above_those_of_archive_and_spool(void **state)
{
    struct rig *r = *state;
    struct hf_err err;

    until_archived(r);
    end_partition(r);
    start_partition(r, false);
    until_phase(r, PHASE_FOLLOW);
    assert_int_equal(r->p->owner.epoch, 2);
    break_store(r);
    write_page(r, 3);
    for_seconds(r, 3);
    assert_int_not_equal(spool_first(r->p->spool), 0);
    end_partition(r);
    store_fault_arm(r->store, (struct store_fault_plan){0});
    hf_must(hf_store_delete(&r->mem->base, "a/holdfast/owner", &err), &err);
    start_partition(r, false);
    until_archived(r);
    assert_int_equal(r->p->owner.epoch, 3);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void a_stop_archives_what_was_committed_before_it(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    write_page(r, 4);
    must_end(r, 60, HF_OK);
    assert_int_equal(archived(r), r->p->guarded.status.captured_txid);
}

/* A second pass need not wait for the lease of the first. */
static void a_stop_gives_back_the_lease_of_a_store_without_conditional_puts(void **state)
{
    struct rig *r = *state;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    until_archived(r);
    must_end(r, 60, HF_OK);
    end_partition(r);
    r->stop = false;
    start_partition(r, true);
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_OK);
}

/* Else two that begin an archive at once could make its format one over the other. */
static void without_conditional_puts_the_format_is_made_under_the_lease(void **state)
{
    struct rig *r = *state;
    struct hf_archive a;
    struct hf_owner other;
    struct hf_err err;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    hf_must(hf_archive_open(&r->store->base, "a", &a, &err), &err);
    hf_owner_init(&other, &r->rand, "other", 1);
    hf_must(hf_owner_claim(&a, &other, hf_now_ms(&r->clock.base), &err), &err);
    for_seconds(r, 30);
    assert_null(store_mem_find(r->mem, "a/holdfast/format"));
    for_seconds(r, 90);
    assert_non_null(store_mem_find(r->mem, "a/holdfast/format"));
    assert_int_equal(archived(r), 1);
}

static struct rig *stopped_rig;

/* The round has looked; then something is committed, and only then the stop is asked for. */
static enum hf_code round_before_a_stop(struct hf_live *l, struct hf_round *round,
                                        struct hf_taker *t, struct hf_err *err)
{
    const enum hf_code rc = true_round(l, round, t, err);

    write_page(stopped_rig, 4);
    stopped_rig->stop = true;
    replace_round(stopped_rig, NULL);
    return rc;
}

static void a_stop_that_comes_into_a_round_has_another_one(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    const uint64_t before = archived(r);

    stopped_rig = r;
    replace_round(r, round_before_a_stop);
    (void)partition_capture(r->p);
    must_end(r, 60, HF_OK);
    assert_int_equal(archived(r), before + 1);
}

static void a_stop_while_the_log_is_not_held_does_not_end_well(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    replace_round(r, failing_round);
    until_phase(r, PHASE_DETACHED);
    write_page(r, 4);
    must_end(r, 60, HF_HOLE);
    assert_non_null(strstr(r->p->guarded.status.failure_text, "from TXID "));
}

static void a_stop_after_damage_of_the_log_does_not_end_well(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    replace_round(r, damaged_round);
    until_phase(r, PHASE_RESTART);
    must_end(r, 60, HF_HOLE);
}

static void a_stop_of_what_was_never_followed_does_not_end_well(void **state)
{
    must_end(*state, 60, HF_HOLE);
}

static void a_stop_that_is_hindered_for_ever_ends_all_the_same(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    replace_round(r, hindered_round);
    for_seconds(r, 120); /* which counts for nothing */
    must_end(r, 15, HF_HOLE);
}

static void a_stop_with_a_dead_store_ends_and_says_what_waits(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    break_store(r);
    write_page(r, 4);
    for_seconds(r, 120);
    must_end(r, 15, HF_TRANSIENT);
    assert_non_null(strstr(r->p->guarded.status.failure_text, "wait in the spool"));
}

static void a_store_that_fails_is_asked_less_and_less(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    break_store(r);
    for (int i = 0; i < 100; i++) { /* 200 s, with something new for it every 2 s */
        write_page(r, 4);
        for_seconds(r, 2);
    }
    assert_in_range(r->store->guarded.calls, 5, 15);
    store_fault_disarm(r->store);
    until_archived(r);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void hold_log(struct rig *r, uint64_t bytes)
{
    odd_log_bytes = bytes;
    replace_round(r, round_with_large_log);
}

static void a_large_log_is_held_while_the_store_takes_and_the_disk_has_space(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    hold_log(r, 100 * GIB);
    for (int i = 0; i < 10; i++) {
        until_archived(r);
        for_seconds(r, 10);
        assert_int_equal(partition_phase(r->p), PHASE_FOLLOW);
    }
}

static void a_large_log_is_let_go_of_while_the_store_fails_until_it_takes_again(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    hold_log(r, GIB - MIB);
    break_store(r);
    write_page(r, 4);
    for_seconds(r, 30);
    assert_int_equal(partition_phase(r->p), PHASE_FOLLOW);
    odd_log_bytes = GIB + MIB;
    for_seconds(r, 1);
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    for_seconds(r, 600);
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    store_fault_disarm(r->store);
    until_archived(r);
}

static void a_low_disk_alone_lets_nothing_go(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    r->fs.free_bytes = GIB;
    hold_log(r, 63 * MIB);
    until_archived(r);
    for_seconds(r, 30);
    assert_int_equal(partition_phase(r->p), PHASE_FOLLOW);
}

static void what_a_low_disk_is_held_with_is_let_go_of_until_there_is_space(void **state)
{
    struct rig *r = *state;

    until_archived(r);
    r->fs.free_bytes = GIB;
    hold_log(r, 65 * MIB);
    for_seconds(r, 1);
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    for_seconds(r, 200);
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    r->fs.free_bytes = UINT64_C(1) << 39;
    until_archived(r);
}

static void while_the_disk_stays_low_it_is_tried_again_every_few_minutes_only(void **state)
{
    struct rig *r = *state;
    int tries = 0;

    until_archived(r);
    r->fs.free_bytes = GIB;
    hold_log(r, 65 * MIB);
    until_phase(r, PHASE_DETACHED);
    for (int i = 0; i < 1800 * 20; i++) {
        const bool was_detached = partition_phase(r->p) == PHASE_DETACHED;

        step(r);
        tries += was_detached && partition_phase(r->p) != PHASE_DETACHED ? 1 : 0;
    }
    assert_in_range(tries, 1, 7);
}

/* ---- the first snapshot ---------------------------------------------------------------------- */

static void break_snapshots(struct rig *r)
{
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_UPLOAD_FINISH,
                                                        .fail_at = 1,
                                                        .from_then_on = true});
}

/* Following behind TXID 1, which does not get into the store; `commits` have been captured. */
static void until_beside_snapshot(struct rig *r, int commits)
{
    break_snapshots(r);
    until_phase(r, PHASE_FOLLOW);
    for (int i = 0; i < commits; i++) {
        write_page(r, 3);
        for_seconds(r, 2);
    }
    assert_int_equal(partition_phase(r->p), PHASE_FOLLOW);
    assert_int_equal(archived(r), 0);
    assert_int_equal(r->p->guarded.status.captured_txid, 1 + commits);
}

static void what_is_committed_beside_the_first_snapshot_is_spooled_and_follows_it(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 5);
    assert_int_equal(spool_first(r->p->spool), 2);
    assert_int_equal(spool_last(r->p->spool), 6);
    store_fault_disarm(r->store);
    until_archived(r);
    assert_int_equal(archived(r), 7);
    assert_int_equal(r->slots, 1);
    must_end(r, 60, HF_OK);
}

static void a_first_snapshot_that_a_kill_cut_short_is_made_anew(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 5);
    end_partition(r);
    store_fault_disarm(r->store);
    r->slots = 1;
    start_partition(r, false);
    until_archived(r);
    assert_int_equal(archived(r), 1); /* which has what had been 1 to 6, and more */
    must_end(r, 60, HF_OK);
}

static void an_archive_that_had_its_first_snapshot_and_is_empty_is_not_begun_anew(void **state)
{
    struct rig *r = *state;
    struct store_mem *empty = store_mem_new(&r->clock.base);

    until_archived(r);
    end_partition(r);
    r->store->inner = &empty->base;
    start_partition(r, false);
    until_phase(r, PHASE_ENDED);
    r->store->inner = &r->mem->base;
    hf_store_free(&empty->base);
    assert_int_equal(r->p->guarded.status.failure, HF_HOLE);
    assert_non_null(strstr(r->p->guarded.status.failure_text, "is empty"));
}

static void a_stop_beside_the_first_snapshot_cancels_it(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 2);
    must_end(r, 5, HF_CANCELED);
    assert_int_equal(archived(r), 0);
    assert_int_equal(r->slots, 1);
}

static void once_waits_for_the_first_snapshot(void **state)
{
    struct rig *r = *state;

    r->p->once = true;
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_OK);
    assert_int_equal(archived(r), 1);
}

static void once_ends_when_the_first_snapshot_fails(void **state)
{
    struct rig *r = *state;

    r->p->once = true;
    break_snapshots(r);
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_TRANSIENT);
}

static void beside_the_first_snapshot_only_the_disk_limits_the_log(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 1);
    hold_log(r, 100 * GIB);
    for_seconds(r, 120);
    assert_int_equal(partition_phase(r->p), PHASE_FOLLOW);
    r->fs.free_bytes = GIB;
    for_seconds(r, 1);
    assert_int_equal(partition_phase(r->p), PHASE_DETACHED);
    assert_int_equal(spool_first(r->p->spool), 0);
    assert_int_equal(r->slots, 1);
    store_fault_disarm(r->store);
    r->fs.free_bytes = UINT64_C(1) << 39;
    until_archived(r);
}

static void a_break_beside_the_first_snapshot_begins_it_anew(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 2);
    mem_db_restart_log(r->db);
    write_page(r, 1);
    for_seconds(r, 1);
    store_fault_disarm(r->store);
    until_archived(r);
    assert_int_equal(r->p->guarded.status.breaks_count, 1);
}

static void a_first_snapshot_whose_answer_was_lost_is_known_again(void **state)
{
    struct rig *r = *state;

    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_UPLOAD_FINISH,
                                                        .fail_at = 1,
                                                        .after_effect = true});
    until_archived(r);
    assert_int_equal(r->store->guarded.calls, 1);
    must_end(r, 60, HF_OK);
}

/* Nothing may come to an archive that has no TXID 1. */
static void a_stop_after_a_first_snapshot_was_given_up_puts_nothing_behind_it(void **state)
{
    struct rig *r = *state;

    spool_beside_first_snapshot(r);
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_UPLOAD_FINISH,
                                                        .fail_at = 1,
                                                        .code = HF_UNCERTAIN});
    (void)partition_upload(r->p);
    assert_true(partition_is_asked(r->p));
    must_end(r, 60, HF_HOLE);
    assert_null(store_mem_find(r->mem, "a/0000/0000000000000002-0000000000000002.ltx"));
}

static struct rig *slow_rig;
static enum hf_code (*true_write)(struct hf_sink *, struct hf_slice, struct hf_err *);

/* The upload takes so long that the owner is to be looked at again, and then cannot be. */
static enum hf_code slow_write(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    test_clock_move(&slow_rig->clock, 10 * INT64_C(1000000));
    store_fault_arm(slow_rig->store, (struct store_fault_plan){.kinds = STORE_GET, .fail_at = 1});
    return true_write(s, data, err);
}

static void a_first_snapshot_whose_owner_cannot_be_looked_at_is_given_again(void **state)
{
    struct rig *r = *state;

    slow_rig = r;
    true_write = r->p->snapshot_sink.write;
    r->p->snapshot_sink.write = slow_write;
    for (int i = 0; r->store->guarded.failed == 0; i++) {
        assert_true(i < STEPS_MAX);
        step(r);
    }
    assert_int_equal(archived(r), 0);
    r->p->snapshot_sink.write = true_write;
    store_fault_disarm(r->store);
    until_archived(r);
    assert_true(archived(r) >= 1);
}

static void without_a_slot_the_first_snapshot_is_waited_for_unattached(void **state)
{
    struct rig *r = *state;

    r->slots = 0;
    for_seconds(r, 60);
    assert_int_equal(partition_phase(r->p), PHASE_ATTACH);
    assert_int_equal(r->p->guarded.snapshot, SNAPSHOT_NONE);
    r->slots = 1;
    until_archived(r);
    assert_int_equal(r->slots, 1);
}

static void a_round_that_fails_once_does_not_cancel_the_first_snapshot(void **state)
{
    struct rig *r = *state;

    until_beside_snapshot(r, 1);
    replace_round(r, failing_round);
    (void)partition_capture(r->p);
    assert_int_equal(r->p->guarded.snapshot, SNAPSHOT_DUE);
    replace_round(r, NULL);
    store_fault_disarm(r->store);
    until_archived(r);
}

/* ---- putting --------------------------------------------------------------------------------- */

static const struct hf_store_ops *quick_ops;

static enum hf_code slow_get(struct hf_store *s, const char *key, uint64_t offset, uint64_t len,
                             struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    test_clock_move(&slow_rig->clock, 4000000);
    return quick_ops->get(s, key, offset, len, ret, ret_object, err);
}

static void an_answer_of_the_owner_is_as_old_as_its_question(void **state)
{
    struct rig *r = *state;
    struct hf_store_ops slow;
    struct hf_err err;

    until_archived(r);
    slow_rig = r;
    quick_ops = r->mem->base.ops;
    slow = *quick_ops;
    slow.get = slow_get;
    r->mem->base.ops = &slow;
    r->p->proof.is = false;
    (void)store_mem_requests_take(r->mem);
    hf_must(partition_prove_owner(r->p, 7, &err), &err);
    hf_must(partition_prove_owner(r->p, 7, &err), &err);
    assert_int_equal(store_mem_requests_take(r->mem).get, 1);
    test_clock_move(&r->clock, 1500000); /* 1.5 s after the answer, 5.5 s after the question */
    hf_must(partition_prove_owner(r->p, 7, &err), &err);
    assert_int_equal(store_mem_requests_take(r->mem).get, 1);
    hf_must(partition_prove_owner(r->p, 8, &err), &err); /* and it is for one head only */
    assert_int_equal(store_mem_requests_take(r->mem).get, 1);
    r->mem->base.ops = quick_ops;
}

static void whoever_asks_for_a_boundary_lets_go_for_a_checkpoint_that_waits(void **state)
{
    static const struct {
        bool looked;
        bool waited_for;
        bool passed;
    } rounds[] = {{false, false, false}, {false, true, true}, {true, false, true}};
    struct rig *r = *state;

    until_archived(r);
    for (size_t i = 0; i < HF_ARRAY_LEN(rounds); i++) {
        r->p->guarded.question = true; /* about a place that no segment ends at */
        r->p->guarded.until_passed = false;
        partition_settle_question(r->p, rounds[i].looked, rounds[i].waited_for);
        assert_int_equal(r->p->guarded.until_passed, rounds[i].passed);
    }
}

static void large_segment(struct rig *r)
{
    until_phase(r, PHASE_FOLLOW);
    for (uint64_t page = 5; page < 5 + 65 * 16; page++)
        write_page(r, page);
}

static void a_large_segment_goes_up_in_pieces(void **state)
{
    struct rig *r = *state;

    large_segment(r);
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_UPLOAD_FINISH});
    until_archived(r);
    assert_int_equal(r->store->guarded.calls, 1);
}

static void a_large_segment_whose_answer_was_lost_is_known_again(void **state)
{
    struct rig *r = *state;

    large_segment(r);
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_UPLOAD_FINISH,
                                                        .fail_at = 1,
                                                        .after_effect = true});
    until_archived(r);
    assert_int_equal(r->store->guarded.calls, 1);
    assert_int_equal(r->store->guarded.failed, 1);
}

/* Else the put could come behind the claim of another archiver, and over what that has put. */
static void nothing_is_put_with_less_than_half_of_a_lease_left(void **state)
{
    struct rig *r = *state;
    struct hf_err err;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    until_archived(r);
    r->p->proof.is = false;
    hf_must(partition_prove_owner(r->p, 7, &err), &err);
    const int64_t until_ms = r->p->owner.lease_until_ms;

    test_clock_move(&r->clock,
                    (until_ms - hf_now_ms(&r->clock.base) - HF_OWNER_LEASE_MS / 2) * 1000);
    hf_must(partition_prove_owner(r->p, 7, &err), &err);
    assert_int_equal(r->p->owner.lease_until_ms, until_ms); /* half of it is left */
    test_clock_move(&r->clock, 1000);
    store_fault_arm(r->store, (struct store_fault_plan){.kinds = STORE_PUT,
                                                        .fail_at = 1,
                                                        .from_then_on = true,
                                                        .code = HF_TRANSIENT});
    assert_int_equal(partition_prove_owner(r->p, 7, &err), HF_BUSY);
    assert_int_equal(r->store->guarded.calls, 0); /* nor is it renewed any more */
    store_fault_disarm(r->store);
}

/* Its commits wait in the spool meanwhile. Nobody else came, so it is its own again, under a newer
 * epoch: a renewal that is late could undo another's claim. */
static void a_lease_that_ran_short_is_claimed_anew(void **state)
{
    struct rig *r = *state;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    until_archived(r);
    const uint64_t head = archived(r);

    write_page(r, 3);
    test_clock_move(&r->clock, 2 * INT64_C(1000000));
    (void)partition_capture(r->p);
    test_clock_move(&r->clock, HF_OWNER_LEASE_MS * 1000 / 2);
    (void)partition_upload(r->p);
    assert_int_equal(archived(r), head);
    assert_true(partition_is_asked(r->p));
    until_archived(r);
    assert_true(archived(r) > head);
    assert_int_equal(r->p->owner.epoch, 2);
    assert_int_equal(r->p->guarded.status.breaks_count, 0);
    must_end(r, 60, HF_OK);
}

/* As before, but another archiver has claimed it, and is left alone. */
static void a_lease_that_ran_out_is_the_next_owners(void **state)
{
    struct rig *r = *state;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    until_archived(r);
    test_clock_move(&r->clock, (HF_OWNER_LEASE_MS + 1) * 1000);
    struct hf_owner other;
    struct hf_err err;

    hf_owner_init(&other, &r->rand, "other", 1);
    hf_must(hf_owner_claim(&r->p->archive, &other, hf_now_ms(&r->clock.base), &err), &err);
    write_page(r, 3);
    until_phase(r, PHASE_ENDED);
    assert_int_equal(r->p->guarded.status.failure, HF_FENCED);
}

static struct {
    struct rig *rig;
    const struct hf_store_ops *store;
    const struct hf_upload_ops *upload;
    struct hf_upload_ops slow;
} slow_uploads;

static enum hf_code write_slowly(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    test_clock_move(&slow_uploads.rig->clock, 10 * INT64_C(1000000));
    return slow_uploads.upload->write(u, data, err);
}

static enum hf_code upload_slowly(struct hf_store *s, const char *key, const struct hf_put *put,
                                  struct hf_upload **ret, struct hf_err *err)
{
    const enum hf_code rc = slow_uploads.store->upload_new(s, key, put, ret, err);

    if (rc != HF_OK)
        return rc;
    slow_uploads.upload = (*ret)->ops;
    slow_uploads.slow = *slow_uploads.upload;
    slow_uploads.slow.write = write_slowly;
    (*ret)->ops = &slow_uploads.slow;
    return HF_OK;
}

static void the_lease_is_renewed_while_a_large_segment_goes_up(void **state)
{
    struct rig *r = *state;
    struct hf_store_ops ops = *r->store->base.ops;

    r->store->base.caps &= ~(unsigned)HF_STORE_COND_PUT;
    large_segment(r);
    slow_uploads.rig = r;
    slow_uploads.store = r->store->base.ops;
    ops.upload_new = upload_slowly;
    r->store->base.ops = &ops;
    until_archived(r);
    r->store->base.ops = slow_uploads.store;
    assert_int_equal(r->p->owner.epoch, 1);
    must_end(r, 60, HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_log_that_does_not_continue_is_caught_up_with_and_remembered),
        T(with_once_a_log_that_does_not_continue_ends_it),
        T(a_database_that_is_missing_is_waited_for),
        T(with_once_a_database_that_is_missing_ends_it),
        T(damage_of_the_log_begins_it_again_once_and_once_more_after_it_went_well),
        T(rounds_that_fail_are_tried_at_a_hand_overs_pace_and_then_the_log_is_let_go),
        T(a_spool_file_that_vanished_is_caught_up_with),
        T(behind_a_head_with_a_damaged_time_nothing_is_put),
        T(spool_files_that_were_mixed_up_are_caught_up_with),
        T(before_a_torn_file_the_spool_is_kept),
        T(another_segment_under_the_name_of_a_spooled_one_is_not_put),
        T(a_start_that_cannot_open_a_file_of_the_spool_is_tried_again),
        T(a_file_of_the_spool_that_cannot_be_read_is_caught_up_with),
        T(a_store_that_fails_while_a_start_fetches_costs_no_local_state),
        T(after_a_long_outage_a_start_knows_the_archives_head),
        T(a_spool_file_of_another_version_is_caught_up_with),
        T(for_a_spoiled_object_of_ours_the_good_copy_is_not_dropped),
        T(for_a_spoiled_object_of_ours_a_start_does_not_drop_the_good_copy),
        T(while_a_request_is_answered_the_upload_job_begins_nothing),
        T(times_do_not_fall_behind_another_archivers_segment_of_the_same_state),
        T(times_do_not_fall_where_the_spool_goes_on_behind_it),
        T(a_start_beside_an_archiver_tells_what_it_adopts),
        T(a_restart_waits_for_an_upload_without_holding_a_thread),
        T(of_two_that_begin_an_archive_at_once_the_later_one_goes_on),
        T(without_an_owner_the_epoch_is_above_those_of_archive_and_spool),
        T(a_stop_archives_what_was_committed_before_it),
        T(a_stop_gives_back_the_lease_of_a_store_without_conditional_puts),
        T(without_conditional_puts_the_format_is_made_under_the_lease),
        T(a_stop_that_comes_into_a_round_has_another_one),
        T(a_stop_while_the_log_is_not_held_does_not_end_well),
        T(a_stop_after_damage_of_the_log_does_not_end_well),
        T(a_stop_of_what_was_never_followed_does_not_end_well),
        T(a_stop_that_is_hindered_for_ever_ends_all_the_same),
        T(a_stop_with_a_dead_store_ends_and_says_what_waits),
        T(a_store_that_fails_is_asked_less_and_less),
        T(a_large_log_is_held_while_the_store_takes_and_the_disk_has_space),
        T(a_large_log_is_let_go_of_while_the_store_fails_until_it_takes_again),
        T(a_low_disk_alone_lets_nothing_go),
        T(what_a_low_disk_is_held_with_is_let_go_of_until_there_is_space),
        T(while_the_disk_stays_low_it_is_tried_again_every_few_minutes_only),
        T(what_is_committed_beside_the_first_snapshot_is_spooled_and_follows_it),
        T(a_first_snapshot_that_a_kill_cut_short_is_made_anew),
        T(an_archive_that_had_its_first_snapshot_and_is_empty_is_not_begun_anew),
        T(a_stop_beside_the_first_snapshot_cancels_it),
        T(once_waits_for_the_first_snapshot),
        T(once_ends_when_the_first_snapshot_fails),
        T(beside_the_first_snapshot_only_the_disk_limits_the_log),
        T(a_break_beside_the_first_snapshot_begins_it_anew),
        T(a_first_snapshot_whose_answer_was_lost_is_known_again),
        T(a_stop_after_a_first_snapshot_was_given_up_puts_nothing_behind_it),
        T(a_first_snapshot_whose_owner_cannot_be_looked_at_is_given_again),
        T(without_a_slot_the_first_snapshot_is_waited_for_unattached),
        T(a_round_that_fails_once_does_not_cancel_the_first_snapshot),
        T(an_answer_of_the_owner_is_as_old_as_its_question),
        T(nothing_is_put_with_less_than_half_of_a_lease_left),
        T(a_lease_that_ran_short_is_claimed_anew),
        T(a_lease_that_ran_out_is_the_next_owners),
        T(whoever_asks_for_a_boundary_lets_go_for_a_checkpoint_that_waits),
#undef T
        cmocka_unit_test_setup_teardown(a_large_segment_goes_up_in_pieces, setup_large, teardown),
        cmocka_unit_test_setup_teardown(the_lease_is_renewed_while_a_large_segment_goes_up,
                                        setup_large, teardown),
        cmocka_unit_test_setup_teardown(a_large_segment_whose_answer_was_lost_is_known_again,
                                        setup_large, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
