/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.h - the help, the man page and the shell completion, made from the option tables. Pure.
 */
#ifndef HF_CLI_HELP_H
#define HF_CLI_HELP_H

#include "base/buf.h"
#include "cli/verb.h"

/* Append the overview: verbs, what is planned, options of all verbs, exit status. */
void hf_help_overview(struct hf_buf *ret);
/* Append the help of one verb. */
void hf_help_verb(const struct hf_verb *verb, struct hf_buf *ret);
/* Append holdfast(1) as roff. */
void hf_help_man(struct hf_buf *ret);
/* Append what bash has to source. */
void hf_help_completion(struct hf_buf *ret);

/* The exit status contract: one row a status, NULL at the end. */
extern const char *const hf_help_statuses[];

#endif
