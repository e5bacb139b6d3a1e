/* SPDX-License-Identifier: MIT */
/*
 * notes.h - what an adapter hears of a space between two commits, and what it comes to.
 */
#ifndef GMEM_KVM_NOTES_H
#define GMEM_KVM_NOTES_H

#include "internal.h"
#include "slotplan.h"

struct gmem__note;

/* Zeroed, but for options, is empty. */
struct gmem__notes {
    const struct gmem_kvm_options *options; /* complete */
    struct gmem__note *note;
    size_t count, room;
    /* What they come to, for the planners: rising, disjoint (each list's ranges are of one view). Kept for its memory. */
    struct gmem__span *gone;
    struct gmem__run *run;
    struct gmem__relog *relog;
    size_t gone_count, run_count, relog_count;
    size_t gone_room, run_room, relog_room;
};

/* Note one callback of a listener: 0, or -ENOMEM, never in an undo of what was noted. */
int gmem__notes_add(struct gmem__notes *notes, const struct gmem_section *section);
int gmem__notes_del(struct gmem__notes *notes, const struct gmem_section *section);
int gmem__notes_log(struct gmem__notes *notes, const struct gmem_section *section, bool log);

/* Turn the notes into gone, run and relog. They stay. -ENOMEM, or -ENOSPC: a range needs more slots than can ever be. */
int gmem__notes_net(struct gmem__notes *notes);

/* Room for so many runs, so that netting those of an undo needs no memory. -ENOMEM. */
int gmem__notes_reserve_runs(struct gmem__notes *notes, size_t runs);

/* They are done. */
void gmem__notes_forget(struct gmem__notes *notes);

void gmem__notes_free(struct gmem__notes *notes);

#endif
