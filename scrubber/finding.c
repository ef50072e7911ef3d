/* SPDX-License-Identifier: Apache-2.0 */
/* finding.c - what a page that differs means: by its bytes, and by what the archive held before. */
#include "scrubber/finding.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/plan.h"
#include "base/alloc.h"
#include "base/check.h"

static const char *const kind_texts[] = {
    [HF_FINDING_LIVE_STALE] = "live-stale",
    [HF_FINDING_LIVE_UNREADABLE] = "live-unreadable",
    [HF_FINDING_LIVE_ZEROED] = "live-zeroed",
    [HF_FINDING_LIVE_COPIES] = "live-copies",
    [HF_FINDING_DIFFERS] = "differs",
    [HF_FINDING_STORE_DAMAGE] = "store-damage",
    [HF_FINDING_HOLE] = "hole",
    [HF_FINDING_LIMIT] = "limit",
};

const char *hf_finding_kind_text(enum hf_finding_kind kind)
{
    hf_assert((size_t)kind < HF_ARRAY_LEN(kind_texts));
    return kind_texts[kind];
}

void finding_context_done(struct finding_context *c)
{
    hf_free(c->pages);
    c->pages = NULL;
    c->pages_count = 0;
}

static void tell(struct finding_context *c, const struct hf_finding *f)
{
    c->report->findings_count++;
    c->fn(c->ctx, f);
}

void finding_about_archive(struct finding_context *c, enum hf_code code, const char *text)
{
    const struct hf_finding f = {
        .kind = code == HF_HOLE ? HF_FINDING_HOLE : HF_FINDING_STORE_DAMAGE,
        .txid = c->txid,
        .owner = "",
        .text = text,
    };

    tell(c, &f);
}

void finding_about_rest(struct finding_context *c)
{
    char text[512];
    const struct hf_finding f = {
        .kind = HF_FINDING_LIMIT, .txid = c->txid, .owner = "", .text = text};

    (void)snprintf(text, sizeof(text),
                   "%" PRIu64 " pages were written after TXID %" PRIu64
                   ", the archive's last, and were not compared. Scrub again while an archiver "
                   "runs, or without --no-archive, or after `holdfast archive --once`",
                   c->report->pages.parked, c->txid);
    tell(c, &f);
}

enum hf_code finding_about_page(void *ctx, const struct hf_page_diff *diff, struct hf_err *err)
{
    struct finding_context *c = ctx;

    (void)err;
    if (c->pages_count == c->pages_cap) {
        c->pages_cap = c->pages_cap > 0 ? c->pages_cap * 2 : 16;
        c->pages = hf_realloc(c->pages, c->pages_cap, sizeof(*c->pages));
    }
    c->pages[c->pages_count++] =
        (struct page_finding){.diff = *diff, .txid = c->txid, .supposed = c->supposed};
    return HF_OK;
}

/* The last TXID of the chain at which the archive held this image of the page; 0: never. */
static enum hf_code find_in_history(struct finding_context *c, const struct page_finding *p,
                                    uint64_t *ret_txid, struct hf_err *err)
{
    const struct hf_target target = {.kind = HF_TARGET_TXID, .txid = p->txid};
    const struct hf_engine *engine = c->o->engine;
    HF_AUTO_PLAN *plan = NULL;
    enum hf_code rc = hf_plan_new(c->o->archive, engine->codec, &target, &plan, err);
    uint64_t until = p->txid;

    *ret_txid = 0;
    for (size_t i = rc == HF_OK ? plan->segments_count : 0; i > 0; i--) {
        HF_CLEANUP(hf_segment_source_done) struct hf_segment_source source = {0};
        struct hf_root hash;

        hf_segment_source_init(&source, c->o->archive, &plan->segments[i - 1]);
        rc = engine->segment_page(&source.base, c->o->archive->format.seed, p->diff.page, &hash,
                                  err);
        if (rc == HF_OK && hf_root_equal(hash, p->diff.live_hash)) {
            *ret_txid = until;
            return HF_OK;
        }
        if (rc == HF_OK)
            until = plan->segments[i - 1].min_txid - 1;
        if (rc != HF_OK && rc != HF_NOT_FOUND)
            return rc;
    }
    return rc == HF_NOT_FOUND ? HF_OK : rc;
}

static void explain_stale(const struct page_finding *p, uint64_t stale_txid, struct hf_finding *f,
                          char *text, size_t len)
{
    f->kind = HF_FINDING_LIVE_STALE;
    f->stale_txid = stale_txid;
    (void)snprintf(text, len,
                   "the live page is an older image of itself, last right at TXID %" PRIu64
                   ", while the log carried a newer one up to TXID %" PRIu64
                   ": a write was lost. Restore the database or this page from the archive",
                   stale_txid, p->txid);
}

static void explain_state(const struct page_finding *p, struct hf_finding *f, char *text,
                          size_t len)
{
    static const struct {
        enum hf_finding_kind kind;
        const char *text;
    } meanings[] = {
        [HF_PAGE_DIFFERS] =
            {HF_FINDING_DIFFERS,
             "the live page was never archived as it is now: either it was damaged, "
             "or something wrote to the file behind the log's back. Compare it with "
             "a restore before deciding; nothing was changed"},
        [HF_PAGE_UNREADABLE] = {HF_FINDING_LIVE_UNREADABLE,
                                "the device gave no bytes for the live page. Restore the database "
                                "from the archive"},
        [HF_PAGE_MISSING] = {HF_FINDING_LIVE_UNREADABLE,
                             "the live database ends before this page, and the archive has it. "
                             "Restore the database from the archive"},
        [HF_PAGE_ZEROED] = {HF_FINDING_LIVE_ZEROED,
                            "the live page is all zeros, and the archive holds content. Restore "
                            "the database from the archive"},
        [HF_PAGE_COPIES] = {HF_FINDING_LIVE_COPIES,
                            "the page in the WAL is right and its copy in the database file is "
                            "not: readers will see the damage when the WAL restarts"},
    };

    f->kind = meanings[p->diff.state].kind;
    (void)snprintf(text, len, "%s", meanings[p->diff.state].text);
}

/* Nobody followed the log: what was met may have been committed. */
static void doubt(const struct page_finding *p, struct hf_finding *f, char *text, size_t len)
{
    const size_t used = strlen(text);

    if (p->diff.state == HF_PAGE_MISSING)
        f->kind = HF_FINDING_DIFFERS;
    (void)snprintf(text + used, len - used,
                   ". Unless the application wrote it so after TXID %" PRIu64
                   ", when nobody followed its log",
                   p->txid);
}

static void explain_page(struct finding_context *c, size_t i)
{
    const struct page_finding *p = &c->pages[i];
    struct hf_finding f = {.page = p->diff.page, .txid = p->txid};
    char owner[HF_PAGE_TEXT_MAX] = "";
    char text[1024];
    uint64_t stale_txid = 0;

    explain_state(p, &f, text, sizeof(text));
    if (i < FINDINGS_EXPLAINED_MAX) {
        struct hf_err ignored;

        /* Where the history cannot be read, the page differs all the same, and is told. */
        if ((p->diff.state == HF_PAGE_DIFFERS || p->diff.state == HF_PAGE_ZEROED) &&
            find_in_history(c, p, &stale_txid, &ignored) != HF_OK)
            stale_txid = 0;
        if (c->o->engine->describe(c->o->db_path, p->diff.page, owner, &ignored) != HF_OK)
            owner[0] = '\0';
    }
    if (stale_txid > 0)
        explain_stale(p, stale_txid, &f, text, sizeof(text));
    if (p->supposed && p->diff.state != HF_PAGE_UNREADABLE)
        doubt(p, &f, text, sizeof(text));
    f.owner = owner;
    f.text = text;
    tell(c, &f);
}

void finding_explain(struct finding_context *c)
{
    for (size_t i = 0; i < c->pages_count; i++)
        explain_page(c, i);
}
