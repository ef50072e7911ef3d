/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_file_list.c - the listing of a file:// store: keys in byte order, folder by folder.
 *
 * A folder is read whole and sorted before its first key is given out, so memory is that of the
 * largest folder on the way, and no directory is open while the caller's function runs. The '/' of
 * a folder's name takes part in the sorting: "a-b" comes before what is in "a", as on S3.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/store_file_priv.h"

struct listing {
    struct hf_store_file *store;
    const char *prefix;
    const char *start_after;
    hf_list_fn *fn;
    void *ctx;
};

/* A name in a folder. A folder's name ends in '/', so that sorting names sorts whole keys. */
struct entry {
    char *name;
    struct hf_stat stat;
};

struct entries {
    const struct listing *listing;
    const char *folder; /* key of the folder: "" or ending in '/' */
    struct entry *items;
    size_t count;
    size_t cap;
};

static void entries_done(struct entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        hf_free(e->items[i].name);
    hf_free(e->items);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_wanted_object(const struct listing *l, const char *key)
{
    return starts_with(key, l->prefix) && strcmp(key, l->start_after) > 0;
}

/* Whether a wanted key can begin with `folder`, which ends in '/'. */
static bool is_wanted_folder(const struct listing *l, const char *folder)
{
    return (starts_with(folder, l->prefix) || starts_with(l->prefix, folder)) &&
           (strcmp(folder, l->start_after) > 0 || starts_with(l->start_after, folder));
}

static void add_entry(struct entries *e, const char *name, const struct hf_stat *st)
{
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 64 : e->cap * 2;
        e->items = hf_realloc(e->items, e->cap, sizeof(*e->items));
    }
    e->items[e->count++] = (struct entry){
        .name = hf_strfmt("%s%s", name, st->is_dir ? "/" : ""),
        .stat = *st,
    };
}

/* Keep one name of a folder if it can lead to a wanted key. Only then is it looked at. */
static enum hf_code gather(void *ctx, const char *name, struct hf_err *err)
{
    struct entries *e = ctx;
    const struct listing *l = e->listing;
    HF_AUTO_FREE char *key = hf_strfmt("%s%s", e->folder, name);
    HF_AUTO_FREE char *below = hf_strfmt("%s/", key);
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", l->store->root, key);
    const bool as_object = is_wanted_object(l, key);
    const bool as_folder = is_wanted_folder(l, below);
    struct hf_stat st;
    struct hf_err ignored;

    if (!(as_object || as_folder) || hf_store_file_key_check(key, &ignored) != HF_OK ||
        hf_store_key_check(key, &ignored) != HF_OK)
        return HF_OK;
    const enum hf_code rc = hf_fs_stat(l->store->fs, path, &st, err);

    if (rc == HF_NOT_FOUND) /* deleted since; or a link to nowhere */
        return HF_OK;
    if (rc == HF_OK && (st.is_dir ? as_folder : as_object))
        add_entry(e, name, &st);
    return rc;
}

/* Visit what is wanted below `folder` (a key, "" or ending in '/'). */
static enum hf_code list_folder(const struct listing *l, const char *folder, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", l->store->root, folder);
    HF_CLEANUP(entries_done) struct entries e = {.listing = l, .folder = folder};
    enum hf_code rc = hf_fs_list(l->store->fs, path, gather, &e, err);

    if (rc == HF_NOT_FOUND)
        return HF_OK; /* vanished since it was listed */
    if (rc != HF_OK)
        return rc;
    if (e.count > 0)
        qsort(e.items, e.count, sizeof(*e.items), compare_entries);
    for (size_t i = 0; i < e.count && rc == HF_OK; i++) {
        HF_AUTO_FREE char *key = hf_strfmt("%s%s", folder, e.items[i].name);
        const struct hf_object object = hf_store_file_object(&e.items[i].stat);

        rc = e.items[i].stat.is_dir ? list_folder(l, key, err) : l->fn(l->ctx, key, &object, err);
    }
    return rc;
}

enum hf_code hf_store_file_list(struct hf_store *s, const char *prefix, const char *start_after,
                                hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    const struct listing l = {(struct hf_store_file *)s, prefix, start_after, fn, ctx};
    const char *slash = strrchr(prefix, '/');
    HF_AUTO_FREE char *folder =
        hf_strndup(prefix, slash == NULL ? 0 : (size_t)(slash + 1 - prefix));
    struct hf_stat st;
    enum hf_code rc = hf_fs_stat(l.store->fs, l.store->root, &st, err);

    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_NOT_FOUND,
                          "the folder %s does not exist; is its file system "
                          "mounted?",
                          l.store->root);
    if (rc == HF_OK)
        rc = hf_store_file_root_check((struct hf_store_file *)s, err);
    if (rc != HF_OK)
        return rc;
    if (prefix[0] == '.' || strstr(folder, "/.") != NULL)
        return HF_OK; /* what begins with '.' is no object */
    return list_folder(&l, folder, err);
}
