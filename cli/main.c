/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the holdfast command: parse, dispatch, turn the outcome into an exit status.
 *
 * Invariants
 * 1. The exit status is the contract of ADR 0031: 0 clean, 1 found, 2 asked wrongly, 3 not
 * completed.
 * 2. With --json exactly one object reaches standard output, whatever happens.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/help.h"
#include "cli/out.h"
#include "cli/session.h"
#include "cli/verb.h"

/* Print what is asked of holdfast itself; false if it is a verb that is asked. */
static bool answer_itself(const struct hf_verb *verb, const struct hf_args *args,
                          struct hf_buf *ret)
{
    if (args->version)
        hf_buf_printf(ret, "holdfast %s\n", HF_VERSION);
    else if (args->man)
        hf_help_man(ret);
    else if (args->completion != NULL)
        hf_help_completion(ret);
    else if (verb == NULL)
        hf_help_overview(ret);
    else if (args->help)
        hf_help_verb(verb, ret);
    else
        return false;
    return true;
}

static enum hf_code run_verb(const struct hf_verb *verb, const struct hf_args *args,
                             struct hf_out *out, int *ret_status, struct hf_err *err)
{
    HF_CLEANUP(hf_session_done) struct hf_session s = {0};
    enum hf_code rc = hf_session_init(&s, verb, args, out, err);

    if (rc != HF_OK)
        return rc;
    rc = verb->run(&s, err);
    *ret_status = s.status;
    return rc;
}

/* Say what went wrong, and where to read on if it was the command line. */
static int report(struct hf_out *out, const struct hf_verb *verb, const struct hf_err *err,
                  bool hint)
{
    hf_out_error(err->text);
    hf_out_set_error(out->root, err);
    if (hint)
        hf_out_note(out, "Try 'holdfast %s%s--help'.", verb != NULL ? verb->name : "",
                    verb != NULL ? " " : "");
    return hf_code_exit_status(err->code);
}

static int run(int argc, char **argv, struct hf_out *out)
{
    const struct hf_verb *verb = NULL;
    struct hf_args args;
    struct hf_err err;
    HF_AUTO_BUF text = {0};
    int status = 0;

    if (hf_args_parse(argc, argv, &verb, &args, &err) != HF_OK)
        return report(out, verb, &err, true);
    out->quiet = args.quiet;
    if (answer_itself(verb, &args, &text)) {
        out->json = out->quiet =
            false; /* what was asked for is this text, whatever else was said */
        hf_out_text(out, &text);
        return 0;
    }
    if (hf_args_check(verb, &args, &err) != HF_OK)
        return report(out, verb, &err, true);
    if (run_verb(verb, &args, out, &status, &err) != HF_OK)
        return hf_session_worse(status, report(out, verb, &err, false));
    return status;
}

int main(int argc, char **argv)
{
    HF_CLEANUP(hf_out_done) struct hf_out out;
    struct hf_err err;

    (void)setlocale(LC_CTYPE, "");
    hf_out_init(&out, hf_args_want_json(argc, argv), false);

    int status = run(argc, argv, &out);

    if (hf_out_finish(&out, &err) != HF_OK) {
        hf_out_error(err.text);
        status = hf_session_worse(status, hf_code_exit_status(err.code));
    }
    return status;
}
