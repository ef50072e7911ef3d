/* SPDX-License-Identifier: Apache-2.0 */
/* harm.c - see harm.h. There are no other faults meanwhile. */
#include "sim/harm.h"

#include <inttypes.h>
#include <string.h>

#include "archive/owner.h"
#include "base/check.h"
#include "lib/fixture.h"
#include "sim/line.h"
#include "sim/model.h"
#include "sim/tools.h"

#define START_SECONDS  120
#define END_SECONDS    120
#define PROOF_SECONDS  6 /* an answer about the owner is believed for 5 s */
#define HARMED_SECONDS 30

/* ---- doing it ------------------------------------------------------------------------------- */

/* The last TXID that the owner object says was archived: behind that, nothing tells what is gone.
 */
static uint64_t owned_txid(struct sim *s)
{
    const struct store_mem_object *o = store_mem_find(s->store, SIM_PREFIX "/" HF_NAME_OWNER);
    struct hf_owner owner = {0};
    struct hf_err err;

    if (o != NULL)
        hf_must(hf_owner_parse(hf_buf_slice(&o->body), &owner, &err), &err);
    return owner.last_txid;
}

static bool choose(struct sim *s, enum harm_part part, struct harm *h)
{
    static const char *const keys[] = {
        [HARM_SEGMENT] = "",
        [HARM_FORMAT] = SIM_PREFIX "/" HF_NAME_FORMAT,
        [HARM_OWNER] = SIM_PREFIX "/" HF_NAME_OWNER,
    };

    *h = (struct harm){.part = part, .removes = sim_chance(s, 500)};
    (void)memcpy(h->key, keys[part], strlen(keys[part]) + 1);
    h->name = h->key + sizeof(SIM_PREFIX);
    if (part != HARM_SEGMENT)
        return store_mem_find(s->store, h->key) != NULL;
    h->txid = 1 + sim_below(s, s->model->stored);
    model_key(h->txid, h->key);
    return !h->removes || h->txid <= owned_txid(s) || h->txid < s->model->stored;
}

/* False: there is nothing that could be harmed so. */
static bool begin(struct sim *s, enum harm_part part, struct harm *h)
{
    static const enum sim_kind kinds[HARM_PARTS][2] = {
        {SIM_OBJECT_DAMAGED, SIM_OBJECT_REMOVED},
        {SIM_FORMAT_DAMAGED, SIM_FORMAT_REMOVED},
        {SIM_OWNER_DAMAGED, SIM_OWNER_REMOVED},
    };
    struct hf_store *store = &s->store->base;
    struct hf_object object;
    struct hf_err err;

    model_look(s->model);
    if (s->model->stored == 0 || !choose(s, part, h))
        return false;
    hf_must(hf_store_get(store, h->key, 0, 0, &h->body, &object, &err), &err);
    h->timestamp_ms = object.timestamp_ms;
    sim_note(s, "%s is %s", h->key, h->removes ? "removed" : "damaged");
    sim_count(s, kinds[part][h->removes]);
    if (h->removes)
        hf_must(hf_store_delete(store, h->key, &err), &err);
    else /* the small ones have no hash: what is no text any more is noticed */
        store_mem_corrupt(s->store, h->key, sim_below(s, h->body.len),
                          (uint8_t)(part == HARM_SEGMENT ? 1 << sim_below(s, 8) : 0x80));
    s->quiet = true;
    return true;
}

/* An archiver has put an owner object that can be read. */
static bool is_mended(struct sim *s, const struct harm *h)
{
    const struct store_mem_object *o = store_mem_find(s->store, h->key);
    struct hf_owner ignored;
    struct hf_err err;

    return h->part == HARM_OWNER && o != NULL &&
           hf_owner_parse(hf_buf_slice(&o->body), &ignored, &err) == HF_OK;
}

static void end(struct sim *s, struct harm *h)
{
    const struct hf_put put = {.timestamp_ms = h->timestamp_ms};
    struct hf_err err;

    s->quiet = false;
    if (!is_mended(s, h))
        hf_must(hf_store_put(&s->store->base, h->key, hf_buf_slice(&h->body), &put, NULL, &err),
                &err);
    hf_buf_done(&h->body);
}

/* ---- who meets it --------------------------------------------------------------------------- */

void harm_meets_tools(struct sim *s, struct machine *m)
{
    struct harm h;

    if (!begin(s, (enum harm_part)sim_below(s, HARM_PARTS), &h))
        return;
    tools_find_harm(s, m, &h);
    end(s, &h);
}

static bool has_ended(void *ctx)
{
    return !machine_is_alive(ctx);
}

static bool is_settled(void *ctx)
{
    const struct machine *m = ctx;
    struct hf_archiver_status status;

    if (!machine_is_alive(m))
        return true;
    hf_archiver_status(m->archiver->archiver, 0, &status);
    return status.caught_up && m->archiver->rounds > 0;
}

/* It was refused: for this reason, with words that name it. */
static void must_refuse(struct sim *s, const struct machine *m, const struct harm *h)
{
    static const enum hf_code codes[HARM_PARTS][2] = {
        {HF_DAMAGE, HF_HOLE},
        {HF_DAMAGE, HF_USAGE},
        {HF_DAMAGE, HF_OK},
    };
    struct hf_archiver_status status;

    hf_archiver_status(m->archiver->archiver, 0, &status);
    sim_note(s, "the start is refused: %s", hf_code_text(status.failure));
    if (s->leases && status.failure == HF_BUSY)
        return;
    if (status.failure != codes[h->part][h->removes] ||
        strstr(status.failure_text, h->part == HARM_SEGMENT && h->removes ? "TXID" : h->name) ==
            NULL)
        sim_fail(s, "an archiver started while %s was %s, and ended with %s: %s", h->key,
                 h->removes ? "gone" : "damaged", hf_code_text(status.failure),
                 status.failure_text);
    sim_count(s, SIM_HARM_REFUSED);
}

void harm_meets_start(struct sim *s, struct machine *m)
{
    struct harm h;

    hf_assert(s->machines[0]->archiver == NULL && s->machines[1]->archiver == NULL);
    if (!begin(s, (enum harm_part)sim_below(s, HARM_PARTS), &h))
        return;
    const uint64_t versions = s->store->guarded.versions;

    machine_start(m, sim_chance(s, 300));
    sim_pass(s, START_SECONDS * SECOND_US, is_settled, m);
    /* A segment need not be read where local state knows what it leads to; and an owner that is
     * gone is made anew, above all epochs that were. */
    const bool may_go_on = (h.part == HARM_SEGMENT && !h.removes) ||
                           (h.part == HARM_OWNER && h.removes);
    const bool refused = hf_archiver_ended(m->archiver->archiver) && !m->archiver->once;

    if (!is_settled(m) || (!refused && !may_go_on && !m->archiver->once))
        sim_fail(s, "an archiver started while %s was %s, and goes on", h.key,
                 h.removes ? "gone" : "damaged");
    if (refused || (m->archiver->once && !may_go_on))
        must_refuse(s, m, &h);
    if (!may_go_on && h.part != HARM_SEGMENT && versions != s->store->guarded.versions)
        sim_fail(s, "an archiver put something while %s was %s", h.key,
                 h.removes ? "gone" : "damaged");
    if (machine_is_alive(m))
        machine_stop(m);
    sim_pass(s, END_SECONDS * SECOND_US, has_ended, m);
    end(s, &h);
    machines_reap(s);
}

void harm_meets_archiver(struct sim *s, struct machine *m)
{
    struct harm h;
    uint64_t stored = 0;

    if (!begin(s, HARM_OWNER, &h))
        return;
    for (int i = 0; i < HARMED_SECONDS && machine_is_alive(m); i++) {
        HF_AUTO_BUF page = {0};

        mem_db_read(m->db->mem, 1, &page);
        page.ptr[0]++;
        mem_db_write(m->db->mem, 1, hf_buf_slice(&page));
        model_changed(s->model, m->db);
        sim_pass(s, SECOND_US, NULL, NULL);
        model_look(s->model);
        if (i == PROOF_SECONDS)
            stored = s->model->stored;
        if (is_mended(s, &h))
            break; /* by a claim, as it had not started yet; or a touch */
        if (i > PROOF_SECONDS && s->model->stored > stored)
            sim_fail(s, "TXID %" PRIu64 " was put while %s was %s", s->model->stored, h.key,
                     h.removes ? "gone" : "damaged");
    }
    end(s, &h);
    sim_count(s, SIM_HARM_MET);
}
