/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - from argv to a verb and what was said to it.
 */
#ifndef HF_CLI_ARGS_H
#define HF_CLI_ARGS_H

#include "base/err.h"
#include "cli/option.h"
#include "cli/verb.h"

/*
 * `*ret_verb` (NULL: none was given) and `*ret` are what argv says. Options and operands may stand
 * in any order; a verb's own options only behind it. "--" ends the options.
 * HF_USAGE        something is wrong; the message says what was meant, as far as that can be told.
 * HF_UNSUPPORTED  the verb is planned.
 * On failure `*ret_verb` is set if the verb was found, for a hint at its help.
 */
enum hf_code hf_args_parse(int argc, char *const *argv, const struct hf_verb **ret_verb,
                           struct hf_args *ret, struct hf_err *err) HF_MUST_CHECK;

/* HF_USAGE: too few or too many operands for the verb. */
enum hf_code hf_args_check(const struct hf_verb *verb, const struct hf_args *args,
                           struct hf_err *err) HF_MUST_CHECK;

/* Is --json among the words? Known even if they cannot be parsed, so that errors are JSON too. */
bool hf_args_want_json(int argc, char *const *argv);

#endif
