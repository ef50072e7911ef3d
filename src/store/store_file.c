/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_file.c - a store in one folder: an object is a file, named by its key.
 *
 * Invariants
 * 1. A path without a part that begins with '.' is a complete, fsync'ed object.
 * 2. An object appears and changes only in hf_tmp_object_publish(), by link(2) or by rename(2).
 *    Before that, the names of all folders above it are durable. Where there are no links (vfat),
 *    renameat2(RENAME_NOREPLACE) stands for link(2) in all that is said here.
 * 3. Replacing and deleting happen under an exclusive flock on root/.lock, so that nothing comes
 *    between the look at the etag and the rename. Creating needs no lock: link(2) is atomic, and
 *    a put if-match finds an object in place, on which link(2) fails.
 * 4. A temporary file is flock'ed by its writer from before its first byte until it is closed.
 *
 * Why root/.tmp and not the object's own folder: left-overs of dead processes are found by listing
 * one folder that is nearly empty, and folders of segments hold segments only. The price is that
 * the whole store has to lie on one file system.
 *
 * Who is dead: the kernel drops the flock of invariant 4 when the last descriptor is closed, by
 * whatever death. A pid in the name would not tell across containers or machines. Left-overs are
 * removed before a store object's first write, never by a process that only reads.
 *
 * Why the etag is unique: inode and ctime alone are not, as an inode is used again soon and the
 * kernel's clock ticks every few milliseconds. So a version without a timestamp of its own gets an
 * mtime above that of the version it replaces, in microseconds, under the lock.
 */
#include "store/store_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "store/store_file_priv.h"

#define PART_BYTES_MAX 255               /* of a file name; Linux: NAME_MAX */
#define BLOCK_BYTES    ((size_t)4 << 20) /* of an upload are written at a time ... */
#define RESERVE_BLOCKS 16                /* ... and room is asked for, for so many at once */

struct file_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_put put;
    struct hf_tmp_object tmp;
    uint8_t *block; /* BLOCK_BYTES: what is not written yet ... */
    size_t block_len;
    uint64_t len;      /* ... and how much is */
    uint64_t reserved; /* the file is that long; cut back to what was written in the end */
};

enum hf_code hf_store_file_key_check(const char *key, struct hf_err *err)
{
    for (const char *p = key;;) {
        const size_t len = strcspn(p, "/");

        if (p[0] == '.')
            return hf_err_set(err, HF_USAGE,
                              "a part of the key begins with '.'; file:// keeps such names for "
                              "itself");
        if (len > PART_BYTES_MAX)
            return hf_err_set(err, HF_USAGE,
                              "a part of the key has %zu bytes; file:// allows %d at most", len,
                              PART_BYTES_MAX);
        if (p[len] == '\0')
            return HF_OK;
        p += len + 1;
    }
}

void hf_store_file_etag(const struct hf_stat *st, struct hf_etag *ret)
{
    /* 16 hex digits a number at most, but 63 bytes in all: the size is never that large. */
    (void)snprintf(ret->str, sizeof(ret->str), "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64,
                   st->inode, (uint64_t)st->mtime_us, (uint64_t)st->ctime_us, st->size_bytes);
}

struct hf_object hf_store_file_object(const struct hf_stat *st)
{
    struct hf_object object = {
        .size_bytes = st->size_bytes,
        .modified_ms = st->ctime_us / 1000,
        .timestamp_ms = st->mtime_us / 1000,
    };

    hf_store_file_etag(st, &object.etag);
    return object;
}

/* The device is not compared: it changes when a network file system is mounted again. */
enum hf_code hf_store_file_root_check(struct hf_store_file *s, struct hf_err *err)
{
    struct hf_stat st;
    const enum hf_code rc = hf_fs_stat(s->fs, s->root, &st, err);

    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_IO, "the folder %s is gone; is its file system mounted?",
                          s->root);
    if (rc != HF_OK)
        return rc;
    if (st.inode != s->root_inode)
        return hf_err_set(err, HF_IO,
                          "another folder stands at %s than when it was opened; is its file system "
                          "mounted? If it was moved on purpose, start again",
                          s->root);
    return HF_OK;
}

enum hf_code hf_store_file_lock(struct hf_store_file *s, struct hf_file **ret, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s%s", s->root, HF_FILE_STORE_LOCK);
    enum hf_code rc = hf_fs_open(s->fs, path, HF_OPEN_CREATE, HF_STORE_FILE_MODE, ret, err);

    if (rc == HF_NOT_FOUND)
        return hf_err_recode(err, HF_IO, "lock the store");
    if (rc != HF_OK)
        return rc;
    return hf_file_lock(*ret, true, err);
}

static enum hf_code file_put(struct hf_store *store, const char *key, struct hf_slice body,
                             const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    HF_CLEANUP(hf_tmp_object_done) struct hf_tmp_object tmp = {0};
    enum hf_code rc = hf_store_file_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_tmp_object_create((struct hf_store_file *)store, &tmp, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_file_write(tmp.file, 0, body, err);
    if (rc != HF_OK)
        return rc;
    return hf_tmp_object_publish(&tmp, key, put, ret_etag, err);
}

/* Whole blocks go past the page cache: what is uploaded in pieces is large, and read by nobody here
 * before it is needed. */
static enum hf_code write_block(struct file_upload *fu, struct hf_err *err)
{
    if (fu->len == fu->reserved) {
        fu->reserved += RESERVE_BLOCKS * BLOCK_BYTES;
        hf_file_reserve(fu->tmp.file, fu->reserved);
    }
    const enum hf_code rc =
        hf_file_write_bulk(fu->tmp.file, fu->len, hf_slice(fu->block, BLOCK_BYTES), err);

    if (rc != HF_OK)
        return rc;
    fu->len += BLOCK_BYTES;
    fu->block_len = 0;
    return HF_OK;
}

static enum hf_code upload_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    struct file_upload *fu = (struct file_upload *)u;

    while (data.len > 0) {
        const size_t room = BLOCK_BYTES - fu->block_len;
        const size_t len = data.len < room ? data.len : room;

        (void)memcpy(fu->block + fu->block_len, data.ptr, len);
        fu->block_len += len;
        data = hf_slice(data.ptr + len, data.len - len);
        if (fu->block_len < BLOCK_BYTES)
            continue;
        const enum hf_code rc = write_block(fu, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code upload_finish(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct file_upload *fu = (struct file_upload *)u;
    enum hf_code rc = hf_file_write(fu->tmp.file, fu->len, hf_slice(fu->block, fu->block_len), err);

    if (rc == HF_OK && fu->reserved > 0)
        rc = hf_file_truncate(fu->tmp.file, fu->len + fu->block_len, err);
    return rc != HF_OK ? rc : hf_tmp_object_publish(&fu->tmp, u->key, &fu->put, ret_etag, err);
}

static void upload_free(struct hf_upload *u)
{
    struct file_upload *fu = (struct file_upload *)u;

    hf_tmp_object_done(&fu->tmp);
    hf_free(fu->block);
    hf_free(fu);
}

static const struct hf_upload_ops upload_ops = {
    .write = upload_write,
    .finish = upload_finish,
    .free = upload_free,
};

static enum hf_code file_upload_new(struct hf_store *store, const char *key,
                                    const struct hf_put *put, struct hf_upload **ret,
                                    struct hf_err *err)
{
    struct hf_tmp_object tmp = {0};
    enum hf_code rc = hf_store_file_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_tmp_object_create((struct hf_store_file *)store, &tmp, err);
    if (rc != HF_OK)
        return rc;

    struct file_upload *fu = hf_calloc(1, sizeof(*fu));

    fu->base.ops = &upload_ops;
    fu->put = *put;
    fu->tmp = tmp;
    fu->block = hf_memalign(HF_BULK_ALIGN, BLOCK_BYTES);
    *ret = &fu->base;
    return HF_OK;
}

/* In a folder that is not the store's, as below a mount point, nothing is known to be absent. */
static enum hf_code not_found(struct hf_store_file *s, struct hf_err *err)
{
    const enum hf_code rc = hf_store_file_root_check(s, err);

    if (rc != HF_OK)
        return rc;
    return hf_err_set(err, HF_NOT_FOUND, "there is no such object");
}

/* Open the object and learn its size; both ways to be no object are HF_NOT_FOUND. */
static enum hf_code open_object(struct hf_store_file *s, const char *key, struct hf_file **ret_file,
                                struct hf_stat *ret_stat, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->root, key);
    enum hf_code rc = hf_fs_open(s->fs, path, HF_OPEN_READ, 0, ret_file, err);

    if (rc == HF_NOT_FOUND)
        return not_found(s, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_file_stat(*ret_file, ret_stat, err);
    if (rc == HF_OK && ret_stat->is_dir)
        return not_found(s, err);
    return rc;
}

static enum hf_code file_get(struct hf_store *store, const char *key, uint64_t offset, uint64_t len,
                             struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    HF_AUTO_FILE *f = NULL;
    struct hf_stat st;
    size_t got = 0;
    enum hf_code rc = hf_store_file_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    rc = open_object((struct hf_store_file *)store, key, &f, &st, err);
    if (rc != HF_OK)
        return rc;

    const uint64_t left = offset < st.size_bytes ? st.size_bytes - offset : 0;
    const size_t want = (size_t)(len == 0 || len > left ? left : len);

    rc = hf_file_read(f, offset, hf_buf_reserve(ret, want), want, &got, err);
    if (rc != HF_OK)
        return rc;
    if (got < want)
        return hf_err_set(err, HF_IO, "the file ended after %zu of %zu bytes: something cut it",
                          got, want);
    ret->len += got;
    *ret_object = hf_store_file_object(&st);
    return HF_OK;
}

static enum hf_code file_head(struct hf_store *store, const char *key, struct hf_object *ret,
                              struct hf_err *err)
{
    struct hf_store_file *s = (struct hf_store_file *)store;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->root, key);
    struct hf_stat st;
    enum hf_code rc = hf_store_file_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_fs_stat(s->fs, path, &st, err);
    if (rc == HF_NOT_FOUND || (rc == HF_OK && st.is_dir))
        return not_found(s, err);
    if (rc != HF_OK)
        return rc;
    *ret = hf_store_file_object(&st);
    return HF_OK;
}

/* Unlink under the lock. The folder is synced also if nothing is there: an earlier delete may have
 * got as far as that. A folder at `path` is no object. */
static enum hf_code remove_object(struct hf_store_file *s, const char *path, struct hf_err *err)
{
    HF_AUTO_FREE char *folder = hf_path_dir(path);
    HF_AUTO_FILE *lock = NULL;
    struct hf_stat st;
    enum hf_code rc = hf_store_file_lock(s, &lock, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_fs_stat(s->fs, path, &st, err);
    if (rc == HF_OK && st.is_dir)
        return HF_OK;
    if (rc == HF_OK)
        rc = hf_fs_unlink(s->fs, path, err);
    else if (rc == HF_NOT_FOUND)
        rc = hf_fs_stat(s->fs, folder, &st, err);
    if (rc == HF_NOT_FOUND)
        return HF_OK; /* there is not even a folder */
    if (rc != HF_OK)
        return rc;
    rc = hf_fs_sync_dir(s->fs, folder, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "the object is gone, perhaps not durably");
    return HF_OK;
}

static enum hf_code file_delete(struct hf_store *store, const char *key, struct hf_err *err)
{
    struct hf_store_file *s = (struct hf_store_file *)store;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->root, key);
    enum hf_code rc = hf_store_file_key_check(key, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_store_file_root_check(s, err);
    if (rc != HF_OK)
        return rc;
    return remove_object(s, path, err);
}

static void file_free(struct hf_store *store)
{
    struct hf_store_file *s = (struct hf_store_file *)store;

    for (size_t i = 0; i < HF_STORE_FOLDERS_KNOWN_MAX; i++)
        hf_free(s->guarded.known[i]);
    (void)pthread_mutex_destroy(&s->mutex);
    hf_free(s->root);
    hf_free(s);
}

static const struct hf_store_ops file_ops = {
    .put = file_put,
    .get = file_get,
    .head = file_head,
    .del = file_delete,
    .list = hf_store_file_list,
    .upload_new = file_upload_new,
    .free = file_free,
};

/* Make the root in a folder that is there. Where more is missing, it is likelier that something is
 * not mounted than that somebody wants folders made: an archive beside its place looks well. */
static enum hf_code make_root(const char *root, struct hf_fs *fs, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strdup(root);
    HF_AUTO_FREE char *above = NULL;
    struct hf_stat st;
    enum hf_code rc;

    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
    above = hf_path_dir(path);
    rc = hf_fs_stat(fs, above, &st, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_NOT_FOUND,
                          "the folder %s, in which %s would be made, does not exist; make it, or "
                          "mount what it lies on",
                          above, path);
    if (rc != HF_OK)
        return rc;
    return hf_fs_mkdirs(fs, path, HF_STORE_FOLDER_MODE, err);
}

/* The root as a folder: made if wanted, and judged. */
static enum hf_code open_root(const char *root, const struct hf_store_env *env,
                              struct hf_stat *ret_stat, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    if (root[0] != '/')
        return hf_err_set(err, HF_USAGE, "the folder '%s' is not an absolute path", root);
    if (env->create) {
        rc = make_root(root, env->fs, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = hf_fs_stat(env->fs, root, ret_stat, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_NOT_FOUND,
                          "the folder %s does not exist; make it, or mount what it lies on", root);
    if (rc != HF_OK)
        return rc;
    if (!ret_stat->is_dir)
        return hf_err_set(err, HF_USAGE, "%s is not a folder", root);
    return HF_OK;
}

enum hf_code hf_store_file_new(const char *root, const struct hf_store_env *env,
                               struct hf_store **ret, struct hf_err *err)
{
    struct hf_stat st;
    size_t len = strlen(root);
    const enum hf_code rc = open_root(root, env, &st, err);

    if (rc != HF_OK)
        return rc;
    while (len > 0 && root[len - 1] == '/')
        len--;

    struct hf_store_file *s = hf_calloc(1, sizeof(*s));

    s->base.ops = &file_ops;
    s->base.caps = HF_STORE_COND_PUT | HF_STORE_LARGE | HF_STORE_LTX_FOLDER;
    s->base.url = hf_strfmt("file://%.*s", (int)len, root);
    s->fs = env->fs;
    s->clock = env->clock;
    s->rand = env->rand;
    s->root = hf_strndup(root, len);
    s->root_inode = st.inode;
    (void)pthread_mutex_init(&s->mutex, NULL);
    *ret = &s->base;
    return HF_OK;
}
