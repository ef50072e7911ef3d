/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_control.c
 *
 * Goal: a question gets its answer whatever the folder is called and however many ask; where nobody
 * serves, or an answer takes too long, the asker is told so; a freed control answers nothing more.
 * Method: servers and askers in one process, over real sockets in a folder of the test.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fixture.h"
#include "service/control.h"

static void echo(void *ctx, const char *line, struct hf_buf *ret)
{
    hf_buf_printf(ret, "%s:%s", (const char *)ctx, line);
}

static void too_slow(void *ctx, const char *line, struct hf_buf *ret)
{
    (void)ctx;
    (void)line;
    hf_sleep_ms(hf_clock_system(), 300);
    hf_buf_printf(ret, "late");
}

static char *folder_in(const char *dir, const char *name)
{
    char *path = hf_strfmt("%s/%s", dir, name);

    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

struct fixture {
    char *dir;
    struct hf_control_server *server;
};

static int setup(void **state)
{
    struct fixture *f = hf_calloc(1, sizeof(*f));
    struct hf_err err;

    f->dir = test_tmp_new();
    hf_must(hf_control_server_new(&f->server, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    hf_control_server_free(f->server);
    test_tmp_remove(f->dir);
    hf_free(f);
    return 0;
}

static void expect_answer(const char *dir, const char *line, const char *answer)
{
    HF_AUTO_BUF got = {0};
    struct hf_err err;

    hf_must(hf_control_ask(dir, line, 5000, &got, &err), &err);
    assert_string_equal(hf_buf_str(&got), answer);
}

static void each_folder_has_its_own_answers(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *a = folder_in(f->dir, "a");
    HF_AUTO_FREE char *b = folder_in(f->dir, "b");
    struct hf_control *control_a = NULL;
    struct hf_control *control_b = NULL;
    struct hf_err err;

    hf_must(hf_control_new(f->server, a, echo, "A", &control_a, &err), &err);
    hf_must(hf_control_new(f->server, b, echo, "B", &control_b, &err), &err);
    expect_answer(a, "one", "A:one");
    expect_answer(b, "two", "B:two");
    expect_answer(a, "", "A:");
    hf_control_free(control_a);
    expect_answer(b, "three", "B:three");
    hf_control_free(control_b);
}

static void a_folder_with_a_long_name_is_served(void **state)
{
    const struct fixture *f = *state;
    char name[201];
    struct hf_control *control = NULL;
    struct hf_err err;

    (void)memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    HF_AUTO_FREE char *dir = folder_in(f->dir, name);

    hf_must(hf_control_new(f->server, dir, echo, "long", &control, &err), &err);
    expect_answer(dir, "?", "long:?");
    hf_control_free(control);
}

static void nobody_there_is_busy(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *dir = folder_in(f->dir, "served");
    HF_AUTO_FREE char *missing = hf_strfmt("%s/missing", f->dir);
    HF_AUTO_BUF got = {0};
    struct hf_control *control = NULL;
    struct hf_err err;

    assert_int_equal(hf_control_ask(missing, "?", 100, &got, &err), HF_BUSY);
    assert_int_equal(hf_control_ask(dir, "?", 100, &got, &err), HF_BUSY);
    hf_must(hf_control_new(f->server, dir, echo, "x", &control, &err), &err);
    hf_control_free(control);
    assert_int_equal(hf_control_ask(dir, "?", 100, &got, &err), HF_BUSY);
    assert_int_equal(got.len, 0);
}

static void an_answer_that_comes_too_late_is_busy(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *dir = folder_in(f->dir, "slow");
    HF_AUTO_BUF got = {0};
    struct hf_control *control = NULL;
    struct hf_err err;

    hf_must(hf_control_new(f->server, dir, too_slow, NULL, &control, &err), &err);
    assert_int_equal(hf_control_ask(dir, "?", 20, &got, &err), HF_BUSY);
    hf_control_free(control); /* waits for the handler: the sanitizers would see if it did not */
}

static void a_dead_process_socket_is_replaced(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *dir = folder_in(f->dir, "stale");
    HF_AUTO_FREE char *path = hf_strfmt("%s/socket", dir);
    struct hf_control *control = NULL;
    struct hf_err err;
    FILE *left = fopen(path, "w");

    assert_non_null(left);
    (void)fclose(left);
    hf_must(hf_control_new(f->server, dir, echo, "new", &control, &err), &err);
    expect_answer(dir, "?", "new:?");
    hf_control_free(control);
    assert_int_equal(access(path, F_OK), -1);
}

static void *ask_often(void *arg)
{
    for (int i = 0; i < 50; i++)
        expect_answer(arg, "many", "M:many");
    return NULL;
}

static void many_ask_at_once(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *dir = folder_in(f->dir, "many");
    struct hf_control *control = NULL;
    pthread_t threads[8];
    struct hf_err err;

    hf_must(hf_control_new(f->server, dir, echo, "M", &control, &err), &err);
    for (size_t i = 0; i < HF_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, dir), 0);
    for (size_t i = 0; i < HF_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    hf_control_free(control);
}

/* A byte now and then is no question, and holds a thread no longer than silence does. */
static void a_question_that_never_ends_is_cut_off(void **state)
{
    const struct fixture *f = *state;
    HF_AUTO_FREE char *a = folder_in(f->dir, "trickle");
    HF_AUTO_FREE char *path = hf_strfmt("%s/socket", a);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct hf_control *control = NULL;
    struct hf_err err;
    int sent = 0;

    hf_must(hf_control_new(f->server, a, echo, "a", &control, &err), &err);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    for (; sent < 200 && send(fd, "x", 1, MSG_NOSIGNAL) == 1; sent++)
        hf_sleep_ms(hf_clock_system(), 50);
    assert_in_range(sent, 1, 199);
    (void)close(fd);
    hf_control_free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_folder_has_its_own_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_with_a_long_name_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_there_is_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_comes_too_late_is_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_process_socket_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(many_ask_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_that_never_ends_is_cut_off, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
