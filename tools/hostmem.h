/* SPDX-License-Identifier: MIT */
/*
 * The host memory that slots of a trace are made of. A trace names no blocks: what overlaps in the host, over the whole
 * trace, or goes on there as it does in the guest, is taken for one.
 */
#ifndef HOSTMEM_H
#define HOSTMEM_H

#include "slottrace.h"

struct host_block {
    uint64_t first, last; /* host addresses */
};

struct host_memory {
    struct host_block *blocks; /* disjoint, by rising address */
    size_t n_blocks;
    size_t *block_of; /* by index of the event; SIZE_MAX: it makes no slot (or failed) */
};

/* False: a slot reaches past 2^64. */
bool host_memory_find(const char *source, const struct trace_event *events, size_t n, struct host_memory *memory,
                      struct problem *problem);
void host_memory_free(struct host_memory *memory);

#endif
