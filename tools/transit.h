/* SPDX-License-Identifier: MIT */
/*
 * What happens if one map becomes another in one transaction: what listeners hear, and what libgmem-kvm calls with either policy.
 * It is tried: one vm has the regions of both maps, shows the first, and is changed.
 */
#ifndef TRANSIT_H
#define TRANSIT_H

#include "slotcheck.h"
#include "viewdiff.h"

enum heard_kind { HEARD_DEL, HEARD_ADD, HEARD_LOG_START, HEARD_LOG_STOP };

struct heard {
    enum heard_kind kind;
    size_t group;
    unsigned side;            /* where it is shown: 0 before, 1 after */
    struct shown_range range; /* of that side */
    unsigned before, after;   /* LOG_*: sets of clients, a bit for each */
};

enum { TRANSIT_REFERENCE, TRANSIT_KEEP, TRANSIT_POLICIES };

struct transit_slots {
    struct trace_event *calls; /* of the change only */
    uint64_t *sizes;           /* of each call: also of what is removed */
    size_t n_calls;
    struct slot_counts counts;
    uint64_t pauses;
};

struct transit {
    struct heard *heard; /* in the order in which it was */
    size_t n_heard;
    bool has_slots; /* some space shows memory, and is one that slots are for */
    struct transit_slots slots[TRANSIT_POLICIES];
};

/*
 * Slots are for the space that a processor sees: "memory", and those of system management mode, "KVM-SMRAM" and "memory
 * (as_id N)". If there is no such space, or any_space: for the first group that shows memory. False: it can't be tried.
 */
bool transit(const struct pairing *pairing, const struct view_diff *diff, bool any_space, struct transit *transit,
             struct problem *problem);
void transit_free(struct transit *transit);

#endif
