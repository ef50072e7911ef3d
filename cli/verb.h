/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb.h - the verbs of the holdfast command: each is one row of data and one function.
 */
#ifndef HF_CLI_VERB_H
#define HF_CLI_VERB_H

#include "base/err.h"
#include "cli/option.h"

#define HF_USAGE_LINES_MAX 4
#define HF_EXAMPLES_MAX    4

struct hf_session;

/*
 * Do it. HF_OK: the session's status is the verdict. Otherwise the caller prints the error and the
 * code gives the exit status.
 */
typedef enum hf_code hf_verb_fn(struct hf_session *s, struct hf_err *err);

/* How many operands may stand behind the verb. */
struct hf_operands {
    size_t min;
    size_t max;
};

struct hf_verb {
    const char *name;
    const char *summary;                   /* one line of the overview */
    const char *usage[HF_USAGE_LINES_MAX]; /* each behind "holdfast "; NULL ends them */
    const char *about;                     /* paragraphs, with an empty line between */
    const char *examples[HF_EXAMPLES_MAX]; /* whole command lines; NULL ends them */
    const struct hf_option *options;       /* the verb's own, in the order of the help */
    size_t options_count;
    struct hf_operands plain; /* without -c */
    struct hf_operands named; /* with -c: names of tables and partitions */
    hf_verb_fn *run;
};

/* The verbs that work, in the order of the help. */
const struct hf_verb *const *hf_verbs(size_t *ret_count);
/* NULL: no such verb, or a planned one. */
const struct hf_verb *hf_verb_find(const char *name);
/* Names that are fixed but not available yet. */
const char *const *hf_verbs_planned(size_t *ret_count);
/*
 * Why there is no verb `name`.
 * HF_UNSUPPORTED  it is planned.
 * HF_USAGE        it is unknown; the message names the one that may have been meant.
 */
enum hf_code hf_verb_refuse(const char *name, struct hf_err *err) HF_MUST_CHECK;

extern const struct hf_verb hf_verb_archive;
extern const struct hf_verb hf_verb_restore;
extern const struct hf_verb hf_verb_scrub;
extern const struct hf_verb hf_verb_verify;
extern const struct hf_verb hf_verb_list;
extern const struct hf_verb hf_verb_rebuild;
extern const struct hf_verb hf_verb_config;
extern const struct hf_verb hf_verb_help;

#endif
