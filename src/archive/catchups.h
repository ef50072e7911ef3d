/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catchups.h - holdfast/catch-ups/<max TXID>: in which times nothing was captured (FORMAT section
 * 4.4), so that one listing names all gaps and no header need be read to find them.
 *
 * A record is a hint and never the last word: it is put before its segment, so it may speak of one
 * that never came. Whether there is a gap, only the segment's header says.
 */
#ifndef HF_ARCHIVE_CATCHUPS_H
#define HF_ARCHIVE_CATCHUPS_H

#include "archive/listing.h"

/*
 * The archive has the record of the catch-up `segment`, whose predecessor has the time `from_ms`.
 * To be called before the segment is put. Codes as for hf_store_put(); it may be repeated.
 */
enum hf_code hf_catchup_put(const struct hf_archive *a, const struct hf_seg_info *segment,
                            int64_t from_ms, struct hf_err *err) HF_MUST_CHECK;

/* All zero is empty. */
struct hf_gaps {
    struct hf_gap *items; /* by TXID */
    size_t count;
    size_t older_count; /* records that were not looked at, as newer ones were enough */
};

/*
 * `*ret` has the gaps of the archive whose segments are `all` (sorted), the newest gaps_max that
 * there may be; the caller ends with hf_gaps_done(). A record is believed if the narrowest segment
 * that holds its TXID, snapshots left out, is a catch-up.
 * HF_DAMAGE       a record is not readable, or speaks of another TXID; the message has its key.
 * HF_UNSUPPORTED  a newer holdfast wrote a record.
 * Requests: one per 1000 records, and two for each of the newest gaps_max.
 */
enum hf_code hf_catchups_list(const struct hf_archive *a, const struct hf_segment_codec *codec,
                              const struct hf_seg_list *all, size_t gaps_max, struct hf_gaps *ret,
                              struct hf_err *err) HF_MUST_CHECK;
void hf_gaps_done(struct hf_gaps *g);
#define HF_AUTO_GAPS HF_CLEANUP(hf_gaps_done) struct hf_gaps

#endif
