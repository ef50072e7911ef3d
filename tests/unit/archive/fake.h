/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake.h - what the archive tests share: a segment format of a few bytes and its codec, and an
 * archive in memory whose clock stands still.
 */
#ifndef HF_TESTS_UNIT_ARCHIVE_FAKE_H
#define HF_TESTS_UNIT_ARCHIVE_FAKE_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/segment.h"
#include "base/bytes.h"
#include "lib/fixture.h"
#include "lib/store_mem.h"

#define FAKE_HEADER_BYTES 29
#define FAKE_CATCHUP      1 /* flags, the header's last byte */
#define FAKE_CLAMPED      2
#define FAKE_FOREIGN      4                      /* of others: it has no root */
#define FAKE_START_MS     INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

static inline enum hf_code fake_info(struct hf_slice header, struct hf_seg_info *ret,
                                     struct hf_err *err)
{
    assert_int_equal(header.len, FAKE_HEADER_BYTES);
    if (memcmp(header.ptr, "FAKE", 4) != 0)
        return hf_err_set(err, HF_DAMAGE, "not a fake segment");
    *ret = (struct hf_seg_info){
        .min_txid = hf_get_be64(header.ptr + 4),
        .max_txid = hf_get_be64(header.ptr + 12),
        .time_ms = (int64_t)hf_get_be64(header.ptr + 20),
        .catchup = (header.ptr[28] & FAKE_CATCHUP) != 0,
        .clamped = (header.ptr[28] & FAKE_CLAMPED) != 0,
        .has_root = (header.ptr[28] & FAKE_FOREIGN) == 0,
    };
    return HF_OK;
}

static const struct hf_segment_codec fake_codec = {FAKE_HEADER_BYTES, fake_info};

struct fake {
    struct test_clock clock;
    struct store_mem *store;
    struct hf_archive archive;
    struct hf_err err;
};

/* An empty store and the archive "t/a.db" in it, without format object. */
static inline void fake_init(struct fake *f)
{
    test_clock_init(&f->clock, FAKE_START_MS * 1000);
    f->store = store_mem_new(&f->clock.base);
    hf_must(hf_archive_open(&f->store->base, "t/a.db", &f->archive, &f->err), &f->err);
}

static inline void fake_done(struct fake *f)
{
    hf_store_free(&f->store->base);
}

static inline void fake_put(struct fake *f, const char *key, struct hf_slice body)
{
    const struct hf_put put = {.cond = HF_PUT_ALWAYS};

    hf_must(hf_store_put(&f->store->base, key, body, &put, NULL, &f->err), &f->err);
}

/* A segment of `size` bytes, at least a header, at the key of the archive's layout. */
static inline void fake_put_marked(struct fake *f, unsigned level, uint64_t min, uint64_t max,
                                   int64_t time_ms, size_t size, unsigned flags)
{
    const struct hf_segment segment = {.level = level, .min_txid = min, .max_txid = max};
    HF_AUTO_BUF body = {0};
    char key[HF_KEY_MAX + 1];
    uint8_t *to = hf_buf_extend(&body, size);

    assert_true(size >= FAKE_HEADER_BYTES);
    (void)memset(to, 0, size);
    (void)memcpy(to, "FAKE", 4);
    hf_put_be64(to + 4, min);
    hf_put_be64(to + 12, max);
    hf_put_be64(to + 20, (uint64_t)time_ms);
    to[28] = (uint8_t)flags;
    hf_archive_segment_key(&f->archive, &segment, key);
    fake_put(f, key, hf_buf_slice(&body));
}

static inline void fake_put_segment(struct fake *f, unsigned level, uint64_t min, uint64_t max,
                                    int64_t time_ms, size_t size)
{
    fake_put_marked(f, level, min, max, time_ms, size, 0);
}

/* "0:1-1 0:2-2 9:1-5": segments by level and TXIDs. TXID n has the time FAKE_START_MS + 1000 n.
 * "0:3-3c" is a catch-up. */
static inline void fake_put_all(struct fake *f, const char *text)
{
    unsigned level;
    uint64_t min;
    uint64_t max;
    int len;

    while (sscanf(text, " %u:%" SCNu64 "-%" SCNu64 "%n", &level, &min, &max, &len) == 3) {
        text += len;
        fake_put_marked(f, level, min, max, FAKE_START_MS + 1000 * (int64_t)max, 100,
                        *text == 'c' ? FAKE_CATCHUP : 0);
        text += *text == 'c';
    }
    assert_int_equal(strspn(text, " "), strlen(text));
}

static inline void fake_delete(struct fake *f, unsigned level, uint64_t min, uint64_t max)
{
    const struct hf_segment segment = {.level = level, .min_txid = min, .max_txid = max};
    char key[HF_KEY_MAX + 1];

    hf_archive_segment_key(&f->archive, &segment, key);
    hf_must(hf_store_delete(&f->store->base, key, &f->err), &f->err);
}

/* The message has these words. */
static inline void assert_says(const struct hf_err *err, const char *words)
{
    if (strstr(err->text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err->text, words);
}

#endif
