/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.h - for this folder only: holdfast.yaml as libcyaml reads it, every value still a text.
 *
 * The schema in raw.c is the one list of keys: what is known, what is required, what may be said
 * in "did you mean".
 */
#ifndef HF_CONFIG_RAW_H
#define HF_CONFIG_RAW_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/yamldoc.h"

struct hf_raw_retention {
    char *every_capture; /* here and below: NULL where the file does not say */
    char *history;
};

struct hf_raw_scrub {
    char *every;
    char *rate;
};

struct hf_raw_table {
    char *name;       /* required, not empty */
    char *partitions; /* required, not empty */
    char *capture;
    char *seal;
    struct hf_raw_retention *retention;
    struct hf_raw_scrub *scrub;
    char **replicas;
    unsigned replicas_count;
    char **copies;
    unsigned copies_count;
    char *encryption;
};

struct hf_raw {
    char *store; /* required, not empty */
    struct hf_raw_table *tables;
    unsigned tables_count; /* at least 1, at most HF_CONFIG_TABLES_MAX */
};

/*
 * `*ret_doc` tells of lines and `*ret` of values; the caller frees both.
 * HF_USAGE  not YAML, or keys and kinds of values are not those of the schema: FILE:LINE, what was
 *           met, what is expected.
 */
enum hf_code hf_raw_parse(struct hf_slice text, const char *file, struct hf_yamldoc **ret_doc,
                          struct hf_raw **ret, struct hf_err *err) HF_MUST_CHECK;

void hf_raw_free(struct hf_raw *raw); /* NULL is allowed */
void hf_raw_free_ptr(struct hf_raw **raw);

#endif
