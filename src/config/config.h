/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - holdfast.yaml as one struct.
 *
 * What is in the struct is complete and checked: every default is filled in, every number lies in
 * its range. What a file asks for and this version cannot do is refused, never left out in silence.
 * Messages begin FILE:LINE. Nothing changes after loading, so a struct hf_config may be read from
 * any thread.
 */
#ifndef HF_CONFIG_CONFIG_H
#define HF_CONFIG_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#define HF_CONFIG_BYTES_MAX  (1 << 20)
#define HF_CONFIG_TABLES_MAX 1000
#define HF_TABLE_NAME_MAX    64 /* bytes without NUL */

/* The limits of the numbers in it, both ends allowed. */
#define HF_CAPTURE_MS_MIN        50
#define HF_CAPTURE_MS_MAX        (3600 * 1000)
#define HF_RETENTION_MS_MIN      1000
#define HF_SCRUB_EVERY_MS_MIN    1000
#define HF_SCRUB_BYTES_PER_S_MIN (64 * 1024)

/* May the write lock be taken to keep the WAL from growing without end? */
enum hf_seal {
    HF_SEAL_AUTO,    /* past the WAL limit, for milliseconds */
    HF_SEAL_NO_LOCK, /* never */
};

/* One table: databases that are archived, scrubbed and restored together. */
struct hf_table {
    char *name;                         /* letters, digits, - and _ */
    char *partitions;                   /* pattern of the databases' paths; see glob.h */
    enum hf_seal seal;                  /* default auto */
    int64_t capture_ms;                 /* at most one capture in this time; default 1 s */
    int64_t retention_every_capture_ms; /* each capture can be restored; default 7 days */
    int64_t retention_history_ms;       /* each half minute can be; default 35 days, never less than
                                           the one above */
    int64_t scrub_every_ms;             /* from one scrub's start to the next; default 24 h */
    uint64_t scrub_bytes_per_s;         /* of the live database; default 50 MiB/s */
};

struct hf_config {
    char *store_url;         /* not empty; hf_store_open() judges it */
    struct hf_table *tables; /* in the file's order; names differ, patterns do not overlap */
    size_t tables_count;     /* at least 1 */
};

/*
 * `*ret` is what the text says; the caller frees it. `file` is used in messages only.
 * HF_USAGE  the text is not a configuration this version can carry out.
 */
enum hf_code hf_config_parse(struct hf_slice text, const char *file, struct hf_config **ret,
                             struct hf_err *err) HF_MUST_CHECK;

/*
 * The same for a file.
 * HF_NOT_FOUND, HF_DENIED, HF_IO  the file could not be read.
 * HF_USAGE                        as above, or the file has over HF_CONFIG_BYTES_MAX bytes.
 */
enum hf_code hf_config_load(struct hf_fs *fs, const char *path, struct hf_config **ret,
                            struct hf_err *err) HF_MUST_CHECK;

/* The table of that name; it lives as the configuration does. NULL if there is none. */
const struct hf_table *hf_config_find_table(const struct hf_config *config, const char *name);

void hf_config_free(struct hf_config *config); /* NULL is allowed */
void hf_config_free_ptr(struct hf_config **config);

#endif
