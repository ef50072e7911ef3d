/* SPDX-License-Identifier: Apache-2.0 */
/* gaps.c - gaps as JSON and as a table. */
#include "cli/gaps.h"

void hf_gap_json(const struct hf_gap *gap, json_t *object)
{
    hf_out_set_time(object, "from", gap->from_ms);
    hf_out_set_time(object, "to", gap->to_ms);
    hf_out_set_number(object, "from_txid", gap->from_txid);
    hf_out_set_number(object, "to_txid", gap->to_txid);
}
