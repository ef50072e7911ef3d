/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_shim.c - every call goes on to the VFS below, but for some that tell where a checkpoint is:
 * sqlite3WalCheckpoint() calls xUnfetch(file, 0, NULL) right after it found the header changed, and
 * walCheckpoint() asks for READ 1 exclusively if that mark stands before the end of the log, and
 * for READ 0 right before it writes pages (SQLite 3.40.1, wal.c).
 */
#include "lib/wal_shim.h"

#include <stddef.h>

#include <sqlite3.h>

#include "engine/sqlite/walindex.h"
#include "lib/fixture.h"

struct shim_file {
    sqlite3_file base;  /* first, so that the pointers convert */
    sqlite3_file *real; /* behind this, in the same memory */
    bool is_wal;
};

static const struct wal_shim_hooks *armed;
static bool header_done;
static bool mark_done;
static bool backfill_done;
static bool syncs_fail;
static sqlite3_vfs vfs;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct shim_file *)f)->real;
}

static void on_header_read(void)
{
    if (armed == NULL || armed->header_read == NULL || header_done)
        return;
    header_done = true;
    armed->header_read(armed->ctx);
}

static void on_mark(void)
{
    if (armed == NULL || armed->before_mark == NULL || mark_done)
        return;
    mark_done = true;
    armed->before_mark(armed->ctx);
}

static void on_backfill(void)
{
    if (armed == NULL || armed->before_backfill == NULL || backfill_done)
        return;
    backfill_done = true;
    armed->before_backfill(armed->ctx);
}

static int shim_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}
static int shim_read(sqlite3_file *f, void *dst, int len, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), dst, len, at);
}
static int shim_write(sqlite3_file *f, const void *src, int len, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xWrite(real_of(f), src, len, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 len)
{
    return real_of(f)->pMethods->xTruncate(real_of(f), len);
}
static int shim_sync(sqlite3_file *f, int flags)
{
    if (syncs_fail && ((struct shim_file *)f)->is_wal)
        return SQLITE_IOERR_FSYNC;
    return real_of(f)->pMethods->xSync(real_of(f), flags);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}
static int shim_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}
static int shim_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int shim_reserved(sqlite3_file *f, int *ret)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int shim_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
static int shim_shm_map(sqlite3_file *f, int region, int len, int extend, void volatile **ret)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), region, len, extend, ret);
}
static int shim_shm_lock(sqlite3_file *f, int lock, int n, int flags)
{
    if (lock == WALINDEX_LOCK_READ(1) && flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE))
        on_mark();
    if (lock == WALINDEX_LOCK_READ(0) && flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE))
        on_backfill();
    return real_of(f)->pMethods->xShmLock(real_of(f), lock, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}
static int shim_shm_unmap(sqlite3_file *f, int remove_it)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove_it);
}
static int shim_fetch(sqlite3_file *f, sqlite3_int64 at, int len, void **ret)
{
    return real_of(f)->pMethods->xFetch(real_of(f), at, len, ret);
}
static int shim_unfetch(sqlite3_file *f, sqlite3_int64 at, void *page)
{
    if (at == 0 && page == NULL)
        on_header_read();
    return real_of(f)->pMethods->xUnfetch(real_of(f), at, page);
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
    .xFetch = shim_fetch,
    .xUnfetch = shim_unfetch,
};

static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    sqlite3_vfs *below = v->pAppData;
    struct shim_file *file = (struct shim_file *)f;

    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    file->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    const int rc = below->xOpen(below, name, file->real, flags, ret_flags);

    if (rc == SQLITE_OK && file->real->pMethods->iVersion >= 3)
        file->base.pMethods = &methods;
    return rc;
}

const char *wal_shim_register(void)
{
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);

    if (vfs.zName != NULL)
        return vfs.zName;
    vfs = *below; /* what takes a VFS and no file works the same on this copy */
    vfs.zName = "wal-shim";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct shim_file) + below->szOsFile;
    vfs.pAppData = below;
    vfs.xOpen = shim_open;
    assert_int_equal(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
    return vfs.zName;
}

void wal_shim_arm(const struct wal_shim_hooks *hooks)
{
    armed = hooks;
    header_done = false;
    mark_done = false;
    backfill_done = false;
}

void wal_shim_fail_syncs(bool fail)
{
    syncs_fail = fail;
}

int wal_shim_calls(void)
{
    return (header_done ? 1 : 0) + (mark_done ? 1 : 0) + (backfill_done ? 1 : 0);
}
