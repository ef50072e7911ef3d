/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_peer.h - the other side of HTTP, by script: a transport that gives canned answers, and a
 * server on the loopback that breaks off where it is told to.
 */
#ifndef HF_TESTS_LIB_HTTP_PEER_H
#define HF_TESTS_LIB_HTTP_PEER_H

#include "lib/fixture.h"
#include "store/http.h"

/*
 * A canned transport. Its answers are files below tests/data/s3, written as HTTP with plain line
 * ends: status line, headers, an empty line, the body.
 */
struct test_answer {
    const char *file; /* NULL: no answer comes */
    const char *text; /* instead of a file; NULL: none */
    enum hf_code rc;  /* what send() returns; with an answer and HF_UNCERTAIN it broke off */
};

struct test_request {
    char *method;
    char *url;
    struct hf_buf head; /* "name: value\n" of each header */
    struct hf_buf body;
};

struct test_http; /* a struct hf_http; freed as one */

/* Fails the test when it is asked more often than it has answers. */
struct test_http *test_http_new(const struct test_answer *answers, size_t answers_count);
struct hf_http *test_http_transport(struct test_http *h);
/* Requests so far, and one of them; NULL if there were not so many. They live as `h` does. */
size_t test_http_requests_count(const struct test_http *h);
const struct test_request *test_http_request(const struct test_http *h, size_t index);
/* The value of a header of the request, or NULL; the caller frees. */
char *test_request_header(const struct test_request *r, const char *name);

/* The contents of a file below tests/data. */
void test_data_read(const char *name, struct hf_buf *ret);

/* A server that does one step after the other, in a thread of its own. */
enum test_step_kind {
    PEER_ACCEPT,    /* the next connection; the one before is closed */
    PEER_READ,      /* a whole request, with its body */
    PEER_READ_HEAD, /* a request's head, and nothing of its body beyond what came with it */
    PEER_READ_BYTE, /* one byte of what comes next */
    PEER_REPLY,     /* send `text` */
    PEER_CLOSE,     /* in order */
    PEER_RESET,     /* so that the other side sees "connection reset" */
    PEER_STALL,     /* do nothing until test_peer_free() */
};

struct test_step {
    enum test_step_kind kind;
    const char *text;
};

struct test_peer;

/* Listens when it returns. `steps` are borrowed until test_peer_free(). */
struct test_peer *test_peer_new(const struct test_step *steps, size_t steps_count);
const char *test_peer_url(const struct test_peer *p); /* http://127.0.0.1:PORT */
size_t test_peer_requests_count(struct test_peer *p); /* whole ones */
void test_peer_free(struct test_peer *p);             /* ends the script wherever it is */

/* A URL on which nothing listens; the caller frees. */
char *test_unreachable_url(void);

#endif
