/* SPDX-License-Identifier: Apache-2.0 */
/* alloc.c - the C library's allocator, with one answer to its failure. */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *ptr, size_t n, size_t size)
{
    if (ptr == NULL) {
        (void)fprintf(stderr, "holdfast: out of memory (%zu x %zu bytes wanted)\n", n, size);
        abort();
    }
    return ptr;
}

void *hf_calloc(size_t n, size_t size)
{
    return need(calloc(n > 0 ? n : 1, size > 0 ? size : 1), n, size);
}

void *hf_malloc(size_t size)
{
    return need(malloc(size > 0 ? size : 1), 1, size);
}

void *hf_realloc(void *ptr, size_t n, size_t size)
{
    return need(reallocarray(ptr, n > 0 ? n : 1, size > 0 ? size : 1), n, size);
}

void *hf_memalign(size_t align, size_t size)
{
    void *ptr = NULL;

    if (posix_memalign(&ptr, align, size > 0 ? size : 1) != 0)
        ptr = NULL;
    return need(ptr, 1, size);
}

void hf_free(void *ptr)
{
    free(ptr);
}

char *hf_strdup(const char *s)
{
    return need(strdup(s), 1, strlen(s) + 1);
}

char *hf_strndup(const char *s, size_t len)
{
    return need(strndup(s, len), 1, len + 1);
}

char *hf_strfmt(const char *fmt, ...)
{
    char *ret = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&ret, fmt, ap) < 0)
        ret = NULL;
    va_end(ap);
    return need(ret, 1, 1);
}

void hf_free_ptr(void *ptr_to_ptr)
{
    free(*(void **)ptr_to_ptr);
}

void *hf_take_ptr(void *ptr_to_ptr)
{
    void *ptr = *(void **)ptr_to_ptr;

    *(void **)ptr_to_ptr = NULL;
    return ptr;
}
