/* SPDX-License-Identifier: Apache-2.0 */
/* targeting.c - the wanted moment, and the one that was reached. */
#include "cli/targeting.h"

#include <inttypes.h>

#include "archive/format.h"
#include "archive/owner.h"
#include "cli/gaps.h"
#include "cli/proof.h"
#include "cli/text.h"

enum hf_code hf_targeting(const struct hf_session *s, bool whole_table, struct hf_target *ret,
                          struct hf_err *err)
{
    const struct hf_args *args = s->args;

    if (args->timestamp_ms.given && args->txid.given)
        return hf_err_set(err, HF_USAGE, "--timestamp and --txid exclude one another");
    if (args->txid.given && whole_table)
        return hf_err_set(
            err, HF_USAGE,
            "--txid cannot be used for a table: each of its partitions counts its own "
            "TXIDs. Name a partition, or use --timestamp");
    *ret = (struct hf_target){.kind = HF_TARGET_LATEST, .now_ms = hf_now_ms(s->clock)};
    if (args->timestamp_ms.given) {
        ret->kind = HF_TARGET_TIME;
        ret->time_ms = args->timestamp_ms.value;
    } else if (args->txid.given) {
        ret->kind = HF_TARGET_TXID;
        ret->txid = (uint64_t)args->txid.value;
    }
    return HF_OK;
}

/* The wanted time lies after the last capture: until when is it known that nothing happened? */
static void tell_after_last(const struct hf_session *s, const struct hf_archive *archive,
                            int64_t wanted_ms, int64_t last_ms, json_t *object)
{
    struct hf_owner owner;
    struct hf_err err;
    char wanted[HF_TIME_TEXT_MAX];
    char last[HF_TIME_TEXT_MAX];
    char until[HF_TIME_TEXT_MAX];

    hf_time_text(wanted_ms, wanted);
    hf_time_text(last_ms, last);
    hf_out_set_bool(object, "after_last", true);
    if (hf_owner_read(archive, &owner, &err) != HF_OK) {
        hf_out_line(s->out,
                    "  %s is after the last capture, %s; how long the archiver was "
                    "attached is not known",
                    wanted, last);
        return;
    }
    hf_time_text(owner.attached_until_ms, until);
    hf_out_set_time(object, "attached_until", owner.attached_until_ms);
    hf_out_line(s->out,
                "  %s is after the last capture, %s; the archiver is known to have been "
                "attached until %s",
                wanted, last, until);
}

/* The wanted time lies where nobody followed the log. */
static void tell_gap(struct hf_session *s, const char *path, int64_t wanted_ms,
                     const struct hf_rebuild_report *report, json_t *object)
{
    const struct hf_gap *gap = &report->gap;
    json_t *row = json_object();
    char wanted[HF_TIME_TEXT_MAX];
    char from[HF_TIME_TEXT_MAX];
    char to[HF_TIME_TEXT_MAX];

    hf_time_text(wanted_ms, wanted);
    hf_time_text(gap->from_ms, from);
    hf_time_text(gap->to_ms, to);
    hf_gap_json(gap, row);
    (void)json_object_set_new(object, "gap", row);
    hf_out_finding(s->out,
                   "%s: gap: %s lies between %s (TXID %" PRIu64 ") and %s (TXID %" PRIu64
                   "), where nothing was captured",
                   path, wanted, from, gap->from_txid, to, gap->to_txid);
    hf_out_finding(s->out,
                   "  what was committed in between is known only as of the second; restored is "
                   "what was before: --txid %" PRIu64 ", or --txid %" PRIu64 " for what was after",
                   report->state.txid, gap->to_txid);
    hf_session_found(s);
}

/* What was captured next may have been made before the wanted time. */
static void tell_set_back(struct hf_session *s, const char *path, int64_t wanted_ms,
                          const struct hf_set_back *back, json_t *object)
{
    json_t *row = json_object();
    char wanted[HF_TIME_TEXT_MAX];
    char time[HF_TIME_TEXT_MAX];

    hf_time_text(wanted_ms, wanted);
    hf_time_text(back->time_ms, time);
    hf_out_set_number(row, "from_txid", back->txid);
    hf_out_set_time(row, "time", back->time_ms);
    (void)json_object_set_new(object, "clock_set_back", row);
    hf_out_finding(s->out,
                   "%s: the archiver's clock was set back: commits from TXID %" PRIu64
                   " on carry the time %s, though they were made earlier",
                   path, back->txid, time);
    hf_out_finding(s->out,
                   "  so which of them were there at %s is not known: --txid picks one, and "
                   "'holdfast list' shows the span",
                   wanted);
    hf_session_found(s);
}

/* The archive is damaged, and what was made of it is less sure than it should be. */
static void tell_seed_lost(struct hf_session *s, const char *path, json_t *object)
{
    hf_out_set_bool(object, "seed_lost", true);
    hf_proof_json(false, object);
    hf_out_finding(s->out, "%s: %s", path, hf_format_lost_text);
    hf_session_found(s);
}

static void print_state(const struct hf_session *s, const char *done, const char *path,
                        const struct hf_rebuild_report *report)
{
    char when[HF_TIME_TEXT_MAX];
    char txid[HF_TEXT_MAX];
    char pages[HF_TEXT_MAX];
    char page_bytes[HF_TEXT_MAX];

    hf_time_text(report->state.time_ms, when);
    hf_text_count(report->state.txid, txid);
    hf_text_count(report->state.pages_count, pages);
    hf_text_count(report->state.page_bytes, page_bytes);
    hf_out_line(s->out, "%s %s: TXID %s (%s), %s pages of %s bytes, %s", done, path, txid, when,
                pages, page_bytes,
                report->proved ? "proved by the archive's root" : "checked by checksums only");
}

static void set_state(json_t *object, const char *path, const struct hf_rebuild_report *report)
{
    const struct hf_state *state = &report->state;
    char root[HF_ROOT_HEX_MAX];

    hf_root_hex(state->root, root);
    hf_out_set_text(object, "output", path);
    hf_out_set_number(object, "txid", state->txid);
    hf_out_set_time(object, "time", state->time_ms);
    hf_out_set_number(object, "page_bytes", state->page_bytes);
    hf_out_set_number(object, "pages_count", state->pages_count);
    hf_out_set_text(object, "root", state->has_root ? root : NULL);
    hf_out_set_bool(object, "proved", report->proved);
    hf_out_set_number(object, "segments_read", report->segments_read);
    hf_out_set_number(object, "bytes_read", report->bytes_read);
}

void hf_targeting_report(struct hf_session *s, const struct hf_archive *archive, const char *done,
                         const char *path, const struct hf_target *target,
                         const struct hf_rebuild_report *report, json_t *object)
{
    char wanted[HF_TEXT_MAX];

    print_state(s, done, path, report);
    set_state(object, path, report);
    if (target->kind == HF_TARGET_TIME && report->after_last)
        tell_after_last(s, archive, target->time_ms, report->state.time_ms, object);
    if (report->seed_lost)
        tell_seed_lost(s, path, object);
    else
        hf_proof_tell(s->out, report->proved, object);
    if (report->gap.to_txid != 0)
        tell_gap(s, path, target->time_ms, report, object);
    if (report->set_back.txid != 0)
        tell_set_back(s, path, target->time_ms, &report->set_back, object);
    if (report->wanted_txid <= report->state.txid)
        return;
    hf_text_count(report->wanted_txid, wanted);
    hf_out_set_number(object, "wanted_txid", report->wanted_txid);
    hf_out_line(s->out,
                "  TXID %s is nearer to that time, but only inside a compacted segment: "
                "this is the last one before it that can be reached",
                wanted);
}
