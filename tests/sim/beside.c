/* SPDX-License-Identifier: Apache-2.0 */
/* beside.c - see beside.h. */
#include "sim/beside.h"

#include "base/check.h"
#include "sim/line.h"
#include "sim/model.h"

#define BEGIN_SECONDS  120
#define GO_ON_SECONDS  10 /* less than a call of a store that does not answer */
#define PROOF_SECONDS  6  /* an answer about the owner is believed for 5 s */
#define FENCED_SECONDS 60
#define SHORT_SECONDS  5
#define STOP_SECONDS   30 /* 10 s without progress, and what the store then still takes */

/* ---- the others ----------------------------------------------------------------------------- */

struct beside beside_all(const struct site *site)
{
    struct process *p = site->machine->archiver;
    struct beside b = {.process = p, .seconds = BEGIN_SECONDS};

    /* On a disk with little space they may let go, and wait for it. */
    if (p == NULL || machine_has_little_space(site->machine))
        return b;
    for (size_t i = 0; i < p->followers_count; i++)
        b.is[i] = p->followers[i].site != site;
    return b;
}

static void commit_each(struct beside *b)
{
    for (size_t i = 0; i < SIM_PARTITIONS_MAX; i++) {
        struct follower *f = &b->process->followers[i];

        b->rounds[i] = f->rounds;
        if (b->is[i])
            sim_change(b->process->sim, f->site->db);
    }
}

static bool is_archived(const struct beside *b, size_t i)
{
    const struct follower *f = &b->process->followers[i];

    return f->rounds > b->rounds[i] && follower_is_current(f);
}

/* What is waited for: that those that have not ended have archived what they were given. */
static bool are_archived(void *ctx)
{
    const struct beside *b = ctx;
    bool archived = true;

    for (size_t i = 0; archived && i < SIM_PARTITIONS_MAX; i++)
        archived = !b->is[i] || is_archived(b, i) || !site_is_alive(b->process->followers[i].site);
    return archived;
}

static bool seems_settled(const struct follower *f)
{
    const struct process *p = f->process;
    struct hf_archiver_status status;

    follower_status(f, &status);
    return status.caught_up && !p->stop && !p->once && site_is_alive(f->site) &&
           p->paused_until_us <= p->sim->now_us;
}

static bool has_any(const struct beside *b)
{
    bool any = false;

    for (size_t i = 0; i < SIM_PARTITIONS_MAX; i++)
        any = any || b->is[i];
    return any;
}

/* One whose archive another has claimed meanwhile learns that when it has something to put. */
struct beside beside_settled(const struct site *site)
{
    struct beside b = beside_all(site);
    struct sim *s = site->machine->sim;
    const bool quiet = s->quiet;

    if (!has_any(&b))
        return b;
    s->quiet = true;
    for (size_t i = 0; i < b.process->followers_count; i++)
        b.is[i] = seems_settled(&b.process->followers[i]);
    sim_pass(s, PROOF_SECONDS * SECOND_US, NULL, NULL);
    commit_each(&b);
    sim_pass(s, BEGIN_SECONDS * SECOND_US, are_archived, &b);
    for (size_t i = 0; i < b.process->followers_count; i++)
        b.is[i] = b.is[i] && is_archived(&b, i) && b.process->followers[i].site != site;
    b.seconds = GO_ON_SECONDS;
    s->quiet = quiet;
    return b;
}

void beside_go_on(struct beside *b, enum sim_kind kind)
{
    if (!has_any(b))
        return;
    commit_each(b);
    sim_pass(b->process->sim, b->seconds * SECOND_US, are_archived, b);
    for (size_t i = 0; i < SIM_PARTITIONS_MAX; i++) {
        const struct follower *f = &b->process->followers[i];

        if (!b->is[i])
            continue;
        if (!is_archived(b, i))
            sim_fail(b->process->sim, "%s is not archived within %d s while another is in trouble",
                     f->site->name, b->seconds);
        model_must_be_current(f);
        sim_count(b->process->sim, kind);
    }
}

void beside_ended_well(const struct beside *b, enum sim_kind kind)
{
    struct hf_archiver_status status;

    for (size_t i = 0; i < SIM_PARTITIONS_MAX; i++) {
        if (!b->is[i])
            continue;
        const struct follower *f = &b->process->followers[i];

        follower_status(f, &status);
        if (status.failure == HF_BUSY && f->process->sim->leases)
            continue;
        if (site_is_alive(f->site) || status.failure != HF_OK)
            sim_fail(f->process->sim, "%s does not end well beside one that is in trouble: %s",
                     f->site->name, status.failure_text);
        model_must_have_reached(f);
        sim_count(f->process->sim, kind);
    }
}

/* ---- the trouble ---------------------------------------------------------------------------- */

static void be_cut_off(struct site *site, struct beside *others)
{

    site->partition->cut_off_until_us = INT64_MAX;
    sim_change(site->machine->sim, site->db);
    beside_go_on(others, SIM_BESIDE_CUT_OFF);
    site->partition->cut_off_until_us = 0;
}

static bool has_ended(void *ctx)
{
    return !machine_is_alive(ctx);
}

/* All are told to stop while this one cannot bring its last commit to its archive; soon it can, or
 * it cannot for as long as the stop is patient. */
static void be_cut_off_at_the_stop(struct site *site, struct beside *others)
{
    struct machine *m = site->machine;
    struct sim *s = m->sim;
    const bool comes_back = sim_chance(s, 500);

    site->partition->cut_off_until_us = comes_back ? s->now_us + SHORT_SECONDS * SECOND_US
                                                   : INT64_MAX;
    others->is[follower_index(site_follower(site))] = comes_back;
    for (size_t i = 0; i < m->archiver->followers_count; i++)
        sim_change(s, m->archiver->followers[i].site->db);
    machine_stop(m);
    sim_pass(s, STOP_SECONDS * SECOND_US, has_ended, m);
    if (machine_is_alive(m))
        sim_fail(s, "machine %u: a stop does not end while an archive is cut off", m->index);
    beside_ended_well(others, comes_back ? SIM_STOP_WAITED : SIM_BESIDE_STOP);
    site->partition->cut_off_until_us = 0;
    machines_reap(s);
}

static void lose_continuity(struct site *site, struct beside *others)
{
    struct sim *s = site->machine->sim;

    if (sim_chance(s, 500)) {
        sim_replace(s, site->db);
    } else {
        sim_count(s, SIM_LOG_LOST);
        mem_db_restart_log(site->db->mem);
        sim_change(s, site->db);
    }
    beside_go_on(others, SIM_BESIDE_BREAK);
}

/* Another archiver comes for this partition alone. */
static void meet_rival(struct site *site, struct beside *others)
{
    struct sim *s = site->machine->sim;
    struct machine *m = other_machine(site->machine);
    struct site *there = &m->sites[site->partition->index];

    site_start(there, false, false);
    for (int i = 0; i < FENCED_SECONDS && site_is_alive(site); i++) {
        sim_change(s, site->db);
        sim_change(s, there->db);
        sim_pass(s, SECOND_US, NULL, NULL);
    }
    if (site_is_alive(site) != s->leases)
        sim_fail(s, "%s: %d s after another archiver came for it, it is %s", site->name,
                 FENCED_SECONDS, s->leases ? "gone" : "alive");
    beside_go_on(others, s->leases ? SIM_BESIDE_RIVAL : SIM_BESIDE_FENCED);
    machine_stop(m);
    sim_pass(s, STOP_SECONDS * SECOND_US, has_ended, m);
    machines_reap(s);
}

void beside_trouble(struct site *site)
{
    static void (*const troubles[])(struct site *, struct beside *) = {
        be_cut_off,
        be_cut_off_at_the_stop,
        lose_continuity,
        meet_rival,
    };
    struct sim *s = site->machine->sim;

    s->quiet = true;
    struct beside others = beside_settled(site);

    if (has_any(&others) && site_is_alive(site) && follower_is_current(site_follower(site)))
        troubles[sim_below(s, HF_ARRAY_LEN(troubles))](site, &others);
    s->quiet = false;
}
