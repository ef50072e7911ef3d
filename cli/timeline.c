/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.c - one row for steps and holes, one for snapshots, times below, and the key.
 *
 * A hole wins over what surrounds it, so that it is seen however short it is.
 */
#include "cli/timeline.h"

#include <string.h>

#include "archive/segment.h"
#include "base/clock.h"
#include "cli/sections.h"

#define CELL_NONE HF_LEVELS_COUNT
#define CELL_HOLE (HF_LEVELS_COUNT + 1)
#define FINE_MAX  3 /* steps from here on look the same */

struct glyphs {
    const char *levels[FINE_MAX + 1];
    const char *hole;
    const char *snapshot;
};

static const struct glyphs *glyphs_for(bool utf8)
{
    static const struct glyphs fine = {{"█", "▓", "▒", "░"}, "X", "▲"};
    static const struct glyphs ascii = {{"#", "=", "-", "."}, "X", "^"};

    return utf8 ? &fine : &ascii;
}

struct axis {
    int64_t from_ms;
    int64_t to_ms;
};

static void stretch(struct axis *a, const struct hf_timeline_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].from_ms < a->from_ms)
            a->from_ms = parts[i].from_ms;
        if (parts[i].to_ms > a->to_ms)
            a->to_ms = parts[i].to_ms;
    }
}

static struct axis axis_of(const struct hf_timeline *t)
{
    struct axis a = {.from_ms = INT64_MAX, .to_ms = INT64_MIN};

    stretch(&a, t->parts, t->parts_count);
    stretch(&a, t->holes, t->holes_count);
    return a;
}

static size_t column_of(const struct axis *a, int64_t ms)
{
    const double part = (double)(ms - a->from_ms) / (double)(a->to_ms - a->from_ms);

    if (part <= 0)
        return 0;
    return part >= 1 ? HF_TIMELINE_COLUMNS - 1 : (size_t)(part * (HF_TIMELINE_COLUMNS - 1));
}

static void paint(unsigned *cells, const struct axis *a, const struct hf_timeline_part *part,
                  unsigned what)
{
    for (size_t i = column_of(a, part->from_ms); i <= column_of(a, part->to_ms); i++)
        cells[i] = what;
}

static const char *cell_text(unsigned cell, const struct glyphs *g)
{
    if (cell == CELL_NONE)
        return " ";
    if (cell == CELL_HOLE)
        return g->hole;
    return g->levels[cell < FINE_MAX ? cell : FINE_MAX];
}

static void print_steps(const struct hf_timeline *t, const struct axis *a, const struct glyphs *g,
                        struct hf_buf *ret)
{
    unsigned cells[HF_TIMELINE_COLUMNS];

    for (size_t i = 0; i < HF_TIMELINE_COLUMNS; i++)
        cells[i] = CELL_NONE;
    for (size_t i = 0; i < t->parts_count; i++)
        paint(cells, a, &t->parts[i], t->parts[i].level);
    for (size_t i = 0; i < t->holes_count; i++)
        paint(cells, a, &t->holes[i], CELL_HOLE);
    hf_buf_printf(ret, "  |");
    for (size_t i = 0; i < HF_TIMELINE_COLUMNS; i++)
        hf_buf_printf(ret, "%s", cell_text(cells[i], g));
    hf_buf_printf(ret, "|\n");
}

static void print_snapshots(const struct hf_timeline *t, const struct axis *a,
                            const struct glyphs *g, struct hf_buf *ret)
{
    bool cells[HF_TIMELINE_COLUMNS] = {false};
    size_t last = 0;

    for (size_t i = 0; i < t->snapshots_count; i++) {
        const size_t column = column_of(a, t->snapshots_ms[i]);

        cells[column] = true;
        last = column > last ? column : last;
    }
    hf_buf_printf(ret, "   ");
    for (size_t i = 0; i <= last; i++)
        hf_buf_printf(ret, "%s", cells[i] ? g->snapshot : " ");
    hf_buf_printf(ret, "\n");
}

/* Which glyph means what, of those that occur. */
static void print_key(const struct hf_timeline *t, const struct glyphs *g, struct hf_buf *ret)
{
    bool seen[HF_LEVELS_COUNT] = {false};

    for (size_t i = 0; i < t->parts_count; i++)
        seen[t->parts[i].level] = true;
    hf_buf_printf(ret, "   ");
    for (unsigned i = 0; i < HF_LEVELS_COUNT; i++) {
        if (seen[i])
            hf_buf_printf(ret, "%s %s   ", cell_text(i, g), hf_section_step(i));
    }
    hf_buf_printf(ret, "%s snapshot", g->snapshot);
    if (t->holes_count > 0)
        hf_buf_printf(ret, "   %s hole", g->hole);
    hf_buf_printf(ret, "\n");
}

void hf_timeline_print(const struct hf_timeline *t, bool utf8, struct hf_buf *ret)
{
    const struct axis a = axis_of(t);
    const struct glyphs *g = glyphs_for(utf8);
    char from[HF_TIME_TEXT_MAX];
    char to[HF_TIME_TEXT_MAX];

    if (a.to_ms <= a.from_ms)
        return;
    hf_time_text(a.from_ms, from);
    hf_time_text(a.to_ms, to);
    print_steps(t, &a, g, ret);
    print_snapshots(t, &a, g, ret);
    hf_buf_printf(ret, "   %s%*s%s\n", from, (int)(HF_TIMELINE_COLUMNS - strlen(from) - strlen(to)),
                  "", to);
    print_key(t, g, ret);
}
