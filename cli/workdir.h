/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workdir.h - a folder for working files that is gone afterwards.
 */
#ifndef HF_CLI_WORKDIR_H
#define HF_CLI_WORKDIR_H

#include "base/fs.h"

/* `*ret_path` is a new, empty folder below TMPDIR (or /tmp), 0700; the caller frees the path. */
enum hf_code hf_workdir_new(char **ret_path, struct hf_err *err) HF_MUST_CHECK;
/* The folder and the files in it are gone, as far as they can be removed. */
void hf_workdir_remove(struct hf_fs *fs, const char *path);

#endif
