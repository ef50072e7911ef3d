/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attendant.c - "holdfast archive" as a child: it is this program, told by its own command line
 * what to follow, and it ends when its parent does, however that ends.
 */
#include "cli/attendant.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archiver/archiver.h"
#include "service/control.h"

#define WORDS_MAX      16
#define HELLO_MS_MAX   20000 /* none there is refused at once; a busy one may take a while */
#define READY_POLL_MS  20
#define STATUS_NO_EXEC 127

bool hf_attendant_is_there(const char *state_dir)
{
    HF_AUTO_BUF answer = {0};
    struct hf_err err;

    /* Any line is answered at once, if only by saying that it is not understood. */
    return hf_control_ask(state_dir, "hello", HELLO_MS_MAX, &answer, &err) == HF_OK;
}

static void fill_words(const struct hf_session *s, const struct hf_place *place,
                       const char *words[WORDS_MAX])
{
    size_t n = 0;

    words[n++] = "holdfast";
    words[n++] = "archive";
    words[n++] = s->args->verbose ? "--verbose" : "--quiet";
    words[n++] = "--no-progress";
    words[n++] = "--no-catch-up";
    if (s->args->state != NULL) {
        words[n++] = "--state";
        words[n++] = s->args->state;
    }
    if (s->args->config != NULL) {
        words[n++] = "--config";
        words[n++] = s->args->config;
    }
    words[n++] = "--";
    words[n++] = s->args->config != NULL ? place->name : place->db_path;
    words[n++] = s->args->config != NULL ? NULL : s->args->operands[1];
    words[n] = NULL;
}

/* In the child, between fork and exec, where only async-signal-safe calls are allowed. */
static void become(const char *const *words, pid_t parent, bool heard)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (nowhere >= 0)
        (void)dup2(nowhere, STDOUT_FILENO);
    if (nowhere >= 0 && !heard)
        (void)dup2(nowhere, STDERR_FILENO);
    if (getppid() == parent) /* else it died before the line above */
        (void)execv("/proc/self/exe", (char *const *)words);
    _exit(STATUS_NO_EXEC);
}

/* HF_CONFLICT: the child is gone. */
static enum hf_code check_alive(struct hf_attendant *a, struct hf_err *err)
{
    int status = 0;

    if (waitpid(a->pid, &status, WNOHANG) == 0)
        return HF_OK;
    a->pid = 0;
    return hf_err_set(err, HF_CONFLICT,
                      "the archiver that was started for the scrub ended with status %d",
                      WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void free_scan(struct hf_scan **scan)
{
    if (*scan != NULL)
        (*scan)->ops->free(*scan);
}

/* It answers for the place where the log stands now: then it will for the scan, too. */
static enum hf_code wait_ready(const struct hf_session *s, const struct hf_place *place,
                               const char *state_dir, struct hf_attendant *a, struct hf_err *err)
{
    const struct hf_scan_options o = {
        .fs = s->fs, .clock = s->clock, .db_path = place->db_path, .stop = s->stop};
    HF_CLEANUP(free_scan) struct hf_scan *scan = NULL;
    enum hf_code rc = s->engine->scan_open(&o, &scan, err);

    while (rc == HF_OK && !hf_session_stopped(s)) {
        struct hf_position now;
        uint64_t txid = 0;

        rc = scan->ops->pin(scan, &now, err);
        if (rc != HF_OK)
            return rc;
        scan->ops->unpin(scan);
        rc = hf_archiver_ask_boundary(state_dir, &now, &txid, err);
        if (rc == HF_OK || rc == HF_NOT_FOUND)
            return HF_OK;
        if (rc == HF_BUSY)
            rc = check_alive(a, err);
        hf_sleep_ms(s->clock, READY_POLL_MS);
    }
    return rc != HF_OK ? rc : hf_err_set(err, HF_CANCELED, "stopped");
}

enum hf_code hf_attendant_start(const struct hf_session *s, const struct hf_place *place,
                                const char *state_dir, struct hf_attendant *ret, struct hf_err *err)
{
    const char *words[WORDS_MAX];
    const pid_t parent = getpid();
    enum hf_code rc = HF_OK;

    fill_words(s, place, words);
    ret->pid = fork();
    if (ret->pid == 0)
        become(words, parent, s->args->verbose);
    if (ret->pid < 0) {
        ret->pid = 0;
        return hf_err_sys(err, HF_IO, "start an archiver for the scrub");
    }
    rc = wait_ready(s, place, state_dir, ret, err);
    if (rc != HF_OK)
        hf_attendant_stop(ret);
    return rc;
}

void hf_attendant_stop(struct hf_attendant *a)
{
    if (a->pid == 0)
        return;
    (void)kill(a->pid, SIGTERM);
    (void)waitpid(a->pid, NULL, 0);
    a->pid = 0;
}
