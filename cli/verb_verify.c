/* SPDX-License-Identifier: Apache-2.0 */
/* verb_verify.c - holdfast verify: the archive against itself, every object read and proved. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/bar.h"
#include "cli/places.h"
#include "cli/proof.h"
#include "cli/text.h"
#include "cli/workdir.h"
#include "scrubber/verify.h"

static const char *kind_text(enum hf_verify_kind kind)
{
    static const char *const texts[] = {"hole", "damage", "foreign"};

    return texts[kind];
}

/* Where findings go. */
struct teller {
    struct hf_session *s;
    const struct hf_place *place;
    json_t *object;
};

static void tell_finding(void *ctx, const struct hf_verify_finding *f)
{
    const struct teller *t = ctx;
    const bool named = strncmp(f->text, f->key, strlen(f->key)) == 0; /* true for "" */
    json_t *finding = hf_out_add(t->object, "findings");

    hf_out_set_text(finding, "kind", kind_text(f->kind));
    hf_out_set_number(finding, "from_txid", f->from_txid);
    hf_out_set_number(finding, "to_txid", f->to_txid);
    hf_out_set_text(finding, "key", f->key);
    hf_out_set_text(finding, "text", f->text);
    hf_out_finding(t->s->out, "%s: %s: TXID %" PRIu64 "-%" PRIu64 ": %s%s%s", t->place->name,
                   kind_text(f->kind), f->from_txid, f->to_txid, named ? "" : f->key,
                   named ? "" : ": ", f->text);
}

static void print_report(const struct hf_session *s, const struct hf_place *place,
                         const struct hf_verify_report *r)
{
    char objects[HF_TEXT_MAX];
    char size[HF_TEXT_MAX];
    char from[HF_TEXT_MAX];
    char to[HF_TEXT_MAX];

    hf_text_count(r->objects_read, objects);
    hf_text_size(r->bytes_read, size);
    hf_text_count(r->first_txid, from);
    hf_text_count(r->last_txid, to);
    if (r->findings_count > 0)
        hf_out_finding(s->out, "%s: %" PRIu64 " finding%s in %s objects, %s", place->name,
                       r->findings_count, r->findings_count == 1 ? "" : "s", objects, size);
    else
        hf_out_line(s->out, "%s: whole: TXID %s to %s proved %s; %s objects, %s read", place->name,
                    from, to, r->proved_by_roots ? "by roots" : "by checksums only", objects, size);
}

static void set_report(json_t *object, const struct hf_verify_report *r)
{
    hf_out_set_number(object, "objects_read", r->objects_read);
    hf_out_set_number(object, "bytes_read", r->bytes_read);
    hf_out_set_number(object, "findings_count", r->findings_count);
    hf_out_set_number(object, "first_txid", r->first_txid);
    hf_out_set_number(object, "last_txid", r->last_txid);
    hf_out_set_bool(object, "proved_by_roots", r->proved_by_roots);
    hf_proof_json(r->proved_by_roots, object);
}

static enum hf_code verify_in(struct hf_session *s, const struct hf_places *places,
                              const struct hf_place *place, const char *work_dir, json_t *object,
                              struct hf_err *err)
{
    struct teller teller = {.s = s, .place = place, .object = object};
    struct hf_archive archive;
    struct hf_verify_report report = {0};
    struct hf_bar bar;
    enum hf_code rc = hf_archive_open(places->store, place->prefix, &archive, err);

    if (rc != HF_OK)
        return rc;
    hf_bar_init(&bar, s, "verify", place->name, true);

    const struct hf_verify_options options = {
        .engine = s->engine,
        .archive = &archive,
        .fs = s->fs,
        .pool = s->pool,
        .work_dir = work_dir,
        .progress = &bar.base,
        .stop = s->stop,
    };

    rc = hf_verify(&options, tell_finding, &teller, &report, err);
    hf_bar_done(&bar);
    if (report.findings_count > 0)
        hf_session_found(s);
    set_report(object, &report);
    if (rc != HF_OK)
        return rc;
    print_report(s, place, &report);
    if (!archive.has_format && !report.seed_lost)
        hf_out_line(s->out, "  %s", hf_proof_weaker_text);
    return HF_OK;
}

static enum hf_code verify_place(struct hf_session *s, const struct hf_places *places,
                                 const struct hf_place *place, json_t *object, struct hf_err *err)
{
    HF_AUTO_FREE char *work_dir = NULL;
    enum hf_code rc = hf_workdir_new(&work_dir, err);

    if (rc != HF_OK)
        return rc;
    rc = verify_in(s, places, place, work_dir, object, err);
    hf_workdir_remove(s->fs, work_dir);
    return rc;
}

static enum hf_code run(struct hf_session *s, struct hf_err *err)
{
    HF_AUTO_PLACES places = {0};
    const enum hf_code rc = hf_places_find(s, HF_PLACES_ARCHIVED, false, &places, err);

    return rc == HF_OK ? hf_places_each(s, &places, verify_place, err) : rc;
}

const struct hf_verb hf_verb_verify = {
    .name = "verify",
    .summary = "Read the whole archive and prove it",
    .usage =
        {
            "verify URL [OPTION ...]",
            "verify -c FILE [TABLE | TABLE/PARTITION] [OPTION ...]",
        },
    .about =
        "Reads every object of the archive and proves it: that each is what it should be, that "
        "they follow on one another, and that they lead to the roots they carry. Holes and damage "
        "are told one a line, and make the exit status 1. The live database is not looked at; "
        "'holdfast scrub' does that.",
    .examples = {"holdfast verify s3://backups/app"},
    .plain = {.min = 1, .max = 1},
    .named = {.min = 0, .max = 1},
    .run = run,
};
