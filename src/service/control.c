/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - one thread accepts and answers; questions are rare and short.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"

#define BACKLOG          16
#define QUESTION_WAIT_MS 1000

struct hf_control {
    int dir_fd;
    int fd;
    int stop_pipe[2];
    hf_control_fn *fn;
    void *ctx;
    pthread_t thread;
    bool started;
};

static struct sockaddr_un address_in(int dir_fd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/socket", dir_fd);
    return a;
}

/* Read up to '\n' within ms_max a piece; false if none came. */
static bool read_line(int fd, int64_t ms_max, struct hf_buf *ret)
{
    while (ret->len < HF_CONTROL_LINE_MAX) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint8_t *to = hf_buf_reserve(ret, HF_CONTROL_LINE_MAX);

        if (poll(&p, 1, (int)ms_max) <= 0)
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

static void answer(struct hf_control *c, int fd)
{
    HF_AUTO_BUF question = {0};
    HF_AUTO_BUF reply = {0};

    if (!read_line(fd, QUESTION_WAIT_MS, &question))
        return;
    c->fn(c->ctx, hf_buf_str(&question), &reply);
    hf_buf_append(&reply, "\n", 1);
    (void)!send(fd, reply.ptr, reply.len, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    struct hf_control *c = arg;

    for (;;) {
        struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN},
                              {.fd = c->stop_pipe[0], .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents != 0)
            return NULL;
        if (p[0].revents == 0)
            continue;
        const int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        answer(c, fd);
        (void)close(fd);
    }
}

static enum hf_code listen_in(struct hf_control *c, const char *dir, struct hf_err *err)
{
    c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dir_fd < 0)
        return hf_err_sys(err, HF_IO, "open %s", dir);
    if (unlinkat(c->dir_fd, "socket", 0) < 0 && errno != ENOENT)
        return hf_err_sys(err, HF_IO, "remove the old socket in %s", dir);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_un a = address_in(c->dir_fd);

    if (c->fd < 0 || bind(c->fd, (const struct sockaddr *)(const void *)&a, sizeof(a)) < 0 ||
        listen(c->fd, BACKLOG) < 0 || pipe2(c->stop_pipe, O_CLOEXEC) < 0)
        return hf_err_sys(err, HF_IO, "make the socket in %s", dir);
    if (pthread_create(&c->thread, NULL, serve, c) != 0)
        return hf_err_set(err, HF_IO, "no thread for the socket in %s", dir);
    c->started = true;
    return HF_OK;
}

enum hf_code hf_control_new(const char *dir, hf_control_fn *fn, void *ctx, struct hf_control **ret,
                            struct hf_err *err)
{
    struct hf_control *c = hf_calloc(1, sizeof(*c));

    *c = (struct hf_control){.dir_fd = -1, .fd = -1, .stop_pipe = {-1, -1}, .fn = fn, .ctx = ctx};
    const enum hf_code rc = listen_in(c, dir, err);

    if (rc != HF_OK) {
        hf_control_free(c);
        return rc;
    }
    *ret = c;
    return HF_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void hf_control_free(struct hf_control *c)
{
    if (c == NULL)
        return;
    if (c->started) {
        (void)!write(c->stop_pipe[1], "x", 1);
        (void)pthread_join(c->thread, NULL);
    }
    if (c->dir_fd >= 0 && c->fd >= 0)
        (void)unlinkat(c->dir_fd, "socket", 0);
    close_fd(c->fd);
    close_fd(c->dir_fd);
    close_fd(c->stop_pipe[0]);
    close_fd(c->stop_pipe[1]);
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
