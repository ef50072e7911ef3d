/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bar.c - progress by done and total bytes. The rate is the mean since the first telling, which
 * jumps less than a recent one and ends up right.
 */
#include "cli/bar.h"

#include <string.h>
#include <unistd.h>

#include "cli/session.h"
#include "cli/text.h"

#define REDRAW_US   INT64_C(100000)
#define LINE_US     INT64_C(5000000)
#define BAR_COLUMNS 24

void hf_bar_text(uint64_t done, uint64_t total, uint64_t bytes_per_s, size_t bar_columns,
                 struct hf_buf *ret)
{
    const double part = total == 0 ? 0 : done >= total ? 1 : (double)done / (double)total;
    char size[HF_TEXT_MAX];

    if (bar_columns > 0 && total > 0) {
        hf_buf_append(ret, "[", 1);
        for (size_t i = 0; i < bar_columns; i++)
            hf_buf_append(ret, (double)i < part * (double)bar_columns ? "#" : " ", 1);
        hf_buf_append(ret, "] ", 2);
    }
    hf_text_size(done, size);
    if (total == 0)
        hf_buf_printf(ret, "%s", size);
    else
        hf_buf_printf(ret, "%d %% %s", (int)(part * 100), size);
    if (total > 0) {
        hf_text_size(total, size);
        hf_buf_printf(ret, " of %s", size);
    }
    if (bytes_per_s == 0)
        return;
    hf_text_size(bytes_per_s, size);
    hf_buf_printf(ret, ", %s/s", size);
    if (total > done) {
        hf_text_duration((int64_t)((double)(total - done) / (double)bytes_per_s * 1000), size);
        hf_buf_printf(ret, ", %s left", size);
    }
}

/* ", WAL 4.0 MiB": what gathers meanwhile in the database's own log. */
static void add_wal(struct hf_bar *b, struct hf_buf *ret)
{
    struct hf_stat st;
    struct hf_err err;
    char size[HF_TEXT_MAX];

    if (b->wal_path == NULL || hf_fs_stat(b->fs, b->wal_path, &st, &err) != HF_OK)
        return;
    hf_text_size(st.size_bytes, size);
    hf_buf_printf(ret, ", WAL %s", size);
}

static void draw(struct hf_bar *b, int64_t now_us, uint64_t done, uint64_t total)
{
    const double seconds = (double)(now_us - b->start_us) / 1e6;
    const uint64_t moved = done > b->first_bytes ? done - b->first_bytes : 0;
    const uint64_t rate = seconds < 0.5 ? 0 : (uint64_t)((double)moved / seconds);
    HF_AUTO_BUF line = {0};

    hf_buf_printf(&line, "%s%s %s: ", b->redraw ? "\r" : "holdfast: ", b->what, b->name);
    hf_bar_text(done, total, rate, b->redraw ? BAR_COLUMNS : 0, &line);
    add_wal(b, &line);
    hf_buf_printf(&line, "%s", b->redraw ? "\x1b[K" : "\n");
    (void)!write(STDERR_FILENO, line.ptr, line.len); /* one write, so that lines stay whole */
    b->drawn = true;
}

static void tell(struct hf_progress *p, uint64_t done, uint64_t total)
{
    struct hf_bar *b = (struct hf_bar *)p;
    const int64_t now_us = hf_mono_us(b->clock);

    if (!b->shown)
        return;
    if (b->start_us == 0) {
        b->start_us = now_us;
        b->next_us = now_us + (b->redraw ? REDRAW_US : LINE_US);
        b->first_bytes = done;
        return;
    }
    if (now_us < b->next_us)
        return;
    b->next_us = now_us + (b->redraw ? REDRAW_US : LINE_US);
    draw(b, now_us, done, total);
}

void hf_bar_init(struct hf_bar *b, const struct hf_session *s, const char *what, const char *name,
                 bool alone)
{
    *b = (struct hf_bar){
        .base = {.tell = tell},
        .clock = s->clock,
        .fs = s->fs,
        .what = what,
        .name = name,
        .shown = !s->args->json && !s->args->quiet && !s->args->no_progress,
        .redraw = s->out->note_terminal && alone,
    };
}

void hf_bar_done(struct hf_bar *b)
{
    if (b->redraw && b->drawn)
        (void)!write(STDERR_FILENO, "\r\x1b[K", 4);
    b->drawn = false;
}
