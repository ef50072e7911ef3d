/* SPDX-License-Identifier: Apache-2.0 */
/* gaps.c - gaps as JSON and as a table. */
#include "cli/gaps.h"

#include "base/clock.h"
#include "cli/text.h"

#define GAPS_SHOWN_MAX 10

void hf_gap_json(const struct hf_gap *gap, json_t *object)
{
    hf_out_set_time(object, "from", gap->from_ms);
    hf_out_set_time(object, "to", gap->to_ms);
    hf_out_set_number(object, "from_txid", gap->from_txid);
    hf_out_set_number(object, "to_txid", gap->to_txid);
}

void hf_gaps_json(const struct hf_gaps *gaps, json_t *object)
{
    (void)json_object_set_new(object, "gaps", json_array());
    for (size_t i = 0; i < gaps->count; i++)
        hf_gap_json(&gaps->items[i], hf_out_add(object, "gaps"));
    hf_out_set_number(object, "older_gaps_count", gaps->older_count);
}

static void add_row(struct hf_grid *g, const struct hf_gap *gap)
{
    char text[HF_TIME_TEXT_MAX];

    hf_time_text(gap->from_ms, text);
    hf_grid_add(g, text);
    hf_time_text(gap->to_ms, text);
    hf_grid_add(g, text);
    hf_text_count(gap->from_txid, text);
    hf_grid_add(g, text);
    hf_text_count(gap->to_txid, text);
    hf_grid_add(g, text);
}

void hf_gaps_print(const struct hf_gaps *gaps, struct hf_buf *ret)
{
    static const char *const titles[] = {"From", "To", "TXID", "to"};
    HF_AUTO_GRID g = {.align = "llrr"};
    const size_t shown = gaps->count < GAPS_SHOWN_MAX ? gaps->count : GAPS_SHOWN_MAX;
    const size_t hidden = gaps->count - shown + gaps->older_count;

    if (gaps->count == 0)
        return;
    hf_buf_printf(ret, "\nNothing was captured in between:\n");
    for (size_t i = 0; i < HF_ARRAY_LEN(titles); i++)
        hf_grid_add(&g, titles[i]);
    for (size_t i = gaps->count - shown; i < gaps->count; i++)
        add_row(&g, &gaps->items[i]);
    hf_grid_print(&g, 2, ret);
    if (hidden > 0)
        hf_buf_printf(ret, "  and %zu older ones (--json has more)\n", hidden);
}
