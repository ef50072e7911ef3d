/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_book.h - a live SQLite database under capture in a test: a taker that keeps every
 * segment in memory, and the database that the segments up to a TXID lead to.
 */
#ifndef HF_TESTS_LIB_CAPTURE_BOOK_H
#define HF_TESTS_LIB_CAPTURE_BOOK_H

#include <sqlite3.h>

#include "base/pool.h"
#include "base/rand.h"
#include "engine/sqlite/capture.h"
#include "lib/fixture.h"

#define BOOK_SEGMENTS_MAX 65536

struct book {
    struct hf_taker taker; /* first, so that the pointers convert */
    struct hf_sink sink;
    struct hf_buf segments[BOOK_SEGMENTS_MAX]; /* of TXID i + 1 */
    struct hf_seg_info infos[BOOK_SEGMENTS_MAX];
    size_t count;
    bool open;          /* a segment was begun and neither committed nor aborted */
    bool refuse_commit; /* the next commit fails */
    char *dir;
    char *db_path;
    char *state_dir;
    struct hf_pool *pool;
    struct hf_fs *fs;        /* NULL: the system's; borrowed */
    struct test_clock clock; /* 50 ms pass with every round */
    int64_t wait_ms;         /* that the last round asked for */
    bool on_real_time;       /* then it is not used: others take part in what happens */
    struct hf_live *live;
    bool never_lock;
    uint64_t log_bytes_max;
};

#define BOOK_SEED UINT64_C(0x5eed5eed5eed5eed)

/* A folder with an empty state; no database yet. */
struct book *book_new(void);
void book_free(struct book *b);

/* The application's own connection: creates the database in WAL mode. */
sqlite3 *book_app(struct book *b, const char *pragmas);
void book_exec(sqlite3 *db, const char *sql, ...) HF_PRINTF(2, 3);
int64_t book_number(sqlite3 *db, const char *sql);

/* Open capture over the kept state, and no more. */
void book_open(struct book *b);
enum hf_code book_try_open(struct book *b, struct hf_err *err) HF_MUST_CHECK;
/* The state, not yet attached, moves over a segment that it lacks. */
enum hf_code book_adopt(struct book *b, uint64_t txid, struct hf_err *err) HF_MUST_CHECK;
/* Open capture over the kept state and do what attach says is needed. */
enum hf_live_need book_attach(struct book *b, bool *ret_lost);
/* As after kill -9: locks are dropped and nothing is written. */
void book_kill(struct book *b);
/* One round; the number of segments made. */
unsigned book_round(struct book *b, bool cut);
/* Rounds until nothing is pending and capture rests. */
void book_settle(struct book *b);

/* Bring `image`, which is the database at txid - 1, to `txid`. */
void book_advance(struct book *b, uint64_t txid, struct hf_buf *image);
/* The database at `txid`: as many bytes as pages; the caller ends it with hf_buf_done(). */
struct hf_buf book_image(struct book *b, uint64_t txid);
/* What a connection sees now, as one would copy it. */
struct hf_buf book_live_image(sqlite3 *db);
/* Fails the test unless both are the same, page by page. */
void book_same(const struct hf_buf *restored, const struct hf_buf *live, uint32_t page_bytes);
/* A connection to an image in memory. */
sqlite3 *book_open_image(const struct hf_buf *image);

#endif
