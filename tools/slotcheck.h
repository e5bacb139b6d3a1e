/* SPDX-License-Identifier: MIT */
/*
 * What a slot trace comes to: counts, bytes, and calls that the kernel's rules (Documentation/virt/kvm/api.rst,
 * KVM_SET_USER_MEMORY_REGION) do not allow.
 */
#ifndef SLOTCHECK_H
#define SLOTCHECK_H

#include "slottrace.h"

struct slot_counts {
    size_t calls;      /* all, failed ones too */
    size_t additions;  /* that made a slot */
    size_t removals;   /* that succeeded */
    size_t moves;      /* of a slot in use to another guest address */
    size_t flags;      /* changes of the dirty log in place */
    size_t failed;     /* ret < 0 */
    uint64_t added;    /* bytes; these three stop at 2^64 - 1 */
    uint64_t removed;  /* where the size is known */
    uint64_t put_back; /* of removed: in a slot again after the commit, with the same memory and access */
};

void slot_counts_add(struct slot_counts *to, const struct slot_counts *from);

/* A configuration write that calls follow, with them; or, in a trace without such writes, a commit. */
struct slot_row {
    size_t line;
    const struct trace_event *write; /* borrowed from the trace; NULL: what is before the first write, or a commit */
    size_t first, end;               /* its events: [first, end) of the trace */
    struct slot_counts counts;
};

enum slot_rule {
    SLOT_OVERLAP,   /* over another slot of the address space */
    SLOT_UNKNOWN,   /* removes a slot that there is not */
    SLOT_RESIZED,   /* another size for a slot in use */
    SLOT_REBACKED,  /* other host memory for a slot in use */
    SLOT_READONLY,  /* read-only or not, of a slot in use */
    SLOT_UNALIGNED, /* guest address, host address or size is not whole pages */
    SLOT_FLAGS,     /* flags that the kernel does not have */
    SLOT_PAST_END,  /* reaches past 2^64 */
    SLOT_FAILED,    /* the kernel refused, and none of the above says why */
};
const char *slot_rule_name(enum slot_rule rule);

struct slot_violation {
    size_t line;
    enum slot_rule rule;
    char *text;
};

struct slot_report {
    struct slot_row *rows;
    size_t n_rows;
    struct slot_counts total;
    size_t writes;     /* configuration writes */
    size_t slots;      /* in use at the end */
    size_t slots_peak; /* most at a time, of all address spaces */
    uint64_t bytes, bytes_peak;
    size_t before; /* removals of slots that were there before the trace begins */
    struct slot_violation *violations;
    size_t n_violations;
};

/* A trace whose first call removes a slot begins when there were slots already: removing those is no violation. */
void slotcheck(const struct slot_trace *trace, struct slot_report *report);
void slot_report_free(struct slot_report *report);

#endif
