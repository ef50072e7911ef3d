/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - from the path of a database to the name of its partition, and back (FORMAT 1.3).
 *
 * A name is a path below the fixed part of the table's glob, percent-escaped, so that it is a part
 * of a key as it stands. Each path has one name and each name one path. Pure; any thread.
 */
#ifndef HF_ARCHIVE_PARTITION_H
#define HF_ARCHIVE_PARTITION_H

#include "base/buf.h"
#include "base/err.h"

#define HF_PARTITION_MAX 512 /* bytes without NUL, of an escaped name */

/*
 * `ret` is the name of the database `path` in a table whose partitions are `glob`: what follows the
 * last '/' before the glob's first wildcard. A glob without wildcard names one file by its last
 * part.
 * HF_USAGE  the path is not below the fixed part, has an empty, "." or ".." part, or its name would
 *           be longer than HF_PARTITION_MAX.
 */
enum hf_code hf_partition_name(const char *glob, const char *path, char ret[HF_PARTITION_MAX + 1],
                               struct hf_err *err) HF_MUST_CHECK;

/* As above, for a path that is relative to the fixed part already. */
enum hf_code hf_partition_escape(const char *relative, char ret[HF_PARTITION_MAX + 1],
                                 struct hf_err *err) HF_MUST_CHECK;

/*
 * The relative path is appended to `ret`.
 * HF_USAGE  no name that hf_partition_escape() would write.
 */
enum hf_code hf_partition_unescape(const char *name, struct hf_buf *ret,
                                   struct hf_err *err) HF_MUST_CHECK;

/* Append `text` with every byte but RFC 3986's unreserved ones and '/' as %XX. */
void hf_percent_escape(const char *text, struct hf_buf *ret);
/* The opposite, appended. False, and a part of it appended: a '%' without two upper-case digits, or
 * a NUL. */
bool hf_percent_unescape(const char *text, struct hf_buf *ret);

#endif
