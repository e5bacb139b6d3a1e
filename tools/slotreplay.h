/* SPDX-License-Identifier: MIT */
/*
 * What the adapter of libgmem-kvm would have called in place of the calls of a trace: after each commit the slots that the
 * trace then has are made the map of a vm, on which slots are only planned.
 */
#ifndef SLOTREPLAY_H
#define SLOTREPLAY_H

#include <gmem/gmem.h>
#include <gmem/kvm.h>

#include "slotcheck.h"

enum { REPLAY_REFERENCE, REPLAY_KEEP, REPLAY_POLICIES };

struct replay_counts {
    struct slot_counts slots;
    uint64_t pauses; /* times that processors are held out of the guest because live memory is cut */
};

struct slot_replay {
    struct replay_counts *rows[REPLAY_POLICIES]; /* by the report's rows */
    struct replay_counts total[REPLAY_POLICIES];
    size_t slots_peak[REPLAY_POLICIES];
    uint64_t bytes_peak[REPLAY_POLICIES];
    /* What reference called is the trace, call by call; else the line of the first call that is another, 0 if it makes more or fewer. */
    bool same;
    size_t differs;
};

/* False: it can't be replayed, and why: what the trace shows is no state of a machine, or the start is missing. */
bool slotreplay(const struct slot_trace *trace, const struct slot_report *report, struct slot_replay *replay,
                struct problem *problem);
void slot_replay_free(struct slot_replay *replay);

#endif
