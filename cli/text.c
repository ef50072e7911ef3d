/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - how numbers, paragraphs and tables are laid out. */
#include "cli/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define COLUMN_GAP 2

void hf_text_count(uint64_t n, char ret[HF_TEXT_MAX])
{
    char digits[HF_TEXT_MAX];
    const size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            ret[at++] = ',';
        ret[at++] = digits[i];
    }
    ret[at] = '\0';
}

void hf_text_size(uint64_t bytes, char ret[HF_TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1023.95 && unit + 1 < HF_ARRAY_LEN(units); unit++)
        value /= 1024;
    if (unit == 0 || value >= 99.95)
        (void)snprintf(ret, HF_TEXT_MAX, "%.0f %s", value, units[unit]);
    else
        (void)snprintf(ret, HF_TEXT_MAX, "%.1f %s", value, units[unit]);
}

void hf_text_duration(int64_t ms, char ret[HF_TEXT_MAX])
{
    const int64_t sec = ms / 1000;

    if (ms < 0)
        (void)snprintf(ret, HF_TEXT_MAX, "0 s");
    else if (ms < 1000)
        (void)snprintf(ret, HF_TEXT_MAX, "%" PRId64 " ms", ms);
    else if (sec < 60)
        (void)snprintf(ret, HF_TEXT_MAX, "%" PRId64 " s", sec);
    else if (sec < 3600)
        (void)snprintf(ret, HF_TEXT_MAX, "%" PRId64 " min %02" PRId64 " s", sec / 60, sec % 60);
    else if (sec < 86400)
        (void)snprintf(ret, HF_TEXT_MAX, "%" PRId64 " h %02" PRId64 " min", sec / 3600,
                       sec / 60 % 60);
    else
        (void)snprintf(ret, HF_TEXT_MAX, "%" PRId64 " d %02" PRId64 " h", sec / 86400,
                       sec / 3600 % 24);
}

size_t hf_text_columns(const char *text)
{
    size_t columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
    return columns;
}

static void add_spaces(struct hf_buf *ret, size_t n)
{
    (void)memset(hf_buf_extend(ret, n), ' ', n);
}

void hf_text_wrap(struct hf_buf *ret, const char *text, size_t at, size_t indent, size_t width)
{
    size_t column = at;
    bool first = true; /* on its line, so that it stands there however long it is */

    while (*text != '\0') {
        const size_t len = strcspn(text, " \n");

        if (!first && column + 1 + len > width) {
            hf_buf_append(ret, "\n", 1);
            add_spaces(ret, indent);
            column = indent;
            first = true;
        }
        if (!first)
            hf_buf_append(ret, " ", 1);
        hf_buf_append(ret, text, len);
        column += len + !first;
        first = false;
        text += len;
        if (*text == '\n') {
            hf_buf_append(ret, "\n", 1);
            if (text[1] != '\n' && text[1] != '\0')
                add_spaces(ret, indent);
            column = indent;
            first = true;
        }
        text += *text != '\0';
    }
}

void hf_grid_add(struct hf_grid *g, const char *cell)
{
    if (g->cells_count == g->cells_cap) {
        g->cells_cap = g->cells_cap == 0 ? 64 : g->cells_cap * 2;
        g->cells = hf_realloc(g->cells, g->cells_cap, sizeof(*g->cells));
    }
    g->cells[g->cells_count++] = hf_strdup(cell);
}

static void print_cell(const char *cell, size_t width, char align, bool last, struct hf_buf *ret)
{
    const size_t pad = width - hf_text_columns(cell);

    if (align == 'r')
        add_spaces(ret, pad);
    hf_buf_append(ret, cell, strlen(cell));
    if (last)
        return;
    add_spaces(ret, (align == 'r' ? 0 : pad) + COLUMN_GAP);
}

/* Take off what an empty last cell left behind. */
static void trim(struct hf_buf *ret)
{
    while (ret->len > 0 && ret->ptr[ret->len - 1] == ' ')
        ret->len--;
}

void hf_grid_print(const struct hf_grid *g, size_t indent, struct hf_buf *ret)
{
    const size_t columns = strlen(g->align);
    size_t widths[HF_COLUMNS_MAX] = {0};

    hf_assert(columns > 0 && columns <= HF_COLUMNS_MAX && g->cells_count % columns == 0);
    for (size_t i = 0; i < g->cells_count; i++) {
        const size_t width = hf_text_columns(g->cells[i]);

        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < g->cells_count; i++) {
        const size_t column = i % columns;

        if (column == 0)
            add_spaces(ret, indent);
        print_cell(g->cells[i], widths[column], g->align[column], column + 1 == columns, ret);
        if (column + 1 == columns) {
            trim(ret);
            hf_buf_append(ret, "\n", 1);
        }
    }
}

void hf_grid_done(struct hf_grid *g)
{
    for (size_t i = 0; i < g->cells_count; i++)
        hf_free(g->cells[i]);
    hf_free(g->cells);
    *g = (struct hf_grid){.align = g->align};
}
