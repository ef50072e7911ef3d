/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb.c - the list of verbs, those to come, and the options that all of them have.
 *
 * The planned names are frozen (ADR 0030), so that nobody takes one for a table and a script that
 * uses one gets a plain answer instead of a guess.
 */
#include "cli/verb.h"

#include <string.h>

#include "base/alloc.h"
#include "config/nearest.h"

#define NAMES_MAX 32

static const struct hf_verb *const verbs[] = {
    &hf_verb_archive, &hf_verb_restore, &hf_verb_scrub,  &hf_verb_verify,
    &hf_verb_list,    &hf_verb_rebuild, &hf_verb_config, &hf_verb_help,
};

static const char *const planned[] = {
    "run",   "status", "sync",  "mark", "forget", "compact", "prune",
    "check", "follow", "query", "diff", "copy",   "export",  "import",
};

static const struct hf_option general[] = {
    {
        .name = "config",
        .letter = 'c',
        .argument = "FILE",
        .kind = HF_OPTION_TEXT,
        .offset = offsetof(struct hf_args, config),
        .help = "Use this holdfast.yaml: names of tables and partitions then stand in place of "
                "databases and URLs",
    },
    {
        .name = "json",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, json),
        .help = "Print one JSON object, also for an error; the text of errors still goes to "
                "standard error",
    },
    {
        .name = "quiet",
        .letter = 'q',
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, quiet),
        .help = "Print findings and errors only",
    },
    {
        .name = "verbose",
        .letter = 'v',
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, verbose),
        .help = "Log in detail",
    },
    {
        .name = "no-progress",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, no_progress),
        .help = "Show no progress",
    },
    {
        .name = "help",
        .letter = 'h',
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, help),
        .help = "Show this help",
    },
    {
        .name = "version",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, version),
        .help = "Show the version",
    },
    {
        .name = "man",
        .kind = HF_OPTION_FLAG,
        .hidden = true,
        .offset = offsetof(struct hf_args, man),
        .help = "Print the manual page",
    },
    {
        .name = "completion",
        .argument = "SHELL",
        .kind = HF_OPTION_TEXT,
        .hidden = true,
        .offset = offsetof(struct hf_args, completion),
        .help = "Print what the shell needs to complete a command line (bash)",
    },
};

const struct hf_option *hf_options_general(size_t *ret_count)
{
    *ret_count = HF_ARRAY_LEN(general);
    return general;
}

const struct hf_verb *const *hf_verbs(size_t *ret_count)
{
    *ret_count = HF_ARRAY_LEN(verbs);
    return verbs;
}

const char *const *hf_verbs_planned(size_t *ret_count)
{
    *ret_count = HF_ARRAY_LEN(planned);
    return planned;
}

const struct hf_verb *hf_verb_find(const char *name)
{
    for (size_t i = 0; i < HF_ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    }
    return NULL;
}

enum hf_code hf_verb_refuse(const char *name, struct hf_err *err)
{
    const char *names[NAMES_MAX];
    size_t count = 0;

    _Static_assert(HF_ARRAY_LEN(verbs) + HF_ARRAY_LEN(planned) <= NAMES_MAX, "room for all names");
    for (size_t i = 0; i < HF_ARRAY_LEN(planned); i++) {
        if (strcmp(planned[i], name) == 0)
            return hf_err_set(err, HF_UNSUPPORTED, "'%s' is not available yet in holdfast %s", name,
                              HF_VERSION);
        names[count++] = planned[i];
    }
    for (size_t i = 0; i < HF_ARRAY_LEN(verbs); i++)
        names[count++] = verbs[i]->name;

    const char *meant = hf_nearest(name, names, count);

    if (meant != NULL)
        return hf_err_set(err, HF_USAGE, "there is no verb '%s': did you mean '%s'?", name, meant);
    return hf_err_set(err, HF_USAGE, "there is no verb '%s'", name);
}
