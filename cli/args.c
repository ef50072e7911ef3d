/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - the parser over the option tables.
 *
 * Not getopt_long(3): it takes abbreviations, which would freeze the beginnings of all names too,
 * and it cannot say which option was meant.
 */
#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/names.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "config/nearest.h"
#include "config/quantity.h"

#define NAMES_MAX 64

struct parser {
    int argc;
    char *const *argv;
    int next; /* index of the word to look at */
    const struct hf_verb *verb;
    struct hf_args *args;
};

/* The verb's own options (none without a verb) and the general ones, one after the other. */
static const struct hf_option *option_at(const struct hf_verb *verb, size_t index)
{
    const size_t own_count = verb != NULL ? verb->options_count : 0;
    size_t general_count = 0;
    const struct hf_option *general = hf_options_general(&general_count);

    if (index < own_count)
        return &verb->options[index];
    index -= own_count;
    return index < general_count ? &general[index] : NULL;
}

static const struct hf_option *find_long(const struct hf_verb *verb, const char *name, size_t len)
{
    const struct hf_option *option = NULL;

    for (size_t i = 0; (option = option_at(verb, i)) != NULL; i++) {
        if (strlen(option->name) == len && strncmp(option->name, name, len) == 0)
            return option;
    }
    return NULL;
}

static const struct hf_option *find_letter(const struct hf_verb *verb, char letter)
{
    const struct hf_option *option = NULL;

    for (size_t i = 0; (option = option_at(verb, i)) != NULL; i++) {
        if (option->letter == letter)
            return option;
    }
    return NULL;
}

/* "restore", or "holdfast" before a verb is known: what an unknown option is not one of. */
static const char *subject(const struct parser *p)
{
    return p->verb != NULL ? p->verb->name : "holdfast";
}

/* A verb other than the given one that has this option; NULL if none has. */
static const struct hf_verb *find_owner(const char *name, size_t len)
{
    size_t count = 0;
    const struct hf_verb *const *verbs = hf_verbs(&count);

    for (size_t i = 0; i < count; i++) {
        if (find_long(verbs[i], name, len) != NULL)
            return verbs[i];
    }
    return NULL;
}

static enum hf_code refuse_long(const struct parser *p, const char *name, size_t len,
                                struct hf_err *err)
{
    const struct hf_verb *owner = find_owner(name, len);
    HF_AUTO_FREE char *word = hf_strndup(name, len);
    const char *names[NAMES_MAX];
    const struct hf_option *option = NULL;
    size_t count = 0;

    if (owner != NULL && p->verb == NULL)
        return hf_err_set(err, HF_USAGE,
                          "--%s is an option of a verb and stands behind it: "
                          "holdfast %s ... --%s",
                          word, owner->name, word);
    for (size_t i = 0; (option = option_at(p->verb, i)) != NULL; i++) {
        hf_assert(count < NAMES_MAX);
        if (!option->hidden)
            names[count++] = option->name;
    }

    const char *meant = hf_nearest(word, names, count);

    if (meant != NULL)
        return hf_err_set(err, HF_USAGE, "%s has no option --%s: did you mean --%s?", subject(p),
                          word, meant);
    if (owner != NULL)
        return hf_err_set(err, HF_USAGE, "%s has no option --%s; %s has", subject(p), word,
                          owner->name);
    return hf_err_set(err, HF_USAGE, "%s has no option --%s", subject(p), word);
}

static enum hf_code parse_txid(const char *text, int64_t *ret, struct hf_err *err)
{
    char *end = NULL;

    errno = 0;
    const long long value = strtoll(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1)
        return hf_err_set(err, HF_USAGE, "'%s' is not a TXID: expected a whole number from 1 on",
                          text);
    *ret = value;
    return HF_OK;
}

static enum hf_code parse_number(enum hf_option_kind kind, const char *text, int64_t *ret,
                                 struct hf_err *err)
{
    uint64_t rate = 0;
    enum hf_code rc = HF_OK;

    switch (kind) {
    case HF_OPTION_TIME:
        return hf_time_parse(text, ret, err);
    case HF_OPTION_TXID:
        return parse_txid(text, ret, err);
    case HF_OPTION_DURATION:
        return hf_quantity_duration(text, ret, err);
    case HF_OPTION_RATE:
        rc = hf_quantity_rate(text, &rate, err);
        if (rc == HF_OK)
            *ret = (int64_t)rate;
        return rc;
    default:
        hf_assert(false);
        return HF_OK;
    }
}

/* Put the option's value where its row says. `text` is NULL for a flag. */
static enum hf_code store_value(struct hf_args *args, const struct hf_option *option,
                                const char *text, struct hf_err *err)
{
    void *field = (char *)args + option->offset;

    if (option->kind == HF_OPTION_FLAG) {
        *(bool *)field = true;
        return HF_OK;
    }
    if (option->kind == HF_OPTION_TEXT) {
        const char **value = field;

        if (*value != NULL)
            return hf_err_set(err, HF_USAGE, "--%s is given twice", option->name);
        if (text[0] == '\0')
            return hf_err_set(err, HF_USAGE, "--%s: the %s is empty", option->name,
                              option->argument);
        *value = text;
        return HF_OK;
    }

    struct hf_number_arg *number = field;

    if (number->given)
        return hf_err_set(err, HF_USAGE, "--%s is given twice", option->name);

    const enum hf_code rc = parse_number(option->kind, text, &number->value, err);

    if (rc != HF_OK)
        return hf_err_wrap(err, "--%s", option->name);
    number->given = true;
    return HF_OK;
}

/* The option's value: what stands in the same word, or else the next word. */
static enum hf_code take_value(struct parser *p, const struct hf_option *option,
                               const char *same_word, struct hf_err *err)
{
    const char *value = same_word;

    if (option->kind == HF_OPTION_FLAG && same_word != NULL)
        return hf_err_set(err, HF_USAGE, "--%s takes no value", option->name);
    if (option->kind != HF_OPTION_FLAG && value == NULL) {
        if (p->next >= p->argc)
            return hf_err_set(err, HF_USAGE, "--%s needs a value: --%s %s", option->name,
                              option->name, option->argument);
        value = p->argv[p->next++];
    }
    return store_value(p->args, option, value, err);
}

/* "--name" or "--name=value". */
static enum hf_code parse_long(struct parser *p, const char *word, struct hf_err *err)
{
    const char *name = word + 2;
    const size_t len = strcspn(name, "=");
    const struct hf_option *option = find_long(p->verb, name, len);

    if (option == NULL)
        return refuse_long(p, name, len, err);
    return take_value(p, option, name[len] == '=' ? name + len + 1 : NULL, err);
}

/* "-o FILE", "-oFILE", "-qv". */
static enum hf_code parse_short(struct parser *p, const char *word, struct hf_err *err)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const struct hf_option *option = find_letter(p->verb, *letter);
        enum hf_code rc = HF_OK;

        if (option == NULL && find_long(p->verb, word + 1, strlen(word + 1)) != NULL)
            return hf_err_set(err, HF_USAGE, "%s has no option %s: did you mean -%s?", subject(p),
                              word, word);
        if (option == NULL)
            return hf_err_set(err, HF_USAGE, "%s has no option -%c", subject(p), *letter);
        if (option->kind != HF_OPTION_FLAG)
            return take_value(p, option, letter[1] != '\0' ? letter + 1 : NULL, err);
        rc = store_value(p->args, option, NULL, err);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* A word that is no option: the verb, and behind it its operands. */
static enum hf_code parse_operand(struct parser *p, const char *word, struct hf_err *err)
{
    if (p->verb == NULL) {
        p->verb = hf_verb_find(word);
        return p->verb != NULL ? HF_OK : hf_verb_refuse(word, err);
    }
    if (p->args->operands_count == HF_OPERANDS_MAX)
        return hf_err_set(err, HF_USAGE, "'%s' is one word too many for %s", word, p->verb->name);
    p->args->operands[p->args->operands_count++] = word;
    return HF_OK;
}

enum hf_code hf_args_parse(int argc, char *const *argv, const struct hf_verb **ret_verb,
                           struct hf_args *ret, struct hf_err *err)
{
    struct parser p = {.argc = argc, .argv = argv, .next = 1, .args = ret};
    bool only_operands = false;
    enum hf_code rc = HF_OK;

    *ret = (struct hf_args){0};
    while (rc == HF_OK && p.next < argc) {
        const char *word = argv[p.next++];

        if (only_operands || word[0] != '-' || word[1] == '\0')
            rc = parse_operand(&p, word, err);
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else if (word[1] == '-')
            rc = parse_long(&p, word, err);
        else
            rc = parse_short(&p, word, err);
    }
    *ret_verb = p.verb;
    return rc;
}

enum hf_code hf_args_check(const struct hf_verb *verb, const struct hf_args *args,
                           struct hf_err *err)
{
    const bool named = args->config != NULL;
    const struct hf_operands want = named ? verb->named : verb->plain;

    for (size_t i = 0; i < args->operands_count; i++) {
        if (args->operands[i][0] == '\0')
            return hf_err_set(err, HF_USAGE, "%s: an operand is empty", verb->name);
    }
    if (args->operands_count > want.max)
        return hf_err_set(err, HF_USAGE, "'%s' is one word too many for %s%s",
                          args->operands[want.max], verb->name, named ? " with -c" : "");
    if (args->operands_count < want.min)
        return hf_err_set(err, HF_USAGE, "%s needs more: holdfast %s", verb->name,
                          verb->usage[named && verb->usage[1] != NULL ? 1 : 0]);
    return HF_OK;
}

bool hf_args_want_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}
