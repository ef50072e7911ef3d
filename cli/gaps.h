/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gaps.h - the times in which nothing was captured, said.
 */
#ifndef HF_CLI_GAPS_H
#define HF_CLI_GAPS_H

#include "archive/catchups.h"
#include "cli/out.h"

/* Put the gap's ends into `object`. */
void hf_gap_json(const struct hf_gap *gap, json_t *object);
/* Put all of an archive's gaps into `object`. */
void hf_gaps_json(const struct hf_gaps *gaps, json_t *object);
/* Append the newest of them as a table; nothing if there are none. */
void hf_gaps_print(const struct hf_gaps *gaps, struct hf_buf *ret);

#endif
