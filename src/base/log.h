/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line an event on standard error: time, level, words, key=value pairs.
 *
 * Libraries do not log; services do, once per failure, at the loop that decides, with the decision
 * in the line. Secrets never reach a message: URLs are stored without them. Any thread.
 */
#ifndef HF_BASE_LOG_H
#define HF_BASE_LOG_H

#include "base/attr.h"

enum hf_log_level { HF_LOG_DEBUG, HF_LOG_INFO, HF_LOG_WARN, HF_LOG_ERROR };

/* Lines below `level` are left out. HF_LOG_INFO at the start. */
void hf_log_level_set(enum hf_log_level level);

/* Write one line; `fmt` and what it prints hold no newline. */
void hf_log(enum hf_log_level level, const char *fmt, ...) HF_PRINTF(2, 3);

#endif
