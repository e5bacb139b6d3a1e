/* SPDX-License-Identifier: MIT */
/*
 * child_index.h - the subregions of one container by address, so that what intersects a window is
 * found without looking at the others.
 */
#ifndef GMEM_SRC_CHILD_INDEX_H
#define GMEM_SRC_CHILD_INDEX_H

#include "region.h"

/*
 * Put region, whose props are set, into *root; or take it out while they are still the same.
 * Neither can fail.
 */
void gmem__child_index_insert(gmem_region **root, gmem_region *region);
void gmem__child_index_remove(gmem_region **root, gmem_region *region);

struct gmem__found {
    const gmem_region **items;
    size_t count, room;
};

/* Append the subregions that reach into [first, last] of their container, by rising offset. -ENOMEM. */
int gmem__child_index_find(const gmem_region *root, uint64_t first, uint64_t last,
                           struct gmem__found *found) GMEM_MUST_CHECK;

#endif
