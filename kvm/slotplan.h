/* SPDX-License-Identifier: MIT */
/*
 * slotplan.h - which slot calls bring KVM's slots from what they are to what they should be.
 *
 * Pure: nothing here knows of ioctls, listeners or locks. A plan is made from the slots in use and either one commit's
 * net changes (reference) or all that is wanted (keep); carrying it out, one operation after the other, is the adapter's.
 * What plans promise is at the top of slotplan.c and slotplan_keep.c.
 */
#ifndef GMEM_KVM_SLOTPLAN_H
#define GMEM_KVM_SLOTPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest slot number + 1 that the kernel's 32-bit slot field has room for below the address space id. */
#define GMEM__SLOTS_MAX 65536u

/* Linear guest memory: size bytes (whole pages) at gpa are host and what follows it. flags are KVM_MEM_*. */
struct gmem__run {
    uint64_t gpa;
    uint64_t size;
    uint64_t host;
    uint32_t flags;
    uintptr_t block; /* whose memory; for comparison only: memory of two never shares a slot */
    uint64_t rebase; /* added to host where that is told (modulo 2^64); all memory of a block has the same */
};

/* A run that is a slot. */
struct gmem__slot {
    struct gmem__run run;
    uint32_t number;
};

/* The slots in use: by rising gpa, disjoint. used has one bit for each number that is taken. Zeroed is empty. */
struct gmem__slots {
    struct gmem__slot *slot;
    size_t count;
    size_t capacity;
    uint64_t used[GMEM__SLOTS_MAX / 64];
};

enum gmem__slot_op_kind {
    GMEM__SLOT_REMOVE = 0,
    GMEM__SLOT_ADD = 1,
    GMEM__SLOT_FLAGS = 2, /* the same slot with other flags (the kernel changes KVM_MEM_LOG_DIRTY_PAGES in place) */
};

struct gmem__slot_op {
    enum gmem__slot_op_kind kind;
    struct gmem__slot slot; /* FLAGS: as it will be */
    uint32_t old_flags;     /* FLAGS: what they are */
};

/* Removals first. Zeroed is empty. */
struct gmem__slotplan {
    struct gmem__slot_op *op;
    size_t count;
    size_t removals; /* of these, the first so many */
    size_t capacity;
};

/* Addresses, inclusive. */
struct gmem__span {
    uint64_t first;
    uint64_t last;
};

/* Addresses whose slots stay but are dirty-logged from now on, or no longer. */
struct gmem__relog {
    uint64_t first;
    uint64_t last;
    bool on;
};

/* What the reference is told: one commit's changes. Each list is by rising address and its elements are disjoint. */
struct gmem__slotplan_input {
    const struct gmem__slots *slots;
    uint32_t max_slots;            /* numbers are below it */
    const struct gmem__span *gone; /* addresses whose slots go */
    size_t gone_count;
    const struct gmem__run *run; /* to become slots, one each */
    size_t run_count;
    const struct gmem__relog *relog;
    size_t relog_count;
    const struct gmem__slotplan
        *undo; /* a plan to be taken back: its removed slots get their numbers and flags again, or NULL */
};

/*
 * Makes *plan from *input, whatever was in it before (its memory is used again).
 *
 * -ENOSPC  a run finds no number
 * -ENOMEM  out of memory
 */
int gmem__slotplan_reference(const struct gmem__slotplan_input *input, struct gmem__slotplan *plan);

/* What `keep` is told: all that is wanted, and where that has changed. Each list is by rising address and disjoint. */
struct gmem__keep_input {
    const struct gmem__slots *slots;
    uint32_t max_slots;      /* numbers are below it */
    uint64_t max_slot_bytes; /* whole pages */
    const struct gmem__run *wanted;
    size_t wanted_count;
    const struct gmem__span *changed; /* outside of it the slots are right, and all that is wanted is in one */
    size_t changed_count;
};

struct gmem__keep_element;
struct gmem__keep_cell;

/* Memory that is used from plan to plan. Zeroed is empty. */
struct gmem__keep_work {
    struct gmem__span *area;
    size_t areas, area_room;
    struct gmem__keep_element *element;
    size_t elements, element_room;
    struct gmem__keep_cell *cell;
    size_t cell_room;
};

/*
 * Makes *plan, whatever was in it before.
 *
 * -ENOSPC  even with everything merged that can be, there are more slots than max_slots
 * -ENOMEM  out of memory
 */
int gmem__slotplan_keep(const struct gmem__keep_input *input, struct gmem__keep_work *work,
                        struct gmem__slotplan *plan);
void gmem__keep_work_free(struct gmem__keep_work *work);

/*
 * Makes *plan the opposite of done, which was the last that was carried out: slots get their old numbers. Needs no memory if
 * *plan has room for as many operations; else -ENOMEM.
 */
int gmem__slotplan_inverse(const struct gmem__slotplan *done, struct gmem__slotplan *plan);

/*
 * Whether some address is in a slot that is removed and in one that is added: then live memory is cut, and a processor could
 * see it missing in between (G12).
 */
bool gmem__slotplan_cuts(const struct gmem__slotplan *plan);

/*
 * The part of [first, last], behind whose first byte is host, that can be slots: trimmed inward to whole pages. False
 * if nothing remains, or if no page of it begins at a page of the host. flags are left alone.
 */
bool gmem__run_trim(uint64_t first, uint64_t last, uint64_t host, uint64_t page_size, struct gmem__run *ret_run);

/* How many runs of at most max bytes a run is, and the index'th of them. */
size_t gmem__run_pieces(const struct gmem__run *run, uint64_t max);
struct gmem__run gmem__run_piece(const struct gmem__run *run, uint64_t max, size_t index);

/* Room for at least so many; -ENOMEM. */
int gmem__slots_reserve(struct gmem__slots *slots, size_t count);
int gmem__slotplan_reserve(struct gmem__slotplan *plan, size_t count);

/* Index of the first slot that ends at or after addr; the count if there is none. */
size_t gmem__slots_find(const struct gmem__slots *slots, uint64_t addr);

/* Enter in slots what an operation did. There must be room. */
void gmem__slots_apply(struct gmem__slots *slots, const struct gmem__slot_op *op);

/* The same for the first count operations of a plan at once: it costs what the table and they are, not one times the other. */
void gmem__slots_apply_all(struct gmem__slots *slots, const struct gmem__slotplan *plan, size_t count);

/* The operation that takes op back. */
struct gmem__slot_op gmem__slot_op_inverse(const struct gmem__slot_op *op);

/* The last address of a run. */
static inline uint64_t gmem__run_last(const struct gmem__run *run)
{
    return run->gpa + (run->size - 1);
}

/* Index of the first of count runs, by rising gpa, that ends at or after addr; the count if there is none. */
static inline size_t gmem__runs_find(const struct gmem__run *run, size_t count, uint64_t addr)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (gmem__run_last(&run[middle]) < addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Append an operation; -ENOMEM. */
int gmem__slotplan_push(struct gmem__slotplan *plan, enum gmem__slot_op_kind kind, const struct gmem__slot *slot,
                        uint32_t old_flags);

/* The removal of a plan at gpa, or NULL. */
const struct gmem__slot_op *gmem__slotplan_removal(const struct gmem__slotplan *plan, uint64_t gpa);

/* The numbers that are free to be given when a plan's removals are done. */
struct gmem__numbers {
    uint64_t used[GMEM__SLOTS_MAX / 64];
    uint32_t max_slots;
    uint32_t from; /* all below it are used */
};
void gmem__numbers_init(struct gmem__numbers *numbers, const struct gmem__slots *slots,
                        const struct gmem__slotplan *plan, uint32_t max_slots);
/* Take the lowest. -ENOSPC. */
int gmem__numbers_take(struct gmem__numbers *numbers, uint32_t *ret_number);

/* Makes *array, of *capacity elements of element bytes, hold at least count; -ENOMEM. */
int gmem__kvm_grow(void **array, size_t *capacity, size_t count, size_t element);

#endif
