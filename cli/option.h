/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.h - what can be said on the command line, as data.
 *
 * One table a verb and one for all verbs. The parser, the help, the man page and the shell
 * completion are made from them, so that none can know an option that another does not.
 */
#ifndef HF_CLI_OPTION_H
#define HF_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_OPERANDS_MAX 3 /* one more than any verb takes, so that too many can be told */

/* What kind of value an option takes, and so what its field in struct hf_args is. */
enum hf_option_kind {
    HF_OPTION_FLAG,     /* no value; bool */
    HF_OPTION_TEXT,     /* const char *, as written; NULL if not given */
    HF_OPTION_TIME,     /* struct hf_number_arg, milliseconds since the epoch */
    HF_OPTION_TXID,     /* struct hf_number_arg, from 1 */
    HF_OPTION_DURATION, /* struct hf_number_arg, milliseconds */
    HF_OPTION_RATE,     /* struct hf_number_arg, bytes a second */
};

struct hf_option {
    const char *name;     /* without "--" */
    char letter;          /* short form, or '\0' */
    const char *argument; /* the word for its value in the help; NULL for a flag */
    const char *help;     /* without full stop at the end */
    enum hf_option_kind kind;
    bool hidden;   /* for the tools that make the man page and the completion */
    size_t offset; /* of its field in struct hf_args */
};

/* A number that may have been left out. */
struct hf_number_arg {
    bool given;
    int64_t value;
};

/* What was said. All strings are borrowed from argv. */
struct hf_args {
    const char *operands[HF_OPERANDS_MAX];
    size_t operands_count;

    /* for every verb */
    bool help;
    bool version;
    bool man;
    const char *completion;
    const char *config;
    bool json;
    bool quiet;
    bool verbose;
    bool no_progress;

    /* for some */
    bool once;
    bool set_wal;
    bool no_lock;
    bool no_archive;
    bool no_catch_up;
    bool repair;
    bool force;
    const char *state;
    const char *output;
    const char *reference;
    struct hf_number_arg capture_ms;
    struct hf_number_arg rate;
    struct hf_number_arg timestamp_ms;
    struct hf_number_arg txid;
};

/* Rows that several verbs have in their tables. */
#define HF_OPTION_STATE                                                                            \
    {                                                                                              \
        .name = "state", .argument = "DIR", .kind = HF_OPTION_TEXT,                                \
        .offset = offsetof(struct hf_args, state),                                                 \
        .help = "Keep local state below DIR, not in a hidden folder beside the database",          \
    }
#define HF_OPTION_TIMESTAMP                                                                        \
    {                                                                                              \
        .name = "timestamp", .letter = 't', .argument = "TIME", .kind = HF_OPTION_TIME,            \
        .offset = offsetof(struct hf_args, timestamp_ms),                                          \
        .help =                                                                                    \
            "The last capture at or before TIME, which is RFC 3339 with an offset: "               \
            "2026-01-02T03:04:05Z",                                                                \
    }
#define HF_OPTION_TXID_ROW                                                                         \
    {                                                                                              \
        .name = "txid", .argument = "N", .kind = HF_OPTION_TXID,                                   \
        .offset = offsetof(struct hf_args, txid), .help = "Exactly this TXID (see holdfast list)", \
    }
#define HF_OPTION_FORCE                                                                            \
    {                                                                                              \
        .name = "force", .kind = HF_OPTION_FLAG, .offset = offsetof(struct hf_args, force),        \
        .help = "Replace what exists; it stays as it is until the new file is whole",              \
    }

/* The options of every verb, in the order of the help; `*ret_count` of them. */
const struct hf_option *hf_options_general(size_t *ret_count);

#endif
