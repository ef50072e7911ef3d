/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.c - signal handlers. The second signal leaves by _exit(2), the one way out beside main():
 * whoever sends it does not want to wait for anything, and a crash at any moment is safe.
 */
#include "cli/stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#define STATUS_NOT_COMPLETED 3

static hf_stop_flag stop;

static void handle(int number)
{
    (void)number;
    if (stop)
        _exit(STATUS_NOT_COMPLETED);
    stop = true;
}

hf_stop_flag *hf_stop_install(void)
{
    static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handle};

    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < HF_ARRAY_LEN(stopping); i++) {
        struct sigaction before;

        /* What nohup(1) or a shell's & has set to be ignored stays so. */
        if (sigaction(stopping[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(stopping[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    return &stop;
}
