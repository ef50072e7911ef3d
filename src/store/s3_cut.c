/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_cut.c - of the borders at which a part may end, the one is chosen whose index is divisible by
 * the greatest power of two: whoever comes near such a border chooses it, from wherever he comes.
 */
#include "store/s3_cut.h"

#include <string.h>

#include "base/check.h"

#define UNIT_BYTES_MIN   ((uint64_t)1 << 20)
#define UNITS_PLANNED    8192 /* of a hinted size; the other numbers are for what follows them */
#define PART_BYTES_USUAL ((uint64_t)16 << 20) /* three times the minimum, and some: DESIGN.md */
#define WITHIN           UINT64_MAX

struct border {
    size_t at; /* in the bytes held */
    uint64_t index;
};

void hf_s3_cutter_init(struct hf_s3_cutter *c, uint64_t size_hint, bool equal)
{
    *c = (struct hf_s3_cutter){.unit = UNIT_BYTES_MIN, .equal = equal};
    while (c->unit < size_hint / UNITS_PLANNED)
        c->unit *= 2;
    /* Compression makes a unit that does not compress larger: by a 20th, in small pages. */
    c->bytes_max = c->unit + c->unit / 8;
    if (c->bytes_max < PART_BYTES_USUAL)
        c->bytes_max = PART_BYTES_USUAL;
    if (c->bytes_max > HF_S3_PART_BYTES_MAX)
        c->bytes_max = HF_S3_PART_BYTES_MAX;
}

void hf_s3_cutter_done(struct hf_s3_cutter *c)
{
    hf_buf_done(&c->borders);
}

void hf_s3_cutter_border(struct hf_s3_cutter *c, size_t at, uint64_t position)
{
    const struct border b = {.at = at, .index = position / c->unit};

    if (!c->equal && at >= HF_S3_PART_BYTES_MIN && position % c->unit == 0)
        hf_buf_append(&c->borders, &b, sizeof(b));
}

static uint64_t power_of_two_in(uint64_t index)
{
    return index & (~index + 1);
}

/* NULL: there is no border. */
static const struct border *best_border(const struct hf_s3_cutter *c)
{
    const struct border *borders = (const struct border *)(const void *)c->borders.ptr;
    const struct border *best = NULL;

    for (size_t i = 0; i < c->borders.len / sizeof(*borders); i++) {
        if (best == NULL || power_of_two_in(borders[i].index) > power_of_two_in(best->index))
            best = &borders[i];
    }
    return best;
}

/* The next part begins behind `cut`: forget the borders before it, and move the others. Those that
 * are too near to it for a part of the least size go, too. */
static void move_borders(struct hf_s3_cutter *c, size_t cut)
{
    struct border *borders = (struct border *)(void *)c->borders.ptr;
    const size_t count = borders != NULL ? c->borders.len / sizeof(*borders) : 0;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct border b = borders[i];

        if (b.at >= cut + HF_S3_PART_BYTES_MIN)
            borders[kept++] = (struct border){.at = b.at - cut, .index = b.index};
    }
    c->borders.len = kept * sizeof(*borders);
}

size_t hf_s3_cutter_take(struct hf_s3_cutter *c, size_t len, unsigned *ret_number)
{
    const struct border *best = best_border(c);
    const size_t cut = best != NULL ? best->at : len;
    const uint64_t next_index = best != NULL ? best->index : WITHIN;
    unsigned number = c->number + 1;

    hf_assert(cut <= len && len <= c->bytes_max);
    /* What comes behind the last number is an error of the caller's, which this keeps one. */
    if (c->first_index != WITHIN && c->first_index >= number)
        number = c->first_index < HF_S3_PARTS_MAX ? (unsigned)c->first_index + 1
                                                  : HF_S3_PARTS_MAX + 1;
    c->number = number;
    c->first_index = next_index;
    move_borders(c, cut);
    *ret_number = number;
    return cut;
}
