/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.c - slices: pin the live database, learn which TXID that is, move the reference there by
 * new segments only, compare, let go.
 */
#include <inttypes.h>
#include <stdio.h>

#include "archive/format.h"
#include "base/alloc.h"
#include "base/check.h"
#include "rebuilder/rebuilder.h"
#include "scrubber/catch_ups.h"
#include "scrubber/finding.h"
#include "scrubber/scrubber.h"

#define SLICE_MS_DEFAULT 10000
#define TRIES_MAX        50
#define TRY_WAIT_MS      20

struct scrub {
    const struct hf_scrub_options *o;
    struct hf_scan *scan;
    struct hf_replica *reference; /* once it is there it stays open, and moves on */
    char *digest_path;
    struct catch_ups catch_ups;
    bool told_seed_lost;
    struct hf_file *lock; /* of work_dir: one scrub at a time uses the reference in it */
    struct finding_context findings;
    struct hf_scrub_report *report;
};

static void scrub_done(struct scrub *s)
{
    if (s->reference != NULL)
        s->reference->ops->free(s->reference);
    if (s->scan != NULL)
        s->scan->ops->free(s->scan);
    catch_ups_done(&s->catch_ups);
    hf_file_close(s->lock);
    hf_free(s->digest_path);
}

/* Move the reference to `target`; a fault of the archive becomes a finding and HF_CANCELED. */
static enum hf_code advance(struct scrub *s, const struct hf_target *target, struct hf_err *err)
{
    const struct hf_rebuild_options o = {
        .engine = s->o->engine,
        .archive = s->o->archive,
        .fs = s->o->fs,
        .pool = s->o->pool,
        .target = *target,
        .digest_path = s->digest_path,
        .kept = &s->reference,
        .met = catch_ups_meet,
        .met_ctx = &s->catch_ups,
        .progress = s->o->progress,
        .stop = s->o->stop,
    };
    struct hf_replica *there = NULL;
    struct hf_rebuild_report r;

    if (s->reference != NULL && target->kind == HF_TARGET_TXID &&
        s->reference->ops->state(s->reference)->txid == target->txid)
        return HF_OK;
    enum hf_code rc = hf_rebuild(&o, &there, &r, err);

    if (rc == HF_OK)
        s->reference = there;
    if (rc == HF_OK && !s->catch_ups.known)
        rc = catch_ups_begin(&s->catch_ups, r.state.txid, err);
    if (rc == HF_DAMAGE || rc == HF_HOLE) {
        finding_about_archive(&s->findings, rc, err->text);
        return hf_err_recode(err, HF_CANCELED, "the reference cannot be built");
    }
    if (rc != HF_OK)
        return rc;
    if (r.seed_lost && !s->told_seed_lost)
        finding_about_archive(&s->findings, HF_DAMAGE, hf_format_lost_text);
    s->told_seed_lost = r.seed_lost;
    s->report->fetched_bytes += r.bytes_read;
    s->report->txid = r.state.txid;
    s->report->time_ms = r.state.time_ms;
    s->report->proved_by_roots = r.proved;
    s->findings.txid = r.state.txid;
    return HF_OK;
}

/* Pin, and learn the TXID that ends exactly there. HF_BUSY: no archiver can tell; not pinned. */
static enum hf_code pin_with_archiver(struct scrub *s, uint64_t *ret_txid, struct hf_err *err)
{
    if (s->o->boundary == NULL || s->findings.supposed)
        return hf_err_set(err, HF_BUSY, "there is no archiver to ask");
    for (int i = 0; i < TRIES_MAX; i++) {
        struct hf_position p;
        enum hf_code rc = s->scan->ops->pin(s->scan, &p, err);

        if (rc != HF_OK)
            return rc;
        rc = s->o->boundary->ask(s->o->boundary, &p, ret_txid, err);
        if (rc == HF_OK)
            return rc;
        s->scan->ops->unpin(s->scan);
        if (rc != HF_NOT_FOUND)
            return rc;
        hf_sleep_ms(s->o->clock, TRY_WAIT_MS);
    }
    return hf_err_set(err, HF_TRANSIENT,
                      "the archiver could not end a segment where the scan stood, in %d tries",
                      TRIES_MAX);
}

/* Where the archive's last segment ended in the log, by its header alone. HF_BUSY: the archive has
 * moved on. HF_NOT_FOUND: the header does not say. */
static enum hf_code end_by_header(struct scrub *s, struct hf_position *ret, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    HF_AUTO_PLAN *plan = NULL;
    HF_AUTO_BUF header = {0};
    enum hf_code rc = hf_plan_new(s->o->archive, s->o->engine->codec, &latest, &plan, err);

    if (rc != HF_OK)
        return rc;
    const struct hf_segment_ref *last = &plan->segments[plan->segments_count - 1];

    if (plan->txid != s->report->txid)
        return hf_err_set(err, HF_BUSY, "the archive moved on meanwhile; scrub again");
    rc = hf_store_get(s->o->archive->store, last->key, last->offset_bytes,
                      s->o->engine->codec->header_bytes, &header, NULL, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_recode(err, HF_BUSY, "the archive moved on meanwhile; scrub again");
    if (rc != HF_OK)
        return rc;
    return s->o->engine->segment_end(hf_buf_slice(&header), ret, err);
}

/* Compare what is pinned, from `*next` on. */
static enum hf_code compare(struct scrub *s, const struct hf_position *replica_end, uint64_t *next,
                            struct hf_err *err)
{
    const int64_t ms = s->o->slice_ms > 0 ? s->o->slice_ms : SLICE_MS_DEFAULT;

    return s->scan->ops->slice(s->scan, s->reference, replica_end, *next, ms, finding_about_page,
                               &s->findings, &s->report->pages, next, err);
}

/* From now on, if that is allowed, as if nothing had been committed behind the archive's head. */
static enum hf_code suppose(struct scrub *s, const char *why, struct hf_err *err)
{
    if (!s->o->may_suppose)
        return hf_err_set(err, HF_UNSUPPORTED, "%s, and no archiver is running to tell: start one",
                          why);
    s->findings.supposed = true;
    s->report->supposed = true;
    return HF_OK;
}

/*
 * The reference stands at the archive's head, and `*ret_end` is where in the log that is. Where
 * nothing tells, it is supposed that it is where the log ends now, if that is allowed.
 */
static enum hf_code go_to_head(struct scrub *s, struct hf_position *ret_end, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    enum hf_code rc = HF_OK;

    for (int i = 0; i < TRIES_MAX; i++) {
        rc = advance(s, &latest, err);
        if (rc != HF_OK || s->findings.supposed)
            return rc;
        rc = end_by_header(s, ret_end, err);
        if (rc == HF_NOT_FOUND)
            return suppose(s, "the archive's last segment does not say where in the log it ended",
                           err);
        if (rc != HF_BUSY)
            return rc;
        hf_sleep_ms(s->o->clock, TRY_WAIT_MS);
    }
    return rc;
}

/* A slice by what the archive has, as no archiver tells more. */
static enum hf_code compare_alone(struct scrub *s, uint64_t *next, struct hf_err *err)
{
    struct hf_position end;
    struct hf_position at;
    enum hf_code rc = go_to_head(s, &end, err);

    if (rc == HF_OK)
        rc = s->scan->ops->pin(s->scan, &at, err);
    if (rc != HF_OK)
        return rc;
    rc = compare(s, s->findings.supposed ? NULL : &end, next, err);
    if (rc == HF_UNSUPPORTED) {
        rc = suppose(s, "the log does not tell what came after the archive's last TXID", err);
        if (rc == HF_OK)
            rc = compare(s, NULL, next, err);
    }
    s->scan->ops->unpin(s->scan);
    return rc;
}

/* One slice. `*next` moves on; 0 when the end was reached. */
static enum hf_code run_slice(struct scrub *s, uint64_t *next, struct hf_err *err)
{
    struct hf_target target = {.kind = HF_TARGET_TXID};
    enum hf_code rc = pin_with_archiver(s, &target.txid, err);

    if (rc == HF_BUSY)
        return compare_alone(s, next, err);
    if (rc != HF_OK)
        return rc;
    rc = advance(s, &target, err);
    if (rc == HF_OK)
        rc = compare(s, NULL, next, err);
    s->scan->ops->unpin(s->scan);
    return rc;
}

/* All slices. The reference is moved on before each of them, too, so that little is left to be done
 * while the log is pinned. */
static enum hf_code run_slices(struct scrub *s, struct hf_err *err)
{
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    uint64_t next = 1;
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && next != 0) {
        if (next > 1)
            rc = advance(s, &latest, err);
        if (rc == HF_OK)
            rc = run_slice(s, &next, err);
        if (rc == HF_OK)
            s->report->slices_count++;
    }
    if (rc == HF_OK && s->report->pages.parked > 0)
        finding_about_rest(&s->findings);
    s->report->complete = rc == HF_OK && s->report->pages.parked == 0;
    return rc;
}

/* The TXID of the archive's chain whose root this is, newest first. */
static enum hf_code identify(void *ctx, struct hf_root root, uint64_t pages_count,
                             uint64_t *ret_txid, int64_t *ret_time_ms, struct hf_err *err)
{
    const struct scrub *s = ctx;
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};
    HF_AUTO_PLAN *plan = NULL;
    enum hf_code rc = hf_plan_new(s->o->archive, s->o->engine->codec, &latest, &plan, err);

    for (size_t i = rc == HF_OK ? plan->segments_count : 0; i > 0; i--) {
        const struct hf_segment_ref *ref = &plan->segments[i - 1];
        HF_AUTO_BUF header = {0};
        struct hf_seg_info info;

        rc = hf_store_get(s->o->archive->store, ref->key, ref->offset_bytes,
                          s->o->engine->codec->header_bytes, &header, NULL, err);
        if (rc == HF_OK)
            rc = s->o->engine->codec->info(hf_buf_slice(&header), &info, err);
        if (rc != HF_OK)
            return rc;
        if (info.has_root && hf_root_equal(info.root, root) && info.pages_count == pages_count) {
            *ret_txid = info.max_txid;
            *ret_time_ms = info.time_ms;
            return HF_OK;
        }
    }
    if (rc != HF_OK)
        return rc;
    return hf_err_set(
        err, HF_USAGE,
        "%s is none of the states that lead to the archive's last TXID: it was "
        "changed, or made from another archive. Make it again with `holdfast rebuild`",
        s->o->reference_path);
}

/* Begin with the reference that a rebuild made, in place of one in work_dir. */
static enum hf_code import_reference(struct scrub *s, struct hf_err *err)
{
    const struct hf_replica_options o = {
        .fs = s->o->fs,
        .pool = s->o->pool,
        .seed = s->o->archive->format.seed,
        .digest_path = s->digest_path,
        .stop = s->o->stop,
    };

    if (s->o->reference_path == NULL)
        return HF_OK;
    const enum hf_code rc = s->o->engine->replica_import(&o, s->o->reference_path,
                                                         s->o->archive->format.page_bytes, identify,
                                                         s, &s->reference, err);

    if (rc != HF_OK)
        return rc;
    return catch_ups_begin(&s->catch_ups, s->reference->ops->state(s->reference)->txid, err);
}

static enum hf_code open_scan(struct scrub *s, struct hf_err *err)
{
    const struct hf_scan_options o = {
        .fs = s->o->fs,
        .clock = s->o->clock,
        .db_path = s->o->db_path,
        .seed = s->o->archive->format.seed,
        .bytes_per_s_max = s->o->bytes_per_s_max,
        .stop = s->o->stop,
    };
    const enum hf_code rc = s->o->engine->scan_open(&o, &s->scan, err);

    if (rc == HF_OK)
        s->report->from_device = s->scan->ops->reads_device(s->scan, &s->report->weaker_why);
    return rc;
}

static enum hf_code lock_work_dir(const struct hf_scrub_options *o, struct hf_file **ret,
                                  struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/lock", o->work_dir);
    enum hf_code rc = hf_fs_mkdirs(o->fs, o->work_dir, 0700, err);

    if (rc == HF_OK)
        rc = hf_fs_open(o->fs, path, HF_OPEN_CREATE, 0600, ret, err);
    if (rc == HF_OK)
        rc = hf_file_lock(*ret, false, err);
    if (rc == HF_BUSY)
        return hf_err_set(err, HF_BUSY, "another scrub of %s is at work (it holds %s)", o->db_path,
                          path);
    return rc;
}

enum hf_code hf_scrub(const struct hf_scrub_options *o, hf_finding_fn *fn, void *ctx,
                      struct hf_scrub_report *report, struct hf_err *err)
{
    HF_CLEANUP(scrub_done)
    struct scrub s = {
        .o = o,
        .report = report,
        .digest_path = hf_strfmt("%s/reference", o->work_dir),
        .findings = {.o = o, .fn = fn, .ctx = ctx, .report = report},
    };
    const struct hf_target latest = {.kind = HF_TARGET_LATEST};

    *report = (struct hf_scrub_report){0};
    enum hf_code rc = lock_work_dir(o, &s.lock, err);

    if (rc != HF_OK)
        return rc;
    catch_ups_init(&s.catch_ups, o->fs, o->work_dir);
    rc = import_reference(&s, err);
    if (rc == HF_OK)
        rc = advance(&s, &latest, err); /* the bulk of it, before anything is held */
    if (rc == HF_OK)
        rc = open_scan(&s, err);
    if (rc == HF_OK)
        rc = run_slices(&s, err);
    finding_explain(&s.findings); /* what was met stands, however the rest went */
    finding_context_done(&s.findings);
    catch_ups_report(&s.catch_ups, report);
    /* A fault of the archive was told as a finding: the scrub has its verdict. */
    if (rc == HF_CANCELED && report->findings_count > 0 && (o->stop == NULL || !*o->stop))
        return HF_OK;
    return rc;
}

void hf_scrub_report_done(struct hf_scrub_report *r)
{
    hf_free(r->catch_ups);
    r->catch_ups = NULL;
    r->catch_ups_count = 0;
}
