/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the machine's clock; times as RFC 3339 has them, read and written. */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t system_now(struct hf_clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono(struct hf_clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static void system_sleep(struct hf_clock *c, int64_t us)
{
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000};

    (void)c;
    if (us <= 0)
        return;
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

struct hf_clock *hf_clock_system(void)
{
    static struct hf_clock system = {
        .now_us = system_now, .mono_us = system_mono, .sleep_us = system_sleep};

    return &system;
}

void hf_time_text(int64_t ms, char ret[HF_TIME_TEXT_MAX])
{
    const int64_t frac = ((ms % 1000) + 1000) % 1000;
    const time_t sec = (time_t)((ms - frac) / 1000);
    struct tm tm;

    (void)gmtime_r(&sec, &tm);
    (void)snprintf(ret, HF_TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)frac);
}

/* The fraction after the seconds, in milliseconds; moves `*p` behind it. */
static int64_t parse_fraction(const char **p)
{
    int64_t ms = 0;
    int64_t unit = 100;

    if (**p != '.')
        return 0;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++) {
        ms += (**p - '0') * unit;
        unit /= 10;
    }
    return ms;
}

/* Minutes east of UTC of "Z" or "+hh:mm"; false if it is neither. */
static bool parse_offset(const char *p, int64_t *ret_min)
{
    int hours = 0;
    int minutes = 0;
    int end = 0;

    if ((*p == 'Z' || *p == 'z') && p[1] == '\0') {
        *ret_min = 0;
        return true;
    }
    if (*p != '+' && *p != '-')
        return false;
    if (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || p[1 + end] != '\0' ||
        hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
        return false;
    *ret_min = (*p == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

static enum hf_code no_offset(const char *text, struct tm tm, struct hf_err *err)
{
    struct tm as_utc = tm;
    struct tm as_local = tm;
    char utc[HF_TIME_TEXT_MAX];
    char local[HF_TIME_TEXT_MAX];

    as_local.tm_isdst = -1;
    hf_time_text((int64_t)timegm(&as_utc) * 1000, utc);
    hf_time_text((int64_t)mktime(&as_local) * 1000, local);
    return hf_err_set(err, HF_USAGE,
                      "time '%s' has no offset: did you mean '%sZ', which is %s, or this machine's "
                      "local time, which is %s? Write one of them",
                      text, text, utc, local);
}

/* Whether the month has that day: timegm() would quietly turn February 30 into March 2. */
static bool has_day(const struct tm *tm)
{
    struct tm day = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};

    (void)timegm(&day);
    return day.tm_mday == tm->tm_mday;
}

enum hf_code hf_time_parse(const char *text, int64_t *ret_ms, struct hf_err *err)
{
    struct tm tm = {0};
    int64_t offset_min = 0;
    int end = 0;

    if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60)
        return hf_err_set(err, HF_USAGE,
                          "'%s' is not a time: expected RFC 3339, as in 2026-01-02T03:04:05Z",
                          text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!has_day(&tm))
        return hf_err_set(err, HF_USAGE, "'%s' is not a time: the month has no such day", text);

    const char *p = text + end;
    const int64_t frac_ms = parse_fraction(&p);

    if (*p == '\0')
        return no_offset(text, tm, err);
    if (!parse_offset(p, &offset_min))
        return hf_err_set(err, HF_USAGE,
                          "time '%s' ends in '%s': expected Z or an offset such as +01:00", text,
                          p);
    *ret_ms = (int64_t)timegm(&tm) * 1000 + frac_ms - offset_min * 60000;
    return HF_OK;
}
