/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.h - durations, sizes and rates as people write them: a whole number and a unit.
 *
 * There is one spelling for each, without spaces: 50ms, 1s, 5m, 24h, 7d; 512B, 64KiB, 50MiB, 2GiB;
 * 50MiB/s. A number without unit is refused, because readers disagree about what it means, and so
 * is MB, which some take for 10^6 and some for 2^20. Any thread.
 */
#ifndef HF_CONFIG_QUANTITY_H
#define HF_CONFIG_QUANTITY_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define HF_DURATION_MS_MAX   (INT64_C(36500) * 24 * 3600 * 1000) /* 100 years */
#define HF_BYTES_MAX         (UINT64_C(1) << 60)
#define HF_QUANTITY_TEXT_MAX 32 /* bytes with NUL */

/*
 * Milliseconds of a duration with unit ms, s, m, h or d; 0 is one.
 * HF_USAGE  not a duration; the message quotes the text and shows how it should look.
 */
enum hf_code hf_quantity_duration(const char *text, int64_t *ret_ms,
                                  struct hf_err *err) HF_MUST_CHECK;

/* Bytes of a size with unit B, KiB, MiB or GiB. HF_USAGE as above. */
enum hf_code hf_quantity_bytes(const char *text, uint64_t *ret_bytes,
                               struct hf_err *err) HF_MUST_CHECK;

/* Bytes a second of a rate: a size with "/s" behind it. HF_USAGE as above. */
enum hf_code hf_quantity_rate(const char *text, uint64_t *ret_bytes_per_s,
                              struct hf_err *err) HF_MUST_CHECK;

/* The shortest text that the functions above read as this value. */
void hf_quantity_duration_text(int64_t ms, char ret[HF_QUANTITY_TEXT_MAX]);
void hf_quantity_bytes_text(uint64_t bytes, char ret[HF_QUANTITY_TEXT_MAX]);

#endif
