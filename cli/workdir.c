/* SPDX-License-Identifier: Apache-2.0 */
/* workdir.c - mkdtemp(3), and the way back. */
#include "cli/workdir.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"

enum hf_code hf_workdir_new(char **ret_path, struct hf_err *err)
{
    const char *below = getenv("TMPDIR");
    HF_AUTO_FREE char *path =
        hf_strfmt("%s/holdfast-XXXXXX", below != NULL && below[0] != '\0' ? below : "/tmp");

    if (mkdtemp(path) == NULL)
        return hf_err_sys(err, HF_IO, "make a working folder %s", path);
    *ret_path = hf_take_ptr(&path);
    return HF_OK;
}

struct removal {
    struct hf_fs *fs;
    const char *path;
};

static enum hf_code remove_file(void *ctx, const char *name, struct hf_err *err)
{
    const struct removal *r = ctx;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", r->path, name);

    (void)!hf_fs_unlink(r->fs, path, err);
    return HF_OK;
}

void hf_workdir_remove(struct hf_fs *fs, const char *path)
{
    struct removal r = {.fs = fs, .path = path};
    struct hf_err err;

    (void)!hf_fs_list(fs, path, remove_file, &r, &err);
    (void)rmdir(path);
}
