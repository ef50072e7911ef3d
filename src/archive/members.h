/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.h - <table>/holdfast/members/<partition>: which partitions a table has or had
 * (FORMAT section 4.3), so that a table can be restored without the machine that archived it.
 */
#ifndef HF_ARCHIVE_MEMBERS_H
#define HF_ARCHIVE_MEMBERS_H

#include "archive/format.h"
#include "archive/partition.h"
#include "store/store.h"

#define HF_DATABASE_MAX 4096 /* bytes with NUL, of a database's path, percent-escaped */

struct hf_member {
    char partition[HF_PARTITION_MAX + 1]; /* its name, as in keys */
    char database[HF_DATABASE_MAX];       /* percent-escaped path where it was archived from */
    char lineage[HF_LINEAGE_MAX];         /* of its archive */
};

/* HF_USAGE  the path is longer than HF_DATABASE_MAX when escaped, or the name is no partition's. */
enum hf_code hf_member_init(struct hf_member *m, const char *partition, const char *database_path,
                            const char *lineage, struct hf_err *err) HF_MUST_CHECK;

/* The table's list has the member, in place of an older entry. Codes as for hf_store_put(). */
enum hf_code hf_member_put(struct hf_store *store, const char *table, const struct hf_member *m,
                           struct hf_err *err) HF_MUST_CHECK;

/*
 * HF_NOT_FOUND  the table has no such partition.
 * HF_DAMAGE     the entry is not readable, or speaks of another partition.
 */
enum hf_code hf_member_get(struct hf_store *store, const char *table, const char *partition,
                           struct hf_member *ret, struct hf_err *err) HF_MUST_CHECK;

/* The partition is no longer listed; its archive is left alone. */
enum hf_code hf_member_delete(struct hf_store *store, const char *table, const char *partition,
                              struct hf_err *err) HF_MUST_CHECK;

/* Called once per partition; HF_CANCELED ends the listing, which is then HF_OK. */
typedef enum hf_code hf_member_fn(void *ctx, const char *partition, struct hf_err *err);

/*
 * Visit the names of the table's partitions in byte order. Keys that are no partition's name are
 * skipped. None: HF_OK. One request per 1000.
 */
enum hf_code hf_members_list(struct hf_store *store, const char *table, hf_member_fn *fn, void *ctx,
                             struct hf_err *err) HF_MUST_CHECK;

#endif
