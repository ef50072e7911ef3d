/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beside.h - a partition that is in trouble, and those that its archiver follows beside it: what
 * fails of one is not another's.
 *
 * There are no faults meanwhile but that trouble, so that nothing else excuses the others.
 */
#ifndef HF_TESTS_SIM_BESIDE_H
#define HF_TESTS_SIM_BESIDE_H

#include "sim/machine.h"

/* Those that an archiver follows beside one; what is said of them is asserted. */
struct beside {
    struct process *process;
    int seconds;                         /* that a commit of theirs may take */
    bool is[SIM_PARTITIONS_MAX];         /* by follower */
    uint64_t rounds[SIM_PARTITIONS_MAX]; /* before the last commit */
};

/* All of the archiver on the site's machine, which may have just begun. */
struct beside beside_all(const struct site *site);
/* Of these, those that have archived everything, to the last of a commit that is made now; none if
 * the machine has no archiver. */
struct beside beside_settled(const struct site *site);
/* Each of them archives a commit that is made now, which is counted as `kind`. */
void beside_go_on(struct beside *b, enum sim_kind kind);
/* Each of them has ended and archived everything, which is counted as `kind`. */
void beside_ended_well(const struct beside *b, enum sim_kind kind);

/* Something happens to this partition, which is settled; the other machine has no archiver. */
void beside_trouble(struct site *site);

#endif
