/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - the table of codes, and messages that grow from the left. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static const struct {
    const char *text;
    bool retry;
    int status;
} codes[] = {
#define HF_CODE_ROW(name, text, retry, status) {text, retry, status},
    HF_CODES(HF_CODE_ROW)
#undef HF_CODE_ROW
};

const char *hf_code_text(enum hf_code code)
{
    hf_assert((size_t)code < HF_ARRAY_LEN(codes));
    return codes[code].text;
}

bool hf_code_retryable(enum hf_code code)
{
    hf_assert((size_t)code < HF_ARRAY_LEN(codes));
    return codes[code].retry;
}

int hf_code_exit_status(enum hf_code code)
{
    hf_assert((size_t)code < HF_ARRAY_LEN(codes));
    return codes[code].status;
}

/* Mark a message that did not fit. */
static void mark_cut(char *text, int wanted)
{
    if (wanted >= HF_ERR_TEXT_MAX)
        (void)memcpy(text + HF_ERR_TEXT_MAX - 4, "...", 4);
}

enum hf_code hf_err_set(struct hf_err *err, enum hf_code code, const char *fmt, ...)
{
    va_list ap;

    hf_assert(err != NULL && code != HF_OK);
    err->code = code;
    va_start(ap, fmt);
    mark_cut(err->text, vsnprintf(err->text, sizeof(err->text), fmt, ap));
    va_end(ap);
    return code;
}

enum hf_code hf_err_sys(struct hf_err *err, enum hf_code code, const char *fmt, ...)
{
    const int saved = errno;
    char what[HF_ERR_TEXT_MAX];
    char why[128];
    char remedy[128] = "";
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (saved == ENOSPC || saved == EDQUOT)
        code = HF_FULL;
    if (saved == EACCES) /* its text does not say who is denied access, nor by what */
        (void)snprintf(remedy, sizeof(remedy),
                       "; holdfast runs as uid %lu: see the owner and mode of it and of the "
                       "folders above",
                       (unsigned long)geteuid());
    return hf_err_set(err, code, "%s: %s%s", what, strerror_r(saved, why, sizeof(why)), remedy);
}

static void HF_PRINTF(2, 0) prefix(struct hf_err *err, const char *fmt, va_list ap)
{
    char old[HF_ERR_TEXT_MAX];
    char context[HF_ERR_TEXT_MAX];

    (void)memcpy(old, err->text, sizeof(old));
    (void)vsnprintf(context, sizeof(context), fmt, ap);
    mark_cut(err->text, snprintf(err->text, sizeof(err->text), "%s: %s", context, old));
}

enum hf_code hf_err_wrap(struct hf_err *err, const char *fmt, ...)
{
    va_list ap;

    hf_assert(err != NULL && err->code != HF_OK);
    va_start(ap, fmt);
    prefix(err, fmt, ap);
    va_end(ap);
    return err->code;
}

enum hf_code hf_err_recode(struct hf_err *err, enum hf_code code, const char *fmt, ...)
{
    va_list ap;

    hf_assert(err != NULL && code != HF_OK);
    va_start(ap, fmt);
    prefix(err, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}
