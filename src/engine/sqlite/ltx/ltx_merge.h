/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_merge.h - several consecutive LTX files become one that leads to the same state.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_MERGE_H
#define HF_ENGINE_SQLITE_LTX_LTX_MERGE_H

#include "base/io.h"
#include "engine/sqlite/ltx/ltx.h"

#define HF_LTX_MERGE_INPUTS_MAX 4096
#define HF_LTX_MERGE_WHOLE_MAX  (1024 * 1024) /* bytes; an input up to this is read in one go */
#define HF_LTX_MERGE_WINDOW     (1024 * 1024) /* bytes of frames fetched at a time from others */

/*
 * The sink has got one complete file that takes a database from the state before inputs[0] to the
 * state after the last one. The inputs stand oldest first; each must begin at or before the TXID
 * after its predecessor's last, and end later. A page's newest image is taken; pages above the
 * last Commit are left out. Compressed pages are copied as they are.
 *
 * The file's header: PageSize and MinTXID of the first; Commit, MaxTXID, Timestamp, root and format
 * of the last; node_id as given; WAL fields 0; the catch-up and the clamped mark if any input has
 * it (in our format). It is tracked if the first and the last are, with Pre of the first and Post
 * of the last; a snapshot always is, its Post computed from the pages and, where the last input has
 * one, compared.
 *
 * HF_DAMAGE  an input is damaged (each is verified as hf_ltx_decode() does), or tracked neighbours
 *            do not chain by their checksums, or the first is a snapshot and pages are missing.
 * HF_HOLE    TXIDs are missing between two inputs.
 * HF_USAGE   page sizes differ, an input lies inside another, or there are none or too many.
 * HF_UNSUPPORTED  a newer holdfast wrote an input.
 * any other  the sources' or the sink's.
 * After a failure, what the sink got is to be thrown away; `*ret_header` is untouched.
 *
 * `ret_header` may be NULL. Memory: for each input the smaller of its size and 32 KiB + 64 KiB of
 * index + 1 MiB of frames, and one page; 8 MiB more for an input of the older frame form; and the
 * writer's, 3 to 8 bytes a page. One thread. An input is read
 * once, but for the frames that a window cuts.
 */
enum hf_code hf_ltx_merge(struct hf_source *const *inputs, size_t inputs_count, uint64_t node_id,
                          struct hf_sink *sink, struct hf_ltx_header *ret_header,
                          struct hf_err *err) HF_MUST_CHECK;

#endif
