/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archiving.h - run the archiver over places: for the verb archive, and for scrub, which needs what
 * the application committed last to be in the archive.
 */
#ifndef HF_CLI_ARCHIVING_H
#define HF_CLI_ARCHIVING_H

#include "archiver/archiver.h"
#include "cli/places.h"

/*
 * The database can be followed; with --set-wal it has been switched if it could not.
 * HF_USAGE  it cannot; the message says why and how to change that.
 */
enum hf_code hf_archiving_prepare(const struct hf_session *s, const char *db_path,
                                  struct hf_err *err) HF_MUST_CHECK;

/*
 * The archiver has run over places[first .. first + count); `ret` has a row for each. Codes as
 * hf_archiver_run(); with --set-wal a database that cannot be switched is a failure in its row and
 * of the whole.
 */
enum hf_code hf_archiving_run(struct hf_session *s, const struct hf_places *places, size_t first,
                              size_t count, bool once, struct hf_archiver_status *ret,
                              struct hf_err *err) HF_MUST_CHECK;

/* The folder of local state for the place; the caller frees. */
char *hf_archiving_state_dir(const struct hf_session *s, const struct hf_place *place);

#endif
