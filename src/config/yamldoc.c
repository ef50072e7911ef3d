/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yamldoc.c - libyaml's document tree, walked along libcyaml's schema.
 *
 * The walk goes no deeper than the schema does, so a document whose aliases make it endless cannot
 * hold it up.
 */
#include "config/yamldoc.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/nearest.h"

#define KEYS_MAX 16 /* of one mapping of the schema */

struct hf_yamldoc {
    yaml_document_t tree;
    char *file;
};

static void parser_done(yaml_parser_t *parser)
{
    yaml_parser_delete(parser);
}

static enum hf_code parse_failed(const yaml_parser_t *parser, const char *file, struct hf_err *err)
{
    return hf_err_set(
        err, HF_USAGE, "%s:%zu: not YAML: %s%s%s", file, parser->problem_mark.line + 1,
        parser->problem != NULL ? parser->problem : "cannot be read",
        parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "");
}

/* There is one document, `doc` holds it, and behind it there is nothing. */
static enum hf_code parse_only(yaml_parser_t *parser, struct hf_yamldoc *doc, struct hf_err *err)
{
    yaml_document_t second;

    if (!yaml_parser_load(parser, &doc->tree))
        return parse_failed(parser, doc->file, err);
    if (yaml_document_get_root_node(&doc->tree) == NULL)
        return hf_err_set(err, HF_USAGE,
                          "%s:1: the file is empty; it needs at least store and "
                          "tables",
                          doc->file);
    if (!yaml_parser_load(parser, &second))
        return parse_failed(parser, doc->file, err);

    const yaml_node_t *root = yaml_document_get_root_node(&second);
    const size_t line = root != NULL ? root->start_mark.line + 1 : 0;

    yaml_document_delete(&second);
    if (line > 0)
        return hf_err_set(err, HF_USAGE, "%s:%zu: a second document begins here; one is expected",
                          doc->file, line);
    return HF_OK;
}

enum hf_code hf_yamldoc_parse(struct hf_slice text, const char *file, struct hf_yamldoc **ret,
                              struct hf_err *err)
{
    HF_CLEANUP(parser_done) yaml_parser_t parser;
    HF_CLEANUP(hf_yamldoc_free_ptr) struct hf_yamldoc *doc = hf_calloc(1, sizeof(*doc));
    const int ready = yaml_parser_initialize(&parser);

    hf_assert(ready); /* it only allocates */
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    doc->file = hf_strdup(file);

    enum hf_code rc = parse_only(&parser, doc, err);

    if (rc != HF_OK)
        return rc;
    *ret = hf_take_ptr(&doc);
    return HF_OK;
}

static yaml_node_t *node_at(const struct hf_yamldoc *doc, int id)
{
    /* libyaml asks for a document it may change, and does not change it. */
    return yaml_document_get_node((yaml_document_t *)&doc->tree, id);
}

static bool scalar_is(const yaml_node_t *node, const char *text, size_t len)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == len &&
           memcmp(node->data.scalar.value, text, len) == 0;
}

/* The pair of a mapping whose key is the text; NULL if it has none. */
static const yaml_node_pair_t *find_pair(const struct hf_yamldoc *doc, const yaml_node_t *mapping,
                                         const char *key, size_t key_len)
{
    const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

    for (; pair < mapping->data.mapping.pairs.top; pair++) {
        if (scalar_is(node_at(doc, pair->key), key, key_len))
            return pair;
    }
    return NULL;
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields,
                                              const yaml_node_t *key)
{
    for (; fields->key != NULL; fields++) {
        if (scalar_is(key, fields->key, strlen(fields->key)))
            return fields;
    }
    return NULL;
}

static enum hf_code unknown_key(const struct hf_yamldoc *doc, const yaml_node_t *key,
                                const cyaml_schema_field_t *fields, struct hf_err *err)
{
    const char *words[KEYS_MAX];
    size_t words_count = 0;
    HF_AUTO_BUF known = {0};
    const size_t line = key->start_mark.line + 1;

    if (key->type != YAML_SCALAR_NODE)
        return hf_err_set(err, HF_USAGE, "%s:%zu: a key must be a word", doc->file, line);
    for (; fields->key != NULL; fields++) {
        hf_assert(words_count < KEYS_MAX);
        words[words_count++] = fields->key;
        hf_buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", fields->key);
    }

    const char *text = (const char *)key->data.scalar.value;
    const char *meant = hf_nearest(text, words, words_count);

    if (meant != NULL)
        return hf_err_set(err, HF_USAGE, "%s:%zu: unknown key \"%s\"; did you mean \"%s\"?",
                          doc->file, line, text, meant);
    return hf_err_set(err, HF_USAGE, "%s:%zu: unknown key \"%s\"; known here: %s", doc->file, line,
                      text, hf_buf_str(&known));
}

static enum hf_code check_node(const struct hf_yamldoc *doc, const yaml_node_t *node,
                               const cyaml_schema_value_t *schema, struct hf_err *err);

static enum hf_code check_pair(const struct hf_yamldoc *doc, const yaml_node_t *mapping,
                               const yaml_node_pair_t *pair, const cyaml_schema_field_t *fields,
                               struct hf_err *err)
{
    const yaml_node_t *key = node_at(doc, pair->key);
    const cyaml_schema_field_t *field = find_field(fields, key);

    if (field == NULL)
        return unknown_key(doc, key, fields, err);

    const yaml_node_pair_t *first = find_pair(doc, mapping, field->key, strlen(field->key));

    if (first != pair)
        return hf_err_set(err, HF_USAGE, "%s:%zu: \"%s\" is here again; it is in line %zu already",
                          doc->file, key->start_mark.line + 1, field->key,
                          node_at(doc, first->key)->start_mark.line + 1);
    return check_node(doc, node_at(doc, pair->value), &field->value, err);
}

static enum hf_code check_mapping(const struct hf_yamldoc *doc, const yaml_node_t *mapping,
                                  const cyaml_schema_field_t *fields, struct hf_err *err)
{
    const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

    for (; pair < mapping->data.mapping.pairs.top; pair++) {
        const enum hf_code rc = check_pair(doc, mapping, pair, fields, err);

        if (rc != HF_OK)
            return rc;
    }
    for (; fields->key != NULL; fields++) {
        if ((fields->value.flags & CYAML_FLAG_OPTIONAL) == 0 &&
            find_pair(doc, mapping, fields->key, strlen(fields->key)) == NULL)
            return hf_err_set(err, HF_USAGE, "%s:%zu: \"%s\" is missing", doc->file,
                              mapping->start_mark.line + 1, fields->key);
    }
    return HF_OK;
}

static enum hf_code check_sequence(const struct hf_yamldoc *doc, const yaml_node_t *sequence,
                                   const cyaml_schema_value_t *entry, struct hf_err *err)
{
    const yaml_node_item_t *item = sequence->data.sequence.items.start;

    for (; item < sequence->data.sequence.items.top; item++) {
        const enum hf_code rc = check_node(doc, node_at(doc, *item), entry, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static enum hf_code check_node(const struct hf_yamldoc *doc, const yaml_node_t *node,
                               const cyaml_schema_value_t *schema, struct hf_err *err)
{
    if (node->type == YAML_MAPPING_NODE && schema->type == CYAML_MAPPING)
        return check_mapping(doc, node, schema->mapping.fields, err);
    if (node->type == YAML_SEQUENCE_NODE && schema->type == CYAML_SEQUENCE)
        return check_sequence(doc, node, schema->sequence.entry, err);
    if (node->type == YAML_SCALAR_NODE &&
        memchr(node->data.scalar.value, 0, node->data.scalar.length) != NULL)
        return hf_err_set(err, HF_USAGE, "%s:%zu: a value holds a NUL byte", doc->file,
                          node->start_mark.line + 1);
    return HF_OK;
}

enum hf_code hf_yamldoc_check_keys(const struct hf_yamldoc *doc, const cyaml_schema_value_t *schema,
                                   struct hf_err *err)
{
    return check_node(doc, node_at(doc, 1), schema, err);
}

/* The node that `part` of a path leads to from `node`; NULL if it leads nowhere. */
static const yaml_node_t *step(const struct hf_yamldoc *doc, const yaml_node_t *node,
                               const char *part, size_t len)
{
    if (node->type == YAML_MAPPING_NODE) {
        const yaml_node_pair_t *pair = find_pair(doc, node, part, len);

        return pair != NULL ? node_at(doc, pair->value) : NULL;
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        const yaml_node_item_t *start = node->data.sequence.items.start;
        const size_t index = strtoul(part, NULL, 10);

        return index < (size_t)(node->data.sequence.items.top - start) ? node_at(doc, start[index])
                                                                       : NULL;
    }
    return NULL;
}

size_t hf_yamldoc_line(const struct hf_yamldoc *doc, const char *path)
{
    const yaml_node_t *node = node_at(doc, 1);

    while (*path != '\0') {
        const size_t len = strcspn(path, ".");
        const yaml_node_t *next = step(doc, node, path, len);

        if (next == NULL)
            break;
        node = next;
        path += len + (path[len] == '.');
    }
    return node->start_mark.line + 1;
}

void hf_yamldoc_free(struct hf_yamldoc *doc)
{
    if (doc == NULL)
        return;
    yaml_document_delete(&doc->tree);
    hf_free(doc->file);
    hf_free(doc);
}

void hf_yamldoc_free_ptr(struct hf_yamldoc **doc)
{
    hf_yamldoc_free(*doc);
    *doc = NULL;
}
