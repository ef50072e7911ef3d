/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_shim.h - a VFS over SQLite's own, for an application in a test: a connection that uses it can
 * be stopped at three moments of a checkpoint, so that others act in between; and the syncs of its
 * -wal can be made to fail, so that a transaction is in the file and was never committed.
 *
 * One thread; hooks are called in the thread of the checkpoint and may use other connections.
 */
#ifndef HF_TESTS_LIB_WAL_SHIM_H
#define HF_TESTS_LIB_WAL_SHIM_H

#include <stdbool.h>

struct wal_shim_hooks {
    void *ctx;
    /* The wal-index header was read and found changed, and nothing was done with it yet. */
    void (*header_read)(void *ctx);
    /* It has seen that the first mark stands before the end of the log, and is about to ask for it.
     */
    void (*before_mark)(void *ctx);
    /* READ 0 is about to be asked for exclusively: now pages would be written. */
    void (*before_backfill)(void *ctx);
};

/* Register the VFS, once a process; returns its name for sqlite3_open_v2(). */
const char *wal_shim_register(void);
/* The hooks of every connection that uses it, each called once at most; NULL: none. Borrowed. */
void wal_shim_arm(const struct wal_shim_hooks *hooks);
/* From now on, or no more: syncs of a -wal fail, and the device is not asked. */
void wal_shim_fail_syncs(bool fail);
/* How many of the armed hooks have been called. */
int wal_shim_calls(void);

#endif
