/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_config.c - holdfast config check and config show: what a configuration means here and now.
 *
 * Check also opens the store, which judges its URL and looks for credentials but sends nothing, and
 * expands the patterns. Show prints YAML that means the same, with every default filled in.
 */
#include <string.h>

#include "base/alloc.h"
#include "cli/session.h"
#include "cli/text.h"
#include "config/nearest.h"
#include "config/partition.h"
#include "config/quantity.h"
#include "store/open.h"

static enum hf_code check_store(const struct hf_session *s, struct hf_err *err)
{
    HF_CLEANUP(hf_store_free_ptr) struct hf_store *store = NULL;
    const struct hf_store_env env = {
        .fs = s->fs, .clock = s->clock, .rand = s->rand, .stop = s->store_stop};
    const enum hf_code rc = hf_store_open(s->config->store_url, &env, &store, err);

    if (rc == HF_NOT_FOUND) /* a file:// store that the first archive run will make */
        return HF_OK;
    return rc == HF_OK ? rc : hf_err_wrap(err, "store");
}

static enum hf_code check_table(const struct hf_session *s, const struct hf_table *table,
                                size_t *total, struct hf_err *err)
{
    HF_CLEANUP(hf_partitions_done) struct hf_partitions found = {0};
    json_t *object = hf_out_add(s->out->root, "tables");
    char count[HF_TEXT_MAX];
    const enum hf_code rc = hf_partition_list(s->fs, table, &found, err);

    hf_out_set_text(object, "name", table->name);
    if (rc != HF_OK)
        return hf_err_wrap(err, "table %s", table->name);
    hf_text_count(found.count, count);
    hf_out_set_number(object, "databases_count", found.count);
    hf_out_line(s->out, "table %s: %s database%s match%s %s", table->name, count,
                found.count == 1 ? "" : "s", found.count == 1 ? "es" : "", table->partitions);
    *total += found.count;
    return HF_OK;
}

static enum hf_code check(struct hf_session *s, struct hf_err *err)
{
    size_t total = 0;
    enum hf_code rc = check_store(s, err);

    for (size_t i = 0; rc == HF_OK && i < s->config->tables_count; i++)
        rc = check_table(s, &s->config->tables[i], &total, err);
    if (rc == HF_OK)
        hf_out_line(s->out, "%s can be used: %zu table%s, %zu database%s", s->args->config,
                    s->config->tables_count, s->config->tables_count == 1 ? "" : "s", total,
                    total == 1 ? "" : "s");
    return rc;
}

/* A text as YAML in single quotes, which know one escape: the quote, doubled. */
static void add_quoted(struct hf_buf *ret, const char *key, const char *text)
{
    hf_buf_printf(ret, "%s: '", key);
    for (; *text != '\0'; text++)
        hf_buf_printf(ret, "%s%c", *text == '\'' ? "'" : "", *text);
    hf_buf_printf(ret, "'\n");
}

static void show_table(const struct hf_session *s, const struct hf_table *t, struct hf_buf *ret)
{
    json_t *object = hf_out_add(s->out->root, "tables");
    const char *seal = t->seal == HF_SEAL_NO_LOCK ? "no-lock" : "auto";
    char capture[HF_QUANTITY_TEXT_MAX];
    char every[HF_QUANTITY_TEXT_MAX];
    char history[HF_QUANTITY_TEXT_MAX];
    char scrub_every[HF_QUANTITY_TEXT_MAX];
    char rate[HF_QUANTITY_TEXT_MAX];

    hf_quantity_duration_text(t->capture_ms, capture);
    hf_quantity_duration_text(t->retention_every_capture_ms, every);
    hf_quantity_duration_text(t->retention_history_ms, history);
    hf_quantity_duration_text(t->scrub_every_ms, scrub_every);
    hf_quantity_bytes_text(t->scrub_bytes_per_s, rate);
    hf_buf_printf(ret, "  - name: %s\n", t->name);
    add_quoted(ret, "    partitions", t->partitions);
    hf_buf_printf(ret,
                  "    capture: %s\n    seal: %s\n"
                  "    retention: {every-capture: %s, history: %s}\n"
                  "    scrub: {every: %s, rate: %s/s}\n",
                  capture, seal, every, history, scrub_every, rate);
    hf_out_set_text(object, "name", t->name);
    hf_out_set_text(object, "partitions", t->partitions);
    hf_out_set_text(object, "seal", seal);
    hf_out_set_number(object, "capture_ms", (uint64_t)t->capture_ms);
    hf_out_set_number(object, "retention_every_capture_ms",
                      (uint64_t)t->retention_every_capture_ms);
    hf_out_set_number(object, "retention_history_ms", (uint64_t)t->retention_history_ms);
    hf_out_set_number(object, "scrub_every_ms", (uint64_t)t->scrub_every_ms);
    hf_out_set_number(object, "scrub_bytes_per_s", t->scrub_bytes_per_s);
}

static enum hf_code show(struct hf_session *s)
{
    HF_AUTO_BUF text = {0};

    hf_out_set_text(s->out->root, "store", s->config->store_url);
    add_quoted(&text, "store", s->config->store_url);
    hf_buf_printf(&text, "tables:\n");
    for (size_t i = 0; i < s->config->tables_count; i++)
        show_table(s, &s->config->tables[i], &text);
    hf_out_text(s->out, &text);
    return HF_OK;
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    static const char *const actions[] = {"check", "show"};
    const char *action = s->args->operands[0];

    if (s->config == NULL)
        return hf_err_set(err, HF_USAGE, "config needs the file: holdfast config %s -c FILE",
                          action);
    if (strcmp(action, "check") == 0)
        return check(s, err);
    if (strcmp(action, "show") == 0)
        return show(s);

    const char *meant = hf_nearest(action, actions, HF_ARRAY_LEN(actions));

    if (meant != NULL)
        return hf_err_set(err, HF_USAGE, "there is no 'config %s': did you mean 'config %s'?",
                          action, meant);
    return hf_err_set(err, HF_USAGE, "there is no 'config %s': expected check or show", action);
}

const struct hf_verb hf_verb_config = {
    .name = "config",
    .summary = "Check a configuration, or show what it means",
    .usage = {"config check -c FILE", "config show -c FILE"},
    .about =
        "'config check' reads the configuration, opens its store without sending anything, and "
        "says how many databases each table has. 'config show' prints the configuration with "
        "every default filled in.",
    .examples = {"holdfast config check -c holdfast.yaml"},
    .plain = {.min = 1, .max = 1},
    .named = {.min = 1, .max = 1},
    .run = run,
};
