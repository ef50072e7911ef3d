/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture.h - what every test program needs: cmocka with its includes, a folder of its own, a
 * clock that stands still, and hf_must().
 */
#ifndef HF_TESTS_LIB_FIXTURE_H
#define HF_TESTS_LIB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

/* Fail the test, with the error's message, unless `call` (which fills `err`) is HF_OK. */
#define hf_must(call, err)                                                                         \
    do {                                                                                           \
        if ((call) != HF_OK)                                                                       \
            fail_msg("%s: %s (%s)", #call, (err)->text, hf_code_text((err)->code));                \
    } while (0)

/* A new empty folder below $TMPDIR, or in memory (/dev/shm), or below /tmp; the caller removes it
 * with test_tmp_remove(). */
char *test_tmp_new(void);
/* Remove the folder and all below it, and free the name. */
void test_tmp_remove(char *path);

/* A clock that moves only by test_clock_move() and by sleeping on it. */
struct test_clock {
    struct hf_clock base; /* first, so that the pointers convert */
    int64_t now_us;
    int64_t slept_us;
};
void test_clock_init(struct test_clock *c, int64_t now_us);
void test_clock_move(struct test_clock *c, int64_t us);

#endif
