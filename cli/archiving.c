/* SPDX-License-Identifier: Apache-2.0 */
/* archiving.c - options and configuration into targets of the archiver. */
#include "cli/archiving.h"

#include "base/alloc.h"
#include "cli/bar.h"

#define CAPTURE_MS_DEFAULT 1000

enum hf_code hf_archiving_prepare(const struct hf_session *s, const char *db_path,
                                  struct hf_err *err)
{
    struct hf_live_probe probe;

    if (s->args->set_wal) {
        const enum hf_code rc = s->engine->live_prepare(db_path, err);

        if (rc != HF_OK)
            return hf_err_wrap(err, "--set-wal");
    }
    return s->engine->live_probe(db_path, &probe, err);
}

static int64_t capture_ms(const struct hf_session *s, const struct hf_place *place)
{
    if (s->args->capture_ms.given)
        return s->args->capture_ms.value;
    return place->table != NULL ? place->table->capture_ms : CAPTURE_MS_DEFAULT;
}

static void add_target(const struct hf_session *s, struct hf_archiver *archiver,
                       const struct hf_archiving *a, const struct hf_place *place,
                       struct hf_bar *bar)
{
    const bool table_never = place->table != NULL && place->table->seal == HF_SEAL_NO_LOCK;
    const struct hf_archiver_target target = {
        .engine = s->engine,
        .name = place->name,
        .db_path = place->db_path,
        .store = a->places->store,
        .prefix = place->prefix,
        .url = place->url,
        .table = place->table != NULL ? place->table->name : NULL,
        .partition = place->partition,
        .state_root = s->args->state,
        .capture_ms = capture_ms(s, place),
        .never_lock = s->args->no_lock || table_never,
        .never_catch_up = a->never_catch_up,
        .progress = &bar->base,
    };

    hf_archiver_add(archiver, &target);
}

static void free_archiver(struct hf_archiver **a)
{
    hf_archiver_free(*a);
}

/* A bar and the path whose size it shows, one for each place. */
struct shown {
    struct hf_bar bar;
    char *wal_path;
};

static struct shown *show(const struct hf_session *s, const struct hf_place *items, size_t count)
{
    struct shown *shown = hf_calloc(count, sizeof(*shown));

    for (size_t i = 0; i < count; i++) {
        hf_bar_init(&shown[i].bar, s, "archive", items[i].name, count == 1);
        shown[i].wal_path = hf_strfmt("%s-wal", items[i].db_path);
        shown[i].bar.wal_path = shown[i].wal_path;
    }
    return shown;
}

static void hide(struct shown *shown, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hf_bar_done(&shown[i].bar);
        hf_free(shown[i].wal_path);
    }
    hf_free(shown);
}

enum hf_code hf_archiving_run(struct hf_session *s, const struct hf_archiving *a,
                              struct hf_archiver_status *ret, struct hf_err *err)
{
    const struct hf_archiver_env env = {.fs = s->fs,
                                        .clock = s->clock,
                                        .rand = s->rand,
                                        .pool = s->pool,
                                        .stop = s->stop,
                                        .cut = &s->cut};
    const struct hf_place *items = &a->places->items[a->first];
    HF_CLEANUP(free_archiver) struct hf_archiver *archiver = hf_archiver_new(&env);
    struct shown *shown = show(s, items, a->count);
    enum hf_code rc = HF_OK;

    for (size_t i = 0; i < a->count; i++)
        add_target(s, archiver, a, &items[i], &shown[i].bar);
    rc = hf_archiver_run(archiver, a->once, err);
    for (size_t i = 0; i < a->count; i++)
        hf_archiver_status(archiver, i, &ret[i]);
    hide(shown, a->count);
    return rc;
}

char *hf_archiving_state_dir(const struct hf_session *s, const struct hf_place *place)
{
    return hf_archiver_state_dir(place->db_path, place->url, s->args->state);
}
