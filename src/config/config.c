/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - from texts to numbers, with defaults and limits.
 *
 * One function a value; each knows its key, so that a message can name the table, the key and the
 * line. The defaults stand in one place, table_defaults.
 */
#include "config/config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/glob.h"
#include "config/quantity.h"
#include "config/raw.h"

#define DAY_MS INT64_C(86400000)

static const struct hf_table table_defaults = {
    .seal = HF_SEAL_AUTO,
    .capture_ms = 1000,
    .retention_every_capture_ms = 7 * DAY_MS,
    .retention_history_ms = 35 * DAY_MS,
    .scrub_every_ms = DAY_MS,
    .scrub_bytes_per_s = 50 << 20,
};

/* The table that is being read, for messages. */
struct place {
    const struct hf_yamldoc *doc;
    const char *file;
    const char *name; /* of the table */
    size_t index;
};

/* "FILE:LINE: table NAME: KEY: " before the message. */
static enum hf_code wrap_at(const struct place *at, const char *key, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("tables.%zu.%s", at->index, key);

    return hf_err_wrap(err, "%s:%zu: table %s: %s", at->file, hf_yamldoc_line(at->doc, path),
                       at->name, key);
}

static enum hf_code read_duration(const struct place *at, const char *key, const char *text,
                                  int64_t ms_min, int64_t ms_max, int64_t *ret_ms,
                                  struct hf_err *err)
{
    int64_t ms = 0;
    char least[HF_QUANTITY_TEXT_MAX];
    char most[HF_QUANTITY_TEXT_MAX];

    if (text == NULL)
        return HF_OK;
    if (hf_quantity_duration(text, &ms, err) != HF_OK)
        return wrap_at(at, key, err);
    if (ms < ms_min || ms > ms_max) {
        hf_quantity_duration_text(ms_min, least);
        hf_quantity_duration_text(ms_max, most);
        (void)hf_err_set(err, HF_USAGE, "\"%s\" is outside %s to %s", text, least, most);
        return wrap_at(at, key, err);
    }
    *ret_ms = ms;
    return HF_OK;
}

static enum hf_code read_name(const struct place *at, const char *text, struct hf_err *err)
{
    const size_t len = strlen(text);
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    if (len > HF_TABLE_NAME_MAX)
        (void)hf_err_set(err, HF_USAGE, "longer than %d letters", HF_TABLE_NAME_MAX);
    else if (strspn(text, letters) != len)
        (void)hf_err_set(err, HF_USAGE, "only letters, digits, - and _ are allowed");
    else if (strcmp(text, "holdfast") == 0)
        (void)hf_err_set(err, HF_USAGE, "the name \"holdfast\" is taken by the archive itself");
    else
        return HF_OK;
    return wrap_at(at, "name", err);
}

static enum hf_code read_seal(const struct place *at, const char *text, enum hf_seal *ret,
                              struct hf_err *err)
{
    if (text == NULL)
        return HF_OK;
    if (strcmp(text, "auto") == 0) {
        *ret = HF_SEAL_AUTO;
        return HF_OK;
    }
    if (strcmp(text, "no-lock") == 0) {
        *ret = HF_SEAL_NO_LOCK;
        return HF_OK;
    }
    (void)hf_err_set(err, HF_USAGE, "\"%s\" is neither auto nor no-lock", text);
    return wrap_at(at, "seal", err);
}

static enum hf_code read_retention(const struct place *at, const struct hf_raw_retention *raw,
                                   struct hf_table *ret, struct hf_err *err)
{
    static const struct hf_raw_retention nothing;
    enum hf_code rc;

    if (raw == NULL)
        raw = &nothing;
    rc = read_duration(at, "retention.every-capture", raw->every_capture, HF_RETENTION_MS_MIN,
                       HF_DURATION_MS_MAX, &ret->retention_every_capture_ms, err);
    if (rc != HF_OK)
        return rc;
    rc = read_duration(at, "retention.history", raw->history, HF_RETENTION_MS_MIN,
                       HF_DURATION_MS_MAX, &ret->retention_history_ms, err);
    if (rc != HF_OK)
        return rc;
    if (ret->retention_history_ms < ret->retention_every_capture_ms) {
        char captures[HF_QUANTITY_TEXT_MAX];
        char history[HF_QUANTITY_TEXT_MAX];

        hf_quantity_duration_text(ret->retention_every_capture_ms, captures);
        hf_quantity_duration_text(ret->retention_history_ms, history);
        (void)hf_err_set(err, HF_USAGE, "history (%s) must not be shorter than every-capture (%s)",
                         history, captures);
        return wrap_at(at, "retention", err);
    }
    return HF_OK;
}

static enum hf_code read_rate(const struct place *at, const char *text, uint64_t *ret_bytes_per_s,
                              struct hf_err *err)
{
    uint64_t bytes_per_s = 0;

    if (text == NULL)
        return HF_OK;
    if (hf_quantity_rate(text, &bytes_per_s, err) != HF_OK)
        return wrap_at(at, "scrub.rate", err);
    if (bytes_per_s < HF_SCRUB_BYTES_PER_S_MIN) {
        (void)hf_err_set(err, HF_USAGE, "\"%s\" is below 64KiB/s", text);
        return wrap_at(at, "scrub.rate", err);
    }
    *ret_bytes_per_s = bytes_per_s;
    return HF_OK;
}

static enum hf_code read_scrub(const struct place *at, const struct hf_raw_scrub *raw,
                               struct hf_table *ret, struct hf_err *err)
{
    enum hf_code rc;

    if (raw == NULL)
        return HF_OK;
    rc = read_duration(at, "scrub.every", raw->every, HF_SCRUB_EVERY_MS_MIN, HF_DURATION_MS_MAX,
                       &ret->scrub_every_ms, err);
    if (rc != HF_OK)
        return rc;
    return read_rate(at, raw->rate, &ret->scrub_bytes_per_s, err);
}

/* A durability service must not ignore what it was asked for: better not to start at all. */
static enum hf_code refuse_unavailable(const struct place *at, const struct hf_raw_table *raw,
                                       struct hf_err *err)
{
    const char *key = NULL;

    if (raw->replicas_count > 0)
        key = "replicas";
    else if (raw->copies_count > 0)
        key = "copies";
    if (key != NULL) {
        (void)hf_err_set(err, HF_USAGE,
                         "not available yet in holdfast " HF_VERSION "; leave the list empty");
        return wrap_at(at, key, err);
    }
    if (raw->encryption != NULL && strcmp(raw->encryption, "none") != 0) {
        (void)hf_err_set(err, HF_USAGE,
                         "\"%s\" is not available yet in holdfast " HF_VERSION "; only \"none\" is",
                         raw->encryption);
        return wrap_at(at, "encryption", err);
    }
    return HF_OK;
}

static enum hf_code read_table(const struct place *at, const struct hf_raw_table *raw,
                               struct hf_table *ret, struct hf_err *err)
{
    enum hf_code rc = read_name(at, raw->name, err);

    if (rc != HF_OK)
        return rc;
    if (hf_glob_check(raw->partitions, err) != HF_OK)
        return wrap_at(at, "partitions", err);
    rc = read_duration(at, "capture", raw->capture, HF_CAPTURE_MS_MIN, HF_CAPTURE_MS_MAX,
                       &ret->capture_ms, err);
    if (rc != HF_OK)
        return rc;
    rc = read_seal(at, raw->seal, &ret->seal, err);
    if (rc != HF_OK)
        return rc;
    rc = read_retention(at, raw->retention, ret, err);
    if (rc != HF_OK)
        return rc;
    rc = read_scrub(at, raw->scrub, ret, err);
    if (rc != HF_OK)
        return rc;
    rc = refuse_unavailable(at, raw, err);
    if (rc != HF_OK)
        return rc;
    ret->name = hf_strdup(raw->name);
    ret->partitions = hf_strdup(raw->partitions);
    return HF_OK;
}

/* The last table of `config` has nothing in common with those before it. */
static enum hf_code check_apart(const struct place *at, const struct hf_config *config,
                                struct hf_err *err)
{
    const struct hf_table *last = &config->tables[config->tables_count - 1];

    for (const struct hf_table *t = config->tables; t < last; t++) {
        if (strcmp(t->name, last->name) == 0) {
            (void)hf_err_set(err, HF_USAGE, "another table has this name");
            return wrap_at(at, "name", err);
        }
        if (hf_glob_overlap(t->partitions, last->partitions)) {
            (void)hf_err_set(err, HF_USAGE,
                             "%s and %s of table %s can match the same file; a database belongs to "
                             "one table",
                             last->partitions, t->partitions, t->name);
            return wrap_at(at, "partitions", err);
        }
    }
    return HF_OK;
}

static enum hf_code read_tables(const struct hf_yamldoc *doc, const struct hf_raw *raw,
                                const char *file, struct hf_config *ret, struct hf_err *err)
{
    ret->tables = hf_calloc(raw->tables_count, sizeof(*ret->tables));
    for (size_t i = 0; i < raw->tables_count; i++) {
        const struct place at = {.doc = doc, .file = file, .name = raw->tables[i].name, .index = i};
        enum hf_code rc;

        ret->tables[i] = table_defaults;
        ret->tables_count = i + 1;
        rc = read_table(&at, &raw->tables[i], &ret->tables[i], err);
        if (rc != HF_OK)
            return rc;
        rc = check_apart(&at, ret, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

enum hf_code hf_config_parse(struct hf_slice text, const char *file, struct hf_config **ret,
                             struct hf_err *err)
{
    HF_CLEANUP(hf_yamldoc_free_ptr) struct hf_yamldoc *doc = NULL;
    HF_CLEANUP(hf_raw_free_ptr) struct hf_raw *raw = NULL;
    HF_CLEANUP(hf_config_free_ptr) struct hf_config *config = hf_calloc(1, sizeof(*config));
    enum hf_code rc = hf_raw_parse(text, file, &doc, &raw, err);

    if (rc != HF_OK)
        return rc;
    config->store_url = hf_strdup(raw->store);
    rc = read_tables(doc, raw, file, config, err);
    if (rc != HF_OK)
        return rc;
    hf_assert(config->tables_count > 0);
    *ret = hf_take_ptr(&config);
    return HF_OK;
}

enum hf_code hf_config_load(struct hf_fs *fs, const char *path, struct hf_config **ret,
                            struct hf_err *err)
{
    HF_AUTO_BUF text = {0};
    enum hf_code rc = hf_fs_read_all(fs, path, HF_CONFIG_BYTES_MAX, &text, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "configuration");
    return hf_config_parse(hf_buf_slice(&text), path, ret, err);
}

const struct hf_table *hf_config_find_table(const struct hf_config *config, const char *name)
{
    for (size_t i = 0; i < config->tables_count; i++) {
        if (strcmp(config->tables[i].name, name) == 0)
            return &config->tables[i];
    }
    return NULL;
}

void hf_config_free(struct hf_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->tables_count; i++) {
        hf_free(config->tables[i].name);
        hf_free(config->tables[i].partitions);
    }
    hf_free(config->tables);
    hf_free(config->store_url);
    hf_free(config);
}

void hf_config_free_ptr(struct hf_config **config)
{
    hf_config_free(*config);
    *config = NULL;
}
