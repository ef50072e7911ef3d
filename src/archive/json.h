/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - private to src/archive: reading and writing our small JSON objects (FORMAT section 4).
 * A missing or ill-formed field is HF_DAMAGE and named; unknown fields are skipped.
 */
#ifndef HF_ARCHIVE_JSON_H
#define HF_ARCHIVE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define HF_NUMBER_MAX INT64_MAX /* what a JSON integer of ours may hold */

/* `*ret` is an object, to be freed by hf_json_free_ptr(); `what` names it in messages. */
enum hf_code hf_json_parse(struct hf_slice body, const char *what, json_t **ret,
                           struct hf_err *err) HF_MUST_CHECK;
void hf_json_free_ptr(json_t **json);
#define HF_AUTO_JSON HF_CLEANUP(hf_json_free_ptr) json_t

/* Append the object, fields in the order in which they were set, and a newline. */
void hf_json_print(const json_t *json, struct hf_buf *ret);

/* 0 <= result <= max. */
enum hf_code hf_json_get_number(const json_t *json, const char *field, uint64_t max, uint64_t *ret,
                                struct hf_err *err) HF_MUST_CHECK;
/* A text of 1 .. cap - 1 bytes, copied with its NUL. */
enum hf_code hf_json_get_text(const json_t *json, const char *field, char *ret, size_t cap,
                              struct hf_err *err) HF_MUST_CHECK;
/* Exactly `digits` lower-case hex digits, copied with a NUL. */
enum hf_code hf_json_get_hex(const json_t *json, const char *field, size_t digits, char *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* Set a field; `value` <= HF_NUMBER_MAX. */
void hf_json_set_number(json_t *json, const char *field, uint64_t value);
void hf_json_set_text(json_t *json, const char *field, const char *text); /* valid UTF-8 */

/* An empty object, to be freed by hf_json_free_ptr(). */
json_t *hf_json_new(void);

#endif
