/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_mem.c - nodes with two sets of bytes or names each: `now`, and `disk`.
 *
 * A write changes `now` and is noted in the node; a change of names changes `now` and is noted in
 * the disk's journal, as one entry whatever it changes (a rename is atomic). Syncing moves what was
 * noted to `disk`. Nodes live as long as the disk does.
 */
#include "lib/fs_mem.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "lib/fixture.h"

#define TORN_ODDS    3   /* of writes that a cut meets, one in so many is torn */
#define SECTOR_BYTES 512 /* no part of a sector is written without the rest of it */

struct node;

struct name {
    char *text;
    struct node *node;
};

struct names {
    struct name *items;
    size_t count;
};

/* A write that is not synced; or a truncate, whose `data` is empty. */
struct change {
    bool truncates;
    uint64_t offset; /* or the new size */
    struct hf_buf data;
};

struct node {
    uint64_t inode;
    bool is_dir;
    mode_t mode;
    int64_t mtime_us;
    int64_t ctime_us;
    struct hf_file *lock; /* who holds it */
    struct hf_buf now;
    struct hf_buf disk;
    struct change *changes;
    size_t changes_count;
    struct names names_now;
    struct names names_disk;
    struct node *next; /* of all */
};

/* `text` in `dir` leads to `node`, or nowhere. */
struct assignment {
    struct node *dir;
    char *text;
    struct node *node;
};

struct entry {
    struct assignment items[2];
    size_t count;
};

struct fs_mem {
    struct hf_clock *clock;
    struct node *all;
    struct node *root;
    uint64_t inodes;
    struct entry *journal;
    size_t journal_count;
    struct node *kept;
    uint64_t room_bytes; /* for all files */
    uint64_t total_bytes;
    unsigned files_open;
};

struct mem_file {
    struct hf_file base; /* first, so that the pointers convert */
    struct fs_mem_view *view;
    struct node *node;
    char *path;
};

/* ---- nodes and names ------------------------------------------------------------------------ */

static struct node *new_node(struct fs_mem *m, bool is_dir, mode_t mode)
{
    struct node *n = hf_calloc(1, sizeof(*n));

    n->inode = ++m->inodes;
    n->is_dir = is_dir;
    n->mode = mode;
    n->mtime_us = n->ctime_us = m->clock->now_us(m->clock);
    n->next = m->all;
    m->all = n;
    return n;
}

static struct node *find(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].text, text) == 0)
            return names->items[i].node;
    }
    return NULL;
}

static void assign(struct names *names, const char *text, struct node *node)
{
    size_t at = 0;

    while (at < names->count && strcmp(names->items[at].text, text) != 0)
        at++;
    if (at == names->count && node == NULL)
        return;
    if (at == names->count) {
        names->items = hf_realloc(names->items, names->count + 1, sizeof(*names->items));
        names->items[names->count++] = (struct name){.text = hf_strdup(text)};
    }
    names->items[at].node = node;
    if (node != NULL)
        return;
    hf_free(names->items[at].text);
    names->count--;
    (void)memmove(&names->items[at], &names->items[at + 1],
                  (names->count - at) * sizeof(*names->items));
}

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        hf_free(names->items[i].text);
    hf_free(names->items);
    *names = (struct names){0};
}

static void names_copy(const struct names *from, struct names *to)
{
    names_done(to);
    for (size_t i = 0; i < from->count; i++)
        assign(to, from->items[i].text, from->items[i].node);
}

static void set_bytes(struct hf_buf *to, const struct hf_buf *from)
{
    hf_buf_reset(to);
    if (from->len > 0)
        hf_buf_append(to, from->ptr, from->len);
}

static void drop_changes(struct node *n)
{
    for (size_t i = 0; i < n->changes_count; i++)
        hf_buf_done(&n->changes[i].data);
    n->changes_count = 0;
}

static void entry_done(struct entry *e)
{
    for (size_t i = 0; i < e->count; i++)
        hf_free(e->items[i].text);
}

struct fs_mem *fs_mem_new(struct hf_clock *clock)
{
    struct fs_mem *m = hf_calloc(1, sizeof(*m));

    m->clock = clock;
    m->root = new_node(m, true, 0755);
    fs_mem_set_space(m, UINT64_C(1) << 39, UINT64_C(1) << 40);
    return m;
}

void fs_mem_free(struct fs_mem *m)
{
    hf_assert(m->files_open == 0);
    while (m->all != NULL) {
        struct node *n = m->all;

        m->all = n->next;
        drop_changes(n);
        hf_free(n->changes);
        names_done(&n->names_now);
        names_done(&n->names_disk);
        hf_buf_done(&n->now);
        hf_buf_done(&n->disk);
        hf_free(n);
    }
    for (size_t i = 0; i < m->journal_count; i++)
        entry_done(&m->journal[i]);
    hf_free(m->journal);
    hf_free(m);
}

/* What all files at and below the node hold. */
static uint64_t used_bytes(const struct node *n)
{
    uint64_t bytes = n->now.len;

    for (size_t i = 0; i < n->names_now.count; i++)
        bytes += used_bytes(n->names_now.items[i].node);
    return bytes;
}

static uint64_t room_left(const struct fs_mem *m)
{
    const uint64_t used = used_bytes(m->root);

    return m->room_bytes > used ? m->room_bytes - used : 0;
}

void fs_mem_set_space(struct fs_mem *m, uint64_t free_bytes, uint64_t total_bytes)
{
    m->room_bytes = used_bytes(m->root) + free_bytes;
    m->total_bytes = total_bytes;
}

/* The node at the first `len` bytes of `path`, which begins with '/'; NULL: there is none. */
static struct node *walk(const struct fs_mem *m, const char *path, size_t len)
{
    struct node *at = m->root;

    hf_assert(path[0] == '/');
    for (size_t begin = 1; at != NULL && begin < len;) {
        const size_t end = begin + strcspn(path + begin, "/");
        HF_AUTO_FREE char *part = hf_strndup(path + begin, end - begin);

        if (*part != '\0')
            at = at->is_dir ? find(&at->names_now, part) : NULL;
        begin = end + 1;
    }
    return at;
}

static struct node *lookup(const struct fs_mem *m, const char *path)
{
    return walk(m, path, strlen(path));
}

static struct node *lookup_dir(const struct fs_mem *m, const char *path)
{
    struct node *dir = walk(m, path, (size_t)(hf_path_base(path) - path));

    return dir != NULL && dir->is_dir ? dir : NULL;
}

/* Up to two names change in one step, now; and on disk when they are synced. */
static void change_names(struct fs_mem *m, struct node *dir, const char *text, struct node *node,
                         struct node *dir2, const char *text2, struct node *node2)
{
    m->journal = hf_realloc(m->journal, m->journal_count + 1, sizeof(*m->journal));
    struct entry *e = &m->journal[m->journal_count++];

    *e = (struct entry){.count = 1, .items = {{dir, hf_strdup(text), node}}};
    assign(&dir->names_now, text, node);
    if (dir2 == NULL)
        return;
    e->items[e->count++] = (struct assignment){dir2, hf_strdup(text2), node2};
    assign(&dir2->names_now, text2, node2);
}

static void settle_entry(struct fs_mem *m, size_t at, bool keeps)
{
    struct entry *e = &m->journal[at];

    for (size_t i = 0; keeps && i < e->count; i++)
        assign(&e->items[i].dir->names_disk, e->items[i].text, e->items[i].node);
    entry_done(e);
    m->journal_count--;
    (void)memmove(e, e + 1, (m->journal_count - at) * sizeof(*e));
}

static void sync_names(struct fs_mem *m, const struct node *dir)
{
    for (size_t i = 0; i < m->journal_count;) {
        const struct entry *e = &m->journal[i];

        if (e->items[0].dir == dir || (e->count == 2 && e->items[1].dir == dir))
            settle_entry(m, i, true);
        else
            i++;
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void resize(struct hf_buf *b, uint64_t size_bytes)
{
    if (size_bytes > b->len) {
        const size_t more = (size_t)size_bytes - b->len;

        (void)memset(hf_buf_extend(b, more), 0, more);
    }
    b->len = (size_t)size_bytes;
}

static void apply(struct hf_buf *to, const struct change *c, size_t len)
{
    if (c->truncates) {
        resize(to, c->offset);
        return;
    }
    if (to->len < c->offset + len)
        resize(to, c->offset + len);
    if (len > 0)
        (void)memcpy(to->ptr + c->offset, c->data.ptr, len);
}

static void change_bytes(struct fs_mem *m, struct node *n, bool truncates, uint64_t offset,
                         struct hf_slice data)
{
    n->changes = hf_realloc(n->changes, n->changes_count + 1, sizeof(*n->changes));
    struct change *c = &n->changes[n->changes_count++];

    *c = (struct change){.truncates = truncates, .offset = offset};
    if (data.len > 0)
        hf_buf_append(&c->data, data.ptr, data.len);
    apply(&n->now, c, data.len);
    n->mtime_us = n->ctime_us = m->clock->now_us(m->clock);
}

/* How much of `len` bytes at `offset` a write brings about that is cut short: whole sectors. */
static size_t cut_short(uint64_t offset, size_t len, struct hf_rand *rand)
{
    const uint64_t end = (offset + hf_rand_below(rand, len + 1)) / SECTOR_BYTES * SECTOR_BYTES;

    return end > offset ? (size_t)(end - offset) : 0;
}

static void sync_bytes(struct node *n)
{
    set_bytes(&n->disk, &n->now);
    drop_changes(n);
}

/* A write reaches the disk in part; the file's new size may have been noted before its bytes, which
 * are zeros then. */
static void tear(struct node *n, const struct change *c, struct hf_rand *rand)
{
    apply(&n->disk, c, cut_short(c->offset, c->data.len, rand));
    if (hf_rand_below(rand, 2) == 0 && n->disk.len < c->offset + c->data.len)
        resize(&n->disk, c->offset + c->data.len);
}

/* Of what was not synced this much reaches the disk, and the rest never will. */
static void lose_bytes(struct node *n, struct hf_rand *rand)
{
    const bool all = hf_rand_below(rand, 4) == 0;
    const bool none = hf_rand_below(rand, 4) == 0;

    for (size_t i = 0; !none && i < n->changes_count; i++) {
        const struct change *c = &n->changes[i];

        if (!all && hf_rand_below(rand, 2) == 0)
            continue;
        if (c->data.len > 0 && !all && hf_rand_below(rand, TORN_ODDS) == 0)
            tear(n, c, rand);
        else
            apply(&n->disk, c, c->data.len);
    }
    drop_changes(n);
}

/* ---- what happens to a disk ----------------------------------------------------------------- */

void fs_mem_cut(struct fs_mem *m, struct hf_rand *rand)
{
    /* In order up to somewhere, as a journal does; or any of them. */
    const bool in_order = hf_rand_below(rand, 2) == 0;
    size_t until = in_order ? (size_t)hf_rand_below(rand, m->journal_count + 1) : 0;

    hf_assert(m->files_open == 0);
    for (; m->journal_count > 0; until -= until > 0)
        settle_entry(m, 0, in_order ? until > 0 : hf_rand_below(rand, 2) == 0);
    for (struct node *n = m->all; n != NULL; n = n->next) {
        if (n->is_dir) {
            names_copy(&n->names_disk, &n->names_now);
            continue;
        }
        lose_bytes(n, rand);
        set_bytes(&n->now, &n->disk);
    }
}

/* All changes of names so far are on disk, and so is this one. */
static void assign_durably(struct fs_mem *m, struct node *dir, const char *text, struct node *node)
{
    sync_names(m, dir);
    assign(&dir->names_now, text, node);
    assign(&dir->names_disk, text, node);
}

void fs_mem_remove(struct fs_mem *m, const char *path)
{
    struct node *dir = lookup_dir(m, path);

    if (dir != NULL)
        assign_durably(m, dir, hf_path_base(path), NULL);
}

static struct node *copy(struct fs_mem *m, const struct node *from)
{
    struct node *to = new_node(m, from->is_dir, from->mode);

    set_bytes(&to->now, &from->now);
    set_bytes(&to->disk, &from->now);
    for (size_t i = 0; i < from->names_now.count; i++) {
        const struct name *name = &from->names_now.items[i];
        struct node *below = copy(m, name->node);

        assign(&to->names_now, name->text, below);
        assign(&to->names_disk, name->text, below);
    }
    return to;
}

bool fs_mem_keep(struct fs_mem *m, const char *path)
{
    const struct node *n = lookup(m, path);

    if (n != NULL)
        m->kept = copy(m, n);
    return n != NULL;
}

bool fs_mem_rewind(struct fs_mem *m, const char *path)
{
    struct node *dir = lookup_dir(m, path);

    if (m->kept == NULL || dir == NULL)
        return false;
    assign_durably(m, dir, hf_path_base(path), copy(m, m->kept));
    return true;
}

/* ---- files ---------------------------------------------------------------------------------- */

static enum fs_mem_fate judge(const struct fs_mem_view *v, int kind, const char *path,
                              struct hf_err *err)
{
    return v->judge != NULL ? v->judge(v->judge_ctx, kind, path, err) : FS_MEM_WORKS;
}

/* The end of a call that was carried out. */
static enum hf_code told(enum fs_mem_fate fate, const struct hf_err *err)
{
    return fate == FS_MEM_WORKS ? HF_OK : err->code;
}

static struct mem_file *mem_file(struct hf_file *f)
{
    return (struct mem_file *)f;
}

static enum hf_code file_read(struct hf_file *f, uint64_t offset, void *dst, size_t len,
                              size_t *ret_len, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const struct hf_buf *now = &mf->node->now;

    if (judge(mf->view, FS_READ_INDEX, mf->path, err) != FS_MEM_WORKS)
        return err->code;
    const uint64_t left = offset < now->len ? now->len - offset : 0;

    *ret_len = left < len ? (size_t)left : len;
    if (*ret_len > 0)
        (void)memcpy(dst, now->ptr + offset, *ret_len);
    return HF_OK;
}

/* The file may become so long. */
static bool has_room(const struct mem_file *mf, uint64_t size_bytes)
{
    const uint64_t now_bytes = mf->node->now.len;

    return mf->view->has_room || size_bytes <= now_bytes ||
           size_bytes - now_bytes <= room_left(mf->view->disk);
}

static enum hf_code write_what_fits(const struct mem_file *mf, uint64_t offset,
                                    struct hf_slice data, struct hf_err *err)
{
    const uint64_t end = mf->node->now.len + room_left(mf->view->disk);

    data.len = end > offset ? (size_t)(end - offset) : 0;
    if (data.len > 0)
        change_bytes(mf->view->disk, mf->node, false, offset, data);
    mf->view->full_count++;
    return hf_err_set(err, HF_FULL, "write %s: no space left on the disk", mf->path);
}

static enum hf_code file_write(struct hf_file *f, uint64_t offset, struct hf_slice data,
                               struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const enum fs_mem_fate fate = judge(mf->view, FS_WRITE_INDEX, mf->path, err);

    if (fate == FS_MEM_WORKS && !has_room(mf, offset + data.len))
        return write_what_fits(mf, offset, data, err);
    if (fate == FS_MEM_FAILS && mf->view->rand != NULL)
        data.len = cut_short(offset, data.len, mf->view->rand);
    else if (fate == FS_MEM_FAILS)
        data.len = 0;
    if (data.len > 0)
        change_bytes(mf->view->disk, mf->node, false, offset, data);
    return told(fate, err);
}

static enum hf_code file_sync(struct hf_file *f, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const enum fs_mem_fate fate = judge(mf->view, FS_SYNC_INDEX, mf->path, err);

    if (fate != FS_MEM_FAILS)
        sync_bytes(mf->node);
    else if (mf->view->rand != NULL)
        lose_bytes(mf->node, mf->view->rand);
    return told(fate, err);
}

static enum hf_code file_truncate(struct hf_file *f, uint64_t size_bytes, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const enum fs_mem_fate fate = judge(mf->view, FS_TRUNCATE_INDEX, mf->path, err);

    if (fate != FS_MEM_FAILS)
        change_bytes(mf->view->disk, mf->node, true, size_bytes, hf_slice(NULL, 0));
    return told(fate, err);
}

static enum hf_code file_set_mtime(struct hf_file *f, int64_t mtime_us, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const enum fs_mem_fate fate = judge(mf->view, FS_SET_MTIME_INDEX, mf->path, err);

    if (fate != FS_MEM_FAILS)
        mf->node->mtime_us = mtime_us;
    return told(fate, err);
}

static enum hf_code file_set_access(struct hf_file *f, const struct hf_stat *like,
                                    struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);
    const enum fs_mem_fate fate = judge(mf->view, FS_SET_ACCESS_INDEX, mf->path, err);

    if (fate != FS_MEM_FAILS)
        mf->node->mode = like->mode;
    return told(fate, err);
}

static void fill_stat(const struct node *n, struct hf_stat *ret)
{
    *ret = (struct hf_stat){
        .size_bytes = n->now.len,
        .mtime_us = n->mtime_us,
        .ctime_us = n->ctime_us,
        .inode = n->inode,
        .device = 1,
        .mode = n->mode,
        .is_dir = n->is_dir,
    };
}

static enum hf_code file_stat(struct hf_file *f, struct hf_stat *ret, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);

    if (judge(mf->view, FS_FSTAT_INDEX, mf->path, err) != FS_MEM_WORKS)
        return err->code;
    fill_stat(mf->node, ret);
    return HF_OK;
}

static enum hf_code file_lock(struct hf_file *f, bool wait, struct hf_err *err)
{
    const struct mem_file *mf = mem_file(f);

    if (judge(mf->view, FS_LOCK_INDEX, mf->path, err) != FS_MEM_WORKS)
        return err->code;
    hf_assert(!wait); /* nobody else would run */
    if (mf->node->lock != NULL && mf->node->lock != f)
        return hf_err_set(err, HF_BUSY, "%s is locked by another process", mf->path);
    mf->node->lock = f;
    return HF_OK;
}

static void file_close(struct hf_file *f)
{
    struct mem_file *mf = mem_file(f);

    if (mf->node->lock == f)
        mf->node->lock = NULL;
    mf->view->files_open--;
    mf->view->disk->files_open--;
    hf_free(mf->path);
    hf_free(mf);
}

static const struct hf_file_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .truncate = file_truncate,
    .set_mtime = file_set_mtime,
    .set_access = file_set_access,
    .stat = file_stat,
    .lock = file_lock,
    .close = file_close,
};

/* ---- names ---------------------------------------------------------------------------------- */

static struct fs_mem_view *view(struct hf_fs *fs)
{
    return (struct fs_mem_view *)fs;
}

static enum hf_code need_node(struct fs_mem *m, const char *path, enum hf_open how, mode_t mode,
                              struct node **ret, struct hf_err *err)
{
    struct node *dir = lookup_dir(m, path);
    struct node *n = dir != NULL ? lookup(m, path) : NULL;
    const bool makes = how == HF_OPEN_CREATE || how == HF_OPEN_NEW;

    if (n != NULL && how == HF_OPEN_NEW)
        return hf_err_set(err, HF_CONFLICT, "create %s: it exists", path);
    if (n != NULL && n->is_dir)
        return hf_err_set(err, HF_IO, "open %s: it is a folder", path);
    if (n == NULL && (dir == NULL || !makes))
        return hf_err_set(err, HF_NOT_FOUND, "open %s: no such file", path);
    if (n == NULL) {
        n = new_node(m, false, mode);
        change_names(m, dir, hf_path_base(path), n, NULL, NULL, NULL);
    }
    *ret = n;
    return HF_OK;
}

static enum hf_code mem_open(struct hf_fs *fs, const char *path, enum hf_open how, mode_t mode,
                             struct hf_file **ret_file, struct hf_err *err)
{
    struct node *n = NULL;
    const enum fs_mem_fate fate = judge(view(fs), FS_OPEN_INDEX, path, err);

    if (fate == FS_MEM_FAILS)
        return err->code;
    struct hf_err own;
    const enum hf_code rc = need_node(view(fs)->disk, path, how, mode, &n, &own);

    if (rc != HF_OK && fate == FS_MEM_WORKS)
        *err = own;
    if (rc != HF_OK || fate != FS_MEM_WORKS)
        return err->code;
    struct mem_file *f = hf_calloc(1, sizeof(*f));

    f->base.ops = &file_ops;
    f->view = view(fs);
    f->node = n;
    f->path = hf_strdup(path);
    view(fs)->files_open++;
    view(fs)->disk->files_open++;
    *ret_file = &f->base;
    return HF_OK;
}

/* A call by which the file at `from` gets the name `to`. */
struct naming {
    struct fs_mem *disk;
    enum fs_mem_fate fate;
    struct node *node;
    struct node *from_dir;
    struct node *to_dir;
};

/* HF_IO: the file, or one of the folders, is not there. */
static enum hf_code begin_naming(struct hf_fs *fs, int kind, const char *from, const char *to,
                                 struct naming *ret, struct hf_err *err)
{
    struct fs_mem *m = view(fs)->disk;

    *ret = (struct naming){
        .disk = m,
        .fate = judge(view(fs), kind, to, err),
        .node = lookup(m, from),
        .from_dir = lookup_dir(m, from),
        .to_dir = lookup_dir(m, to),
    };
    if (ret->fate == FS_MEM_FAILS)
        return err->code;
    if (ret->node == NULL || ret->from_dir == NULL || ret->to_dir == NULL)
        return hf_err_set(err, HF_IO, "%s to %s: no such file or folder", from, to);
    return HF_OK;
}

static enum hf_code mem_rename(struct hf_fs *fs, const char *from, const char *to,
                               struct hf_err *err)
{
    struct naming n;
    const enum hf_code rc = begin_naming(fs, FS_RENAME_INDEX, from, to, &n, err);

    if (rc != HF_OK)
        return rc;
    if (n.node != lookup(n.disk, to)) /* two names of one file: nothing happens. POSIX: rename() */
        change_names(n.disk, n.to_dir, hf_path_base(to), n.node, n.from_dir, hf_path_base(from),
                     NULL);
    return told(n.fate, err);
}

static enum hf_code mem_link(struct hf_fs *fs, const char *from, const char *to, struct hf_err *err)
{
    struct naming n;
    const enum hf_code rc = begin_naming(fs, FS_LINK_INDEX, from, to, &n, err);

    if (rc != HF_OK)
        return rc;
    if (lookup(n.disk, to) != NULL)
        return hf_err_set(err, HF_CONFLICT, "link %s: it exists", to);
    change_names(n.disk, n.to_dir, hf_path_base(to), n.node, NULL, NULL, NULL);
    return told(n.fate, err);
}

static enum hf_code mem_unlink(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    struct fs_mem *m = view(fs)->disk;
    const enum fs_mem_fate fate = judge(view(fs), FS_UNLINK_INDEX, path, err);
    const struct node *n = lookup(m, path);

    if (fate == FS_MEM_FAILS)
        return err->code;
    if (n != NULL && n->is_dir)
        return hf_err_set(err, HF_IO, "unlink %s: it is a folder", path);
    if (n != NULL)
        change_names(m, lookup_dir(m, path), hf_path_base(path), NULL, NULL, NULL, NULL);
    return told(fate, err);
}

static enum hf_code mem_mkdir(struct hf_fs *fs, const char *path, mode_t mode, struct hf_err *err)
{
    struct fs_mem *m = view(fs)->disk;
    const enum fs_mem_fate fate = judge(view(fs), FS_MKDIR_INDEX, path, err);
    struct node *dir = lookup_dir(m, path);

    if (fate == FS_MEM_FAILS)
        return err->code;
    if (lookup(m, path) != NULL)
        return hf_err_set(err, HF_CONFLICT, "mkdir %s: it exists", path);
    if (dir == NULL)
        return hf_err_set(err, HF_NOT_FOUND, "mkdir %s: no such directory above it", path);
    change_names(m, dir, hf_path_base(path), new_node(m, true, mode), NULL, NULL, NULL);
    return told(fate, err);
}

static enum hf_code mem_sync_dir(struct hf_fs *fs, const char *path, struct hf_err *err)
{
    struct fs_mem *m = view(fs)->disk;
    const enum fs_mem_fate fate = judge(view(fs), FS_SYNC_DIR_INDEX, path, err);
    const struct node *n = lookup(m, path);

    if (fate == FS_MEM_FAILS)
        return err->code;
    if (n == NULL || !n->is_dir)
        return hf_err_set(err, HF_IO, "open directory %s: no such directory", path);
    sync_names(m, n);
    return told(fate, err);
}

/* What a folder held when its listing began: the caller's function may change it. */
static enum hf_code mem_list(struct hf_fs *fs, const char *path, hf_fs_list_fn *fn, void *ctx,
                             struct hf_err *err)
{
    HF_CLEANUP(names_done) struct names names = {0};
    enum hf_code rc = HF_OK;

    if (judge(view(fs), FS_LIST_INDEX, path, err) != FS_MEM_WORKS)
        return err->code;
    const struct node *n = lookup(view(fs)->disk, path);

    if (n == NULL || !n->is_dir)
        return hf_err_set(err, HF_NOT_FOUND, "list %s: no such directory", path);
    names_copy(&n->names_now, &names);
    for (size_t i = 0; rc == HF_OK && i < names.count; i++)
        rc = fn(ctx, names.items[i].text, err);
    return rc;
}

static enum hf_code mem_stat(struct hf_fs *fs, const char *path, struct hf_stat *ret,
                             struct hf_err *err)
{
    if (judge(view(fs), FS_STAT_INDEX, path, err) != FS_MEM_WORKS)
        return err->code;
    const struct node *n = lookup(view(fs)->disk, path);

    if (n == NULL)
        return hf_err_set(err, HF_NOT_FOUND, "%s: no such file", path);
    fill_stat(n, ret);
    return HF_OK;
}

static enum hf_code mem_space(struct hf_fs *fs, const char *path, uint64_t *ret_free_bytes,
                              uint64_t *ret_total_bytes, struct hf_err *err)
{
    if (judge(view(fs), FS_SPACE_INDEX, path, err) != FS_MEM_WORKS)
        return err->code;
    *ret_total_bytes = view(fs)->disk->total_bytes;
    *ret_free_bytes = view(fs)->has_room ? *ret_total_bytes : room_left(view(fs)->disk);
    return HF_OK;
}

static const struct hf_fs_ops mem_ops = {
    .open = mem_open,
    .rename = mem_rename,
    .link = mem_link,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .stat = mem_stat,
    .space = mem_space,
};

void fs_mem_view_init(struct fs_mem_view *v, struct fs_mem *disk)
{
    *v = (struct fs_mem_view){.base = {.ops = &mem_ops}, .disk = disk};
}
