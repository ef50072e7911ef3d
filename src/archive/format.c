/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.c - holdfast/format.
 *
 * least_reader is judged before any other field, since a newer format may have changed all of them.
 */
#include "archive/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/json.h"
#include "base/check.h"

#define SEED_DIGITS    16
#define PAGE_BYTES_MAX 65536
#define LAYOUT_MAX     16 /* bytes with NUL */
#define TRIES_MAX      4  /* of create, where puts stay uncertain or the object comes and goes */

const char hf_format_lost_text[] = HF_NAME_FORMAT
    " is missing, and with it the seed of the roots that the segments carry: they can "
    "be judged by checksums alone. Put a copy of it back";

void hf_format_init(struct hf_archive_format *f, const char *engine, uint32_t page_bytes,
                    enum hf_layout layout, struct hf_rand *rand)
{
    *f = (struct hf_archive_format){
        .number = HF_FORMAT_NUMBER,
        .least_reader = HF_FORMAT_NUMBER,
        .page_bytes = page_bytes,
        .seed = hf_rand_u64(rand),
        .layout = layout,
    };
    hf_assert(strlen(engine) > 0 && strlen(engine) < HF_ENGINE_MAX);
    (void)memcpy(f->engine, engine, strlen(engine) + 1);
    const uint64_t hi = hf_rand_u64(rand);
    const uint64_t lo = hf_rand_u64(rand);

    (void)snprintf(f->lineage, sizeof(f->lineage), "%016" PRIx64 "%016" PRIx64, hi, lo);
}

void hf_format_print(const struct hf_archive_format *f, struct hf_buf *ret)
{
    HF_AUTO_JSON *json = hf_json_new();
    char seed[SEED_DIGITS + 1];

    (void)snprintf(seed, sizeof(seed), "%016" PRIx64, f->seed);
    hf_json_set_number(json, "format", f->number);
    hf_json_set_number(json, "least_reader", f->least_reader);
    hf_json_set_text(json, "engine", f->engine);
    hf_json_set_number(json, "page_bytes", f->page_bytes);
    hf_json_set_text(json, "seed", seed);
    hf_json_set_text(json, "lineage", f->lineage);
    hf_json_set_text(json, "layout", hf_layout_text(f->layout));
    hf_json_print(json, ret);
}

/* The two numbers, and whether they let us read the rest. */
static enum hf_code parse_numbers(const json_t *json, struct hf_archive_format *f,
                                  struct hf_err *err)
{
    uint64_t number;
    uint64_t least;
    enum hf_code rc;

    rc = hf_json_get_number(json, "format", UINT32_MAX, &number, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_number(json, "least_reader", UINT32_MAX, &least, err);
    if (rc != HF_OK)
        return rc;
    if (least > HF_FORMAT_NUMBER)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "the archive is of format %" PRIu64
                          " and needs a reader of format %" PRIu64
                          "; this holdfast reads up to format %d: use a newer holdfast",
                          number, least, HF_FORMAT_NUMBER);
    f->number = (uint32_t)number;
    f->least_reader = (uint32_t)least;
    return HF_OK;
}

static enum hf_code parse_hashing(const json_t *json, struct hf_archive_format *f,
                                  struct hf_err *err)
{
    char seed[SEED_DIGITS + 1];
    uint64_t page_bytes;
    enum hf_code rc;

    rc = hf_json_get_number(json, "page_bytes", PAGE_BYTES_MAX, &page_bytes, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_hex(json, "seed", SEED_DIGITS, seed, err);
    if (rc != HF_OK)
        return rc;
    f->page_bytes = (uint32_t)page_bytes;
    f->seed = strtoull(seed, NULL, 16); /* 16 hex digits, as just checked */
    return HF_OK;
}

static enum hf_code parse_rest(const json_t *json, struct hf_archive_format *f, struct hf_err *err)
{
    char layout[LAYOUT_MAX];
    enum hf_code rc;

    rc = hf_json_get_text(json, "engine", f->engine, sizeof(f->engine), err);
    if (rc != HF_OK)
        return rc;
    rc = parse_hashing(json, f, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_hex(json, "lineage", HF_LINEAGE_MAX - 1, f->lineage, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_text(json, "layout", layout, sizeof(layout), err);
    if (rc != HF_OK)
        return rc;
    if (!hf_layout_parse(layout, &f->layout))
        return hf_err_set(err, HF_DAMAGE, "\"layout\" is \"%s\", not \"0000\" or \"ltx/0\"",
                          layout);
    return HF_OK;
}

enum hf_code hf_format_parse(struct hf_slice body, struct hf_archive_format *ret,
                             struct hf_err *err)
{
    HF_AUTO_JSON *json = NULL;
    struct hf_archive_format f = {0};
    enum hf_code rc;

    rc = hf_json_parse(body, HF_NAME_FORMAT, &json, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_numbers(json, &f, err);
    if (rc == HF_OK)
        rc = parse_rest(json, &f, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, HF_NAME_FORMAT);
    *ret = f;
    return HF_OK;
}

enum hf_code hf_format_read(const struct hf_archive *a, struct hf_archive_format *ret,
                            struct hf_err *err)
{
    HF_AUTO_BUF body = {0};
    char url[HF_ARCHIVE_URL_MAX];
    enum hf_code rc;

    rc = hf_archive_get(a, HF_NAME_FORMAT, &body, NULL, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_format_parse(hf_buf_slice(&body), ret, err);
    if (rc == HF_OK)
        return HF_OK;
    hf_archive_url(a, url);
    if (rc != HF_DAMAGE)
        return hf_err_wrap(err, "%s", url);
    const struct hf_err why = *err;

    return hf_err_set(err, HF_DAMAGE,
                      "%s: %s. Put a copy of that object back, or move it away: then what is "
                      "restored is judged by checksums alone, and not by roots",
                      url, why.text);
}

/* What lies in the archive becomes a->format. */
static enum hf_code adopt(struct hf_archive *a, struct hf_err *err)
{
    const enum hf_code rc = hf_format_read(a, &a->format, err);

    if (rc != HF_OK)
        return rc;
    a->has_format = true;
    a->layout = a->format.layout;
    return HF_OK;
}

enum hf_code hf_format_create(struct hf_archive *a, const struct hf_archive_format *want,
                              struct hf_err *err)
{
    const bool cond = (hf_store_caps(a->store) & HF_STORE_COND_PUT) != 0;
    HF_AUTO_BUF body = {0};
    enum hf_code rc = HF_OK;

    hf_format_print(want, &body);
    for (int i = 0; i < TRIES_MAX; i++) {
        /* Look first: it is the usual case, and without conditional puts the only guard. */
        rc = adopt(a, err);
        if (rc != HF_NOT_FOUND)
            return rc;
        rc = hf_archive_put(a, HF_NAME_FORMAT, hf_buf_slice(&body),
                            cond ? HF_PUT_IF_ABSENT : HF_PUT_ALWAYS, NULL, NULL, err);
        if (rc != HF_OK && rc != HF_CONFLICT && rc != HF_UNCERTAIN)
            return rc;
    }
    /* The last word is what is there, whatever the last put said of itself. */
    const enum hf_code put_rc = rc;
    rc = adopt(a, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_recode(err, put_rc == HF_UNCERTAIN ? HF_UNCERTAIN : HF_CONFLICT,
                             "after %d puts of %s", TRIES_MAX, HF_NAME_FORMAT);
    return rc;
}

enum hf_code hf_format_check(const struct hf_archive *a, const char *engine, uint32_t page_bytes,
                             struct hf_err *err)
{
    char url[HF_ARCHIVE_URL_MAX];

    hf_assert(a->has_format);
    hf_archive_url(a, url);
    if (strcmp(a->format.engine, engine) != 0)
        return hf_err_set(err, HF_USAGE,
                          "%s is the archive of a %s database, this one is %s: archive it to "
                          "another URL",
                          url, a->format.engine, engine);
    if (a->format.page_bytes != page_bytes)
        return hf_err_set(err, HF_USAGE,
                          "%s holds pages of %" PRIu32 " bytes, the database has pages of %" PRIu32
                          ": its page size was changed, which needs a new lineage; archive it to "
                          "another URL, or move the old archive away first",
                          url, a->format.page_bytes, page_bytes);
    return HF_OK;
}
