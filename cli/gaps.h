/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gaps.h - the times in which nothing was captured, said.
 */
#ifndef HF_CLI_GAPS_H
#define HF_CLI_GAPS_H

#include "archive/segment.h"
#include "cli/out.h"

/* Put the gap's ends into `object`. */
void hf_gap_json(const struct hf_gap *gap, json_t *object);

#endif
