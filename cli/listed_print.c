/* SPDX-License-Identifier: Apache-2.0 */
/* listed_print.c - what an archive has, as text and as JSON. */
#include <inttypes.h>

#include "cli/gaps.h"
#include "cli/listed.h"
#include "cli/proof.h"
#include "cli/text.h"

#define SNAPSHOTS_SHOWN_MAX 10

static void sections_json(const struct hf_listed *l, json_t *object)
{
    (void)json_object_set_new(object, "sections", json_array());
    for (size_t i = 0; i < l->sections.count; i++) {
        const struct hf_section *section = &l->sections.items[i];
        json_t *row = hf_out_add(object, "sections");

        hf_out_set_time(row, "from", l->parts[i].from_ms);
        hf_out_set_time(row, "to", l->parts[i].to_ms);
        hf_out_set_number(row, "first_txid", section->first.max_txid);
        hf_out_set_number(row, "last_txid", section->last.max_txid);
        hf_out_set_number(row, "points_count", section->points_count);
        hf_out_set_number(row, "level", section->level);
        hf_out_set_text(row, "step", hf_section_step(section->level));
    }
}

static void snapshots_json(const struct hf_listed *l, json_t *object)
{
    (void)json_object_set_new(object, "snapshots", json_array());
    for (size_t i = 0; i < l->snapshots_count; i++) {
        json_t *row = hf_out_add(object, "snapshots");

        hf_out_set_number(row, "txid", l->snapshots[i].max_txid);
        hf_out_set_time(row, "time", l->snapshots_ms[i]);
        hf_out_set_number(row, "bytes", l->snapshots[i].size_bytes);
    }
}

static void levels_json(const struct hf_listed *l, json_t *object)
{
    for (unsigned i = 0; i < HF_LEVELS_COUNT; i++) {
        const struct hf_level_sum *sum = &l->spans.levels[i];

        if (sum->segments_count == 0)
            continue;

        json_t *row = hf_out_add(object, "levels");

        hf_out_set_number(row, "level", i);
        hf_out_set_text(row, "holds", hf_level_text(i));
        hf_out_set_number(row, "segments_count", sum->segments_count);
        hf_out_set_number(row, "bytes", sum->bytes);
    }
}

static void holes_json(const struct hf_listed *l, json_t *object)
{
    (void)json_object_set_new(object, "holes", json_array());
    for (size_t i = 0; i < l->spans.holes_count; i++) {
        json_t *row = hf_out_add(object, "holes");

        hf_out_set_number(row, "first_txid", l->spans.holes[i].first_txid);
        hf_out_set_number(row, "last_txid", l->spans.holes[i].last_txid);
    }
    if (l->tail_txid != 0) {
        json_t *row = hf_out_add(object, "holes");

        hf_out_set_number(row, "first_txid", l->tail_txid);
        hf_out_set_number(row, "last_txid", l->owner.last_txid);
    }
}

static void runs_json(const struct hf_listed *l, json_t *object)
{
    for (size_t i = 0; i < l->spans.runs_count; i++) {
        const struct hf_run *run = &l->spans.runs[i];
        json_t *row = hf_out_add(object, "runs");

        hf_out_set_number(row, "first_txid", run->first_txid);
        hf_out_set_number(row, "last_txid", run->last_txid);
        hf_out_set_number(row, "restorable_from_txid", run->restorable_from);
    }
}

void hf_listed_json(const struct hf_listed *l, json_t *object)
{
    hf_proof_json(l->archive.has_format, object);
    if (l->archive.has_format) {
        hf_out_set_text(object, "engine", l->archive.format.engine);
        hf_out_set_number(object, "page_bytes", l->archive.format.page_bytes);
        hf_out_set_text(object, "lineage", l->archive.format.lineage);
    }
    if (l->has_owner) {
        hf_out_set_text(object, "owner_host", l->owner.host);
        hf_out_set_number(object, "owner_epoch", l->owner.epoch);
        hf_out_set_time(object, "attached_until", l->owner.attached_until_ms);
    }
    hf_out_set_bool(object, "seed_lost", l->seed_lost);
    hf_out_set_number(object, "segments_count", l->all.count);
    hf_out_set_number(object, "bytes", hf_listed_bytes(l));
    hf_out_set_number(object, "nested_count", l->all.nested_count);
    runs_json(l, object);
    sections_json(l, object);
    snapshots_json(l, object);
    levels_json(l, object);
    holes_json(l, object);
    hf_gaps_json(&l->gaps, object);
}

/* One cell each, printed. */
static void add_count(struct hf_grid *g, uint64_t n)
{
    char text[HF_TEXT_MAX];

    hf_text_count(n, text);
    hf_grid_add(g, text);
}

static void add_size(struct hf_grid *g, uint64_t bytes)
{
    char text[HF_TEXT_MAX];

    hf_text_size(bytes, text);
    hf_grid_add(g, text);
}

static void add_time(struct hf_grid *g, int64_t ms)
{
    char text[HF_TIME_TEXT_MAX];

    hf_time_text(ms, text);
    hf_grid_add(g, text);
}

static void add_titles(struct hf_grid *g, const char *const *titles, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hf_grid_add(g, titles[i]);
}

static void print_sections(const struct hf_listed *l, struct hf_buf *ret)
{
    static const char *const titles[] = {"From", "To", "TXID", "to", "Step"};
    HF_AUTO_GRID g = {.align = "llrrl"};

    if (l->sections.count == 0) {
        hf_buf_printf(ret, "\nNothing can be restored: there is no snapshot.\n");
        return;
    }
    hf_buf_printf(ret, "\nCan be restored:\n");
    add_titles(&g, titles, HF_ARRAY_LEN(titles));
    for (size_t i = 0; i < l->sections.count; i++) {
        add_time(&g, l->parts[i].from_ms);
        add_time(&g, l->parts[i].to_ms);
        add_count(&g, l->sections.items[i].first.max_txid);
        add_count(&g, l->sections.items[i].last.max_txid);
        hf_grid_add(&g, hf_section_step(l->sections.items[i].level));
    }
    hf_grid_print(&g, 2, ret);
}

static void print_snapshots(const struct hf_listed *l, struct hf_buf *ret)
{
    static const char *const titles[] = {"Time", "TXID", "Size"};
    HF_AUTO_GRID g = {.align = "lrr"};
    const size_t shown = l->snapshots_count < SNAPSHOTS_SHOWN_MAX ? l->snapshots_count
                                                                  : SNAPSHOTS_SHOWN_MAX;

    if (shown == 0)
        return;
    hf_buf_printf(ret, "\nSnapshots:\n");
    add_titles(&g, titles, HF_ARRAY_LEN(titles));
    for (size_t i = l->snapshots_count - shown; i < l->snapshots_count; i++) {
        add_time(&g, l->snapshots_ms[i]);
        add_count(&g, l->snapshots[i].max_txid);
        add_size(&g, l->snapshots[i].size_bytes);
    }
    hf_grid_print(&g, 2, ret);
    if (shown < l->snapshots_count)
        hf_buf_printf(ret, "  and %zu older ones (--json has all)\n", l->snapshots_count - shown);
}

static void print_levels(const struct hf_listed *l, struct hf_buf *ret)
{
    static const char *const titles[] = {"Level", "Holds", "Segments", "Size"};
    HF_AUTO_GRID g = {.align = "rlrr"};

    hf_buf_printf(ret, "\nLevels:\n");
    add_titles(&g, titles, HF_ARRAY_LEN(titles));
    for (unsigned i = 0; i < HF_LEVELS_COUNT; i++) {
        if (l->spans.levels[i].segments_count == 0)
            continue;
        add_count(&g, i);
        hf_grid_add(&g, hf_level_text(i));
        add_count(&g, l->spans.levels[i].segments_count);
        add_size(&g, l->spans.levels[i].bytes);
    }
    hf_grid_print(&g, 2, ret);
}

/* What the archive is, and who writes to it. */
static void print_head(const struct hf_listed *l, const struct hf_place *place, struct hf_buf *ret)
{
    char text[HF_TIME_TEXT_MAX];

    hf_buf_printf(ret, "%s\n", place->url);
    if (l->archive.has_format) {
        hf_text_count(l->archive.format.page_bytes, text);
        hf_buf_printf(ret, "  %s, pages of %s bytes, lineage %.8s\n", l->archive.format.engine,
                      text, l->archive.format.lineage);
    } else if (!l->seed_lost) {
        hf_buf_printf(ret, "  %s\n", hf_proof_weaker_text);
    }
    if (!l->has_owner)
        return;
    hf_time_text(l->owner.attached_until_ms, text);
    hf_buf_printf(ret, "  archiver on %s, known to be attached until %s\n", l->owner.host, text);
}

static void print_picture(const struct hf_listed *l, bool utf8, struct hf_buf *ret)
{
    const struct hf_timeline timeline = {
        .parts = l->parts,
        .parts_count = l->sections.count,
        .holes = l->holes,
        .holes_count = l->spans.holes_count,
        .snapshots_ms = l->snapshots_ms,
        .snapshots_count = l->snapshots_count,
    };

    HF_AUTO_BUF text = {0};

    hf_timeline_print(&timeline, utf8, &text);
    if (text.len > 0)
        hf_buf_printf(ret, "\n%s", hf_buf_str(&text));
}

void hf_listed_print(const struct hf_listed *l, const struct hf_place *place, bool picture,
                     bool utf8, struct hf_buf *ret)
{
    print_head(l, place, ret);
    if (picture && l->sections.count > 0)
        print_picture(l, utf8, ret);
    print_sections(l, ret);
    hf_gaps_print(&l->gaps, ret);
    if (l->tail_txid != 0)
        hf_buf_printf(ret,
                      "\nMISSING: TXID %" PRIu64 " to %" PRIu64
                      " at the end: the archiver had confirmed them, and no segment holds them\n",
                      l->tail_txid, l->owner.last_txid);
    print_snapshots(l, ret);
    print_levels(l, ret);
}
