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
    if (st.st_uid != geteuid() || st.st_gid == db->st_gid ||
        chown(path, (uid_t)-1, db->st_gid) == 0)
        return HF_OK;
    if (st.st_uid == db->st_uid)
        return HF_OK; /* its own user can open it in any case */
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

/* A line of /proc/locks (proc_locks(5)) that is a lock on the file: whose, and on which bytes. */
struct lock_line {
    bool exclusive;
    int pid;
    unsigned long first;
    unsigned long last;
};

static bool read_lock_line(const char *line, const struct companion *file, struct lock_line *ret)
{
    char type[8];
    unsigned major_no = 0;
    unsigned minor_no = 0;
    unsigned long inode = 0;

    if (sscanf(line, "%*u: POSIX %*s %7s %d %x:%x:%lu %lu %lu", type, &ret->pid, &major_no,
               &minor_no, &inode, &ret->first, &ret->last) != 7)
        return false;
    ret->exclusive = strcmp(type, "WRITE") == 0;
    return inode == file->inode && major_no == major(file->device) &&
           minor_no == minor(file->device);
}

static bool covers(const struct lock_line *l, unsigned first_lock, unsigned last_lock)
{
    return l->first <= WALINDEX_LOCK_BYTE + last_lock && WALINDEX_LOCK_BYTE + first_lock <= l->last;
}

/* Call `fn` for every lock on the file; false if the machine does not tell. */
static bool each_lock(const struct companion *file, void (*fn)(void *ctx, const struct lock_line *),
                      void *ctx)
{
    FILE *f = fopen("/proc/locks", "re");
    char text[256];
    struct lock_line line;

    if (f == NULL)
        return false;
    while (fgets(text, sizeof(text), f) != NULL) {
        if (read_lock_line(text, file, &line))
            fn(ctx, &line);
    }
    (void)fclose(f);
    return true;
}

struct holders {
    int write_pid;
    int ckpt_pid;
    bool has_mark; /* the process ckpt_pid */
};

static void find_holders(void *ctx, const struct lock_line *l)
{
    struct holders *h = ctx;

    if (l->exclusive && covers(l, WALINDEX_LOCK_WRITE, WALINDEX_LOCK_WRITE))
        h->write_pid = l->pid;
    if (l->exclusive && covers(l, WALINDEX_LOCK_CKPT, WALINDEX_LOCK_CKPT))
        h->ckpt_pid = l->pid;
}

static void find_mark(void *ctx, const struct lock_line *l)
{
    struct holders *h = ctx;

    h->has_mark = h->has_mark || (l->pid == h->ckpt_pid &&
                                  covers(l, WALINDEX_LOCK_READ(1), WALINDEX_LOCK_READ(4)));
}

bool companions_checkpointer_waits(const struct companions *c)
{
    struct holders h = {0};

    return each_lock(&c->shm, find_holders, &h) && h.write_pid > 0 && h.write_pid == h.ckpt_pid &&
           h.write_pid != getpid();
}

bool companions_checkpointer_holds_write(const struct companions *c)
{
    int pid = 0;

    /* Twice, as a transaction may have ended between the two looks. */
    for (int i = 0; i < 2; i++) {
        struct holders h = {0};

        if (!each_lock(&c->shm, find_holders, &h) || h.write_pid <= 0 ||
            h.write_pid != h.ckpt_pid || h.write_pid == getpid() ||
            !each_lock(&c->shm, find_mark, &h) || h.has_mark || (i > 0 && h.write_pid != pid))
            return false;
        pid = h.write_pid;
    }
    return true;
}
