/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.h - all memory comes from here.
 *
 * An allocation that fails ends the process (ADR 0002): there is no half-way state that kill -9
 * would not leave as well, and every caller is spared a branch that nothing ever ran.
 */
#ifndef HF_BASE_ALLOC_H
#define HF_BASE_ALLOC_H

#include <stddef.h>

#include "base/attr.h"

/* `n` zeroed elements of `size` bytes; never NULL. The caller frees with hf_free(). */
void *hf_calloc(size_t n, size_t size);
/* `size` bytes, not zeroed; never NULL. */
void *hf_malloc(size_t size);
/* `ptr` grown or shrunk to n elements of `size` bytes; never NULL. */
void *hf_realloc(void *ptr, size_t n, size_t size);
/* Memory at a multiple of `align` (a power of two); free with hf_free(). */
void *hf_memalign(size_t align, size_t size);
void hf_free(void *ptr); /* NULL is allowed */

/* Copies, which the caller frees: the whole string, and its first `len` bytes at most. */
char *hf_strdup(const char *s);
char *hf_strndup(const char *s, size_t len);
/* A new string, printed. */
char *hf_strfmt(const char *fmt, ...) HF_PRINTF(1, 2);

/* For HF_CLEANUP: free what a `char *` or other pointer variable holds. */
void hf_free_ptr(void *ptr_to_ptr);
/* Take what `*ptr` holds and leave NULL, so that a cleanup frees nothing. */
void *hf_take_ptr(void *ptr_to_ptr);

#define HF_AUTO_FREE HF_CLEANUP(hf_free_ptr)

#endif
