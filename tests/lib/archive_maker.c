/* SPDX-License-Identifier: Apache-2.0 */
/* archive_maker.c - see archive_maker.h. */
#include "lib/archive_maker.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_writer.h"
#include "lib/fixture.h"
#include "lib/ltx_fixture.h"

static void open_archive(struct maker *m, const char *prefix)
{
    struct hf_archive_format format;
    struct hf_err err;

    hf_must(hf_archive_open(m->store, prefix, &m->archive, &err), &err);
    if (m->kind != MAKER_OURS)
        return;
    hf_format_init(&format, "sqlite", m->page_bytes, m->archive.layout, &m->rand);
    hf_must(hf_format_create(&m->archive, &format, &err), &err);
    m->seed = format.seed;
}

void maker_init(struct maker *m, struct hf_store *store, const char *prefix, enum maker_kind kind,
                uint32_t page_bytes, uint64_t rand_seed)
{
    *m = (struct maker){
        .store = store,
        .kind = kind,
        .page_bytes = page_bytes,
        .rand = hf_rand_seeded(rand_seed),
    };
    m->states = hf_calloc(MAKER_STATES_MAX, sizeof(*m->states));
    m->states[0].sum = HF_LTX_SUM_EMPTY;
    open_archive(m, prefix);
}

void maker_done(struct maker *m)
{
    for (uint64_t i = 0; i <= m->txid; i++) {
        hf_free(m->states[i].pages);
        hf_free(m->states[i].changed);
    }
    hf_free(m->states);
}

static void fill_page(struct maker *m, struct maker_state *s, uint32_t pgno)
{
    uint8_t *page = s->pages + (size_t)(pgno - 1) * m->page_bytes;

    test_page_fill(&m->rand, pgno, page, m->page_bytes);
    hf_put_be64(page + 8, hf_rand_u64(&m->rand)); /* no image comes twice */
    s->changed[pgno - 1] = 1;
}

/* The oracle of roots and checksums: nothing incremental, nothing shared with what is tested. */
static void sum_up(const struct maker *m, struct maker_state *s)
{
    struct hf_page_hasher *hasher = hf_page_hasher_new(m->seed);

    s->root = (struct hf_root){0};
    s->sum = HF_LTX_SUM_EMPTY;
    for (uint32_t p = 1; p <= s->pages_count; p++) {
        const struct hf_slice page =
            hf_slice(s->pages + (size_t)(p - 1) * m->page_bytes, m->page_bytes);
        uint8_t name[4];

        hf_put_be32(name, p);
        hf_root_add(&s->root, hf_page_hash(hasher, hf_slice(name, sizeof(name)), page));
        s->sum = hf_ltx_sum_toggle(s->sum, hf_ltx_page_sum(p, page));
    }
    hf_page_hasher_free(hasher);
}

void maker_commit(struct maker *m, uint32_t pages_count, unsigned writes)
{
    assert_in_range(pages_count, 1, MAKER_PAGES_MAX);
    assert_true(m->txid + 1 < MAKER_STATES_MAX);
    const struct maker_state *before = &m->states[m->txid];
    struct maker_state *s = &m->states[++m->txid];
    const uint32_t kept = before->pages_count < pages_count ? before->pages_count : pages_count;

    s->pages_count = pages_count;
    s->pages = hf_calloc(pages_count, m->page_bytes);
    s->changed = hf_calloc(pages_count, 1);
    if (kept > 0)
        (void)memcpy(s->pages, before->pages, (size_t)kept * m->page_bytes);
    for (uint32_t p = kept + 1; p <= pages_count; p++)
        fill_page(m, s, p);
    for (unsigned i = 0; i < writes; i++)
        fill_page(m, s, (uint32_t)hf_rand_below(&m->rand, pages_count) + 1);
    sum_up(m, s);
}

void maker_commit_random(struct maker *m, uint32_t pages_max)
{
    uint32_t count = m->states[m->txid].pages_count;

    switch (count == 0 ? 0 : hf_rand_below(&m->rand, 6)) {
    case 0:
        count += 1 + (uint32_t)hf_rand_below(&m->rand, pages_max / 3 + 1);
        break;
    case 1:
        count -= (uint32_t)hf_rand_below(&m->rand, count);
        break;
    default:
        break;
    }
    maker_commit(m, count > pages_max ? pages_max : count, (unsigned)hf_rand_below(&m->rand, 6));
}

const uint8_t *maker_page(const struct maker *m, uint64_t txid, uint32_t pgno)
{
    assert_in_range(txid, 1, m->txid);
    assert_in_range(pgno, 1, m->states[txid].pages_count);
    return m->states[txid].pages + (size_t)(pgno - 1) * m->page_bytes;
}

int64_t maker_time_ms(uint64_t txid)
{
    return MAKER_START_MS + (int64_t)txid * MAKER_TXID_MS;
}

/* Was the page written by any of these commits? */
static bool is_carried(const struct maker *m, uint64_t min_txid, uint64_t max_txid, uint32_t pgno)
{
    if (min_txid == 1)
        return true;
    for (uint64_t t = min_txid; t <= max_txid; t++) {
        const struct maker_state *s = &m->states[t];

        if (pgno > s->pages_count || s->changed[pgno - 1])
            return true; /* it was dropped and came back, or was written */
    }
    return false;
}

static struct hf_ltx_header header_of(const struct maker *m, uint64_t min_txid, uint64_t max_txid)
{
    const struct maker_state *end = &m->states[max_txid];
    struct hf_ltx_header h = {
        .flags = m->kind == MAKER_PLAIN ? HF_LTX_NO_CHECKSUM : 0,
        .page_bytes = m->page_bytes,
        .commit = end->pages_count,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .timestamp_ms = maker_time_ms(max_txid) + m->time_shift_ms,
    };

    if (m->kind != MAKER_PLAIN && min_txid > 1)
        h.pre_sum = m->states[min_txid - 1].sum;
    if (m->kind != MAKER_OURS)
        return h;
    h.node_id = 1;
    h.format = HF_LTX_FORMAT;
    h.root = end->root;
    if (min_txid == max_txid && min_txid > 1) { /* as captured: two frames each, of one WAL */
        h.wal_offset = (int64_t)(32 + (min_txid - 2) * 2 * (24 + m->page_bytes));
        h.wal_size = 2 * (24 + (int64_t)m->page_bytes);
        h.salts[0] = 0x11111111;
        h.salts[1] = 0x22222222;
    }
    return h;
}

void maker_segment(const struct maker *m, uint64_t min_txid, uint64_t max_txid, struct hf_buf *ret)
{
    const struct hf_ltx_header h = header_of(m, min_txid, max_txid);
    HF_AUTO_LTX_WRITER *w = NULL;
    struct test_sink sink;
    struct hf_err err;

    assert_true(min_txid >= 1 && min_txid <= max_txid && max_txid <= m->txid);
    test_sink_init(&sink);
    hf_must(hf_ltx_writer_new(&sink.base, &h, &w, &err), &err);
    for (uint32_t p = 1; p <= h.commit; p++) {
        if (!is_carried(m, min_txid, max_txid, p))
            continue;
        hf_must(hf_ltx_writer_page(w, p, hf_slice(maker_page(m, max_txid, p), m->page_bytes), &err),
                &err);
    }
    hf_must(hf_ltx_writer_finish(w, m->kind == MAKER_PLAIN ? 0 : m->states[max_txid].sum, &err),
            &err);
    hf_buf_append(ret, sink.bytes.ptr, sink.bytes.len);
    test_sink_done(&sink);
}

void maker_key(const struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid,
               char ret[HF_KEY_MAX + 1])
{
    const struct hf_segment s = {.level = level, .min_txid = min_txid, .max_txid = max_txid};

    hf_archive_segment_key(&m->archive, &s, ret);
}

void maker_put_bytes(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid,
                     struct hf_slice bytes)
{
    const struct hf_put put = {.cond = HF_PUT_ALWAYS, .timestamp_ms = maker_time_ms(max_txid)};
    char key[HF_KEY_MAX + 1];
    struct hf_err err;

    maker_key(m, level, min_txid, max_txid, key);
    hf_must(hf_store_put(m->store, key, bytes, &put, NULL, &err), &err);
}

void maker_put(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid)
{
    HF_AUTO_BUF bytes = {0};

    maker_segment(m, min_txid, max_txid, &bytes);
    maker_put_bytes(m, level, min_txid, max_txid, hf_buf_slice(&bytes));
}

void maker_delete(struct maker *m, unsigned level, uint64_t min_txid, uint64_t max_txid)
{
    char key[HF_KEY_MAX + 1];
    struct hf_err err;

    maker_key(m, level, min_txid, max_txid, key);
    hf_must(hf_store_delete(m->store, key, &err), &err);
}

void maker_put_all(struct maker *m)
{
    maker_put(m, HF_LEVEL_SNAPSHOT, 1, 1);
    for (uint64_t t = 2; t <= m->txid; t++)
        maker_put(m, 0, t, t);
}

void maker_assert_file(const struct maker *m, uint64_t txid, const char *path)
{
    const struct maker_state *s = &m->states[txid];
    HF_AUTO_BUF file = {0};
    struct hf_err err;

    hf_must(hf_fs_read_all(hf_fs_system(), path, SIZE_MAX, &file, &err), &err);
    assert_int_equal(file.len, (size_t)s->pages_count * m->page_bytes);
    for (uint32_t p = 1; p <= s->pages_count; p++) {
        if (memcmp(file.ptr + (size_t)(p - 1) * m->page_bytes, maker_page(m, txid, p),
                   m->page_bytes) != 0)
            fail_msg("TXID %" PRIu64 ": page %" PRIu32 " of %s is not the model's", txid, p, path);
    }
}
