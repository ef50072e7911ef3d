/* SPDX-License-Identifier: Apache-2.0 */
/* restoring.c - one archive into one file. */
#include "cli/restoring.h"

#include "cli/bar.h"
#include "cli/targeting.h"

enum hf_code hf_restoring_check_output(const struct hf_session *s, struct hf_err *err)
{
    if (s->args->output == NULL)
        return hf_err_set(err, HF_USAGE, "%s needs -o: where shall the database be put?",
                          s->verb->name);
    return HF_OK;
}

enum hf_code hf_restoring_run(struct hf_session *s, const struct hf_archive *archive,
                              const char *name, const char *path, const struct hf_target *target,
                              struct hf_rebuild_report *report, struct hf_err *err)
{
    struct hf_bar bar;
    const struct hf_restore_options options = {
        .engine = s->engine,
        .archive = archive,
        .fs = s->fs,
        .rand = s->rand,
        .pool = s->pool,
        .target = *target,
        .out_path = path,
        .force = s->args->force,
        .progress = &bar.base,
        .stop = s->stop,
    };

    hf_bar_init(&bar, s, s->verb->name, name, true);

    const enum hf_code rc = hf_restore(&options, report, err);

    hf_bar_done(&bar);
    return rc;
}

enum hf_code hf_restoring_one(struct hf_session *s, const struct hf_places *places,
                              const struct hf_target *target, const char *done, struct hf_err *err)
{
    const struct hf_place *place = &places->items[0];
    json_t *object = hf_place_json(s, place);
    struct hf_archive archive;
    struct hf_rebuild_report report;
    enum hf_code rc = hf_archive_open(places->store, place->prefix, &archive, err);

    if (rc == HF_OK)
        rc = hf_restoring_run(s, &archive, place->name, s->args->output, target, &report, err);
    if (rc != HF_OK) {
        hf_out_set_error(object, err);
        return rc;
    }
    hf_targeting_report(s, &archive, done, s->args->output, target, &report, object);
    return HF_OK;
}
