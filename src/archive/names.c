/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - building and strict reading of names. A name is read only in the one spelling that is
 * written, so two names never mean the same segment.
 */
#include "archive/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define TXID_DIGITS 16
#define FILE_TAIL   ".ltx"
#define FILE_LEN    (2 * TXID_DIGITS + 1 + sizeof(FILE_TAIL) - 1)

const char *hf_layout_text(enum hf_layout layout)
{
    return layout == HF_LAYOUT_HEX ? "0000" : "ltx/0";
}

bool hf_layout_parse(const char *text, enum hf_layout *ret)
{
    for (int i = 0; i < HF_LAYOUTS_COUNT; i++) {
        if (strcmp(text, hf_layout_text((enum hf_layout)i)) == 0) {
            *ret = (enum hf_layout)i;
            return true;
        }
    }
    return false;
}

void hf_name_level(enum hf_layout layout, unsigned level, char ret[HF_NAME_MAX])
{
    hf_assert(level < HF_LEVELS_COUNT);
    if (layout == HF_LAYOUT_HEX)
        (void)snprintf(ret, HF_NAME_MAX, "%04x/", level);
    else
        (void)snprintf(ret, HF_NAME_MAX, "ltx/%u/", level);
}

void hf_name_segment(enum hf_layout layout, const struct hf_segment *segment, char ret[HF_NAME_MAX])
{
    hf_assert(segment->min_txid >= 1 && segment->min_txid <= segment->max_txid);
    hf_assert(segment->max_txid <= HF_TXID_MAX);
    hf_name_level(layout, segment->level, ret);
    const size_t len = strlen(ret);

    (void)snprintf(ret + len, HF_NAME_MAX - len, "%016" PRIx64 "-%016" PRIx64 FILE_TAIL,
                   segment->min_txid, segment->max_txid);
}

void hf_name_start(enum hf_layout layout, unsigned level, uint64_t min_txid, char ret[HF_NAME_MAX])
{
    hf_name_level(layout, level, ret);
    const size_t len = strlen(ret);

    /* Without the dash: it sorts before every name that goes on with one. */
    (void)snprintf(ret + len, HF_NAME_MAX - len, "%016" PRIx64, min_txid);
}

/* Exactly 16 lower-case hex digits. */
static bool parse_txid(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < TXID_DIGITS; i++) {
        const char c = s[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false; /* the terminating NUL ends here too */
    }
    *ret = v;
    return true;
}

static bool parse_file(const char *file, uint64_t *ret_min_txid, uint64_t *ret_max_txid)
{
    uint64_t min;
    uint64_t max;

    if (strlen(file) != FILE_LEN || file[TXID_DIGITS] != '-' ||
        strcmp(file + FILE_LEN - (sizeof(FILE_TAIL) - 1), FILE_TAIL) != 0)
        return false;
    if (!parse_txid(file, &min) || !parse_txid(file + TXID_DIGITS + 1, &max))
        return false;
    if (min < 1 || max < min || max > HF_TXID_MAX)
        return false;
    *ret_min_txid = min;
    *ret_max_txid = max;
    return true;
}

enum hf_name_kind hf_name_parse(const char *rest, uint64_t *ret_min_txid, uint64_t *ret_max_txid)
{
    const char *slash = strrchr(rest, '/');
    uint64_t min;
    uint64_t max;

    if (slash == NULL)
        return parse_file(rest, ret_min_txid, ret_max_txid) ? HF_NAME_SEGMENT : HF_NAME_OTHER;
    return parse_file(slash + 1, &min, &max) ? HF_NAME_NESTED : HF_NAME_OTHER;
}

/* RFC 3339 without '-' and ':', so that names stay short and file names stay plain. */
static void compact_time(int64_t time_ms, char *ret)
{
    char text[HF_TIME_TEXT_MAX];

    hf_time_text(time_ms, text);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '-' && *p != ':')
            *ret++ = *p;
    }
    *ret = '\0';
}

void hf_name_proof(uint64_t txid, int64_t time_ms, char ret[HF_NAME_MAX])
{
    char text[HF_TIME_TEXT_MAX];

    hf_assert(txid >= 1 && txid <= HF_TXID_MAX && time_ms >= 0);
    compact_time(time_ms, text);
    (void)snprintf(ret, HF_NAME_MAX, HF_NAME_PROOFS "%016" PRIx64 "-%s", txid, text);
}

bool hf_name_proof_parse(const char *rest, uint64_t *ret_txid, int64_t *ret_time_ms)
{
    char text[HF_TIME_TEXT_MAX];
    char again[HF_NAME_MAX];
    struct hf_err err;
    int64_t time_ms;
    uint64_t txid;

    if (!parse_txid(rest, &txid) || txid < 1 || txid > HF_TXID_MAX || rest[TXID_DIGITS] != '-')
        return false;
    const char *t = rest + TXID_DIGITS + 1;

    if (strlen(t) != sizeof("20260102T030405.678Z") - 1)
        return false;
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.5s:%.2s:%s", t, t + 4, t + 6, t + 11, t + 13);
    if (hf_time_parse(text, &time_ms, &err) != HF_OK || time_ms < 0)
        return false;
    hf_name_proof(txid, time_ms, again);
    if (strcmp(again + sizeof(HF_NAME_PROOFS) - 1, rest) != 0)
        return false;
    *ret_txid = txid;
    *ret_time_ms = time_ms;
    return true;
}

void hf_name_catchup(uint64_t max_txid, char ret[HF_NAME_MAX])
{
    hf_assert(max_txid >= 1 && max_txid <= HF_TXID_MAX);
    (void)snprintf(ret, HF_NAME_MAX, HF_NAME_CATCHUPS "%016" PRIx64, max_txid);
}

bool hf_name_catchup_parse(const char *rest, uint64_t *ret_max_txid)
{
    uint64_t txid;

    if (!parse_txid(rest, &txid) || rest[TXID_DIGITS] != '\0' || txid < 1 || txid > HF_TXID_MAX)
        return false;
    *ret_max_txid = txid;
    return true;
}
