/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.c - escaping of partition names.
 *
 * Besides what RFC 3986 would escape, the first byte of a part is escaped where the part begins
 * with '.' (so that no key has a part that a file system hides or takes as a step up) and where it
 * is "holdfast" (the name reserved for our own objects). The inverse decodes and escapes again: a
 * name that does not come out as it went in is refused, which keeps it one name a path.
 */
#include "archive/partition.h"

#include <stdbool.h>
#include <string.h>

#define RESERVED "holdfast"

static bool is_kept(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/", c) != NULL);
}

static void append_escaped(struct hf_buf *ret, char c)
{
    hf_buf_printf(ret, "%%%02X", (unsigned)(unsigned char)c);
}

void hf_percent_escape(const char *text, struct hf_buf *ret)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (is_kept(*p))
            hf_buf_append(ret, p, 1);
        else
            append_escaped(ret, *p);
    }
}

static bool part_is(struct hf_slice part, const char *text)
{
    return part.len == strlen(text) && memcmp(part.ptr, text, part.len) == 0;
}

static enum hf_code escape_part(struct hf_slice part, struct hf_buf *ret, struct hf_err *err)
{
    if (part.len == 0 || part_is(part, ".") || part_is(part, ".."))
        return hf_err_set(err, HF_USAGE,
                          "a partition's path must not have an empty, \".\" or \"..\" part");

    const bool reserved = part.ptr[0] == '.' || part_is(part, RESERVED);

    for (size_t i = 0; i < part.len; i++) {
        const char c = (char)part.ptr[i];

        if (is_kept(c) && !(i == 0 && reserved))
            hf_buf_append(ret, &c, 1);
        else
            append_escaped(ret, c);
    }
    return HF_OK;
}

static enum hf_code escape_path(const char *relative, struct hf_buf *ret, struct hf_err *err)
{
    const char *part = relative;

    for (;;) {
        const char *end = strchrnul(part, '/');
        const enum hf_code rc = escape_part(hf_slice(part, (size_t)(end - part)), ret, err);

        if (rc != HF_OK)
            return hf_err_wrap(err, "partition \"%s\"", relative);
        if (*end == '\0')
            return HF_OK;
        hf_buf_append(ret, "/", 1);
        part = end + 1;
    }
}

enum hf_code hf_partition_escape(const char *relative, char ret[HF_PARTITION_MAX + 1],
                                 struct hf_err *err)
{
    HF_AUTO_BUF name = {0};
    const enum hf_code rc = escape_path(relative, &name, err);

    if (rc != HF_OK)
        return rc;
    if (name.len > HF_PARTITION_MAX)
        return hf_err_set(err, HF_USAGE,
                          "the name of partition \"%.200s\" takes %zu bytes when escaped; at most "
                          "%d are possible: shorten the path below the fixed part of the glob",
                          relative, name.len, HF_PARTITION_MAX);
    (void)memcpy(ret, hf_buf_str(&name), name.len + 1);
    return HF_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hf_percent_unescape(const char *text, struct hf_buf *ret)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '%') {
            hf_buf_append(ret, p, 1);
            continue;
        }
        const int hi = hex_value(p[1]);
        const int lo = hi < 0 ? -1 : hex_value(p[2]);

        if (lo < 0 || hi * 16 + lo == 0)
            return false;
        const char c = (char)(hi * 16 + lo);

        hf_buf_append(ret, &c, 1);
        p += 2;
    }
    return true;
}

enum hf_code hf_partition_unescape(const char *name, struct hf_buf *ret, struct hf_err *err)
{
    HF_AUTO_BUF path = {0};
    char again[HF_PARTITION_MAX + 1];

    if (!hf_percent_unescape(name, &path) ||
        hf_partition_escape(hf_buf_str(&path), again, err) != HF_OK || strcmp(again, name) != 0)
        return hf_err_set(err, HF_USAGE,
                          "\"%.200s\" is not the name of a partition: a path, percent-escaped with "
                          "upper-case digits and no more than needed",
                          name);
    hf_buf_append(ret, path.ptr, path.len);
    return HF_OK;
}

/* How many bytes of the glob are a fixed folder, its last '/' included. */
static size_t fixed_len(const char *glob)
{
    size_t len = 0;

    for (size_t i = 0; glob[i] != '\0' && strchr("*?[\\", glob[i]) == NULL; i++) {
        if (glob[i] == '/')
            len = i + 1;
    }
    return len;
}

enum hf_code hf_partition_name(const char *glob, const char *path, char ret[HF_PARTITION_MAX + 1],
                               struct hf_err *err)
{
    const size_t len = fixed_len(glob);

    if (strncmp(glob, path, len) != 0)
        return hf_err_set(err, HF_USAGE, "\"%s\" is not below \"%.*s\", the fixed part of \"%s\"",
                          path, (int)len, glob, glob);
    return hf_partition_escape(path + len, ret, err);
}
