/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - see tools.h. What fails must have met a fault, and never calls the archive damaged. */
#include "sim/tools.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catchups.h"
#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "restore/restore.h"
#include "scrubber/scrubber.h"
#include "scrubber/verify.h"
#include "sim/harm.h"
#include "sim/line.h"
#include "sim/model.h"

#define OUT_DIR        "/restore"
#define OUT_PATH       OUT_DIR "/out"
#define DIES_PER_MILLE 40
#define CALLS_MAX      150
#define ASK_US         (20 * SECOND_US)
#define ATTEND_US      (120 * SECOND_US)

/* A tool at work. */
struct tool {
    struct process p;
    struct site *site;
    struct hf_store *store;
    struct hf_archive archive;
    uint64_t hindrances; /* before it began */
    uint64_t stored;     /* the archive's last TXID then */
    const char *what;
    bool cut; /* the power failed meanwhile, of which the tool need not know */
};

static enum hf_code begin(struct tool *t, struct site *site, const char *what, struct hf_err *err)
{
    struct model *model = site->partition->model;
    struct machine *m = site->machine;
    struct sim *s = m->sim;

    hf_assert(!m->cut);
    model_look(model);
    t->site = site;
    t->hindrances = s->hindrances;
    t->stored = model->stored;
    t->what = what;
    process_init(&t->p, m);
    t->store = line_new(&t->p, site->partition);
    m->tools++;
    if (!s->quiet && sim_chance(s, DIES_PER_MILLE)) {
        sim_count(s, SIM_KILL_TOOL);
        process_kill(&t->p, 1 + sim_below(s, CALLS_MAX), sim_chance(s, 200));
    }
    return hf_archive_open(t->store, site->partition->prefix, &t->archive, err);
}

static void end(struct tool *t)
{
    struct sim *s = t->p.sim;

    t->p.machine->tools--;
    t->cut = t->p.machine->cut;
    hf_store_free(t->store);
    process_done(&t->p);
    if (s->depth == 0)
        machines_reap(s);
    model_look(t->site->partition->model);
}

static bool met_fault(const struct tool *t)
{
    return t->p.dead || t->p.sim->hindrances > t->hindrances;
}

/* A failure has to have a reason, and is none of those that speak of the archive. */
static void judge_failure(const struct tool *t, enum hf_code rc, const struct hf_err *err)
{
    const struct sim *s = t->p.sim;

    if (rc == HF_DAMAGE || rc == HF_HOLE || rc == HF_NOT_FOUND || rc == HF_USAGE || rc == HF_FENCED)
        sim_fail(s, "%s: %s: %s", t->what, hf_code_text(rc), err->text);
    if (!met_fault(t) && !(rc == HF_FULL && machine_has_little_space(t->p.machine)))
        sim_fail(s, "%s failed without a fault: %s: %s", t->what, hf_code_text(rc), err->text);
}

/* ---- restore -------------------------------------------------------------------------------- */

/* The TXIDs that a restore to `target` may lead to, when the archive ended with `stored`. */
static uint64_t wanted_txid(const struct model *m, const struct hf_target *target, uint64_t stored)
{
    uint64_t txid = stored;

    if (target->kind == HF_TARGET_TXID)
        return target->txid <= stored ? target->txid : 0;
    while (target->kind == HF_TARGET_TIME && txid > 0 && m->txids[txid].time_ms > target->time_ms)
        txid--;
    return txid;
}

/* What lies at OUT_PATH is the state of a TXID from..to; or nothing, if that is allowed. */
static void check_out(const struct site *site, uint64_t from, uint64_t to, bool may_lack)
{
    const struct machine *m = site->machine;
    const struct sim *s = m->sim;
    struct fs_mem_view v;
    HF_AUTO_BUF pages = {0};
    struct hf_err err;

    fs_mem_view_init(&v, m->disk);
    const enum hf_code rc = hf_fs_read_all(&v.base, OUT_PATH, SIZE_MAX, &pages, &err);

    if (rc == HF_NOT_FOUND && may_lack)
        return;
    if (rc != HF_OK)
        sim_fail(s, "what was restored: %s", err.text);
    const uint64_t state = model_hash_pages(hf_buf_slice(&pages));

    for (uint64_t txid = from; txid <= to; txid++) {
        if (site->partition->model->txids[txid].state == state)
            return;
    }
    sim_fail(s, "what was restored is not the state of TXID %" PRIu64 " to %" PRIu64, from, to);
}

static void check_doubts(const struct model *m, const struct hf_target *target,
                         const struct hf_rebuild_report *report)
{
    struct sim *s = m->sim;
    const uint64_t txid = report->state.txid;
    const struct model_txid *t = &m->txids[txid];
    const struct model_txid *next = txid < m->stored ? &m->txids[txid + 1] : NULL;

    if (target->kind != HF_TARGET_TIME || next == NULL)
        return;
    const bool gap = next->catchup && target->time_ms > t->time_ms;
    const bool back = next->clamped || (txid + 1 < m->stored && m->txids[txid + 2].clamped);

    if (gap != (report->gap.to_txid == txid + 1))
        sim_fail(s, "a restore between TXID %" PRIu64 " and the next tells of the gap to %" PRIu64,
                 txid, report->gap.to_txid);
    if (back != (report->set_back.txid == txid + 1))
        sim_fail(s, "a restore at TXID %" PRIu64 " tells of a clock set back at %" PRIu64, txid,
                 report->set_back.txid);
    if (gap)
        sim_count(s, SIM_RESTORE_GAP);
    if (back)
        sim_count(s, SIM_RESTORE_SET_BACK);
}

static void judge_restore(struct tool *t, const struct hf_target *target, enum hf_code rc,
                          const struct hf_rebuild_report *report, const struct hf_err *err)
{
    struct sim *s = t->p.sim;
    const struct model *m = t->site->partition->model;
    const uint64_t from = wanted_txid(m, target, t->stored);
    const uint64_t to = wanted_txid(m, target, m->stored);
    const bool after_all = target->kind == HF_TARGET_TIME && target->time_ms > target->now_ms &&
                           (m->stored == 0 || target->time_ms > m->txids[t->stored].time_ms);

    sim_note(s, "%s: %s, TXID %" PRIu64 " (%" PRIu64 " to %" PRIu64 ")", t->what, hf_code_text(rc),
             rc == HF_OK ? report->state.txid : 0, from, to);
    if (rc == HF_OK && (report->state.txid < from || report->state.txid > to))
        sim_fail(s, "%s led to TXID %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, t->what,
                 report->state.txid, from, to);
    if (rc == HF_OK) {
        check_out(t->site, report->state.txid, report->state.txid, false);
        if (t->stored == m->stored)
            check_doubts(m, target, report);
        return;
    }
    check_out(t->site, from, to, rc != HF_UNCERTAIN || t->p.dead || t->cut);
    if (from > 0 && !after_all)
        judge_failure(t, rc, err);
}

static enum hf_code run_restore(struct tool *t, const struct hf_target *target,
                                const char *out_path, struct hf_rebuild_report *report,
                                struct hf_err *err)
{
    const struct hf_restore_options o = {
        .engine = model_engine(),
        .archive = &t->archive,
        .fs = &t->p.fs.base,
        .rand = &t->p.rand,
        .pool = t->p.sim->pool,
        .target = *target,
        .out_path = out_path,
    };

    return hf_restore(&o, report, err);
}

void tools_restore(struct site *site, const struct hf_target *target)
{
    static const char *const words[] = {
        [HF_TARGET_LATEST] = "a restore of the latest TXID",
        [HF_TARGET_TXID] = "a restore of a TXID",
        [HF_TARGET_TIME] = "a restore of a time",
    };
    struct tool t;
    struct hf_rebuild_report report = {0};
    struct hf_err err;
    enum hf_code rc = begin(&t, site, words[target->kind], &err);

    if (rc == HF_OK && !t.archive.has_format)
        rc = hf_err_set(&err, HF_NOT_FOUND, "there is no archive yet");
    if (rc == HF_OK)
        rc = hf_fs_mkdirs(&t.p.fs.base, OUT_DIR, 0700, &err);
    if (rc == HF_OK)
        rc = run_restore(&t, target, OUT_PATH, &report, &err);
    end(&t);
    judge_restore(&t, target, rc, &report, &err);
    fs_mem_remove(site->machine->disk, OUT_DIR);
}

/* ---- rebuild and verify --------------------------------------------------------------------- */

void tools_rebuild(struct site *site)
{
    struct sim *s = site->machine->sim;
    struct tool t;
    struct hf_err err;
    enum hf_code rc = begin(&t, site, "a rebuild", &err);
    struct hf_replica *kept = NULL;

    if (rc == HF_OK)
        rc = hf_fs_mkdirs(&t.p.fs.base, "/rebuild", 0700, &err);
    for (uint64_t txid = 1; rc == HF_OK && txid <= t.stored; txid++) {
        const struct hf_rebuild_options o = {
            .engine = model_engine(),
            .archive = &t.archive,
            .fs = &t.p.fs.base,
            .pool = s->pool,
            .target = {.kind = HF_TARGET_TXID, .txid = txid},
            .digest_path = "/rebuild/digest",
            .kept = &kept,
        };
        struct hf_replica *r = NULL;
        struct hf_rebuild_report report;

        rc = hf_rebuild(&o, &r, &report, &err);
        if (kept != NULL)
            kept->ops->free(kept);
        kept = r;
        if (rc == HF_OK && report.state.txid != txid)
            sim_fail(s, "a rebuild of TXID %" PRIu64 " led to %" PRIu64, txid, report.state.txid);
        if (rc == HF_OK && txid > 1 && report.segments_read != 1)
            sim_fail(s, "from TXID %" PRIu64 " to the next %zu segments were read", txid - 1,
                     report.segments_read);
        if (rc == HF_OK)
            sim_count(s, SIM_REBUILD);
    }
    if (kept != NULL)
        kept->ops->free(kept);
    end(&t);
    if (rc != HF_OK && t.stored > 0)
        judge_failure(&t, rc, &err);
    fs_mem_remove(site->machine->disk, "/rebuild");
}

static void count_finding(void *ctx, const struct hf_verify_finding *finding)
{
    struct sim *s = ctx;

    sim_note(s, "  verify: %s", finding->text);
}

static enum hf_code run_verify(struct tool *t, struct hf_verify_report *report, struct hf_err *err)
{
    const struct hf_verify_options o = {
        .engine = model_engine(),
        .archive = &t->archive,
        .fs = &t->p.fs.base,
        .pool = t->p.sim->pool,
        .work_dir = "/verify",
    };
    const enum hf_code rc = hf_fs_mkdirs(o.fs, o.work_dir, 0700, err);

    return rc != HF_OK ? rc : hf_verify(&o, count_finding, t->p.sim, report, err);
}

void tools_verify(struct site *site)
{
    const struct model *model = site->partition->model;
    struct tool t;
    struct hf_verify_report report = {0};
    struct hf_err err;
    enum hf_code rc = begin(&t, site, "a verify", &err);

    if (rc == HF_OK)
        rc = run_verify(&t, &report, &err);
    end(&t);
    fs_mem_remove(site->machine->disk, "/verify");
    if (t.stored == 0)
        return;
    if (rc != HF_OK) {
        judge_failure(&t, rc, &err);
        return;
    }
    if (report.findings_count > 0 || report.first_txid != 1 || report.last_txid < t.stored ||
        report.last_txid > model->stored)
        sim_fail(model->sim,
                 "verify proved TXID %" PRIu64 " to %" PRIu64 " with %" PRIu64
                 " findings, expected 1 to %" PRIu64,
                 report.first_txid, report.last_txid, report.findings_count, t.stored);
}

/* ---- scrub ---------------------------------------------------------------------------------- */

struct asker {
    struct hf_boundary boundary; /* first, so that the pointers convert */
    struct site *site;
};

static bool is_settled(void *ctx)
{
    const struct site *site = ctx;
    const struct follower *f = site_follower(site);

    return !site_is_alive(site) || !hf_archiver_asks_still(f->process->archiver, follower_index(f));
}

static enum hf_code ask(struct hf_boundary *b, const struct hf_position *p, uint64_t *ret_txid,
                        struct hf_err *err)
{
    struct site *site = ((struct asker *)b)->site;
    struct model *model = site->partition->model;
    const struct follower *f = site_follower(site);

    if (!site_is_alive(site))
        return hf_err_set(err, HF_BUSY, "nobody answers");
    model->asked = *p;
    model->asked_state = model_now(site->db);
    hf_archiver_question(f->process->archiver, follower_index(f), p);
    sim_pass(model->sim, ASK_US, is_settled, site);
    if (f->process->dead)
        return hf_err_set(err, HF_BUSY, "nobody answers any more");
    return hf_archiver_answer(f->process->archiver, follower_index(f), ret_txid, err);
}

struct findings {
    struct sim *sim;
    uint64_t page; /* that may be told */
    bool others;   /* and so may others: commits that nobody followed */
    bool found;    /* it was */
};

static void judge_finding(void *ctx, const struct hf_finding *f)
{
    struct findings *all = ctx;

    sim_note(all->sim, "  scrub: %s: %s", hf_finding_kind_text(f->kind), f->text);
    if (f->kind == HF_FINDING_LIMIT)
        return;
    if (f->page == 0 || (f->page != all->page && !all->others))
        sim_fail(all->sim, "a scrub told of page %" PRIu64 ": %s: %s", f->page,
                 hf_finding_kind_text(f->kind), f->text);
    all->found = all->found || f->page == all->page;
}

static enum hf_code run_scrub(struct tool *t, struct findings *findings,
                              struct hf_scrub_report *report, struct hf_err *err)
{
    struct asker asker = {.boundary = {.ask = ask}, .site = t->site};
    HF_AUTO_FREE char *work_dir = hf_strfmt("%s/scrub", t->site->state_dir);
    const struct hf_scrub_options o = {
        .engine = model_engine(),
        .archive = &t->archive,
        .fs = &t->p.fs.base,
        .clock = &t->p.machine->clock,
        .pool = t->p.sim->pool,
        .db_path = t->site->db->path,
        .work_dir = work_dir,
        .boundary = &asker.boundary,
        .may_suppose = findings->others,
    };

    return hf_scrub(&o, judge_finding, findings, report, err);
}

static bool scrub(struct site *site, uint64_t rotted_page, bool supposes)
{
    struct sim *s = site->machine->sim;
    struct findings findings = {.sim = s, .page = rotted_page, .others = supposes};
    struct hf_scrub_report report = {0};
    struct tool t;
    struct hf_err err;

    sim_count(s, site_is_alive(site) ? SIM_SCRUB : SIM_SCRUB_ALONE);
    enum hf_code rc = begin(&t, site, "a scrub", &err);

    if (rc == HF_OK && !t.archive.has_format)
        rc = hf_err_set(&err, HF_NOT_FOUND, "there is no archive yet");
    if (rc == HF_OK)
        rc = run_scrub(&t, &findings, &report, &err);
    hf_scrub_report_done(&report);
    end(&t);
    sim_note(s, "a scrub: %s, %scomplete, %" PRIu64 " findings", hf_code_text(rc),
             report.complete ? "" : "not ", report.findings_count);
    sim_say(s, rc != HF_OK ? err.text : "");
    if (rc != HF_OK) {
        sim_count(s, SIM_SCRUB_CANNOT);
        if (rc != HF_UNSUPPORTED && rc != HF_TRANSIENT && rc != HF_BUSY && t.stored > 0)
            judge_failure(&t, rc, &err);
        return false;
    }
    if (report.complete && rotted_page != 0 && !findings.found)
        sim_fail(s, "a scrub did not find that page %" PRIu64 " has rotted", rotted_page);
    if (findings.found)
        sim_count(s, SIM_PAGE_ROTTED);
    else
        sim_count(s, report.complete ? SIM_SCRUB_CLEAN : SIM_SCRUB_LIMIT);
    return report.complete;
}

/* ---- damage --------------------------------------------------------------------------------- */

/* The object that is not what it should be is named, or the TXID that it held. */
static bool names(const struct hf_err *err, const struct harm *h)
{
    HF_AUTO_FREE char *txid = hf_strfmt("TXID %" PRIu64, h->txid);

    return strstr(err->text, h->part == HARM_SEGMENT && h->removes ? txid : h->name) != NULL;
}

static void judge_verify(const struct tool *t, const struct harm *h, enum hf_code rc,
                         const struct hf_verify_report *report, const struct hf_err *err)
{
    const struct sim *s = t->p.sim;
    /* Without the only segment there is no archive to be verified; that nobody ever claimed it may
     * be so. */
    const bool is_none = h->part == HARM_SEGMENT && h->removes && t->stored == 1;
    const bool may_be = h->part == HARM_OWNER && h->removes;

    if (rc != HF_OK && !(rc == HF_NOT_FOUND && is_none) && !(rc == HF_DAMAGE && names(err, h)))
        sim_fail(s, "verify while %s is harmed: %s", h->key, err->text);
    if (rc == HF_OK && report->findings_count == 0 && !may_be)
        sim_fail(s, "verify did not find that %s is %s", h->key, h->removes ? "gone" : "damaged");
}

/* It fails and says why, or gives what it should all the same. */
static void judge_harmed_restore(const struct tool *t, const struct harm *h, enum hf_code rc,
                                 const struct hf_err *err)
{
    struct sim *s = t->p.sim;

    if (rc == HF_OK && h->part == HARM_SEGMENT)
        sim_fail(s, "a restore of the latest TXID was well though %s is %s", h->key,
                 h->removes ? "gone" : "damaged");
    if (rc == HF_OK) {
        check_out(t->site, t->stored, t->stored, false);
        return;
    }
    /* The size that a damaged header tells may be too much for the disk. */
    const bool is_huge = rc == HF_FULL && h->part == HARM_SEGMENT && !h->removes;

    if (rc != HF_DAMAGE && rc != HF_HOLE && rc != HF_NOT_FOUND && !is_huge)
        sim_fail(s, "a restore while %s is harmed: %s", h->key, err->text);
    if (h->part == HARM_OWNER && h->removes)
        sim_fail(s, "a restore without %s: %s", h->key, err->text);
    if (h->part == HARM_FORMAT && h->removes)
        sim_fail(s, "a restore without %s: %s", h->key, err->text);
    if (h->part == HARM_SEGMENT && h->removes && t->stored > 1 && h->txid > 1 &&
        (rc != HF_HOLE || !names(err, h)))
        sim_fail(s, "a hole at TXID %" PRIu64 " is told as %s: %s", h->txid, hf_code_text(rc),
                 err->text);
    if (h->part != HARM_SEGMENT && !names(err, h))
        sim_fail(s, "that %s is damaged is told as %s", h->key, err->text);
}

void tools_find_harm(struct site *site, const struct harm *h)
{
    const struct sim *s = site->machine->sim;
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    struct hf_rebuild_report ignored;
    struct hf_verify_report report = {0};
    struct tool t;
    struct hf_err err;
    enum hf_code rc = begin(&t, site, "a look at what is harmed", &err);

    if (rc != HF_OK) {
        if (h->part != HARM_FORMAT || h->removes || !names(&err, h))
            sim_fail(s, "%s is harmed, and the archive does not open: %s", h->key, err.text);
        end(&t);
        return;
    }
    rc = run_verify(&t, &report, &err);
    judge_verify(&t, h, rc, &report, &err);
    rc = hf_fs_mkdirs(&t.p.fs.base, OUT_DIR, 0700, &err);
    if (rc == HF_OK)
        rc = run_restore(&t, &latest, OUT_PATH, &ignored, &err);
    judge_harmed_restore(&t, h, rc, &err);
    end(&t);
    fs_mem_remove(site->machine->disk, "/verify");
    fs_mem_remove(site->machine->disk, OUT_DIR);
}

bool tools_scrub(struct site *site, uint64_t rotted_page)
{
    return scrub(site, rotted_page, false);
}

static bool has_ended(void *ctx)
{
    return !site_is_alive(ctx);
}

static bool has_begun(void *ctx)
{
    const struct site *site = ctx;

    return !site_is_alive(site) || site_follower(site)->rounds > 0;
}

/* How the pass ended; HF_OK or HF_CONFLICT, or it met a lease. */
static enum hf_code archive_first(struct site *site)
{
    struct sim *s = site->machine->sim;
    struct hf_archiver_status status;

    site_start(site, true, true);
    sim_pass(s, ATTEND_US, has_ended, site);
    follower_status(site_follower(site), &status);
    if (site_is_alive(site) || (status.failure != HF_OK && status.failure != HF_CONFLICT &&
                                !(status.failure == HF_BUSY && s->leases)))
        sim_fail(s, "what the log proves is not archived before a scrub: %s", status.failure_text);
    machines_reap(s);
    return status.failure;
}

void tools_scrub_unattended(struct site *site, uint64_t rotted_page)
{
    const struct model *model = site->partition->model;
    struct sim *s = site->machine->sim;
    const uint64_t lives = s->lives;
    const enum hf_code rc = archive_first(site);

    if (rc == HF_BUSY)
        return;
    if (rc == HF_OK) {
        site_start(site, false, true);
        sim_pass(s, ATTEND_US, has_begun, site);
    }
    model_look(site->partition->model);
    sim_count(s, rc == HF_OK ? SIM_SCRUB_FIRST : SIM_SCRUB_SUPPOSED);
    if (!scrub(site, rotted_page, rc == HF_CONFLICT))
        sim_fail(s, "a scrub with an archiver of its own does not compare everything");
    if (machine_is_alive(site->machine))
        machine_stop(site->machine);
    sim_pass(s, ATTEND_US, has_ended, site);
    machines_reap(s);
    if (model_has_caught_up(model, lives))
        sim_fail(s, "a scrub archived what the log does not prove");
}

/* ---- what is listed ------------------------------------------------------------------------- */

void tools_list_catch_ups(struct site *site)
{
    const struct model *model = site->partition->model;
    const struct sim *s = model->sim;
    struct tool t;
    HF_AUTO_SEG_LIST all = {0};
    HF_AUTO_GAPS gaps = {0};
    struct hf_err err;
    size_t at = 0;

    hf_must(begin(&t, site, "a list of catch-ups", &err), &err);
    hf_must(hf_listing_all(&t.archive, &all, &err), &err);
    hf_must(hf_catchups_list(&t.archive, model_engine()->codec, &all, SIZE_MAX, &gaps, &err), &err);
    end(&t);
    for (uint64_t txid = 2; txid <= model->stored; txid++) {
        const struct model_txid *it = &model->txids[txid];

        if (!it->catchup)
            continue;
        if (at == gaps.count || gaps.items[at].to_txid != txid)
            sim_fail(s, "the catch-up of TXID %" PRIu64 " is not listed", txid);
        if (gaps.items[at].to_ms != it->time_ms || gaps.items[at].from_ms != it[-1].time_ms)
            sim_fail(s,
                     "the catch-up of TXID %" PRIu64
                     " is listed from %lld to %lld ms, expected "
                     "%lld to %lld",
                     txid, (long long)gaps.items[at].from_ms, (long long)gaps.items[at].to_ms,
                     (long long)it[-1].time_ms, (long long)it->time_ms);
        at++;
    }
    if (at != gaps.count)
        sim_fail(s, "more catch-ups are listed than there are");
}
