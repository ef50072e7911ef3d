/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: headers, checksums, page order and index integers follow the format's rules, and whatever
 * breaks one is refused by the name of its field.
 * Method: one table of rule breaches, each a change to a header that is right; published vectors;
 * a plain recomputation as the oracle of the incremental checksum.
 */
#include "engine/sqlite/ltx/ltx.h"

#include "base/bytes.h"
#include "engine/sqlite/ltx/ltx_index.h"
#include "lib/ltx_fixture.h"

/* A tracked header of TXIDs 5 to 9 from a WAL, with all of our bytes. */
static struct hf_ltx_header full_header(void)
{
    return (struct hf_ltx_header){
        .page_bytes = 4096,
        .commit = 77,
        .min_txid = 5,
        .max_txid = 9,
        .timestamp_ms = 1767225600123,
        .pre_sum = HF_LTX_SUM_FLAG | 0x1234,
        .wal_offset = 32,
        .wal_size = 8240,
        .salts = {0xdeadbeef, 0x01020304},
        .node_id = 42,
        .format = HF_LTX_FORMAT,
        .root = {.hi = 0x1122334455667788, .lo = 0x99aabbccddeeff00},
        .catchup = true,
    };
}

static void assert_headers_equal(const struct hf_ltx_header *a, const struct hf_ltx_header *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->page_bytes, b->page_bytes);
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->min_txid, b->min_txid);
    assert_int_equal(a->max_txid, b->max_txid);
    assert_int_equal(a->timestamp_ms, b->timestamp_ms);
    assert_int_equal(a->pre_sum, b->pre_sum);
    assert_int_equal(a->wal_offset, b->wal_offset);
    assert_int_equal(a->wal_size, b->wal_size);
    assert_int_equal(a->salts[0], b->salts[0]);
    assert_int_equal(a->salts[1], b->salts[1]);
    assert_int_equal(a->node_id, b->node_id);
    assert_int_equal(a->format, b->format);
    assert_true(hf_root_equal(a->root, b->root));
    assert_int_equal(a->catchup, b->catchup);
    assert_int_equal(a->clamped, b->clamped);
}

static void a_header_comes_back_as_it_was(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_ltx_header back;
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    hf_must(hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err), &err);
    assert_headers_equal(&h, &back);
}

/* Every pair of marks has its byte, comes back, and is what the archive is told. */
static void marks_are_bits_of_their_own(void **state)
{
    (void)state;
    for (unsigned marks = 0; marks < 4; marks++) {
        struct hf_ltx_header h = full_header();
        uint8_t bytes[HF_LTX_HEADER_BYTES];
        struct hf_ltx_header back;
        struct hf_seg_info info;
        struct hf_err err;

        h.catchup = (marks & 1) != 0;
        h.clamped = (marks & 2) != 0;
        hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
        assert_int_equal(bytes[98], marks);
        hf_must(hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err), &err);
        assert_headers_equal(&h, &back);
        hf_must(hf_ltx_seg_info(hf_slice(bytes, sizeof(bytes)), &info, &err), &err);
        assert_int_equal(info.catchup, h.catchup);
        assert_int_equal(info.clamped, h.clamped);
    }
}

static void header_fields_lie_where_the_format_says(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t b[HF_LTX_HEADER_BYTES];
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, b, &err), &err);
    assert_memory_equal(b, "LTX1", 4);
    assert_int_equal(hf_get_be32(b + 4), h.flags);
    assert_int_equal(hf_get_be32(b + 8), h.page_bytes);
    assert_int_equal(hf_get_be32(b + 12), h.commit);
    assert_int_equal(hf_get_be64(b + 16), h.min_txid);
    assert_int_equal(hf_get_be64(b + 24), h.max_txid);
    assert_int_equal(hf_get_be64(b + 32), h.timestamp_ms);
    assert_int_equal(hf_get_be64(b + 40), h.pre_sum);
    assert_int_equal(hf_get_be64(b + 48), h.wal_offset);
    assert_int_equal(hf_get_be64(b + 56), h.wal_size);
    assert_int_equal(hf_get_be32(b + 64), h.salts[0]);
    assert_int_equal(hf_get_be32(b + 68), h.salts[1]);
    assert_int_equal(hf_get_be64(b + 72), h.node_id);
    assert_int_equal(hf_get_be64(b + 80), h.root.hi);
    assert_int_equal(hf_get_be64(b + 88), h.root.lo);
    assert_int_equal(hf_get_be16(b + 96), 1);
    assert_int_equal(b[98], 1);
    assert_int_equal(b[99], 0);
}

/* One change to a header that is right, and what the refusal must say. */
struct breach {
    void (*change)(struct hf_ltx_header *h);
    const char *says;
};

#define CHANGE(name, statement)                                                                    \
    static void name(struct hf_ltx_header *h)                                                      \
    {                                                                                              \
        statement;                                                                                 \
    }
CHANGE(flag_of_old_lz4, h->flags = 1)
CHANGE(flag_unknown, h->flags = 4)
CHANGE(page_too_small, h->page_bytes = 256)
CHANGE(page_too_large, h->page_bytes = 131072)
CHANGE(page_not_a_power, h->page_bytes = 4097)
CHANGE(page_zero, h->page_bytes = 0)
CHANGE(min_zero, h->min_txid = 0)
CHANGE(max_zero, h->max_txid = 0)
CHANGE(max_below_min, h->max_txid = 4)
CHANGE(offset_negative, h->wal_offset = -1)
CHANGE(size_negative, h->wal_size = -1)
CHANGE(salt_without_offset, (h->wal_offset = 0, h->wal_size = 0, h->salts[0] = 0))
CHANGE(size_without_offset, (h->wal_offset = 0, h->salts[0] = 0, h->salts[1] = 0))
CHANGE(pre_in_snapshot, h->min_txid = 1)
CHANGE(pre_with_no_checksum, h->flags = HF_LTX_NO_CHECKSUM)
CHANGE(pre_missing, h->pre_sum = 0)
CHANGE(pre_without_flag, h->pre_sum = 0x1234)

static void each_header_rule_names_its_field(void **state)
{
    static const struct breach breaches[] = {
        {flag_of_old_lz4, "Flags"},
        {flag_unknown, "Flags"},
        {page_too_small, "PageSize"},
        {page_too_large, "PageSize"},
        {page_not_a_power, "PageSize"},
        {page_zero, "PageSize"},
        {min_zero, "MinTXID"},
        {max_zero, "MaxTXID"},
        {max_below_min, "MaxTXID"},
        {offset_negative, "WALOffset"},
        {size_negative, "WALSize"},
        {salt_without_offset, "WALSalt"},
        {size_without_offset, "WALSize"},
        {pre_in_snapshot, "PreApplyChecksum"},
        {pre_missing, "PreApplyChecksum"},
        {pre_without_flag, "PreApplyChecksum"},
        {pre_with_no_checksum, "PreApplyChecksum"},
    };
    uint8_t bytes[HF_LTX_HEADER_BYTES] = {0};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(breaches); i++) {
        struct hf_ltx_header h = full_header();
        struct hf_err err;

        breaches[i].change(&h);
        assert_int_equal(hf_ltx_header_encode(&h, bytes, &err), HF_DAMAGE);
        assert_non_null(strstr(err.text, breaches[i].says));
        assert_int_equal(bytes[0], 0); /* untouched */
    }
}

/* The reader enforces the same rules on bytes. */
static void decode_refuses_what_encode_refuses(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
        const char *says;
    } breaches[] = {
        {0, 0x4c54583200000000, "not an LTX file"},
        {0, 0x4c54583100000004, "Flags"},
        {8, 0x000002000000004d + 1, NULL},
        {8, 0x000003000000004d, "PageSize"},
        {16, 0, "MinTXID"},
        {24, 1, "MaxTXID"},
        {40, 7, "PreApplyChecksum"},
        {48, UINT64_MAX, "WALOffset"},
        {56, UINT64_MAX, "WALSize"},
        {48, 0, "WALSalt"},
    };
    const struct hf_ltx_header h = full_header();

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(breaches); i++) {
        uint8_t bytes[HF_LTX_HEADER_BYTES];
        struct hf_ltx_header back = {.commit = 123};
        struct hf_err err;

        hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
        hf_put_be64(bytes + breaches[i].at, breaches[i].value);
        const enum hf_code rc = hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err);

        assert_int_equal(rc, breaches[i].says == NULL ? HF_OK : HF_DAMAGE);
        if (breaches[i].says == NULL)
            continue;
        assert_non_null(strstr(err.text, breaches[i].says));
        assert_int_equal(back.commit, 123);
    }
}

static void a_short_header_is_refused(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_ltx_header back;
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(hf_ltx_header_decode(hf_slice(bytes, len), &back, &err), HF_DAMAGE);
}

static void a_newer_format_is_refused_by_name(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_ltx_header back;
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    hf_put_be16(bytes + 96, 7);
    assert_int_equal(hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err),
                     HF_UNSUPPORTED);
    assert_non_null(
        strstr(err.text, "written by a newer holdfast (format 7; this one reads up to 1)"));
}

static void unknown_bits_of_our_format_are_damage(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_ltx_header back;
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    bytes[98] = 4;
    assert_int_equal(hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err), HF_DAMAGE);
    bytes[98] = 0;
    bytes[99] = 1;
    assert_int_equal(hf_ltx_header_decode(hf_slice(bytes, sizeof(bytes)), &back, &err), HF_DAMAGE);
    assert_non_null(strstr(err.text, "bytes 98 and 99"));
}

static void reserved_bytes_of_others_mean_nothing(void **state)
{
    struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_seg_info info;
    struct hf_err err;

    (void)state;
    h.format = 0;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    (void)memset(bytes + 80, 0xff, 16);
    bytes[98] = 0xff;
    bytes[99] = 0xff;
    hf_must(hf_ltx_seg_info(hf_slice(bytes, sizeof(bytes)), &info, &err), &err);
    assert_false(info.has_root);
    assert_false(info.catchup || info.clamped);
    assert_int_equal(info.root.hi, 0);
    assert_int_equal(info.epoch, 0); /* others' node numbers are no epochs of ours */
}

static void segment_info_says_what_the_header_says(void **state)
{
    const struct hf_ltx_header h = full_header();
    uint8_t bytes[HF_LTX_HEADER_BYTES];
    struct hf_seg_info info;
    struct hf_err err;

    (void)state;
    hf_must(hf_ltx_header_encode(&h, bytes, &err), &err);
    hf_must(hf_ltx_seg_info(hf_slice(bytes, sizeof(bytes)), &info, &err), &err);
    assert_int_equal(info.min_txid, h.min_txid);
    assert_int_equal(info.max_txid, h.max_txid);
    assert_int_equal(info.time_ms, h.timestamp_ms);
    assert_int_equal(info.epoch, h.node_id);
    assert_int_equal(info.page_bytes, h.page_bytes);
    assert_int_equal(info.pages_count, h.commit);
    assert_true(info.has_root && hf_root_equal(info.root, h.root));
    assert_true(info.catchup);
    assert_true(info.has_sums);
    assert_int_equal(info.pre_sum, h.pre_sum);
    assert_int_equal(hf_ltx_seg_info(hf_slice(bytes, 99), &info, &err), HF_DAMAGE);
}

static void page_sums_equal_the_published_vectors(void **state)
{
    uint8_t counting[512];
    uint8_t zeros[4096] = {0};
    uint64_t sum = HF_LTX_SUM_EMPTY;

    (void)state;
    for (size_t i = 0; i < sizeof(counting); i++)
        counting[i] = (uint8_t)i;
    assert_int_equal(hf_ltx_page_sum(1, hf_slice(counting, 512)), 0xc6f13286cb62cc9f);
    assert_int_equal(hf_ltx_page_sum(2, hf_slice(zeros, 512)), 0xef63e89fecd99000);
    assert_int_equal(hf_ltx_page_sum(1, hf_slice(zeros, 4096)), 0xd9328f592d9e733d);
    sum = hf_ltx_sum_toggle(sum, hf_ltx_page_sum(1, hf_slice(counting, 512)));
    sum = hf_ltx_sum_toggle(sum, hf_ltx_page_sum(2, hf_slice(zeros, 512)));
    assert_int_equal(sum, 0xa992da1927bb5c9f);
}

static void a_page_sum_follows_from_the_crc_of_its_bytes(void **state)
{
    static const uint32_t pgnos[] = {1, 2, 0x01020304, UINT32_MAX};
    HF_AUTO_FREE uint8_t *page = hf_malloc(65536);
    struct hf_rand r = hf_rand_seeded(12);

    (void)state;
    for (size_t i = 0; i < 65536; i++)
        page[i] = (uint8_t)hf_rand_below(&r, 256);
    for (uint32_t bytes = 512; bytes <= 65536; bytes *= 2) {
        const struct hf_crc64_shift *shift = hf_ltx_page_shift(bytes);

        for (size_t i = 0; i < HF_ARRAY_LEN(pgnos); i++)
            assert_int_equal(hf_ltx_page_sum_from(shift, pgnos[i], hf_crc64(0, page, bytes)),
                             hf_ltx_page_sum(pgnos[i], hf_slice(page, bytes)));
    }
}

/* Random puts, replacements and drops, against a checksum computed anew. */
static void the_incremental_sum_equals_a_full_one(void **state)
{
    struct hf_rand r = hf_rand_seeded(11);
    struct test_db db;
    uint64_t sum = HF_LTX_SUM_EMPTY;
    uint8_t page[512];

    (void)state;
    test_db_init(&db, 512, 20);
    for (unsigned step = 0; step < 300; step++) {
        const uint32_t pgno = (uint32_t)hf_rand_below(&r, 20) + 1;

        if (db.pages[pgno] != NULL)
            sum = hf_ltx_sum_toggle(sum, hf_ltx_page_sum(pgno, hf_slice(db.pages[pgno], 512)));
        if (hf_rand_below(&r, 4) == 0) {
            test_db_drop(&db, pgno);
        } else {
            test_page_fill(&r, pgno, page, 512);
            test_db_put(&db, pgno, page);
            sum = hf_ltx_sum_toggle(sum, hf_ltx_page_sum(pgno, hf_slice(page, 512)));
        }
        assert_int_equal(sum, test_db_sum(&db));
    }
    test_db_done(&db);
}

static void the_lock_page_follows_the_page_size(void **state)
{
    (void)state;
    assert_int_equal(hf_ltx_lock_page(512), 2097153);
    assert_int_equal(hf_ltx_lock_page(4096), 262145);
    assert_int_equal(hf_ltx_lock_page(65536), 16385);
}

static void the_trailer_fits_its_header(void **state)
{
    static const struct {
        uint32_t flags;
        uint32_t commit;
        uint64_t post_sum;
        uint64_t file_sum;
        const char *says; /* NULL: right */
    } cases[] = {
        {0, 5, HF_LTX_SUM_FLAG | 9, HF_LTX_SUM_FLAG | 1, NULL},
        {0, 5, HF_LTX_SUM_FLAG | 9, 1, "FileChecksum"},
        {0, 5, 9, HF_LTX_SUM_FLAG, "PostApplyChecksum"},
        {0, 5, 0, HF_LTX_SUM_FLAG, "PostApplyChecksum"},
        {0, 0, HF_LTX_SUM_FLAG | 9, HF_LTX_SUM_FLAG, "Commit is 0"},
        {0, 0, HF_LTX_SUM_EMPTY, HF_LTX_SUM_FLAG, NULL},
        {HF_LTX_NO_CHECKSUM, 5, 0, HF_LTX_SUM_FLAG, NULL},
        {HF_LTX_NO_CHECKSUM, 5, HF_LTX_SUM_FLAG, HF_LTX_SUM_FLAG, "NoChecksum"},
        {HF_LTX_NO_CHECKSUM, 5, 0, 0, "FileChecksum"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const struct hf_ltx_header h = {.flags = cases[i].flags, .commit = cases[i].commit};
        struct hf_err err;
        const enum hf_code rc =
            hf_ltx_trailer_check(&h, cases[i].post_sum, cases[i].file_sum, &err);

        assert_int_equal(rc, cases[i].says == NULL ? HF_OK : HF_DAMAGE);
        if (cases[i].says != NULL)
            assert_non_null(strstr(err.text, cases[i].says));
    }
}

static void pages_come_in_order_and_snapshots_are_whole(void **state)
{
    static const struct {
        uint64_t min_txid;
        uint32_t last;
        uint64_t pgno;
        const char *says; /* NULL: right */
    } cases[] = {
        {1, 0, 1, NULL},
        {1, 0, 2, "page 1 is missing"},
        {1, 5, 6, NULL},
        {1, 5, 7, "page 6 is missing"},
        {1, 16384, 16386, NULL},
        {1, 16384, 16385, "lock page"},
        {2, 0, 7, NULL},
        {2, 7, 7, "ascend"},
        {2, 7, 6, "ascend"},
        {2, 0, 0, "ascend"},
        {2, 7, 20000, NULL},
        {2, 7, 20001, "above Commit"},
        {2, 7, 16385, "lock"},
        {2, 7, UINT64_MAX, "above Commit"},
        {2, 7, UINT64_C(1) << 32, "above Commit"},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const struct hf_ltx_header h = {
            .page_bytes = 65536, .commit = 20000, .min_txid = cases[i].min_txid};
        struct hf_err err;
        const enum hf_code rc = hf_ltx_order_check(&h, cases[i].last, cases[i].pgno, &err);

        assert_int_equal(rc, cases[i].says == NULL ? HF_OK : HF_DAMAGE);
        if (cases[i].says != NULL)
            assert_non_null(strstr(err.text, cases[i].says));
    }
}

static void a_file_ends_when_its_snapshot_is_whole(void **state)
{
    static const struct {
        uint64_t min_txid;
        uint32_t commit;
        uint32_t last;
        enum hf_code rc;
    } cases[] = {
        {1, 9, 9, HF_OK},         {1, 9, 8, HF_DAMAGE},
        {1, 0, 0, HF_OK},         {1, 1, 0, HF_DAMAGE},
        {2, 9, 3, HF_OK},         {2, 9, 0, HF_OK},
        {1, 16385, 16384, HF_OK}, {1, 16386, 16384, HF_DAMAGE},
        {1, 16386, 16386, HF_OK},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        const struct hf_ltx_header h = {
            .page_bytes = 65536, .commit = cases[i].commit, .min_txid = cases[i].min_txid};
        struct hf_err err;

        assert_int_equal(hf_ltx_order_check_end(&h, cases[i].last, &err), cases[i].rc);
    }
}

static void index_integers_come_back_as_they_were(void **state)
{
    struct hf_rand r = hf_rand_seeded(5);
    uint8_t bytes[HF_LTX_UVARINT_BYTES_MAX];

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        const uint64_t v = i == 0 ? 0 : hf_rand_u64(&r) >> (i % 64);
        const size_t len = hf_ltx_uvarint_put(bytes, v);
        struct hf_slice rest = hf_slice(bytes, len);
        uint64_t back = 0;

        assert_true(hf_ltx_uvarint_take(&rest, &back));
        assert_int_equal(back, v);
        assert_int_equal(rest.len, 0);
        rest = hf_slice(bytes, len - 1);
        assert_false(hf_ltx_uvarint_take(&rest, &back));
    }
}

static void malformed_index_integers_are_refused(void **state)
{
    static const struct {
        uint8_t bytes[11];
        size_t len;
    } cases[] = {
        {{0}, 0},
        {{0x80}, 1},
        {{0x80, 0x00}, 2}, /* zero in two bytes */
        {{0xff, 0x80, 0x00}, 3},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10}, /* 65 bits */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct hf_slice rest = hf_slice(cases[i].bytes, cases[i].len);
        uint64_t v = 77;

        assert_false(hf_ltx_uvarint_take(&rest, &v));
        assert_int_equal(v, 77);
        assert_int_equal(rest.len, cases[i].len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_comes_back_as_it_was),
        cmocka_unit_test(marks_are_bits_of_their_own),
        cmocka_unit_test(header_fields_lie_where_the_format_says),
        cmocka_unit_test(each_header_rule_names_its_field),
        cmocka_unit_test(decode_refuses_what_encode_refuses),
        cmocka_unit_test(a_short_header_is_refused),
        cmocka_unit_test(a_newer_format_is_refused_by_name),
        cmocka_unit_test(unknown_bits_of_our_format_are_damage),
        cmocka_unit_test(reserved_bytes_of_others_mean_nothing),
        cmocka_unit_test(segment_info_says_what_the_header_says),
        cmocka_unit_test(page_sums_equal_the_published_vectors),
        cmocka_unit_test(a_page_sum_follows_from_the_crc_of_its_bytes),
        cmocka_unit_test(the_incremental_sum_equals_a_full_one),
        cmocka_unit_test(the_lock_page_follows_the_page_size),
        cmocka_unit_test(the_trailer_fits_its_header),
        cmocka_unit_test(pages_come_in_order_and_snapshots_are_whole),
        cmocka_unit_test(a_file_ends_when_its_snapshot_is_whole),
        cmocka_unit_test(index_integers_come_back_as_they_were),
        cmocka_unit_test(malformed_index_integers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
