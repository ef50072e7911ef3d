/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - one thread waits on all sockets; a question is answered on a thread of its own, since
 * an answer may have to wait for the store. Questions are rare.
 *
 * Socket names are limited to 108 bytes and folders are not, so the folder is opened and the name
 * goes through /proc/self/fd.
 */
#include "service/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"

#define BACKLOG          16
#define QUESTION_WAIT_MS 1000
#define ANSWERS_MAX      32 /* at once; more wait in the backlog */

struct hf_control_server {
    int epoll_fd;
    int stop_fd;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* an answer ended */
    struct {
        struct hf_control *controls; /* all that are served */
        unsigned answers;            /* running, of all controls */
    } guarded;                       /* by mutex */
};

struct hf_control {
    struct hf_control_server *server;
    char *path;
    int fd;
    hf_control_fn *fn;
    void *ctx;
    struct hf_control *next;
    unsigned answers; /* running; by the server's mutex */
};

/* A connection on its way to an answer. */
struct question {
    struct hf_control *control;
    int fd;
};

static struct sockaddr_un address_in(int dir_fd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/socket", dir_fd);
    return a;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* Read up to '\n'; false if none came within ms_max, however many pieces did. */
static bool read_line(int fd, int64_t ms_max, struct hf_buf *ret)
{
    const int64_t until_us = hf_mono_us(hf_clock_system()) + ms_max * 1000;

    while (ret->len < HF_CONTROL_LINE_MAX) {
        const int64_t left_us = until_us - hf_mono_us(hf_clock_system());
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint8_t *to = hf_buf_reserve(ret, HF_CONTROL_LINE_MAX);

        if (left_us <= 0 || poll(&p, 1, (int)((left_us + 999) / 1000)) <= 0)
            return false;
        const ssize_t n = recv(fd, to, HF_CONTROL_LINE_MAX - ret->len, 0);

        if (n <= 0)
            return false;
        ret->len += (size_t)n;
        if (ret->ptr[ret->len - 1] == '\n') {
            ret->len--;
            return true;
        }
    }
    return false;
}

static void end_answer(struct question *q)
{
    struct hf_control_server *s = q->control->server;

    (void)close(q->fd);
    (void)pthread_mutex_lock(&s->mutex);
    q->control->answers--;
    s->guarded.answers--;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->mutex);
    hf_free(q);
}

static void *answer(void *arg)
{
    struct question *q = arg;
    HF_AUTO_BUF line = {0};
    HF_AUTO_BUF reply = {0};

    if (read_line(q->fd, QUESTION_WAIT_MS, &line)) {
        q->control->fn(q->control->ctx, hf_buf_str(&line), &reply);
        hf_buf_append(&reply, "\n", 1);
        (void)!send(q->fd, reply.ptr, reply.len, MSG_NOSIGNAL);
    }
    end_answer(q);
    return NULL;
}

static bool is_served_locked(const struct hf_control_server *s, const struct hf_control *c)
{
    const struct hf_control *at = s->guarded.controls;

    while (at != NULL && at != c)
        at = at->next;
    return at != NULL;
}

/* Take one connection to `c`, if it is still served, and answer it on a thread of its own. */
static void take(struct hf_control_server *s, struct hf_control *c)
{
    struct question *q = NULL;
    pthread_t thread;

    (void)pthread_mutex_lock(&s->mutex);
    while (s->guarded.answers >= ANSWERS_MAX)
        (void)pthread_cond_wait(&s->changed, &s->mutex);
    const int fd = is_served_locked(s, c) ? accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
                                          : -1;

    if (fd >= 0) {
        q = hf_calloc(1, sizeof(*q));
        *q = (struct question){.control = c, .fd = fd};
        c->answers++;
        s->guarded.answers++;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (q == NULL)
        return;
    if (pthread_create(&thread, NULL, answer, q) != 0)
        end_answer(q);
    else
        (void)pthread_detach(thread);
}

static void *serve(void *arg)
{
    struct hf_control_server *s = arg;

    for (;;) {
        struct epoll_event event;
        const int n = epoll_wait(s->epoll_fd, &event, 1, -1);

        if (n < 0 && errno != EINTR)
            return NULL;
        if (n == 1 && event.data.ptr == NULL)
            return NULL; /* stop_fd */
        if (n == 1)
            take(s, event.data.ptr);
    }
}

enum hf_code hf_control_server_new(struct hf_control_server **ret, struct hf_err *err)
{
    struct hf_control_server *s = hf_calloc(1, sizeof(*s));
    struct epoll_event event = {.events = EPOLLIN};

    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (s->epoll_fd < 0 || s->stop_fd < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->stop_fd, &event) < 0 ||
        pthread_create(&s->thread, NULL, serve, s) != 0) {
        const enum hf_code rc = hf_err_sys(err, HF_IO, "set up the control sockets");

        hf_control_server_free(s);
        return rc;
    }
    s->started = true;
    *ret = s;
    return HF_OK;
}

void hf_control_server_free(struct hf_control_server *s)
{
    if (s == NULL)
        return;
    hf_assert(s->guarded.controls == NULL);
    if (s->started) {
        (void)!eventfd_write(s->stop_fd, 1);
        (void)pthread_join(s->thread, NULL);
    }
    close_fd(s->epoll_fd);
    close_fd(s->stop_fd);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->mutex);
    hf_free(s);
}

static enum hf_code listen_in(struct hf_control *c, const char *dir, struct hf_err *err)
{
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum hf_code rc = HF_OK;

    if (dir_fd < 0)
        return hf_err_sys(err, HF_IO, "open %s", dir);
    const struct sockaddr_un a = address_in(dir_fd);

    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (unlinkat(dir_fd, "socket", 0) < 0 && errno != ENOENT)
        rc = hf_err_sys(err, HF_IO, "remove the old socket in %s", dir);
    else if (c->fd < 0 || bind(c->fd, (const struct sockaddr *)(const void *)&a, sizeof(a)) < 0 ||
             listen(c->fd, BACKLOG) < 0)
        rc = hf_err_sys(err, HF_IO, "make the socket in %s", dir);
    (void)close(dir_fd);
    return rc;
}

enum hf_code hf_control_new(struct hf_control_server *s, const char *dir, hf_control_fn *fn,
                            void *ctx, struct hf_control **ret, struct hf_err *err)
{
    struct hf_control *c = hf_calloc(1, sizeof(*c));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    *c = (struct hf_control){.server = s, .fd = -1, .fn = fn, .ctx = ctx};
    c->path = hf_strfmt("%s/socket", dir);
    const enum hf_code rc = listen_in(c, dir, err);

    (void)pthread_mutex_lock(&s->mutex);
    c->next = s->guarded.controls;
    s->guarded.controls = c;
    (void)pthread_mutex_unlock(&s->mutex);
    if (rc != HF_OK) {
        hf_control_free(c);
        return rc;
    }
    hf_assert(epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0);
    *ret = c;
    return HF_OK;
}

void hf_control_free(struct hf_control *c)
{
    if (c == NULL)
        return;
    struct hf_control_server *s = c->server;

    (void)pthread_mutex_lock(&s->mutex);
    for (struct hf_control **at = &s->guarded.controls; *at != NULL; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    while (c->answers > 0)
        (void)pthread_cond_wait(&s->changed, &s->mutex);
    (void)pthread_mutex_unlock(&s->mutex);
    if (c->fd >= 0) {
        (void)close(c->fd); /* which takes it out of epoll */
        (void)unlink(c->path);
    }
    hf_free(c->path);
    hf_free(c);
}

static enum hf_code ask_over(int fd, int dir_fd, const char *dir, const char *line, int64_t ms_max,
                             struct hf_buf *ret, struct hf_err *err)
{
    const struct sockaddr_un a = address_in(dir_fd);
    HF_AUTO_FREE char *text = hf_strfmt("%s\n", line);

    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&a, sizeof(a)) < 0)
        return hf_err_set(err, HF_BUSY, "no archiver answers in %s", dir);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || !read_line(fd, ms_max, ret))
        return hf_err_set(err, HF_BUSY, "the archiver of %s did not answer within %lld ms", dir,
                          (long long)ms_max);
    return HF_OK;
}

enum hf_code hf_control_ask(const char *dir, const char *line, int64_t ms_max, struct hf_buf *ret,
                            struct hf_err *err)
{
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir_fd < 0)
        return hf_err_set(err, HF_BUSY, "no archiver was ever at work in %s", dir);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const enum hf_code rc = ask_over(fd, dir_fd, dir, line, ms_max, ret, err);

    close_fd(fd);
    close_fd(dir_fd);
    return rc;
}
