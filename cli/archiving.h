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

/* What to run the archiver over, and how. */
struct hf_archiving {
    const struct hf_places *places; /* borrowed */
    size_t first;                   /* of places->items */
    size_t count;
    bool once;
    bool never_catch_up; /* as in struct hf_archiver_target */
};

/* The archiver has run; `ret` has a row for each place. Codes as hf_archiver_run(). */
enum hf_code hf_archiving_run(struct hf_session *s, const struct hf_archiving *a,
                              struct hf_archiver_status *ret, struct hf_err *err) HF_MUST_CHECK;

/* The folder of local state for the place; the caller frees. */
char *hf_archiving_state_dir(const struct hf_session *s, const struct hf_place *place);

#endif
