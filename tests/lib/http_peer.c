/* SPDX-License-Identifier: Apache-2.0 */
/* http_peer.c - the canned transport, and the scripted server in a thread of its own. */
#include "lib/http_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"

#define REQUESTS_MAX   64
#define DATA_BYTES_MAX (1u << 20)

struct test_http {
    struct hf_http base; /* first, so that the pointers convert */
    const struct test_answer *answers;
    size_t answers_count;
    struct test_request requests[REQUESTS_MAX];
    size_t requests_count;
    pthread_mutex_t mutex; /* parts of an upload come from several threads */
};

void test_data_read(const char *name, struct hf_buf *ret)
{
    HF_AUTO_FREE char *lib = hf_path_dir(__FILE__);
    HF_AUTO_FREE char *path = hf_strfmt("%s/../data/%s", lib, name);
    struct hf_err err;

    hf_must(hf_fs_read_all(hf_fs_system(), path, DATA_BYTES_MAX, ret, &err), &err);
}

static void keep_request(struct test_http *h, const struct hf_http_request *req)
{
    struct test_request *r = &h->requests[h->requests_count];

    hf_assert(h->requests_count < REQUESTS_MAX);
    h->requests_count++;
    r->method = hf_strdup(req->method);
    r->url = hf_strdup(req->url);
    for (size_t i = 0; i < req->headers_count; i++)
        hf_buf_printf(&r->head, "%s: %s\n", req->headers[i].name, req->headers[i].value);
    hf_buf_append(&r->body, req->body.ptr, req->body.len);
}

/* Take a text written as HTTP apart. */
static void parse_answer(struct hf_slice text, const struct hf_http_request *req,
                         struct hf_http_response *ret)
{
    const uint8_t *at = text.ptr;
    const uint8_t *end = text.ptr + text.len;

    hf_assert(sscanf((const char *)at, "HTTP/1.1 %d", &ret->status) == 1);
    while (at < end) {
        const uint8_t *line_end = (const uint8_t *)memchr(at, '\n', (size_t)(end - at));

        hf_assert(line_end != NULL);
        if (line_end == at) {
            at++;
            break;
        }
        hf_assert(hf_http_response_add(ret, hf_slice(at, (size_t)(line_end - at))));
        at = line_end + 1;
    }
    hf_buf_append(req->into != NULL && ret->status < 300 ? req->into : &ret->body, at,
                  (size_t)(end - at));
}

static enum hf_code canned_send(struct hf_http *base, const struct hf_http_request *req,
                                struct hf_http_response *ret, struct hf_err *err)
{
    struct test_http *h = (struct test_http *)base;
    HF_AUTO_BUF text = {0};

    (void)pthread_mutex_lock(&h->mutex);

    const size_t index = h->requests_count;

    keep_request(h, req);
    (void)pthread_mutex_unlock(&h->mutex);
    hf_http_response_reset(ret);
    if (index >= h->answers_count)
        fail_msg("request %zu was not expected: %s %s", index + 1, req->method, req->url);

    const struct test_answer *a = &h->answers[index];

    if (a->file != NULL)
        test_data_read(a->file, &text);
    if (a->text != NULL)
        hf_buf_printf(&text, "%s", a->text);
    if (text.len > 0)
        parse_answer(hf_slice(hf_buf_str(&text), text.len), req, ret);
    if (a->rc != HF_OK)
        return hf_err_set(err, a->rc, "as the script says");
    return HF_OK;
}

static void canned_free(struct hf_http *base)
{
    struct test_http *h = (struct test_http *)base;

    for (size_t i = 0; i < h->requests_count; i++) {
        hf_free(h->requests[i].method);
        hf_free(h->requests[i].url);
        hf_buf_done(&h->requests[i].head);
        hf_buf_done(&h->requests[i].body);
    }
    (void)pthread_mutex_destroy(&h->mutex);
    hf_free(h);
}

struct test_http *test_http_new(const struct test_answer *answers, size_t answers_count)
{
    struct test_http *h = (struct test_http *)hf_calloc(1, sizeof(*h));

    h->base.send = canned_send;
    h->base.free = canned_free;
    h->answers = answers;
    h->answers_count = answers_count;
    (void)pthread_mutex_init(&h->mutex, NULL);
    return h;
}

struct hf_http *test_http_transport(struct test_http *h)
{
    return &h->base;
}

size_t test_http_requests_count(const struct test_http *h)
{
    return h->requests_count;
}

const struct test_request *test_http_request(const struct test_http *h, size_t index)
{
    return index < h->requests_count ? &h->requests[index] : NULL;
}

char *test_request_header(const struct test_request *r, const char *name)
{
    const size_t name_len = strlen(name);
    HF_AUTO_BUF head = {0};

    hf_buf_append(&head, r->head.ptr, r->head.len);
    for (const char *line = hf_buf_str(&head); *line != '\0';) {
        const char *end = strchr(line, '\n');

        hf_assert(end != NULL);
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':')
            return hf_strndup(line + name_len + 2, (size_t)(end - line) - name_len - 2);
        line = end + 1;
    }
    return NULL;
}

struct test_peer {
    const struct test_step *steps;
    size_t steps_count;
    int listen_fd;
    int stop_fds[2]; /* a pipe: closed at its writing end to stop */
    int fd;          /* the connection, or -1 */
    char *url;
    pthread_t thread;
    pthread_mutex_t mutex;
    size_t requests_count; /* by mutex */
};

static int listen_loopback(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    hf_assert(fd >= 0);
    hf_assert(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    hf_assert(listen(fd, 16) == 0);
    hf_assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* false: told to stop. */
static bool wait_readable(const struct test_peer *p, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = p->stop_fds[0]}};

    while (poll(fds, 2, -1) < 0)
        continue;
    return fds[1].revents == 0;
}

static void hang_up(struct test_peer *p, bool reset)
{
    const struct linger linger = {.l_onoff = 1};

    if (p->fd < 0)
        return;
    if (reset)
        hf_assert(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    (void)close(p->fd);
    p->fd = -1;
}

/* Bytes of a body that the head at `text` promises. */
static size_t content_length(const char *text)
{
    const char *at = strcasestr(text, "\r\ncontent-length:");

    return at != NULL ? (size_t)strtoull(at + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* false: told to stop, or the other side went away. */
static bool read_request(struct test_peer *p, bool with_body)
{
    HF_AUTO_BUF text = {0};
    const char *head_end = NULL;

    for (;;) {
        uint8_t bytes[4096];

        if (head_end == NULL && text.len > 0)
            head_end = strstr(hf_buf_str(&text), "\r\n\r\n");
        if (head_end != NULL) {
            const size_t head_len =
                (size_t)(strstr(hf_buf_str(&text), "\r\n\r\n") + 4 - hf_buf_str(&text));

            if (!with_body || text.len >= head_len + content_length(hf_buf_str(&text)))
                break;
        }
        if (p->fd < 0 || !wait_readable(p, p->fd))
            return false;

        const ssize_t n = read(p->fd, bytes, with_body ? sizeof(bytes) : 1);

        if (n <= 0)
            return false;
        hf_buf_append(&text, bytes, (size_t)n);
    }
    (void)pthread_mutex_lock(&p->mutex);
    p->requests_count += with_body ? 1 : 0;
    (void)pthread_mutex_unlock(&p->mutex);
    return true;
}

static bool do_step(struct test_peer *p, const struct test_step *step)
{
    switch (step->kind) {
    case PEER_ACCEPT:
        hang_up(p, false);
        if (!wait_readable(p, p->listen_fd))
            return false;
        p->fd = accept(p->listen_fd, NULL, NULL);
        return p->fd >= 0;
    case PEER_READ:
        return read_request(p, true);
    case PEER_READ_HEAD:
        return read_request(p, false);
    case PEER_READ_BYTE:
        return wait_readable(p, p->fd) && read(p->fd, &(char){0}, 1) == 1;
    case PEER_REPLY:
        return send(p->fd, step->text, strlen(step->text), MSG_NOSIGNAL) >= 0;
    case PEER_CLOSE:
        hang_up(p, false);
        return true;
    case PEER_RESET:
        hang_up(p, true);
        return true;
    default:
        (void)wait_readable(p, -1);
        return false;
    }
}

static void *run_peer(void *ctx)
{
    struct test_peer *p = (struct test_peer *)ctx;

    for (size_t i = 0; i < p->steps_count && do_step(p, &p->steps[i]); i++)
        continue;
    hang_up(p, false);
    return NULL;
}

struct test_peer *test_peer_new(const struct test_step *steps, size_t steps_count)
{
    struct test_peer *p = (struct test_peer *)hf_calloc(1, sizeof(*p));
    uint16_t port = 0;

    p->steps = steps;
    p->steps_count = steps_count;
    p->fd = -1;
    p->listen_fd = listen_loopback(&port);
    p->url = hf_strfmt("http://127.0.0.1:%u", port);
    hf_assert(pipe(p->stop_fds) == 0);
    (void)pthread_mutex_init(&p->mutex, NULL);
    hf_assert(pthread_create(&p->thread, NULL, run_peer, p) == 0);
    return p;
}

const char *test_peer_url(const struct test_peer *p)
{
    return p->url;
}

size_t test_peer_requests_count(struct test_peer *p)
{
    (void)pthread_mutex_lock(&p->mutex);

    const size_t count = p->requests_count;

    (void)pthread_mutex_unlock(&p->mutex);
    return count;
}

void test_peer_free(struct test_peer *p)
{
    (void)close(p->stop_fds[1]);
    (void)pthread_join(p->thread, NULL);
    (void)close(p->stop_fds[0]);
    (void)close(p->listen_fd);
    (void)pthread_mutex_destroy(&p->mutex);
    hf_free(p->url);
    hf_free(p);
}

char *test_unreachable_url(void)
{
    uint16_t port = 0;

    /* Bound once and closed again: nobody else gets it so soon. */
    (void)close(listen_loopback(&port));
    return hf_strfmt("http://127.0.0.1:%u", port);
}
