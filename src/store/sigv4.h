/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.h - AWS Signature Version 4 of a request whose body's hash is known.
 *
 * Pure functions; any thread. Nothing of a key is kept or printed.
 * Source: AWS General Reference, "Signature Version 4 signing process"; S3 API Reference,
 * "Authenticating Requests: Using the Authorization Header".
 */
#ifndef HF_STORE_SIGV4_H
#define HF_STORE_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/http.h"

#define HF_SIGV4_DATE_MAX  17 /* bytes with NUL: 20260102T030405Z */
#define HF_SIGV4_PAIRS_MAX 16 /* headers, and query parameters, of one request */

struct hf_sigv4_key {
    const char *access_key_id;
    const char *secret_access_key;
    const char *region;
    const char *service;
};

/* What is signed: everything that is given here and nothing else. */
struct hf_sigv4_request {
    const char *method;
    const char *path;                 /* as on the request line, percent-encoded */
    const struct hf_http_pair *query; /* not encoded, in any order */
    size_t query_count;
    const struct hf_http_pair *headers; /* names in lower case, in any order; with host and
                                           x-amz-date */
    size_t headers_count;
    const char *payload_sha256; /* hex, or UNSIGNED-PAYLOAD */
};

/* The value of x-amz-date. */
void hf_sigv4_date(int64_t now_ms, char ret[HF_SIGV4_DATE_MAX]);

/* Append `text`, percent-encoded but for letters, digits, "-._~" and, if asked, '/'. */
void hf_sigv4_encode(const char *text, bool keep_slash, struct hf_buf *ret);

/* Append the query as it is signed and must be sent: encoded and sorted. */
void hf_sigv4_query(const struct hf_http_pair *query, size_t query_count, struct hf_buf *ret);

/* Append the value of the Authorization header. `date` is that of x-amz-date. */
void hf_sigv4_sign(const struct hf_sigv4_key *key, const struct hf_sigv4_request *request,
                   const char *date, struct hf_buf *ret);

#endif
