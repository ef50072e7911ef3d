/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.h - the patterns that name the databases of a table: *, ?, [...] and \ as in fnmatch(3).
 *
 * A pattern is an absolute path. A wildcard stays within one part between slashes, and does not
 * match a leading dot. Everything here is pure: no file is looked at. Any thread.
 */
#ifndef HF_CONFIG_GLOB_H
#define HF_CONFIG_GLOB_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

#define HF_GLOB_MAX 1024 /* bytes without NUL */

/* HF_USAGE: not a pattern that can be expanded; the message says why, without quoting it. */
enum hf_code hf_glob_check(const char *glob, struct hf_err *err) HF_MUST_CHECK;

/* Does this part of a pattern (no slash in it) stand for more than one name? */
bool hf_glob_is_wild(const char *part);

/* The name that a part without wildcards stands for, its backslashes resolved; the caller frees. */
char *hf_glob_unescape(const char *part);

/* Is `name` one of those that the part stands for? */
bool hf_glob_match(const char *part, const char *name);

/*
 * Is there a path that both patterns (which hf_glob_check() took) match? It need not exist. A path
 * that no wildcard matches because of its leading dot is counted as matched, which errs on the side
 * of true. Cost: the product of the lengths at most.
 */
bool hf_glob_overlap(const char *a, const char *b);

#endif
