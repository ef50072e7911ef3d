/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.c - the list of a table's partitions, one object each, so that adding one is one put and
 * never a race with another.
 */
#include "archive/members.h"

#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/json.h"
#include "base/check.h"

#define MEMBERS "holdfast/members/"

/* The folder of a table's members; HF_USAGE if keys below it would be too long. */
static enum hf_code members_prefix(const char *table, char ret[HF_KEY_MAX + 1], struct hf_err *err)
{
    const size_t len = strlen(table);

    if (len + sizeof(MEMBERS) + HF_PARTITION_MAX > HF_KEY_MAX)
        return hf_err_set(err, HF_USAGE, "the table's prefix \"%.100s\" is longer than %zu bytes",
                          table, HF_KEY_MAX - HF_PARTITION_MAX - sizeof(MEMBERS));
    (void)snprintf(ret, HF_KEY_MAX + 1, "%s%s" MEMBERS, table, len > 0 ? "/" : "");
    return HF_OK;
}

static enum hf_code member_key(const char *table, const char *partition, char ret[HF_KEY_MAX + 1],
                               struct hf_err *err)
{
    HF_AUTO_BUF path = {0};
    enum hf_code rc;

    rc = hf_partition_unescape(partition, &path, err);
    if (rc != HF_OK)
        return rc;
    rc = members_prefix(table, ret, err);
    if (rc != HF_OK)
        return rc;
    const size_t len = strlen(ret);

    (void)snprintf(ret + len, HF_KEY_MAX + 1 - len, "%s", partition);
    return HF_OK;
}

enum hf_code hf_member_init(struct hf_member *m, const char *partition, const char *database_path,
                            const char *lineage, struct hf_err *err)
{
    HF_AUTO_BUF database = {0};
    HF_AUTO_BUF path = {0};
    enum hf_code rc;

    rc = hf_partition_unescape(partition, &path, err);
    if (rc != HF_OK)
        return rc;
    hf_percent_escape(database_path, &database);
    if (database.len == 0 || database.len >= HF_DATABASE_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the path of partition %s takes %zu bytes when escaped, not 1 to %d",
                          partition, database.len, HF_DATABASE_MAX - 1);
    hf_assert(strlen(lineage) == HF_LINEAGE_MAX - 1);
    (void)snprintf(m->partition, sizeof(m->partition), "%s", partition);
    (void)snprintf(m->database, sizeof(m->database), "%s", hf_buf_str(&database));
    (void)snprintf(m->lineage, sizeof(m->lineage), "%s", lineage);
    return HF_OK;
}

enum hf_code hf_member_put(struct hf_store *store, const char *table, const struct hf_member *m,
                           struct hf_err *err)
{
    const struct hf_put put = {.cond = HF_PUT_ALWAYS};
    HF_AUTO_JSON *json = hf_json_new();
    HF_AUTO_BUF body = {0};
    char key[HF_KEY_MAX + 1];
    enum hf_code rc;

    rc = member_key(table, m->partition, key, err);
    if (rc != HF_OK)
        return rc;
    hf_json_set_text(json, "partition", m->partition);
    hf_json_set_text(json, "database", m->database);
    hf_json_set_text(json, "lineage", m->lineage);
    hf_json_print(json, &body);
    return hf_store_put(store, key, hf_buf_slice(&body), &put, NULL, err);
}

static enum hf_code parse_fields(const json_t *json, const char *partition, struct hf_member *m,
                                 struct hf_err *err)
{
    enum hf_code rc;

    rc = hf_json_get_text(json, "partition", m->partition, sizeof(m->partition), err);
    if (rc != HF_OK)
        return rc;
    if (strcmp(m->partition, partition) != 0)
        return hf_err_set(err, HF_DAMAGE, "it speaks of partition %s", m->partition);
    rc = hf_json_get_text(json, "database", m->database, sizeof(m->database), err);
    if (rc != HF_OK)
        return rc;
    return hf_json_get_hex(json, "lineage", HF_LINEAGE_MAX - 1, m->lineage, err);
}

enum hf_code hf_member_get(struct hf_store *store, const char *table, const char *partition,
                           struct hf_member *ret, struct hf_err *err)
{
    HF_AUTO_JSON *json = NULL;
    HF_AUTO_BUF body = {0};
    struct hf_member m = {0};
    char key[HF_KEY_MAX + 1];
    enum hf_code rc;

    rc = member_key(table, partition, key, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_store_get(store, key, 0, HF_OBJECT_BYTES_MAX, &body, NULL, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_parse(hf_buf_slice(&body), key, &json, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_fields(json, partition, &m, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", key);
    *ret = m;
    return HF_OK;
}

enum hf_code hf_member_delete(struct hf_store *store, const char *table, const char *partition,
                              struct hf_err *err)
{
    char key[HF_KEY_MAX + 1];
    const enum hf_code rc = member_key(table, partition, key, err);

    if (rc != HF_OK)
        return rc;
    return hf_store_delete(store, key, err);
}

struct member_listing {
    hf_member_fn *fn;
    void *ctx;
    size_t skip;
};

static enum hf_code see_key(void *ctx, const char *key, const struct hf_object *object,
                            struct hf_err *err)
{
    struct member_listing *l = ctx;
    HF_AUTO_BUF path = {0};
    struct hf_err ignored;

    (void)object;
    if (hf_partition_unescape(key + l->skip, &path, &ignored) != HF_OK)
        return HF_OK;
    return l->fn(l->ctx, key + l->skip, err);
}

enum hf_code hf_members_list(struct hf_store *store, const char *table, hf_member_fn *fn, void *ctx,
                             struct hf_err *err)
{
    struct member_listing l = {.fn = fn, .ctx = ctx};
    char prefix[HF_KEY_MAX + 1];
    const enum hf_code rc = members_prefix(table, prefix, err);

    if (rc != HF_OK)
        return rc;
    l.skip = strlen(prefix);
    return hf_store_list(store, prefix, "", see_key, &l, err);
}
