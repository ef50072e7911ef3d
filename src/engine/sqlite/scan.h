/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - the live pages of a SQLite database against a replica, as engine.h describes it.
 *
 * A scan keeps a descriptor of the database file of its own, and closing that drops all of SQLite's
 * locks that this process has on the file. So a process that scans a database must have no other
 * connection to it that lives longer than the scan: an archiver is another process.
 */
#ifndef HF_ENGINE_SQLITE_SCAN_H
#define HF_ENGINE_SQLITE_SCAN_H

#include "engine/engine.h"

/* As hf_engine.scan_open. */
enum hf_code sqlite_scan_open(const struct hf_scan_options *o, struct hf_scan **ret,
                              struct hf_err *err) HF_MUST_CHECK;

#endif
