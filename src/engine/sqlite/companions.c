/* SPDX-License-Identifier: Apache-2.0 */
/* companions.c - stat(2) and /proc/locks; nothing is opened that SQLite has locks on. */
#include "engine/sqlite/companions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/sqlite/walindex.h"

static enum hf_code read_one(const char *path, struct companion *ret, struct hf_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0 && errno == ENOENT)
        return hf_err_set(err, HF_NOT_FOUND, "%s is gone: it was deleted or renamed", path);
    if (stat(path, &st) < 0)
        return hf_err_sys(err, HF_IO, "stat %s", path);
    *ret = (struct companion){.device = st.st_dev, .inode = st.st_ino};
    return HF_OK;
}

enum hf_code companions_read(const char *db_path, struct companions *ret, struct hf_err *err)
{
    HF_AUTO_FREE char *wal = hf_strfmt("%s-wal", db_path);
    HF_AUTO_FREE char *shm = hf_strfmt("%s-shm", db_path);
    struct companions c;
    enum hf_code rc = read_one(db_path, &c.db, err);

    if (rc == HF_OK)
        rc = read_one(wal, &c.wal, err);
    if (rc == HF_OK)
        rc = read_one(shm, &c.shm, err);
    if (rc == HF_OK)
        *ret = c;
    return rc;
}

/* statfs(2): file systems whose locks and shared mappings another machine does not see. */
static const char *network_name(uint32_t magic)
{
    switch (magic) {
    case 0x6969:
        return "NFS";
    case 0x517B:
    case 0xFE534D42:
    case 0xFF534D42:
        return "SMB";
    case 0x5346414F:
        return "AFS";
    case 0x00C36400:
        return "Ceph";
    default:
        return NULL;
    }
}

enum hf_code companions_check_place(const char *db_path, struct hf_err *err)
{
    struct statfs fs;

    if (statfs(db_path, &fs) < 0)
        return hf_err_sys(err, errno == ENOENT ? HF_USAGE : HF_IO, "%s", db_path);
    if (network_name((uint32_t)fs.f_type) == NULL)
        return HF_OK;
    return hf_err_set(
        err, HF_USAGE,
        "%s lies on a network file system (%s): SQLite's WAL mode does not work there "
        "across machines, and holdfast cannot hold the log still. Move the database "
        "to a local file system",
        db_path, network_name((uint32_t)fs.f_type));
}

static bool same(const struct companion *a, const struct companion *b)
{
    return a->device == b->device && a->inode == b->inode;
}

bool companions_equal(const struct companions *a, const struct companions *b)
{
    return same(&a->db, &b->db) && same(&a->wal, &b->wal) && same(&a->shm, &b->shm);
}

const char *companions_difference(const struct companions *a, const struct companions *b)
{
    if (!same(&a->db, &b->db))
        return "another database file stands there now";
    if (!same(&a->wal, &b->wal))
        return "another -wal stands there now";
    return same(&a->shm, &b->shm) ? "the database was moved" : "another -shm stands there now";
}

/* Give one of ours the database's group, if it lacks it. */
static enum hf_code keep_group(const char *path, const struct stat *db, struct hf_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return hf_err_sys(err, HF_IO, "stat %s", path);
    if (st.st_uid == db->st_uid || st.st_uid != geteuid())
        return HF_OK; /* the application's own, or made by somebody else */
    if (st.st_gid == db->st_gid || chown(path, (uid_t)-1, db->st_gid) == 0)
        return HF_OK;
    return hf_err_sys(
        err, HF_DENIED,
        "%s was made by this user and cannot be given to the database's group %u: run "
        "holdfast as the database's owner (user %u), or make that group one of its own",
        path, (unsigned)db->st_gid, (unsigned)db->st_uid);
}

enum hf_code companions_keep_owner(const char *db_path, struct hf_err *err)
{
    HF_AUTO_FREE char *wal = hf_strfmt("%s-wal", db_path);
    HF_AUTO_FREE char *shm = hf_strfmt("%s-shm", db_path);
    struct stat db;

    if (stat(db_path, &db) < 0)
        return hf_err_sys(err, HF_IO, "stat %s", db_path);
    const enum hf_code rc = keep_group(wal, &db, err);

    return rc != HF_OK ? rc : keep_group(shm, &db, err);
}

/* A line of /proc/locks (proc_locks(5)) that is a write lock on the byte `lock` of the file. */
static bool is_write_lock(const char *line, const struct companion *file, unsigned lock,
                          int *ret_pid)
{
    unsigned major_no = 0;
    unsigned minor_no = 0;
    unsigned long inode = 0;
    unsigned long first = 0;
    unsigned long last = 0;

    return sscanf(line, "%*u: POSIX %*s WRITE %d %x:%x:%lu %lu %lu", ret_pid, &major_no, &minor_no,
                  &inode, &first, &last) == 6 &&
           inode == file->inode && major_no == major(file->device) &&
           minor_no == minor(file->device) && first <= WALINDEX_LOCK_BYTE + lock &&
           WALINDEX_LOCK_BYTE + lock <= last;
}

bool companions_checkpointer_holds_write(const struct companions *c)
{
    FILE *f = fopen("/proc/locks", "re");
    char line[256];
    int pid = 0;
    int write_pid = -1;
    int ckpt_pid = -2;

    if (f == NULL)
        return false;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (is_write_lock(line, &c->shm, WALINDEX_LOCK_WRITE, &pid))
            write_pid = pid;
        if (is_write_lock(line, &c->shm, WALINDEX_LOCK_CKPT, &pid))
            ckpt_pid = pid;
    }
    (void)fclose(f);
    return write_pid > 0 && write_pid == ckpt_pid && write_pid != getpid();
}
