/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - a line asked, a line answered, over a socket in a folder of local state.
 *
 * Who may enter the folder (0700) may ask. Lines end in '\n' and have at most HF_CONTROL_LINE_MAX
 * bytes.
 */
#ifndef HF_SERVICE_CONTROL_H
#define HF_SERVICE_CONTROL_H

#include "base/buf.h"
#include "base/err.h"

#define HF_CONTROL_LINE_MAX 1024

struct hf_control_server;
struct hf_control;

/* Put the answer to `line` into `ret`, without '\n'. Runs on a thread of its own; may take seconds.
 */
typedef void hf_control_fn(void *ctx, const char *line, struct hf_buf *ret);

/* One thread that waits for questions to any number of folders. */
enum hf_code hf_control_server_new(struct hf_control_server **ret,
                                   struct hf_err *err) HF_MUST_CHECK;
/* All controls of it are freed already. NULL is allowed. */
void hf_control_server_free(struct hf_control_server *s);

/* Serve `<dir>/socket` until freed; a socket that a dead process left there is replaced. The caller
 * holds the folder's lock, so no other server is alive. */
enum hf_code hf_control_new(struct hf_control_server *s, const char *dir, hf_control_fn *fn,
                            void *ctx, struct hf_control **ret, struct hf_err *err) HF_MUST_CHECK;
/* Waits for handlers that run; no other will, and the socket is gone. NULL is allowed. */
void hf_control_free(struct hf_control *c);

/*
 * Ask the server of `dir` and append its answer to `ret`.
 * HF_BUSY  nobody serves there, or no answer came within `ms_max`.
 */
enum hf_code hf_control_ask(const char *dir, const char *line, int64_t ms_max, struct hf_buf *ret,
                            struct hf_err *err) HF_MUST_CHECK;

#endif
