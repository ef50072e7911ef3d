/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_archive.c - holdfast archive: follow databases until told to stop, or once.
 *
 * What the archiver decides is in its log lines; this file prints where each partition stood at the
 * end, and makes the verdict.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "cli/archiving.h"
#include "cli/text.h"

static const struct hf_option options[] = {
    {
        .name = "once",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, once),
        .help = "Archive what is committed now and end",
    },
    {
        .name = "set-wal",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, set_wal),
        .help = "Switch a database that is not in WAL mode to it; without this, its journal mode "
                "is never changed",
    },
    {
        .name = "capture",
        .argument = "TIME",
        .kind = HF_OPTION_DURATION,
        .offset = offsetof(struct hf_args, capture_ms),
        .help = "Make at most one segment in this time, 50ms to 1h (default: 1s, or what the "
                "configuration says)",
    },
    {
        .name = "no-lock",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, no_lock),
        .help = "Never take the write lock, even if the log grows without end",
    },
    HF_OPTION_STATE,
    {
        .name = "no-catch-up",
        .kind = HF_OPTION_FLAG,
        .hidden = true,
        .offset = offsetof(struct hf_args, no_catch_up),
        .help = "End if the log does not prove continuity (for the attendant of a scrub)",
    },
};

static void print_status(const struct hf_session *s, const struct hf_place *place,
                         const struct hf_archiver_status *st)
{
    char when[HF_TIME_TEXT_MAX];
    char txid[HF_TEXT_MAX];
    char size[HF_TEXT_MAX];

    if (st->archived_ms != 0)
        hf_time_text(st->archived_ms, when);
    else
        (void)snprintf(when, sizeof(when), "time not told");
    hf_text_count(st->archived_txid, txid);
    hf_text_size(st->uploaded_bytes, size);
    if (st->archived_txid == 0)
        hf_out_line(s->out, "%s: nothing is archived", place->name);
    else if (st->uploaded_bytes == 0)
        hf_out_line(s->out, "%s: archived up to TXID %s (%s); nothing new", place->name, txid,
                    when);
    else
        hf_out_line(s->out, "%s: archived up to TXID %s (%s), %s sent", place->name, txid, when,
                    size);
}

static void set_status(const struct hf_session *s, json_t *object,
                       const struct hf_archiver_status *st)
{
    (void)s;
    hf_out_set_number(object, "captured_txid", st->captured_txid);
    hf_out_set_number(object, "archived_txid", st->archived_txid);
    if (st->archived_ms != 0)
        hf_out_set_time(object, "archived_time", st->archived_ms);
    hf_out_set_number(object, "uploaded_bytes", st->uploaded_bytes);
    hf_out_set_number(object, "log_bytes", st->log_bytes);
    hf_out_set_number(object, "spool_bytes", st->spool_bytes);
    hf_out_set_bool(object, "caught_up", st->caught_up);
    hf_out_set_number(object, "breaks_count", st->breaks_count);
}

/* Print all rows; failures of single partitions are told where there are several. */
static void print_all(struct hf_session *s, const struct hf_places *places,
                      const struct hf_archiver_status *rows)
{
    for (size_t i = 0; i < places->count; i++) {
        json_t *object = hf_place_json(s, &places->items[i]);
        struct hf_err err = {.code = rows[i].failure};

        set_status(s, object, &rows[i]);
        print_status(s, &places->items[i], &rows[i]);
        if (rows[i].failure == HF_OK)
            continue;
        (void)hf_err_set(&err, rows[i].failure, "%s", rows[i].failure_text);
        if (places->count > 1)
            hf_session_failed(s, object, places->items[i].name, &err);
        else
            hf_out_set_error(object, &err);
    }
}

static enum hf_code check_capture(const struct hf_args *args, struct hf_err *err)
{
    const struct hf_number_arg *c = &args->capture_ms;

    if (c->given && (c->value < HF_CAPTURE_MS_MIN || c->value > HF_CAPTURE_MS_MAX))
        return hf_err_set(err, HF_USAGE, "--capture must be from 50ms to 1h");
    return HF_OK;
}

/* With --set-wal each database is switched before any is followed; one that cannot be is left to
 * the archiver, which says why and goes on with the others. */
static void switch_all(struct hf_session *s, const struct hf_places *places)
{
    for (size_t i = 0; s->args->set_wal && i < places->count; i++) {
        struct hf_err err;

        if (s->engine->live_prepare(places->items[i].db_path, &err) != HF_OK)
            hf_out_note(s->out, "holdfast: %s: --set-wal: %s", places->items[i].name, err.text);
    }
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    enum hf_code rc = check_capture(s->args, err);

    if (rc == HF_OK && s->config == NULL) /* before a folder is made for something that is none */
        rc = hf_place_check_database(s, s->args->operands[0], err);
    if (rc == HF_OK && s->config == NULL)
        rc = hf_archiving_prepare(s, s->args->operands[0], err);
    s->store_stop = &s->cut;
    if (rc == HF_OK)
        rc = hf_places_find(s, HF_PLACES_LIVE, true, &places, err);
    if (rc != HF_OK)
        return rc;
    if (s->config != NULL)
        switch_all(s, &places);

    HF_AUTO_FREE struct hf_archiver_status *rows = hf_calloc(places.count, sizeof(*rows));

    const struct hf_archiving archiving = {
        .places = &places,
        .count = places.count,
        .once = s->args->once,
        .never_catch_up = s->args->no_catch_up,
    };

    rc = hf_archiving_run(s, &archiving, rows, err);
    print_all(s, &places, rows);
    if (s->args->once && rc == HF_OK && hf_session_stopped(s))
        return hf_err_set(err, HF_CANCELED, "stopped before all was archived");
    return rc;
}

const struct hf_verb hf_verb_archive = {
    .name = "archive",
    .summary = "Follow databases and archive every commit",
    .usage =
        {
            "archive DB URL [--once] [OPTION ...]",
            "archive -c FILE [TABLE | TABLE/PARTITION] [--once] [OPTION ...]",
        },
    .about =
        "Follows the log of the database DB and keeps every commit in the store at URL, until "
        "SIGINT or SIGTERM. A commit is called archived only when the store has confirmed it. The "
        "database and its application are not disturbed.\n\n"
        "With -c, all databases of all tables of the configuration are followed in one process, "
        "or those of one table, or one.",
    .examples =
        {
            "holdfast archive /var/lib/app/app.db s3://backups/app",
            "holdfast archive -c holdfast.yaml",
        },
    .options = options,
    .options_count = HF_ARRAY_LEN(options),
    .plain = {.min = 2, .max = 2},
    .named = {.min = 0, .max = 1},
    .run = run,
};
