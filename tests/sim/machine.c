/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - clocks, disks, processes; and one step of an archiver. */
#include "sim/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "sim/line.h"
#include "sim/model.h"

#define DISK_BYTES (UINT64_C(1) << 40)

/* ---- clocks --------------------------------------------------------------------------------- */

static int64_t wall_now(struct hf_clock *c)
{
    const struct machine *m = (const struct machine *)c;

    return m->sim->now_us + m->wall_us;
}

static int64_t mono_now(struct hf_clock *c)
{
    const struct machine *m = (const struct machine *)c;
    const int64_t now_us = m->sim->now_us;

    return (now_us < m->suspended_until_us ? m->suspended_us : now_us) + m->mono_us;
}

static void sleep_on(struct hf_clock *c, int64_t us)
{
    sim_pass(((struct machine *)c)->sim, us, NULL, NULL);
}

/* ---- machines ------------------------------------------------------------------------------- */

static void site_init(struct site *site, struct machine *m, struct partition *p)
{
    *site = (struct site){.machine = m, .partition = p};
    site->db = &p->dbs[m->index % p->dbs_count];
    site->state_dir = hf_archiver_state_dir(site->db->path, p->url, SIM_STATE_ROOT);
    site->name = m->sim->partitions_count == 1 ? hf_strfmt("machine %u", m->index)
                                               : hf_strfmt("machine %u, %s", m->index, p->prefix);
}

static void site_done(struct site *site)
{
    hf_free(site->state_dir);
    hf_free(site->name);
}

static struct machine *machine_new(struct sim *s, unsigned index)
{
    struct machine *m = hf_calloc(1, sizeof(*m));

    m->clock = (struct hf_clock){.now_us = wall_now, .mono_us = mono_now, .sleep_us = sleep_on};
    m->sim = s;
    m->index = index;
    m->mono_us = -s->now_us + SECOND_US;
    m->disk = fs_mem_new(&m->clock);
    machine_set_space(m, DISK_BYTES / 2);
    for (size_t i = 0; i < s->partitions_count; i++)
        site_init(&m->sites[i], m, &s->partitions[i]);
    return m;
}

void machine_set_space(struct machine *m, uint64_t free_bytes)
{
    fs_mem_set_space(m->disk, free_bytes, DISK_BYTES);
    m->space_bytes = free_bytes;
}

bool machine_has_little_space(const struct machine *m)
{
    return m->space_bytes < DISK_BYTES / 20;
}

void machines_new(struct sim *s)
{
    for (unsigned i = 0; i < SIM_MACHINES; i++)
        s->machines[i] = machine_new(s, i);
}

void machines_free(struct sim *s)
{
    for (unsigned i = 0; i < SIM_MACHINES; i++) {
        struct machine *m = s->machines[i];

        hf_assert(m->archiver == NULL && m->tools == 0);
        fs_mem_free(m->disk);
        for (size_t at = 0; at < s->partitions_count; at++)
            site_done(&m->sites[at]);
        hf_free(m);
    }
}

struct machine *other_machine(const struct machine *m)
{
    return m->sim->machines[1 - m->index];
}

/* ---- processes ------------------------------------------------------------------------------ */

/* What a failing disk does to a call. */
static enum fs_mem_fate wear(struct process *p, int kind, const char *path, struct hf_err *err)
{
    struct sim *s = p->sim;
    const bool grows = kind == FS_WRITE_INDEX || kind == FS_MKDIR_INDEX ||
                       kind == FS_TRUNCATE_INDEX;
    const bool syncs = kind == FS_SYNC_INDEX || kind == FS_SYNC_DIR_INDEX;

    p->fs.has_room = s->quiet;
    if (s->quiet || kind == FS_SPACE_INDEX)
        return FS_MEM_WORKS;
    if (p->machine->disk_full && grows) {
        sim_count(s, SIM_DISK_FULL);
        (void)hf_err_set(err, HF_FULL, "%s: no space left", path);
        return FS_MEM_FAILS;
    }
    if (!sim_chance(s, p->machine->disk_per_mille))
        return FS_MEM_WORKS;
    sim_count(s, syncs ? SIM_SYNC_FAILED : SIM_FILE_FAILED);
    sim_note(s, "machine %u: the file system fails at %s (%d)", p->machine->index, path, kind);
    (void)hf_err_set(err, HF_IO, "%s: injected failure", path);
    return FS_MEM_FAILS;
}

static enum fs_mem_fate judge(void *ctx, int kind, const char *path, struct hf_err *err)
{
    struct process *p = ctx;
    const enum life life = process_call(p);

    sim_mix(p->sim, (uint64_t)kind, (uint64_t)life);
    if (life == LIFE_GOES_ON)
        return wear(p, kind, path, err);
    (void)process_is_dead(err);
    /* Dying is no failure of the disk: what was written before will be synced by the system. */
    p->fs.rand = life == LIFE_ENDS_BEFORE && kind == FS_WRITE_INDEX ? &p->rand : NULL;
    return life == LIFE_ENDS_AFTER ? FS_MEM_FAILS_AFTER : FS_MEM_FAILS;
}

void process_init(struct process *p, struct machine *m)
{
    struct sim *s = m->sim;

    *p = (struct process){.machine = m, .sim = s, .life = ++s->lives};
    p->rand = hf_rand_seeded(hf_rand_u64(&s->rand));
    fs_mem_view_init(&p->fs, m->disk);
    p->fs.judge = judge;
    p->fs.judge_ctx = p;
    p->fs.rand = &p->rand;
}

void process_done(struct process *p)
{
    for (uint64_t i = 0; i < p->fs.full_count; i++)
        sim_count(p->sim, SIM_NO_ROOM);
    hf_assert(p->fs.files_open == 0);
}

enum hf_code process_is_dead(struct hf_err *err)
{
    return hf_err_set(err, HF_IO, "this process is dead");
}

enum life process_call(struct process *p)
{
    if (p->dead)
        return LIFE_IS_OVER;
    if (p->dies_in == 0 || --p->dies_in > 0 || p->sim->quiet)
        return LIFE_GOES_ON;
    process_kill(p, 0, p->dies_by_power);
    return sim_chance(p->sim, 500) ? LIFE_ENDS_AFTER : LIFE_ENDS_BEFORE;
}

static void die(struct process *p)
{
    if (p->dead)
        return;
    sim_note(p->sim, "machine %u: process %" PRIu64 " dies", p->machine->index, p->life);
    p->dead = true;
    p->stop = p->cut = true; /* so that it unwinds at once */
}

void process_kill(struct process *p, uint64_t in_calls, bool by_power)
{
    struct sim *s = p->sim;

    p->dies_in = in_calls;
    p->dies_by_power = by_power;
    if (in_calls > 0 || p->dead)
        return;
    s->crashes++;
    sim_count(s, by_power ? SIM_POWER_CUT : SIM_KILL);
    die(p);
    if (!by_power)
        return;
    p->machine->cut = true;
    if (p->machine->archiver != NULL)
        die(p->machine->archiver);
}

static void follow(struct process *p, struct site *site, bool proved_only, int64_t capture_ms)
{
    struct follower *f = &p->followers[p->followers_count++];
    const struct partition *of = site->partition;
    struct follower *rival = site_follower(&other_machine(p->machine)->sites[of->index]);

    *f = (struct follower){.process = p, .site = site, .must_reach = site->db->states_count - 1};
    f->store = line_new(p, of);
    f->met_harm = of->harmed;
    f->met_rival = rival != NULL;
    if (rival != NULL)
        rival->met_rival = true;
    const struct hf_archiver_target target = {
        .engine = model_engine(),
        .name = site->name,
        .db_path = site->db->path,
        .store = f->store,
        .prefix = of->prefix,
        .url = of->url,
        .state_root = SIM_STATE_ROOT,
        .never_catch_up = proved_only,
        .capture_ms = capture_ms,
    };

    hf_archiver_add(p->archiver, &target);
}

/* An archiver of `count` partitions, the first of which is this one. */
static void start(struct site *first, size_t count, bool once, bool proved_only)
{
    struct process *p = hf_calloc(1, sizeof(*p));
    struct machine *m = first->machine;
    struct sim *s = m->sim;
    const int64_t capture_ms = 200 + (int64_t)sim_below(s, 3) * 400;

    hf_assert(m->archiver == NULL && !m->cut);
    process_init(p, m);
    p->once = once;
    p->env = (struct hf_archiver_env){
        .fs = &p->fs.base,
        .clock = &m->clock,
        .rand = &p->rand,
        .pool = s->pool,
        .stop = &p->stop,
        .cut = &p->cut,
    };
    p->archiver = hf_archiver_new(&p->env);
    for (size_t i = 0; i < count; i++)
        follow(p, &first[i], proved_only, capture_ms);
    hf_archiver_begin(p->archiver, once);
    m->archiver = p;
    sim_note(s, "machine %u: process %" PRIu64 " archives%s%s", m->index, p->life,
             once ? " once" : "", count < s->partitions_count ? ", but not all" : "");
}

void machine_start(struct machine *m, bool once)
{
    start(&m->sites[0], m->sim->partitions_count, once, false);
}

void site_start(struct site *site, bool once, bool proved_only)
{
    start(site, 1, once, proved_only);
}

void machine_pause(struct machine *m, int64_t us, bool suspends)
{
    const int64_t now_us = m->sim->now_us;

    m->archiver->paused_until_us = now_us + us;
    for (size_t i = 0; i < m->archiver->followers_count; i++)
        m->archiver->followers[i].crowded_us = 0;
    if (!suspends || now_us < m->suspended_until_us)
        return;
    m->suspended_us = now_us + us;
    m->suspended_until_us = now_us + us;
    m->mono_us -= us; /* while it is suspended `suspended_us` stands for the time of now */
}

void machine_stop(struct machine *m)
{
    struct process *p = m->archiver;

    for (size_t i = 0; i < p->followers_count && !p->stop && !p->once; i++)
        p->followers[i].must_reach = p->followers[i].site->db->states_count - 1;
    p->stop = true;
}

bool machine_is_alive(const struct machine *m)
{
    return m->archiver != NULL && !m->archiver->dead && !hf_archiver_ended(m->archiver->archiver);
}

size_t follower_index(const struct follower *f)
{
    return (size_t)(f - f->process->followers);
}

void follower_status(const struct follower *f, struct hf_archiver_status *ret)
{
    hf_archiver_status(f->process->archiver, follower_index(f), ret);
}

bool follower_is_current(const struct follower *f)
{
    struct hf_archiver_status status;

    follower_status(f, &status);
    return !f->process->dead && status.caught_up &&
           f->site->partition->model->stored == status.archived_txid;
}

struct follower *site_follower(const struct site *site)
{
    struct process *p = site->machine->archiver;
    struct follower *found = NULL;

    for (size_t i = 0; p != NULL && i < p->followers_count; i++) {
        if (p->followers[i].site == site)
            found = &p->followers[i];
    }
    return found;
}

bool site_is_alive(const struct site *site)
{
    const struct follower *f = site_follower(site);

    return f != NULL && !f->process->dead &&
           !hf_archiver_has_ended(f->process->archiver, follower_index(f));
}

static bool is_busy(const struct process *p)
{
    bool busy = false;

    for (size_t i = 0; i < HF_ARCHIVER_LOOPS; i++)
        busy = busy || p->busy[i] > 0;
    return busy;
}

/* How a partition ended, in a process that was not killed. */
static void judge_end_of(const struct follower *f)
{
    struct sim *s = f->process->sim;
    struct hf_archiver_status status;

    follower_status(f, &status);
    if (status.failure == HF_FENCED)
        sim_count(s, SIM_FENCED);
    if (status.failure == HF_BUSY && s->leases)
        sim_count(s, SIM_LEASE_RUNS);
    if (status.failure == HF_OK)
        model_must_have_reached(f);
}

/* It tells how the first partition failed that did, and that it is this one. */
static void judge_outcome(const struct process *p, enum hf_code rc, const struct hf_err *err)
{
    struct hf_archiver_status status = {.failure = HF_OK};
    const struct follower *f = p->followers;

    for (; f < p->followers + p->followers_count; f++) {
        follower_status(f, &status);
        if (status.failure != HF_OK)
            break;
    }
    if (status.failure == HF_OK && (rc == HF_OK || rc == HF_DAMAGE))
        return;
    if (rc != status.failure || strncmp(err->text, f->site->name, strlen(f->site->name)) != 0)
        sim_fail(p->sim, "%s has failed first, with %s, but it is told: %s", f->site->name,
                 status.failure_text, err->text);
}

/* How it ended, where it was not killed. */
static void judge_end(struct process *p)
{
    struct sim *s = p->sim;
    struct hf_err err = {.code = HF_OK};
    const enum hf_code rc = hf_archiver_end(p->archiver, &err);

    sim_note(s, "machine %u: process %" PRIu64 " has ended: %s", p->machine->index, p->life,
             hf_code_text(rc));
    sim_say(s, rc != HF_OK ? err.text : "");
    judge_outcome(p, rc, &err);
    for (size_t i = 0; i < p->followers_count; i++)
        judge_end_of(&p->followers[i]);
}

static void reap(struct machine *m)
{
    struct process *p = m->archiver;

    if (p == NULL || is_busy(p) || (!p->dead && !hf_archiver_ended(p->archiver)))
        return;
    m->sim->current = p;
    if (!p->dead)
        judge_end(p);
    hf_archiver_free(p->archiver);
    m->sim->current = NULL;
    for (size_t i = 0; i < p->followers_count; i++)
        hf_store_free(p->followers[i].store);
    process_done(p);
    hf_free(p);
    m->archiver = NULL;
}

/* As with synchronous=NORMAL: the last commits may never have reached the disk. */
static size_t lose_commits_of(struct sim *s, struct database *db)
{
    const size_t most = mem_db_log_count(db->mem);
    const size_t lost = sim_chance(s, 500) ? (size_t)sim_below(s, (most < 6 ? most : 6) + 1) : 0;

    if (lost == 0)
        return 0;
    mem_db_lose(db->mem, lost);
    sim_count(s, SIM_REWOUND);
    model_changed(db);
    return lost;
}

/* Of all databases that are on the machine. */
static size_t lose_commits(struct machine *m)
{
    size_t lost = 0;

    for (size_t i = 0; i < m->sim->partitions_count; i++) {
        if (m->index < m->sites[i].partition->dbs_count)
            lost += lose_commits_of(m->sim, m->sites[i].db);
    }
    return lost;
}

struct spooled {
    struct fs_mem_view v;
    const char *dir;
    size_t count; /* of segments */
    size_t torn;  /* of these */
};

static enum hf_code look_at_spooled(void *ctx, const char *name, struct hf_err *err)
{
    struct spooled *sp = ctx;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", sp->dir, name);
    HF_AUTO_BUF bytes = {0};

    if (strstr(name, ".ltx") == NULL)
        return HF_OK;
    hf_must(hf_fs_read_all(&sp->v.base, path, SIZE_MAX, &bytes, err), err);
    sp->count++;
    sp->torn += !mem_segment_is_whole(hf_buf_slice(&bytes));
    return HF_OK;
}

/* Of all partitions. */
static struct spooled look_at_spools(const struct machine *m)
{
    struct spooled sp = {0};
    struct hf_err err;

    fs_mem_view_init(&sp.v, m->disk);
    for (size_t i = 0; i < m->sim->partitions_count; i++) {
        HF_AUTO_FREE char *dir = hf_strfmt("%s/spool", m->sites[i].state_dir);

        sp.dir = dir;
        const enum hf_code rc = hf_fs_list(&sp.v.base, dir, look_at_spooled, &sp, &err);

        hf_assert(rc == HF_OK || rc == HF_NOT_FOUND);
        sp.dir = NULL;
    }
    return sp;
}

static void lose_power(struct machine *m)
{
    const struct spooled before = look_at_spools(m);

    fs_mem_cut(m->disk, &m->sim->rand);
    const struct spooled now = look_at_spools(m);

    if (before.count > 0)
        sim_count(m->sim, SIM_POWER_CUT_SPOOL);
    if (now.torn > before.torn)
        sim_count(m->sim, SIM_SPOOL_TORN);
}

void machines_reap(struct sim *s)
{
    hf_assert(s->depth == 0);
    for (unsigned i = 0; i < SIM_MACHINES; i++) {
        struct machine *m = s->machines[i];

        reap(m);
        if (!m->cut || m->archiver != NULL || m->tools > 0)
            continue;
        lose_power(m);
        m->mono_us = -s->now_us + SECOND_US;
        m->suspended_until_us = 0;
        m->cut = false;
        const size_t lost = lose_commits(m);

        sim_note(s, "machine %u: the power is back, and %zu commits are lost", i, lost);
    }
}

/* ---- stepping ------------------------------------------------------------------------------- */

int64_t machine_due_us(struct machine *m, enum hf_archiver_loop loop)
{
    struct process *p = m->archiver;

    if (p == NULL || p->dead || p->paused_until_us > m->sim->now_us ||
        p->busy[loop] == hf_archiver_threads(p->archiver, loop))
        return INT64_MAX;
    const int64_t due_us = hf_archiver_due_us(p->archiver, loop);

    return due_us == INT64_MAX ? INT64_MAX : due_us - m->mono_us;
}

/* It is to make its first snapshot, and the others hold all slots. */
static void note_slot(struct follower *f)
{
    if (f->waits_since_us == 0 && model_waits_for_slot(f))
        f->waits_since_us = f->process->sim->now_us;
}

/* What it says after a step. */
static void listen(struct follower *f, enum hf_archiver_loop loop)
{
    struct hf_archiver_status status;

    follower_status(f, &status);
    sim_mix(f->process->sim, status.captured_txid, status.archived_txid);
    if (status.archived_txid != f->archived_txid)
        model_told(f, status.archived_txid, loop == HF_ARCHIVER_UPLOAD);
    f->archived_txid = status.archived_txid;
    if (f->rounds != f->rounds_heard && status.caught_up)
        model_must_be_current(f);
    f->rounds_heard = f->rounds;
    note_slot(f);
    if (status.failure != HF_OK && !f->failed)
        model_failed(f, &status);
    f->failed = status.failure != HF_OK;
}

void machine_step(struct machine *m, enum hf_archiver_loop loop)
{
    struct process *p = m->archiver;
    struct sim *s = m->sim;
    struct process *before = s->current;

    s->current = p;
    p->busy[loop]++;
    (void)hf_archiver_step(p->archiver, loop);
    p->busy[loop]--;
    s->current = before;
    for (size_t i = 0; i < p->followers_count && !p->dead; i++)
        listen(&p->followers[i], loop);
}
