/* SPDX-License-Identifier: Apache-2.0 */
/*
 * targeting.h - to which moment: --timestamp, --txid, or the latest.
 */
#ifndef HF_CLI_TARGETING_H
#define HF_CLI_TARGETING_H

#include "archive/plan.h"
#include "cli/places.h"
#include "rebuilder/rebuilder.h"

/* HF_USAGE: both were given, or --txid for a whole table, whose partitions count for themselves. */
enum hf_code hf_targeting(const struct hf_session *s, bool whole_table, struct hf_target *ret,
                          struct hf_err *err) HF_MUST_CHECK;

/*
 * Print and set in `object` where a replica came to stand, and what kept it from going further. If
 * it is doubtful that this is the state of the wanted time, that is a finding: exit status 1.
 */
void hf_targeting_report(struct hf_session *s, const struct hf_archive *archive, const char *done,
                         const char *path, const struct hf_target *target,
                         const struct hf_rebuild_report *report, json_t *object);

#endif
