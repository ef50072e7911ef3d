/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a folder is a store.
 * Method: the contract suite over one folder. After each test no file is left in it but the lock,
 * and no descriptor is open (fs_fault counts them).
 */
#include <string.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"
#include "lib/store_contract.h"
#include "store/store_file.h"

struct place {
    char *root;
    struct fs_fault fs;
};

static struct hf_store *make(void *ctx)
{
    struct place *p = ctx;
    const struct hf_store_env env = {
        .fs = &p->fs.base, .clock = hf_clock_system(), .rand = hf_rand_system()};
    struct hf_store *store = NULL;
    struct hf_err err;

    hf_must(hf_store_file_new(p->root, &env, &store, &err), &err);
    return store;
}

/* Fails at anything that is not a folder or the lock. */
static enum hf_code find_left(void *ctx, const char *name, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", (const char *)ctx, name);
    struct hf_stat st;

    hf_must(hf_fs_stat(hf_fs_system(), path, &st, err), err);
    if (st.is_dir)
        return hf_fs_list(hf_fs_system(), path, find_left, path, err);
    if (strcmp(name, ".lock") != 0)
        fail_msg("%s is left behind", path);
    return HF_OK;
}

static void check(void *ctx)
{
    struct place *p = ctx;
    struct hf_err err;

    hf_must(hf_fs_list(hf_fs_system(), p->root, find_left, p->root, &err), &err);
    assert_int_equal(p->fs.guarded.files_open, 0);
}

int main(void)
{
    struct place place = {.root = test_tmp_new()};
    const struct store_contract c = {.make = make,
                                     .check = check,
                                     .ctx = &place,
                                     .prefix = "contract",
                                     .paging_keys = 2100,
                                     .threads = 4};

    fs_fault_init(&place.fs, hf_fs_system());
    const int failed = store_contract_run("store_file", &c);

    fs_fault_done(&place.fs);
    test_tmp_remove(place.root);
    return failed;
}
