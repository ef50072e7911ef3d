/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - see model.h. States are compared by a hash of all their pages. */
#include "sim/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/owner.h"
#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"

/* A commit is long in the log, so that the limits of archiver/DESIGN.md are met. */
#define COMMIT_BYTES    (UINT64_C(8) << 20)
#define LOG_BYTES_SMALL (UINT64_C(64) << 20)
#define LOG_BYTES_LARGE (UINT64_C(1) << 30)
#define CROWDED_US_MAX  (120 * SECOND_US)
#define IMAGES_MAX      4 /* slots for first snapshots */

/* The seed at work: the engine's functions are not told. */
static struct sim *watched;

struct model *model_new(struct sim *s, const struct partition *p)
{
    struct model *m = hf_calloc(1, sizeof(*m));

    m->sim = s;
    m->partition = p;
    watched = s;
    m->txids = hf_calloc(1, sizeof(*m->txids));
    return m;
}

void model_free(struct model *m)
{
    hf_free(m->captures);
    hf_free(m->txids);
    hf_buf_done(&m->image);
    hf_free(m);
}

uint64_t model_hash_pages(struct hf_slice pages)
{
    return hf_hash64(pages.ptr, pages.len);
}

uint64_t model_now(const struct database *db)
{
    return db->states[db->states_count - 1];
}

void model_changed(struct database *db)
{
    HF_AUTO_BUF pages = {0};
    const uint64_t count = mem_db_pages(db->mem);

    for (uint64_t page = 1; page <= count; page++)
        mem_db_read(db->mem, page, &pages);
    db->states = hf_realloc(db->states, db->states_count + 1, sizeof(*db->states));
    db->states[db->states_count++] = model_hash_pages(hf_buf_slice(&pages));
    sim_mix(db->model->sim, db->states_count, model_now(db));
}

/* ---- what is captured ----------------------------------------------------------------------- */

static const struct hf_live_ops *inner;

/* Whose live side it is, of the process that runs. */
static struct follower *follower_of(const struct hf_live *l)
{
    struct process *p = watched->current;
    size_t i = 0;

    while (i < p->followers_count && p->followers[i].live != l)
        i++;
    hf_assert(i < p->followers_count);
    return &p->followers[i];
}

static struct model *model_of(const struct follower *f)
{
    return f->site->partition->model;
}

/* Its process is about to make this segment. Whether it comes to the spool, it may not live to
 * tell. */
static void captured(const struct follower *f, uint64_t txid, int64_t told_ms,
                     const struct hf_state *before, bool catchup, const struct hf_round *round)
{
    struct model *m = model_of(f);
    struct sim *s = m->sim;
    const int64_t now_ms = hf_now_ms(&f->site->machine->clock);
    const int64_t time_ms = now_ms > before->time_ms ? now_ms : before->time_ms;
    struct model_capture c = {
        .life = f->process->life,
        .txid = txid,
        .state = model_now(f->site->db),
        .time_ms = time_ms,
        .catchup = catchup,
    };

    c.or_state = c.state;
    if (round != NULL && round->until != NULL && round->until->len == m->asked.len &&
        memcmp(round->until->bytes, m->asked.bytes, m->asked.len) == 0)
        c.or_state = m->asked_state;
    if (txid != before->txid + 1 || told_ms != time_ms)
        sim_fail(s,
                 "captured TXID %" PRIu64 " at %lld ms behind TXID %" PRIu64 ", expected %lld ms",
                 txid, (long long)told_ms, before->txid, (long long)time_ms);
    m->captures = hf_realloc(m->captures, m->captures_count + 1, sizeof(*m->captures));
    m->captures[m->captures_count++] = c;
    sim_note(s, "%s: process %" PRIu64 " captures TXID %" PRIu64 "%s", f->site->name, c.life,
             c.txid, catchup ? ", a catch-up" : "");
}

/* Passes a segment on. */
struct watched_taker {
    struct hf_taker base; /* first, so that the pointers convert */
    struct hf_taker *to;
    const struct hf_live *live;
    const struct hf_round *round; /* NULL: it is a catch-up */
};

static enum hf_code watched_begin(struct hf_taker *t, const struct hf_seg_info *info,
                                  struct hf_sink **ret, struct hf_err *err)
{
    const struct watched_taker *w = (const struct watched_taker *)t;

    captured(follower_of(w->live), info->max_txid, info->time_ms, inner->state(w->live),
             w->round == NULL, w->round);
    return w->to->begin(w->to, info, ret, err);
}

static enum hf_code watched_commit(struct hf_taker *t, struct hf_err *err)
{
    const struct watched_taker *w = (const struct watched_taker *)t;

    return w->to->commit(w->to, err);
}

static void watched_abort(struct hf_taker *t)
{
    const struct watched_taker *w = (const struct watched_taker *)t;

    w->to->abort(w->to);
}

static struct watched_taker watch(struct hf_taker *to, const struct hf_live *live,
                                  const struct hf_round *round)
{
    return (struct watched_taker){
        .base = {.begin = watched_begin, .commit = watched_commit, .abort = watched_abort},
        .to = to,
        .live = live,
        .round = round,
    };
}

/* It must not hold on to a log for long that takes what little space there is. */
static void judge_log(struct follower *f, const struct hf_round *round)
{
    const struct process *p = f->process;
    const struct sim *s = p->sim;
    const bool crowded = round->log_bytes > LOG_BYTES_SMALL && machine_has_little_space(p->machine);

    f->log_bytes = round->log_bytes;
    if (!crowded || p->once || p->stop || s->quiet)
        f->crowded_us = 0;
    else if (f->crowded_us == 0)
        f->crowded_us = s->now_us;
    else if (s->now_us - f->crowded_us > CROWDED_US_MAX)
        sim_fail(s, "%s: a log of %" PRIu64 " bytes is held on a disk with little space",
                 f->site->name, round->log_bytes);
}

static enum hf_code watched_round(struct hf_live *l, struct hf_round *round, struct hf_taker *t,
                                  struct hf_err *err)
{
    struct follower *f = follower_of(l);
    struct watched_taker w = watch(t, l, round);

    f->rounds++;
    f->log_bytes = 0;
    const enum hf_code rc = inner->round(l, round, &w.base, err);

    if (rc != HF_OK)
        return rc;
    round->log_bytes = round->log_bytes / SIM_PAGE_BYTES * COMMIT_BYTES;
    judge_log(f, round);
    return HF_OK;
}

static void watched_detach(struct hf_live *l)
{
    struct follower *f = follower_of(l);
    const struct process *p = f->process;

    if (f->log_bytes > LOG_BYTES_SMALL && f->crowded_us != 0)
        sim_count(watched, SIM_LET_GO);
    else if (f->log_bytes > LOG_BYTES_LARGE && !p->once && !p->stop)
        sim_count(watched, SIM_LET_GO_STORE);
    f->crowded_us = 0;
    f->log_bytes = 0;
    f->holds_image = false;
    inner->detach(l);
}

static enum hf_code watched_catch_up(struct hf_live *l, struct hf_taker *t, bool *ret_made,
                                     struct hf_err *err)
{
    struct watched_taker w = watch(t, l, NULL);

    return inner->catch_up(l, &w.base, ret_made, err);
}

static size_t images_held(const struct process *p)
{
    size_t held = 0;

    for (size_t i = 0; i < p->followers_count; i++)
        held += p->followers[i].holds_image;
    return held;
}

bool model_waits_for_slot(const struct follower *f)
{
    return f->live != NULL && inner->state(f->live)->txid == 0 &&
           images_held(f->process) == IMAGES_MAX;
}

/* It has made its first snapshot, whose image it holds until the store has it. */
static void note_image(struct follower *f)
{
    struct sim *s = f->process->sim;

    f->holds_image = true;
    if (images_held(f->process) > IMAGES_MAX)
        sim_fail(s, "%s holds the image of a first snapshot, and so do %d others", f->site->name,
                 IMAGES_MAX);
    if (f->waits_since_us != 0 && f->waits_since_us < s->now_us)
        sim_count(s, SIM_SLOT_WAIT);
    f->waits_since_us = 0;
}

static enum hf_code watched_give(struct hf_live *l, struct hf_taker *t, hf_stop_flag *stop,
                                 struct hf_err *err)
{
    const enum hf_code rc = inner->give_snapshot(l, t, stop, err);

    if (rc == HF_OK)
        follower_of(l)->holds_image = false;
    return rc;
}

static enum hf_code watched_snapshot(struct hf_live *l, struct hf_err *err)
{
    const struct hf_state before = *inner->state(l);
    const enum hf_code rc = inner->snapshot(l, err);

    if (rc == HF_OK) {
        captured(follower_of(l), 1, inner->state(l)->time_ms, &before, false, NULL);
        note_image(follower_of(l));
    } else if (inner->state(l)->txid != 0)
        sim_fail(watched, "a snapshot that failed left TXID %" PRIu64, inner->state(l)->txid);
    return rc;
}

/* What this life of the process captured behind a TXID is no more what it goes on from. */
static void forget_captures(const struct follower *f, uint64_t txid)
{
    struct model *m = model_of(f);

    for (size_t i = 0; i < m->captures_count; i++) {
        if (m->captures[i].life == f->process->life && m->captures[i].txid > txid)
            m->captures[i].forgotten = true;
    }
}

static enum hf_code watched_reset(struct hf_live *l, struct hf_err *err)
{
    forget_captures(follower_of(l), 0);
    return inner->reset(l, err);
}

/* A segment of the archive, not of the spool, takes the place of what the state lacks. */
static enum hf_code watched_adopt(struct hf_live *l, struct hf_source *segment, struct hf_err *err)
{
    if (segment->name[0] != '/')
        forget_captures(follower_of(l), inner->state(l)->txid);
    return inner->adopt(l, segment, err);
}

static void watched_free(struct hf_live *l)
{
    struct follower *f = follower_of(l);

    f->live = NULL;
    f->holds_image = false;
    inner->free(l);
}

/* The process that runs follows this database now. */
static void note_open(const char *db_path, const struct hf_live *l)
{
    struct process *p = watched->current;
    size_t i = 0;

    while (i < p->followers_count && strcmp(p->followers[i].site->db->path, db_path) != 0)
        i++;
    hf_assert(i < p->followers_count && p->followers[i].live == NULL);
    p->followers[i].live = l;
}

static enum hf_code watched_open(const struct hf_live_options *o, struct hf_live **ret,
                                 struct hf_err *err)
{
    static struct hf_live_ops ops;
    const enum hf_code rc = engine_mem()->live_open(o, ret, err);

    if (rc != HF_OK)
        return rc;
    inner = (*ret)->ops;
    ops = *inner;
    ops.round = watched_round;
    ops.snapshot = watched_snapshot;
    ops.give_snapshot = watched_give;
    ops.catch_up = watched_catch_up;
    ops.detach = watched_detach;
    ops.reset = watched_reset;
    ops.adopt = watched_adopt;
    ops.free = watched_free;
    (*ret)->ops = &ops;
    note_open(o->db_path, *ret);
    return HF_OK;
}

const struct hf_engine *model_engine(void)
{
    static struct hf_engine engine;

    engine = *engine_mem();
    engine.live_open = watched_open;
    return &engine;
}

/* ---- what is stored ------------------------------------------------------------------------- */

void model_key(const struct model *m, uint64_t txid, char ret[HF_KEY_MAX + 1])
{
    struct hf_archive archive = {.layout = HF_LAYOUT_HEX};
    const struct hf_segment segment = {
        .level = txid == 1 ? HF_LEVEL_SNAPSHOT : 0, .min_txid = txid, .max_txid = txid};

    (void)snprintf(archive.prefix, sizeof(archive.prefix), "%s", m->partition->prefix);
    hf_archive_segment_key(&archive, &segment, ret);
}

/* Somebody captured this state as this TXID, at this time. */
static bool was_captured(const struct model *m, uint64_t txid, const struct model_txid *t)
{
    for (size_t i = 0; i < m->captures_count; i++) {
        const struct model_capture *c = &m->captures[i];

        if (c->txid == txid && (c->state == t->state || c->or_state == t->state) &&
            c->time_ms == t->time_ms && c->catchup == t->catchup)
            return true;
    }
    return false;
}

/* Else the owner would be told that it is fenced by what was there before it. */
static void judge_epoch(const struct model *m)
{
    HF_AUTO_FREE char *key = hf_strfmt("%s/" HF_NAME_OWNER, m->partition->prefix);
    const struct store_mem_object *o = store_mem_find(m->sim->store, key);
    struct hf_owner owner = {0};
    struct hf_err ignored;

    if (o != NULL && hf_owner_parse(hf_buf_slice(&o->body), &owner, &ignored) == HF_OK &&
        owner.epoch < m->epoch)
        sim_fail(m->sim, "a segment has epoch %" PRIu64 ", and the archive's owner %" PRIu64,
                 m->epoch, owner.epoch);
}

static bool look_at_next(struct model *m)
{
    struct sim *s = m->sim;
    const uint64_t txid = m->stored + 1;
    char key[HF_KEY_MAX + 1];
    struct hf_seg_info info;
    struct hf_err err;

    model_key(m, txid, key);
    const struct store_mem_object *o = store_mem_find(s->store, key);

    if (o == NULL)
        return false;
    if (!mem_segment_is_whole(hf_buf_slice(&o->body)))
        sim_fail(s, "%s was put, and is no whole segment", key);
    if (engine_mem()->codec->info(hf_buf_slice(&o->body), &info, &err) != HF_OK)
        sim_fail(s, "%s: %s", key, err.text);
    mem_segment_apply(hf_buf_slice(&o->body), &m->image);
    const struct model_txid t = {
        .state = model_hash_pages(hf_buf_slice(&m->image)),
        .object = model_hash_pages(hf_buf_slice(&o->body)),
        .time_ms = info.time_ms,
        .catchup = info.catchup,
        .clamped = info.clamped,
    };

    m->epoch = info.epoch > m->epoch ? info.epoch : m->epoch;
    judge_epoch(m);
    if (!was_captured(m, txid, &t))
        sim_fail(s, "%s holds what nobody captured as TXID %" PRIu64, key, txid);
    m->txids = hf_realloc(m->txids, txid + 1, sizeof(*m->txids));
    m->txids[txid] = t;
    m->stored = txid;
    sim_count(s, SIM_SEGMENT);
    if (t.catchup)
        sim_count(s, SIM_CATCH_UP);
    return true;
}

void model_look(struct model *m)
{
    while (look_at_next(m))
        continue;
}

/* What this process captured as `txid`, and has not thrown away; NULL: nothing. */
static const struct model_capture *find_capture(const struct model *m, uint64_t life, uint64_t txid)
{
    for (size_t i = m->captures_count; i > 0; i--) {
        const struct model_capture *c = &m->captures[i - 1];

        if (c->life == life && c->txid == txid && !c->forgotten)
            return c;
    }
    return NULL;
}

void model_told(const struct follower *f, uint64_t txid, bool by_upload)
{
    struct model *m = model_of(f);
    struct sim *s = m->sim;
    const uint64_t life = f->process->life;

    model_look(m);
    sim_note(s, "%s: process %" PRIu64 " tells TXID %" PRIu64 " as archived%s", f->site->name, life,
             txid, by_upload ? "" : ", as it looked");
    if (txid > m->stored)
        sim_fail(s, "TXID %" PRIu64 " is told as archived, but the store ends with %" PRIu64, txid,
                 m->stored);
    for (uint64_t t = by_upload ? f->archived_txid + 1 : txid; t <= txid && t > 0; t++) {
        const struct model_capture *c = find_capture(m, life, t);

        if (c != NULL && c->state != m->txids[t].state && c->or_state != m->txids[t].state)
            sim_fail(s, "TXID %" PRIu64 " is told as archived, but another state is", t);
    }
    if (txid > m->told)
        m->told = txid;
}

void model_must_be_current(const struct follower *f)
{
    const struct model *m = model_of(f);
    const uint64_t txid = f->archived_txid;

    if (txid == 0 || m->txids[txid].state != model_now(f->site->db))
        sim_fail(m->sim,
                 "%s says that it is caught up, but TXID %" PRIu64 " is not its database of now",
                 f->site->name, txid);
}

void model_must_have_reached(const struct follower *f)
{
    const struct model *m = model_of(f);
    const struct database *db = f->site->db;
    const uint64_t txid = f->archived_txid;

    for (size_t i = f->must_reach; txid > 0 && i < db->states_count; i++) {
        if (db->states[i] == m->txids[txid].state)
            return;
    }
    sim_fail(m->sim,
             "%s: the archiver ended well with TXID %" PRIu64
             ", which is not state %zu of the database, nor a later one",
             f->site->name, txid, f->must_reach);
}

/* The text names something of this other partition. */
static bool names(const char *text, const struct site *other)
{
    return strstr(text, other->partition->url) != NULL ||
           strstr(text, other->partition->dbs[0].path) != NULL ||
           strstr(text, other->db->path) != NULL || strstr(text, other->state_dir) != NULL;
}

void model_failed(const struct follower *f, const struct hf_archiver_status *status)
{
    const struct process *p = f->process;
    const struct sim *s = p->sim;

    for (size_t i = 0; i < s->partitions_count; i++) {
        const struct site *other = &p->machine->sites[i];

        if (other != f->site && names(status->failure_text, other))
            sim_fail(s, "%s has failed with what is another's: %s", f->site->name,
                     status->failure_text);
    }
    if (f->met_harm || p->stop || p->once)
        return;
    if (status->failure != HF_FENCED || !f->met_rival)
        sim_fail(s, "%s has failed, and nothing was done to it: %s", f->site->name,
                 status->failure_text);
}

bool model_has_caught_up(const struct model *m, uint64_t lives)
{
    bool has = false;

    for (size_t i = 0; i < m->captures_count; i++)
        has = has || (m->captures[i].life > lives && m->captures[i].catchup);
    return has;
}

void model_check_objects(struct model *m)
{
    for (uint64_t txid = 1; txid <= m->stored; txid++) {
        char key[HF_KEY_MAX + 1];

        model_key(m, txid, key);
        const struct store_mem_object *o = store_mem_find(m->sim->store, key);

        if (o == NULL || model_hash_pages(hf_buf_slice(&o->body)) != m->txids[txid].object)
            sim_fail(m->sim, "%s was changed or removed", key);
    }
}

uint64_t model_txid_at(const struct model *m, int64_t time_ms)
{
    uint64_t txid = m->stored;

    while (txid > 0 && m->txids[txid].time_ms > time_ms)
        txid--;
    return txid;
}
