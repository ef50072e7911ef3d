/* SPDX-License-Identifier: Apache-2.0 */
/* fs_fault.c - every call asks judge() for its fate, then goes to the inner file system or not. */
#include "lib/fs_fault.h"

#include "lib/fixture.h"

static const char *const kind_names[] = {
#define FS_FAULT_NAME(name) #name,
    FS_FAULT_KINDS(FS_FAULT_NAME)
#undef FS_FAULT_NAME
};

struct fault_file {
    struct hf_file base; /* first, so that the pointers convert */
    struct hf_file *inner;
    struct fs_fault *fault;
};

/* What becomes of one call. */
enum fate { GOES_ON, FAILS_BEFORE, FAILS_AFTER };

static enum fate judge(struct fs_fault *f, int kind, struct hf_err *ret_err)
{
    enum fate fate = GOES_ON;

    (void)pthread_mutex_lock(&f->mutex);
    const struct fs_fault_plan *plan = &f->guarded.plan;
    const bool counted = (plan->kinds & (1u << kind)) != 0;

    f->guarded.count[kind]++;
    if (counted) {
        const uint64_t n = ++f->guarded.calls;

        if (f->guarded.first_at[kind] == 0)
            f->guarded.first_at[kind] = n;
        f->guarded.last_at[kind] = n;
        if (plan->fail_at != 0 && (n == plan->fail_at || (plan->from_then_on && n > plan->fail_at)))
            fate = plan->after_effect ? FAILS_AFTER : FAILS_BEFORE;
    }
    if (fate != GOES_ON) {
        f->guarded.failed++;
        (void)hf_err_set(ret_err, plan->code, "injected failure of %s", kind_names[kind]);
    }
    (void)pthread_mutex_unlock(&f->mutex);
    return fate;
}

/* Make `call` unless its fate forbids it; its result, or the injected one. A call that failed by
 * itself keeps its own result. */
#define FAULTY(fault, kind, call, err)                                                             \
    struct hf_err injected;                                                                        \
    const enum fate fate = judge(fault, FS_##kind##_INDEX, &injected);                             \
    enum hf_code rc = fate == FAILS_BEFORE ? injected.code : (call);                               \
    if (fate == FAILS_BEFORE || (fate == FAILS_AFTER && rc == HF_OK)) {                            \
        *(err) = injected;                                                                         \
        rc = injected.code;                                                                        \
    }

static struct fault_file *fault_file(struct hf_file *f)
{
    return (struct fault_file *)f;
}

static enum hf_code file_read(struct hf_file *f, uint64_t offset, void *dst, size_t len,
                              size_t *ret_len, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, READ, hf_file_read(ff->inner, offset, dst, len, ret_len, err), err)
    if (fate == FAILS_BEFORE && ff->fault->guarded.plan.cuts_reads)
        return hf_file_read(ff->inner, offset, dst, len / 2, ret_len, err);
    return rc;
}

static enum hf_code file_write(struct hf_file *f, uint64_t offset, struct hf_slice data,
                               struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, WRITE, hf_file_write(ff->inner, offset, data, err), err)
    if (fate == FAILS_BEFORE) {
        struct hf_err ignored;

        (void)!hf_file_write(ff->inner, offset, hf_slice(data.ptr, data.len / 2), &ignored);
    }
    return rc;
}

static enum hf_code file_write_bulk(struct hf_file *f, uint64_t offset, struct hf_slice data,
                                    struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, WRITE, hf_file_write_bulk(ff->inner, offset, data, err), err)
    if (fate == FAILS_BEFORE) {
        struct hf_err ignored;

        (void)!hf_file_write(ff->inner, offset, hf_slice(data.ptr, data.len / 2), &ignored);
    }
    return rc;
}

static void file_reserve(struct hf_file *f, uint64_t size_bytes)
{
    hf_file_reserve(fault_file(f)->inner, size_bytes);
}

static enum hf_code file_sync(struct hf_file *f, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, SYNC, ff->fault->skips_sync ? HF_OK : hf_file_sync(ff->inner, err), err)
    return rc;
}

static enum hf_code file_truncate(struct hf_file *f, uint64_t size_bytes, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, TRUNCATE, hf_file_truncate(ff->inner, size_bytes, err), err)
    return rc;
}

static enum hf_code file_set_mtime(struct hf_file *f, int64_t mtime_us, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, SET_MTIME, hf_file_set_mtime(ff->inner, mtime_us, err), err)
    return rc;
}

static enum hf_code file_set_access(struct hf_file *f, const struct hf_stat *like,
                                    struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, SET_ACCESS, hf_file_set_access(ff->inner, like, err), err)
    return rc;
}

static enum hf_code file_stat(struct hf_file *f, struct hf_stat *ret, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, FSTAT, hf_file_stat(ff->inner, ret, err), err)
    return rc;
}

static enum hf_code file_lock(struct hf_file *f, bool wait, struct hf_err *err)
{
    struct fault_file *ff = fault_file(f);

    FAULTY(ff->fault, LOCK, hf_file_lock(ff->inner, wait, err), err)
    return rc;
}

static void count_open(struct fs_fault *f, int64_t more)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->guarded.files_open += more;
    (void)pthread_mutex_unlock(&f->mutex);
}

static void file_close(struct hf_file *f)
{
    struct fault_file *ff = fault_file(f);

    hf_file_close(ff->inner);
    count_open(ff->fault, -1);
    hf_free(ff);
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

static struct fs_fault *fault_fs(struct hf_fs *fs)
{
    return (struct fs_fault *)fs;
}

static enum hf_code fs_open(struct hf_fs *fs, const char *path, enum hf_open how, mode_t mode,
                            struct hf_file **ret_file, struct hf_err *err)
{
    struct fs_fault *f = fault_fs(fs);
    struct hf_file *inner = NULL;

    FAULTY(f, OPEN, hf_fs_open(f->inner, path, how, mode, &inner, err), err)
    if (rc != HF_OK) {
        hf_file_close(inner);
        return rc;
    }

    struct fault_file *ff = hf_calloc(1, sizeof(*ff));

    ff->base.ops = &file_ops;
    ff->inner = inner;
    ff->fault = f;
    count_open(f, 1);
    *ret_file = &ff->base;
    return HF_OK;
}

static enum hf_code fs_rename(struct hf_fs *fs, const char *from, const char *to,
                              struct hf_err *err)
{
    FAULTY(fault_fs(fs), RENAME, hf_fs_rename(fault_fs(fs)->inner, from, to, err), err)
    return rc;
}

static enum hf_code fs_link(struct hf_fs *fs, const char *from, const char *to, struct hf_err *err)
{
    FAULTY(fault_fs(fs), LINK, hf_fs_link(fault_fs(fs)->inner, from, to, err), err)
    return rc;
}

static enum hf_code fs_unlink(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    FAULTY(fault_fs(fs), UNLINK, hf_fs_unlink(fault_fs(fs)->inner, path, err), err)
    return rc;
}

static enum hf_code fs_mkdir(struct hf_fs *fs, const char *path, mode_t mode, struct hf_err *err)
{
    struct hf_fs *inner = fault_fs(fs)->inner;

    FAULTY(fault_fs(fs), MKDIR, inner->ops->mkdir(inner, path, mode, err), err)
    return rc;
}

static enum hf_code fs_sync_dir(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    struct fs_fault *f = fault_fs(fs);

    FAULTY(f, SYNC_DIR, f->skips_sync ? HF_OK : hf_fs_sync_dir(f->inner, path, err), err)
    return rc;
}

static enum hf_code fs_list(struct hf_fs *fs, const char *path, hf_fs_list_fn *fn, void *ctx,
                            struct hf_err *err)
{
    FAULTY(fault_fs(fs), LIST, hf_fs_list(fault_fs(fs)->inner, path, fn, ctx, err), err)
    return rc;
}

static enum hf_code fs_stat(struct hf_fs *fs, const char *path, struct hf_stat *ret,
                            struct hf_err *err)
{
    FAULTY(fault_fs(fs), STAT, hf_fs_stat(fault_fs(fs)->inner, path, ret, err), err)
    return rc;
}

static enum hf_code fs_space(struct hf_fs *fs, const char *path, uint64_t *ret_free_bytes,
                             uint64_t *ret_total_bytes, struct hf_err *err)
{
    struct hf_fs *inner = fault_fs(fs)->inner;

    FAULTY(fault_fs(fs), SPACE, hf_fs_space(inner, path, ret_free_bytes, ret_total_bytes, err), err)
    return rc;
}

static const struct hf_fs_ops fs_ops = {
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

void fs_fault_init(struct fs_fault *f, struct hf_fs *inner)
{
    *f = (struct fs_fault){.base = {.ops = &fs_ops}, .inner = inner};
    (void)pthread_mutex_init(&f->mutex, NULL);
    fs_fault_arm(f, (struct fs_fault_plan){0});
}

void fs_fault_done(struct fs_fault *f)
{
    assert_int_equal(f->guarded.files_open, 0);
    (void)pthread_mutex_destroy(&f->mutex);
}

void fs_fault_arm(struct fs_fault *f, struct fs_fault_plan plan)
{
    (void)pthread_mutex_lock(&f->mutex);
    const int64_t files_open = f->guarded.files_open;

    (void)memset(&f->guarded, 0, sizeof(f->guarded));
    f->guarded.files_open = files_open;
    f->guarded.plan = plan;
    if (plan.kinds == 0)
        f->guarded.plan.kinds = FS_ALL;
    if (plan.code == HF_OK)
        f->guarded.plan.code = HF_IO;
    (void)pthread_mutex_unlock(&f->mutex);
}

void fs_fault_disarm(struct fs_fault *f)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->guarded.plan.fail_at = 0;
    (void)pthread_mutex_unlock(&f->mutex);
}
