/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finding.h - private to scrubber/: from "this page differs" to what that means.
 *
 * Pages are collected while the database is held, and explained afterwards, since that reads the
 * archive's history and walks b-trees.
 */
#ifndef HF_SCRUBBER_FINDING_H
#define HF_SCRUBBER_FINDING_H

#include "scrubber/scrubber.h"

#define FINDINGS_EXPLAINED_MAX 64 /* later ones are told without their history */

struct page_finding {
    struct hf_page_diff diff;
    uint64_t txid; /* of the reference that it was compared with */
    bool supposed; /* that nothing had been committed since */
};

struct finding_context {
    const struct hf_scrub_options *o; /* borrowed, as fn, ctx and report */
    hf_finding_fn *fn;
    void *ctx;
    struct hf_scrub_report *report;
    uint64_t txid; /* of the reference now */
    bool supposed; /* from now on: see hf_scrub_options.may_suppose */
    struct page_finding *pages;
    size_t pages_count;
    size_t pages_cap;
};

void finding_context_done(struct finding_context *c);

/* The archive itself could not be used: HF_DAMAGE or HF_HOLE, and what was met. */
void finding_about_archive(struct finding_context *c, enum hf_code code, const char *text);

/* For hf_scan_ops.slice: `ctx` is the struct finding_context. */
enum hf_code finding_about_page(void *ctx, const struct hf_page_diff *diff, struct hf_err *err);

/* Pages were parked and are not looked at again. */
void finding_about_rest(struct finding_context *c);

/* Tell the caller of every page that was collected. */
void finding_explain(struct finding_context *c);

#endif
