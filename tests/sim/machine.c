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

static struct machine *machine_new(struct sim *s, unsigned index)
{
    struct machine *m = hf_calloc(1, sizeof(*m));

    m->clock = (struct hf_clock){.now_us = wall_now, .mono_us = mono_now, .sleep_us = sleep_on};
    m->sim = s;
    m->index = index;
    m->mono_us = -s->now_us + SECOND_US;
    m->disk = fs_mem_new(&m->clock);
    machine_set_space(m, DISK_BYTES / 2);
    m->db = &s->dbs[index % s->dbs_count];
    m->state_dir = hf_archiver_state_dir(m->db->path, SIM_URL, SIM_STATE_ROOT);
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
        hf_free(m->state_dir);
        hf_free(m);
    }
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
    p->store = line_new(p);
}

void process_done(struct process *p)
{
    for (uint64_t i = 0; i < p->fs.full_count; i++)
        sim_count(p->sim, SIM_NO_ROOM);
    hf_store_free(p->store);
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

void machine_start(struct machine *m, bool once)
{
    machine_start_as(m, once, false);
}

void machine_start_as(struct machine *m, bool once, bool proved_only)
{
    struct process *p = hf_calloc(1, sizeof(*p));
    struct sim *s = m->sim;
    const struct hf_archiver_target target = {
        .engine = model_engine(),
        .name = m->index == 0 ? "A" : "B",
        .db_path = m->db->path,
        .prefix = SIM_PREFIX,
        .url = SIM_URL,
        .state_root = SIM_STATE_ROOT,
        .never_catch_up = proved_only,
        .capture_ms = 200 + (int64_t)sim_below(s, 3) * 400,
    };
    struct hf_archiver_target own = target;

    hf_assert(m->archiver == NULL && !m->cut);
    process_init(p, m);
    p->once = once;
    p->must_reach = m->db->states_count - 1;
    p->env = (struct hf_archiver_env){
        .fs = &p->fs.base,
        .clock = &m->clock,
        .rand = &p->rand,
        .pool = s->pool,
        .stop = &p->stop,
        .cut = &p->cut,
    };
    own.store = p->store;
    p->archiver = hf_archiver_new(&p->env);
    hf_archiver_add(p->archiver, &own);
    hf_archiver_begin(p->archiver, once);
    m->archiver = p;
    sim_note(s, "machine %u: process %" PRIu64 " archives%s", m->index, p->life,
             once ? " once" : "");
}

void machine_pause(struct machine *m, int64_t us, bool suspends)
{
    const int64_t now_us = m->sim->now_us;

    m->archiver->paused_until_us = now_us + us;
    m->archiver->crowded_us = 0;
    if (!suspends || now_us < m->suspended_until_us)
        return;
    m->suspended_us = now_us + us;
    m->suspended_until_us = now_us + us;
    m->mono_us -= us; /* while it is suspended `suspended_us` stands for the time of now */
}

void machine_stop(struct machine *m)
{
    struct process *p = m->archiver;

    if (!p->stop && !p->once)
        p->must_reach = m->db->states_count - 1;
    p->stop = true;
}

bool machine_is_alive(const struct machine *m)
{
    return m->archiver != NULL && !m->archiver->dead && !hf_archiver_ended(m->archiver->archiver);
}

static bool is_busy(const struct process *p)
{
    bool busy = false;

    for (size_t i = 0; i < HF_ARCHIVER_LOOPS; i++)
        busy = busy || p->busy[i];
    return busy;
}

/* How it ended, where it was not killed. */
static void judge_end(struct process *p)
{
    struct sim *s = p->sim;
    struct hf_err err = {.code = HF_OK};
    struct hf_archiver_status status;
    const enum hf_code rc = hf_archiver_end(p->archiver, &err);

    sim_note(s, "machine %u: process %" PRIu64 " has ended: %s", p->machine->index, p->life,
             hf_code_text(rc));
    sim_say(s, rc != HF_OK ? err.text : "");
    if (rc == HF_FENCED)
        sim_count(s, SIM_FENCED);
    if (rc == HF_BUSY && s->leases)
        sim_count(s, SIM_LEASE_RUNS);
    hf_archiver_status(p->archiver, 0, &status);
    /* HF_DAMAGE is an end that is well, if it is not how the partition failed. */
    if (rc == HF_OK || (rc == HF_DAMAGE && status.failure == HF_OK))
        model_must_have_reached(s->model, p);
}

static void reap(struct machine *m)
{
    struct process *p = m->archiver;

    if (p == NULL || is_busy(p) || (!p->dead && !hf_archiver_ended(p->archiver)))
        return;
    if (!p->dead)
        judge_end(p);
    hf_archiver_free(p->archiver);
    process_done(p);
    hf_free(p);
    m->archiver = NULL;
}

/* As with synchronous=NORMAL: the last commits may never have reached the disk. */
static size_t lose_commits(struct sim *s, struct database *db)
{
    const size_t most = mem_db_log_count(db->mem);
    const size_t lost = sim_chance(s, 500) ? (size_t)sim_below(s, (most < 6 ? most : 6) + 1) : 0;

    if (lost == 0)
        return 0;
    mem_db_lose(db->mem, lost);
    sim_count(s, SIM_REWOUND);
    model_changed(s->model, db);
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

static struct spooled look_at_spool(const struct machine *m)
{
    HF_AUTO_FREE char *dir = hf_strfmt("%s/spool", m->state_dir);
    struct spooled sp = {.dir = dir};
    struct hf_err err;

    fs_mem_view_init(&sp.v, m->disk);
    const enum hf_code rc = hf_fs_list(&sp.v.base, dir, look_at_spooled, &sp, &err);

    hf_assert(rc == HF_OK || rc == HF_NOT_FOUND);
    sp.dir = NULL;
    return sp;
}

static void lose_power(struct machine *m)
{
    const struct spooled before = look_at_spool(m);

    fs_mem_cut(m->disk, &m->sim->rand);
    const struct spooled now = look_at_spool(m);

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
        const size_t lost = i < s->dbs_count ? lose_commits(s, m->db) : 0;

        sim_note(s, "machine %u: the power is back, and %zu commits are lost", i, lost);
    }
}

/* ---- stepping ------------------------------------------------------------------------------- */

int64_t machine_due_us(struct machine *m, enum hf_archiver_loop loop)
{
    struct process *p = m->archiver;

    if (p == NULL || p->dead || p->busy[loop] || p->paused_until_us > m->sim->now_us)
        return INT64_MAX;
    if (loop == HF_ARCHIVER_ATTACH && p->busy[HF_ARCHIVER_UPLOAD])
        return INT64_MAX;
    const int64_t due_us = hf_archiver_due_us(p->archiver, loop);

    return due_us == INT64_MAX ? INT64_MAX : due_us - m->mono_us;
}

void machine_step(struct machine *m, enum hf_archiver_loop loop)
{
    struct process *p = m->archiver;
    struct sim *s = m->sim;
    struct process *before = s->current;
    const uint64_t rounds = p->rounds;
    struct hf_archiver_status status;

    s->current = p;
    p->busy[loop] = true;
    (void)hf_archiver_step(p->archiver, loop);
    p->busy[loop] = false;
    s->current = before;
    if (p->dead)
        return;
    hf_archiver_status(p->archiver, 0, &status);
    sim_mix(s, status.captured_txid, status.archived_txid);
    if (status.archived_txid != p->archived_txid)
        model_told(s->model, p, status.archived_txid, loop == HF_ARCHIVER_UPLOAD);
    p->archived_txid = status.archived_txid;
    if (p->rounds != rounds && status.caught_up)
        model_must_be_current(s->model, p);
}
