/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx.h - what every part of the LTX codec shares: sizes, the header, checksums, page order.
 *
 * A segment of a SQLite partition is one LTX file: header (100 bytes), page frames in ascending
 * page order, six zero bytes, the page index, and a trailer (16 bytes). The bytes are described in
 * FORMAT §2. Everything here is a pure function of its arguments and may be called from any thread.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_H
#define HF_ENGINE_SQLITE_LTX_LTX_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/segment.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#define HF_LTX_HEADER_BYTES       100
#define HF_LTX_PAGE_HEADER_BYTES  6  /* page number, flags; six zeros end the frames */
#define HF_LTX_FRAME_HEADER_BYTES 10 /* page number, flags, payload length */
#define HF_LTX_INDEX_LEN_BYTES    8  /* length of the index, behind it */
#define HF_LTX_TRAILER_BYTES      16 /* post-apply checksum, file checksum */
#define HF_LTX_BYTES_MIN                                                                           \
    (HF_LTX_HEADER_BYTES + HF_LTX_PAGE_HEADER_BYTES + 1 + HF_LTX_INDEX_LEN_BYTES +                 \
     HF_LTX_TRAILER_BYTES) /* of a file without pages: its index is one zero byte */

#define HF_LTX_PAGE_BYTES_MIN 512
#define HF_LTX_PAGE_BYTES_MAX 65536
#define HF_LTX_PAGE_SIZES     8 /* the powers of two between */

#define HF_LTX_NO_CHECKSUM UINT32_C(2)          /* the only header flag there is */
#define HF_LTX_SUM_FLAG    (UINT64_C(1) << 63)  /* set in every stored checksum */
#define HF_LTX_SUM_EMPTY   HF_LTX_SUM_FLAG      /* of a database without pages */
#define HF_LTX_FORMAT      1                    /* our format number, FORMAT §2.2 */
#define HF_LTX_LOCK_BYTE   UINT32_C(0x40000000) /* SQLite locks here; its page is never stored */

struct hf_ltx_header {
    uint32_t flags; /* 0 or HF_LTX_NO_CHECKSUM */
    uint32_t page_bytes;
    uint32_t commit; /* pages in the database afterwards */
    uint64_t min_txid;
    uint64_t max_txid;
    int64_t timestamp_ms;
    uint64_t pre_sum;   /* of the database before; 0 for snapshots and without checksums */
    int64_t wal_offset; /* of the first frame carried; 0 if not from a WAL */
    int64_t wal_size;
    uint32_t salts[2]; /* of the WAL's header */
    uint64_t node_id;  /* the owner's epoch in our files */
    uint16_t format;   /* 0: written by others, and the fields below are not there */
    struct hf_root root;
    bool catchup; /* carries what the disk says, not what the log says */
    bool clamped; /* timestamp_ms is the predecessor's, because the clock stood before it */
};

static inline bool hf_ltx_is_snapshot(const struct hf_ltx_header *h)
{
    return h->min_txid == 1;
}

static inline bool hf_ltx_has_sums(const struct hf_ltx_header *h)
{
    return (h->flags & HF_LTX_NO_CHECKSUM) == 0;
}

/*
 * All rules for a header hold.
 * HF_DAMAGE       the message names the field and its value.
 * HF_UNSUPPORTED  a format number above HF_LTX_FORMAT: a newer holdfast wrote it.
 */
enum hf_code hf_ltx_header_check(const struct hf_ltx_header *h, struct hf_err *err) HF_MUST_CHECK;

/* `dst` holds the header's bytes; results as hf_ltx_header_check(), `dst` then untouched. */
enum hf_code hf_ltx_header_encode(const struct hf_ltx_header *h, uint8_t dst[HF_LTX_HEADER_BYTES],
                                  struct hf_err *err) HF_MUST_CHECK;

/* Read and check the first HF_LTX_HEADER_BYTES of `data`; results as hf_ltx_header_check(). */
enum hf_code hf_ltx_header_decode(struct hf_slice data, struct hf_ltx_header *ret,
                                  struct hf_err *err) HF_MUST_CHECK;

/*
 * The header in the archive's words: struct hf_segment_codec's `info`. The position in the WAL is
 * not among them: hf_ltx_header_decode() gives it. `epoch` is 0 in files that others wrote.
 */
enum hf_code hf_ltx_seg_info(struct hf_slice header, struct hf_seg_info *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* The checksums that the trailer may hold under this header (FORMAT §2.6). HF_DAMAGE otherwise. */
enum hf_code hf_ltx_trailer_check(const struct hf_ltx_header *h, uint64_t post_sum,
                                  uint64_t file_sum, struct hf_err *err) HF_MUST_CHECK;

/* LTX's checksum of one page, flag set. */
uint64_t hf_ltx_page_sum(uint32_t pgno, struct hf_slice page);

/*
 * A page stands in two CRCs, its own checksum and the file's, each time behind other bytes. From
 * the CRC of its bytes alone, taken once, both follow: by this table and hf_crc64_join(), or by
 * hf_ltx_page_sum_from(). The table lives for ever.
 */
const struct hf_crc64_shift *hf_ltx_page_shift(uint32_t page_bytes);
uint64_t hf_ltx_page_sum_from(const struct hf_crc64_shift *shift, uint32_t pgno, uint64_t page_crc);

/*
 * The database's checksum after a page's checksum is put in, or taken out: both are this step.
 * Start with HF_LTX_SUM_EMPTY; to replace a page take the old one out and put the new one in. The
 * lock page is never put in.
 */
static inline uint64_t hf_ltx_sum_toggle(uint64_t sum, uint64_t page_sum)
{
    return HF_LTX_SUM_FLAG | (sum ^ page_sum);
}

/* The page that holds HF_LTX_LOCK_BYTE: 262145 for pages of 4096 bytes. */
static inline uint32_t hf_ltx_lock_page(uint32_t page_bytes)
{
    return HF_LTX_LOCK_BYTE / page_bytes + 1;
}

/*
 * Page `pgno` may follow page `last` (0: none yet) in a file with this header: it ascends, is not
 * above commit, is not the lock page, and in a snapshot leaves none out. HF_DAMAGE otherwise.
 */
enum hf_code hf_ltx_order_check(const struct hf_ltx_header *h, uint32_t last, uint64_t pgno,
                                struct hf_err *err) HF_MUST_CHECK;

/* The file may end after page `last`: a snapshot then holds every page. HF_DAMAGE otherwise. */
enum hf_code hf_ltx_order_check_end(const struct hf_ltx_header *h, uint32_t last,
                                    struct hf_err *err) HF_MUST_CHECK;

#endif
