/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.c - the schema of holdfast.yaml, and libcyaml's complaints in our words.
 *
 * yamldoc.c has judged the keys by the time libcyaml runs; what libcyaml still finds are wrong
 * kinds of value, empty ones and aliases. It tells of them only in its log, in several lines: the
 * first says what, the others where, from the inside out: "in sequence entry '1' (line: 3, column:
 * 5)", "in mapping field 'tables' (line: 3, column: 3)".
 */
#include "config/raw.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config.h"

#define COMPLAINT_MAX 256 /* bytes with NUL; libcyaml quotes values in it */
#define FIELD_MAX     64  /* bytes with NUL */

/* Text that the file may leave out, and text that it must have. */
#define OPTIONAL_TEXT(key, type, member)                                                           \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 1,         \
                           CYAML_UNLIMITED)
#define REQUIRED_TEXT(key, type, member)                                                           \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, CYAML_UNLIMITED)
#define OPTIONAL_KEYS(key, type, member, fields)                                                   \
    CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, fields)
#define OPTIONAL_LIST(key, type, member)                                                           \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member,              \
                         &text_schema, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t retention_fields[] = {
    OPTIONAL_TEXT("every-capture", struct hf_raw_retention, every_capture),
    OPTIONAL_TEXT("history", struct hf_raw_retention, history),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t scrub_fields[] = {
    OPTIONAL_TEXT("every", struct hf_raw_scrub, every),
    OPTIONAL_TEXT("rate", struct hf_raw_scrub, rate),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t table_fields[] = {
    REQUIRED_TEXT("name", struct hf_raw_table, name),
    REQUIRED_TEXT("partitions", struct hf_raw_table, partitions),
    OPTIONAL_TEXT("capture", struct hf_raw_table, capture),
    OPTIONAL_TEXT("seal", struct hf_raw_table, seal),
    OPTIONAL_KEYS("retention", struct hf_raw_table, retention, retention_fields),
    OPTIONAL_KEYS("scrub", struct hf_raw_table, scrub, scrub_fields),
    OPTIONAL_LIST("replicas", struct hf_raw_table, replicas),
    OPTIONAL_LIST("copies", struct hf_raw_table, copies),
    OPTIONAL_TEXT("encryption", struct hf_raw_table, encryption),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t table_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct hf_raw_table, table_fields),
};

static const cyaml_schema_field_t top_fields[] = {
    REQUIRED_TEXT("store", struct hf_raw, store),
    CYAML_FIELD_SEQUENCE("tables", CYAML_FLAG_POINTER, struct hf_raw, tables, &table_schema, 1,
                         HF_CONFIG_TABLES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct hf_raw, top_fields),
};

/* What libcyaml said. */
struct complaint {
    char what[COMPLAINT_MAX];
    unsigned line;         /* of the innermost place; 0 if there is none */
    char field[FIELD_MAX]; /* the innermost key */
};

static void collect(cyaml_log_t level, void *ctx, const char *fmt, va_list args) HF_PRINTF(3, 0);

static void collect(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    struct complaint *c = ctx;
    char line[COMPLAINT_MAX];

    if (level != CYAML_LOG_ERROR)
        return;
    (void)vsnprintf(line, sizeof(line), fmt, args);

    const char *place = strstr(line, "(line: ");

    if (c->what[0] == '\0') {
        (void)memcpy(c->what, line, sizeof(line));
        return;
    }
    if (c->line == 0 && place != NULL)
        (void)sscanf(place, "(line: %u", &c->line);
    if (c->field[0] == '\0')
        (void)sscanf(line, " in mapping field '%63[^']'", c->field);
}

static void *reallocate(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    if (size > 0)
        return hf_realloc(ptr, 1, size);
    hf_free(ptr);
    return NULL;
}

static cyaml_config_t cyaml_setup(struct complaint *c)
{
    return (cyaml_config_t){
        .log_fn = collect,
        .log_ctx = c,
        .mem_fn = reallocate,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

/* The words of "Expecting SEQUENCE, got event: SCALAR" for people. */
static const char *expected_kind(const char *what)
{
    if (strstr(what, "Expecting SEQUENCE") != NULL)
        return "a list is expected";
    if (strstr(what, "Expecting MAPPING") != NULL)
        return "keys with values are expected";
    return "one plain value is expected";
}

static const char *explain(cyaml_err_t code, const char *what)
{
    switch (code) {
    case CYAML_ERR_INVALID_VALUE:
        return expected_kind(what);
    case CYAML_ERR_STRING_LENGTH_MIN:
        return "the value is missing";
    case CYAML_ERR_SEQUENCE_ENTRIES_MIN:
        return "at least one entry is expected";
    case CYAML_ERR_SEQUENCE_ENTRIES_MAX:
        return "there are too many entries";
    case CYAML_ERR_ALIAS:
        return "aliases (*name) are not available; write the value out";
    default:
        return what[0] != '\0' ? what : cyaml_strerror(code);
    }
}

static enum hf_code complain(cyaml_err_t code, const struct complaint *c, const char *file,
                             struct hf_err *err)
{
    return hf_err_set(err, HF_USAGE, "%s:%u: %s%s%s", file, c->line > 0 ? c->line : 1, c->field,
                      c->field[0] != '\0' ? ": " : "", explain(code, c->what));
}

enum hf_code hf_raw_parse(struct hf_slice text, const char *file, struct hf_yamldoc **ret_doc,
                          struct hf_raw **ret, struct hf_err *err)
{
    HF_CLEANUP(hf_yamldoc_free_ptr) struct hf_yamldoc *doc = NULL;
    struct complaint complaint = {0};
    const cyaml_config_t setup = cyaml_setup(&complaint);
    cyaml_data_t *raw = NULL;
    enum hf_code rc = hf_yamldoc_parse(text, file, &doc, err);

    if (rc != HF_OK)
        return rc;
    rc = hf_yamldoc_check_keys(doc, &top_schema, err);
    if (rc != HF_OK)
        return rc;

    const cyaml_err_t code = cyaml_load_data(text.ptr, text.len, &setup, &top_schema, &raw, NULL);

    if (code != CYAML_OK)
        return complain(code, &complaint, file, err);
    *ret_doc = hf_take_ptr(&doc);
    *ret = raw;
    return HF_OK;
}

void hf_raw_free(struct hf_raw *raw)
{
    struct complaint unused = {0};
    const cyaml_config_t setup = cyaml_setup(&unused);

    (void)cyaml_free(&setup, &top_schema, raw, 0);
}

void hf_raw_free_ptr(struct hf_raw **raw)
{
    hf_raw_free(*raw);
    *raw = NULL;
}
