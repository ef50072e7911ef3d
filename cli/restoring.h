/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restoring.h - what restore and rebuild share: one archive into one file. A reference is made by
 * the very path that restores, so each proves the other.
 */
#ifndef HF_CLI_RESTORING_H
#define HF_CLI_RESTORING_H

#include "cli/places.h"
#include "restore/restore.h"

/* HF_USAGE: there is no -o. */
enum hf_code hf_restoring_check_output(const struct hf_session *s,
                                       struct hf_err *err) HF_MUST_CHECK;

/* Codes as hf_restore(); progress is shown under `name`. */
enum hf_code hf_restoring_run(struct hf_session *s, const struct hf_archive *archive,
                              const char *name, const char *path, const struct hf_target *target,
                              struct hf_rebuild_report *report, struct hf_err *err) HF_MUST_CHECK;

/* The only place is restored to the file named by -o, and the outcome said; `done` is the word for
 * it. Codes as hf_restore(). */
enum hf_code hf_restoring_one(struct hf_session *s, const struct hf_places *places,
                              const struct hf_target *target, const char *done,
                              struct hf_err *err) HF_MUST_CHECK;

#endif
