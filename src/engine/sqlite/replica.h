/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replica.h - the reference replica of a SQLite database: a digest, and the database file if it is
 * wanted, made from segments alone. What it does is said in engine.h. One thread.
 */
#ifndef HF_ENGINE_SQLITE_REPLICA_H
#define HF_ENGINE_SQLITE_REPLICA_H

#include "engine/engine.h"
#include "engine/sqlite/digest.h"

/*
 * As hf_engine.replica_open. Without pages_path it stands where a finished replica left its digest
 * (unless o->anew); otherwise at TXID 0, and the digest file is emptied.
 * HF_CONFLICT  pages_path exists.
 */
enum hf_code sqlite_replica_open(const struct hf_replica_options *o, struct hf_replica **ret,
                                 struct hf_err *err) HF_MUST_CHECK;

/* As hf_engine.replica_import. */
enum hf_code sqlite_replica_import(const struct hf_replica_options *o, const char *pages,
                                   uint32_t page_bytes, hf_identify_fn *identify, void *ctx,
                                   struct hf_replica **ret, struct hf_err *err) HF_MUST_CHECK;

/* For the scan; `r` is one that sqlite_replica_open() made. Entries as digest_read(). */
enum hf_code replica_entries(struct hf_replica *r, uint32_t first_pgno, size_t n,
                             struct digest_entry *ret, struct hf_err *err) HF_MUST_CHECK;
/* What the replica stands for. Lives as the replica does, and moves with it. */
const struct digest_mark *replica_mark(const struct hf_replica *r);

#endif
