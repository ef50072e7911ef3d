/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx.c - header, trailer rules, checksums and page order of LTX.
 *
 * The header's rules are those that LTX's own reader enforces, so that nothing is written that it
 * would refuse; in addition the reserved bytes must be ones that we know how to read.
 */
#include "engine/sqlite/ltx/ltx.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/bytes.h"
#include "base/check.h"

#define MAGIC "LTX1"

/* Where each field begins, FORMAT §2.2. */
enum {
    AT_FLAGS = 4,
    AT_PAGE_BYTES = 8,
    AT_COMMIT = 12,
    AT_MIN_TXID = 16,
    AT_MAX_TXID = 24,
    AT_TIMESTAMP = 32,
    AT_PRE_SUM = 40,
    AT_WAL_OFFSET = 48,
    AT_WAL_SIZE = 56,
    AT_SALT1 = 64,
    AT_SALT2 = 68,
    AT_NODE_ID = 72,
    AT_ROOT = 80,
    AT_FORMAT = 96,
    AT_OUR_FLAGS = 98,
    AT_ZERO = 99,
};

#define OUR_FLAG_CATCHUP 1
#define OUR_FLAG_CLAMPED 2

static bool is_page_size(uint32_t bytes)
{
    return bytes >= HF_LTX_PAGE_BYTES_MIN && bytes <= HF_LTX_PAGE_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0;
}

static enum hf_code check_txids(const struct hf_ltx_header *h, struct hf_err *err)
{
    if (h->min_txid == 0)
        return hf_err_set(err, HF_DAMAGE, "header: MinTXID is 0, expected at least 1");
    if (h->max_txid < h->min_txid)
        return hf_err_set(err, HF_DAMAGE, "header: MaxTXID %" PRIu64 " is below MinTXID %" PRIu64,
                          h->max_txid, h->min_txid);
    return HF_OK;
}

static enum hf_code check_wal_position(const struct hf_ltx_header *h, struct hf_err *err)
{
    if (h->wal_offset < 0)
        return hf_err_set(err, HF_DAMAGE, "header: WALOffset %" PRId64 " is negative",
                          h->wal_offset);
    if (h->wal_size < 0)
        return hf_err_set(err, HF_DAMAGE, "header: WALSize %" PRId64 " is negative", h->wal_size);
    if (h->wal_offset == 0 && (h->salts[0] != 0 || h->salts[1] != 0))
        return hf_err_set(err, HF_DAMAGE,
                          "header: WALSalt1 and WALSalt2 are %08" PRIx32 " %08" PRIx32
                          ", expected 0 as WALOffset is 0",
                          h->salts[0], h->salts[1]);
    if (h->wal_offset == 0 && h->wal_size != 0)
        return hf_err_set(err, HF_DAMAGE,
                          "header: WALSize is %" PRId64 ", expected 0 as WALOffset is 0",
                          h->wal_size);
    return HF_OK;
}

static enum hf_code check_pre_sum(const struct hf_ltx_header *h, struct hf_err *err)
{
    const bool wanted = hf_ltx_has_sums(h) && !hf_ltx_is_snapshot(h);

    if (!wanted && h->pre_sum != 0)
        return hf_err_set(err, HF_DAMAGE,
                          "header: PreApplyChecksum is %016" PRIx64 ", expected 0 %s", h->pre_sum,
                          hf_ltx_is_snapshot(h) ? "in a snapshot" : "with NoChecksum");
    if (wanted && (h->pre_sum & HF_LTX_SUM_FLAG) == 0)
        return hf_err_set(err, HF_DAMAGE,
                          "header: PreApplyChecksum is %016" PRIx64 ", expected bit 63 set",
                          h->pre_sum);
    return HF_OK;
}

enum hf_code hf_ltx_header_check(const struct hf_ltx_header *h, struct hf_err *err)
{
    enum hf_code rc;

    if ((h->flags & ~HF_LTX_NO_CHECKSUM) != 0)
        return hf_err_set(err, HF_DAMAGE, "header: Flags are %08" PRIx32 ", expected 0 or 2",
                          h->flags);
    if (!is_page_size(h->page_bytes))
        return hf_err_set(err, HF_DAMAGE,
                          "header: PageSize is %" PRIu32
                          ", expected a power of two from 512 to 65536",
                          h->page_bytes);
    rc = check_txids(h, err);
    if (rc != HF_OK)
        return rc;
    rc = check_wal_position(h, err);
    if (rc != HF_OK)
        return rc;
    rc = check_pre_sum(h, err);
    if (rc != HF_OK)
        return rc;
    if (h->format > HF_LTX_FORMAT)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "header: written by a newer holdfast (format %u; this one reads up to "
                          "%d): read it with that version or a later one",
                          (unsigned)h->format, HF_LTX_FORMAT);
    return HF_OK;
}

static void put_our_bytes(uint8_t *dst, const struct hf_ltx_header *h)
{
    if (h->format == 0)
        return;
    hf_root_put(dst + AT_ROOT, h->root);
    hf_put_be16(dst + AT_FORMAT, h->format);
    dst[AT_OUR_FLAGS] = (h->catchup ? OUR_FLAG_CATCHUP : 0) | (h->clamped ? OUR_FLAG_CLAMPED : 0);
}

enum hf_code hf_ltx_header_encode(const struct hf_ltx_header *h, uint8_t dst[HF_LTX_HEADER_BYTES],
                                  struct hf_err *err)
{
    const enum hf_code rc = hf_ltx_header_check(h, err);

    if (rc != HF_OK)
        return rc;
    (void)memset(dst, 0, HF_LTX_HEADER_BYTES);
    (void)memcpy(dst, MAGIC, AT_FLAGS);
    hf_put_be32(dst + AT_FLAGS, h->flags);
    hf_put_be32(dst + AT_PAGE_BYTES, h->page_bytes);
    hf_put_be32(dst + AT_COMMIT, h->commit);
    hf_put_be64(dst + AT_MIN_TXID, h->min_txid);
    hf_put_be64(dst + AT_MAX_TXID, h->max_txid);
    hf_put_be64(dst + AT_TIMESTAMP, (uint64_t)h->timestamp_ms);
    hf_put_be64(dst + AT_PRE_SUM, h->pre_sum);
    hf_put_be64(dst + AT_WAL_OFFSET, (uint64_t)h->wal_offset);
    hf_put_be64(dst + AT_WAL_SIZE, (uint64_t)h->wal_size);
    hf_put_be32(dst + AT_SALT1, h->salts[0]);
    hf_put_be32(dst + AT_SALT2, h->salts[1]);
    hf_put_be64(dst + AT_NODE_ID, h->node_id);
    put_our_bytes(dst, h);
    return HF_OK;
}

/* Files of others may hold anything in the reserved bytes but a format number. */
static enum hf_code get_our_bytes(const uint8_t *src, struct hf_ltx_header *h, struct hf_err *err)
{
    h->format = hf_get_be16(src + AT_FORMAT);
    if (h->format != HF_LTX_FORMAT)
        return HF_OK; /* 0: not ours; above: hf_ltx_header_check() refuses it */
    if ((src[AT_OUR_FLAGS] & ~(OUR_FLAG_CATCHUP | OUR_FLAG_CLAMPED)) != 0 || src[AT_ZERO] != 0)
        return hf_err_set(err, HF_DAMAGE,
                          "header: bytes 98 and 99 are %02x %02x, expected 00 to 03 and 00",
                          (unsigned)src[AT_OUR_FLAGS], (unsigned)src[AT_ZERO]);
    h->root = hf_root_get(src + AT_ROOT);
    h->catchup = (src[AT_OUR_FLAGS] & OUR_FLAG_CATCHUP) != 0;
    h->clamped = (src[AT_OUR_FLAGS] & OUR_FLAG_CLAMPED) != 0;
    return HF_OK;
}

enum hf_code hf_ltx_header_decode(struct hf_slice data, struct hf_ltx_header *ret,
                                  struct hf_err *err)
{
    const uint8_t *src = data.ptr;
    enum hf_code rc;

    if (data.len < HF_LTX_HEADER_BYTES)
        return hf_err_set(err, HF_DAMAGE, "header: %zu bytes, expected %d", data.len,
                          HF_LTX_HEADER_BYTES);
    if (memcmp(src, MAGIC, AT_FLAGS) != 0)
        return hf_err_set(err, HF_DAMAGE,
                          "header: begins with %02x %02x %02x %02x, expected \"" MAGIC
                          "\": not an LTX file",
                          (unsigned)src[0], (unsigned)src[1], (unsigned)src[2], (unsigned)src[3]);
    struct hf_ltx_header h = {
        .flags = hf_get_be32(src + AT_FLAGS),
        .page_bytes = hf_get_be32(src + AT_PAGE_BYTES),
        .commit = hf_get_be32(src + AT_COMMIT),
        .min_txid = hf_get_be64(src + AT_MIN_TXID),
        .max_txid = hf_get_be64(src + AT_MAX_TXID),
        .timestamp_ms = (int64_t)hf_get_be64(src + AT_TIMESTAMP),
        .pre_sum = hf_get_be64(src + AT_PRE_SUM),
        .wal_offset = (int64_t)hf_get_be64(src + AT_WAL_OFFSET),
        .wal_size = (int64_t)hf_get_be64(src + AT_WAL_SIZE),
        .salts = {hf_get_be32(src + AT_SALT1), hf_get_be32(src + AT_SALT2)},
        .node_id = hf_get_be64(src + AT_NODE_ID),
    };
    rc = get_our_bytes(src, &h, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_ltx_header_check(&h, err);
    if (rc != HF_OK)
        return rc;
    *ret = h;
    return HF_OK;
}

enum hf_code hf_ltx_seg_info(struct hf_slice header, struct hf_seg_info *ret, struct hf_err *err)
{
    struct hf_ltx_header h;
    const enum hf_code rc = hf_ltx_header_decode(header, &h, err);

    if (rc != HF_OK)
        return rc;
    *ret = (struct hf_seg_info){
        .min_txid = h.min_txid,
        .max_txid = h.max_txid,
        .time_ms = h.timestamp_ms,
        .epoch = h.format != 0 ? h.node_id : 0,
        .page_bytes = h.page_bytes,
        .pages_count = h.commit,
        .has_root = h.format != 0,
        .root = h.root,
        .catchup = h.catchup,
        .clamped = h.clamped,
        .has_sums = hf_ltx_has_sums(&h),
        .pre_sum = h.pre_sum,
    };
    return HF_OK;
}

static enum hf_code check_post_sum(const struct hf_ltx_header *h, uint64_t post_sum,
                                   struct hf_err *err)
{
    if (!hf_ltx_has_sums(h) && post_sum != 0)
        return hf_err_set(
            err, HF_DAMAGE,
            "trailer: PostApplyChecksum is %016" PRIx64 ", expected 0 with NoChecksum", post_sum);
    if (hf_ltx_has_sums(h) && (post_sum & HF_LTX_SUM_FLAG) == 0)
        return hf_err_set(err, HF_DAMAGE,
                          "trailer: PostApplyChecksum is %016" PRIx64 ", expected bit 63 set",
                          post_sum);
    if (hf_ltx_has_sums(h) && h->commit == 0 && post_sum != HF_LTX_SUM_EMPTY)
        return hf_err_set(err, HF_DAMAGE,
                          "trailer: PostApplyChecksum is %016" PRIx64 ", expected %016" PRIx64
                          " as Commit is 0",
                          post_sum, (uint64_t)HF_LTX_SUM_EMPTY);
    return HF_OK;
}

enum hf_code hf_ltx_trailer_check(const struct hf_ltx_header *h, uint64_t post_sum,
                                  uint64_t file_sum, struct hf_err *err)
{
    if ((file_sum & HF_LTX_SUM_FLAG) == 0)
        return hf_err_set(err, HF_DAMAGE,
                          "trailer: FileChecksum is %016" PRIx64 ", expected bit 63 set", file_sum);
    return check_post_sum(h, post_sum, err);
}

static struct hf_crc64_shift page_shifts[HF_LTX_PAGE_SIZES];
static pthread_once_t page_shifts_once = PTHREAD_ONCE_INIT;

static void make_page_shifts(void)
{
    for (unsigned i = 0; i < HF_LTX_PAGE_SIZES; i++)
        hf_crc64_shift_init(&page_shifts[i], (uint64_t)HF_LTX_PAGE_BYTES_MIN << i);
}

const struct hf_crc64_shift *hf_ltx_page_shift(uint32_t page_bytes)
{
    unsigned i = 0;

    hf_assert(is_page_size(page_bytes));
    while ((uint32_t)HF_LTX_PAGE_BYTES_MIN << i < page_bytes)
        i++;
    (void)pthread_once(&page_shifts_once, make_page_shifts);
    return &page_shifts[i];
}

uint64_t hf_ltx_page_sum_from(const struct hf_crc64_shift *shift, uint32_t pgno, uint64_t page_crc)
{
    uint8_t name[4];

    hf_put_be32(name, pgno);
    return HF_LTX_SUM_FLAG | hf_crc64_join(shift, hf_crc64(0, name, sizeof(name)), page_crc);
}

uint64_t hf_ltx_page_sum(uint32_t pgno, struct hf_slice page)
{
    uint8_t name[4];

    hf_put_be32(name, pgno);
    return HF_LTX_SUM_FLAG | hf_crc64(hf_crc64(0, name, sizeof(name)), page.ptr, page.len);
}

/* The page that must follow `last` in a snapshot. */
static uint64_t next_page(const struct hf_ltx_header *h, uint32_t last)
{
    const uint64_t next = (uint64_t)last + 1;

    return next == hf_ltx_lock_page(h->page_bytes) ? next + 1 : next;
}

enum hf_code hf_ltx_order_check(const struct hf_ltx_header *h, uint32_t last, uint64_t pgno,
                                struct hf_err *err)
{
    if (pgno <= last)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu64 " after page %" PRIu32 ": pages must ascend", pgno, last);
    if (pgno > h->commit)
        return hf_err_set(err, HF_DAMAGE, "page %" PRIu64 " is above Commit %" PRIu32, pgno,
                          h->commit);
    if (pgno == hf_ltx_lock_page(h->page_bytes))
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu64 " is the lock page, which is never stored", pgno);
    if (hf_ltx_is_snapshot(h) && pgno != next_page(h, last))
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu64
                          " is missing: a snapshot holds every page, here follows "
                          "page %" PRIu64,
                          next_page(h, last), pgno);
    return HF_OK;
}

enum hf_code hf_ltx_order_check_end(const struct hf_ltx_header *h, uint32_t last,
                                    struct hf_err *err)
{
    if (hf_ltx_is_snapshot(h) && next_page(h, last) <= h->commit)
        return hf_err_set(err, HF_DAMAGE,
                          "page %" PRIu64
                          " is missing: a snapshot holds every page up to Commit "
                          "%" PRIu32,
                          next_page(h, last), h->commit);
    return HF_OK;
}
