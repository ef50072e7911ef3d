/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tidy_assume.h - what the static analyser may take for granted; included before each file by
 * run_tidy.py, and never compiled.
 *
 * The analyser sees one source file at a time, so it believes that hf_err_set() might return HF_OK,
 * and follows paths that do not exist. An error is never HF_OK; here it can see that.
 */
#ifndef HF_TOOLS_TIDY_ASSUME_H
#define HF_TOOLS_TIDY_ASSUME_H

#include "base/err.h"

#define hf_err_set(err, code, ...)    ((void)(hf_err_set)(err, code, __VA_ARGS__), (code))
#define hf_err_recode(err, code, ...) ((void)(hf_err_recode)(err, code, __VA_ARGS__), (code))
#define hf_err_sys(err, code, ...)    ((void)(hf_err_sys)(err, code, __VA_ARGS__), (code))
#define hf_err_wrap(err, ...)         ((void)(hf_err_wrap)(err, __VA_ARGS__), HF_IO)

#endif
