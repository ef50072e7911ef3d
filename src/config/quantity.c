/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity.c - one reader for all kinds of quantity; a kind is its table of units.
 */
#include "config/quantity.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* What a number may stand for. Units in rising order, the first one with factor 1. */
struct kind {
    const char *what;    /* with article, for messages */
    const char *example; /* for messages */
    const char *names;   /* all units, for messages */
    const char *largest; /* `max`, for messages */
    uint64_t max;
    size_t units_count;
    struct unit units[5];
};

static const struct kind duration = {
    .what = "a duration",
    .example = "90s",
    .names = "ms, s, m, h and d",
    .largest = "36500d",
    .max = HF_DURATION_MS_MAX,
    .units_count = 5,
    .units = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}},
};

static const struct kind size = {
    .what = "a size",
    .example = "64MiB",
    .names = "B, KiB, MiB and GiB",
    .largest = "1073741824GiB",
    .max = HF_BYTES_MAX,
    .units_count = 4,
    .units = {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}},
};

static const struct kind rate = {
    .what = "a rate",
    .example = "50MiB/s",
    .names = "B/s, KiB/s, MiB/s and GiB/s",
    .largest = "1073741824GiB/s",
    .max = HF_BYTES_MAX,
    .units_count = 4,
    .units = {{"B/s", 1}, {"KiB/s", 1 << 10}, {"MiB/s", 1 << 20}, {"GiB/s", 1 << 30}},
};

static const struct unit *find_unit(const struct kind *k, const char *name)
{
    for (size_t i = 0; i < k->units_count; i++) {
        if (strcmp(k->units[i].name, name) == 0)
            return &k->units[i];
    }
    return NULL;
}

static enum hf_code parse(const struct kind *k, const char *text, uint64_t *ret, struct hf_err *err)
{
    uint64_t number = 0;
    bool too_large = false;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        const uint64_t digit = (uint64_t)(*p - '0');

        too_large = too_large || number > (k->max - digit) / 10;
        if (!too_large)
            number = number * 10 + digit;
    }
    if (p == text)
        return hf_err_set(err, HF_USAGE, "\"%s\" is not %s; write a whole number and a unit: %s",
                          text, k->what, k->example);
    if (*p == '\0')
        return hf_err_set(err, HF_USAGE, "\"%s\" has no unit; the units are %s", text, k->names);

    const struct unit *unit = find_unit(k, p);

    if (unit == NULL)
        return hf_err_set(err, HF_USAGE, "\"%s\" is not %s: the units are %s, as in %s", text,
                          k->what, k->names, k->example);
    if (too_large || number > k->max / unit->factor)
        return hf_err_set(err, HF_USAGE, "\"%s\" is too large; the most is %s", text, k->largest);
    *ret = number * unit->factor;
    return HF_OK;
}

enum hf_code hf_quantity_duration(const char *text, int64_t *ret_ms, struct hf_err *err)
{
    uint64_t ms = 0;
    enum hf_code rc = parse(&duration, text, &ms, err);

    if (rc != HF_OK)
        return rc;
    *ret_ms = (int64_t)ms;
    return HF_OK;
}

enum hf_code hf_quantity_bytes(const char *text, uint64_t *ret_bytes, struct hf_err *err)
{
    return parse(&size, text, ret_bytes, err);
}

enum hf_code hf_quantity_rate(const char *text, uint64_t *ret_bytes_per_s, struct hf_err *err)
{
    return parse(&rate, text, ret_bytes_per_s, err);
}

/* The largest unit that leaves no rest is the shortest text. */
static void print(const struct kind *k, uint64_t value, char ret[HF_QUANTITY_TEXT_MAX])
{
    const struct unit *unit = &k->units[0];

    for (size_t i = 1; i < k->units_count; i++) {
        if (value > 0 && value % k->units[i].factor == 0)
            unit = &k->units[i];
    }
    (void)snprintf(ret, HF_QUANTITY_TEXT_MAX, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

void hf_quantity_duration_text(int64_t ms, char ret[HF_QUANTITY_TEXT_MAX])
{
    hf_assert(ms >= 0);
    print(&duration, (uint64_t)ms, ret);
}

void hf_quantity_bytes_text(uint64_t bytes, char ret[HF_QUANTITY_TEXT_MAX])
{
    print(&size, bytes, ret);
}
