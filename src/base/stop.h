/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.h - how a long operation is told to end.
 */
#ifndef HF_BASE_STOP_H
#define HF_BASE_STOP_H

#include <stdbool.h>
#include <stddef.h>

/* Set to true from anywhere (a signal handler) to end a long operation with HF_CANCELED. */
typedef _Atomic bool hf_stop_flag;

/* NULL: nobody can tell. */
static inline bool hf_stop_is_set(const hf_stop_flag *stop)
{
    return stop != NULL && *stop;
}

#endif
