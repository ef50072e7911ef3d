/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - result codes, and the one error object of a call chain.
 *
 * The code says what a failure means for the caller's data; the message says what was met, what
 * was expected and what to do. An error is set where it is found (hf_err_set, hf_err_sys), gets
 * context at module boundaries (hf_err_wrap), and is given another code only by a caller who knows
 * better (hf_err_recode). It is logged once, by the loop that decides what happens next.
 */
#ifndef HF_BASE_ERR_H
#define HF_BASE_ERR_H

#include <stdbool.h>

#include "base/attr.h"

/*
 * X(name, text, worth repeating as it is, exit status of a verb that ends with it)
 *
 * CONFLICT   a condition did not hold; nothing was written.
 * UNCERTAIN  a write may or may not have happened: read before acting.
 * TRANSIENT  nothing was written; the same call may succeed later.
 * NOT_FOUND  the thing named does not exist.
 * DENIED     credentials or permissions do not allow it.
 * UNSUPPORTED  this store or engine cannot do it.
 * USAGE      the arguments, the configuration or the target are wrong.
 * DAMAGE     bytes that should be right are not.
 * HOLE       something between a snapshot and the target is missing.
 * FENCED     a newer owner holds the archive; this process must not write.
 * BUSY       somebody else holds a lock; later.
 * FULL       no space on a device.
 * CANCELED   told to stop.
 * IO         the operating system refused; see the message.
 */
#define HF_CODES(X)                                                                                \
    X(OK, "ok", false, 0)                                                                          \
    X(CONFLICT, "conflict", false, 3)                                                              \
    X(UNCERTAIN, "uncertain", false, 3)                                                            \
    X(TRANSIENT, "transient failure", true, 3)                                                     \
    X(NOT_FOUND, "not found", false, 2)                                                            \
    X(DENIED, "access denied", false, 3)                                                           \
    X(UNSUPPORTED, "not supported", false, 2)                                                      \
    X(USAGE, "bad usage", false, 2)                                                                \
    X(DAMAGE, "damage", false, 1)                                                                  \
    X(HOLE, "hole", false, 1)                                                                      \
    X(FENCED, "fenced", false, 3)                                                                  \
    X(BUSY, "busy", true, 3)                                                                       \
    X(FULL, "no space left", true, 3)                                                              \
    X(CANCELED, "canceled", false, 3)                                                              \
    X(IO, "input/output error", false, 3)

enum hf_code {
#define HF_CODE_ENUM(name, text, retry, status) HF_##name,
    HF_CODES(HF_CODE_ENUM)
#undef HF_CODE_ENUM
};

#define HF_ERR_TEXT_MAX 1024 /* bytes with NUL; a longer message ends in "..." */

struct hf_err {
    enum hf_code code;
    char text[HF_ERR_TEXT_MAX];
};

/* The words for a code, and whether the same call may succeed later. */
const char *hf_code_text(enum hf_code code);
bool hf_code_retryable(enum hf_code code);
/* The exit status of a verb that ends with `code` (the CLI contract: 0, 1, 2 or 3). */
int hf_code_exit_status(enum hf_code code);

/* Set code and message; return `code`, so that `return hf_err_set(...)` reads as one line. */
enum hf_code hf_err_set(struct hf_err *err, enum hf_code code, const char *fmt, ...)
    HF_PRINTF(3, 4);

/* As hf_err_set(), with ": " and the text of errno behind, and with EACCES who was denied access.
 * errno never chooses the code, except that ENOSPC and EDQUOT make it HF_FULL. */
enum hf_code hf_err_sys(struct hf_err *err, enum hf_code code, const char *fmt, ...)
    HF_PRINTF(3, 4);

/* Put "context: " before the message; the code stays. Returns the code. */
enum hf_code hf_err_wrap(struct hf_err *err, const char *fmt, ...) HF_PRINTF(2, 3);

/* As hf_err_wrap(), and the code becomes `code`. */
enum hf_code hf_err_recode(struct hf_err *err, enum hf_code code, const char *fmt, ...)
    HF_PRINTF(3, 4);

#endif
