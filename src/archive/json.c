/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - a thin layer over jansson.
 *
 * Numbers above 2^53 are texts in our objects (hex), because other readers of JSON round them.
 * jansson allocates by itself; a NULL from it can only be want of memory, or text that is not
 * UTF-8, which our callers never hand in: hence the assertions.
 */
#include "archive/json.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum hf_code hf_json_parse(struct hf_slice body, const char *what, json_t **ret, struct hf_err *err)
{
    json_error_t why;
    HF_AUTO_JSON *json = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &why);

    if (json == NULL)
        return hf_err_set(err, HF_DAMAGE, "%s is not JSON: %s in line %d", what, why.text,
                          why.line);
    if (!json_is_object(json))
        return hf_err_set(err, HF_DAMAGE, "%s is JSON, but not an object", what);
    *ret = hf_take_ptr(&json);
    return HF_OK;
}

void hf_json_free_ptr(json_t **json)
{
    json_decref(*json); /* NULL is allowed */
    *json = NULL;
}

void hf_json_print(const json_t *json, struct hf_buf *ret)
{
    const size_t flags = JSON_INDENT(2) | JSON_PRESERVE_ORDER;
    const size_t len = json_dumpb(json, NULL, 0, flags);

    hf_assert(len > 0);
    uint8_t *to = hf_buf_extend(ret, len);

    hf_assert(json_dumpb(json, (char *)to, len, flags) == len);
    hf_buf_append(ret, "\n", 1);
}

enum hf_code hf_json_get_number(const json_t *json, const char *field, uint64_t max, uint64_t *ret,
                                struct hf_err *err)
{
    const json_t *value = json_object_get(json, field);
    const json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
        return hf_err_set(err, HF_DAMAGE, "\"%s\" is missing or not a number from 0 to %llu", field,
                          (unsigned long long)max);
    *ret = (uint64_t)number;
    return HF_OK;
}

enum hf_code hf_json_get_text(const json_t *json, const char *field, char *ret, size_t cap,
                              struct hf_err *err)
{
    const json_t *value = json_object_get(json, field);
    const size_t len = json_string_length(value);

    if (!json_is_string(value) || len == 0 || len >= cap)
        return hf_err_set(err, HF_DAMAGE, "\"%s\" is missing or not a text of 1 to %zu bytes",
                          field, cap - 1);
    (void)memcpy(ret, json_string_value(value), len + 1);
    return HF_OK;
}

enum hf_code hf_json_get_hex(const json_t *json, const char *field, size_t digits, char *ret,
                             struct hf_err *err)
{
    const json_t *value = json_object_get(json, field);
    const char *text = json_string_value(value);

    if (text == NULL || strlen(text) != digits || strspn(text, "0123456789abcdef") != digits)
        return hf_err_set(err, HF_DAMAGE, "\"%s\" is missing or not %zu lower-case hex digits",
                          field, digits);
    (void)memcpy(ret, text, digits + 1);
    return HF_OK;
}

void hf_json_set_number(json_t *json, const char *field, uint64_t value)
{
    hf_assert(value <= HF_NUMBER_MAX);
    hf_assert(json_object_set_new(json, field, json_integer((json_int_t)value)) == 0);
}

void hf_json_set_text(json_t *json, const char *field, const char *text)
{
    hf_assert(json_object_set_new(json, field, json_string(text)) == 0);
}

json_t *hf_json_new(void)
{
    json_t *json = json_object();

    hf_assert(json != NULL);
    return json;
}
