/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - the bytes of a segment in the store, by ranged gets.
 */
#ifndef HF_ARCHIVE_SOURCE_H
#define HF_ARCHIVE_SOURCE_H

#include "archive/archive.h"
#include "base/io.h"

/* A segment by where its bytes are, so that several may once share an object. */
struct hf_segment_ref {
    unsigned level;
    uint64_t min_txid;
    uint64_t max_txid;
    char *key; /* owned; hf_segment_ref_done() frees it */
    uint64_t offset_bytes;
    uint64_t length_bytes;
};

/* The segment as an object of its own: offset 0, and as long as the listing said. */
void hf_segment_ref_init(struct hf_segment_ref *r, const struct hf_archive *a,
                         const struct hf_segment *segment);
void hf_segment_ref_done(struct hf_segment_ref *r);

struct hf_segment_source {
    struct hf_source base;  /* first, so that the pointers convert */
    struct hf_store *store; /* borrowed */
    char *key;              /* owned; also base.name */
    uint64_t offset_bytes;
};

/*
 * s->base reads the segment; nothing is asked of the store yet, and `ref` is not kept. Its read():
 * HF_HOLE    the object was listed and is gone, which retention by another process may explain:
 *            whoever planned with it plans again, once.
 * HF_DAMAGE  it is shorter than was listed; nothing is appended.
 * any other  as hf_store_get(). May be called from several threads.
 */
void hf_segment_source_init(struct hf_segment_source *s, const struct hf_archive *a,
                            const struct hf_segment_ref *ref);
void hf_segment_source_done(struct hf_segment_source *s);

/* What the header of a segment says, wherever it is read from. HF_DAMAGE: it is no segment. */
enum hf_code hf_source_read_info(struct hf_source *segment, const struct hf_segment_codec *codec,
                                 struct hf_seg_info *ret, struct hf_err *err) HF_MUST_CHECK;

/* HF_DAMAGE: the header is of other TXIDs than `name`, a key or a path, tells. */
enum hf_code hf_seg_info_check_name(const struct hf_seg_info *info, uint64_t min_txid,
                                    uint64_t max_txid, const char *name,
                                    struct hf_err *err) HF_MUST_CHECK;

/*
 * `*ret` is what the segment's header says, and agrees with its key. One request, for the header.
 * HF_HOLE    the object was listed and is gone.
 * HF_DAMAGE  it is no segment, or its header does not agree with its key.
 */
enum hf_code hf_segment_read_info(const struct hf_archive *a, const struct hf_segment_codec *codec,
                                  const struct hf_segment *segment, struct hf_seg_info *ret,
                                  struct hf_err *err) HF_MUST_CHECK;

#endif
