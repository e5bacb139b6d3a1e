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
    bool outside; /* ways_at() only: the address is past the end of something that it is seen through, or of itself */
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

/* Subregions by address: for whoever asks for ways more than once. The topology is borrowed and must not change. */
struct ways_index;
struct ways_index *ways_index(const struct topology *topology);
void ways_index_free(struct ways_index *index);

/* As ways_find(). Looks at what lies there and little else, however many siblings there are. */
bool ways_find_in(const struct ways_index *index, size_t space, uint64_t first, uint64_t last, size_t limit,
                  struct ways *ways, struct problem *problem);

/*
 * Those at one address, and those that would be there if what they are seen through did not end before it: of these first, last
 * and offset are where they would lie. Something that ends before the address is there too if something of it is. The
 * part of an alias's target that its window leaves out is not: that is what windows are for.
 */
bool ways_at(const struct ways_index *index, size_t space, uint64_t addr, size_t limit, struct ways *ways,
             struct problem *problem);

/* Offset of its last byte. */
static inline uint64_t region_last(const struct topo_region *region)
{
    return region->size.all ? UINT64_MAX : region->size.bytes - 1;
}

/* It answers itself where no subregion does. */
static inline bool region_answers(const struct topo_region *region)
{
    return region->kind != GMEM_KIND_CONTAINER && region->kind != GMEM_KIND_ALIAS;
}

#endif
