/* SPDX-License-Identifier: Apache-2.0 */
/* operations.c - what a seed chooses from, and how it ends. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "sim/beside.h"
#include "sim/harm.h"
#include "sim/line.h"
#include "sim/machine.h"
#include "sim/model.h"
#include "sim/tools.h"

#define ROT_BYTES_MAX      SIM_PAGE_BYTES
#define CALM_SECONDS       1800
#define CALM_TRIES_MAX     10
#define RESTORES_AT_END    6
#define FENCED_SECONDS     60
#define LEASE_SECONDS      45 /* for a lease that was given back */
#define LEASE_CLOCK_US_MAX (5 * SECOND_US)
#define TROUBLE_PER_MILLE  80 /* of operations, where there are several partitions */
#define ALONE_PER_MILLE    200
#define SPACE_BYTES        (UINT64_C(1) << 39)
#define SPACE_LOW_BYTES    (UINT64_C(1) << 34)
#define SPACE_BYTES_MAX    8192 /* where there is hardly any */

static struct machine *any_machine(struct sim *s)
{
    return s->machines[sim_below(s, SIM_MACHINES)];
}

static struct partition *any_partition(struct sim *s)
{
    const size_t count = s->partitions_count;

    return &s->partitions[count == 1 ? 0 : sim_below(s, count)];
}

static struct site *any_site(struct sim *s)
{
    struct machine *m = any_machine(s);

    return &m->sites[any_partition(s)->index];
}

static bool anybody_is_alive(const struct sim *s)
{
    bool alive = false;

    for (size_t i = 0; i < SIM_MACHINES; i++)
        alive = alive || machine_is_alive(s->machines[i]);
    return alive;
}

/* ---- the application ------------------------------------------------------------------------ */

/* Mostly the one that is in use; where each machine has its own, the other goes on at times, too.
 */
static struct database *any_database(struct sim *s)
{
    struct partition *p = any_partition(s);
    const size_t other = (p->primary + 1) % p->dbs_count;

    return &p->dbs[sim_chance(s, 150) ? other : p->primary];
}

static bool is_followed(struct sim *s, const struct database *db)
{
    const size_t at = db->model->partition->index;
    bool followed = false;

    for (size_t i = 0; i < SIM_MACHINES; i++) {
        const struct site *site = &s->machines[i]->sites[at];

        followed = followed || (site->db == db && site_is_alive(site));
    }
    return followed;
}

void sim_commit(struct sim *s, struct database *db, uint64_t page)
{
    uint8_t bytes[SIM_PAGE_BYTES] = {0};
    const bool zeros = sim_chance(s, 30);

    for (size_t i = 0; !zeros && i < sizeof(bytes); i += 64)
        bytes[i] = (uint8_t)sim_below(s, 256);
    mem_db_write(db->mem, page, hf_slice(bytes, sizeof(bytes)));
    model_changed(db);
    sim_count(s, SIM_COMMIT);
}

void sim_change(struct sim *s, struct database *db)
{
    const uint64_t before = model_now(db);

    do
        sim_commit(s, db, 1);
    while (model_now(db) == before);
}

static void commit(struct sim *s)
{
    struct database *db = any_database(s);
    const uint64_t many = sim_chance(s, 200) ? 2 + sim_below(s, 8) : 1;

    for (uint64_t i = 0; i < many; i++) {
        const uint64_t pages = mem_db_pages(db->mem);

        sim_commit(s, db, 1 + sim_below(s, pages < SIM_PAGES_MAX ? pages + 1 : pages));
    }
}

static void resize(struct sim *s)
{
    struct database *db = any_database(s);

    mem_db_resize(db->mem, 1 + sim_below(s, SIM_PAGES_MAX));
    model_changed(db);
    sim_count(s, SIM_RESIZE);
}

static void restart_log(struct sim *s)
{
    const struct database *db = any_database(s);

    sim_count(s, is_followed(s, db) ? SIM_LOG_LOST : SIM_CHECKPOINT);
    mem_db_restart_log(db->mem);
}

void sim_replace(struct sim *s, struct database *db)
{
    mem_db_restart_log(db->mem);
    mem_db_resize(db->mem, 1 + sim_below(s, SIM_PAGES_MAX));
    for (uint64_t page = 1; page <= mem_db_pages(db->mem); page++)
        sim_commit(s, db, page);
    sim_count(s, SIM_REPLACED);
}

static void replace_database(struct sim *s)
{
    sim_replace(s, any_database(s));
}

/* The other machine's database becomes a copy of this one, and is used from now on. */
static void copy_database(struct sim *s)
{
    struct partition *p = any_partition(s);
    const struct database *from = &p->dbs[p->primary];
    const size_t other = (p->primary + 1) % p->dbs_count;
    struct database *to = &p->dbs[other];
    const uint64_t pages = mem_db_pages(from->mem);

    if (from == to || pages == 0)
        return;
    mem_db_restart_log(to->mem);
    mem_db_resize(to->mem, pages);
    for (uint64_t page = 1; page <= pages; page++) {
        HF_AUTO_BUF bytes = {0};

        mem_db_read(from->mem, page, &bytes);
        mem_db_write(to->mem, page, hf_buf_slice(&bytes));
    }
    model_changed(to);
    p->primary = other;
    sim_count(s, SIM_COPY);
}

static void wait(struct sim *s)
{
    const int64_t us_max = sim_chance(s, 100) ? 90 * SECOND_US : 4 * SECOND_US;

    sim_pass(s, 1 + (int64_t)sim_below(s, (uint64_t)us_max), NULL, NULL);
    sim_count(s, SIM_WAIT);
}

/* ---- archivers ------------------------------------------------------------------------------ */

static void start(struct sim *s)
{
    struct machine *m = any_machine(s);

    if (m->archiver != NULL || m->cut || (anybody_is_alive(s) && !sim_chance(s, 250)))
        return;
    const bool once = sim_chance(s, 150);

    if (anybody_is_alive(s))
        sim_count(s, SIM_RIVAL);
    sim_count(s, once ? SIM_ONCE : SIM_START);
    if (s->partitions_count > 1 && sim_chance(s, ALONE_PER_MILLE)) {
        sim_count(s, SIM_ALONE);
        site_start(&m->sites[any_partition(s)->index], once, false);
        return;
    }
    machine_start(m, once);
}

static void stop(struct sim *s)
{
    struct machine *m = any_machine(s);

    if (!machine_is_alive(m))
        return;
    sim_count(s, SIM_STOP);
    sim_note(s, "machine %u: stop", m->index);
    machine_stop(m);
}

static void crash(struct sim *s)
{
    struct machine *m = any_machine(s);

    if (machine_is_alive(m))
        process_kill(m->archiver, sim_chance(s, 700) ? 1 + sim_below(s, 60) : 0,
                     sim_chance(s, 400));
}

static void stand_still(struct sim *s)
{
    struct machine *m = any_machine(s);

    if (!machine_is_alive(m))
        return;
    sim_count(s, SIM_PAUSE);
    sim_note(s, "machine %u: stands still", m->index);
    machine_pause(m, (int64_t)sim_below(s, 120) * SECOND_US, sim_chance(s, 500));
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

void sim_set_weather(struct sim *s)
{
    static const unsigned store[] = {0, 0, 20, 60,
                                     250}; /* of a thousand; three times that of puts */
    static const unsigned disk[] = {0, 0, 0, 3, 30};

    lines_set_weather(s, store[sim_below(s, HF_ARRAY_LEN(store))]);
    for (size_t i = 0; i < SIM_MACHINES; i++) {
        s->machines[i]->disk_per_mille = disk[sim_below(s, HF_ARRAY_LEN(disk))];
        s->machines[i]->disk_full = sim_chance(s, 100);
    }
}

/* Somebody fills a disk, so that nothing more can be written soon or that it is merely low; or
 * makes room again. */
static void change_space(struct sim *s)
{
    struct machine *m = any_machine(s);
    const uint64_t how = sim_below(s, 4);
    const uint64_t bytes = how == 0 ? sim_below(s, SPACE_BYTES_MAX) : SPACE_LOW_BYTES;

    if (how < 2)
        sim_count(s, SIM_SPACE);
    machine_set_space(m, how < 2 ? bytes : SPACE_BYTES);
    sim_note(s, "machine %u: its disk has space for %" PRIu64 " bytes", m->index, m->space_bytes);
}

static void cut_line(struct sim *s)
{
    sim_count(s, SIM_OUTAGE);
    lines_cut(s, (int64_t)sim_below(s, 60) * SECOND_US);
}

/* The network goes, and the power follows, as it does in a building. */
static void black_out(struct sim *s)
{
    struct site *site = any_site(s);
    struct machine *m = site->machine;
    const uint64_t commits = 1 + sim_below(s, 4);

    if (!machine_is_alive(m))
        return;
    cut_line(s);
    for (uint64_t i = 0; i < commits; i++) {
        sim_commit(s, site->db, 1 + sim_below(s, SIM_PAGES_MAX));
        sim_pass(s, 1 + (int64_t)sim_below(s, 1500000), NULL, NULL);
    }
    if (machine_is_alive(m))
        process_kill(m->archiver, sim_below(s, 12), true);
}

static void set_clock(struct sim *s)
{
    struct machine *m = any_machine(s);
    const int64_t us = 1 + (int64_t)sim_below(s, (sim_chance(s, 500) ? 5000 : 5) * 1000000);
    const bool back = sim_chance(s, 500);

    m->wall_us += back ? -us : us;
    /* A lease is worth as much as the clocks agree. */
    if (s->leases && m->wall_us > LEASE_CLOCK_US_MAX)
        m->wall_us = LEASE_CLOCK_US_MAX;
    else if (s->leases && m->wall_us < -LEASE_CLOCK_US_MAX)
        m->wall_us = -LEASE_CLOCK_US_MAX;
    sim_count(s, back ? SIM_CLOCK_BACK : SIM_CLOCK_AHEAD);
    sim_note(s, "machine %u: the clock is now off by %lld us", m->index, (long long)m->wall_us);
}

static void change_state(struct sim *s)
{
    struct site *site = any_site(s);
    struct machine *m = site->machine;

    if (sim_chance(s, 400)) {
        if (fs_mem_keep(m->disk, site->state_dir))
            m->kept = site;
        return;
    }
    if (m->archiver != NULL)
        return;
    if (sim_chance(s, 500)) {
        fs_mem_remove(m->disk, site->state_dir);
        sim_count(s, SIM_STATE_LOST);
        sim_note(s, "%s: local state is removed", site->name);
    } else if (m->kept == site && fs_mem_rewind(m->disk, site->state_dir)) {
        sim_count(s, SIM_STATE_OLD);
        sim_note(s, "%s: local state is put back", site->name);
    }
}

/* The only archiver has archived everything of it, so it will not read the whole database soon; or
 * nobody follows it. */
static bool is_settled(const struct site *site)
{
    const struct process *p = site->machine->archiver;
    struct hf_archiver_status status;

    if (other_machine(site->machine)->archiver != NULL)
        return false;
    if (site_follower(site) == NULL)
        return true;
    if (!site_is_alive(site) || p->stop || p->once)
        return false;
    follower_status(site_follower(site), &status);
    return status.caught_up;
}

static bool is_claimable(const struct site *site)
{
    struct machine *m = site->machine;
    struct fs_mem_view v;
    struct hf_archive archive;
    struct hf_err err;

    fs_mem_view_init(&v, m->disk);
    hf_must(hf_archive_open(&m->sim->store->base, site->partition->prefix, &archive, &err), &err);
    return hf_archiver_check_claim(&v.base, &m->clock, &archive, site->state_dir, &err) == HF_OK;
}

/* Nobody archives, and a page may have rotted: a scrub finds that, and does not archive it. */
static void scrub_unattended(struct sim *s)
{
    struct site *site = any_site(s);
    struct machine *m = site->machine;
    struct database *db = site->db;
    const struct model *model = site->partition->model;
    const uint64_t pages = mem_db_pages(db->mem);
    const uint64_t page = sim_chance(s, 600) && pages > 0 ? 1 + sim_below(s, pages) : 0;

    model_look(site->partition->model);
    if (m->archiver != NULL || other_machine(m)->archiver != NULL || m->cut || model->stored == 0 ||
        lines_due_us(s) != INT64_MAX || !is_claimable(site))
        return;
    s->quiet = true;
    if (page != 0)
        mem_db_rot(db->mem, page, sim_below(s, ROT_BYTES_MAX), (uint8_t)(1 << sim_below(s, 8)));
    tools_scrub_unattended(site, page);
    s->quiet = false;
    if (page != 0)
        sim_commit(s, db, page);
}

/* A page decays, a scrub looks, and the application writes the page anew. */
static void rot(struct sim *s)
{
    struct site *site = any_site(s);
    struct database *db = site->db;
    const uint64_t pages = mem_db_pages(db->mem);

    if (pages == 0 || site->machine->cut || !is_settled(site))
        return;
    const uint64_t page = 1 + sim_below(s, pages);
    struct beside others = beside_settled(site);
    const bool quiet = s->quiet;

    s->quiet = true;
    sim_note(s, "page %" PRIu64 " rots", page);
    mem_db_rot(db->mem, page, sim_below(s, ROT_BYTES_MAX), (uint8_t)(1 << sim_below(s, 8)));
    (void)tools_scrub(site, page);
    beside_go_on(&others, SIM_BESIDE_ROT);
    s->quiet = quiet;
    sim_commit(s, db, page);
}

/* Whoever is there meets an object that is harmed. */
static void harm(struct sim *s)
{
    struct site *site = any_site(s);
    const struct machine *m = site->machine;
    const struct machine *other = other_machine(m);

    if (m->cut || other->cut)
        return;
    if (sim_chance(s, 500))
        harm_meets_tools(site);
    else if (other->archiver != NULL || lines_due_us(s) != INT64_MAX)
        return; /* whatever comes late would speak of another owner than is there */
    else if (m->archiver == NULL)
        harm_meets_start(site);
    else if (site_is_alive(site) && mem_db_pages(site->db->mem) > 0)
        harm_meets_archiver(site);
}

/* One of several partitions is in trouble, by which no other is. */
static void trouble(struct sim *s)
{
    struct site *site = any_site(s);
    const struct machine *m = site->machine;

    if (site_is_alive(site) && is_settled(site) && m->archiver->paused_until_us <= s->now_us &&
        !m->cut && !other_machine(m)->cut && lines_due_us(s) == INT64_MAX)
        beside_trouble(site);
}

/* ---- readers -------------------------------------------------------------------------------- */

static void restore(struct site *site, enum hf_target_kind kind)
{
    static const enum sim_kind kinds[] = {
        [HF_TARGET_LATEST] = SIM_RESTORE_LATEST,
        [HF_TARGET_TXID] = SIM_RESTORE_TXID,
        [HF_TARGET_TIME] = SIM_RESTORE_TIME,
    };
    struct hf_target target = {.kind = kind, .now_ms = hf_now_ms(&site->machine->clock)};
    const struct model *model = site->partition->model;
    struct sim *s = model->sim;
    const uint64_t txid = sim_below(s, model->stored + 2);

    target.txid = txid > 0 ? txid : 1;
    /* Around a TXID's time, or anywhere. */
    if (txid > 0 && txid <= model->stored)
        target.time_ms = model->txids[txid].time_ms + (int64_t)sim_below(s, 3) - 1;
    else
        target.time_ms = target.now_ms - (int64_t)sim_below(s, 600000) + 1000;
    sim_count(s, kinds[kind]);
    tools_restore(site, &target);
}

static void read_archive(struct sim *s)
{
    struct site *site = any_site(s);

    if (site->machine->cut)
        return;
    switch (sim_below(s, 12)) {
    case 0:
        sim_count(s, SIM_VERIFY);
        tools_verify(site);
        break;
    case 1:
    case 2:
    case 3:
        (void)tools_scrub(site, 0);
        break;
    case 4:
    case 5:
    case 6:
        restore(site, HF_TARGET_TXID);
        break;
    case 7:
    case 8:
    case 9:
        restore(site, HF_TARGET_TIME);
        break;
    default:
        restore(site, HF_TARGET_LATEST);
    }
}

/* ---- choosing ------------------------------------------------------------------------------- */

void sim_operate(struct sim *s)
{
    static const struct {
        unsigned weight;
        void (*run)(struct sim *s);
    } choices[] = {
        /* the application */
        {330, commit},
        {20, resize},
        {10, restart_log},
        {4, replace_database},
        {10, copy_database},
        {280, wait},
        /* archivers */
        {120, start},
        {15, stop},
        {25, crash},
        {12, stand_still},
        /* what goes wrong */
        {25, sim_set_weather},
        {15, change_space},
        {8, cut_line},
        {8, black_out},
        {10, set_clock},
        {20, change_state},
        {10, rot},
        {12, harm},
        {20, scrub_unattended},
        /* readers */
        {60, read_archive},
    };
    unsigned all = 0;
    size_t at = 0;

    if (s->partitions_count > 1 && sim_chance(s, TROUBLE_PER_MILLE)) {
        trouble(s);
        return;
    }
    for (size_t i = 0; i < HF_ARRAY_LEN(choices); i++)
        all += choices[i].weight;
    uint64_t left = sim_below(s, all);

    while (left >= choices[at].weight)
        left -= choices[at++].weight;
    choices[at].run(s);
}

/* ---- the end -------------------------------------------------------------------------------- */

/* What is waited for: another round of all that the machine's archiver follows and that has not
 * ended, and that all of it is archived then. */
struct calm {
    const struct machine *machine;
    uint64_t rounds[SIM_PARTITIONS_MAX];
};

static struct calm calm_of(const struct machine *m)
{
    struct calm calm = {.machine = m};

    for (size_t i = 0; i < m->archiver->followers_count; i++)
        calm.rounds[i] = m->archiver->followers[i].rounds;
    return calm;
}

static bool is_archived(void *ctx)
{
    const struct calm *calm = ctx;
    const struct process *p = calm->machine->archiver;
    bool archived = true;

    if (!machine_is_alive(calm->machine))
        return true;
    for (size_t i = 0; archived && i < p->followers_count; i++)
        archived =
            !site_is_alive(p->followers[i].site) ||
            (p->followers[i].rounds > calm->rounds[i] && follower_is_current(&p->followers[i]));
    return archived;
}

/* The machine's archiver follows all partitions, and has not ended with any of them. */
static bool goes_on_with_all(const struct machine *m)
{
    bool all = true;

    for (size_t i = 0; i < m->sim->partitions_count; i++)
        all = all && site_is_alive(&m->sites[i]);
    return all;
}

/* All archivers are told to stop, and do; but that of `goes_on` (or NULL). */
static void end_all_but(struct sim *s, const struct machine *goes_on)
{
    for (size_t i = 0; i < SIM_MACHINES; i++) {
        struct machine *m = s->machines[i];

        if (m->archiver == NULL)
            continue;
        m->archiver->paused_until_us = 0;
        if (m != goes_on)
            machine_stop(m);
    }
    sim_pass(s, 120 * SECOND_US, NULL, NULL);
    machines_reap(s);
    for (size_t i = 0; i < SIM_MACHINES; i++) {
        if (s->machines[i]->archiver != NULL && s->machines[i] != goes_on)
            sim_fail(s, "machine %zu: a stop does not end", i);
    }
}

/* It has archived everything; but what it has ended with, by which nothing else ended. */
static void must_be_current(struct process *p)
{
    size_t current = 0;

    for (size_t i = 0; i < p->followers_count; i++) {
        if (!site_is_alive(p->followers[i].site))
            continue;
        model_must_be_current(&p->followers[i]);
        current++;
    }
    for (size_t i = 0; i < current && current < p->followers_count; i++)
        sim_count(p->sim, SIM_BESIDE_ENDED);
}

/* An archiver alone brings everything to the archives. */
static void calm_down(struct sim *s, struct machine *m)
{
    for (int i = 0; i < CALM_TRIES_MAX; i++) {
        machines_reap(s);
        if (m->archiver == NULL)
            machine_start(m, false);
        struct calm calm = calm_of(m);

        sim_pass(s, CALM_SECONDS * SECOND_US, is_archived, &calm);
        if (!machine_is_alive(m))
            continue;
        if (!is_archived(&calm))
            sim_fail(s, "after %d s without faults not everything is archived", CALM_SECONDS);
        must_be_current(m->archiver);
        if (goes_on_with_all(m)) {
            sim_count(s, SIM_CALM);
            return;
        }
        end_all_but(s, NULL);
    }
    sim_fail(s, "an archiver that meets no faults always ends");
}

static bool has_begun(const struct process *p)
{
    bool has = false;

    for (size_t i = 0; i < p->followers_count; i++)
        has = has || p->followers[i].rounds > 0;
    return has;
}

/* Where there are leases, whoever comes later waits until the older one has gone. */
static void hand_over_lease(struct sim *s, struct machine *from, struct machine *to)
{
    machine_start(to, false);
    struct calm calm = calm_of(to);

    sim_pass(s, FENCED_SECONDS * SECOND_US, NULL, NULL);
    if (!goes_on_with_all(from) || has_begun(to->archiver))
        sim_fail(s, "a newer archiver came, though the older one has a lease");
    machine_stop(from);
    sim_pass(s, LEASE_SECONDS * SECOND_US, is_archived, &calm);
    machines_reap(s);
    if (from->archiver != NULL || !is_archived(&calm))
        sim_fail(s, "%d s after an archiver was told to stop another one has not got its lease",
                 LEASE_SECONDS);
    sim_count(s, SIM_LEASE_HANDED_OVER);
}

static void commit_everywhere(struct sim *s)
{
    for (size_t i = 0; i < s->partitions_count; i++) {
        struct partition *p = &s->partitions[i];

        for (size_t d = 0; d < p->dbs_count; d++)
            sim_commit(s, &p->dbs[d], 1);
    }
}

/* Whoever comes later has the archives soon, though the older one has something to archive, too. */
static void hand_over(struct sim *s, struct machine *from, struct machine *to)
{
    machine_start(to, false);
    for (int i = 0; i < FENCED_SECONDS && machine_is_alive(from); i++) {
        commit_everywhere(s);
        sim_pass(s, SECOND_US, NULL, NULL);
    }
    if (machine_is_alive(from) || !goes_on_with_all(to))
        sim_fail(s, "%d s after a newer archiver came the older one is %s, the newer one %s",
                 FENCED_SECONDS, machine_is_alive(from) ? "alive" : "gone",
                 goes_on_with_all(to) ? "alive" : "gone");
    machines_reap(s);
    calm_down(s, to);
}

static void scrub_all(struct machine *m)
{
    for (size_t i = 0; i < m->sim->partitions_count; i++) {
        if (!tools_scrub(&m->sites[i], 0))
            sim_fail(m->sim, "after a time of calm a scrub does not compare everything");
    }
}

/* What was archived is there, and is what it should be. */
static void conclude(struct site *site)
{
    model_look(site->partition->model);
    model_check_objects(site->partition->model);
    tools_verify(site);
    tools_rebuild(site);
    tools_list_catch_ups(site);
    for (int i = 0; i < RESTORES_AT_END; i++)
        restore(site, (enum hf_target_kind)(i % 3));
}

void sim_conclude(struct sim *s)
{
    struct machine *m = any_machine(s);

    s->quiet = true;
    for (size_t i = 0; i < SIM_MACHINES; i++)
        machine_set_space(s->machines[i], SPACE_BYTES);
    machines_reap(s);
    /* What happened before, an archiver gets over by itself, or one that starts later. */
    const bool goes_on = machine_is_alive(m) && !m->archiver->stop && sim_chance(s, 700);

    if (goes_on)
        sim_count(s, SIM_CALM_GOES_ON);
    end_all_but(s, goes_on ? m : NULL);
    for (size_t i = 0; i < s->partitions_count; i++)
        sim_change(s, m->sites[i].db);
    calm_down(s, m);
    scrub_all(m);
    if (s->leases)
        hand_over_lease(s, m, other_machine(m));
    else
        hand_over(s, m, other_machine(m));
    for (size_t i = 0; i < s->partitions_count; i++)
        conclude(&m->sites[i]);
    end_all_but(s, NULL);
}
