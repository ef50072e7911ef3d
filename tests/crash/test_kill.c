/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kill.c
 *
 * Goal: capture that is killed at any moment goes on where it was: nothing is lost, nothing is
 * captured twice, and the log is believed for as long as it can be.
 * Method: capture runs in a child, which keeps its segments as files, and is killed again and again
 * while writers are at work, of which some are killed too. Each time it takes up what the files say
 * (segments that its state lacks are adopted) and must not need a catch-up while the log is still
 * the one in which the last segment ended. At the end the files are applied by a replica, which
 * judges that they chain, and state by state by lib/load.h; the last one is the live database.
 * HF_TEST_SEED repeats a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/wal.h"
#include "lib/capture_book.h"
#include "lib/load.h"

#define KILLS      45
#define ALIVE_MS   250
#define PATH_BYTES 300

/* A taker that keeps each segment as a file; and what else the child has. */
struct keeper {
    struct hf_taker taker; /* first, so that the pointers convert */
    struct hf_sink sink;
    const char *dir;
    const char *db_path;
    const char *state_dir;
    struct hf_buf segment;
    uint64_t txid;
    struct hf_live *live;
};

static void die(const char *what, const struct hf_err *err)
{
    (void)fprintf(stderr, "capture: %s: %s\n", what, err != NULL ? err->text : strerror(errno));
    _exit(1);
}

static void must(enum hf_code rc, const struct hf_err *err, const char *what)
{
    if (rc != HF_OK)
        die(what, err);
}

static void segment_path(const char *dir, uint64_t txid, char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s/%016llx.ltx", dir, (unsigned long long)txid);
}

static bool read_segment(const char *dir, uint64_t txid, struct hf_buf *ret)
{
    char path[PATH_BYTES];
    struct hf_err err;

    segment_path(dir, txid, path);
    return hf_fs_read_all(hf_fs_system(), path, UINT32_MAX, ret, &err) == HF_OK;
}

/* ---- the taker ----------------------------------------------------------------------------- */

static struct keeper *keeper_of_sink(struct hf_sink *s)
{
    return (struct keeper *)(void *)((char *)s - offsetof(struct keeper, sink));
}

static enum hf_code keep_bytes(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    (void)err;
    hf_buf_append(&keeper_of_sink(s)->segment, data.ptr, data.len);
    return HF_OK;
}

static enum hf_code keep_begin(struct hf_taker *t, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    struct keeper *k = (struct keeper *)t;
    char path[PATH_BYTES];
    struct stat st;

    segment_path(k->dir, info->min_txid, path);
    if (stat(path, &st) == 0)
        return hf_err_set(err, HF_CONFLICT, "%s is there already", path);
    hf_buf_reset(&k->segment);
    k->txid = info->min_txid;
    *ret = &k->sink;
    return HF_OK;
}

static enum hf_code keep_commit(struct hf_taker *t, struct hf_err *err)
{
    struct keeper *k = (struct keeper *)t;
    char path[PATH_BYTES];

    segment_path(k->dir, k->txid, path);
    return hf_fs_replace(hf_fs_system(), path, hf_buf_slice(&k->segment), 0600, err);
}

static void keep_nothing(struct hf_taker *t)
{
    (void)t;
}

/* ---- the child ----------------------------------------------------------------------------- */

struct memory_source {
    struct hf_source base;
    struct hf_slice bytes;
};

static enum hf_code read_memory(struct hf_source *s, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    const struct memory_source *m = (const struct memory_source *)s;

    if (offset > m->bytes.len || len > m->bytes.len - offset)
        return hf_err_set(err, HF_DAMAGE, "segment too short");
    hf_buf_append(ret, m->bytes.ptr + offset, len);
    return HF_OK;
}

static struct memory_source source_of(const struct hf_buf *bytes)
{
    return (struct memory_source){
        .base = {.read = read_memory, .size_bytes = bytes->len, .name = "segment file"},
        .bytes = hf_buf_slice(bytes)};
}

/* As archiver/start.c does with its spool. A snapshot that was never given is made anew. */
static void adopt_files(struct keeper *k)
{
    HF_AUTO_BUF first = {0};
    struct hf_err err;

    if (!read_segment(k->dir, 1, &first) && k->live->ops->state(k->live)->txid > 0)
        must(k->live->ops->reset(k->live, &err), &err, "reset");
    for (;;) {
        HF_AUTO_BUF bytes = {0};

        if (!read_segment(k->dir, k->live->ops->state(k->live)->txid + 1, &bytes))
            return;
        struct memory_source source = source_of(&bytes);

        must(k->live->ops->adopt(k->live, &source.base, &err), &err, "adopt");
    }
}

/* The salts of the log as it is, from its file; false if there is none. */
static bool log_salts(const struct keeper *k, uint32_t ret[2])
{
    char path[PATH_BYTES];
    uint8_t head[WAL_HEADER_BYTES];

    (void)snprintf(path, sizeof(path), "%s-wal", k->db_path);
    const int fd = open(path, O_RDONLY);

    if (fd < 0)
        return false;
    const bool whole = pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head);

    (void)close(fd);
    ret[0] = hf_get_be32(head + 16);
    ret[1] = hf_get_be32(head + 20);
    return whole;
}

/* The last segment ended in the log with these salts. */
static bool last_segment_is_of(const struct keeper *k, const uint32_t salts[2])
{
    HF_AUTO_BUF bytes = {0};
    struct hf_ltx_header h;
    struct hf_err err;

    if (!read_segment(k->dir, k->live->ops->state(k->live)->txid, &bytes))
        return false;
    must(hf_ltx_header_decode(hf_slice(bytes.ptr, HF_LTX_HEADER_BYTES), &h, &err), &err, "header");
    return h.wal_size > 0 && h.salts[0] == salts[0] && h.salts[1] == salts[1];
}

static void attach(struct keeper *k)
{
    uint32_t before[2];
    uint32_t after[2];
    enum hf_live_need need = HF_LIVE_FOLLOW;
    bool lost = false;
    bool made = false;
    struct hf_err err;
    const bool there = log_salts(k, before);
    const bool same = there && last_segment_is_of(k, before);

    must(k->live->ops->attach(k->live, &need, &lost, &err), &err, "attach");
    if (lost)
        die("attach says that commits were lost", &err);
    if (need == HF_LIVE_CATCH_UP && same && log_salts(k, after) &&
        memcmp(before, after, sizeof(before)) == 0)
        die("a catch-up, and yet the log is the one in which the last segment ended", &err);
    if (need == HF_LIVE_SNAPSHOT) {
        must(k->live->ops->snapshot(k->live, &err), &err, "snapshot");
        must(k->live->ops->give_snapshot(k->live, &k->taker, NULL, &err), &err, "give it");
    }
    if (need == HF_LIVE_CATCH_UP)
        must(k->live->ops->catch_up(k->live, &k->taker, &made, &err), &err, "catch up");
}

/* Capture until killed; with `to_the_end` until everything is captured. */
static void capture(struct keeper *k, bool to_the_end, uint64_t seed)
{
    struct hf_rand rand = hf_rand_seeded(seed);
    struct hf_err err;
    const struct hf_live_options o = {
        .fs = hf_fs_system(),
        .clock = hf_clock_system(),
        .pool = hf_pool_new((unsigned)hf_rand_below(&rand, 3)),
        .db_path = k->db_path,
        .state_dir = k->state_dir,
        .seed = BOOK_SEED,
        .epoch = 1,
        .log_bytes_max = hf_rand_below(&rand, 2) == 0 ? 100000 : UINT64_C(64) << 20,
    };

    must(sqlite_live_open(&o, &k->live, &err), &err, "open");
    adopt_files(k);
    attach(k);
    for (;;) {
        struct hf_round round = {.cut = to_the_end || hf_rand_below(&rand, 3) > 0};

        must(k->live->ops->round(k->live, &round, &k->taker, &err), &err, "round");
        if (to_the_end && round.resting)
            _exit(0);
        hf_sleep_ms(o.clock, (int64_t)hf_rand_below(&rand, 20));
    }
}

static pid_t start_capture(struct keeper *k, bool to_the_end, uint64_t seed)
{
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pid == 0)
        capture(k, to_the_end, seed);
    return pid;
}

/* ---- the test ------------------------------------------------------------------------------ */

static void kill_again_and_again(struct keeper *k, struct load *load, const struct load_plan *plan)
{
    struct hf_rand rand = hf_rand_seeded(plan->seed ^ 0x9119);

    for (int i = 0; i < KILLS; i++) {
        int status = 0;
        const pid_t pid = start_capture(k, false, hf_rand_u64(&rand));
        const uint64_t ms_max = hf_rand_below(&rand, 3) == 0 ? ALIVE_MS / 8 : ALIVE_MS;

        hf_sleep_ms(hf_clock_system(), (int64_t)hf_rand_below(&rand, ms_max));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status))
            fail_msg("seed %llu: capture ended by itself", (unsigned long long)plan->seed);
        assert_true(load_runs(load));
        if (i % 3 == 0)
            load_replace(load, plan, (unsigned)hf_rand_below(&rand, load->running));
    }
}

/* The files as a book, so that its functions can be used. */
static void fill_book(struct book *b, const char *dir)
{
    struct hf_err err;

    while (read_segment(dir, b->count + 1, &b->segments[b->count])) {
        hf_must(hf_ltx_seg_info(hf_slice(b->segments[b->count].ptr, HF_LTX_HEADER_BYTES),
                                &b->infos[b->count], &err),
                &err);
        b->count++;
    }
}

/* A replica takes every segment: they chain, and each leads to its root. */
static void check_chain(struct book *b)
{
    HF_AUTO_FREE char *digest_path = hf_strfmt("%s/replica", b->dir);
    const struct hf_replica_options o = {
        .fs = hf_fs_system(), .pool = b->pool, .seed = BOOK_SEED, .digest_path = digest_path};
    struct hf_replica *replica = NULL;
    struct hf_err err;

    hf_must(hf_engine_sqlite()->replica_open(&o, &replica, &err), &err);
    for (size_t i = 0; i < b->count; i++) {
        struct memory_source source = source_of(&b->segments[i]);

        assert_int_equal(b->infos[i].min_txid, i + 1);
        assert_int_equal(b->infos[i].max_txid, i + 1);
        hf_must(replica->ops->apply(replica, &source.base, &err), &err);
    }
    replica->ops->free(replica);
}

static unsigned check_states(struct book *b, struct load_seen *seen, struct hf_buf *image)
{
    unsigned catch_ups = 0;

    for (uint64_t txid = 1; txid <= b->count; txid++) {
        catch_ups += b->infos[txid - 1].catchup;
        book_advance(b, txid, image);
        sqlite3 *db = book_open_image(image);

        load_check(db, seen);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    return catch_ups;
}

static void check_end(struct book *b, struct load_seen *seen)
{
    struct hf_buf image = {0};
    const unsigned catch_ups = check_states(b, seen, &image);
    sqlite3 *app = book_app(b, NULL);
    struct hf_buf live = book_live_image(app);

    book_same(&image, &live, b->infos[0].page_bytes);
    print_message("%lld commits, %zu segments, %u catch-ups\n", (long long)seen->commits, b->count,
                  catch_ups);
    hf_buf_done(&image);
    hf_buf_done(&live);
    (void)sqlite3_close(app);
}

static void run(unsigned page_bytes, const char *auto_vacuum, const char *synchronous)
{
    const char *text = getenv("HF_TEST_SEED");
    struct book *b = book_new();
    HF_AUTO_FREE char *dir = hf_strfmt("%s/segments", b->dir);
    struct load_plan plan = {
        .db_path = b->db_path,
        .seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)hf_now_us(hf_clock_system()),
        .writers_count = 3,
        .page_bytes = page_bytes,
        .auto_vacuum = auto_vacuum,
        .synchronous = synchronous,
        .ms = 600000,
        .pause_ms = 10,
        .rows_max = 60,
        .row_bytes_max = 20000,
    };
    struct keeper keeper = {
        .taker = {.begin = keep_begin, .commit = keep_commit, .abort = keep_nothing},
        .sink = {.write = keep_bytes},
        .dir = dir,
        .db_path = b->db_path,
        .state_dir = b->state_dir,
    };
    struct load load;
    struct load_seen seen = {0};
    int status = -1;

    print_message("seed %llu: ", (unsigned long long)plan.seed);
    assert_int_equal(mkdir(dir, 0700), 0);
    load_create(&plan);
    load_start(&load, &plan);
    kill_again_and_again(&keeper, &load, &plan);
    load_kill(&load);
    const pid_t pid = start_capture(&keeper, true, plan.seed);

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fill_book(b, dir);
    check_chain(b);
    check_end(b, &seen);
    book_free(b);
}

static void killed_anywhere_it_goes_on_where_it_was(void **state)
{
    (void)state;
    run(4096, "NONE", "NORMAL");
    run(1024, "INCREMENTAL", "OFF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_it_goes_on_where_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
