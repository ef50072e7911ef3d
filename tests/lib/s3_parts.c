/* SPDX-License-Identifier: Apache-2.0 */
/* s3_parts.c - requests are told apart by method and query, as S3 does. */
#include "lib/s3_parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define UPLOADS_MAX  8
#define PARTS_MAX    64 /* of an upload */
#define PAGE_MAX     2  /* of a list, so that lists have pages */
#define PART_MIN     ((size_t)5 << 20)
#define BEGUN_FORMAT "2026-01-02T03:04:%02zu.000Z"

struct kept_part {
    unsigned number;
    struct hf_buf body;
    char etag[2 * HF_MD5_BYTES + 1];
};

struct kept_upload {
    char *key; /* NULL: free */
    size_t id;
    struct kept_part parts[PARTS_MAX]; /* by number, ascending */
    size_t parts_count;
};

struct s3_parts {
    pthread_mutex_t mutex; /* all below */
    struct s3_parts_odd odd;
    struct kept_upload uploads[UPLOADS_MAX];
    size_t ids;
    struct hf_buf object;
    bool has_object;
    uint64_t sent_bytes;
    size_t parts_left;
    bool replace_one;
};

struct transport {
    struct hf_http base; /* first, so that the pointers convert */
    struct s3_parts *s;
};

static void answer(struct hf_http_response *ret, int status, const char *body)
{
    ret->status = status;
    hf_buf_append(&ret->body, body, strlen(body));
}

static void refuse(struct hf_http_response *ret, int status, const char *code)
{
    HF_AUTO_FREE char *text = hf_strfmt("<Error><Code>%s</Code></Error>", code);

    answer(ret, status, text);
}

/* The value of a query parameter, as it stands in the URL; NULL if there is none. */
static char *query(const char *url, const char *name)
{
    HF_AUTO_FREE char *first = hf_strfmt("?%s=", name);
    HF_AUTO_FREE char *later = hf_strfmt("&%s=", name);
    const char *at = strstr(url, first);

    if (at == NULL)
        at = strstr(url, later);
    if (at == NULL)
        return NULL;
    at += strlen(first);
    return hf_strndup(at, strcspn(at, "&"));
}

static char *key_of(const char *url)
{
    const char *path = strstr(url, "/bucket/");

    assert_non_null(path);
    path += strlen("/bucket/");
    return hf_strndup(path, strcspn(path, "?"));
}

static struct kept_upload *find(struct s3_parts *s, const char *id)
{
    for (size_t i = 0; i < UPLOADS_MAX; i++) {
        if (s->uploads[i].key != NULL && s->uploads[i].id == strtoul(id, NULL, 10))
            return &s->uploads[i];
    }
    return NULL;
}

static void forget(struct kept_upload *u)
{
    for (size_t i = 0; i < u->parts_count; i++)
        hf_buf_done(&u->parts[i].body);
    hf_free(u->key);
    *u = (struct kept_upload){0};
}

static size_t begin(struct s3_parts *s, const char *key)
{
    for (size_t i = 0; i < UPLOADS_MAX; i++) {
        if (s->uploads[i].key == NULL) {
            s->uploads[i] = (struct kept_upload){.key = hf_strdup(key), .id = ++s->ids};
            return s->ids;
        }
    }
    fail_msg("more than %d uploads", UPLOADS_MAX);
    return 0;
}

/* `prefix` as it stands in a query: of what tests use only '/' is encoded there. */
static bool begins_with(const char *key, const char *prefix)
{
    static const char slash[] = "%2F";

    for (; *prefix != '\0'; key++) {
        const bool encoded = strncmp(prefix, slash, strlen(slash)) == 0;

        if (*key != (encoded ? '/' : *prefix))
            return false;
        prefix += encoded ? strlen(slash) : 1;
    }
    return true;
}

static void list_uploads(struct s3_parts *s, const char *url, struct hf_http_response *ret)
{
    HF_AUTO_FREE char *prefix = query(url, "prefix");
    HF_AUTO_FREE char *behind = query(url, "upload-id-marker");
    HF_AUTO_BUF xml = {0};
    const size_t from = behind != NULL ? strtoul(behind, NULL, 10) : 0;
    size_t told = 0;

    if (s->odd.listing_denied) {
        refuse(ret, 403, "AccessDenied");
        return;
    }
    hf_buf_printf(&xml, "<ListMultipartUploadsResult>");
    for (size_t id = from + 1; id <= s->ids; id++) {
        HF_AUTO_FREE char *text = hf_strfmt("%zu", id);
        const struct kept_upload *u = find(s, text);

        if (u == NULL || !begins_with(u->key, prefix))
            continue;
        if (told++ == PAGE_MAX) {
            hf_buf_printf(&xml,
                          "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
                          "<NextUploadIdMarker>%zu</NextUploadIdMarker>",
                          id - 1);
            break;
        }
        hf_buf_printf(&xml,
                      "<Upload><Key>%s</Key><UploadId>%zu</UploadId><Initiated>" BEGUN_FORMAT
                      "</Initiated></Upload>",
                      u->key, id, id);
    }
    hf_buf_printf(&xml, "</ListMultipartUploadsResult>");
    answer(ret, 200, hf_buf_str(&xml));
}

static void list_parts(const struct kept_upload *u, const char *url, struct hf_http_response *ret)
{
    HF_AUTO_FREE char *behind = query(url, "part-number-marker");
    HF_AUTO_BUF xml = {0};
    size_t told = 0;
    unsigned last = 0;

    hf_buf_printf(&xml, "<ListPartsResult>");
    for (size_t i = 0; i < u->parts_count; i++) {
        const struct kept_part *p = &u->parts[i];

        if (behind != NULL && p->number <= strtoul(behind, NULL, 10))
            continue;
        if (told++ == PAGE_MAX) {
            hf_buf_printf(&xml,
                          "<IsTruncated>true</IsTruncated><NextPartNumberMarker>%u"
                          "</NextPartNumberMarker>",
                          last);
            break;
        }
        last = p->number;
        hf_buf_printf(&xml,
                      "<Part><PartNumber>%u</PartNumber><Size>%zu</Size>"
                      "<ETag>&quot;%s&quot;</ETag></Part>",
                      p->number, p->body.len, p->etag);
    }
    hf_buf_printf(&xml, "</ListPartsResult>");
    answer(ret, 200, hf_buf_str(&xml));
}

static void set_body(const struct s3_parts *s, struct kept_part *p, struct hf_slice body)
{
    uint8_t md5[HF_MD5_BYTES];

    hf_buf_reset(&p->body);
    hf_buf_append(&p->body, body.ptr, body.len);
    assert_true(hf_md5(body, md5));
    if (s->odd.etags_are_no_md5)
        md5[0] ^= 1;
    hf_hex(hf_slice(md5, sizeof(md5)), p->etag);
}

static void put_part(struct s3_parts *s, struct kept_upload *u, const struct hf_http_request *req,
                     struct hf_http_response *ret)
{
    HF_AUTO_FREE char *text = query(req->url, "partNumber");
    const unsigned number = (unsigned)strtoul(text, NULL, 10);
    size_t at = 0;

    if (s->parts_left == 0) {
        refuse(ret, 403, "AccessDenied");
        return;
    }
    s->parts_left -= s->parts_left < SIZE_MAX ? 1 : 0;
    while (at < u->parts_count && u->parts[at].number < number)
        at++;
    if (at == u->parts_count || u->parts[at].number != number) {
        assert_true(u->parts_count < PARTS_MAX);
        (void)memmove(&u->parts[at + 1], &u->parts[at],
                      (u->parts_count - at) * sizeof(u->parts[0]));
        u->parts[at] = (struct kept_part){.number = number};
        u->parts_count++;
    }
    set_body(s, &u->parts[at], req->body);
    s->sent_bytes += req->body.len;

    HF_AUTO_FREE char *etag = hf_strfmt("ETag: \"%s\"", u->parts[at].etag);

    assert_true(hf_http_response_add(ret, hf_slice_str(etag)));
    ret->status = 200;
}

/* The part that Complete names next; NULL if it is not there as named. `*at` moves behind it. */
static const struct kept_part *next_named(const struct kept_upload *u, const char **at)
{
    static const char number_tag[] = "<PartNumber>";
    static const char etag_tag[] = "&quot;";
    const unsigned long number = strtoul(*at + sizeof(number_tag) - 1, NULL, 10);
    const char *etag = strstr(*at, etag_tag) + sizeof(etag_tag) - 1;

    *at = strstr(etag, number_tag);
    for (size_t i = 0; i < u->parts_count; i++) {
        const struct kept_part *p = &u->parts[i];

        if (p->number == number && strncmp(p->etag, etag, strlen(p->etag)) == 0)
            return p;
    }
    return NULL;
}

/* NULL, or the code of a refusal. */
static const char *join(const struct s3_parts *s, const struct kept_upload *u, const char *xml,
                        struct hf_buf *ret)
{
    const char *at = strstr(xml, "<PartNumber>");
    size_t first_bytes = 0;
    unsigned last = 0;

    while (at != NULL) {
        const struct kept_part *p = next_named(u, &at);

        if (p == NULL)
            return "InvalidPart";
        if (p->number <= last)
            return "InvalidPartOrder";
        if (at != NULL && p->body.len < PART_MIN)
            return "EntityTooSmall";
        if (s->odd.parts_of_one_size && first_bytes != 0 &&
            (at != NULL ? p->body.len != first_bytes : p->body.len > first_bytes))
            return "InvalidPart";
        first_bytes = p->body.len;
        last = p->number;
        hf_buf_append(ret, p->body.ptr, p->body.len);
    }
    return NULL;
}

static bool is_if_absent(const struct hf_http_request *req)
{
    for (size_t i = 0; i < req->headers_count; i++) {
        if (strcmp(req->headers[i].name, "if-none-match") == 0)
            return true;
    }
    return false;
}

static void complete(struct s3_parts *s, struct kept_upload *u, const struct hf_http_request *req,
                     struct hf_http_response *ret)
{
    HF_AUTO_BUF xml = {0};
    HF_AUTO_BUF whole = {0};

    hf_buf_append(&xml, req->body.ptr, req->body.len);
    if (s->replace_one)
        set_body(s, &u->parts[0], hf_slice_str("another's"));
    s->replace_one = false;
    const char *code = join(s, u, hf_buf_str(&xml), &whole);

    if (code != NULL) {
        refuse(ret, 400, code);
    } else if (s->has_object && is_if_absent(req)) {
        refuse(ret, 412, "PreconditionFailed");
    } else {
        hf_buf_done(&s->object);
        s->object = whole;
        whole = (struct hf_buf){0};
        s->has_object = true;
        forget(u);
        answer(ret, 200,
               "<CompleteMultipartUploadResult><ETag>\"joined-2\"</ETag>"
               "</CompleteMultipartUploadResult>");
    }
}

static void handle(struct s3_parts *s, const struct hf_http_request *req,
                   struct hf_http_response *ret)
{
    HF_AUTO_FREE char *id = query(req->url, "uploadId");
    HF_AUTO_FREE char *uploads = query(req->url, "uploads");
    struct kept_upload *u = id != NULL ? find(s, id) : NULL;

    if (uploads != NULL && strcmp(req->method, "GET") == 0) {
        list_uploads(s, req->url, ret);
    } else if (uploads != NULL) {
        HF_AUTO_FREE char *key = key_of(req->url);
        HF_AUTO_FREE char *xml = hf_strfmt(
            "<InitiateMultipartUploadResult><UploadId>%zu</UploadId>"
            "</InitiateMultipartUploadResult>",
            begin(s, key));

        answer(ret, 200, xml);
    } else if (u == NULL) {
        refuse(ret, 404, "NoSuchUpload");
    } else if (strcmp(req->method, "GET") == 0) {
        list_parts(u, req->url, ret);
    } else if (strcmp(req->method, "PUT") == 0) {
        put_part(s, u, req, ret);
    } else if (strcmp(req->method, "DELETE") == 0) {
        forget(u);
        ret->status = 204;
    } else {
        complete(s, u, req, ret);
    }
}

static enum hf_code parts_send(struct hf_http *base, const struct hf_http_request *req,
                               struct hf_http_response *ret, struct hf_err *err)
{
    struct s3_parts *s = ((struct transport *)base)->s;

    (void)err;
    hf_http_response_reset(ret);
    (void)pthread_mutex_lock(&s->mutex);
    handle(s, req, ret);
    (void)pthread_mutex_unlock(&s->mutex);
    return HF_OK;
}

static void transport_free(struct hf_http *base)
{
    hf_free(base);
}

struct s3_parts *s3_parts_new(const struct s3_parts_odd *odd)
{
    struct s3_parts *s = (struct s3_parts *)hf_calloc(1, sizeof(*s));

    s->odd = *odd;
    s->parts_left = SIZE_MAX;
    (void)pthread_mutex_init(&s->mutex, NULL);
    return s;
}

struct hf_http *s3_parts_transport(struct s3_parts *s)
{
    struct transport *t = (struct transport *)hf_calloc(1, sizeof(*t));

    t->base.send = parts_send;
    t->base.free = transport_free;
    t->s = s;
    return &t->base;
}

void s3_parts_free(struct s3_parts *s)
{
    s3_parts_end_all(s);
    hf_buf_done(&s->object);
    (void)pthread_mutex_destroy(&s->mutex);
    hf_free(s);
}

void s3_parts_fail_after(struct s3_parts *s, size_t parts)
{
    s->parts_left = parts;
}

void s3_parts_begin(struct s3_parts *s, const char *key)
{
    (void)begin(s, key);
}

void s3_parts_end_all(struct s3_parts *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < UPLOADS_MAX; i++)
        forget(&s->uploads[i]);
    (void)pthread_mutex_unlock(&s->mutex);
}

void s3_parts_replace_one(struct s3_parts *s)
{
    s->replace_one = true;
}

uint64_t s3_parts_sent_bytes(struct s3_parts *s)
{
    const uint64_t bytes = s->sent_bytes;

    s->sent_bytes = 0;
    return bytes;
}

size_t s3_parts_unfinished(struct s3_parts *s)
{
    size_t n = 0;

    for (size_t i = 0; i < UPLOADS_MAX; i++)
        n += s->uploads[i].key != NULL ? 1 : 0;
    return n;
}

const struct hf_buf *s3_parts_object(const struct s3_parts *s)
{
    return s->has_object ? &s->object : NULL;
}
