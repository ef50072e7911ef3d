/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - target → plan → rebuild → verify → publish, for one partition.
 *
 * The output appears under its name only when it is whole, proved and durable. Invariants:
 * restore/DESIGN.md.
 */
#ifndef HF_RESTORE_RESTORE_H
#define HF_RESTORE_RESTORE_H

#include "rebuilder/rebuilder.h"

struct hf_restore_options {
    const struct hf_engine *engine;
    const struct hf_archive *archive; /* borrowed, as all here */
    struct hf_fs *fs;
    struct hf_rand *rand;
    struct hf_pool *pool;
    struct hf_target target;
    const char *out_path;
    bool force; /* an existing output may be replaced; it stays as it was until then */
    struct hf_progress *progress;
    hf_stop_flag *stop;
};

/*
 * The database at out_path is the partition at the target, durable. It is its owner's alone (mode
 * 0600); one that was replaced keeps its mode, and owner and group as far as they can be given.
 * Codes as hf_rebuild(), and
 * HF_USAGE  out_path exists (and !force), or a -wal or -journal lies beside it, which SQLite would
 *           take for its own; the message says what to do.
 * HF_FULL   no space, which is looked at before anything is made; the message has out_path, the
 *           bytes that are needed and those that were free. Nothing is left behind.
 * HF_UNCERTAIN  published, but the folder could not be synced.
 * After any other failure no output and no temporary file exist.
 */
enum hf_code hf_restore(const struct hf_restore_options *o, struct hf_rebuild_report *report,
                        struct hf_err *err) HF_MUST_CHECK;

#endif
