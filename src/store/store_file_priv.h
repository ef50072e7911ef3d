/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_file_priv.h - what the files of the file:// store share. Nobody else includes it.
 */
#ifndef HF_STORE_STORE_FILE_PRIV_H
#define HF_STORE_STORE_FILE_PRIV_H

#include <pthread.h>

#include "store/store_file.h"
#include "store/store_ops.h"

#define HF_STORE_FILE_MODE         0640
#define HF_STORE_FOLDER_MODE       0750
#define HF_STORE_FOLDERS_KNOWN_MAX 1024

struct hf_store_file {
    struct hf_store base; /* first, so that the pointers convert */
    struct hf_fs *fs;     /* these three borrowed */
    struct hf_clock *clock;
    struct hf_rand *rand;
    char *root; /* without '/' at the end */
    uint64_t root_inode;
    pthread_mutex_t mutex;
    struct {
        bool swept;                              /* root/.tmp was cleaned by this store object */
        char *known[HF_STORE_FOLDERS_KNOWN_MAX]; /* folders whose names are durable, by hash */
    } guarded;                                   /* by mutex; so is rand */
};

/* HF_USAGE: a file cannot have that name, beyond what hf_store_key_check() refuses. */
enum hf_code hf_store_file_key_check(const char *key, struct hf_err *err) HF_MUST_CHECK;
/* HF_IO: the folder that was opened is not at that path any more. */
enum hf_code hf_store_file_root_check(struct hf_store_file *s, struct hf_err *err) HF_MUST_CHECK;
/* Wait for the lock of the whole store; it is held until the caller closes `*ret`. */
enum hf_code hf_store_file_lock(struct hf_store_file *s, struct hf_file **ret,
                                struct hf_err *err) HF_MUST_CHECK;

/* Another for every version (store_file.c says why). */
void hf_store_file_etag(const struct hf_stat *st, struct hf_etag *ret);
/* What is told of the file as an object. */
struct hf_object hf_store_file_object(const struct hf_stat *st);

/* The listing of struct hf_store_ops. */
enum hf_code hf_store_file_list(struct hf_store *s, const char *prefix, const char *start_after,
                                hf_list_fn *fn, void *ctx, struct hf_err *err) HF_MUST_CHECK;

/* An object under construction: a file in root/.tmp, locked by its writer. All zero is none. */
struct hf_tmp_object {
    struct hf_store_file *store; /* borrowed */
    struct hf_file *file;
    char *path; /* NULL when nothing is left to unlink */
};

/* `*ret` is an empty file that no other process takes for a left-over. The first call of a store
 * object removes left-overs. */
enum hf_code hf_tmp_object_create(struct hf_store_file *s, struct hf_tmp_object *ret,
                                  struct hf_err *err) HF_MUST_CHECK;
/* The written file is, with its time, the object at `key`: result codes as for hf_store_put(). */
enum hf_code hf_tmp_object_publish(struct hf_tmp_object *t, const char *key,
                                   const struct hf_put *put, struct hf_etag *ret_etag,
                                   struct hf_err *err) HF_MUST_CHECK;
/* Closed, and unlinked if it was not published. For HF_CLEANUP. */
void hf_tmp_object_done(struct hf_tmp_object *t);

#endif
