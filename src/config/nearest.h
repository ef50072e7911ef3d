/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest.h - "did you mean": of the words that would have been right, the one that was meant.
 */
#ifndef HF_CONFIG_NEAREST_H
#define HF_CONFIG_NEAREST_H

#include <stddef.h>

#define HF_NEAREST_WORD_MAX 64 /* bytes without NUL; a longer word has no nearest one */

/*
 * The number of single letters to insert, remove, replace, or swap with their neighbour, that turns
 * `a` into `b`. Words over HF_NEAREST_WORD_MAX are at distance SIZE_MAX from everything.
 */
size_t hf_nearest_distance(const char *a, const char *b);

/* The word nearest to `word` (the first of several), one of `words` and so borrowed; NULL if none
 * is near enough to have been meant: a third of its letters may be wrong, and at least one. */
const char *hf_nearest(const char *word, const char *const *words, size_t words_count);

#endif
