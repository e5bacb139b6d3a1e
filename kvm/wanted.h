/* SPDX-License-Identifier: MIT */
/*
 * wanted.h - all that a space shows of memory that can be in slots, and how a commit changes it.
 */
#ifndef GMEM_KVM_WANTED_H
#define GMEM_KVM_WANTED_H

#include "slotplan.h"

struct gmem__runs {
    struct gmem__run *run;
    size_t count, room;
};

/* Zeroed is empty. */
struct gmem__wanted {
    struct gmem__runs now; /* by rising gpa, disjoint */
    /* Of the latest change: where in now it is, what was there, and the addresses that it concerns. */
    size_t at, fresh;
    struct gmem__runs before;
    struct gmem__span *changed;
    size_t changed_count, changed_room;
    struct gmem__runs scratch;
};

/* A commit: runs in gone ranges go, run[] come, the dirty log of what is in relog ranges changes. Lists as for the planner. */
struct gmem__wanted_change {
    const struct gmem__span *gone;
    size_t gone_count;
    const struct gmem__run *run;
    size_t run_count;
    const struct gmem__relog *relog;
    size_t relog_count;
};

/*
 * Change now, and say in changed where. Takes memory aside for the opposite change, which then needs none. -ENOMEM: nothing
 * has changed.
 */
int gmem__wanted_change(struct gmem__wanted *wanted, const struct gmem__wanted_change *change);

/* The latest change is for good: there is nothing to be taken back. */
void gmem__wanted_settle(struct gmem__wanted *wanted);

/* Take the latest change back, if it is not settled. */
void gmem__wanted_revert(struct gmem__wanted *wanted);

void gmem__wanted_free(struct gmem__wanted *wanted);

#endif
