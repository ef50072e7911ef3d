/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - hf_assert(), which stays on in every build.
 *
 * It is for our own mistakes only. Anything that comes from outside (object bytes, HTTP, a
 * configuration, a file) is judged with an error, never with an assertion.
 */
#ifndef HF_BASE_CHECK_H
#define HF_BASE_CHECK_H

#include "base/attr.h"

/* Print the failed condition and abort. Whatever is half done is left as after kill -9. */
void hf_assert_failed(const char *cond, const char *file, int line) HF_NORETURN;

#define hf_assert(cond) ((cond) ? (void)0 : hf_assert_failed(#cond, __FILE__, __LINE__))

#endif
