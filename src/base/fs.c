/* SPDX-License-Identifier: Apache-2.0 */
/* fs.c - the machine's file systems by POSIX calls, and what is made of several of them. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

#define PERMISSIONS   (S_IRWXU | S_IRWXG | S_IRWXO)
#define TYPE_TEXT_MAX 32 /* bytes with NUL, of what a file system is called */

/* What `direct_fd` is while there is no descriptor. */
#define NOT_TRIED (-1)
#define REFUSED   (-2)

struct system_file {
    struct hf_file base; /* first, so that the pointers convert */
    int fd;
    atomic_int direct_fd; /* the same file, opened with O_DIRECT when it is first asked for */
    char *path;           /* for messages */
};

static struct system_file *sys_file(struct hf_file *f)
{
    return (struct system_file *)f;
}

static enum hf_code file_read(struct hf_file *f, uint64_t offset, void *dst, size_t len,
                              size_t *ret_len, struct hf_err *err)
{
    size_t done = 0;

    while (done < len) {
        const ssize_t n =
            pread(sys_file(f)->fd, (char *)dst + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hf_err_sys(err, HF_IO, "read %s", sys_file(f)->path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_len = done;
    return HF_OK;
}

/* Write as much as `fd` takes; false: errno says why not all, and the two tell what is left. */
static bool write_to(int fd, uint64_t *offset, struct hf_slice *data)
{
    while (data->len > 0) {
        const ssize_t n = pwrite(fd, data->ptr, data->len, (off_t)*offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        *data = hf_slice(data->ptr + n, data->len - (size_t)n);
        *offset += (uint64_t)n;
    }
    return true;
}

static enum hf_code file_write(struct hf_file *f, uint64_t offset, struct hf_slice data,
                               struct hf_err *err)
{
    if (!write_to(sys_file(f)->fd, &offset, &data))
        return hf_err_sys(err, HF_IO, "write %s", sys_file(f)->path);
    return HF_OK;
}

/*
 * Through /proc, as the name may be gone or another's by now. A second description rather than
 * F_SETFL, so that other writers of the file need not care for alignment, and a flock stays where
 * it is. Threads that come at once open it twice, and one of them closes it again.
 */
static int direct_fd(struct system_file *f)
{
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    int known = atomic_load(&f->direct_fd);

    if (known != NOT_TRIED)
        return known;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
    const int opened = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    const int fd = opened >= 0 ? opened : REFUSED;

    if (atomic_compare_exchange_strong(&f->direct_fd, &known, fd))
        return fd;
    if (opened >= 0)
        (void)close(opened);
    return known;
}

/* EINVAL: taken at open and refused now, or another alignment is wanted: no error of the file's. */
static enum hf_code file_write_bulk(struct hf_file *f, uint64_t offset, struct hf_slice data,
                                    struct hf_err *err)
{
    const int fd = direct_fd(sys_file(f));

    if (fd >= 0 && write_to(fd, &offset, &data))
        return HF_OK;
    if (fd >= 0 && errno != EINVAL)
        return hf_err_sys(err, HF_IO, "write %s", sys_file(f)->path);
    return file_write(f, offset, data, err);
}

/* Not posix_fallocate(), which writes where the file system cannot. A full disk gives what it has;
 * that is given back. */
static void file_reserve(struct hf_file *f, uint64_t size_bytes)
{
    const int fd = sys_file(f)->fd;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return;
    while (fallocate(fd, 0, 0, (off_t)size_bytes) < 0) {
        if (errno == EINTR)
            continue;
        (void)!ftruncate(fd, st.st_size);
        return;
    }
}

static enum hf_code file_sync(struct hf_file *f, struct hf_err *err)
{
    if (fsync(sys_file(f)->fd) < 0)
        return hf_err_sys(err, HF_IO, "fsync %s", sys_file(f)->path);
    return HF_OK;
}

static enum hf_code file_truncate(struct hf_file *f, uint64_t size_bytes, struct hf_err *err)
{
    if (ftruncate(sys_file(f)->fd, (off_t)size_bytes) < 0)
        return hf_err_sys(err, HF_IO, "truncate %s", sys_file(f)->path);
    return HF_OK;
}

static enum hf_code file_set_mtime(struct hf_file *f, int64_t mtime_us, struct hf_err *err)
{
    const struct timespec mtime = {.tv_sec = mtime_us / 1000000,
                                   .tv_nsec = (mtime_us % 1000000) * 1000};
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

    if (futimens(sys_file(f)->fd, times) < 0)
        return hf_err_sys(err, HF_IO, "set the time of %s", sys_file(f)->path);
    return HF_OK;
}

static void fill_stat(const struct stat *st, struct hf_stat *ret)
{
    *ret = (struct hf_stat){
        .size_bytes = (uint64_t)st->st_size,
        .mtime_us = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000,
        .ctime_us = (int64_t)st->st_ctim.tv_sec * 1000000 + st->st_ctim.tv_nsec / 1000,
        .inode = st->st_ino,
        .device = st->st_dev,
        .mode = st->st_mode & PERMISSIONS,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .is_dir = S_ISDIR(st->st_mode),
        .is_file = S_ISREG(st->st_mode),
    };
}

/* Owner and group go first: who has the file must never have more of it than `like` gave them. */
static enum hf_code file_set_access(struct hf_file *f, const struct hf_stat *like,
                                    struct hf_err *err)
{
    const int fd = sys_file(f)->fd;
    mode_t mode = like->mode & PERMISSIONS;
    struct stat st;

    if (fchown(fd, like->uid, like->gid) < 0)
        (void)!fchown(fd, (uid_t)-1, like->gid); /* what came of it is looked at below */
    if (fstat(fd, &st) < 0)
        return hf_err_sys(err, HF_IO, "stat %s", sys_file(f)->path);
    if (st.st_gid != like->gid)
        mode &= ~(mode_t)S_IRWXG;
    if (fchmod(fd, mode) < 0)
        return hf_err_sys(err, HF_IO, "set the mode of %s", sys_file(f)->path);
    return HF_OK;
}

static enum hf_code file_stat(struct hf_file *f, struct hf_stat *ret, struct hf_err *err)
{
    struct stat st;

    if (fstat(sys_file(f)->fd, &st) < 0)
        return hf_err_sys(err, HF_IO, "stat %s", sys_file(f)->path);
    fill_stat(&st, ret);
    return HF_OK;
}

static enum hf_code file_lock(struct hf_file *f, bool wait, struct hf_err *err)
{
    while (flock(sys_file(f)->fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            return hf_err_set(err, HF_BUSY, "%s is locked by another process", sys_file(f)->path);
        return hf_err_sys(err, HF_IO, "lock %s", sys_file(f)->path);
    }
    return HF_OK;
}

static void file_close(struct hf_file *f)
{
    const int direct = atomic_load(&sys_file(f)->direct_fd);

    if (direct >= 0)
        (void)close(direct);
    (void)close(sys_file(f)->fd);
    hf_free(sys_file(f)->path);
    hf_free(f);
}

static const struct hf_file_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .write_bulk = file_write_bulk,
    .reserve = file_reserve,
    .sync = file_sync,
    .truncate = file_truncate,
    .set_mtime = file_set_mtime,
    .set_access = file_set_access,
    .stat = file_stat,
    .lock = file_lock,
    .close = file_close,
};

static enum hf_code fs_open(struct hf_fs *fs, const char *path, enum hf_open how, mode_t mode,
                            struct hf_file **ret_file, struct hf_err *err)
{
    static const int flags[] = {
        [HF_OPEN_READ] = O_RDONLY,
        [HF_OPEN_WRITE] = O_RDWR,
        [HF_OPEN_CREATE] = O_RDWR | O_CREAT,
        [HF_OPEN_NEW] = O_RDWR | O_CREAT | O_EXCL,
    };
    const int fd = open(path, flags[how] | O_CLOEXEC, mode);

    (void)fs;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return hf_err_set(err, HF_NOT_FOUND, "open %s: no such file", path);
    if (fd < 0 && errno == EEXIST && how == HF_OPEN_NEW)
        return hf_err_set(err, HF_CONFLICT, "create %s: it exists", path);
    if (fd < 0)
        return hf_err_sys(err, errno == EACCES || errno == EPERM ? HF_DENIED : HF_IO, "open %s",
                          path);

    struct system_file *f = hf_calloc(1, sizeof(*f));

    f->base.ops = &file_ops;
    f->fd = fd;
    atomic_init(&f->direct_fd, NOT_TRIED);
    f->path = hf_strdup(path);
    *ret_file = &f->base;
    return HF_OK;
}

static enum hf_code fs_rename(struct hf_fs *fs, const char *from, const char *to,
                              struct hf_err *err)
{
    (void)fs;
    if (rename(from, to) < 0)
        return hf_err_sys(err, HF_IO, "rename %s to %s", from, to);
    return HF_OK;
}

/* What a file system is called that may lack links; else its number. linux/magic.h and statfs(2).
 */
static void print_type(const char *path, char ret[TYPE_TEXT_MAX])
{
    static const struct {
        uint32_t magic;
        const char *name;
    } types[] = {
        {0x4d44, "vfat"},     {0x2011bab0, "exfat"}, {0x65735546, "FUSE"}, {0x6969, "NFS"},
        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB"},   {0x01021997, "9p"},
    };
    struct statfs st;

    if (statfs(path, &st) < 0)
        st.f_type = 0;
    for (size_t i = 0; i < HF_ARRAY_LEN(types); i++) {
        if (types[i].magic == (uint32_t)st.f_type) {
            (void)snprintf(ret, TYPE_TEXT_MAX, "%s", types[i].name);
            return;
        }
    }
    (void)snprintf(ret, TYPE_TEXT_MAX, "type 0x%x", (unsigned)st.f_type);
}

/* vfat and exfat (EPERM), and much that is behind FUSE (ENOSYS, EOPNOTSUPP), have no links. */
static bool lacks_links(int error)
{
    return error == EPERM || error == ENOSYS || error == EOPNOTSUPP;
}

static enum hf_code rename_new(const char *from, const char *to, struct hf_err *err)
{
    char type[TYPE_TEXT_MAX];

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return HF_OK;
    if (errno == EEXIST)
        return hf_err_set(err, HF_CONFLICT, "rename to %s: it exists", to);
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return hf_err_sys(err, HF_IO, "rename %s to %s", from, to);
    print_type(from, type);
    return hf_err_set(err, HF_UNSUPPORTED,
                      "the file system of %s (%s) has neither links nor a rename that replaces "
                      "nothing, so two writers could overwrite one another there: use another one",
                      to, type);
}

static enum hf_code fs_link(struct hf_fs *fs, const char *from, const char *to, struct hf_err *err)
{
    (void)fs;
    if (link(from, to) == 0)
        return HF_OK;
    if (lacks_links(errno))
        return rename_new(from, to, err);
    if (errno == EEXIST)
        return hf_err_set(err, HF_CONFLICT, "link %s: it exists", to);
    return hf_err_sys(err, HF_IO, "link %s to %s", from, to);
}

static enum hf_code fs_unlink(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    (void)fs;
    if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return hf_err_sys(err, HF_IO, "unlink %s", path);
    return HF_OK;
}

static enum hf_code fs_mkdir(struct hf_fs *fs, const char *path, mode_t mode, struct hf_err *err)
{
    (void)fs;
    if (mkdir(path, mode) == 0)
        return HF_OK;
    if (errno == EEXIST)
        return hf_err_set(err, HF_CONFLICT, "mkdir %s: it exists", path);
    if (errno == ENOENT)
        return hf_err_set(err, HF_NOT_FOUND, "mkdir %s: no such directory above it", path);
    return hf_err_sys(err, errno == EACCES || errno == EROFS ? HF_DENIED : HF_IO, "mkdir %s", path);
}

static enum hf_code fs_sync_dir(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)fs;
    if (fd < 0)
        return hf_err_sys(err, HF_IO, "open directory %s", path);
    if (fsync(fd) < 0) {
        const enum hf_code rc = hf_err_sys(err, HF_IO, "fsync directory %s", path);

        (void)close(fd);
        return rc;
    }
    (void)close(fd);
    return HF_OK;
}

static enum hf_code fs_list(struct hf_fs *fs, const char *path, hf_fs_list_fn *fn, void *ctx,
                            struct hf_err *err)
{
    DIR *dir = opendir(path);
    enum hf_code rc = HF_OK;

    (void)fs;
    if (dir == NULL && (errno == ENOENT || errno == ENOTDIR))
        return hf_err_set(err, HF_NOT_FOUND, "list %s: no such directory", path);
    if (dir == NULL)
        return hf_err_sys(err, errno == EACCES ? HF_DENIED : HF_IO, "list %s", path);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);

        if (entry == NULL && errno != 0)
            rc = hf_err_sys(err, HF_IO, "list %s", path);
        if (entry == NULL || rc != HF_OK)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = fn(ctx, entry->d_name, err);
        if (rc != HF_OK)
            break;
    }
    (void)closedir(dir);
    return rc;
}

static enum hf_code fs_stat(struct hf_fs *fs, const char *path, struct hf_stat *ret,
                            struct hf_err *err)
{
    struct stat st;

    (void)fs;
    if (stat(path, &st) == 0) {
        fill_stat(&st, ret);
        return HF_OK;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        return hf_err_set(err, HF_NOT_FOUND, "%s: no such file", path);
    return hf_err_sys(err, errno == EACCES ? HF_DENIED : HF_IO, "stat %s", path);
}

static enum hf_code fs_space(struct hf_fs *fs, const char *path, uint64_t *ret_free_bytes,
                             uint64_t *ret_total_bytes, struct hf_err *err)
{
    struct statvfs sv;

    (void)fs;
    if (statvfs(path, &sv) < 0)
        return hf_err_sys(err, HF_IO, "statvfs %s", path);
    *ret_free_bytes = (uint64_t)sv.f_bavail * sv.f_frsize;
    *ret_total_bytes = (uint64_t)sv.f_blocks * sv.f_frsize;
    return HF_OK;
}

static const struct hf_fs_ops system_ops = {
    .open = fs_open,
    .rename = fs_rename,
    .link = fs_link,
    .unlink = fs_unlink,
    .mkdir = fs_mkdir,
    .sync_dir = fs_sync_dir,
    .list = fs_list,
    .stat = fs_stat,
    .space = fs_space,
};

struct hf_fs *hf_fs_system(void)
{
    static struct hf_fs system = {.ops = &system_ops};

    return &system;
}

void hf_file_close(struct hf_file *f)
{
    if (f != NULL)
        f->ops->close(f);
}

void hf_file_close_ptr(struct hf_file **f)
{
    hf_file_close(*f);
    *f = NULL;
}

char *hf_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return hf_strdup(".");
    if (slash == path)
        return hf_strdup("/");
    return hf_strndup(path, (size_t)(slash - path));
}

const char *hf_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

enum hf_code hf_fs_mkdirs(struct hf_fs *fs, const char *path, mode_t mode, struct hf_err *err)
{
    enum hf_code rc = fs->ops->mkdir(fs, path, mode, err);
    HF_AUTO_FREE char *above = hf_path_dir(path);

    if (rc == HF_CONFLICT) {
        struct hf_stat st;

        rc = hf_fs_stat(fs, path, &st, err);
        if (rc != HF_OK)
            return rc;
        if (!st.is_dir)
            return hf_err_set(err, HF_USAGE, "%s is a file, and a directory is needed there", path);
        return HF_OK;
    }
    if (rc == HF_NOT_FOUND && strcmp(above, path) != 0) {
        rc = hf_fs_mkdirs(fs, above, mode, err);
        if (rc != HF_OK)
            return rc;
        rc = fs->ops->mkdir(fs, path, mode, err);
        if (rc == HF_CONFLICT)
            return HF_OK; /* made by another in the meantime */
    }
    if (rc != HF_OK)
        return rc;
    return hf_fs_sync_dir(fs, above, err);
}

enum hf_code hf_fs_read_all(struct hf_fs *fs, const char *path, size_t bytes_max,
                            struct hf_buf *ret, struct hf_err *err)
{
    HF_AUTO_FILE *f = NULL;
    struct hf_stat st;
    enum hf_code rc = hf_fs_open(fs, path, HF_OPEN_READ, 0, &f, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_file_stat(f, &st, err);
    if (rc != HF_OK)
        return rc;
    if (st.size_bytes > bytes_max)
        return hf_err_set(err, HF_USAGE, "%s has %llu bytes; at most %zu are expected", path,
                          (unsigned long long)st.size_bytes, bytes_max);

    size_t got = 0;
    uint8_t *to = hf_buf_reserve(ret, (size_t)st.size_bytes);

    rc = hf_file_read(f, 0, to, (size_t)st.size_bytes, &got, err);
    if (rc == HF_OK)
        ret->len += got;
    return rc;
}

static enum hf_code write_new(struct hf_fs *fs, const char *path, struct hf_slice data, mode_t mode,
                              struct hf_err *err)
{
    HF_AUTO_FILE *f = NULL;
    enum hf_code rc = hf_fs_open(fs, path, HF_OPEN_CREATE, mode, &f, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_file_truncate(f, 0, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_file_write(f, 0, data, err);
    if (rc != HF_OK)
        return rc;
    return hf_file_sync(f, err);
}

enum hf_code hf_fs_replace(struct hf_fs *fs, const char *path, struct hf_slice data, mode_t mode,
                           struct hf_err *err)
{
    HF_AUTO_FREE char *dir = hf_path_dir(path);
    HF_AUTO_FREE char *tmp = hf_strfmt("%s.tmp", path);
    enum hf_code rc = write_new(fs, tmp, data, mode, err);

    if (rc == HF_OK)
        rc = hf_fs_rename(fs, tmp, path, err);
    if (rc != HF_OK) {
        struct hf_err ignored;

        (void)!hf_fs_unlink(fs, tmp, &ignored);
        return rc;
    }
    rc = hf_fs_sync_dir(fs, dir, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "%s is replaced, perhaps not durably", path);
    return HF_OK;
}
