/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_file_tmp.c - objects under construction in a file:// store, and how they become objects.
 *
 * Invariants: store_file.c. Here is the only place where an object appears or changes.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/store_file_priv.h"

#define TMP_TRIES_MAX 16 /* names tried for one temporary file */

/* A left-over that cannot be unlinked is swept by the next process that writes. */
void hf_tmp_object_done(struct hf_tmp_object *t)
{
    struct hf_err ignored;

    if (t->path != NULL)
        (void)!hf_fs_unlink(t->store->fs, t->path, &ignored);
    hf_free(hf_take_ptr(&t->path));
    hf_file_close_ptr(&t->file);
}

/* A failure below a put whose own code would say too much: to the caller of a put, HF_NOT_FOUND or
 * HF_CONFLICT of a file operation is neither. */
static enum hf_code plain_failure(struct hf_err *err)
{
    if (err->code == HF_NOT_FOUND || err->code == HF_CONFLICT || err->code == HF_BUSY)
        err->code = HF_IO;
    return err->code;
}

/* --- folders ---------------------------------------------------------------------------------- */

static char **known_slot_locked(struct hf_store_file *s, const char *folder)
{
    return &s->guarded.known[hf_hash64(folder, strlen(folder)) % HF_STORE_FOLDERS_KNOWN_MAX];
}

static bool is_known(struct hf_store_file *s, const char *folder)
{
    (void)pthread_mutex_lock(&s->mutex);
    const char *known = *known_slot_locked(s, folder);
    const bool found = known != NULL && strcmp(known, folder) == 0;

    (void)pthread_mutex_unlock(&s->mutex);
    return found;
}

static void set_known(struct hf_store_file *s, const char *folder, bool known)
{
    (void)pthread_mutex_lock(&s->mutex);
    char **slot = known_slot_locked(s, folder);

    hf_free(*slot);
    *slot = known ? hf_strdup(folder) : NULL;
    (void)pthread_mutex_unlock(&s->mutex);
}

/* Make one folder; an existing one is fine, a file in its place is not. */
static enum hf_code make_one(struct hf_store_file *s, const char *path, struct hf_err *err)
{
    struct hf_stat st;
    enum hf_code rc = s->fs->ops->mkdir(s->fs, path, HF_STORE_FOLDER_MODE, err);

    if (rc != HF_CONFLICT)
        return rc;
    rc = hf_fs_stat(s->fs, path, &st, err);
    if (rc != HF_OK)
        return rc;
    if (!st.is_dir)
        return hf_err_set(err, HF_USAGE, "%s is an object, so file:// can have none below it",
                          path);
    return HF_OK;
}

/*
 * Make the folder `path`, which lies below the root, with all between. Each name is synced also
 * if it exists: whoever made it may have died before its own sync.
 */
static enum hf_code make_folder(struct hf_store_file *s, const char *path, struct hf_err *err)
{
    const size_t root_len = strlen(s->root);

    if (strcmp(path, s->root) == 0 || is_known(s, path))
        return HF_OK;
    for (size_t len = root_len; path[len] != '\0';) {
        HF_AUTO_FREE char *above = hf_strndup(path, len);

        len += 1 + strcspn(path + len + 1, "/");
        HF_AUTO_FREE char *folder = hf_strndup(path, len);
        enum hf_code rc = make_one(s, folder, err);

        if (rc == HF_OK)
            rc = hf_fs_sync_dir(s->fs, above, err);
        if (rc != HF_OK)
            return rc;
    }
    set_known(s, path, true);
    return HF_OK;
}

/* --- temporary files -------------------------------------------------------------------------- */

/* Remove the temporary file at `path` if its writer is dead. */
static void sweep_file(struct hf_fs *fs, const char *path)
{
    HF_AUTO_FILE *f = NULL;
    struct hf_err ignored;

    if (hf_fs_open(fs, path, HF_OPEN_WRITE, 0, &f, &ignored) != HF_OK)
        return;
    if (hf_file_lock(f, false, &ignored) == HF_OK)
        (void)!hf_fs_unlink(fs, path, &ignored);
}

struct sweep {
    struct hf_fs *fs;
    const char *folder;
};

static enum hf_code sweep_name(void *ctx, const char *name, struct hf_err *err)
{
    const struct sweep *sweep = ctx;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", sweep->folder, name);

    (void)err;
    sweep_file(sweep->fs, path);
    return HF_OK;
}

/* Remove what dead writers left. What cannot be removed now is no reason to fail. */
static void sweep_once(struct hf_store_file *s)
{
    HF_AUTO_FREE char *folder = hf_strfmt("%s%s", s->root, HF_FILE_STORE_TMP);
    struct sweep sweep = {.fs = s->fs, .folder = folder};
    struct hf_err ignored;

    (void)pthread_mutex_lock(&s->mutex);
    const bool swept = s->guarded.swept;

    s->guarded.swept = true;
    (void)pthread_mutex_unlock(&s->mutex);
    if (!swept)
        (void)!hf_fs_list(s->fs, folder, sweep_name, &sweep, &ignored);
}

/* HF_BUSY: the locked `t` has lost its name to a sweeper, which locked it before its writer did. */
static enum hf_code check_name(const struct hf_tmp_object *t, struct hf_err *err)
{
    struct hf_stat by_path;
    struct hf_stat by_file;
    enum hf_code rc = hf_file_stat(t->file, &by_file, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_fs_stat(t->store->fs, t->path, &by_path, err);
    if (rc != HF_OK && rc != HF_NOT_FOUND)
        return rc;
    if (rc == HF_NOT_FOUND || by_path.inode != by_file.inode || by_path.device != by_file.device)
        return hf_err_set(err, HF_BUSY, "%s was removed while it was made", t->path);
    return HF_OK;
}

static char *tmp_path(struct hf_store_file *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    const uint64_t nonce = hf_rand_u64(s->rand);

    (void)pthread_mutex_unlock(&s->mutex);
    return hf_strfmt("%s%s/%016" PRIx64, s->root, HF_FILE_STORE_TMP, nonce);
}

/* One attempt. HF_CONFLICT, HF_BUSY: the name is another's; try the next. */
static enum hf_code try_tmp(struct hf_store_file *s, struct hf_tmp_object *ret, struct hf_err *err)
{
    HF_CLEANUP(hf_tmp_object_done) struct hf_tmp_object t = {.store = s};
    HF_AUTO_FREE char *path = tmp_path(s);
    enum hf_code rc = hf_fs_open(s->fs, path, HF_OPEN_NEW, HF_STORE_FILE_MODE, &t.file, err);

    if (rc != HF_OK)
        return rc;
    t.path = hf_take_ptr(&path);
    rc = hf_file_lock(t.file, false, err);
    if (rc != HF_OK)
        return rc;
    rc = check_name(&t, err);
    if (rc != HF_OK)
        return rc;
    *ret = t;
    t = (struct hf_tmp_object){0}; /* handed over */
    return HF_OK;
}

static enum hf_code try_tmp_names(struct hf_store_file *s, struct hf_tmp_object *ret,
                                  struct hf_err *err)
{
    HF_AUTO_FREE char *folder = hf_strfmt("%s%s", s->root, HF_FILE_STORE_TMP);
    enum hf_code rc = HF_BUSY;

    for (int i = 0; i < TMP_TRIES_MAX && (rc == HF_BUSY || rc == HF_CONFLICT); i++) {
        rc = try_tmp(s, ret, err);
        if (rc != HF_NOT_FOUND)
            continue;
        rc = make_one(s, folder, err); /* the first one ever makes the folder */
        if (rc == HF_OK)
            rc = try_tmp(s, ret, err);
    }
    return rc;
}

enum hf_code hf_tmp_object_create(struct hf_store_file *s, struct hf_tmp_object *ret,
                                  struct hf_err *err)
{
    const enum hf_code rc = hf_store_file_root_check(s, err);

    if (rc != HF_OK)
        return rc;
    sweep_once(s);
    if (try_tmp_names(s, ret, err) != HF_OK)
        return plain_failure(err);
    return HF_OK;
}

/* --- publishing ------------------------------------------------------------------------------- */

static enum hf_code is_folder(const char *path, struct hf_err *err)
{
    return hf_err_set(err, HF_USAGE, "%s is a folder, so file:// can have no object there", path);
}

/*
 * A link or rename to `path` has failed and left `err`. It may have happened all the same: over NFS
 * an answer gets lost, and the call repeated by the kernel finds the work done. The inode tells.
 */
static enum hf_code judge_failure(struct hf_tmp_object *t, const char *path, struct hf_err *err)
{
    struct hf_stat ours;
    struct hf_stat there;
    struct hf_err look;
    enum hf_code rc = hf_file_stat(t->file, &ours, &look);

    if (rc == HF_OK)
        rc = hf_fs_stat(t->store->fs, path, &there, &look);
    if (rc != HF_OK && rc != HF_NOT_FOUND)
        return hf_err_recode(err, HF_UNCERTAIN, "cannot look whether it happened");
    if (rc == HF_OK && there.inode == ours.inode && there.device == ours.device)
        return HF_OK;
    if (rc == HF_OK && there.is_dir)
        return is_folder(path, err);
    return err->code == HF_CONFLICT ? HF_CONFLICT : plain_failure(err);
}

/* Create the object, if there is none. */
static enum hf_code publish_new(struct hf_tmp_object *t, const char *path, struct hf_err *err)
{
    struct hf_err ignored;
    enum hf_code rc = hf_fs_link(t->store->fs, t->path, path, err);

    if (rc != HF_OK)
        rc = judge_failure(t, path, err);
    if (rc != HF_OK)
        return rc;
    /* The other name, if there is one, goes at once, as its going moves the ctime and with it the
     * etag. If it stays, the next sweep takes it; to try again when the etag is given out already
     * would be worse. */
    (void)!hf_fs_unlink(t->store->fs, t->path, &ignored);
    hf_free(hf_take_ptr(&t->path));
    return HF_OK;
}

/* The object that is to go is the one that `put` wants to replace. `*ret_mtime_us` is its time, 0
 * if there is none. */
static enum hf_code check_old(struct hf_store_file *s, const char *path, const struct hf_put *put,
                              int64_t *ret_mtime_us, struct hf_err *err)
{
    const bool if_match = put->cond == HF_PUT_IF_MATCH;
    struct hf_stat old;
    struct hf_etag etag;
    const enum hf_code rc = hf_fs_stat(s->fs, path, &old, err);

    if (rc == HF_NOT_FOUND && if_match)
        return hf_err_set(err, HF_CONFLICT, "there is no object whose etag could match");
    if (rc == HF_NOT_FOUND) {
        *ret_mtime_us = 0;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (old.is_dir)
        return is_folder(path, err);
    hf_store_file_etag(&old, &etag);
    if (if_match && strcmp(etag.str, put->match.str) != 0)
        return hf_err_set(err, HF_CONFLICT, "the object has changed: its etag is %s, not %s",
                          etag.str, put->match.str);
    *ret_mtime_us = old.mtime_us;
    return HF_OK;
}

/*
 * Move the time of `t` above that of the version it replaces, so that their etags differ: by as
 * little as the file system can tell apart, which is two seconds on vfat. This comes after the
 * sync: a power cut can take it back, and then an etag does not match that could have, which is the
 * safe side.
 */
static enum hf_code move_time(struct hf_tmp_object *t, int64_t old_mtime_us, struct hf_err *err)
{
    static const int64_t steps_us[] = {1, 2000000};
    struct hf_stat st;
    enum hf_code rc = hf_file_stat(t->file, &st, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < HF_ARRAY_LEN(steps_us); i++) {
        if (st.mtime_us > old_mtime_us)
            return HF_OK;
        rc = hf_file_set_mtime(t->file, old_mtime_us + steps_us[i], err);
        if (rc == HF_OK)
            rc = hf_file_stat(t->file, &st, err);
        if (rc != HF_OK)
            return rc;
    }
    if (st.mtime_us > old_mtime_us)
        return HF_OK;
    return hf_err_set(err, HF_UNSUPPORTED,
                      "the file system of %s does not keep the times that are set, and versions "
                      "cannot be told apart without",
                      t->store->root);
}

/* Replace the object, or create it. */
static enum hf_code publish_over(struct hf_tmp_object *t, const char *path,
                                 const struct hf_put *put, struct hf_err *err)
{
    HF_AUTO_FILE *lock = NULL;
    int64_t old_mtime_us = 0;
    enum hf_code rc = hf_store_file_lock(t->store, &lock, err);

    if (rc != HF_OK)
        return rc;
    rc = check_old(t->store, path, put, &old_mtime_us, err);
    if (rc != HF_OK)
        return rc;
    if (put->timestamp_ms == 0) {
        rc = move_time(t, old_mtime_us, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = hf_fs_rename(t->store->fs, t->path, path, err);
    if (rc != HF_OK)
        rc = judge_failure(t, path, err);
    if (rc == HF_OK)
        hf_free(hf_take_ptr(&t->path));
    return rc;
}

/* The object is visible in `folder`, so a failure no longer means that nothing was written. */
static enum hf_code confirm(struct hf_tmp_object *t, const char *folder, struct hf_etag *ret_etag,
                            struct hf_err *err)
{
    struct hf_stat st;
    enum hf_code rc = hf_fs_sync_dir(t->store->fs, folder, err);

    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "the object is visible, perhaps not durably");
    rc = hf_file_stat(t->file, &st, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "the object is there, but its etag is not known");
    hf_store_file_etag(&st, ret_etag);
    return HF_OK;
}

/* Give the whole file its time and make both durable. */
static enum hf_code seal(struct hf_tmp_object *t, const struct hf_put *put, struct hf_err *err)
{
    const int64_t mtime_us = put->timestamp_ms != 0 ? put->timestamp_ms * 1000
                                                    : hf_now_us(t->store->clock);
    const enum hf_code rc = hf_file_set_mtime(t->file, mtime_us, err);

    if (rc != HF_OK)
        return rc;
    return hf_file_sync(t->file, err);
}

enum hf_code hf_tmp_object_publish(struct hf_tmp_object *t, const char *key,
                                   const struct hf_put *put, struct hf_etag *ret_etag,
                                   struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", t->store->root, key);
    HF_AUTO_FREE char *folder = hf_path_dir(path);
    enum hf_code rc = seal(t, put, err);

    if (rc != HF_OK)
        return rc;
    if (make_folder(t->store, folder, err) != HF_OK)
        return plain_failure(err);
    rc = put->cond == HF_PUT_IF_ABSENT ? publish_new(t, path, err)
                                       : publish_over(t, path, put, err);
    if (rc != HF_OK) {
        set_known(t->store, folder, false); /* it may be gone; look again next time */
        return rc;
    }
    return confirm(t, folder, ret_etag, err);
}
