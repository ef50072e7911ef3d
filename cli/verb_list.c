/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_list.c - holdfast list: what can be restored, and what is missing.
 *
 * One archive is shown in full; a table's partitions have a row each. Holes are said in both. A gap
 * is no hole: all that was captured is there, and only a restore into it has status 1.
 */
#include <inttypes.h>

#include "archive/format.h"
#include "cli/listed.h"
#include "cli/text.h"

/* What is missing or damaged, a line each. */
static void tell_missing(const struct hf_session *s, const struct hf_place *place,
                         const struct hf_listed *l)
{
    for (size_t i = 0; i < l->spans.holes_count; i++)
        hf_out_finding(s->out, "%s: hole: TXID %" PRIu64 " to %" PRIu64 " are missing", place->name,
                       l->spans.holes[i].first_txid, l->spans.holes[i].last_txid);
    for (size_t i = 0; i < l->spans.runs_count; i++) {
        const struct hf_run *run = &l->spans.runs[i];

        if (run->restorable_from == 0)
            hf_out_finding(s->out, "%s: lost: no snapshot leads to TXID %" PRIu64 " to %" PRIu64,
                           place->name, run->first_txid, run->last_txid);
    }
    if (l->seed_lost)
        hf_out_finding(s->out, "%s: %s", place->name, hf_format_lost_text);
    if (l->owner_fault.code != HF_OK)
        hf_out_finding(s->out, "%s: %s", place->name, l->owner_fault.text);
    if (l->all.nested_count > 0)
        hf_out_note(s->out,
                    "holdfast: %s: %" PRIu64
                    " keys named like segments lie a folder too deep, "
                    "as %s; Litestream fails on them",
                    place->name, l->all.nested_count, l->all.nested_key);
}

/* A row of the overview. */
static void add_row(struct hf_grid *g, const struct hf_place *place, const struct hf_listed *l)
{
    const size_t last = l->sections.count > 0 ? l->sections.count - 1 : 0;
    char text[HF_TIME_TEXT_MAX];

    hf_grid_add(g, place->name);
    if (l->sections.count == 0) {
        for (int i = 0; i < 3; i++)
            hf_grid_add(g, "-");
    } else {
        hf_time_text(l->parts[0].from_ms, text);
        hf_grid_add(g, text);
        hf_time_text(l->parts[last].to_ms, text);
        hf_grid_add(g, text);
        hf_text_count(l->sections.items[last].last.max_txid, text);
        hf_grid_add(g, text);
    }
    hf_text_size(hf_listed_bytes(l), text);
    hf_grid_add(g, text);
    hf_text_count(l->spans.holes_count, text);
    hf_grid_add(g, text);
    hf_text_count(l->gaps.count + l->gaps.older_count, text);
    hf_grid_add(g, text);
}

static enum hf_code list_place(struct hf_session *s, const struct hf_places *places,
                               const struct hf_place *place, struct hf_grid *overview,
                               json_t *object, struct hf_err *err)
{
    HF_CLEANUP(hf_listed_done) struct hf_listed listed;
    HF_AUTO_BUF text = {0};
    const enum hf_code rc = hf_listed_read(s, places, place, &listed, err);

    if (rc != HF_OK)
        return rc;
    hf_listed_json(&listed, object);
    if (places->whole) {
        add_row(overview, place, &listed);
    } else {
        hf_listed_print(&listed, place, s->out->to_terminal, s->out->utf8, &text);
        hf_out_text(s->out, &text);
    }
    tell_missing(s, place, &listed);
    if (hf_listed_is_broken(&listed))
        hf_session_found(s);
    return HF_OK;
}

static enum hf_code list_all(struct hf_session *s, const struct hf_places *places,
                             struct hf_err *err)
{
    static const char *const titles[] = {"Partition", "From",  "To",  "TXID",
                                         "Size",      "Holes", "Gaps"};
    HF_AUTO_GRID overview = {.align = "lllrrrr"};
    HF_AUTO_BUF text = {0};

    for (size_t i = 0; i < HF_ARRAY_LEN(titles); i++)
        hf_grid_add(&overview, titles[i]);
    for (size_t i = 0; i < places->count && !hf_session_stopped(s); i++) {
        json_t *object = hf_place_json(s, &places->items[i]);
        const enum hf_code rc = list_place(s, places, &places->items[i], &overview, object, err);

        if (rc != HF_OK)
            hf_session_failed(s, object, places->items[i].name, err);
    }
    hf_grid_print(&overview, 0, &text);
    hf_out_text(s->out, &text);
    return hf_session_stopped(s) ? hf_err_set(err, HF_CANCELED, "stopped before all was listed")
                                 : HF_OK;
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    enum hf_code rc = hf_places_find(s, HF_PLACES_ARCHIVED, false, &places, err);
    json_t *object = NULL;

    if (rc != HF_OK)
        return rc;
    if (places.whole)
        return list_all(s, &places, err);
    object = hf_place_json(s, &places.items[0]);
    rc = list_place(s, &places, &places.items[0], NULL, object, err);
    if (rc != HF_OK)
        hf_out_set_error(object, err);
    return rc;
}

const struct hf_verb hf_verb_list = {
    .name = "list",
    .summary = "Show what an archive has: spans, steps, snapshots, holes, gaps",
    .usage =
        {
            "list URL [OPTION ...]",
            "list -c FILE [TABLE | TABLE/PARTITION] [OPTION ...]",
        },
    .about =
        "Shows between which moments a database can be restored and in which steps, the snapshots, "
        "the bytes of each level, and gaps: times in which no archiver followed the database, so "
        "that a restore to one gives what was before. A hole makes the exit status 1, and an "
        "archive that is empty or missing 2; a gap is no fault of the archive. Objects are listed, "
        "not read: 'holdfast verify' proves them.",
    .examples = {"holdfast list s3://backups/app", "holdfast list -c holdfast.yaml orders --json"},
    .plain = {.min = 1, .max = 1},
    .named = {.min = 0, .max = 1},
    .run = run,
};
