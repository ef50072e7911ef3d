/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_owner.c
 *
 * Goal: whoever captures, the application's user can still open and write its database, and -wal
 * and -shm stay as they were or become what the application would have made; and what cannot be
 * captured is refused with a message that says why, and left as it was.
 * Method: the application and capture each run in a child, under users of their own if this test
 * is run by root (in CI it is), else all under the one there is. -wal and -shm are missing, left
 * by a crash, or in use when capture comes. Owner and mode of the files are looked at while capture
 * is attached and after it let go.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/capture_book.h"
#include "lib/talk.h"

#define APP_USER   65534
#define APP_GROUP  54321 /* of nobody */
#define OTHER_USER 54322
#define NO_GROUP   54323
#define MODE_FILE  0660
#define MODE_DIR   0770
#define PATH_BYTES 300

/* Under whom a child runs. */
struct user {
    uid_t uid;
    gid_t gid;
    gid_t extra; /* a group beside */
};

struct child {
    struct user user;
    const char *db_path;
    const char *state_dir;
    struct hf_err err; /* what attach said */
};

static void become(const struct user *u)
{
    if (geteuid() != 0)
        return;
    if (setgroups(1, &u->extra) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0)
        talk_die("change the user", NULL);
    (void)umask(022);
}

/* ---- the application ---------------------------------------------------------------------- */

static sqlite3 *open_as(const struct child *c)
{
    sqlite3 *db = NULL;

    become(&c->user);
    if (sqlite3_open(c->db_path, &db) != SQLITE_OK)
        talk_die("open", db);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

static void write_into(sqlite3 *db)
{
    talk_exec(db,
              "PRAGMA journal_mode=wal; CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b);"
              "INSERT INTO t(b) VALUES(randomblob(9000))");
}

static void write_and_close(struct talk *t, void *ctx)
{
    sqlite3 *db = open_as(ctx);

    (void)t;
    write_into(db);
    (void)sqlite3_close(db);
}

/* -wal and -shm stay, and with them what is in them. */
static void write_and_crash(struct talk *t, void *ctx)
{
    (void)t;
    write_into(open_as(ctx));
    _exit(0);
}

/* Says 'h' between its two transactions. */
static void write_and_hold(struct talk *t, void *ctx)
{
    sqlite3 *db = open_as(ctx);

    write_into(db);
    (void)talk_say(t, 'h', 0);
    write_into(db);
    (void)sqlite3_close(db);
}

static void run_application(const struct child *c, void (*run)(struct talk *t, void *ctx))
{
    struct child app = {.user = {APP_USER, APP_GROUP, APP_GROUP}, .db_path = c->db_path};
    struct talk talk;
    int64_t number;

    talk_start(&talk, run, &app);
    assert_int_equal(talk_hear(&talk, &number), TALK_END);
    talk_done(&talk);
}

/* ---- capture ------------------------------------------------------------------------------- */

/* A taker that keeps nothing. */
static enum hf_code drop_bytes(struct hf_sink *s, struct hf_slice data, struct hf_err *err)
{
    (void)s;
    (void)data;
    (void)err;
    return HF_OK;
}

static enum hf_code drop_begin(struct hf_taker *t, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    static struct hf_sink sink = {.write = drop_bytes};

    (void)t;
    (void)info;
    (void)err;
    *ret = &sink;
    return HF_OK;
}

static enum hf_code drop_commit(struct hf_taker *t, struct hf_err *err)
{
    (void)t;
    (void)err;
    return HF_OK;
}

static void drop_abort(struct hf_taker *t)
{
    (void)t;
}

static struct hf_taker dropper = {.begin = drop_begin, .commit = drop_commit, .abort = drop_abort};

static enum hf_code open_and_snapshot(const struct child *c, struct hf_live **ret,
                                      struct hf_err *err)
{
    const struct hf_live_options o = {
        .fs = hf_fs_system(),
        .clock = hf_clock_system(),
        .pool = hf_pool_new(0),
        .db_path = c->db_path,
        .state_dir = c->state_dir,
        .seed = BOOK_SEED,
        .epoch = 1,
        .log_bytes_max = UINT64_C(64) << 20,
    };
    enum hf_live_need need;
    bool lost;
    enum hf_code rc = sqlite_live_open(&o, ret, err);

    if (rc == HF_OK)
        rc = (*ret)->ops->attach(*ret, &need, &lost, err);
    if (rc == HF_OK)
        rc = (*ret)->ops->snapshot(*ret, err);
    return rc == HF_OK ? (*ret)->ops->give_snapshot(*ret, &dropper, NULL, err) : rc;
}

/* Says 'a' when attached, 'd' when it has let go. */
static void capture(struct talk *t, void *ctx)
{
    const struct child *c = ctx;
    struct hf_live *live = NULL;
    struct hf_round round = {.cut = true};
    struct hf_err err;

    become(&c->user);
    if (open_and_snapshot(c, &live, &err) != HF_OK)
        talk_die(err.text, NULL);
    (void)talk_say(t, 'a', 0);
    for (int i = 0; i < 200 && !round.resting; i++) {
        if (live->ops->round(live, &round, &dropper, &err) != HF_OK)
            talk_die(err.text, NULL);
        hf_sleep_ms(hf_clock_system(), 5);
    }
    live->ops->free(live);
    (void)talk_say(t, 'd', 0);
}

/* ---- owner and mode ------------------------------------------------------------------------- */

static const char *const companions[] = {"-wal", "-shm"};

/* Whether there is one. */
static bool look_at(const struct child *c, const char *end, struct stat *ret)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s%s", c->db_path, end);
    return stat(path, ret) == 0;
}

/* -wal and -shm can be used by the application as if it had made them: what capture made as root
 * has the database's owner; what was there, or another user made, keeps its own. */
static void check_files(const struct child *c, uid_t made_by)
{
    const uid_t expected = geteuid() == 0 && made_by != 0 ? made_by : APP_USER;
    struct stat db;

    assert_true(look_at(c, "", &db));
    for (size_t i = 0; i < HF_ARRAY_LEN(companions); i++) {
        struct stat st;

        assert_true(look_at(c, companions[i], &st));
        assert_int_equal(st.st_mode & 07777, db.st_mode & 07777);
        assert_int_equal(st.st_gid, db.st_gid);
        assert_int_equal(st.st_uid, geteuid() == 0 ? expected : db.st_uid);
    }
}

/* A database of the application, closed, in a folder that its group may write to. */
static void make_database(struct book *b, struct child *c)
{
    char *folder = hf_strfmt("%s/data", b->dir);

    assert_int_equal(chmod(b->dir, 0755), 0);
    assert_int_equal(chmod(b->state_dir, 0777), 0);
    assert_int_equal(mkdir(folder, MODE_DIR), 0);
    c->db_path = hf_strfmt("%s/app.db", folder);
    c->state_dir = b->state_dir;
    if (geteuid() == 0)
        assert_int_equal(chown(folder, APP_USER, APP_GROUP), 0);
    assert_int_equal(chmod(folder, MODE_DIR), 0);
    run_application(c, write_and_close);
    assert_int_equal(chmod(c->db_path, MODE_FILE), 0);
    hf_free(folder);
}

/* How -wal and -shm are when capture comes. */
enum before { MISSING, LEFT, IN_USE };

/* Capture comes and goes while the application works, and is there alone in between. */
static void capture_beside(struct child *c, uid_t made_by)
{
    struct talk talk;
    int64_t number;

    talk_start(&talk, capture, c);
    assert_int_equal(talk_hear(&talk, &number), 'a');
    check_files(c, made_by);
    run_application(c, write_and_close);
    check_files(c, made_by);
    talk_answer(&talk, 0);
    assert_int_equal(talk_hear(&talk, &number), 'd');
    check_files(c, made_by);
    talk_answer(&talk, 0);
    assert_int_equal(talk_hear(&talk, &number), TALK_END);
    talk_done(&talk);
}

static void play(struct user user, enum before before)
{
    struct book *b = book_new();
    struct child c = {.user = user};
    struct talk holder = {0};
    int64_t number;

    make_database(b, &c);
    struct child app = {.user = {APP_USER, APP_GROUP, APP_GROUP}, .db_path = c.db_path};

    if (before == LEFT)
        run_application(&c, write_and_crash);
    if (before == IN_USE) {
        talk_start(&holder, write_and_hold, &app);
        assert_int_equal(talk_hear(&holder, &number), 'h');
    }
    capture_beside(&c, before == MISSING ? user.uid : APP_USER);
    if (before == IN_USE) {
        talk_answer(&holder, 0);
        assert_int_equal(talk_hear(&holder, &number), TALK_END);
        talk_done(&holder);
    }
    run_application(&c, write_and_close);
    hf_free((char *)c.db_path);
    book_free(b);
}

static const struct user users[] = {
    {0, 0, 0},                           /* root */
    {APP_USER, APP_GROUP, APP_GROUP},    /* the application's own */
    {APP_USER, NO_GROUP, APP_GROUP},     /* the same, with another group first */
    {OTHER_USER, APP_GROUP, APP_GROUP},  /* another of its group */
    {OTHER_USER, OTHER_USER, APP_GROUP}, /* the same, with another group first */
};

static void the_applications_user_can_go_on_whoever_captures(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(users); i++)
        for (int before = MISSING; before <= IN_USE; before++)
            play(users[i], (enum before)before);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* From attaching to letting go, with nobody else. */
static void run_capture(struct child *c)
{
    struct talk talk;
    int64_t number;

    talk_start(&talk, capture, c);
    assert_int_equal(talk_hear(&talk, &number), 'a');
    talk_answer(&talk, 0);
    assert_int_equal(talk_hear(&talk, &number), 'd');
    talk_answer(&talk, 0);
    assert_int_equal(talk_hear(&talk, &number), TALK_END);
    talk_done(&talk);
}

/* Says 'x' and the code, after it has written the message to the file "said". */
static void be_refused(struct talk *t, void *ctx)
{
    const struct child *c = ctx;
    struct hf_live *live = NULL;
    struct hf_err err = {.text = ""};
    char path[PATH_BYTES];

    become(&c->user);
    const enum hf_code rc = open_and_snapshot(c, &live, &err);

    (void)snprintf(path, sizeof(path), "%s/said", c->state_dir);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    const size_t len = strlen(err.text);

    if (fd < 0 || write(fd, err.text, len) != (ssize_t)len)
        talk_die("write what was said", NULL);
    (void)close(fd);
    (void)talk_say(t, 'x', rc);
}

static void must_be_refused(const struct child *c, enum hf_code code, const char *words)
{
    struct talk talk;
    int64_t number = -1;
    HF_AUTO_BUF said = {0};
    struct hf_err err;
    char path[PATH_BYTES];

    talk_start(&talk, be_refused, (void *)c);
    assert_int_equal(talk_hear(&talk, &number), 'x');
    talk_answer(&talk, 0);
    talk_done(&talk);
    (void)snprintf(path, sizeof(path), "%s/said", c->state_dir);
    hf_must(hf_fs_read_all(hf_fs_system(), path, sizeof(err.text), &said, &err), &err);
    hf_buf_append(&said, "", 1);
    if (number != (int64_t)code || strstr((const char *)said.ptr, words) == NULL)
        fail_msg("expected code %d and '%s'; it was code %d, and said: %s", (int)code, words,
                 (int)number, (const char *)said.ptr);
    assert_int_equal(unlink(path), 0);
}

static void file_of(const struct child *c, const char *end, mode_t mode)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s%s", c->db_path, end);
    const int fd = open(path, O_WRONLY | O_CREAT, mode);

    assert_true(fd >= 0);
    if (end[0] != '\0') /* of an empty one SQLite would mend the mode */
        assert_int_equal(pwrite(fd, "not empty", 9, 0), 9);
    (void)close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static void what_may_not_be_written_is_refused(void **state)
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    const struct user user = {OTHER_USER, NO_GROUP, APP_GROUP};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(ends); i++) {
        struct book *b = book_new();
        struct child c = {.user = user};

        make_database(b, &c);
        HF_AUTO_FREE char *folder = hf_strfmt("%s/data", b->dir);

        assert_int_equal(chmod(folder, 0777), 0);
        assert_int_equal(chmod(c.db_path, 0666), 0);
        file_of(&c, ends[i], 0444);
        must_be_refused(&c, HF_DENIED, "writable by this user");
        hf_free((char *)c.db_path);
        book_free(b);
    }
}

/* What a crash left is read-only; for root nothing is. */
static void play_read_only(struct user user, const char *end)
{
    struct book *b = book_new();
    struct child c = {.user = user};
    struct stat before;
    struct stat after;
    char path[PATH_BYTES];

    make_database(b, &c);
    run_application(&c, write_and_crash);
    (void)snprintf(path, sizeof(path), "%s%s", c.db_path, end);
    assert_int_equal(chmod(path, 0440), 0);
    assert_true(look_at(&c, end, &before));
    if (geteuid() == 0 && user.uid == 0)
        run_capture(&c);
    else
        must_be_refused(&c, HF_DENIED, "writable by this user");
    assert_true(look_at(&c, end, &after));
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_equal(after.st_gid, before.st_gid);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(chmod(path, MODE_FILE), 0);
    run_application(&c, write_and_close);
    hf_free((char *)c.db_path);
    book_free(b);
}

static void read_only_companions_stay_so_and_are_refused_but_to_root(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(users); i++)
        for (size_t k = 0; k < HF_ARRAY_LEN(companions); k++)
            play_read_only(users[i], companions[k]);
}

/* Keeps the database to itself until it is ended. */
static void hold_exclusively(struct talk *t, void *ctx)
{
    const struct child *c = ctx;
    sqlite3 *db = NULL;

    if (sqlite3_open(c->db_path, &db) != SQLITE_OK)
        talk_die("open", db);
    talk_exec(db,
              "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=wal; INSERT INTO t(b) VALUES(1)");
    (void)talk_say(t, 'h', 0);
}

static void an_exclusive_holder_is_named(void **state)
{
    struct book *b = book_new();
    struct child c = {.user = {0, 0, 0}};
    struct talk talk;
    int64_t number;

    (void)state;
    make_database(b, &c);
    talk_start(&talk, hold_exclusively, &c);
    assert_int_equal(talk_hear(&talk, &number), 'h');
    must_be_refused(&c, HF_BUSY, "locking_mode=EXCLUSIVE");
    talk_answer(&talk, 0);
    assert_int_equal(talk_hear(&talk, &number), TALK_END);
    talk_done(&talk);
    hf_free((char *)c.db_path);
    book_free(b);
}

/* Make the file anew out of `len` bytes, the first of them those of `head`. */
static void fill_file(const struct child *c, const char *head, size_t len)
{
    struct hf_rand rand = hf_rand_seeded(17);
    HF_AUTO_BUF bytes = {0};
    struct hf_err err;

    hf_buf_append(&bytes, head, strlen(head));
    while (bytes.len < len) {
        const uint64_t r = hf_rand_u64(&rand);

        hf_buf_append(&bytes, &r, sizeof(r));
    }
    bytes.len = len;
    hf_must(hf_fs_replace(hf_fs_system(), c->db_path, hf_buf_slice(&bytes), 0666, &err), &err);
}

static void what_is_no_database_is_refused(void **state)
{
    static const struct {
        const char *head;
        size_t len;
        const char *words;
    } cases[] = {
        {"", 40960, "encrypted"}, /* as an encrypted one looks */
        {"Dear reader, this is a letter", 1000, "not a SQLite database"},
        {"", 0, "is empty"},
        {"SQLite format 2", 4096, "not a SQLite database"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct book *b = book_new();
        struct child c = {.db_path = b->db_path, .state_dir = b->state_dir};

        fill_file(&c, cases[i].head, cases[i].len);
        must_be_refused(&c, HF_USAGE, cases[i].words);
        book_free(b);
    }
}

static void a_rollback_journal_is_refused_with_the_way_out(void **state)
{
    struct book *b = book_new();
    struct child c = {.db_path = b->db_path, .state_dir = b->state_dir};
    sqlite3 *app = NULL;

    (void)state;
    assert_int_equal(sqlite3_open(b->db_path, &app), SQLITE_OK);
    book_exec(app, "CREATE TABLE t(a)");
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    must_be_refused(&c, HF_USAGE, "PRAGMA journal_mode=wal");
    book_free(b);
}

/* Cut the file off behind `pages` pages; `with_log`: commits stay in the log. */
static void play_cut_off(bool with_log, int pages)
{
    struct book *b = book_new();
    struct child c = {.db_path = b->db_path, .state_dir = b->state_dir};
    sqlite3 *app = book_app(b, "PRAGMA wal_autocheckpoint=0");

    book_exec(app, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
    book_exec(app, "INSERT INTO t(b) VALUES(randomblob(300000))");
    book_exec(app, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (with_log)
        book_exec(app, "INSERT INTO t(b) VALUES(randomblob(10000))");
    assert_int_equal(sqlite3_db_config(app, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    assert_int_equal(truncate(b->db_path, (off_t)pages * 4096), 0);
    must_be_refused(&c, HF_DAMAGE, "cut off");
    book_free(b);
}

static void a_database_that_was_cut_off_is_refused(void **state)
{
    (void)state;
    for (int pages = 2; pages < 70; pages += 11) {
        play_cut_off(false, pages);
        play_cut_off(true, pages);
    }
}

/* SQLite deletes a log beside an empty database; it may be all that is left of this one. */
static void the_log_of_a_database_cut_off_to_nothing_is_left_alone(void **state)
{
    struct book *b = book_new();
    struct child c = {.db_path = b->db_path, .state_dir = b->state_dir};
    sqlite3 *app = book_app(b, "PRAGMA wal_autocheckpoint=0");
    struct stat before;
    struct stat after;
    struct hf_err err;

    (void)state;
    book_exec(app, "CREATE TABLE t(a)");
    book_exec(app, "INSERT INTO t VALUES(randomblob(10000))");
    assert_int_equal(sqlite3_db_config(app, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(app), SQLITE_OK);
    assert_int_equal(truncate(b->db_path, 0), 0);
    assert_true(look_at(&c, "-wal", &before));
    must_be_refused(&c, HF_DAMAGE, "cut off");
    assert_int_equal(hf_engine_sqlite()->live_prepare(b->db_path, &err), HF_DAMAGE);
    assert_true(look_at(&c, "-wal", &after));
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_size, before.st_size);
    book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_applications_user_can_go_on_whoever_captures),
        cmocka_unit_test(what_may_not_be_written_is_refused),
        cmocka_unit_test(read_only_companions_stay_so_and_are_refused_but_to_root),
        cmocka_unit_test(an_exclusive_holder_is_named),
        cmocka_unit_test(what_is_no_database_is_refused),
        cmocka_unit_test(a_rollback_journal_is_refused_with_the_way_out),
        cmocka_unit_test(a_database_that_was_cut_off_is_refused),
        cmocka_unit_test(the_log_of_a_database_cut_off_to_nothing_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
