/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - the live side of the SQLite engine, as engine.h describes it.
 */
#ifndef HF_ENGINE_SQLITE_CAPTURE_H
#define HF_ENGINE_SQLITE_CAPTURE_H

#include "engine/engine.h"

/* As hf_engine.live_open. */
enum hf_code sqlite_live_open(const struct hf_live_options *o, struct hf_live **ret,
                              struct hf_err *err) HF_MUST_CHECK;

/* As hf_engine.live_probe and hf_engine.live_prepare. */
enum hf_code sqlite_live_probe(const char *db_path, struct hf_live_probe *ret,
                               struct hf_err *err) HF_MUST_CHECK;
enum hf_code sqlite_live_prepare(const char *db_path, struct hf_err *err) HF_MUST_CHECK;

#endif
