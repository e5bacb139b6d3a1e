/* SPDX-License-Identifier: MIT */
/*
 * A topology built through the library's public interface: a vm with its regions and spaces, to be asked and printed.
 * RAM is reserved address space that can't be touched: only its size and place matter.
 */
#ifndef MAP_H
#define MAP_H

#include "blocks.h"

struct map {
    const struct topology *topology; /* borrowed; must outlive the map */
    gmem_vm *vm;
    struct topology built; /* what was built: the topology's regions, and behind them those that it took to put it so */
    gmem_region **regions; /* by the index in built, which begins as the topology's */
    gmem_space **spaces;   /* by the topology's index */
    struct map_index *index;
    struct blocks blocks;
    uint64_t logged; /* bytes of memory with a dirty log, once for each client */
};

/* False: the library refuses the topology (a circle of aliases, too deep a nesting), with the line. */
bool map_build(const struct topology *topology, struct map *map, struct problem *problem);
void map_free(struct map *map);

/* The topology's index of a region, NOWHERE if it is none of them. */
size_t map_region(const struct map *map, const gmem_region *region);

/* Of regions that stand for a device of which nothing is known but its place: each access is GMEM_RESULT_DEVICE. */
extern const struct gmem_mmio_ops map_device;

#endif
