/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - the databases that exist for a table's pattern, each with its name.
 *
 * A partition's name is its path behind the pattern's fixed part, which are the folders before the
 * first wildcard: /srv/app/eu-1/a.db is eu-1/a.db under the pattern /srv/app/eu-?/a.db. Without a
 * wildcard the name is the file's own.
 */
#ifndef HF_CONFIG_PARTITION_H
#define HF_CONFIG_PARTITION_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fs.h"
#include "config/config.h"

#define HF_PARTITIONS_MAX 100000 /* of one table */

struct hf_partition {
    char *path;
    const char *name; /* points into `path` */
};

/* Owns its partitions. All zero is an empty list. */
struct hf_partitions {
    struct hf_partition *items; /* sorted by path, bytewise */
    size_t count;
    size_t cap;
};

/*
 * Put the table's databases into `ret`, which was empty. Left out are folders, SQLite's -wal, -shm
 * and -journal files, and all that is in a folder .*-holdfast, where the archiver keeps its state.
 * No database at all is HF_OK. On failure `ret` is as before.
 * HF_NOT_FOUND        the folder before the first wildcard does not exist.
 * HF_DENIED, HF_IO    a folder could not be read, so databases may be missing.
 * HF_USAGE            more than HF_PARTITIONS_MAX, or a name that the archive keeps for itself.
 */
enum hf_code hf_partition_list(struct hf_fs *fs, const struct hf_table *table,
                               struct hf_partitions *ret, struct hf_err *err) HF_MUST_CHECK;

void hf_partitions_done(struct hf_partitions *list); /* for HF_CLEANUP */

#endif
