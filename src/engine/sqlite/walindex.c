/* SPDX-License-Identifier: Apache-2.0 */
/* walindex.c - both copies of the header must agree, as SQLite itself demands of a reader. */
#include "engine/sqlite/walindex.h"

#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"

#define TRIES_MAX       100
#define BACKFILL_OFFSET 96  /* behind both copies */
#define MARKS_OFFSET    100 /* aReadMark[] */

static uint32_t native32(const uint8_t *p)
{
    uint32_t v;

    (void)memcpy(&v, p, sizeof(v));
    return v;
}

/* A copy that is not a data race for the compiler: the other side is another process. */
__attribute__((no_sanitize("thread"))) static void
copy_shared(uint8_t *dst, const volatile uint8_t *src, size_t len)
{
    for (size_t i = 0; i < len; i += 4)
        *(uint32_t *)(void *)(dst + i) =
            *(const volatile uint32_t *)(const volatile void *)(src + i);
}

/* The header's own checksum, over words in this machine's order. */
static bool checksum_is_right(const uint8_t *b)
{
    uint32_t s0 = 0;
    uint32_t s1 = 0;

    for (size_t i = 0; i < 40; i += 8) {
        s0 += native32(b + i) + s1;
        s1 += native32(b + i + 4) + s0;
    }
    return s0 == native32(b + 40) && s1 == native32(b + 44);
}

static bool read_once(const volatile uint8_t *shm, struct walindex *ret)
{
    _Alignas(4) uint8_t first[WALINDEX_HEADER_BYTES];
    _Alignas(4) uint8_t second[WALINDEX_HEADER_BYTES];
    _Alignas(4) uint8_t again[WALINDEX_HEADER_BYTES];
    _Alignas(4) uint8_t backfill[4];
    uint16_t page_size;

    /* A writer changes the second copy before the first (SQLite: walIndexWriteHdr). A restart of
     * the log changes the header before nBackfill (walRestartHdr), so the header is looked at again
     * behind it: without that, an old header could come with the new log's nBackfill. */
    copy_shared(first, shm, sizeof(first));
    atomic_thread_fence(memory_order_seq_cst);
    copy_shared(second, shm + sizeof(first), sizeof(second));
    atomic_thread_fence(memory_order_seq_cst);
    copy_shared(backfill, shm + BACKFILL_OFFSET, sizeof(backfill));
    atomic_thread_fence(memory_order_seq_cst);
    copy_shared(again, shm + sizeof(first), sizeof(again));
    if (memcmp(first, second, sizeof(first)) != 0 || memcmp(second, again, sizeof(second)) != 0 ||
        first[12] == 0 || !checksum_is_right(first))
        return false;
    (void)memcpy(&page_size, first + 14, sizeof(page_size));
    *ret = (struct walindex){
        .version = native32(first),
        .change = native32(first + 8),
        .page_bytes = (uint32_t)(page_size & 0xfe00U) + ((uint32_t)(page_size & 1U) << 16),
        .backfill = native32(backfill),
        .end =
            {
                .frame = native32(first + 16),
                .commit = native32(first + 20),
                .cksum = {native32(first + 24), native32(first + 28)},
                .salt = {hf_get_be32(first + 32), hf_get_be32(first + 36)},
            },
    };
    return true;
}

/* In the machine's byte order, as all of it; its own atomic word each, as SQLite uses them. */
static const volatile uint32_t *mark_at(const volatile void *shm, int mark)
{
    return (const volatile uint32_t *)((const volatile uint8_t *)shm + MARKS_OFFSET) + mark;
}

uint32_t walindex_mark(const volatile void *shm, int mark)
{
    return __atomic_load_n(mark_at(shm, mark), __ATOMIC_RELAXED);
}

void walindex_set_mark(volatile void *shm, int mark, uint32_t frame)
{
    __atomic_store_n((volatile uint32_t *)mark_at(shm, mark), frame, __ATOMIC_RELAXED);
}

bool walindex_read(const volatile void *shm, struct walindex *ret)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        if (read_once(shm, ret))
            return true;
    }
    return false;
}

bool walindex_same(const struct walindex *a, const struct walindex *b)
{
    return a->change == b->change && a->end.commit == b->end.commit &&
           wal_position_equal(&a->end, &b->end);
}
