/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.h - what a verb says: lines for people, or one JSON object, on standard output; errors and
 * notes on standard error.
 *
 * With --json nothing but the object reaches standard output, and it is printed once, at the end.
 * One thread.
 */
#ifndef HF_CLI_OUT_H
#define HF_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define HF_JSON_SCHEMA                                                                             \
    1 /* changes when a field changes its meaning or goes, not when one comes                      \
       */

struct hf_out {
    bool json;
    bool quiet;
    bool to_terminal;   /* standard output */
    bool note_terminal; /* standard error */
    bool utf8;          /* the locale's characters are */
    json_t *root;       /* owned */
};

/* Ready; looks at the streams and the locale. The caller ends with hf_out_done(). */
void hf_out_init(struct hf_out *o, bool json, bool quiet);
void hf_out_done(struct hf_out *o);

/* A line of the result: left out under --json and --quiet. */
void hf_out_line(struct hf_out *o, const char *fmt, ...) HF_PRINTF(2, 3);
/* Lines that are laid out already; likewise. */
void hf_out_text(struct hf_out *o, struct hf_buf *text);
/* A line about something that is wrong: left out under --json only. */
void hf_out_finding(struct hf_out *o, const char *fmt, ...) HF_PRINTF(2, 3);
/* A line on standard error that is no failure: left out under --quiet. */
void hf_out_note(struct hf_out *o, const char *fmt, ...) HF_PRINTF(2, 3);
/* "holdfast: MESSAGE" on standard error, always; control characters become '?'. */
void hf_out_error(const char *message);

/* A new object at the end of the list `name` of `parent`; borrowed. */
json_t *hf_out_add(json_t *parent, const char *name);
/* Set a field. Text that is not UTF-8 has its wrong bytes replaced; a NULL text is null. */
void hf_out_set_text(json_t *object, const char *name, const char *text);
void hf_out_set_number(json_t *object, const char *name, uint64_t value);
void hf_out_set_bool(json_t *object, const char *name, bool value);
/* RFC 3339 in UTC. */
void hf_out_set_time(json_t *object, const char *name, int64_t ms);
/* The field "error" of `object`: {"code", "message"}. An earlier one stays. */
void hf_out_set_error(json_t *object, const struct hf_err *err);

/*
 * All that was said has been taken by standard output, the JSON object too.
 * HF_IO, HF_FULL  it has not: the reader has gone, or the disk is full.
 */
enum hf_code hf_out_finish(struct hf_out *o, struct hf_err *err) HF_MUST_CHECK;

#endif
