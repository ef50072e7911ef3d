/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yamldoc.h - for this folder only: a YAML text with the line of everything in it.
 *
 * libcyaml fills structs but forgets lines, and names an unknown key by the line of what stood
 * before it. So the text is parsed into a tree as well, which says where things are and judges the
 * names of keys. A path names a place in the tree: keys and, for lists, numbers from 0, with
 * dots between ("tables.0.scrub.every").
 */
#ifndef HF_CONFIG_YAMLDOC_H
#define HF_CONFIG_YAMLDOC_H

#include <cyaml/cyaml.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct hf_yamldoc;

/*
 * `*ret` is the tree of the text's only document; the caller frees it. `file` is for messages and
 * copied.
 * HF_USAGE  not YAML, nothing in it, or more than one document; the message begins FILE:LINE.
 */
enum hf_code hf_yamldoc_parse(struct hf_slice text, const char *file, struct hf_yamldoc **ret,
                              struct hf_err *err) HF_MUST_CHECK;

/*
 * Every key is one of the schema's, there once, and none is missing; no text holds a NUL. Types are
 * left to libcyaml. HF_USAGE: FILE:LINE, the key, and the known one that may have been meant.
 */
enum hf_code hf_yamldoc_check_keys(const struct hf_yamldoc *doc, const cyaml_schema_value_t *schema,
                                   struct hf_err *err) HF_MUST_CHECK;

/* The line, from 1, of the value at `path`, or of the last part of the path that exists. */
size_t hf_yamldoc_line(const struct hf_yamldoc *doc, const char *path);

void hf_yamldoc_free(struct hf_yamldoc *doc); /* NULL is allowed */
void hf_yamldoc_free_ptr(struct hf_yamldoc **doc);

#endif
