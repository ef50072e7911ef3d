/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - the segments of a chain one after another, the small ones fetched ahead of their turn.
 *
 * A chain of thousands of small segments would otherwise cost a round trip each. Large ones are
 * read from the store by whoever applies them, in parallel. Memory: HF_FETCH_AHEAD times
 * HF_FETCH_BYTES_MAX. One thread, beside the pool's.
 */
#ifndef HF_REBUILDER_FETCH_H
#define HF_REBUILDER_FETCH_H

#include <pthread.h>

#include "archive/source.h"
#include "engine/engine.h"

#define HF_FETCH_AHEAD     8             /* segments, the current one among them */
#define HF_FETCH_BYTES_MAX (1024 * 1024) /* of a segment that is fetched whole */

/* Counts the bytes that came from the store, and tells of them. Any thread. */
struct hf_meter {
    struct hf_progress *progress; /* borrowed; or NULL */
    uint64_t total_bytes;         /* what is told is never more than this */
    pthread_mutex_t mutex;
    struct {
        uint64_t bytes;
    } guarded; /* by mutex */
};

/* Ready, with nothing read yet; the caller ends with hf_meter_done(). */
void hf_meter_init(struct hf_meter *m, struct hf_progress *progress, uint64_t total_bytes);
void hf_meter_done(struct hf_meter *m);
uint64_t hf_meter_bytes(struct hf_meter *m); /* read so far */

struct hf_fetch;

/* `refs` and all else is borrowed until hf_fetch_free(); stop may be NULL. Nothing is read yet. */
struct hf_fetch *hf_fetch_new(const struct hf_archive *a, struct hf_pool *pool,
                              const struct hf_segment_ref *refs, size_t refs_count,
                              struct hf_meter *meter, hf_stop_flag *stop);
void hf_fetch_free(struct hf_fetch *f); /* waits for what is under way; NULL is allowed */
void hf_fetch_free_ptr(struct hf_fetch **f);

/*
 * `*ret` is the next segment's bytes, in refs' order; it lives until the next call. Codes as for
 * the read of struct hf_segment_source, for the segment that is asked for and no other.
 */
enum hf_code hf_fetch_next(struct hf_fetch *f, struct hf_source **ret,
                           struct hf_err *err) HF_MUST_CHECK;

#endif
