/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attendant.h - an archiver that runs as long as a scrub does, in a process of its own.
 *
 * Only an archiver can end a segment exactly where a scan stands, so a scrub of a database that
 * nobody follows brings one along. It cannot live in the scrub's process: closing the file that a
 * scan reads past SQLite drops the locks of every connection of the process (POSIX locks; "How To
 * Corrupt An SQLite Database File" §2.2).
 */
#ifndef HF_CLI_ATTENDANT_H
#define HF_CLI_ATTENDANT_H

#include <sys/types.h>

#include "cli/places.h"

/* All zero: none runs. */
struct hf_attendant {
    pid_t pid;
};

/* Does an archiver run over this folder of local state? It need not be ready to answer. */
bool hf_attendant_is_there(const char *state_dir);

/*
 * An archiver follows the place's database and answers; the caller ends with hf_attendant_stop().
 * HF_CONFLICT  the log does not prove that it continues where the archive ends, or another failure
 *              ended it before it could answer.
 * HF_CANCELED  the user asked to stop.
 * any other    of the engine, or of the operating system.
 */
enum hf_code hf_attendant_start(const struct hf_session *s, const struct hf_place *place,
                                const char *state_dir, struct hf_attendant *ret,
                                struct hf_err *err) HF_MUST_CHECK;
/* It has been told to stop and has ended; for HF_CLEANUP. */
void hf_attendant_stop(struct hf_attendant *a);

#endif
