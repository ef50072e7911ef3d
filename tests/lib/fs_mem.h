/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_mem.h - a disk in memory that loses what was not synced, and the file systems that processes
 * see of it.
 *
 * A disk keeps two things apart: what everybody reads, and what a power cut leaves. By POSIX only
 * fsync of a file makes its bytes durable, and only fsync of a folder the names in it; until then a
 * cut keeps, drops or tears each write (between sectors of 512 bytes, as devices promise), and
 * keeps or drops each change of a name, in any combination (real file systems do less of that).
 * After an fsync that failed, what it should have written may never be.
 *
 * Paths are absolute. One thread; deterministic.
 */
#ifndef HF_TESTS_LIB_FS_MEM_H
#define HF_TESTS_LIB_FS_MEM_H

#include "base/clock.h"
#include "base/fs.h"
#include "base/rand.h"
#include "lib/fs_fault.h"

struct fs_mem;

/* An empty disk; the clock (borrowed) dates its files. The caller frees it after all views. */
struct fs_mem *fs_mem_new(struct hf_clock *clock);
void fs_mem_free(struct fs_mem *m);
/* The power fails and comes back: what `rand` leaves of all that was not synced. No file is open.
 */
void fs_mem_cut(struct fs_mem *m, struct hf_rand *rand);
/* What is below `path` is gone, durably, as by rm -r. */
void fs_mem_remove(struct fs_mem *m, const char *path);
/* What is below `path` now is put back, durably, by fs_mem_rewind(): the folder is a copy. The one
 * kept last counts. False: there is nothing, and what was kept before still is. */
bool fs_mem_keep(struct fs_mem *m, const char *path);
/* False: nothing was kept. */
bool fs_mem_rewind(struct fs_mem *m, const char *path);
/* From now on the disk has room for so many bytes more, as hf_fs_space() tells; and whoever writes
 * or removes files changes that. Folders and names take none. */
void fs_mem_set_space(struct fs_mem *m, uint64_t free_bytes, uint64_t total_bytes);

/* What becomes of a call. */
enum fs_mem_fate {
    FS_MEM_WORKS,
    FS_MEM_FAILS,       /* without effect; a write has written a part, an fsync synced a part */
    FS_MEM_FAILS_AFTER, /* with its effect */
};

/* Asked before every call but close; fills `err` unless it works. */
typedef enum fs_mem_fate fs_mem_judge_fn(void *ctx, int kind, const char *path, struct hf_err *err);

/* A process's view of a disk. */
struct fs_mem_view {
    struct hf_fs base; /* first, so that the pointers convert */
    struct fs_mem *disk;
    fs_mem_judge_fn *judge; /* or NULL; kinds are FS_..._INDEX of fs_fault.h */
    void *judge_ctx;
    struct hf_rand *rand; /* how much of a failed write or fsync took effect; borrowed */
    bool has_room;        /* whatever the disk holds */
    uint64_t full_count;  /* writes that found no room: HF_FULL */
    unsigned files_open;
};

/* All calls work, until `judge` is set. */
void fs_mem_view_init(struct fs_mem_view *v, struct fs_mem *disk);

#endif
