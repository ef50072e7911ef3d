/* SPDX-License-Identifier: Apache-2.0 */
/* spool.c - `<txid in hex>.ltx`; a segment is written as segment.tmp and renamed when whole. */
#include "archiver/spool.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"

#define NAME_DIGITS 16

struct item {
    uint64_t txid;
    uint64_t bytes;
};

struct spool {
    struct hf_sink sink; /* first, so that the pointers convert */
    struct hf_fs *fs;
    char *dir;
    struct hf_file *file; /* being written */
    uint64_t file_txid;
    uint64_t file_bytes;
    pthread_mutex_t mutex;
    struct {
        struct item *items; /* by TXID */
        size_t count;
        size_t cap;
        uint64_t bytes;
    } guarded; /* by mutex */
};

static char *path_of(const struct spool *s, uint64_t txid)
{
    return hf_strfmt("%s/%016" PRIx64 ".ltx", s->dir, txid);
}

static void add_locked(struct spool *s, uint64_t txid, uint64_t bytes)
{
    size_t at = s->guarded.count;

    if (s->guarded.count == s->guarded.cap) {
        s->guarded.cap = s->guarded.cap > 0 ? s->guarded.cap * 2 : 16;
        s->guarded.items = hf_realloc(s->guarded.items, s->guarded.cap, sizeof(struct item));
    }
    for (; at > 0 && s->guarded.items[at - 1].txid > txid; at--)
        s->guarded.items[at] = s->guarded.items[at - 1];
    s->guarded.items[at] = (struct item){.txid = txid, .bytes = bytes};
    s->guarded.count++;
    s->guarded.bytes += bytes;
}

static enum hf_code find_file(void *ctx, const char *name, struct hf_err *err)
{
    struct spool *s = ctx;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->dir, name);
    char *end = NULL;
    const uint64_t txid = strtoull(name, &end, 16);
    struct hf_stat st;

    if (end != name + NAME_DIGITS || strcmp(end, ".ltx") != 0 || txid == 0)
        return hf_fs_unlink(s->fs, path, err); /* unfinished */
    const enum hf_code rc = hf_fs_stat(s->fs, path, &st, err);

    if (rc == HF_OK)
        add_locked(s, txid, st.size_bytes);
    return rc;
}

static enum hf_code sink_write(struct hf_sink *sink, struct hf_slice data, struct hf_err *err)
{
    struct spool *s = (struct spool *)sink;
    const enum hf_code rc = hf_file_write(s->file, s->file_bytes, data, err);

    if (rc == HF_OK)
        s->file_bytes += data.len;
    return rc;
}

enum hf_code spool_open(struct hf_fs *fs, const char *dir, struct spool **ret, struct hf_err *err)
{
    struct spool *s = hf_calloc(1, sizeof(*s));

    s->sink.write = sink_write;
    s->fs = fs;
    s->dir = hf_strdup(dir);
    (void)pthread_mutex_init(&s->mutex, NULL);
    enum hf_code rc = hf_fs_mkdirs(fs, dir, 0700, err);

    if (rc == HF_OK)
        rc = hf_fs_list(fs, dir, find_file, s, err);
    if (rc != HF_OK) {
        spool_free(s);
        return rc;
    }
    *ret = s;
    return HF_OK;
}

void spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    spool_abort(s);
    (void)pthread_mutex_destroy(&s->mutex);
    hf_free(s->guarded.items);
    hf_free(s->dir);
    hf_free(s);
}

enum hf_code spool_begin(struct spool *s, uint64_t txid, struct hf_sink **ret, struct hf_err *err)
{
    HF_AUTO_FREE char *tmp = hf_strfmt("%s/segment.tmp", s->dir);

    spool_abort(s);
    enum hf_code rc = hf_fs_open(s->fs, tmp, HF_OPEN_CREATE, 0600, &s->file, err);

    if (rc == HF_OK)
        rc = hf_file_truncate(s->file, 0, err);
    if (rc != HF_OK)
        return rc;
    s->file_txid = txid;
    s->file_bytes = 0;
    *ret = &s->sink;
    return HF_OK;
}

enum hf_code spool_commit(struct spool *s, struct hf_err *err)
{
    HF_AUTO_FREE char *tmp = hf_strfmt("%s/segment.tmp", s->dir);
    HF_AUTO_FREE char *path = path_of(s, s->file_txid);

    hf_assert(s->file != NULL);
    hf_file_close(s->file);
    s->file = NULL;
    const enum hf_code rc = hf_fs_rename(s->fs, tmp, path, err);

    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&s->mutex);
    add_locked(s, s->file_txid, s->file_bytes);
    (void)pthread_mutex_unlock(&s->mutex);
    return HF_OK;
}

void spool_abort(struct spool *s)
{
    HF_AUTO_FREE char *tmp = hf_strfmt("%s/segment.tmp", s->dir);
    struct hf_err ignored;

    if (s->file == NULL)
        return;
    hf_file_close(s->file);
    s->file = NULL;
    (void)!hf_fs_unlink(s->fs, tmp, &ignored); /* it may be what fills the disk */
}

uint64_t spool_first(struct spool *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    const uint64_t txid = s->guarded.count > 0 ? s->guarded.items[0].txid : 0;

    (void)pthread_mutex_unlock(&s->mutex);
    return txid;
}

uint64_t spool_last(struct spool *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    const uint64_t txid = s->guarded.count > 0 ? s->guarded.items[s->guarded.count - 1].txid : 0;

    (void)pthread_mutex_unlock(&s->mutex);
    return txid;
}

uint64_t spool_bytes(struct spool *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    const uint64_t bytes = s->guarded.bytes;

    (void)pthread_mutex_unlock(&s->mutex);
    return bytes;
}

static enum hf_code source_read(struct hf_source *s, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    const struct spool_source *sp = (const struct spool_source *)s;
    size_t got = 0;
    const enum hf_code rc =
        hf_file_read(sp->file, offset, hf_buf_reserve(ret, len), len, &got, err);

    if (rc == HF_IO) /* the device does not give it back, now or later */
        return hf_err_recode(err, HF_DAMAGE, "the spool");
    if (rc != HF_OK)
        return rc;
    if (got < len)
        return hf_err_set(err, HF_DAMAGE, "%s ends at byte %" PRIu64, s->name, offset + got);
    ret->len += len;
    return HF_OK;
}

enum hf_code spool_source_open(struct spool *s, uint64_t txid, struct spool_source *ret,
                               struct hf_err *err)
{
    HF_AUTO_FREE char *path = path_of(s, txid);
    HF_AUTO_FILE *file = NULL;
    struct hf_stat st;
    enum hf_code rc = hf_fs_open(s->fs, path, HF_OPEN_READ, 0, &file, err);

    if (rc == HF_OK)
        rc = hf_file_stat(file, &st, err);
    if (rc != HF_OK)
        return rc;
    *ret = (struct spool_source){
        .base = {.read = source_read, .size_bytes = st.size_bytes},
        .file = hf_take_ptr(&file),
        .path = hf_take_ptr(&path),
    };
    ret->base.name = ret->path;
    return HF_OK;
}

void spool_source_done(struct spool_source *s)
{
    hf_file_close(s->file);
    hf_free(s->path);
}

/* Forget the first item at or behind `first`, if it is not behind `last`; its TXID, or 0. */
static uint64_t forget_locked(struct spool *s, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < s->guarded.count; i++) {
        const struct item it = s->guarded.items[i];

        if (it.txid < first)
            continue;
        if (it.txid > last)
            return 0;
        s->guarded.count--;
        (void)memmove(&s->guarded.items[i], &s->guarded.items[i + 1],
                      (s->guarded.count - i) * sizeof(struct item));
        s->guarded.bytes -= it.bytes;
        return it.txid;
    }
    return 0;
}

enum hf_code spool_drop(struct spool *s, uint64_t first, uint64_t last, struct hf_err *err)
{
    for (;;) {
        (void)pthread_mutex_lock(&s->mutex);
        const uint64_t txid = forget_locked(s, first, last);

        (void)pthread_mutex_unlock(&s->mutex);
        if (txid == 0)
            return HF_OK;
        HF_AUTO_FREE char *path = path_of(s, txid);
        const enum hf_code rc = hf_fs_unlink(s->fs, path, err);

        if (rc != HF_OK)
            return rc;
    }
}
