/* SPDX-License-Identifier: Apache-2.0 */
/* wal_maker.c - the bytes of a WAL made by hand, checksums and all. */
#include "lib/wal_maker.h"

#include <string.h>

#include "base/bytes.h"
#include "base/fs.h"
#include "lib/fixture.h"

static uint32_t word(const struct wal_maker *m, const uint8_t *p)
{
    return m->big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                         : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* "Checksum Algorithm": s0 and s1 over pairs of words. */
static void sum_on(struct wal_maker *m, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        m->sum[0] += word(m, p + i) + m->sum[1];
        m->sum[1] += word(m, p + i + 4) + m->sum[0];
    }
}

void wal_maker_begin(struct wal_maker *m, bool big_endian, uint32_t page_bytes,
                     const uint32_t salt[2])
{
    uint8_t head[32];

    *m = (struct wal_maker){.big_endian = big_endian, .page_bytes = page_bytes};
    (void)memcpy(m->salt, salt, sizeof(m->salt));
    hf_put_be32(head, 0x377f0682U | (big_endian ? 1U : 0U));
    hf_put_be32(head + 4, 3007000);
    hf_put_be32(head + 8, page_bytes);
    hf_put_be32(head + 12, 7); /* checkpoints so far: means nothing */
    hf_put_be32(head + 16, salt[0]);
    hf_put_be32(head + 20, salt[1]);
    sum_on(m, head, 24);
    hf_put_be32(head + 24, m->sum[0]);
    hf_put_be32(head + 28, m->sum[1]);
    hf_buf_append(&m->bytes, head, sizeof(head));
    m->end = (struct wal_position){.salt = {salt[0], salt[1]}};
}

void wal_maker_page(struct wal_maker *m, uint32_t pgno, uint32_t commit, struct hf_slice page)
{
    uint8_t head[24];

    assert_int_equal(page.len, m->page_bytes);
    hf_put_be32(head, pgno);
    hf_put_be32(head + 4, commit);
    hf_put_be32(head + 8, m->salt[0]);
    hf_put_be32(head + 12, m->salt[1]);
    sum_on(m, head, 8);
    sum_on(m, page.ptr, page.len);
    hf_put_be32(head + 16, m->sum[0]);
    hf_put_be32(head + 20, m->sum[1]);
    hf_buf_append(&m->bytes, head, sizeof(head));
    hf_buf_append(&m->bytes, page.ptr, page.len);
    m->end.frame++;
    m->end.commit = commit;
    m->end.cksum[0] = m->sum[0];
    m->end.cksum[1] = m->sum[1];
}

void wal_maker_frame(struct wal_maker *m, uint32_t pgno, uint32_t commit, uint32_t mark)
{
    HF_AUTO_FREE uint8_t *page = hf_malloc(m->page_bytes);

    for (uint32_t i = 0; i < m->page_bytes; i += 4)
        hf_put_be32(page + i, mark + i * 2654435761U);
    wal_maker_page(m, pgno, commit, hf_slice(page, m->page_bytes));
}

void wal_maker_write(const struct wal_maker *m, const char *path)
{
    struct hf_err err;

    hf_must(hf_fs_replace(hf_fs_system(), path, hf_buf_slice(&m->bytes), 0600, &err), &err);
}

void wal_maker_done(struct wal_maker *m)
{
    hf_buf_done(&m->bytes);
}
