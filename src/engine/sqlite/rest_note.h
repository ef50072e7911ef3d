/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest_note.h - a note in the local state: "the database file, as stat(2) shows it, holds the state
 * of this TXID and nothing else". It spares a comparison of every page where the WAL cannot prove
 * continuity because there is none: it was removed by the last application that closed the
 * database, or is empty (C7).
 */
#ifndef HF_ENGINE_SQLITE_REST_NOTE_H
#define HF_ENGINE_SQLITE_REST_NOTE_H

#include "base/fs.h"

/*
 * Note it, while a reader of ours on lock 0 keeps the file as it is. Not done, and false, if the
 * file was changed within the last two seconds: a later change could carry the same times. A note
 * that cannot be written is no failure; it is not synced, and an older one does no harm.
 */
bool rest_note_write(struct hf_fs *fs, const char *path, const char *db_path, uint64_t txid,
                     int64_t now_us);

/* The note says that the file, as it is now, holds the state of `txid`. */
bool rest_note_holds(struct hf_fs *fs, const char *path, const char *db_path, uint64_t txid);

#endif
