/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - the help as plain text of at most HF_HELP_WIDTH columns. */
#include "cli/help.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/text.h"

#define TEXT_COLUMN 26 /* where the words about an option begin */

const char *const hf_help_statuses[] = {
    "done, and clean",
    "a check found damage or a hole",
    "wrong usage, configuration or target",
    "could not complete: store, disk, network, stopped, or fenced by a newer archiver",
    NULL,
};

/* `left` at two columns, `text` wrapped from TEXT_COLUMN on. */
static void add_row(struct hf_buf *ret, const char *left, const char *text)
{
    const size_t width = strlen(left) + 2;

    hf_buf_printf(ret, "  %s", left);
    if (width + 2 > TEXT_COLUMN)
        hf_buf_printf(ret, "\n%*s", TEXT_COLUMN, "");
    else
        hf_buf_printf(ret, "%*s", (int)(TEXT_COLUMN - width), "");
    hf_text_wrap(ret, text, TEXT_COLUMN, TEXT_COLUMN, HF_HELP_WIDTH);
    hf_buf_printf(ret, "\n");
}

static void add_option(struct hf_buf *ret, const struct hf_option *o)
{
    HF_AUTO_BUF left = {0};

    if (o->letter != '\0')
        hf_buf_printf(&left, "-%c, --%s", o->letter, o->name);
    else
        hf_buf_printf(&left, "    --%s", o->name);
    if (o->argument != NULL)
        hf_buf_printf(&left, " %s", o->argument);
    add_row(ret, hf_buf_str(&left), o->help);
}

static void add_options(struct hf_buf *ret, const char *title, const struct hf_option *options,
                        size_t count)
{
    if (count == 0)
        return;
    hf_buf_printf(ret, "\n%s:\n", title);
    for (size_t i = 0; i < count; i++) {
        if (!options[i].hidden)
            add_option(ret, &options[i]);
    }
}

static void add_general(struct hf_buf *ret)
{
    size_t count = 0;
    const struct hf_option *options = hf_options_general(&count);

    add_options(ret, "Options of every verb", options, count);
}

static void add_statuses(struct hf_buf *ret)
{
    hf_buf_printf(ret, "\nExit status:\n");
    for (size_t i = 0; hf_help_statuses[i] != NULL; i++) {
        hf_buf_printf(ret, "  %zu  ", i);
        hf_text_wrap(ret, hf_help_statuses[i], 5, 5, HF_HELP_WIDTH);
        hf_buf_printf(ret, "\n");
    }
}

void hf_help_overview(struct hf_buf *ret)
{
    size_t count = 0;
    size_t planned_count = 0;
    const struct hf_verb *const *verbs = hf_verbs(&count);
    const char *const *planned = hf_verbs_planned(&planned_count);
    HF_AUTO_BUF names = {0};

    hf_buf_printf(ret, "Usage: holdfast VERB [OPTION ...]\n\n");
    hf_text_wrap(ret,
                 "Keeps a database's log in an object store, keeps proving that the live database "
                 "and the archive still say the same, and brings a table back to any second.",
                 0, 0, HF_HELP_WIDTH);
    hf_buf_printf(ret, "\n\nVerbs:\n");
    for (size_t i = 0; i < count; i++)
        add_row(ret, verbs[i]->name, verbs[i]->summary);
    for (size_t i = 0; i < planned_count; i++)
        hf_buf_printf(&names, "%s%s", i > 0 ? ", " : "", planned[i]);
    hf_buf_printf(ret, "\nPlanned: ");
    hf_text_wrap(ret, hf_buf_str(&names), 9, 9, HF_HELP_WIDTH);
    hf_buf_printf(ret, "\n");
    add_general(ret);
    add_statuses(ret);
    hf_buf_printf(ret, "\n'holdfast help VERB' tells more about a verb.\n");
}

void hf_help_verb(const struct hf_verb *verb, struct hf_buf *ret)
{
    for (size_t i = 0; verb->usage[i] != NULL; i++) {
        hf_buf_printf(ret, "%s holdfast ", i == 0 ? "Usage:" : "      ");
        hf_text_wrap(ret, verb->usage[i], 16, 18 + strlen(verb->name), HF_HELP_WIDTH);
        hf_buf_printf(ret, "\n");
    }
    hf_buf_printf(ret, "\n");
    hf_text_wrap(ret, verb->about, 0, 0, HF_HELP_WIDTH);
    hf_buf_printf(ret, "\n");
    add_options(ret, "Options", verb->options, verb->options_count);
    add_general(ret);
    add_statuses(ret);
    if (verb->examples[0] != NULL)
        hf_buf_printf(ret, "\nExamples:\n");
    for (size_t i = 0; verb->examples[i] != NULL; i++)
        hf_buf_printf(ret, "  %s\n", verb->examples[i]);
}
