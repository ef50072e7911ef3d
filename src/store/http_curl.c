/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_curl.c - the transport over libcurl: one easy handle a call, kept in a stack between calls.
 *
 * Invariants
 * 1. A handle is used by one thread at a time; `guarded` is held only to take one or put it back.
 * 2. A body is sent at most once. curl itself repeats a request when a kept connection dies without
 *    an answer; for a conditional put that would be a blind retry, which reports a conflict against
 *    itself. It cannot do so with a body that it may not rewind, so bodies come from a read
 *    callback and there is no seek callback. A request that changes something without a body gets
 *    a connection of its own.
 */
#include "store/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define IDLE_HANDLES_MAX   64
#define CONNECT_MS_MAX     10000
#define CONNECTION_AGE_SEC 30 /* older idle connections are not used again */
#define CURL_BUFFER_BYTES  (512L << 10)

struct curl_http {
    struct hf_http base; /* first, so that the pointers convert */
    char *ca_bundle;     /* NULL: the system's */
    pthread_mutex_t mutex;
    struct {
        CURL *idle[IDLE_HANDLES_MAX];
        size_t idle_count;
    } guarded; /* by mutex */
};

/* One call under way: what the callbacks of curl work on. */
struct transfer {
    CURL *handle;
    const struct hf_http_request *req;
    struct hf_http_response *resp;
    size_t sent_bytes; /* of the body, handed to curl */
    uint64_t got_bytes;
    bool too_large;
};

static size_t read_body(char *dst, size_t size, size_t count, void *ctx)
{
    struct transfer *t = (struct transfer *)ctx;
    const size_t left = t->req->body.len - t->sent_bytes;
    const size_t len = left < size * count ? left : size * count;

    if (len > 0)
        (void)memcpy(dst, t->req->body.ptr + t->sent_bytes, len);
    t->sent_bytes += len;
    return len;
}

static int status_of(CURL *handle)
{
    long status = 0;

    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* A new status line begins a new head: that of an interim answer (100) is forgotten. */
static size_t take_header(char *line, size_t size, size_t count, void *ctx)
{
    struct transfer *t = (struct transfer *)ctx;

    if (size * count >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        hf_buf_reset(&t->resp->head);
        return size * count;
    }
    if (!hf_http_response_add(t->resp, hf_slice(line, size * count))) {
        t->too_large = true;
        return 0;
    }
    return size * count;
}

static size_t take_body(char *src, size_t size, size_t count, void *ctx)
{
    struct transfer *t = (struct transfer *)ctx;
    const int status = status_of(t->handle);
    const bool into = t->req->into != NULL && status >= 200 && status <= 299;
    const uint64_t max = into ? t->req->into_bytes_max : HF_HTTP_BODY_BYTES_MAX;

    t->got_bytes += size * count;
    if (max > 0 && t->got_bytes > max) {
        t->too_large = true;
        return 0;
    }
    hf_buf_append(into ? t->req->into : &t->resp->body, src, size * count);
    return size * count;
}

/* curl asks at least once a second, also while it connects. Anything but 0 ends the transfer. */
static int ask_stop(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                    curl_off_t up)
{
    const struct transfer *t = (const struct transfer *)ctx;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return hf_stop_is_set(t->req->stop) ? 1 : 0;
}

static CURL *take_handle(struct curl_http *h)
{
    CURL *handle = NULL;

    (void)pthread_mutex_lock(&h->mutex);
    if (h->guarded.idle_count > 0)
        handle = h->guarded.idle[--h->guarded.idle_count];
    (void)pthread_mutex_unlock(&h->mutex);
    if (handle == NULL)
        handle = curl_easy_init();
    hf_assert(handle != NULL); /* only for want of memory */
    return handle;
}

/* Options go, the connection stays. */
static void give_back(struct curl_http *h, CURL *handle)
{
    curl_easy_reset(handle);
    (void)pthread_mutex_lock(&h->mutex);
    if (h->guarded.idle_count < IDLE_HANDLES_MAX) {
        h->guarded.idle[h->guarded.idle_count++] = handle;
        handle = NULL;
    }
    (void)pthread_mutex_unlock(&h->mutex);
    if (handle != NULL)
        curl_easy_cleanup(handle);
}

static void set_method(CURL *handle, const struct transfer *t)
{
    const struct hf_http_request *req = t->req;

    if (strcmp(req->method, "HEAD") == 0) {
        (void)curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
        return;
    }
    if (req->has_body) {
        (void)curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body.len);
        (void)curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER_BYTES);
        (void)curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, req->body.len == 0 ? 1L : 0L);
    }
    (void)curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, req->method);
}

static void set_limits(CURL *handle, const struct hf_http_request *req)
{
    const int64_t stall_ms = req->stall_ms > 0 ? req->stall_ms : HF_HTTP_STALL_MS;

    (void)curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS_MAX);
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
    (void)curl_easy_setopt(handle, CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_SEC);
    (void)curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, CURL_BUFFER_BYTES);
}

static void set_callbacks(CURL *handle, struct transfer *t)
{
    (void)curl_easy_setopt(handle, CURLOPT_READFUNCTION, read_body);
    (void)curl_easy_setopt(handle, CURLOPT_READDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, ask_stop);
    (void)curl_easy_setopt(handle, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

static void free_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static void append_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    hf_assert(longer != NULL); /* only for want of memory */
    *list = longer;
}

/* "Expect:" alone takes curl's wait for "100 Continue" away, which costs a round trip a put. */
static struct curl_slist *make_headers(const struct hf_http_request *req)
{
    struct curl_slist *list = NULL;

    for (size_t i = 0; i < req->headers_count; i++) {
        HF_AUTO_BUF line = {0};

        hf_buf_printf(&line, "%s: %s", req->headers[i].name, req->headers[i].value);
        append_line(&list, hf_buf_str(&line));
    }
    append_line(&list, "Expect:");
    append_line(&list, "User-Agent: holdfast/" HF_VERSION);
    return list;
}

/* Whether anything went out that a server could act upon. */
static bool has_begun(const struct transfer *t)
{
    long head_bytes = 0;

    if (t->req->has_body && t->req->body.len > 0)
        return t->sent_bytes > 0;
    (void)curl_easy_getinfo(t->handle, CURLINFO_REQUEST_SIZE, &head_bytes);
    return head_bytes > 0;
}

static enum hf_code judge(const struct transfer *t, CURLcode code, const char *detail,
                          struct hf_err *err)
{
    const char *text = *detail != '\0' ? detail : curl_easy_strerror(code);

    if (code == CURLE_OK)
        return HF_OK;
    if (t->too_large)
        return hf_err_set(err, HF_IO, "the answer is larger than was asked for or is allowed");
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return hf_err_set(err, HF_USAGE,
                          "the server's certificate is not trusted (%s); if it is signed by an "
                          "authority of your own, name its file in AWS_CA_BUNDLE",
                          text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return hf_err_set(err, HF_USAGE, "the endpoint is not a URL that can be used: %s", text);
    default:
        return hf_err_set(err, has_begun(t) ? HF_UNCERTAIN : HF_TRANSIENT, "%s", text);
    }
}

static enum hf_code http_send(struct hf_http *base, const struct hf_http_request *req,
                              struct hf_http_response *ret, struct hf_err *err)
{
    struct curl_http *h = (struct curl_http *)base;
    struct transfer t = {.handle = take_handle(h), .req = req, .resp = ret};
    HF_CLEANUP(free_list) struct curl_slist *headers = make_headers(req);
    char detail[CURL_ERROR_SIZE] = "";

    hf_http_response_reset(ret);
    set_limits(t.handle, req);
    set_callbacks(t.handle, &t);
    set_method(t.handle, &t);
    (void)curl_easy_setopt(t.handle, CURLOPT_URL, req->url);
    (void)curl_easy_setopt(t.handle, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(t.handle, CURLOPT_ERRORBUFFER, detail);
    if (h->ca_bundle != NULL)
        (void)curl_easy_setopt(t.handle, CURLOPT_CAINFO, h->ca_bundle);

    const CURLcode code = curl_easy_perform(t.handle);
    const enum hf_code rc = judge(&t, code, detail, err);

    ret->status = status_of(t.handle);
    give_back(h, t.handle);
    return rc;
}

static void http_free(struct hf_http *base)
{
    struct curl_http *h = (struct curl_http *)base;

    for (size_t i = 0; i < h->guarded.idle_count; i++)
        curl_easy_cleanup(h->guarded.idle[i]);
    (void)pthread_mutex_destroy(&h->mutex);
    hf_free(h->ca_bundle);
    hf_free(h);
}

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
}

struct hf_http *hf_http_curl_new(const char *ca_bundle)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct curl_http *h = (struct curl_http *)hf_calloc(1, sizeof(*h));

    (void)pthread_once(&once, init_curl);
    h->base.send = http_send;
    h->base.free = http_free;
    h->ca_bundle = ca_bundle != NULL ? hf_strdup(ca_bundle) : NULL;
    (void)pthread_mutex_init(&h->mutex, NULL);
    return &h->base;
}
