/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.c - folders in memory where there is one, since SQLite syncs a lot. */
#include "lib/fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *test_tmp_new(void)
{
    const char *wanted = getenv("TMPDIR");
    const char *memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    const char *base = wanted != NULL ? wanted : memory;
    char *path = hf_strfmt("%s/holdfast-test-XXXXXX", base);

    if (mkdtemp(path) == NULL)
        fail_msg("cannot make a folder %s", path);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void test_tmp_remove(char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    hf_free(path);
}

static int64_t clock_now(struct hf_clock *c)
{
    return ((struct test_clock *)c)->now_us;
}

static void clock_sleep(struct hf_clock *c, int64_t us)
{
    ((struct test_clock *)c)->now_us += us;
    ((struct test_clock *)c)->slept_us += us;
}

void test_clock_init(struct test_clock *c, int64_t now_us)
{
    *c = (struct test_clock){
        .base = {.now_us = clock_now, .mono_us = clock_now, .sleep_us = clock_sleep},
        .now_us = now_us,
    };
}

void test_clock_move(struct test_clock *c, int64_t us)
{
    c->now_us += us;
}
