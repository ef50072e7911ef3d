/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one HTTP request and its answer, behind a table so that tests can hand in a script.
 *
 * A transport sends each request exactly once: whether to repeat it is decided by whoever knows
 * what it does (s3_client.c). Any thread; each call uses a connection of its own, and connections
 * are kept for later calls. Implemented by hf_http_curl_new() and by the scripts of the tests.
 */
#ifndef HF_STORE_HTTP_H
#define HF_STORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/stop.h"

#define HF_HTTP_HEAD_BYTES_MAX (64u << 10) /* all header lines of an answer */
#define HF_HTTP_BODY_BYTES_MAX (16u << 20) /* of an answer that is not written to `into` */
#define HF_HTTP_STALL_MS       30000       /* no byte either way for so long ends a request */

struct hf_http_pair {
    const char *name;
    const char *value;
};

/* All pointers are borrowed until the call returns. */
struct hf_http_request {
    const char *method;
    const char *url;                    /* with its query, percent-encoded */
    const struct hf_http_pair *headers; /* sent as they are; Content-Length is added */
    size_t headers_count;
    struct hf_slice body;
    bool has_body;            /* an empty body is announced too (Content-Length: 0) */
    struct hf_buf *into;      /* where the body of a 2xx answer is appended; NULL: to the answer */
    uint64_t into_bytes_max;  /* more than this is HF_IO; 0: no limit */
    int64_t stall_ms;         /* 0: HF_HTTP_STALL_MS */
    const hf_stop_flag *stop; /* set: it ends within about a second, as if the connection had
                                 broken; NULL: never */
};

/* Owns its buffers. All zero is ready for use. */
struct hf_http_response {
    int status; /* 0: no answer came */
    struct hf_buf head;
    struct hf_buf body;
};
void hf_http_response_reset(struct hf_http_response *r);
void hf_http_response_done(struct hf_http_response *r);
#define HF_AUTO_RESPONSE HF_CLEANUP(hf_http_response_done) struct hf_http_response

/* The value of a header, by its lower-case name; NULL if there is none. */
const char *hf_http_response_header(const struct hf_http_response *r, const char *name);
/* For transports: take one header line, "Name: value", with or without its line end. Lines without
 * a colon are left out. false: more than HF_HTTP_HEAD_BYTES_MAX. */
bool hf_http_response_add(struct hf_http_response *r, struct hf_slice line) HF_MUST_CHECK;

/* Milliseconds since the epoch of an HTTP date (RFC 9110 §5.6.7); -1 if it is none. */
int64_t hf_http_date(const char *text);

struct hf_http {
    /*
     * Send `req` once and wait for the whole answer.
     *
     * HF_OK         `ret` holds it, whatever its status says.
     * HF_TRANSIENT  the body (or, without one, the request) was not begun to be sent: the server
     *               has done nothing.
     * HF_UNCERTAIN  it was begun, and no whole answer came: the server may have acted. ret->status
     *               says whether an answer had begun; `into` holds what came of its body.
     * HF_USAGE      the server's certificate or the URL is wrong.
     * HF_IO         the answer is larger than its limits.
     */
    enum hf_code (*send)(struct hf_http *h, const struct hf_http_request *req,
                         struct hf_http_response *ret, struct hf_err *err);
    void (*free)(struct hf_http *h);
};

static inline enum hf_code HF_MUST_CHECK hf_http_send(struct hf_http *h,
                                                      const struct hf_http_request *req,
                                                      struct hf_http_response *ret,
                                                      struct hf_err *err)
{
    return h->send(h, req, ret, err);
}
static inline void hf_http_free(struct hf_http *h)
{
    if (h != NULL)
        h->free(h);
}

/* The network, by libcurl. `ca_bundle`, a file of PEM certificates or NULL for the system's, is
 * copied. The caller frees with hf_http_free(). */
struct hf_http *hf_http_curl_new(const char *ca_bundle);

#endif
