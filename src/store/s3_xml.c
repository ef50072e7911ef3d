/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml.c - expat hands elements to one reader, which knows where it is by a path such as
 * "ListBucketResult/Contents/Key" and calls a function at the end of each element with its text.
 */
#include "store/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/s3_xml_priv.h"

#define PATH_BYTES_MAX 512

struct reader {
    XML_Parser parser;
    hf_s3_xml_fn *fn;
    void *ctx;
    struct hf_err *err;
    enum hf_code rc;
    unsigned depth;
    struct hf_buf path; /* with a NUL behind, not counted */
    struct hf_buf text; /* of the element that was opened last */
};

static void stop(struct reader *r, enum hf_code rc)
{
    r->rc = rc;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static void open_element(void *ctx, const char *name, const char **attributes)
{
    struct reader *r = (struct reader *)ctx;
    const char *colon = strrchr(name, ':');
    const char *local = colon != NULL ? colon + 1 : name;

    (void)attributes;
    if (r->rc != HF_OK)
        return;
    if (++r->depth > HF_S3_XML_DEPTH_MAX || r->path.len + strlen(local) + 1 > PATH_BYTES_MAX) {
        stop(r, hf_err_set(r->err, HF_IO, "XML answer nests deeper than %d elements",
                           HF_S3_XML_DEPTH_MAX));
        return;
    }
    hf_buf_printf(&r->path, "%s%s", r->depth > 1 ? "/" : "", local);
    hf_buf_reset(&r->text);
}

static void take_text(void *ctx, const char *text, int len)
{
    struct reader *r = (struct reader *)ctx;

    if (r->rc != HF_OK)
        return;
    if (r->text.len + (size_t)len > HF_S3_XML_TEXT_MAX) {
        stop(r, hf_err_set(r->err, HF_IO, "XML answer: %s has more than %d bytes of text",
                           hf_buf_str(&r->path), HF_S3_XML_TEXT_MAX));
        return;
    }
    hf_buf_append(&r->text, text, (size_t)len);
}

static void close_element(void *ctx, const char *name)
{
    struct reader *r = (struct reader *)ctx;

    (void)name;
    if (r->rc != HF_OK)
        return;

    const enum hf_code rc = r->fn(r->ctx, hf_buf_str(&r->path), hf_buf_str(&r->text), r->err);

    if (rc != HF_OK) {
        stop(r, rc);
        return;
    }
    while (r->path.len > 0 && r->path.ptr[r->path.len - 1] != '/')
        r->path.len--;
    if (r->path.len > 0)
        r->path.len--;
    r->depth--;
    hf_buf_reset(&r->text);
}

static void refuse_doctype(void *ctx, const char *name, const char *system_id,
                           const char *public_id, int has_internal)
{
    struct reader *r = (struct reader *)ctx;

    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal;
    stop(r, hf_err_set(r->err, HF_IO, "XML answer has a document type, which S3 never sends"));
}

static void reader_done(struct reader *r)
{
    XML_ParserFree(r->parser);
    hf_buf_done(&r->path);
    hf_buf_done(&r->text);
}

enum hf_code hf_s3_xml_read(struct hf_slice xml, hf_s3_xml_fn *fn, void *ctx, struct hf_err *err)
{
    HF_CLEANUP(reader_done)
    struct reader r = {.parser = XML_ParserCreate(NULL), .fn = fn, .ctx = ctx, .err = err};

    if (r.parser == NULL)
        return hf_err_set(err, HF_IO, "cannot make an XML parser");
    if (xml.len > INT32_MAX)
        return hf_err_set(err, HF_IO, "XML answer of %zu bytes", xml.len);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, open_element, close_element);
    XML_SetCharacterDataHandler(r.parser, take_text);
    XML_SetStartDoctypeDeclHandler(r.parser, refuse_doctype);

    const enum XML_Status status =
        XML_Parse(r.parser, (const char *)xml.ptr, (int)xml.len, XML_TRUE);

    if (r.rc != HF_OK)
        return r.rc;
    if (status != XML_STATUS_OK)
        return hf_err_set(err, HF_IO, "answer is not the XML that was expected: %s, line %lu",
                          XML_ErrorString(XML_GetErrorCode(r.parser)),
                          (unsigned long)XML_GetCurrentLineNumber(r.parser));
    return HF_OK;
}

/* `text` cut to what fits, without control characters: it goes into messages. */
static void copy_text(char *dst, size_t dst_max, const char *text)
{
    size_t len = 0;

    for (; *text != '\0' && len + 1 < dst_max; text++)
        dst[len++] = (unsigned char)*text < ' ' ? ' ' : *text;
    dst[len] = '\0';
}

static enum hf_code take_error(void *ctx, const char *path, const char *text, struct hf_err *err)
{
    struct hf_s3_error *ret = (struct hf_s3_error *)ctx;

    (void)err;
    if (strcmp(path, "Error/Code") == 0)
        copy_text(ret->code, sizeof(ret->code), text);
    else if (strcmp(path, "Error/Message") == 0)
        copy_text(ret->message, sizeof(ret->message), text);
    else if (strcmp(path, "Error/Region") == 0)
        copy_text(ret->region, sizeof(ret->region), text);
    else if (strcmp(path, "Error/Endpoint") == 0)
        copy_text(ret->endpoint, sizeof(ret->endpoint), text);
    return HF_OK;
}

bool hf_s3_error_parse(struct hf_slice xml, struct hf_s3_error *ret)
{
    struct hf_err err;

    *ret = (struct hf_s3_error){0};
    /* A document that breaks off after its code still tells what the matter is. */
    if (xml.len > 0 && hf_s3_xml_read(xml, take_error, ret, &err) != HF_OK && ret->code[0] == '\0')
        *ret = (struct hf_s3_error){0};
    return ret->code[0] != '\0';
}

enum hf_code hf_s3_etag_parse(const char *text, struct hf_etag *ret, struct hf_err *err)
{
    size_t len = strlen(text);

    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= HF_ETAG_MAX)
        return hf_err_set(err, HF_IO, "the store gave an ETag of %zu bytes, expected 1 to %d", len,
                          HF_ETAG_MAX - 1);
    (void)memcpy(ret->str, text, len);
    ret->str[len] = '\0';
    return HF_OK;
}

/* A listing under construction. Keys are decoded at the end: EncodingType may come behind them. */
struct page_reader {
    struct hf_s3_page page;
    struct hf_s3_entry now;
    bool url_encoded;
    bool is_listing;
};

enum hf_code hf_s3_xml_number(const char *text, uint64_t *ret, struct hf_err *err)
{
    char *end;

    errno = 0;

    const unsigned long long size = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        return hf_err_set(err, HF_IO, "listing: '%.40s' is not a size or number", text);
    *ret = size;
    return HF_OK;
}

static enum hf_code add_entry(struct page_reader *p, struct hf_err *err)
{
    struct hf_s3_page *page = &p->page;

    if (p->now.key == NULL)
        return hf_err_set(err, HF_IO, "listing: an entry without a key");
    if (page->entries_count == HF_S3_PAGE_KEYS_MAX)
        return hf_err_set(err, HF_IO, "listing: more than %d keys in one answer",
                          HF_S3_PAGE_KEYS_MAX);
    if (page->entries == NULL)
        page->entries =
            (struct hf_s3_entry *)hf_calloc(HF_S3_PAGE_KEYS_MAX, sizeof(*page->entries));
    page->entries[page->entries_count++] = p->now;
    p->now = (struct hf_s3_entry){0};
    return HF_OK;
}

static enum hf_code take_entry(struct page_reader *p, const char *name, const char *text,
                               struct hf_err *err)
{
    if (strcmp(name, "Key") == 0) {
        hf_free(p->now.key);
        p->now.key = hf_strdup(text);
        return HF_OK;
    }
    if (strcmp(name, "Size") == 0)
        return hf_s3_xml_number(text, &p->now.object.size_bytes, err);
    if (strcmp(name, "ETag") == 0)
        return hf_s3_etag_parse(text, &p->now.object.etag, err);
    if (strcmp(name, "LastModified") == 0 &&
        hf_time_parse(text, &p->now.object.modified_ms, err) != HF_OK)
        return hf_err_set(err, HF_IO, "listing: '%.40s' is not a time", text);
    return HF_OK;
}

static enum hf_code take_page(void *ctx, const char *path, const char *text, struct hf_err *err)
{
    static const char root[] = "ListBucketResult";
    static const char contents[] = "Contents";
    struct page_reader *p = (struct page_reader *)ctx;

    if (strncmp(path, root, sizeof(root) - 1) != 0)
        return HF_OK;
    path += sizeof(root) - 1;
    if (*path == '\0')
        p->is_listing = true;
    if (*path != '/')
        return HF_OK;
    path++;
    if (strcmp(path, contents) == 0)
        return add_entry(p, err);
    if (strncmp(path, "Contents/", sizeof(contents)) == 0)
        return take_entry(p, path + sizeof(contents), text, err);
    if (strcmp(path, "IsTruncated") == 0)
        p->page.truncated = strcmp(text, "true") == 0;
    else if (strcmp(path, "EncodingType") == 0)
        p->url_encoded = strcmp(text, "url") == 0;
    else if (strcmp(path, "NextContinuationToken") == 0) {
        hf_free(p->page.token);
        p->page.token = *text != '\0' ? hf_strdup(text) : NULL;
    }
    return HF_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* In place: %XX, and '+' for a blank. false for a broken escape or an escaped NUL. */
static bool decode_key(char *key)
{
    char *dst = key;

    for (const char *src = key; *src != '\0'; src++) {
        if (*src != '%') {
            *dst++ = *src == '+' ? ' ' : *src;
            continue;
        }

        const int high = hex_value(src[1]);
        const int low = high < 0 ? -1 : hex_value(src[2]);

        if (low < 0 || (high == 0 && low == 0))
            return false;
        *dst++ = (char)(high * 16 + low);
        src += 2;
    }
    *dst = '\0';
    return true;
}

static enum hf_code finish_page(struct page_reader *p, struct hf_err *err)
{
    struct hf_s3_page *page = &p->page;

    if (!p->is_listing)
        return hf_err_set(err, HF_IO, "answer is not a listing (no <ListBucketResult>)");
    if (page->truncated && page->token == NULL)
        return hf_err_set(err, HF_IO,
                          "listing is cut short and says not where to go on "
                          "(no NextContinuationToken)");
    for (size_t i = 0; i < page->entries_count; i++) {
        if (p->url_encoded && !decode_key(page->entries[i].key))
            return hf_err_set(err, HF_IO, "listing: key '%.80s' is not URL-encoded as promised",
                              page->entries[i].key);
    }
    return HF_OK;
}

static void page_reader_done(struct page_reader *p)
{
    hf_free(p->now.key);
    hf_s3_page_done(&p->page);
}

enum hf_code hf_s3_page_parse(struct hf_slice xml, struct hf_s3_page *ret, struct hf_err *err)
{
    HF_CLEANUP(page_reader_done) struct page_reader p = {0};
    enum hf_code rc;

    rc = hf_s3_xml_read(xml, take_page, &p, err);
    if (rc != HF_OK)
        return rc;
    rc = finish_page(&p, err);
    if (rc != HF_OK)
        return rc;
    *ret = p.page;
    p.page = (struct hf_s3_page){0};
    return HF_OK;
}

void hf_s3_page_done(struct hf_s3_page *page)
{
    for (size_t i = 0; i < page->entries_count; i++)
        hf_free(page->entries[i].key);
    hf_free(page->entries);
    hf_free(page->token);
    *page = (struct hf_s3_page){0};
}

enum hf_code hf_s3_page_tell(const struct hf_s3_page *page, const char *store_prefix,
                             hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    const size_t strip = strlen(store_prefix);

    for (size_t i = 0; i < page->entries_count; i++) {
        const struct hf_s3_entry *e = &page->entries[i];

        if (strncmp(e->key, store_prefix, strip) != 0)
            return hf_err_set(err, HF_IO, "the store lists '%.80s', which is not under '%.80s'",
                              e->key, store_prefix);
        /* "prefix/" itself: what consoles make to show an empty folder. */
        if (e->key[strip] == '\0')
            continue;

        const enum hf_code rc = fn(ctx, e->key + strip, &e->object, err);

        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}
