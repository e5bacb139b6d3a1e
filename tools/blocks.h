/* SPDX-License-Identifier: MIT */
/*
 * The RAM blocks of a topology, as address space that is reserved and can't be touched. Regions that name the same block share
 * it; it is as large as the largest of them.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "topology.h"

struct blocks {
    gmem_ram **rams; /* by region; NULL for one without memory. Each a reference of its own */
    size_t n;
    void *memory; /* one reservation that all are cut from */
    size_t size;
};

/* Regions of this kind show a block. */
bool blocks_has(const struct topo_region *region);

/* False: more than can be reserved, or the library refuses it. Nothing is to be freed then. */
bool blocks_create(const struct topology *topology, gmem_vm *vm, struct blocks *blocks, struct problem *problem);

/* The references only: regions and the vm still use the memory. */
void blocks_unref(struct blocks *blocks);

/* When the vm is destroyed: the memory. */
void blocks_free(struct blocks *blocks);

#endif
