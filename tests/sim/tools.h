/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - restore, rebuild, verify and scrub as the simulator runs them, each as a process of its
 * own that may meet faults and die, with what the model says to what came of it.
 */
#ifndef HF_TESTS_SIM_TOOLS_H
#define HF_TESTS_SIM_TOOLS_H

#include "archive/plan.h"
#include "sim/machine.h"

/* Restores to `target`, and what is there then is the model's state. */
void tools_restore(struct sim *s, struct machine *m, const struct hf_target *target);
/* Every TXID of the archive, one after the other, each from the one before. */
void tools_rebuild(struct sim *s, struct machine *m);
/* Every object is sound. */
void tools_verify(struct sim *s, struct machine *m);
/* The database is the archive's, but for `rotted_page` (0: none), which is found. True: it was
 * compared as a whole. */
bool tools_scrub(struct sim *s, struct machine *m, uint64_t rotted_page);
/* An object of the archive is damaged, or removed: that is found. It is whole again afterwards. */
void tools_damage(struct sim *s, struct machine *m, bool removes);
/* The catch-ups that the archive lists are the model's. */
void tools_list_catch_ups(struct sim *s, struct machine *m);

#endif
