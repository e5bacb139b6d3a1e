/* SPDX-License-Identifier: MIT */
/*
 * Owns an array until ways_free(). One thread.
 *
 * A subregion lies over what its container itself shows, so a way's order is that of leaving it, not of entering.
 */
#include "ways.h"

#include <stdlib.h>

#include "alloc.h"

struct walk {
    const struct topology *topology;
    const size_t *children; /* by parent, in the order in which they win */
    const size_t *begin;    /* where a parent's children begin; one more than there are regions */
    uint64_t first, last;
    size_t limit;
    size_t order;
    struct ways *ways;
    struct problem *problem;
};

static const struct topology *sorted;

static int by_precedence(const void *a, const void *b)
{
    const struct topo_region *x = &sorted->regions[*(const size_t *)a], *y = &sorted->regions[*(const size_t *)b];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static uint64_t last_offset(const struct topo_region *region)
{
    return region->size.all ? UINT64_MAX : region->size.bytes - 1;
}

static uint32_t own_attrs(const struct topo_region *region)
{
    return (region->readonly || region->kind == GMEM_KIND_ROM ? GMEM_RANGE_READONLY : 0) |
           (region->nonvolatile ? GMEM_RANGE_NONVOLATILE : 0) |
           (region->kind == GMEM_KIND_ROMD && region->romd ? GMEM_RANGE_ROMD : 0);
}

/* The region begins later bytes behind above's first, or skip of its own bytes lie before that; above->up is its way's index. */
static bool walk_region(struct walk *walk, size_t index, const struct way *above, uint64_t skip, uint64_t later);

static bool walk_below(struct walk *walk, size_t self)
{
    const struct way way = walk->ways->ways[self]; /* a copy: the array moves */
    const struct topo_region *region = &walk->topology->regions[way.region];
    struct way above = way;

    above.up = self;
    if (region->kind == GMEM_KIND_ALIAS && region->target != NOWHERE) {
        uint64_t skip = region->target_offset + way.offset;

        if (skip < way.offset) /* the window is past the end of every target */
            return true;
        return walk_region(walk, region->target, &above, skip, 0);
    }
    for (size_t i = walk->begin[way.region]; i < walk->begin[way.region + 1]; i++) {
        size_t child = walk->children[i];
        uint64_t offset = walk->topology->regions[child].offset;
        bool later = offset > way.offset;

        if (!walk_region(walk, child, &above, later ? 0 : way.offset - offset, later ? offset - way.offset : 0))
            return false;
    }
    return true;
}

static bool walk_region(struct walk *walk, size_t index, const struct way *above, uint64_t skip, uint64_t later)
{
    const struct topo_region *region = &walk->topology->regions[index];
    struct way way = {.region = index, .up = above->up, .depth = above->up == NOWHERE ? 0 : above->depth + 1};
    uint64_t room, left;
    size_t self;

    if (later > above->last - above->first || skip > last_offset(region))
        return true;
    way.first = above->first + later;
    way.offset = skip;
    room = above->last - way.first;
    left = last_offset(region) - skip;
    way.cut = skip > 0 || left > room;
    way.last = way.first + (left < room ? left : room);
    if (way.last < walk->first || way.first > walk->last)
        return true;
    if (way.depth > GMEM_DEPTH_MAX || walk->ways->n == walk->limit)
        return problem_at(walk->problem, walk->topology->source, region->line, "%s: %s", region->name,
                          way.depth > GMEM_DEPTH_MAX ? "nested too deep"
                                                     : "more ways to see a region than can be shown");
    way.enabled = above->enabled && region->enabled;
    way.attrs = (above->attrs & ~GMEM_RANGE_ROMD) | own_attrs(region);
    self = walk->ways->n++;
    alloc_grow(&walk->ways->ways, self, sizeof(way));
    walk->ways->ways[self] = way;
    if (!walk_below(walk, self))
        return false;
    walk->ways->ways[self].order = walk->order++;
    return true;
}

bool ways_find(const struct topology *topology, size_t space, uint64_t first, uint64_t last, size_t limit,
               struct ways *ways, struct problem *problem)
{
    size_t n = topology->n_regions, root = topology->spaces[space].root, at = 0;
    size_t *children = alloc_zeroed(n, sizeof(*children)), *begin = alloc_zeroed(n + 1, sizeof(*begin));
    struct way outside = {.up = NOWHERE, .last = UINT64_MAX, .enabled = true};
    struct walk walk = {.topology = topology,
                        .children = children,
                        .begin = begin,
                        .first = first,
                        .last = last,
                        .limit = limit,
                        .ways = ways,
                        .problem = problem};
    bool ok = true;

    *ways = (struct ways){0};
    for (size_t i = 0; i < n; i++)
        children[i] = i;
    sorted = topology;
    qsort(children, n, sizeof(*children), by_precedence);
    for (size_t i = 0; i < n; i++) {
        begin[i] = at;
        while (at < n && topology->regions[children[at]].parent == i)
            at++;
    }
    begin[n] = at;
    if (root != NOWHERE)
        ok = walk_region(&walk, root, &outside, 0, topology->regions[root].offset);
    free(children);
    free(begin);
    if (!ok)
        ways_free(ways);
    return ok;
}

void ways_free(struct ways *ways)
{
    free(ways->ways);
    *ways = (struct ways){0};
}
