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

/* In the order of the index, by offset, and of those at the same offset the winner first; NULL: none. O(log n). */
gmem_region *gmem__child_index_first(gmem_region *root);
gmem_region *gmem__child_index_next(gmem_region *root, const gmem_region *region);

/*
 * Call fn in that order for the subregions that reach into [first, last] of their container, until
 * it returns non-zero, which is returned. fn must not change the index.
 */
typedef int gmem__child_fn(void *opaque, gmem_region *child);
int gmem__child_index_walk(gmem_region *root, uint64_t first, uint64_t last, gmem__child_fn *fn, void *opaque);

/* A subregion, and what decides whether it wins: sorting need not go to the regions for that. */
struct gmem__sibling {
    gmem_region *region;
    uint64_t seq;
    int32_t priority;
};

struct gmem__found {
    struct gmem__sibling *items;
    size_t count, room;
};

/* Append the same subregions; where two of them overlap, the winner first. -ENOMEM. */
int gmem__child_index_find(gmem_region *root, uint64_t first, uint64_t last, struct gmem__found *found) GMEM_MUST_CHECK;
/* Put those from the index from on in the order in which they win, the winner first. */
void gmem__found_sort(struct gmem__found *found, size_t from);

#endif
