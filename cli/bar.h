/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bar.h - how far a long operation is, on standard error: a bar that is redrawn on a terminal, else
 * a line every few seconds. Nothing at all under --json, --quiet and --no-progress.
 */
#ifndef HF_CLI_BAR_H
#define HF_CLI_BAR_H

#include "base/clock.h"
#include "engine/engine.h"

struct hf_session;

struct hf_bar {
    struct hf_progress base; /* first, so that the pointers convert */
    struct hf_clock *clock;  /* borrowed */
    const char *what;        /* "restore", ...; static */
    const char *name;        /* of the partition; borrowed */
    const char *wal_path;    /* its size is shown; NULL: none. Borrowed */
    struct hf_fs *fs;        /* borrowed */
    bool shown;
    bool redraw; /* on one line of a terminal */
    bool drawn;  /* there is something to clear */
    int64_t start_us;
    int64_t next_us;
    uint64_t first_bytes; /* done when it was first told, which is not part of the rate */
};

/* Ready to be told. `alone`: no other bar is told meanwhile, so that this one may be redrawn. */
void hf_bar_init(struct hf_bar *b, const struct hf_session *s, const char *what, const char *name,
                 bool alone);
/* The line on the terminal is empty again. */
void hf_bar_done(struct hf_bar *b);

/* "[#####     ] 50 % 1.0 GiB of 2.0 GiB, 100 MiB/s, 10 s left": what is drawn; pure. */
void hf_bar_text(uint64_t done, uint64_t total, uint64_t bytes_per_s, size_t bar_columns,
                 struct hf_buf *ret);

#endif
