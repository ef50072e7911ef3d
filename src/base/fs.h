/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - files and directories, behind a table so that tests can make any call fail.
 *
 * Paths are absolute or relative to the working directory; NUL-terminated bytes. An hf_fs may be
 * used from any thread; an hf_file's read and write name their offset, so they may be too.
 * SQLite databases and their -shm are never opened here (closing drops SQLite's locks: see
 * engine/sqlite/DESIGN.md); -wal may be.
 */
#ifndef HF_BASE_FS_H
#define HF_BASE_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#define HF_BULK_ALIGN 4096 /* bytes; a multiple of what any disk asks of O_DIRECT */

struct hf_fs;
struct hf_file;

enum hf_open {
    HF_OPEN_READ,   /* an existing file, to read */
    HF_OPEN_WRITE,  /* an existing file, to read and write */
    HF_OPEN_CREATE, /* to read and write; made if missing */
    HF_OPEN_NEW,    /* to read and write; must not exist yet */
};

struct hf_stat {
    uint64_t size_bytes;
    int64_t mtime_us;
    int64_t ctime_us;
    uint64_t inode;
    uint64_t device;
    mode_t mode; /* permission bits only */
    uid_t uid;
    gid_t gid;
    bool is_dir;
    bool is_file; /* neither a folder nor a pipe, socket or device */
};

/* Called once a name, "." and ".." left out; anything but HF_OK ends the listing with that code. */
typedef enum hf_code hf_fs_list_fn(void *ctx, const char *name, struct hf_err *err);

struct hf_fs_ops {
    enum hf_code (*open)(struct hf_fs *, const char *path, enum hf_open how, mode_t mode,
                         struct hf_file **ret_file, struct hf_err *err);
    enum hf_code (*rename)(struct hf_fs *, const char *from, const char *to, struct hf_err *err);
    enum hf_code (*link)(struct hf_fs *, const char *from, const char *to, struct hf_err *err);
    enum hf_code (*unlink)(struct hf_fs *, const char *path, struct hf_err *err);
    enum hf_code (*mkdir)(struct hf_fs *, const char *path, mode_t mode, struct hf_err *err);
    enum hf_code (*sync_dir)(struct hf_fs *, const char *path, struct hf_err *err);
    enum hf_code (*list)(struct hf_fs *, const char *path, hf_fs_list_fn *fn, void *ctx,
                         struct hf_err *err);
    enum hf_code (*stat)(struct hf_fs *, const char *path, struct hf_stat *ret, struct hf_err *err);
    enum hf_code (*space)(struct hf_fs *, const char *path, uint64_t *ret_free_bytes,
                          uint64_t *ret_total_bytes, struct hf_err *err);
};

struct hf_file_ops {
    enum hf_code (*read)(struct hf_file *, uint64_t offset, void *dst, size_t len, size_t *ret_len,
                         struct hf_err *err);
    enum hf_code (*write)(struct hf_file *, uint64_t offset, struct hf_slice data,
                          struct hf_err *err);
    /* Optional: where it is NULL, write() stands for it. */
    enum hf_code (*write_bulk)(struct hf_file *, uint64_t offset, struct hf_slice data,
                               struct hf_err *err);
    void (*reserve)(struct hf_file *, uint64_t size_bytes); /* optional */
    enum hf_code (*sync)(struct hf_file *, struct hf_err *err);
    enum hf_code (*truncate)(struct hf_file *, uint64_t size_bytes, struct hf_err *err);
    enum hf_code (*set_mtime)(struct hf_file *, int64_t mtime_us, struct hf_err *err);
    enum hf_code (*set_access)(struct hf_file *, const struct hf_stat *like, struct hf_err *err);
    enum hf_code (*stat)(struct hf_file *, struct hf_stat *ret, struct hf_err *err);
    enum hf_code (*lock)(struct hf_file *, bool wait, struct hf_err *err);
    void (*close)(struct hf_file *);
};

struct hf_fs {
    const struct hf_fs_ops *ops;
};

struct hf_file {
    const struct hf_file_ops *ops;
};

/* The machine's file systems. Never freed; any thread. */
struct hf_fs *hf_fs_system(void);

/* HF_NOT_FOUND: no such file; HF_CONFLICT: HF_OPEN_NEW and it exists. The caller closes. */
static inline enum hf_code HF_MUST_CHECK hf_fs_open(struct hf_fs *fs, const char *path,
                                                    enum hf_open how, mode_t mode,
                                                    struct hf_file **ret_file, struct hf_err *err)
{
    return fs->ops->open(fs, path, how, mode, ret_file, err);
}
static inline enum hf_code HF_MUST_CHECK hf_fs_rename(struct hf_fs *fs, const char *from,
                                                      const char *to, struct hf_err *err)
{
    return fs->ops->rename(fs, from, to, err);
}
/*
 * `from` is a file at `to`, too; or, on a file system without links, at `to` only. The caller
 * unlinks `from`, which is HF_OK either way. HF_CONFLICT     `to` exists; nothing was done.
 * HF_UNSUPPORTED  the file system cannot do it without perhaps replacing; the message names it.
 */
static inline enum hf_code HF_MUST_CHECK hf_fs_link(struct hf_fs *fs, const char *from,
                                                    const char *to, struct hf_err *err)
{
    return fs->ops->link(fs, from, to, err);
}
/* What is not there is HF_OK. */
static inline enum hf_code HF_MUST_CHECK hf_fs_unlink(struct hf_fs *fs, const char *path,
                                                      struct hf_err *err)
{
    return fs->ops->unlink(fs, path, err);
}
/* Names in `path` that are new or gone stay so through a power cut. */
static inline enum hf_code HF_MUST_CHECK hf_fs_sync_dir(struct hf_fs *fs, const char *path,
                                                        struct hf_err *err)
{
    return fs->ops->sync_dir(fs, path, err);
}
/* HF_NOT_FOUND: no such directory. The order is the file system's. */
static inline enum hf_code HF_MUST_CHECK hf_fs_list(struct hf_fs *fs, const char *path,
                                                    hf_fs_list_fn *fn, void *ctx,
                                                    struct hf_err *err)
{
    return fs->ops->list(fs, path, fn, ctx, err);
}
/* Follows links. HF_NOT_FOUND: nothing there. */
static inline enum hf_code HF_MUST_CHECK hf_fs_stat(struct hf_fs *fs, const char *path,
                                                    struct hf_stat *ret, struct hf_err *err)
{
    return fs->ops->stat(fs, path, ret, err);
}
/* Bytes that this process may still write there, and the size of the file system. */
static inline enum hf_code HF_MUST_CHECK hf_fs_space(struct hf_fs *fs, const char *path,
                                                     uint64_t *ret_free_bytes,
                                                     uint64_t *ret_total_bytes, struct hf_err *err)
{
    return fs->ops->space(fs, path, ret_free_bytes, ret_total_bytes, err);
}

/* `*ret_len` < len only at the end of the file. */
static inline enum hf_code HF_MUST_CHECK hf_file_read(struct hf_file *f, uint64_t offset, void *dst,
                                                      size_t len, size_t *ret_len,
                                                      struct hf_err *err)
{
    return f->ops->read(f, offset, dst, len, ret_len, err);
}
/* All of `data` is written, or an error; after an error any part of it may be. */
static inline enum hf_code HF_MUST_CHECK hf_file_write(struct hf_file *f, uint64_t offset,
                                                       struct hf_slice data, struct hf_err *err)
{
    return f->ops->write(f, offset, data, err);
}
/*
 * As hf_file_write(), for bytes in bulk that nobody will read soon: they go past the page cache
 * where the file system lets them, so that they push nothing out of it that an application needs,
 * and cost no copy. Not durable before a sync either. Address, offset and length are multiples of
 * HF_BULK_ALIGN; a few MiB at a time are fast.
 */
static inline enum hf_code HF_MUST_CHECK hf_file_write_bulk(struct hf_file *f, uint64_t offset,
                                                            struct hf_slice data,
                                                            struct hf_err *err)
{
    hf_assert((uintptr_t)data.ptr % HF_BULK_ALIGN == 0 && offset % HF_BULK_ALIGN == 0 &&
              data.len % HF_BULK_ALIGN == 0);
    return (f->ops->write_bulk != NULL ? f->ops->write_bulk : f->ops->write)(f, offset, data, err);
}
/*
 * The file is to grow to `size_bytes`: where the file system can, it has room for them now, in few
 * pieces, and the file has this length, zeros where nothing was written. Writes then need not wait
 * for one another to make it longer. Where it cannot, the file is as it was, and what is written
 * into it tells why.
 */
static inline void hf_file_reserve(struct hf_file *f, uint64_t size_bytes)
{
    if (f->ops->reserve != NULL)
        f->ops->reserve(f, size_bytes);
}
/* What was written is durable. After a failure it may be lost even if a later sync succeeds. */
static inline enum hf_code HF_MUST_CHECK hf_file_sync(struct hf_file *f, struct hf_err *err)
{
    return f->ops->sync(f, err);
}
static inline enum hf_code HF_MUST_CHECK hf_file_truncate(struct hf_file *f, uint64_t size_bytes,
                                                          struct hf_err *err)
{
    return f->ops->truncate(f, size_bytes, err);
}
static inline enum hf_code HF_MUST_CHECK hf_file_set_mtime(struct hf_file *f, int64_t mtime_us,
                                                           struct hf_err *err)
{
    return f->ops->set_mtime(f, mtime_us, err);
}
/*
 * The file has the mode of `like`, and its owner and group as far as this process may give them
 * away. If it has another group, that one gets nothing.
 */
static inline enum hf_code HF_MUST_CHECK hf_file_set_access(struct hf_file *f,
                                                            const struct hf_stat *like,
                                                            struct hf_err *err)
{
    return f->ops->set_access(f, like, err);
}
static inline enum hf_code HF_MUST_CHECK hf_file_stat(struct hf_file *f, struct hf_stat *ret,
                                                      struct hf_err *err)
{
    return f->ops->stat(f, ret, err);
}
/* An exclusive flock(2), held until close. HF_BUSY: another holds it and !wait. */
static inline enum hf_code HF_MUST_CHECK hf_file_lock(struct hf_file *f, bool wait,
                                                      struct hf_err *err)
{
    return f->ops->lock(f, wait, err);
}
void hf_file_close(struct hf_file *f);      /* NULL is allowed */
void hf_file_close_ptr(struct hf_file **f); /* for HF_CLEANUP */
#define HF_AUTO_FILE HF_CLEANUP(hf_file_close_ptr) struct hf_file

/* Make the directory and what is missing above it, durably. Existing ones are left as they are. */
enum hf_code hf_fs_mkdirs(struct hf_fs *fs, const char *path, mode_t mode,
                          struct hf_err *err) HF_MUST_CHECK;

/* Append the whole file to `ret`; HF_USAGE if it is larger than bytes_max. */
enum hf_code hf_fs_read_all(struct hf_fs *fs, const char *path, size_t bytes_max,
                            struct hf_buf *ret, struct hf_err *err) HF_MUST_CHECK;

/*
 * Replace the file's contents in one step: temporary file beside it, fsync, rename, fsync of the
 * directory. Readers see the old bytes or the new.
 * HF_UNCERTAIN  the new bytes are visible, but the directory could not be synced.
 * any other     the old bytes are there as before.
 */
enum hf_code hf_fs_replace(struct hf_fs *fs, const char *path, struct hf_slice data, mode_t mode,
                           struct hf_err *err) HF_MUST_CHECK;

/* The directory part of a path ("." if there is none); the caller frees. */
char *hf_path_dir(const char *path);
/* Behind the last '/'; points into `path`. */
const char *hf_path_base(const char *path);

#endif
