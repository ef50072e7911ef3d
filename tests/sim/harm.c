/* SPDX-License-Identifier: Apache-2.0 */
/* harm.c - see harm.h. There are no other faults meanwhile. */
#include "sim/harm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/owner.h"
#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "sim/beside.h"
#include "sim/line.h"
#include "sim/model.h"
#include "sim/tools.h"

#define START_SECONDS  120
#define END_SECONDS    120
#define PROOF_SECONDS  6 /* an answer about the owner is believed for 5 s */
#define HARMED_SECONDS 30
#define OWNER_BYTES    40 /* what follows tells host and process, which are not the seed's */

/* ---- doing it ------------------------------------------------------------------------------- */

/* The last TXID that the owner object says was archived: behind that, nothing tells what is gone.
 */
static uint64_t owned_txid(struct sim *s, const struct partition *p)
{
    HF_AUTO_FREE char *key = hf_strfmt("%s/" HF_NAME_OWNER, p->prefix);
    const struct store_mem_object *o = store_mem_find(s->store, key);
    struct hf_owner owner = {0};
    struct hf_err err;

    if (o != NULL)
        hf_must(hf_owner_parse(hf_buf_slice(&o->body), &owner, &err), &err);
    return owner.last_txid;
}

static bool choose(struct sim *s, struct partition *p, enum harm_part part, struct harm *h)
{
    static const char *const names[] = {
        [HARM_SEGMENT] = "",
        [HARM_FORMAT] = HF_NAME_FORMAT,
        [HARM_OWNER] = HF_NAME_OWNER,
    };

    *h = (struct harm){.partition = p, .part = part, .removes = sim_chance(s, 500)};
    (void)snprintf(h->key, sizeof(h->key), "%s/%s", p->prefix, names[part]);
    h->name = h->key + strlen(p->prefix) + 1;
    if (part != HARM_SEGMENT)
        return store_mem_find(s->store, h->key) != NULL;
    h->txid = 1 + sim_below(s, p->model->stored);
    model_key(p->model, h->txid, h->key);
    return !h->removes || h->txid <= owned_txid(s, p) || h->txid < p->model->stored;
}

/* Whoever follows the partition has a reason to fail now. */
static void harm_partition(struct sim *s, struct partition *p)
{
    p->harmed = true;
    for (size_t i = 0; i < SIM_MACHINES; i++) {
        struct follower *f = site_follower(&s->machines[i]->sites[p->index]);

        if (f != NULL)
            f->met_harm = true;
    }
}

/* False: there is nothing that could be harmed so. */
static bool begin(const struct site *site, enum harm_part part, struct harm *h)
{
    static const enum sim_kind kinds[HARM_PARTS][2] = {
        {SIM_OBJECT_DAMAGED, SIM_OBJECT_REMOVED},
        {SIM_FORMAT_DAMAGED, SIM_FORMAT_REMOVED},
        {SIM_OWNER_DAMAGED, SIM_OWNER_REMOVED},
    };
    struct partition *p = site->partition;
    struct sim *s = site->machine->sim;
    struct hf_store *store = &s->store->base;
    struct hf_object object;
    struct hf_err err;

    model_look(p->model);
    if (p->model->stored == 0 || !choose(s, p, part, h))
        return false;
    hf_must(hf_store_get(store, h->key, 0, 0, &h->body, &object, &err), &err);
    h->timestamp_ms = object.timestamp_ms;
    harm_partition(s, p);
    sim_note(s, "%s is %s", h->key, h->removes ? "removed" : "damaged");
    sim_count(s, kinds[part][h->removes]);
    if (h->removes)
        hf_must(hf_store_delete(store, h->key, &err), &err);
    else /* the small ones have no hash: what is no text any more is noticed */
        store_mem_corrupt(s->store, h->key,
                          sim_below(s, part == HARM_OWNER ? OWNER_BYTES : h->body.len),
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
    h->partition->harmed = false;
    if (!is_mended(s, h))
        hf_must(hf_store_put(&s->store->base, h->key, hf_buf_slice(&h->body), &put, NULL, &err),
                &err);
    hf_buf_done(&h->body);
}

/* ---- who meets it --------------------------------------------------------------------------- */

static enum harm_part any_part(const struct site *site)
{
    return (enum harm_part)sim_below(site->machine->sim, HARM_PARTS);
}

void harm_meets_tools(struct site *site)
{
    struct harm h;

    if (!begin(site, any_part(site), &h))
        return;
    tools_find_harm(site, &h);
    end(site->machine->sim, &h);
}

static bool has_ended(void *ctx)
{
    return !machine_is_alive(ctx);
}

static bool is_settled(void *ctx)
{
    const struct site *site = ctx;
    struct hf_archiver_status status;

    if (!site_is_alive(site))
        return true;
    follower_status(site_follower(site), &status);
    return status.caught_up && site_follower(site)->rounds > 0;
}

/* Of all objects that the partition's archive has. */
static uint64_t hash_objects(const struct sim *s, const struct partition *p)
{
    HF_AUTO_FREE char *below = hf_strfmt("%s/", p->prefix);
    uint64_t hash = 0;

    for (size_t i = 0; i < s->store->guarded.count; i++) {
        const struct store_mem_object *o = &s->store->guarded.objects[i];
        const uint64_t both[] = {hash, hf_hash64(&o->object.etag, sizeof(o->object.etag))};

        if (strncmp(o->key, below, strlen(below)) == 0)
            hash = hf_hash64(both, sizeof(both));
    }
    return hash;
}

/* It was refused: for this reason, with words that name it. */
static void must_refuse(const struct site *site, const struct harm *h)
{
    struct sim *s = site->machine->sim;
    static const enum hf_code codes[HARM_PARTS][2] = {
        {HF_DAMAGE, HF_HOLE},
        {HF_DAMAGE, HF_USAGE},
        {HF_DAMAGE, HF_OK},
    };
    struct hf_archiver_status status;

    follower_status(site_follower(site), &status);
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

void harm_meets_start(struct site *site)
{
    struct machine *m = site->machine;
    struct sim *s = m->sim;
    struct harm h;

    hf_assert(s->machines[0]->archiver == NULL && s->machines[1]->archiver == NULL);
    if (!begin(site, any_part(site), &h))
        return;
    const uint64_t objects = hash_objects(s, h.partition);

    machine_start(m, sim_chance(s, 300));
    struct beside others = beside_all(site);

    sim_pass(s, START_SECONDS * SECOND_US, is_settled, site);
    /* A segment need not be read where local state knows what it leads to; and an owner that is
     * gone is made anew, above all epochs that were. */
    const bool may_go_on = (h.part == HARM_SEGMENT && !h.removes) ||
                           (h.part == HARM_OWNER && h.removes);
    const bool ended = !site_is_alive(site);

    if (!is_settled(site) || (!ended && !may_go_on))
        sim_fail(s, "an archiver started while %s was %s, and goes on", h.key,
                 h.removes ? "gone" : "damaged");
    if (ended && !(m->archiver->once && may_go_on))
        must_refuse(site, &h);
    if (!may_go_on && h.part != HARM_SEGMENT && objects != hash_objects(s, h.partition))
        sim_fail(s, "an archiver put something while %s was %s", h.key,
                 h.removes ? "gone" : "damaged");
    if (!m->archiver->once) {
        beside_go_on(&others, SIM_BESIDE_REFUSED);
        machine_stop(m);
    }
    sim_pass(s, END_SECONDS * SECOND_US, has_ended, m);
    beside_ended_well(&others, SIM_BESIDE_REFUSED);
    end(s, &h);
    machines_reap(s);
}

void harm_meets_archiver(struct site *site)
{
    struct model *model = site->partition->model;
    struct sim *s = site->machine->sim;
    struct harm h;
    uint64_t stored = 0;
    struct beside others = beside_settled(site);

    if (!begin(site, HARM_OWNER, &h))
        return;
    for (int i = 0; i < HARMED_SECONDS && site_is_alive(site); i++) {
        HF_AUTO_BUF page = {0};

        mem_db_read(site->db->mem, 1, &page);
        page.ptr[0]++;
        mem_db_write(site->db->mem, 1, hf_buf_slice(&page));
        model_changed(site->db);
        sim_pass(s, SECOND_US, NULL, NULL);
        model_look(model);
        if (i == PROOF_SECONDS)
            stored = model->stored;
        if (is_mended(s, &h))
            break; /* by a claim, as it had not started yet; or a touch */
        if (i > PROOF_SECONDS && model->stored > stored)
            sim_fail(s, "TXID %" PRIu64 " was put while %s was %s", model->stored, h.key,
                     h.removes ? "gone" : "damaged");
    }
    beside_go_on(&others, SIM_BESIDE_HARM);
    end(s, &h);
    sim_count(s, SIM_HARM_MET);
}
