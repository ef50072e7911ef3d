/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ltx_index.h - the integers of the page index: unsigned LEB128, least significant group first.
 * Private to the codec; pure functions, any thread.
 */
#ifndef HF_ENGINE_SQLITE_LTX_LTX_INDEX_H
#define HF_ENGINE_SQLITE_LTX_LTX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HF_LTX_UVARINT_BYTES_MAX 10

/* Put `v` at `dst`, in its shortest form; returns the bytes used. */
size_t hf_ltx_uvarint_put(uint8_t dst[HF_LTX_UVARINT_BYTES_MAX], uint64_t v);

/*
 * Take one integer off the front of `rest`. False, and nothing taken, if it is cut off, does not
 * fit 64 bits, or is not in its shortest form: then two files could differ and mean the same.
 */
bool hf_ltx_uvarint_take(struct hf_slice *rest, uint64_t *ret);

#endif
