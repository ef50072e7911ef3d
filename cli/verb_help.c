/* SPDX-License-Identifier: Apache-2.0 */
/* verb_help.c - holdfast help [VERB]. */
#include "cli/help.h"
#include "cli/session.h"

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_BUF text = {0};

    if (s->args->operands_count == 0) {
        hf_help_overview(&text);
    } else {
        const struct hf_verb *verb = hf_verb_find(s->args->operands[0]);

        if (verb == NULL)
            return hf_verb_refuse(s->args->operands[0], err);
        hf_help_verb(verb, &text);
    }
    s->out->json = s->out->quiet = false; /* what was asked for is this text */
    hf_out_text(s->out, &text);
    return HF_OK;
}

const struct hf_verb hf_verb_help = {
    .name = "help",
    .summary = "Show how a verb is used",
    .usage = {"help [VERB]"},
    .about = "Shows how a verb is used, or which verbs there are.",
    .plain = {.min = 0, .max = 1},
    .named = {.min = 0, .max = 1},
    .run = run,
};
