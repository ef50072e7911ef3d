/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_fault.h - a file system whose n-th call fails, and which counts its calls.
 *
 * Wraps any hf_fs. Calls are counted over the chosen kinds only. A failed write has written half of
 * its bytes; every other failed call has done nothing, unless after_effect is set. Any thread.
 */
#ifndef HF_TESTS_LIB_FS_FAULT_H
#define HF_TESTS_LIB_FS_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"

/* X(name): a bit FS_<name> and an index FS_<name>_INDEX. */
#define FS_FAULT_KINDS(X)                                                                          \
    X(OPEN)                                                                                        \
    X(RENAME)                                                                                      \
    X(LINK)                                                                                        \
    X(UNLINK)                                                                                      \
    X(MKDIR)                                                                                       \
    X(SYNC_DIR)                                                                                    \
    X(LIST)                                                                                        \
    X(STAT)                                                                                        \
    X(SPACE)                                                                                       \
    X(READ)                                                                                        \
    X(WRITE)                                                                                       \
    X(SYNC)                                                                                        \
    X(TRUNCATE)                                                                                    \
    X(SET_MTIME)                                                                                   \
    X(SET_ACCESS)                                                                                  \
    X(FSTAT)                                                                                       \
    X(LOCK)

enum {
#define FS_FAULT_INDEX(name) FS_##name##_INDEX,
    FS_FAULT_KINDS(FS_FAULT_INDEX)
#undef FS_FAULT_INDEX
        FS_KINDS_COUNT
};

enum {
#define FS_FAULT_BIT(name) FS_##name = 1 << FS_##name##_INDEX,
    FS_FAULT_KINDS(FS_FAULT_BIT)
#undef FS_FAULT_BIT
        FS_ALL = (1 << FS_KINDS_COUNT) - 1
};

struct fs_fault_plan {
    unsigned kinds;    /* which calls are counted and can fail; 0 means FS_ALL */
    uint64_t fail_at;  /* the first call that fails, from 1; 0: none */
    bool from_then_on; /* and all of these kinds behind it */
    bool after_effect; /* the call is made and its success is hidden */
    bool cuts_reads;   /* a read that fails is HF_OK with half the bytes: the file was cut */
    enum hf_code code; /* HF_IO or HF_FULL; HF_OK means HF_IO */
};

struct fs_fault {
    struct hf_fs base; /* first, so that the pointers convert */
    struct hf_fs *inner;
    bool skips_sync; /* syncs are judged and counted, but the device is not asked; set before use */
    pthread_mutex_t mutex;
    struct {
        struct fs_fault_plan plan;
        uint64_t calls;                    /* of the plan's kinds */
        uint64_t failed;                   /* of these, made to fail */
        uint64_t count[FS_KINDS_COUNT];    /* by kind, whatever the plan */
        uint64_t first_at[FS_KINDS_COUNT]; /* `calls` at the first of the kind; 0: none yet */
        uint64_t last_at[FS_KINDS_COUNT];
        int64_t files_open;
    } guarded; /* by mutex; a test may read it while nothing runs */
};

void fs_fault_init(struct fs_fault *f, struct hf_fs *inner); /* `inner` is borrowed */
void fs_fault_done(struct fs_fault *f);                      /* asserts that all files are closed */
/* From now on by this plan; all counters but files_open begin again. */
void fs_fault_arm(struct fs_fault *f, struct fs_fault_plan plan);
/* No more failures; the counters stay. */
void fs_fault_disarm(struct fs_fault *f);

#endif
