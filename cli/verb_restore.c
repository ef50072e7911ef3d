/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_restore.c - holdfast restore: one database, or a whole table as it was at one time.
 *
 * A table's partitions are restored one after the other. Before the first, all outputs are looked
 * at, so that a folder that holds one of them already stays as it is. A partition that came into
 * being after the wanted time is no failure: it was not there.
 */
#include "restore/restore.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "cli/bar.h"
#include "cli/restoring.h"
#include "cli/targeting.h"
#include "cli/text.h"

static const struct hf_option options[] = {
    {
        .name = "output",
        .letter = 'o',
        .argument = "PATH",
        .kind = HF_OPTION_TEXT,
        .offset = offsetof(struct hf_args, output),
        .help = "The file to make; for a table, the folder to put its databases into (required)",
    },
    HF_OPTION_TIMESTAMP,
    HF_OPTION_TXID_ROW,
    HF_OPTION_FORCE,
};

/* What a table's restore adds up to. */
struct table_sum {
    size_t restored_count;
    size_t unborn_count;
    int64_t earliest_ms;
    int64_t latest_ms;
};

static void add_up(struct table_sum *sum, int64_t time_ms)
{
    if (sum->restored_count == 0 || time_ms < sum->earliest_ms)
        sum->earliest_ms = time_ms;
    if (sum->restored_count == 0 || time_ms > sum->latest_ms)
        sum->latest_ms = time_ms;
    sum->restored_count++;
}

/* Did TXID 1 of the archive come after the wanted time, so that the partition was not there yet? */
static bool was_unborn(const struct hf_session *s, const struct hf_archive *archive,
                       const struct hf_target *target)
{
    HF_AUTO_SEG_LIST all = {0};
    struct hf_err err;

    if (target->kind != HF_TARGET_TIME || hf_listing_all(archive, &all, &err) != HF_OK)
        return false;
    for (size_t i = 0; i < all.count; i++) {
        struct hf_seg_info info;

        if (all.items[i].max_txid == 1)
            return hf_segment_read_info(archive, s->engine->codec, &all.items[i], &info, &err) ==
                       HF_OK &&
                   info.time_ms > target->time_ms;
    }
    return false;
}

static enum hf_code restore_partition(struct hf_session *s, const struct hf_places *places,
                                      const struct hf_place *place, const struct hf_target *target,
                                      json_t *object, struct table_sum *sum, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->args->output, place->relative);
    HF_AUTO_FREE char *dir = hf_path_dir(path);
    struct hf_archive archive;
    struct hf_rebuild_report report;
    enum hf_code rc = hf_archive_open(places->store, place->prefix, &archive, err);

    if (rc == HF_OK)
        rc = hf_fs_mkdirs(s->fs, dir, 0777, err);
    if (rc == HF_OK)
        rc = hf_restoring_run(s, &archive, place->name, path, target, &report, err);
    if (rc == HF_USAGE && was_unborn(s, &archive, target)) {
        hf_out_line(s->out, "left out %s: it did not exist yet", place->name);
        hf_out_set_bool(object, "unborn", true);
        sum->unborn_count++;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    hf_targeting_report(s, &archive, "restored", path, target, &report, object);
    add_up(sum, report.state.time_ms);
    return HF_OK;
}

/* None of a table's outputs exists, unless --force. */
static enum hf_code check_outputs(const struct hf_session *s, const struct hf_places *places,
                                  struct hf_err *err)
{
    for (size_t i = 0; !s->args->force && i < places->count; i++) {
        HF_AUTO_FREE char *path = hf_strfmt("%s/%s", s->args->output, places->items[i].relative);
        struct hf_stat st;
        const enum hf_code rc = hf_fs_stat(s->fs, path, &st, err);

        if (rc == HF_OK)
            return hf_err_set(err, HF_USAGE,
                              "%s exists, and nothing has been restored: choose another folder, or "
                              "say --force to replace it",
                              path);
        if (rc != HF_NOT_FOUND)
            return rc;
    }
    return HF_OK;
}

static void report_sum(const struct hf_session *s, const struct table_sum *sum, size_t wanted_count)
{
    char earliest[HF_TIME_TEXT_MAX];
    char latest[HF_TIME_TEXT_MAX];
    char skew[HF_TEXT_MAX];

    hf_out_set_number(s->out->root, "restored_count", sum->restored_count);
    hf_out_set_number(s->out->root, "unborn_count", sum->unborn_count);
    if (sum->restored_count == 0)
        return;
    hf_time_text(sum->earliest_ms, earliest);
    hf_time_text(sum->latest_ms, latest);
    hf_text_duration(sum->latest_ms - sum->earliest_ms, skew);
    hf_out_set_time(s->out->root, "earliest", sum->earliest_ms);
    hf_out_set_time(s->out->root, "latest", sum->latest_ms);
    hf_out_set_number(s->out->root, "skew_ms", (uint64_t)(sum->latest_ms - sum->earliest_ms));
    hf_out_line(s->out, "%zu of %zu partitions restored; captures from %s to %s, a skew of %s",
                sum->restored_count, wanted_count, earliest, latest, skew);
}

static enum hf_code restore_table(struct hf_session *s, const struct hf_places *places,
                                  const struct hf_target *target, struct hf_err *err)
{
    struct table_sum sum = {0};
    enum hf_code rc = check_outputs(s, places, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < places->count && !hf_session_stopped(s); i++) {
        json_t *object = hf_place_json(s, &places->items[i]);
        struct hf_err failure;

        rc = restore_partition(s, places, &places->items[i], target, object, &sum, &failure);
        if (rc != HF_OK)
            hf_session_failed(s, object, places->items[i].name, &failure);
    }
    report_sum(s, &sum, places->count);
    if (hf_session_stopped(s))
        return hf_err_set(err, HF_CANCELED, "stopped: %zu of %zu partitions are restored",
                          sum.restored_count, places->count);
    if (sum.restored_count == 0 && s->status == 0)
        return hf_err_set(err, HF_USAGE, "none of the %zu partitions existed at that time",
                          places->count);
    return HF_OK;
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    struct hf_target target;
    enum hf_code rc = hf_restoring_check_output(s, err);

    if (rc == HF_OK)
        rc = hf_places_find(s, HF_PLACES_ARCHIVED, false, &places, err);
    if (rc == HF_OK)
        rc = hf_targeting(s, places.whole, &target, err);
    if (rc != HF_OK)
        return rc;
    if (places.whole)
        return restore_table(s, &places, &target, err);
    return hf_restoring_one(s, &places, &target, "restored", err);
}

const struct hf_verb hf_verb_restore = {
    .name = "restore",
    .summary = "Bring a database or a table back to a moment",
    .usage =
        {
            "restore URL -o FILE [--timestamp TIME | --txid N] [OPTION ...]",
            "restore -c FILE TABLE -o DIR [--timestamp TIME] [OPTION ...]",
            "restore -c FILE TABLE/PARTITION -o FILE [OPTION ...]",
        },
    .about =
        "Makes the database as it was at a moment; without --timestamp or --txid, as it was last "
        "archived. The file appears under its name only when it is whole, proved by the archive's "
        "root, and durable. A hole in the archive is an error, never an older database. If nothing "
        "was captured around TIME, because no archiver followed the database, the state before is "
        "restored, the gap told, and the exit status 1; so it is where the archiver's clock was "
        "set back and TIME may mean a later state. The file is its owner's alone (mode 0600); with "
        "--force it has the mode of the file that it replaces, and its owner where that is "
        "allowed.\n\n"
        "A table's partitions are restored to DIR/PARTITION, each at its last capture at or before "
        "TIME, also when the original databases are gone; how far the captures lie apart is "
        "told.",
    .examples =
        {
            "holdfast restore s3://backups/app -o app.db",
            "holdfast restore -c holdfast.yaml orders -t 2026-01-02T03:04:05Z -o back",
        },
    .options = options,
    .options_count = HF_ARRAY_LEN(options),
    .plain = {.min = 1, .max = 1},
    .named = {.min = 1, .max = 1},
    .run = run,
};
