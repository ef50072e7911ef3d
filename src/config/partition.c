/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.c - expands a pattern part by part.
 *
 * Not by glob(3): that passes over folders it cannot read, and a database that is silently not
 * archived is the worst that can happen here.
 */
#include "config/partition.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/glob.h"

struct expansion {
    struct hf_fs *fs;
    char **parts; /* of the pattern, between the slashes */
    size_t parts_count;
    size_t fixed_count; /* leading parts without wildcard; the last part never counts */
    struct hf_partitions found;
};

/* A folder whose names are to be compared with a part. */
struct folder {
    struct expansion *x;
    const char *path;
    size_t depth; /* index of the part */
};

static void expansion_done(struct expansion *x)
{
    for (size_t i = 0; i < x->parts_count; i++)
        hf_free(x->parts[i]);
    hf_free(x->parts);
    hf_partitions_done(&x->found);
}

static bool ends_in(const char *s, const char *end)
{
    const size_t s_len = strlen(s);
    const size_t end_len = strlen(end);

    return s_len >= end_len && strcmp(s + s_len - end_len, end) == 0;
}

static bool is_companion(const char *name)
{
    return ends_in(name, "-wal") || ends_in(name, "-shm") || ends_in(name, "-journal");
}

static bool is_state_folder(const char *name)
{
    return name[0] == '.' && ends_in(name, "-holdfast");
}

static void split(struct expansion *x, const char *glob)
{
    x->parts = hf_calloc(strlen(glob), sizeof(*x->parts));
    while (*glob == '/') {
        const size_t len = strcspn(glob + 1, "/");

        x->parts[x->parts_count++] = hf_strndup(glob + 1, len);
        glob += 1 + len;
    }
    hf_assert(x->parts_count > 0); /* hf_glob_check() took it */
    while (x->fixed_count + 1 < x->parts_count && !hf_glob_is_wild(x->parts[x->fixed_count]))
        x->fixed_count++;
}

/* `path` is one of the table's databases; the name begins behind fixed_count parts. */
static enum hf_code add(struct expansion *x, const char *path, struct hf_err *err)
{
    struct hf_partitions *list = &x->found;

    if (list->count == HF_PARTITIONS_MAX)
        return hf_err_set(err, HF_USAGE, "more than %d databases match; split the table",
                          HF_PARTITIONS_MAX);
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 16;
        list->items = hf_realloc(list->items, list->cap, sizeof(*list->items));
    }

    struct hf_partition *p = &list->items[list->count++];

    p->path = hf_strdup(path);
    p->name = p->path + 1;
    for (size_t i = 0; i < x->fixed_count; i++)
        p->name = strchr(p->name, '/') + 1;
    if (strncmp(p->name, "holdfast", 8) == 0 && (p->name[8] == '/' || p->name[8] == '\0'))
        return hf_err_set(err, HF_USAGE,
                          "%s: the archive keeps the name \"holdfast\" for itself; "
                          "rename the database or its folder",
                          path);
    return HF_OK;
}

static enum hf_code expand(struct expansion *x, const char *path, size_t depth, struct hf_err *err);

/* `name` in `path` stands for part `depth`: take it, if it is what is wanted there. */
static enum hf_code descend(struct expansion *x, const char *path, const char *name, size_t depth,
                            struct hf_err *err)
{
    HF_AUTO_FREE char *below = hf_strfmt("%s/%s", path, name);
    const bool last = depth + 1 == x->parts_count;
    struct hf_stat st;
    enum hf_code rc;

    if (last && is_companion(name))
        return HF_OK;
    if (!last && is_state_folder(name))
        return HF_OK;
    rc = hf_fs_stat(x->fs, below, &st, err);
    if (rc == HF_NOT_FOUND && depth >= x->fixed_count)
        return HF_OK; /* gone since, or a link to nowhere, or simply not there yet */
    if (rc != HF_OK)
        return rc;
    if (last)
        return st.is_dir ? HF_OK : add(x, below, err);
    if (st.is_dir)
        return expand(x, below, depth + 1, err);
    if (depth < x->fixed_count)
        return hf_err_set(err, HF_NOT_FOUND, "%s is not a folder", below);
    return HF_OK;
}

static enum hf_code on_name(void *ctx, const char *name, struct hf_err *err)
{
    const struct folder *f = ctx;

    if (!hf_glob_match(f->x->parts[f->depth], name))
        return HF_OK;
    return descend(f->x, f->path, name, f->depth, err);
}

/* Find what parts depth.. of the pattern stand for in the folder `path`. */
static enum hf_code expand(struct expansion *x, const char *path, size_t depth, struct hf_err *err)
{
    const char *part = x->parts[depth];
    struct folder folder = {.x = x, .path = path, .depth = depth};
    enum hf_code rc;

    if (!hf_glob_is_wild(part)) {
        HF_AUTO_FREE char *name = hf_glob_unescape(part);

        return descend(x, path, name, depth, err);
    }
    rc = hf_fs_list(x->fs, path[0] != '\0' ? path : "/", on_name, &folder, err);
    if (rc == HF_NOT_FOUND && depth > x->fixed_count)
        return HF_OK; /* removed while we looked */
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct hf_partition *)a)->path, ((const struct hf_partition *)b)->path);
}

enum hf_code hf_partition_list(struct hf_fs *fs, const struct hf_table *table,
                               struct hf_partitions *ret, struct hf_err *err)
{
    HF_CLEANUP(expansion_done) struct expansion x = {.fs = fs};
    enum hf_code rc;

    hf_assert(ret->count == 0);
    split(&x, table->partitions);
    rc = expand(&x, "", 0, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "partitions");
    if (x.found.count > 0)
        qsort(x.found.items, x.found.count, sizeof(*x.found.items), compare);
    *ret = x.found;
    x.found = (struct hf_partitions){0};
    return HF_OK;
}

void hf_partitions_done(struct hf_partitions *list)
{
    for (size_t i = 0; i < list->count; i++)
        hf_free(list->items[i].path);
    hf_free(list->items);
    *list = (struct hf_partitions){0};
}
