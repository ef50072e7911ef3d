/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.c - who is meant.
 *
 * Live places come from the patterns, archived ones from the table's members in the store, which
 * outlive the databases. A store that another tool filled has no members: then the pattern tells.
 */
#include "cli/places.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "archive/members.h"
#include "archive/partition.h"
#include "base/alloc.h"
#include "base/check.h"
#include "config/nearest.h"
#include "config/partition.h"
#include "store/open.h"

static struct hf_place *add_place(struct hf_places *p)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->items = hf_realloc(p->items, p->cap, sizeof(*p->items));
    }
    p->items[p->count] = (struct hf_place){0};
    return &p->items[p->count++];
}

/* One partition of a table; `db_path` may be NULL. */
static enum hf_code add_partition(struct hf_places *p, const struct hf_table *table,
                                  const char *relative, const char *db_path, struct hf_err *err)
{
    char escaped[HF_PARTITION_MAX + 1];
    const enum hf_code rc = hf_partition_escape(relative, escaped, err);
    struct hf_place *place = NULL;

    if (rc != HF_OK)
        return rc;
    place = add_place(p);
    place->table = table;
    place->name = hf_strfmt("%s/%s", table->name, relative);
    place->relative = hf_strdup(relative);
    place->partition = hf_strdup(escaped);
    place->prefix = hf_strfmt("%s/%s", table->name, escaped);
    place->url = hf_strfmt("%s/%s", hf_store_url(p->store), place->prefix);
    place->db_path = db_path != NULL ? hf_strdup(db_path) : NULL;
    return HF_OK;
}

static enum hf_code open_store(const struct hf_session *s, const char *url, bool create,
                               struct hf_places *ret, struct hf_err *err)
{
    const struct hf_store_env env = {.fs = s->fs,
                                     .clock = s->clock,
                                     .rand = s->rand,
                                     .create = create,
                                     .stop = s->store_stop,
                                     .waits = s->waits};

    return hf_store_open(url, &env, &ret->store, err);
}

enum hf_code hf_place_check_database(const struct hf_session *s, const char *path,
                                     struct hf_err *err)
{
    struct hf_stat st;
    enum hf_code rc = hf_fs_stat(s->fs, path, &st, err);

    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_NOT_FOUND, "%s: there is no such database", path);
    if (rc != HF_OK)
        return rc;
    if (st.is_dir)
        return hf_err_set(err, HF_USAGE, "%s is a folder: expected a database file", path);
    if (!st.is_file)
        return hf_err_set(err, HF_USAGE, "%s is a pipe, socket or device: expected a database file",
                          path);
    return HF_OK;
}

/* The one path that is the same from wherever it is named, so that local state is found again. */
static char *real_path(const char *path)
{
    char real[PATH_MAX];

    return hf_strdup(realpath(path, real) != NULL ? real : path);
}

/* Without -c: the operands are [DB] URL. */
static enum hf_code find_plain(const struct hf_session *s, enum hf_places_kind kind, bool create,
                               struct hf_places *ret, struct hf_err *err)
{
    const char *db_path = kind == HF_PLACES_LIVE ? s->args->operands[0] : NULL;
    const char *url = s->args->operands[kind == HF_PLACES_LIVE ? 1 : 0];
    enum hf_code rc = HF_OK;

    if (strstr(url, "://") == NULL)
        return hf_err_set(err, HF_USAGE,
                          "'%s' is no URL: expected file:///folder or s3://bucket/prefix (or, with "
                          "-c holdfast.yaml, the name of a table)",
                          url);
    if (db_path != NULL)
        rc = hf_place_check_database(s, db_path, err);
    if (rc == HF_OK)
        rc = open_store(s, url, create, ret, err);
    if (rc != HF_OK)
        return rc;

    struct hf_place *place = add_place(ret);

    place->prefix = hf_strdup("");
    place->url = hf_strdup(hf_store_url(ret->store));
    place->name = hf_strdup(db_path != NULL ? db_path : place->url);
    place->db_path = db_path != NULL ? real_path(db_path) : NULL;
    return HF_OK;
}

/* What one operand means: a table, and a partition of it or NULL for all. */
struct wanted {
    const struct hf_table *table;
    const char *relative;
};

static enum hf_code refuse_table(const struct hf_config *config, const char *name,
                                 struct hf_err *err)
{
    HF_AUTO_FREE const char **names = hf_calloc(config->tables_count, sizeof(*names));

    for (size_t i = 0; i < config->tables_count; i++)
        names[i] = config->tables[i].name;

    const char *meant = hf_nearest(name, names, config->tables_count);

    if (meant != NULL)
        return hf_err_set(err, HF_USAGE, "the configuration has no table '%s': did you mean '%s'?",
                          name, meant);
    return hf_err_set(err, HF_USAGE, "the configuration has no table '%s'; its first is '%s'", name,
                      names[0]);
}

static enum hf_code parse_wanted(const struct hf_config *config, const char *operand,
                                 struct wanted *ret, struct hf_err *err)
{
    const size_t len = strcspn(operand, "/");
    HF_AUTO_FREE char *name = hf_strndup(operand, len);

    if (strstr(operand, "://") != NULL)
        return hf_err_set(err, HF_USAGE,
                          "'%s' is a URL, but with -c tables and partitions are named: give one or "
                          "the other",
                          operand);
    ret->table = hf_config_find_table(config, name);
    if (ret->table == NULL)
        return refuse_table(config, name, err);
    ret->relative = operand[len] == '/' && operand[len + 1] != '\0' ? operand + len + 1 : NULL;
    return HF_OK;
}

/* The table's databases that exist, or the one of them that is wanted. */
static enum hf_code find_live(const struct hf_session *s, const struct wanted *wanted,
                              struct hf_places *ret, struct hf_err *err)
{
    HF_CLEANUP(hf_partitions_done) struct hf_partitions found = {0};
    enum hf_code rc = hf_partition_list(s->fs, wanted->table, &found, err);

    for (size_t i = 0; rc == HF_OK && i < found.count; i++) {
        if (wanted->relative == NULL || strcmp(found.items[i].name, wanted->relative) == 0)
            rc = add_partition(ret, wanted->table, found.items[i].name, found.items[i].path, err);
    }
    return rc;
}

struct member_ctx {
    struct hf_places *places;
    const struct hf_table *table;
};

static enum hf_code add_member(void *ctx, const char *partition, struct hf_err *err)
{
    struct member_ctx *m = ctx;
    HF_AUTO_BUF relative = {0};
    const enum hf_code rc = hf_partition_unescape(partition, &relative, err);

    return rc == HF_OK ? add_partition(m->places, m->table, hf_buf_str(&relative), NULL, err) : rc;
}

/* The table's partitions in the store, or the one that is wanted, whether or not it is there. */
static enum hf_code find_archived(const struct hf_session *s, const struct wanted *wanted,
                                  struct hf_places *ret, struct hf_err *err)
{
    struct member_ctx ctx = {.places = ret, .table = wanted->table};
    const size_t before = ret->count;
    enum hf_code rc = HF_OK;

    if (wanted->relative != NULL)
        return add_partition(ret, wanted->table, wanted->relative, NULL, err);
    rc = hf_members_list(ret->store, wanted->table->name, add_member, &ctx, err);
    if (rc != HF_OK || ret->count > before)
        return rc;
    rc = find_live(s, wanted, ret, err);
    return rc == HF_NOT_FOUND ? HF_OK : rc; /* an empty table is told by the caller */
}

static enum hf_code find_wanted(const struct hf_session *s, enum hf_places_kind kind,
                                const struct wanted *wanted, struct hf_places *ret,
                                struct hf_err *err)
{
    const size_t before = ret->count;
    const enum hf_code rc = kind == HF_PLACES_LIVE ? find_live(s, wanted, ret, err)
                                                   : find_archived(s, wanted, ret, err);

    if (rc != HF_OK)
        return rc;
    if (ret->count > before)
        return HF_OK;
    if (wanted->relative != NULL)
        return hf_err_set(err, HF_NOT_FOUND,
                          "it has no database '%s': the name is the path below the fixed "
                          "part of %s",
                          wanted->relative, wanted->table->partitions);
    return hf_err_set(err, HF_NOT_FOUND, "it has no %s: nothing %s",
                      kind == HF_PLACES_LIVE ? "databases" : "partitions in the store",
                      kind == HF_PLACES_LIVE ? "matches its pattern" : "was archived to it");
}

/* With -c: the operand names a table or partition; without one, all tables are meant. */
static enum hf_code find_named(struct hf_session *s, enum hf_places_kind kind, bool create,
                               struct hf_places *ret, struct hf_err *err)
{
    struct wanted wanted = {0};
    enum hf_code rc = HF_OK;

    if (s->args->operands_count > 0)
        rc = parse_wanted(s->config, s->args->operands[0], &wanted, err);
    if (rc == HF_OK)
        rc = open_store(s, s->config->store_url, create, ret, err);
    if (rc != HF_OK)
        return rc;
    ret->whole = wanted.relative == NULL;
    if (wanted.table != NULL)
        rc = find_wanted(s, kind, &wanted, ret, err);
    if (wanted.table != NULL)
        return rc == HF_OK ? rc : hf_err_wrap(err, "table %s", wanted.table->name);
    for (size_t i = 0; i < s->config->tables_count; i++) {
        wanted.table = &s->config->tables[i];
        rc = find_wanted(s, kind, &wanted, ret, err);
        if (rc != HF_OK && (rc != HF_NOT_FOUND || s->config->tables_count == 1))
            return hf_err_wrap(err, "table %s", wanted.table->name);
        if (rc != HF_OK)
            hf_session_failed(s, hf_out_add(s->out->root, "tables"), wanted.table->name, err);
    }
    if (ret->count == 0)
        return hf_err_set(err, HF_NOT_FOUND, "none of the %zu tables has anything to work on",
                          s->config->tables_count);
    return HF_OK;
}

enum hf_code hf_places_find(struct hf_session *s, enum hf_places_kind kind, bool create,
                            struct hf_places *ret, struct hf_err *err)
{
    const enum hf_code rc = s->config != NULL ? find_named(s, kind, create, ret, err)
                                              : find_plain(s, kind, create, ret, err);

    hf_assert(rc != HF_OK || ret->count > 0);
    return rc;
}

void hf_places_done(struct hf_places *p)
{
    for (size_t i = 0; i < p->count; i++) {
        hf_free(p->items[i].name);
        hf_free(p->items[i].relative);
        hf_free(p->items[i].partition);
        hf_free(p->items[i].db_path);
        hf_free(p->items[i].prefix);
        hf_free(p->items[i].url);
    }
    hf_free(p->items);
    hf_store_free(p->store);
    *p = (struct hf_places){0};
}

json_t *hf_place_json(const struct hf_session *s, const struct hf_place *place)
{
    json_t *object = hf_out_add(s->out->root, "partitions");

    hf_out_set_text(object, "name", place->name);
    hf_out_set_text(object, "url", place->url);
    if (place->db_path != NULL)
        hf_out_set_text(object, "database", place->db_path);
    return object;
}

enum hf_code hf_places_each(struct hf_session *s, const struct hf_places *places, hf_place_fn *fn,
                            struct hf_err *err)
{
    for (size_t i = 0; i < places->count; i++) {
        json_t *object = hf_place_json(s, &places->items[i]);
        const enum hf_code rc = fn(s, places, &places->items[i], object, err);

        if (rc != HF_OK && places->count == 1) {
            hf_out_set_error(object, err);
            return rc;
        }
        if (rc != HF_OK)
            hf_session_failed(s, object, places->items[i].name, err);
        if (hf_session_stopped(s) && i + 1 < places->count)
            return hf_err_set(err, HF_CANCELED, "stopped after %zu of %zu partitions", i + 1,
                              places->count);
    }
    return HF_OK;
}
