/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_rebuild.c - holdfast rebuild: a reference replica as a database file, from the archive
 * alone.
 */
#include "cli/restoring.h"
#include "cli/targeting.h"

static const struct hf_option options[] = {
    {
        .name = "output",
        .letter = 'o',
        .argument = "FILE",
        .kind = HF_OPTION_TEXT,
        .offset = offsetof(struct hf_args, output),
        .help = "The reference file to make (required)",
    },
    HF_OPTION_TIMESTAMP,
    HF_OPTION_TXID_ROW,
    HF_OPTION_FORCE,
};

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    struct hf_target target;
    enum hf_code rc = hf_restoring_check_output(s, err);

    if (rc == HF_OK)
        rc = hf_places_find(s, HF_PLACES_ARCHIVED, false, &places, err);
    if (rc == HF_OK)
        rc = hf_targeting(s, false, &target, err);
    if (rc != HF_OK)
        return rc;
    if (places.whole)
        return hf_err_set(err, HF_USAGE,
                          "a reference is made of one partition: say '%s' or one of "
                          "its %zu siblings",
                          places.items[0].name, places.count - 1);
    return hf_restoring_one(s, &places, &target, "rebuilt", err);
}

const struct hf_verb hf_verb_rebuild = {
    .name = "rebuild",
    .summary = "Make a reference database file from the archive alone",
    .usage =
        {
            "rebuild URL -o FILE [--timestamp TIME | --txid N] [OPTION ...]",
            "rebuild -c FILE TABLE/PARTITION -o FILE [OPTION ...]",
        },
    .about =
        "Makes a reference replica: the database that follows from the archive's bytes alone, "
        "proved by the archive's root. It needs to read the store and nothing else, neither the "
        "database nor an archiver.",
    .examples = {"holdfast rebuild s3://backups/app -o reference.db"},
    .options = options,
    .options_count = HF_ARRAY_LEN(options),
    .plain = {.min = 1, .max = 1},
    .named = {.min = 1, .max = 1},
    .run = run,
};
