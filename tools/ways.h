/* SPDX-License-Identifier: MIT */
/*
 * Every way in which regions are seen from the root of a space: down through containers and through aliases, each with the
 * addresses where it lies. What explains and what draws a map begin here.
 */
#ifndef WAYS_H
#define WAYS_H

#include "topology.h"

/* One region on one way. Its own way is found by following up to the root. */
struct way {
    size_t region; /* the topology's index */
    size_t up; /* index of the way it is below: what contains it, or the alias it is the target of; NOWHERE: the root */
    unsigned depth;
    uint64_t first, last; /* in the space; as far as what it is seen through lets it */
    uint64_t offset;      /* of first, in the region */
    uint32_t attrs;       /* GMEM_RANGE_READONLY, NONVOLATILE, ROMD: with what is inherited */
    bool enabled;         /* it and all that it is seen through */
    bool cut;             /* part of it lies outside of what it is seen through */
    size_t order; /* who answers first: of two enabled ways at one address the one of lower order is asked first */
};

struct ways {
    struct way *ways; /* each behind the way that it is below; siblings in the order in which they win */
    size_t n;
};

/*
 * Those that lie, at least in part, in [first, last] of the space. Of those that no address is left of, none. False: more than
 * limit, or deeper than GMEM_DEPTH_MAX.
 */
bool ways_find(const struct topology *topology, size_t space, uint64_t first, uint64_t last, size_t limit,
               struct ways *ways, struct problem *problem);
void ways_free(struct ways *ways);

#endif
