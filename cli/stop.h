/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.h - SIGINT and SIGTERM ask to stop; a second one does not wait.
 */
#ifndef HF_CLI_STOP_H
#define HF_CLI_STOP_H

#include "engine/engine.h"

/*
 * SIGINT, SIGTERM and SIGHUP set the flag, which lives as long as the process; the next one ends
 * the process at once, with the status of what could not complete. SIGPIPE is ignored, so that a
 * reader that goes away is an error of a write.
 */
hf_stop_flag *hf_stop_install(void);

#endif
