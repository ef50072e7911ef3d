/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.c - stdio for lines, jansson for the object.
 *
 * Failures of standard output are looked at once, at the end: stdio remembers them, and until then
 * a verb's work (a restore, a scrub) is worth finishing.
 */
#include "cli/out.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"

void hf_out_init(struct hf_out *o, bool json, bool quiet)
{
    *o = (struct hf_out){
        .json = json,
        .quiet = quiet,
        .to_terminal = isatty(STDOUT_FILENO) == 1,
        .note_terminal = isatty(STDERR_FILENO) == 1,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .root = json_object(),
    };
    hf_out_set_number(o->root, "schema", HF_JSON_SCHEMA);
}

void hf_out_done(struct hf_out *o)
{
    json_decref(o->root);
    o->root = NULL;
}

/* Printed text in which nothing can move a cursor: names of files may hold any byte. */
static char *print_safely(const char *fmt, va_list ap) HF_PRINTF(1, 0);
static char *print_safely(const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);

    const int len = vsnprintf(NULL, 0, fmt, again);

    va_end(again);
    hf_assert(len >= 0);

    char *text = hf_malloc((size_t)len + 1);

    (void)vsnprintf(text, (size_t)len + 1, fmt, ap);
    for (char *c = text; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?';
    }
    return text;
}

static void print_line(FILE *to, const char *fmt, va_list ap) HF_PRINTF(2, 0);
static void print_line(FILE *to, const char *fmt, va_list ap)
{
    HF_AUTO_FREE char *text = print_safely(fmt, ap);

    (void)fprintf(to, "%s\n", text);
}

void hf_out_line(struct hf_out *o, const char *fmt, ...)
{
    va_list ap;

    if (o->json || o->quiet)
        return;
    va_start(ap, fmt);
    print_line(stdout, fmt, ap);
    va_end(ap);
}

void hf_out_text(struct hf_out *o, struct hf_buf *text)
{
    if (!o->json && !o->quiet)
        (void)fwrite(text->ptr, 1, text->len, stdout);
}

void hf_out_finding(struct hf_out *o, const char *fmt, ...)
{
    va_list ap;

    if (o->json)
        return;
    va_start(ap, fmt);
    print_line(stdout, fmt, ap);
    va_end(ap);
    (void)fflush(stdout); /* a finding is worth seeing at once */
}

void hf_out_note(struct hf_out *o, const char *fmt, ...)
{
    va_list ap;

    if (o->quiet)
        return;
    va_start(ap, fmt);
    print_line(stderr, fmt, ap);
    va_end(ap);
}

static void print_error(const char *fmt, ...) HF_PRINTF(1, 2);
static void print_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line(stderr, fmt, ap);
    va_end(ap);
}

void hf_out_error(const char *message)
{
    (void)fflush(stdout); /* so that lines stand in the order in which they were said */
    print_error("holdfast: %s", message);
}

json_t *hf_out_add(json_t *parent, const char *name)
{
    json_t *list = json_object_get(parent, name);
    json_t *object = json_object();

    if (list == NULL) {
        list = json_array();
        (void)json_object_set_new(parent, name, list);
    }
    (void)json_array_append_new(list, object);
    return object;
}

/* A JSON string; bytes outside of ASCII become '?' where the text is not UTF-8. */
static json_t *string_of(const char *text)
{
    json_t *ret = json_string(text);

    if (ret != NULL)
        return ret;
    HF_AUTO_FREE char *ascii = hf_strdup(text);

    for (char *c = ascii; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    ret = json_string(ascii);
    hf_assert(ret != NULL);
    return ret;
}

void hf_out_set_text(json_t *object, const char *name, const char *text)
{
    (void)json_object_set_new(object, name, text != NULL ? string_of(text) : json_null());
}

void hf_out_set_number(json_t *object, const char *name, uint64_t value)
{
    const uint64_t most = INT64_MAX; /* what a JSON integer of ours holds */

    (void)json_object_set_new(object, name,
                              json_integer((json_int_t)(value < most ? value : most)));
}

void hf_out_set_bool(json_t *object, const char *name, bool value)
{
    (void)json_object_set_new(object, name, json_boolean(value));
}

void hf_out_set_time(json_t *object, const char *name, int64_t ms)
{
    char text[HF_TIME_TEXT_MAX];

    hf_time_text(ms, text);
    hf_out_set_text(object, name, text);
}

/* The code's name in small letters: "not_found". These are part of the schema. */
static const char *code_name(enum hf_code code)
{
    static const char *const names[] = {
#define HF_CODE_NAME(name, text, retry, status) #name,
        HF_CODES(HF_CODE_NAME)
#undef HF_CODE_NAME
    };

    hf_assert((size_t)code < HF_ARRAY_LEN(names));
    return names[code];
}

void hf_out_set_error(json_t *object, const struct hf_err *err)
{
    json_t *error = NULL;
    HF_AUTO_FREE char *name = hf_strdup(code_name(err->code));

    if (json_object_get(object, "error") != NULL)
        return;
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    error = json_object();
    hf_out_set_text(error, "code", name);
    hf_out_set_text(error, "message", err->text);
    (void)json_object_set_new(object, "error", error);
}

enum hf_code hf_out_finish(struct hf_out *o, struct hf_err *err)
{
    if (o->json) {
        (void)json_dumpf(o->root, stdout, JSON_INDENT(2));
        (void)fputc('\n', stdout);
    }
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        return hf_err_sys(err, HF_IO, "standard output did not take all that was written");
    return HF_OK;
}
