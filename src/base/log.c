/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line, one write(2). */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 2048

static _Atomic int level_min = HF_LOG_INFO;

void hf_log_level_set(enum hf_log_level level)
{
    atomic_store(&level_min, (int)level);
}

void hf_log(enum hf_log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char when[HF_TIME_TEXT_MAX];
    char line[LINE_MAX_BYTES];
    va_list ap;

    if ((int)level < atomic_load(&level_min))
        return;
    hf_time_text(hf_now_ms(hf_clock_system()), when);
    int len = snprintf(line, sizeof(line), "%s %s ", when, names[level]);

    va_start(ap, fmt);
    len += vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, ap);
    va_end(ap);
    if (len > LINE_MAX_BYTES - 2)
        len = LINE_MAX_BYTES - 2;
    line[len] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)len + 1); /* one write, so that lines stay whole */
}
