/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_file.h - a store in one folder: the object `key` is the file root/key.
 *
 * What stands in the folder, besides objects, begins with '.': keys with such a part are refused
 * (HF_USAGE), and such names are never listed. On top of store.h this store says:
 *
 * - A key cannot be a folder of another key: with "a/b" there, "a" is HF_USAGE, and the other way.
 *   A folder stays when its last object is deleted.
 * - A part of a key has 255 bytes at most, as file names do (HF_USAGE).
 * - timestamp_ms is the file's mtime; an object put without one has the time of the put.
 *   modified_ms is the file's ctime.
 * - The etag is made from inode, size, mtime and ctime. It is another for every version; it can
 *   also become another without a new version (chmod, a second hard link, a copy of the folder),
 *   and a put if-match then reports HF_CONFLICT, which is safe: read again.
 * - A file system without links and without renameat2(RENAME_NOREPLACE), or one that does not keep
 *   the times that are set, is HF_UNSUPPORTED, by name.
 * - delete can be HF_UNCERTAIN: gone, but perhaps not durably so. Repeat it.
 * - The root folder is never made by a put. If it is missing, or another folder stands in its place
 *   (a file system that is not mounted), puts fail and nothing is written.
 *
 * Several processes, and machines where flock(2) reaches across, may use one folder at once.
 */
#ifndef HF_STORE_STORE_FILE_H
#define HF_STORE_STORE_FILE_H

#include "store/open.h"

#define HF_FILE_STORE_LOCK                                                                         \
    "/.lock"                      /* below the root: held while an object is replaced or deleted */
#define HF_FILE_STORE_TMP "/.tmp" /* below the root: objects under construction */

/*
 * A store in the folder `root`, which is absolute; files 0640, folders 0750, before the umask.
 * HF_NOT_FOUND  the folder does not exist and env->create is false. With it, it is made durably,
 * but not what is missing above it: that may be something that is not mounted. HF_USAGE      it is
 * not absolute, or not a folder.
 */
enum hf_code hf_store_file_new(const char *root, const struct hf_store_env *env,
                               struct hf_store **ret, struct hf_err *err) HF_MUST_CHECK;

#endif
