/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - numbers and paragraphs as people read them, and tables with aligned columns. Pure but
 * for printing; any thread.
 */
#ifndef HF_CLI_TEXT_H
#define HF_CLI_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

#define HF_TEXT_MAX    32 /* bytes with NUL, of the texts below */
#define HF_COLUMNS_MAX 8  /* of a table */
#define HF_HELP_WIDTH  79 /* columns: the help must fit a terminal of 80 */

/* "12,345". */
void hf_text_count(uint64_t n, char ret[HF_TEXT_MAX]);
/* "512 B", "1.2 MiB": four significant characters at most. */
void hf_text_size(uint64_t bytes, char ret[HF_TEXT_MAX]);
/* "45 ms", "12 s", "3 min 05 s", "2 h 10 min", "4 d 03 h". */
void hf_text_duration(int64_t ms, char ret[HF_TEXT_MAX]);

/*
 * Append `text` in lines of at most `width` columns, broken at spaces; every line but the first
 * begins with `indent` spaces, and the first is taken to stand at column `at`. A newline in `text`
 * stays one. No newline is put at the end.
 */
void hf_text_wrap(struct hf_buf *ret, const char *text, size_t at, size_t indent, size_t width);

/* Columns that a UTF-8 text takes; every character is taken to be one wide. */
size_t hf_text_columns(const char *text);

/* Rows of cells. All zero but `align`, which has 'l' or 'r' for each column, is an empty table. */
struct hf_grid {
    const char *align; /* static */
    char **cells;      /* row by row */
    size_t cells_count;
    size_t cells_cap;
};

void hf_grid_add(struct hf_grid *g, const char *cell); /* copied */
/* Append the rows, each behind `indent` spaces; the last row must be full. */
void hf_grid_print(const struct hf_grid *g, size_t indent, struct hf_buf *ret);
void hf_grid_done(struct hf_grid *g);
#define HF_AUTO_GRID HF_CLEANUP(hf_grid_done) struct hf_grid

#endif
