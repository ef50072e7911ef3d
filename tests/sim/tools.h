/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - restore, rebuild, verify and scrub as the simulator runs them, each as a process of its
 * own that may meet faults and die, with what the model says to what came of it.
 */
#ifndef HF_TESTS_SIM_TOOLS_H
#define HF_TESTS_SIM_TOOLS_H

#include "archive/plan.h"
#include "sim/harm.h"
#include "sim/machine.h"

/* Restores to `target`, and what is there then is the model's state. */
void tools_restore(struct site *site, const struct hf_target *target);
/* Every TXID of the archive, one after the other, each from the one before. */
void tools_rebuild(struct site *site);
/* Every object is sound. */
void tools_verify(struct site *site);
/* The database is the archive's, but for `rotted_page` (0: none), which is found. True: it was
 * compared as a whole. */
bool tools_scrub(struct site *site, uint64_t rotted_page);
/* As the command does it where no archiver runs: what the log proves is archived first, and an
 * archiver is there while it compares. Where the log proves nothing, nothing is archived, and other
 * pages may be told, too. There is none on either machine. */
void tools_scrub_unattended(struct site *site, uint64_t rotted_page);
/* While an object of the archive is not what it should be: that is found, and nothing is restored
 * that is not the archive's latest state. */
void tools_find_harm(struct site *site, const struct harm *h);
/* The catch-ups that the archive lists are the model's. */
void tools_list_catch_ups(struct site *site);

#endif
