/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_scrub.c - holdfast scrub: live databases against their archives.
 *
 * What was committed last must be in the archive before it can be compared, and a segment must end
 * where the scan stands. A running archiver sees to both. If none runs, what is committed is
 * archived here first, so that failures are told well, and then an attendant answers.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/archiving.h"
#include "cli/attendant.h"
#include "cli/bar.h"
#include "cli/proof.h"
#include "cli/text.h"
#include "scrubber/scrubber.h"

#define SPANS_TOLD_MAX 8

static const struct hf_option options[] = {
    {
        .name = "reference",
        .argument = "FILE",
        .kind = HF_OPTION_TEXT,
        .offset = offsetof(struct hf_args, reference),
        .help = "Begin with this file, which 'holdfast rebuild' made, and fetch only what was "
                "archived since",
    },
    {
        .name = "no-archive",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, no_archive),
        .help = "If no archiver runs, do not archive first: needs to read the store only, and "
                "leaves out what was committed since, with exit status 1",
    },
    {
        .name = "rate",
        .argument = "RATE",
        .kind = HF_OPTION_RATE,
        .offset = offsetof(struct hf_args, rate),
        .help = "Read at most this much of the live database, as in 50MiB/s (default: no limit, "
                "or what the configuration says)",
    },
    {
        .name = "repair",
        .kind = HF_OPTION_FLAG,
        .offset = offsetof(struct hf_args, repair),
        .help = "Not available yet: refused",
    },
    HF_OPTION_STATE,
};

/* Asks the archiver that runs over one folder of local state. */
struct boundary {
    struct hf_boundary base; /* first, so that the pointers convert */
    const char *state_dir;   /* borrowed */
};

static enum hf_code ask(struct hf_boundary *b, const struct hf_position *p, uint64_t *ret_txid,
                        struct hf_err *err)
{
    return hf_archiver_ask_boundary(((struct boundary *)b)->state_dir, p, ret_txid, err);
}

/* Where findings go. */
struct teller {
    struct hf_session *s;
    const struct hf_place *place;
    json_t *object;
};

static void print_finding(const struct teller *t, const struct hf_finding *f)
{
    const char *kind = hf_finding_kind_text(f->kind);
    const size_t kind_len = strlen(kind);
    const bool named = strncmp(f->text, kind, kind_len) == 0 && f->text[kind_len] == ':';
    HF_AUTO_BUF where = {0};

    if (f->page != 0)
        hf_buf_printf(&where, ": page %" PRIu64, f->page);
    if (f->owner != NULL && f->owner[0] != '\0')
        hf_buf_printf(&where, " of %s", f->owner);
    hf_out_finding(t->s->out, "%s: %s%s%s%s", t->place->name, named ? "" : kind, hf_buf_str(&where),
                   named ? "" : ": ", f->text);
}

static void tell_finding(void *ctx, const struct hf_finding *f)
{
    const struct teller *t = ctx;
    json_t *finding = hf_out_add(t->object, "findings");

    hf_out_set_text(finding, "kind", hf_finding_kind_text(f->kind));
    if (f->page != 0)
        hf_out_set_number(finding, "page", f->page);
    hf_out_set_number(finding, "txid", f->txid);
    if (f->stale_txid != 0)
        hf_out_set_number(finding, "stale_txid", f->stale_txid);
    hf_out_set_text(finding, "owner", f->owner);
    hf_out_set_text(finding, "text", f->text);
    print_finding(t, f);
}

/*
 * What the log has is in the archive, made by an archiver that runs here, once. HF_CONFLICT: the
 * log does not go on from where the archive ends. Nothing else is archived: it could be the damage
 * that is looked for.
 */
static enum hf_code archive_first(struct hf_session *s, const struct hf_places *places,
                                  const struct hf_place *place, struct hf_err *err)
{
    struct hf_archiver_status status = {0};
    const struct hf_archiving archiving = {
        .places = places,
        .first = (size_t)(place - places->items),
        .count = 1,
        .once = true,
        .never_catch_up = true,
    };
    const enum hf_code rc = hf_archiving_run(s, &archiving, &status, err);

    if (rc != HF_OK && rc != HF_CONFLICT)
        return hf_err_wrap(err, "archive before the scrub (--no-archive leaves it out)");
    return rc;
}

/* Everything that was compared is equal. */
static void print_equal(const struct hf_session *s, const struct hf_place *place,
                        const struct hf_scrub_report *r)
{
    char pages[HF_TEXT_MAX];
    char txid[HF_TEXT_MAX];
    char when[HF_TIME_TEXT_MAX];
    HF_AUTO_BUF how = {0};

    hf_text_count(r->pages.equal, pages);
    hf_text_count(r->txid, txid);
    hf_time_text(r->time_ms, when);
    if (r->from_device)
        hf_buf_printf(&how, "from the device");
    else
        hf_buf_printf(&how, "but not from the device: %s",
                      r->weaker_why != NULL ? r->weaker_why : "unknown why");
    hf_out_line(s->out, "%s: %s: %s pages equal at TXID %s (%s), %s%s", place->name,
                r->complete ? "clean" : "incomplete", pages, txid, when, hf_buf_str(&how),
                r->proved_by_roots ? "" : "; the reference is proved by checksums only");
}

/* "TXID 2 to 5, 9": spans that touch are one; behind the first few only how many there are. */
static void put_spans(const struct hf_scrub_report *r, struct hf_buf *ret)
{
    size_t told = 0;

    for (size_t i = 0; i < r->catch_ups_count; told++) {
        const uint64_t from = r->catch_ups[i].min_txid;
        uint64_t to = r->catch_ups[i].max_txid;

        for (i++; i < r->catch_ups_count && r->catch_ups[i].min_txid == to + 1; i++)
            to = r->catch_ups[i].max_txid;
        if (told < SPANS_TOLD_MAX)
            hf_buf_printf(ret, "%s%" PRIu64, told == 0 ? "TXID " : ", ", from);
        if (told < SPANS_TOLD_MAX && to > from)
            hf_buf_printf(ret, " to %" PRIu64, to);
    }
    if (told > SPANS_TOLD_MAX)
        hf_buf_printf(ret, " and %zu more", told - SPANS_TOLD_MAX);
}

/* No finding: nothing speaks against these pages. But the log does not prove them, either. */
static void tell_catch_ups(struct hf_session *s, const struct hf_place *place, json_t *object,
                           const struct hf_scrub_report *r)
{
    HF_AUTO_BUF spans = {0};

    (void)json_object_set_new(object, "catch_ups", json_array());
    hf_out_set_number(object, "catch_ups_since_txid", r->catch_ups_since_txid);
    for (size_t i = 0; i < r->catch_ups_count; i++) {
        json_t *item = hf_out_add(object, "catch_ups");

        hf_out_set_number(item, "min_txid", r->catch_ups[i].min_txid);
        hf_out_set_number(item, "max_txid", r->catch_ups[i].max_txid);
    }
    put_spans(r, &spans);
    if (r->catch_ups_count > 0)
        hf_out_line(s->out,
                    "%s: %s came as catch-ups: what the disk held at that time, so damage before "
                    "it would not show",
                    place->name, hf_buf_str(&spans));
}

static void set_report(json_t *object, const struct hf_scrub_report *r)
{
    if (r->txid != 0) { /* else nothing was compared */
        hf_out_set_number(object, "txid", r->txid);
        hf_out_set_time(object, "time", r->time_ms);
    }
    hf_out_set_number(object, "pages_equal", r->pages.equal);
    hf_out_set_number(object, "pages_unused", r->pages.unused);
    hf_out_set_number(object, "pages_not_compared", r->pages.parked);
    hf_out_set_number(object, "pages_differ", r->pages.differ);
    hf_out_set_number(object, "bytes_read", r->pages.bytes_read);
    hf_out_set_number(object, "slices", r->slices_count);
    hf_out_set_number(object, "fetched_bytes", r->fetched_bytes);
    hf_out_set_number(object, "findings_count", r->findings_count);
    hf_out_set_bool(object, "from_device", r->from_device);
    hf_out_set_text(object, "weaker_why", r->weaker_why);
    hf_out_set_bool(object, "proved_by_roots", r->proved_by_roots);
    hf_proof_json(r->proved_by_roots, object);
    hf_out_set_bool(object, "clean", r->findings_count == 0);
    hf_out_set_bool(object, "complete", r->complete);
    hf_out_set_bool(object, "attended", !r->supposed);
}

static void report_scrub(struct hf_session *s, const struct hf_place *place, json_t *object,
                         const struct hf_scrub_report *r)
{
    char txid[HF_TEXT_MAX];

    set_report(object, r);
    if (r->pages.differ == 0 && r->slices_count > 0) {
        print_equal(s, place, r);
        return;
    }
    hf_text_count(r->txid, txid);
    hf_out_finding(s->out, "%s: %" PRIu64 " finding%s%s%s", place->name, r->findings_count,
                   r->findings_count == 1 ? "" : "s",
                   r->txid != 0 ? " at TXID " : "; nothing was compared", r->txid != 0 ? txid : "");
}

static uint64_t rate_of(const struct hf_session *s, const struct hf_place *place)
{
    if (s->args->rate.given)
        return (uint64_t)s->args->rate.value;
    return place->table != NULL ? place->table->scrub_bytes_per_s : 0;
}

/* What differs may be commits, since nobody followed them. */
static void tell_unattended(struct hf_session *s, const struct hf_place *place, json_t *object,
                            uint64_t txid)
{
    HF_AUTO_BUF text = {0};

    hf_buf_printf(&text,
                  "no archiver has followed the database since TXID %" PRIu64
                  ": if the application wrote meanwhile, what differs may be its commits; "
                  "'holdfast archive --once' archives the database as it is now, damage too",
                  txid);
    hf_out_set_text(object, "note", hf_buf_str(&text));
    hf_out_finding(s->out, "%s: %s", place->name, hf_buf_str(&text));
}

/* Compare. `alone`: no archiver runs that could tell which TXID is where the scan stands. */
static enum hf_code compare(struct hf_session *s, const struct hf_places *places,
                            const struct hf_place *place, bool alone, json_t *object,
                            struct hf_err *err)
{
    HF_AUTO_FREE char *state_dir = hf_archiving_state_dir(s, place);
    HF_AUTO_FREE char *work_dir = hf_strfmt("%s/scrub", state_dir);
    struct boundary boundary = {.base = {.ask = ask}, .state_dir = state_dir};
    struct teller teller = {.s = s, .place = place, .object = object};
    struct hf_archive archive;
    HF_CLEANUP(hf_scrub_report_done) struct hf_scrub_report report = {0};
    struct hf_bar bar;
    enum hf_code rc = hf_archive_open(places->store, place->prefix, &archive, err);

    if (rc == HF_OK)
        rc = hf_fs_mkdirs(s->fs, work_dir, 0700, err);
    if (rc != HF_OK)
        return rc;
    hf_bar_init(&bar, s, "scrub", place->name, true);

    const struct hf_scrub_options scrub = {
        .engine = s->engine,
        .archive = &archive,
        .fs = s->fs,
        .clock = s->clock,
        .pool = s->pool,
        .db_path = place->db_path,
        .work_dir = work_dir,
        .reference_path = s->args->reference,
        .boundary = &boundary.base,
        .may_suppose = alone,
        .bytes_per_s_max = rate_of(s, place),
        .progress = &bar.base,
        .stop = s->stop,
    };

    rc = hf_scrub(&scrub, tell_finding, &teller, &report, err);
    hf_bar_done(&bar);
    if (report.findings_count > 0)
        hf_session_found(s);
    if (rc != HF_OK)
        return rc;
    report_scrub(s, place, object, &report);
    tell_catch_ups(s, place, object, &report);
    if (report.supposed && report.findings_count > 0)
        tell_unattended(s, place, object, report.txid);
    return HF_OK;
}

/* HF_USAGE: an archiver that this one does not know of may be at work, and would be fenced. */
static enum hf_code check_claim(const struct hf_session *s, const struct hf_places *places,
                                const struct hf_place *place, const char *state_dir,
                                struct hf_err *err)
{
    struct hf_archive archive;
    enum hf_code rc = hf_archive_open(places->store, place->prefix, &archive, err);

    if (rc == HF_OK)
        rc = hf_archiver_check_claim(s->fs, s->clock, &archive, state_dir, err);
    if (rc == HF_USAGE)
        return hf_err_wrap(err, "scrub would archive first (--no-archive leaves it out)");
    return rc;
}

/* Nobody follows the database: bring an archiver, or go by what the archive has. */
static enum hf_code scrub_unattended(struct hf_session *s, const struct hf_places *places,
                                     const struct hf_place *place, const char *state_dir,
                                     json_t *object, struct hf_err *err)
{
    HF_CLEANUP(hf_attendant_stop) struct hf_attendant attendant = {0};
    enum hf_code rc = HF_OK;

    if (s->args->no_archive)
        return compare(s, places, place, true, object, err);
    rc = check_claim(s, places, place, state_dir, err);
    if (rc == HF_OK)
        rc = archive_first(s, places, place, err);
    if (rc == HF_OK)
        rc = hf_attendant_start(s, place, state_dir, &attendant, err);
    if (rc != HF_OK && rc != HF_CONFLICT)
        return rc;
    return compare(s, places, place, rc == HF_CONFLICT, object, err);
}

static enum hf_code scrub_place(struct hf_session *s, const struct hf_places *places,
                                const struct hf_place *place, json_t *object, struct hf_err *err)
{
    HF_AUTO_FREE char *state_dir = hf_archiving_state_dir(s, place);

    if (hf_attendant_is_there(state_dir))
        return compare(s, places, place, false, object, err);
    return scrub_unattended(s, places, place, state_dir, object, err);
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    enum hf_code rc = HF_OK;

    if (s->args->repair)
        return hf_err_set(err, HF_UNSUPPORTED,
                          "--repair is not available yet: restore to a new file and compare, or "
                          "have SQLite rebuild what the finding names");
    rc = hf_places_find(s, HF_PLACES_LIVE, !s->args->no_archive, &places, err);
    if (rc != HF_OK)
        return rc;
    if (s->args->reference != NULL && places.count != 1)
        return hf_err_set(
            err, HF_USAGE,
            "--reference FILE is one database, and this names %zu: name one partition",
            places.count);
    return hf_places_each(s, &places, scrub_place, err);
}

const struct hf_verb hf_verb_scrub = {
    .name = "scrub",
    .summary = "Compare live databases with their archives, page by page",
    .usage =
        {
            "scrub DB URL [OPTION ...]",
            "scrub -c FILE [TABLE | TABLE/PARTITION] [OPTION ...]",
        },
    .about =
        "Reads every page of the live database, from the device where that can be done, and "
        "compares it with a reference replica that is rebuilt from the archive alone. What differs "
        "is told one a line, with the table it belongs to, and makes the exit status 1. The "
        "database may be in use.\n\n"
        "If no archiver follows the database, what its log proves is archived first, which needs "
        "write access to the store. What the log does not prove is not archived but told as "
        "different, because it might be the damage that is looked for.",
    .examples =
        {
            "holdfast scrub /var/lib/app/app.db s3://backups/app",
            "holdfast scrub -c holdfast.yaml orders",
        },
    .options = options,
    .options_count = HF_ARRAY_LEN(options),
    .plain = {.min = 2, .max = 2},
    .named = {.min = 0, .max = 1},
    .run = run,
};
