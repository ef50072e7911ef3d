/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_scan.c
 *
 * Goal: of each live page the scan says what is true: equal, newer than the replica, free, or
 * different; neither damage elsewhere nor a write that came later makes it say otherwise.
 * Method: a database is captured, the replica is made of the segments; then commits come, or bytes
 * are changed behind everybody's back, and pages are scanned. What must come out is told by
 * comparing the images page by page. A bad sector is a pread() of ours that fails over a range.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/walindex.h"
#include "lib/capture_book.h"
#include "lib/ltx_fixture.h"

#define PAGE_BYTES     4096
#define DIFFS_MAX      4096
#define SLICE_MS_MAX   3600000
#define TRUNK_AT       32 /* in page 1: the first trunk page of the freelist */
#define LEAVES_OFFSET  8  /* in a trunk page */
#define SLEEP_US_LIMIT 200000

/* The sector that cannot be read; none while `to` is 0. */
static struct {
    ino_t inode;
    off_t from;
    off_t to;
} bad;

ssize_t pread(int fd, void *dst, size_t len, off_t offset)
{
    struct stat st;

    if (bad.to > 0 && fstat(fd, &st) == 0 && st.st_ino == bad.inode && offset < bad.to &&
        offset + (off_t)len > bad.from) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, dst, len, offset);
}

struct fixture {
    struct book *b;
    sqlite3 *app;
    struct hf_replica *replica;
    struct hf_position end; /* of the replica in the log, if it is known */
    bool has_end;
    struct hf_page_diff diffs[DIFFS_MAX];
    size_t diffs_count;
    struct hf_scan_counts counts;
    int64_t slept_us;
    struct hf_err err;
};

static void fill(sqlite3 *app, int rows)
{
    book_exec(app,
              "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT %d) "
              "INSERT INTO t(b) SELECT randomblob(3000) FROM c",
              rows);
}

/* The replica at the last TXID that was captured. */
static void make_replica(struct fixture *f)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/reference", f->b->dir);
    const struct hf_replica_options o = {
        .fs = hf_fs_system(), .pool = f->b->pool, .seed = BOOK_SEED, .digest_path = path};
    const struct hf_buf *last = &f->b->segments[f->b->count - 1];

    hf_must(hf_engine_sqlite()->replica_open(&o, &f->replica, &f->err), &f->err);
    for (size_t i = 0; i < f->b->count; i++) {
        struct test_source source;

        test_source_init(&source, hf_buf_slice(&f->b->segments[i]), "segment");
        hf_must(f->replica->ops->apply(f->replica, &source.base, &f->err), &f->err);
    }
    hf_must(f->replica->ops->finish(f->replica, &f->err), &f->err);
    f->has_end = hf_engine_sqlite()->segment_end(hf_buf_slice(last), &f->end, &f->err) == HF_OK;
}

/* A database of some pages, captured up to a commit of the log, and the replica of it. */
static void fixture_init(struct fixture *f, const char *pragmas, int rows)
{
    (void)memset(f, 0, sizeof(*f));
    bad.to = 0;
    f->b = book_new();
    f->app = book_app(f->b, pragmas);
    book_exec(f->app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    fill(f->app, rows);
    (void)book_attach(f->b, NULL);
    book_exec(f->app, "UPDATE t SET b = randomblob(3000) WHERE a = 1");
    (void)book_round(f->b, true);
}

/* Nobody captures any more: an application is alone with its database. */
static void end_capture(struct fixture *f)
{
    book_kill(f->b);
    make_replica(f);
}

static void fixture_done(struct fixture *f)
{
    bad.to = 0;
    if (f->replica != NULL)
        f->replica->ops->free(f->replica);
    (void)sqlite3_close(f->app);
    book_free(f->b);
}

static enum hf_code keep_diff(void *ctx, const struct hf_page_diff *diff, struct hf_err *err)
{
    struct fixture *f = ctx;

    (void)err;
    assert_true(f->diffs_count < DIFFS_MAX);
    f->diffs[f->diffs_count++] = *diff;
    return HF_OK;
}

/* One slice over everything, by the position of the replica or as if nothing had come since. */
static enum hf_code scan(struct fixture *f, bool by_position)
{
    struct test_clock clock;
    const struct hf_scan_options o = {
        .fs = hf_fs_system(), .clock = &clock.base, .db_path = f->b->db_path, .seed = BOOK_SEED};
    struct hf_scan *s = NULL;
    struct hf_position at;
    uint64_t next = 1;

    test_clock_init(&clock, 1);
    f->diffs_count = 0;
    f->counts = (struct hf_scan_counts){0};
    assert_true(!by_position || f->has_end);
    hf_must(hf_engine_sqlite()->scan_open(&o, &s, &f->err), &f->err);
    hf_must(s->ops->pin(s, &at, &f->err), &f->err);
    const enum hf_code rc = s->ops->slice(s, f->replica, by_position ? &f->end : NULL, 1,
                                          SLICE_MS_MAX, keep_diff, f, &f->counts, &next, &f->err);

    s->ops->unpin(s);
    s->ops->free(s);
    assert_true(rc != HF_OK || next == 0);
    f->slept_us = clock.slept_us;
    return rc;
}

static void checkpoint(struct fixture *f)
{
    book_exec(f->app, "PRAGMA wal_checkpoint(PASSIVE)");
}

static void overwrite(struct fixture *f, uint64_t page, size_t offset, const void *bytes,
                      size_t len)
{
    const int fd = open(f->b->db_path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)((page - 1) * PAGE_BYTES + offset)), len);
    assert_int_equal(close(fd), 0);
}

static void spoil(struct fixture *f, uint64_t page)
{
    overwrite(f, page, 2000, "damage", 6);
}

static void read_page(struct fixture *f, uint64_t page, uint8_t ret[PAGE_BYTES])
{
    const int fd = open(f->b->db_path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, ret, PAGE_BYTES, (off_t)((page - 1) * PAGE_BYTES)), PAGE_BYTES);
    assert_int_equal(close(fd), 0);
}

static uint64_t pages_now(struct fixture *f)
{
    return (uint64_t)book_number(f->app, "PRAGMA page_count");
}

/* ---- what the log changed behind the replica ---- */

static void commits_behind_the_replica_are_parked_whether_or_not_they_are_in_the_file(void **state)
{
    static const char *const changes[] = {
        "UPDATE t SET b = randomblob(3000) WHERE a BETWEEN 3 AND 9",
        "DELETE FROM t WHERE a > 20",
        "INSERT INTO t(b) VALUES(randomblob(30000))",
    };

    (void)state;
    for (size_t i = 0; i < 2 * HF_ARRAY_LEN(changes); i++) {
        struct fixture f;

        fixture_init(&f, "PRAGMA wal_autocheckpoint=0", 60);
        end_capture(&f);
        book_exec(f.app, "%s", changes[i / 2]);
        if (i % 2 == 1)
            checkpoint(&f);
        struct hf_buf then = book_image(f.b, f.b->count);
        struct hf_buf now = book_live_image(f.app);
        uint64_t changed = 0;

        for (size_t at = 0; at < now.len; at += PAGE_BYTES)
            changed += at >= then.len || memcmp(now.ptr + at, then.ptr + at, PAGE_BYTES) != 0;
        hf_must(scan(&f, true), &f.err);
        assert_int_equal(f.diffs_count, 0);
        assert_true(changed > 0 && f.counts.parked >= changed);
        assert_int_equal(f.counts.parked + f.counts.equal + f.counts.unused, pages_now(&f));
        hf_buf_done(&then);
        hf_buf_done(&now);
        fixture_done(&f);
    }
}

static void damage_beside_commits_behind_the_replica_is_found(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, "PRAGMA wal_autocheckpoint=0", 60);
    end_capture(&f);
    book_exec(f.app, "UPDATE t SET b = randomblob(3000) WHERE a = 5");
    checkpoint(&f);
    spoil(&f, 50);
    hf_must(scan(&f, true), &f.err);
    assert_int_equal(f.diffs_count, 1);
    assert_int_equal(f.diffs[0].page, 50);
    assert_true(f.counts.parked > 0);
    fixture_done(&f);
}

static void a_log_that_began_anew_says_nothing_about_the_replica(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, "PRAGMA wal_autocheckpoint=0", 20);
    end_capture(&f);
    book_exec(f.app, "PRAGMA wal_checkpoint(TRUNCATE)");
    book_exec(f.app, "UPDATE t SET b = randomblob(3000) WHERE a = 5");
    assert_int_equal(scan(&f, true), HF_UNSUPPORTED);
    assert_int_equal(f.counts.equal + f.counts.parked + f.diffs_count, 0);
    fixture_done(&f);
}

/* ---- bad sectors ---- */

static void a_bad_sector_makes_only_the_pages_on_it_unreadable(void **state)
{
    static const struct {
        off_t from;
        off_t bytes;
    } sectors[] = {{70 * PAGE_BYTES, 512},
                   {70 * PAGE_BYTES + 3584, 512},
                   {69 * PAGE_BYTES, 2 * PAGE_BYTES},
                   {63 * PAGE_BYTES, PAGE_BYTES},
                   {64 * PAGE_BYTES, PAGE_BYTES},
                   {40 * PAGE_BYTES + 512, 100 * PAGE_BYTES}};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(sectors); i++) {
        const uint64_t first = (uint64_t)sectors[i].from / PAGE_BYTES + 1;
        const uint64_t last = (uint64_t)(sectors[i].from + sectors[i].bytes - 1) / PAGE_BYTES + 1;
        struct fixture f;
        struct stat st;

        fixture_init(&f, NULL, 200);
        book_settle(f.b);
        end_capture(&f);
        assert_int_equal(stat(f.b->db_path, &st), 0);
        bad.inode = st.st_ino;
        bad.from = sectors[i].from;
        bad.to = sectors[i].from + sectors[i].bytes;
        hf_must(scan(&f, false), &f.err);
        assert_int_equal(f.diffs_count, last - first + 1);
        for (uint64_t p = first; p <= last; p++) {
            assert_int_equal(f.diffs[p - first].page, p);
            assert_int_equal(f.diffs[p - first].state, HF_PAGE_UNREADABLE);
        }
        assert_int_equal(f.counts.equal + f.diffs_count, pages_now(&f));
        fixture_done(&f);
    }
}

/* ---- free pages ---- */

static void a_free_page_whose_bytes_changed_is_unused(void **state)
{
    struct fixture f;
    uint8_t page[PAGE_BYTES];

    (void)state;
    fixture_init(&f, NULL, 100);
    book_exec(f.app, "DELETE FROM t WHERE a > 20");
    book_settle(f.b);
    end_capture(&f);
    read_page(&f, 1, page);
    const uint32_t trunk = hf_get_be32(page + TRUNK_AT);

    read_page(&f, trunk, page);
    assert_true(hf_get_be32(page + 4) > 2);
    spoil(&f, hf_get_be32(page + LEAVES_OFFSET));
    hf_must(scan(&f, false), &f.err);
    assert_int_equal(f.diffs_count, 0);
    assert_int_equal(f.counts.unused, 1);
    fixture_done(&f);
}

static void a_damaged_trunk_page_hides_no_damage(void **state)
{
    /* Whose bytes lie: the trunk's leaf, or page 1's pointer to a page that looks like a trunk. */
    for (int by_page_1 = 0; by_page_1 < 2; by_page_1++) {
        struct fixture f;
        uint8_t page[PAGE_BYTES];
        uint8_t forged[PAGE_BYTES] = {0};
        const uint64_t victim = 5;

        (void)state;
        fixture_init(&f, NULL, 100);
        book_exec(f.app, "DELETE FROM t WHERE a > 20");
        book_settle(f.b);
        end_capture(&f);
        read_page(&f, 1, page);
        const uint32_t trunk = by_page_1 ? 7 : hf_get_be32(page + TRUNK_AT);

        hf_put_be32(forged + 4, 2);
        hf_put_be32(forged + LEAVES_OFFSET, (uint32_t)victim);
        hf_put_be32(forged + LEAVES_OFFSET + 4, trunk); /* itself, too */
        overwrite(&f, trunk, 0, forged, sizeof(forged));
        if (by_page_1) {
            uint8_t at[4];

            hf_put_be32(at, trunk);
            overwrite(&f, 1, TRUNK_AT, at, sizeof(at));
        }
        spoil(&f, victim);
        hf_must(scan(&f, false), &f.err);
        assert_int_equal(f.diffs_count, by_page_1 ? 3 : 2);
        assert_int_equal(f.counts.unused, 0);
        fixture_done(&f);
    }
}

/* ---- looking again ---- */

static void many_differing_pages_are_waited_for_together(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, NULL, 400);
    book_settle(f.b);
    end_capture(&f);
    for (uint64_t p = 3; p < 303; p++)
        spoil(&f, p);
    hf_must(scan(&f, false), &f.err);
    assert_int_equal(f.diffs_count, 300);
    for (uint64_t p = 3; p < 303; p++)
        assert_int_equal(f.diffs[p - 3].page, p);
    assert_true(f.slept_us > 0 && f.slept_us < SLEEP_US_LIMIT);
    fixture_done(&f);
}

static void a_database_that_is_shorter_misses_each_page(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, NULL, 100);
    book_settle(f.b);
    end_capture(&f);
    const uint64_t before = pages_now(&f);

    book_exec(f.app, "DELETE FROM t WHERE a > 20");
    book_exec(f.app, "VACUUM");
    checkpoint(&f);
    const uint64_t after = pages_now(&f);

    hf_must(scan(&f, false), &f.err);
    assert_true(after < before && f.diffs_count >= before - after);
    for (uint64_t i = 0; i < before - after; i++) {
        assert_int_equal(f.diffs[f.diffs_count - 1 - i].page, before - i);
        assert_int_equal(f.diffs[f.diffs_count - 1 - i].state, HF_PAGE_MISSING);
    }
    fixture_done(&f);
}

/* A process that holds WRITE and CKPT, as one at a TRUNCATE checkpoint does. */
static pid_t start_waiting(const struct fixture *f)
{
    HF_AUTO_FREE char *shm = hf_strfmt("%s-shm", f->b->db_path);
    int pipe_fds[2];
    char byte;

    assert_int_equal(pipe(pipe_fds), 0);
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct flock locks = {.l_type = F_WRLCK,
                              .l_whence = SEEK_SET,
                              .l_start = WALINDEX_LOCK_BYTE + WALINDEX_LOCK_WRITE,
                              .l_len = 2};
        const int fd = open(shm, O_RDWR | O_CLOEXEC);

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || fcntl(fd, F_SETLK, &locks) < 0 ||
            write(pipe_fds[1], "l", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    (void)close(pipe_fds[0]);
    return pid;
}

/* How many slices a scan of everything takes, of which none is limited in time. */
static int slices(struct fixture *f)
{
    struct test_clock clock;
    const struct hf_scan_options o = {
        .fs = hf_fs_system(),
        .clock = &clock.base,
        .db_path = f->b->db_path,
        .seed = BOOK_SEED,
        .bytes_per_s_max = 1U << 20, /* so that time passes */
    };
    struct hf_scan *s = NULL;
    int count = 0;

    test_clock_init(&clock, 1);
    f->counts = (struct hf_scan_counts){0};
    hf_must(hf_engine_sqlite()->scan_open(&o, &s, &f->err), &f->err);
    for (uint64_t next = 1; next != 0; count++) {
        struct hf_position at;

        hf_must(s->ops->pin(s, &at, &f->err), &f->err);
        hf_must(s->ops->slice(s, f->replica, NULL, next, SLICE_MS_MAX, keep_diff, f, &f->counts,
                              &next, &f->err),
                &f->err);
        s->ops->unpin(s);
    }
    s->ops->free(s);
    return count;
}

static void a_slice_gives_way_to_a_checkpoint_that_waits(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, NULL, 500);
    book_settle(f.b);
    end_capture(&f);
    assert_int_equal(slices(&f), 1);
    const pid_t pid = start_waiting(&f);

    assert_true(slices(&f) > 2);
    assert_int_equal(f.counts.equal + f.counts.unused, pages_now(&f));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_behind_the_replica_are_parked_whether_or_not_they_are_in_the_file),
        cmocka_unit_test(damage_beside_commits_behind_the_replica_is_found),
        cmocka_unit_test(a_log_that_began_anew_says_nothing_about_the_replica),
        cmocka_unit_test(a_bad_sector_makes_only_the_pages_on_it_unreadable),
        cmocka_unit_test(a_free_page_whose_bytes_changed_is_unused),
        cmocka_unit_test(a_damaged_trunk_page_hides_no_damage),
        cmocka_unit_test(many_differing_pages_are_waited_for_together),
        cmocka_unit_test(a_database_that_is_shorter_misses_each_page),
        cmocka_unit_test(a_slice_gives_way_to_a_checkpoint_that_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
