/* SPDX-License-Identifier: Apache-2.0 */
/* help_man.c - the same tables as roff, and as a function for bash. */
#include <string.h>

#include "cli/help.h"

/* Text for roff: backslashes and hyphens are kept as they are, and no line begins a request. */
static void add_escaped(struct hf_buf *ret, const char *text)
{
    bool at_start = true;

    for (; *text != '\0'; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            hf_buf_printf(ret, "\\&");
        if (*text == '\\')
            hf_buf_printf(ret, "\\e");
        else if (*text == '-')
            hf_buf_printf(ret, "\\-");
        else
            hf_buf_append(ret, text, 1);
        at_start = *text == '\n';
    }
}

/* Paragraphs: an empty line begins a new one. */
static void add_paragraphs(struct hf_buf *ret, const char *text)
{
    for (const char *end = NULL; (end = strstr(text, "\n\n")) != NULL; text = end + 2) {
        HF_AUTO_BUF part = {0};

        hf_buf_append(&part, text, (size_t)(end - text));
        add_escaped(ret, hf_buf_str(&part));
        hf_buf_printf(ret, "\n.PP\n");
    }
    add_escaped(ret, text);
    hf_buf_printf(ret, "\n");
}

static void add_option(struct hf_buf *ret, const struct hf_option *o)
{
    hf_buf_printf(ret, ".TP\n");
    if (o->letter != '\0')
        hf_buf_printf(ret, "\\fB\\-%c\\fR, ", o->letter);
    hf_buf_printf(ret, "\\fB\\-\\-");
    add_escaped(ret, o->name);
    hf_buf_printf(ret, "\\fR");
    if (o->argument != NULL)
        hf_buf_printf(ret, " \\fI%s\\fR", o->argument);
    hf_buf_printf(ret, "\n");
    add_escaped(ret, o->help);
    hf_buf_printf(ret, ".\n");
}

static void add_options(struct hf_buf *ret, const struct hf_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!options[i].hidden)
            add_option(ret, &options[i]);
    }
}

static void add_verb(struct hf_buf *ret, const struct hf_verb *verb)
{
    hf_buf_printf(ret, ".SS %s\n.nf\n", verb->name);
    for (size_t i = 0; verb->usage[i] != NULL; i++) {
        hf_buf_printf(ret, "\\fBholdfast\\fR ");
        add_escaped(ret, verb->usage[i]);
        hf_buf_printf(ret, "\n");
    }
    hf_buf_printf(ret, ".fi\n.PP\n");
    add_paragraphs(ret, verb->about);
    add_options(ret, verb->options, verb->options_count);
}

static void add_statuses(struct hf_buf *ret)
{
    hf_buf_printf(ret, ".SH EXIT STATUS\n");
    for (size_t i = 0; hf_help_statuses[i] != NULL; i++) {
        hf_buf_printf(ret, ".TP\n\\fB%zu\\fR\n", i);
        add_escaped(ret, hf_help_statuses[i]);
        hf_buf_printf(ret, ".\n");
    }
}

static void add_examples(struct hf_buf *ret, const struct hf_verb *const *verbs, size_t count)
{
    hf_buf_printf(ret, ".SH EXAMPLES\n.nf\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; verbs[i]->examples[j] != NULL; j++) {
            add_escaped(ret, verbs[i]->examples[j]);
            hf_buf_printf(ret, "\n");
        }
    }
    hf_buf_printf(ret, ".fi\n");
}

static void add_environment(struct hf_buf *ret)
{
    static const struct {
        const char *names;
        const char *text;
    } rows[] = {
        {"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
         "Credentials of the store. They are never taken from a URL."},
        {"AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION",
         "Where the store is, as far as its URL does not say."},
        {"AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE",
         "The files that every S3 tool reads, and the profile in them."},
        {"AWS_CA_BUNDLE", "Certificates to trust."},
        {"TMPDIR", "Where verify puts its working files; they are removed at the end."},
    };

    hf_buf_printf(ret, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        hf_buf_printf(ret, ".TP\n\\fB%s\\fR\n", rows[i].names);
        add_escaped(ret, rows[i].text);
        hf_buf_printf(ret, "\n");
    }
}

void hf_help_man(struct hf_buf *ret)
{
    size_t verbs_count = 0;
    size_t general_count = 0;
    size_t planned_count = 0;
    const struct hf_verb *const *verbs = hf_verbs(&verbs_count);
    const struct hf_option *general = hf_options_general(&general_count);
    const char *const *planned = hf_verbs_planned(&planned_count);

    hf_buf_printf(ret,
                  ".\\\" SPDX-License-Identifier: Apache-2.0\n"
                  ".\\\" Made from the option tables by: holdfast --man\n"
                  ".TH HOLDFAST 1 \"\" \"holdfast %s\" \"User Commands\"\n"
                  ".SH NAME\nholdfast \\- archive, scrub and restore databases by their log\n"
                  ".SH SYNOPSIS\n\\fBholdfast\\fR \\fIVERB\\fR [\\fIOPTION\\fR ...]\n"
                  ".SH DESCRIPTION\n"
                  "holdfast keeps a database\\(aqs write\\-ahead log in an object store, keeps "
                  "proving that the live database and the archive still say the same, and brings a "
                  "table back to any second.\n"
                  ".PP\nA URL is \\fBfile:///folder\\fR, "
                  "\\fBs3://bucket/prefix?endpoint=URL&region=NAME\\fR, or \\fBs3+v2://\\fR for "
                  "stores that know signature version 2 only.\n.SH VERBS\n",
                  HF_VERSION);
    for (size_t i = 0; i < verbs_count; i++)
        add_verb(ret, verbs[i]);
    hf_buf_printf(ret,
                  ".SS Planned\nThese names are reserved and answer \\(dqnot available "
                  "yet\\(dq:\n");
    for (size_t i = 0; i < planned_count; i++)
        hf_buf_printf(ret, "%s%s", planned[i], i + 1 < planned_count ? ", " : ".\n");
    hf_buf_printf(ret, ".SH OPTIONS OF EVERY VERB\n");
    add_options(ret, general, general_count);
    add_statuses(ret);
    add_environment(ret);
    add_examples(ret, verbs, verbs_count);
}

/* The words that may stand behind a verb, for bash. */
static void add_words(struct hf_buf *ret, const struct hf_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!options[i].hidden)
            hf_buf_printf(ret, " --%s", options[i].name);
    }
}

void hf_help_completion(struct hf_buf *ret)
{
    size_t verbs_count = 0;
    size_t general_count = 0;
    const struct hf_verb *const *verbs = hf_verbs(&verbs_count);
    const struct hf_option *general = hf_options_general(&general_count);

    hf_buf_printf(ret,
                  "# SPDX-License-Identifier: Apache-2.0\n"
                  "# Made from the option tables by: holdfast --completion bash\n"
                  "_holdfast()\n{\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} verb= words= i\n"
                  "    local general='");
    add_words(ret, general, general_count);
    hf_buf_printf(ret,
                  "'\n    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                  "        case ${COMP_WORDS[i]} in\n");
    for (size_t i = 0; i < verbs_count; i++) {
        hf_buf_printf(ret, "        %s) verb=%s words='", verbs[i]->name, verbs[i]->name);
        add_words(ret, verbs[i]->options, verbs[i]->options_count);
        hf_buf_printf(ret, "' ; break ;;\n");
    }
    hf_buf_printf(ret,
                  "        esac\n    done\n"
                  "    if [[ $word == -* ]]; then\n"
                  "        COMPREPLY=($(compgen -W \"$words $general\" -- \"$word\"))\n"
                  "    elif [[ -z $verb ]]; then\n"
                  "        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < verbs_count; i++)
        hf_buf_printf(ret, "%s ", verbs[i]->name);
    hf_buf_printf(ret,
                  "' -- \"$word\"))\n    fi\n}\n"
                  "complete -o default -F _holdfast holdfast\n");
}
