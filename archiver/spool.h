/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - captured segments on their way to the store: one file each, in a folder of local state.
 *
 * The spool is no sink: nothing is acknowledged because it is here. It lets capture go on while the
 * store is slow or away, and lets a killed archiver send the very bytes it had made. It is not
 * synced: what a power cut takes from it is caught up with. Any thread; one segment is written at a
 * time.
 */
#ifndef HF_ARCHIVER_SPOOL_H
#define HF_ARCHIVER_SPOOL_H

#include "base/fs.h"
#include "base/io.h"

struct spool;

/* What an earlier process left is found; unfinished files are removed. */
enum hf_code spool_open(struct hf_fs *fs, const char *dir, struct spool **ret,
                        struct hf_err *err) HF_MUST_CHECK;
void spool_free(struct spool *s); /* NULL is allowed; files stay */

/* Begin the segment of `txid`; `*ret` takes its bytes. An unfinished one is thrown away first. */
enum hf_code spool_begin(struct spool *s, uint64_t txid, struct hf_sink **ret,
                         struct hf_err *err) HF_MUST_CHECK;
/* The segment begun last is whole and in the spool. */
enum hf_code spool_commit(struct spool *s, struct hf_err *err) HF_MUST_CHECK;
void spool_abort(struct spool *s);

/* The lowest and highest TXID there; 0 if it is empty. */
uint64_t spool_first(struct spool *s);
uint64_t spool_last(struct spool *s);
uint64_t spool_bytes(struct spool *s);

/* A segment of the spool, read in ranges: it may be larger than memory. All zero is none. */
struct spool_source {
    struct hf_source base; /* first, so that the pointers convert */
    struct hf_file *file;
    char *path;
};

/* HF_NOT_FOUND: its file is not there. The caller ends with spool_source_done(). */
enum hf_code spool_source_open(struct spool *s, uint64_t txid, struct spool_source *ret,
                               struct hf_err *err) HF_MUST_CHECK;
void spool_source_done(struct spool_source *s);

/* Remove segments first .. last, where they are there. */
enum hf_code spool_drop(struct spool *s, uint64_t first, uint64_t last,
                        struct hf_err *err) HF_MUST_CHECK;

#endif
