/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.h - what a page belongs to, in words. It opens a connection of its own, so what
 * engine/sqlite/scan.h says about connections and scans in one process holds here, too.
 */
#ifndef HF_ENGINE_SQLITE_DESCRIBE_H
#define HF_ENGINE_SQLITE_DESCRIBE_H

#include "engine/engine.h"

/* As hf_engine.describe. */
enum hf_code sqlite_describe(const char *db_path, uint64_t page, char ret[HF_PAGE_TEXT_MAX],
                             struct hf_err *err) HF_MUST_CHECK;

#endif
