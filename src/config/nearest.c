/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest.c - the restricted edit distance (each place is edited once), by three rows of the usual
 * table: a swap looks two rows back.
 */
#include "config/nearest.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t hf_nearest_distance(const char *a, const char *b)
{
    const size_t a_len = strlen(a);
    const size_t b_len = strlen(b);
    size_t rows[3][HF_NEAREST_WORD_MAX + 1] = {0}; /* row i is the distances from a[0..i) */

    if (a_len > HF_NEAREST_WORD_MAX || b_len > HF_NEAREST_WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *swap = rows[(i + 1) % 3]; /* = (i - 2) % 3 */

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], swap[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *hf_nearest(const char *word, const char *const *words, size_t words_count)
{
    const char *ret = NULL;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < words_count; i++) {
        const size_t distance = hf_nearest_distance(word, words[i]);
        const size_t third = strlen(words[i]) / 3;

        if (distance < best && distance <= (third > 1 ? third : 1)) {
            best = distance;
            ret = words[i];
        }
    }
    return ret;
}
