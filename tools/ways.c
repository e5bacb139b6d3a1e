/* SPDX-License-Identifier: MIT */
/*
 * Owns an array until ways_free(), an index until ways_index_free(). One thread.
 *
 * A subregion lies over what its container itself shows, so a way's order is that of leaving it, not of entering.
 *
 * The index has the subregions of each container by offset, as a balanced tree laid out in the array: the middle of an interval is
 * its root, and far says how far the interval reaches. So what lies somewhere is found without looking at all siblings.
 */
#include "ways.h"

#include <stdlib.h>

#include "alloc.h"

struct ways_index {
    const struct topology *topology;
    size_t *children; /* by parent, then by offset */
    size_t *begin;    /* where a parent's children begin; one more than there are regions */
    uint64_t *far;    /* by place in children: the last offset that anything of its tree reaches */
    uint64_t *reach;  /* by region: the last offset that it or something in it reaches, clipped by nothing */
    size_t *place;    /* by region: precedence among siblings, lower first */
};

struct walk {
    const struct ways_index *index;
    uint64_t first, last;
    size_t limit;
    size_t visits;
    size_t order;
    size_t *found; /* a stack of subregions to be visited */
    size_t n_found;
    struct ways *ways;
    struct problem *problem;
};

static uint64_t add_up_to_end(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static int by_precedence(const void *a, const void *b, void *opaque)
{
    const struct topo_region *regions = opaque;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct topo_region *x = &regions[i], *y = &regions[k];

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return i < k ? 1 : i > k ? -1 : 0;
}

static int by_offset(const void *a, const void *b, void *opaque)
{
    const struct topo_region *regions = opaque;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct topo_region *x = &regions[i], *y = &regions[k];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return i < k ? -1 : i > k ? 1 : 0;
}

static int by_place(const void *a, const void *b, void *opaque)
{
    const size_t *place = opaque;
    size_t x = place[*(const size_t *)a], y = place[*(const size_t *)b];

    return x < y ? -1 : x > y ? 1 : 0;
}

/* Each region pushes its end outwards, as far as that is news. */
static void find_reach(struct ways_index *index)
{
    const struct topo_region *regions = index->topology->regions;

    for (size_t i = 0; i < index->topology->n_regions; i++)
        index->reach[i] = region_last(&regions[i]);
    for (size_t i = 0; i < index->topology->n_regions; i++) {
        size_t at = i;

        for (unsigned depth = 0; depth <= GMEM_DEPTH_MAX && regions[at].parent != NOWHERE; depth++) {
            uint64_t end = add_up_to_end(regions[at].offset, index->reach[at]);

            at = regions[at].parent;
            if (index->reach[at] >= end)
                break;
            index->reach[at] = end;
        }
    }
}

static uint64_t find_far(struct ways_index *index, size_t begin, size_t end)
{
    size_t middle = begin + (end - begin) / 2;
    size_t child;
    uint64_t far, below;

    if (begin == end)
        return 0;
    child = index->children[middle];
    far = add_up_to_end(index->topology->regions[child].offset, index->reach[child]);
    below = find_far(index, begin, middle);
    far = below > far ? below : far;
    below = find_far(index, middle + 1, end);
    far = below > far ? below : far;
    index->far[middle] = far;
    return far;
}

struct ways_index *ways_index(const struct topology *topology)
{
    size_t n = topology->n_regions, at = 0;
    struct ways_index *index = alloc_zeroed(1, sizeof(*index));

    index->topology = topology;
    index->children = alloc_zeroed(n, sizeof(*index->children));
    index->begin = alloc_zeroed(n + 1, sizeof(*index->begin));
    index->far = alloc_zeroed(n, sizeof(*index->far));
    index->reach = alloc_zeroed(n, sizeof(*index->reach));
    index->place = alloc_zeroed(n, sizeof(*index->place));
    for (size_t i = 0; i < n; i++)
        index->children[i] = i;
    qsort_r(index->children, n, sizeof(*index->children), by_precedence, topology->regions);
    for (size_t i = 0; i < n; i++)
        index->place[index->children[i]] = i;
    qsort_r(index->children, n, sizeof(*index->children), by_offset, topology->regions);
    find_reach(index);
    for (size_t i = 0; i < n; i++) {
        index->begin[i] = at;
        while (at < n && topology->regions[index->children[at]].parent == i)
            at++;
        find_far(index, index->begin[i], at);
    }
    index->begin[n] = at;
    return index;
}

void ways_index_free(struct ways_index *index)
{
    if (!index)
        return;
    free(index->children);
    free(index->begin);
    free(index->far);
    free(index->reach);
    free(index->place);
    free(index);
}

/* Put those of [begin, end) that reach into [first, last] of their container on the stack. */
static void find(struct walk *walk, size_t begin, size_t end, uint64_t first, uint64_t last)
{
    const struct ways_index *index = walk->index;

    while (begin < end) {
        size_t middle = begin + (end - begin) / 2, child = index->children[middle];
        uint64_t offset = index->topology->regions[child].offset;

        if (index->far[middle] < first)
            return;
        find(walk, begin, middle, first, last);
        if (offset > last)
            return;
        if (add_up_to_end(offset, index->reach[child]) >= first) {
            alloc_grow(&walk->found, walk->n_found, sizeof(*walk->found));
            walk->found[walk->n_found++] = child;
        }
        begin = middle + 1;
    }
}

/* Those of one container, in the order in which they win. Returns where on the stack they begin. */
static size_t find_children(struct walk *walk, size_t region, uint64_t first, uint64_t last)
{
    size_t from = walk->n_found;

    find(walk, walk->index->begin[region], walk->index->begin[region + 1], first, last);
    if (walk->n_found > from)
        qsort_r(walk->found + from, walk->n_found - from, sizeof(*walk->found), by_place, walk->index->place);
    return from;
}

static uint32_t own_attrs(const struct topo_region *region)
{
    return (region->readonly || region->kind == GMEM_KIND_ROM ? GMEM_RANGE_READONLY : 0) |
           (region->nonvolatile ? GMEM_RANGE_NONVOLATILE : 0) |
           (region->kind == GMEM_KIND_ROMD && region->romd ? GMEM_RANGE_ROMD : 0);
}

/*
 * Nothing is seen through itself, so what is seen goes in no circle. What is disabled, or past the end of a container, may: once
 * around is enough.
 */
static bool circle(const struct walk *walk, size_t region, const struct way *above, bool outside)
{
    if (above->enabled && walk->index->topology->regions[region].enabled && !outside)
        return false;
    for (size_t way = above->up; way != NOWHERE; way = walk->ways->ways[way].up)
        if (walk->ways->ways[way].region == region)
            return true;
    return false;
}

static bool push(struct walk *walk, struct way *way, const struct way *above, size_t *ret_self)
{
    const struct topo_region *region = &walk->index->topology->regions[way->region];

    if (way->depth > GMEM_DEPTH_MAX || walk->ways->n == walk->limit || walk->visits++ / 16 >= walk->limit)
        return problem_at(walk->problem, walk->index->topology->source, region->line, "%s: %s", region->name,
                          way->depth > GMEM_DEPTH_MAX ? "nested too deep"
                                                      : "more ways to see a region than can be shown");
    way->enabled = above->enabled && region->enabled;
    way->attrs = (above->attrs & ~GMEM_RANGE_ROMD) | own_attrs(region);
    *ret_self = walk->ways->n++;
    alloc_grow(&walk->ways->ways, *ret_self, sizeof(*way));
    walk->ways->ways[*ret_self] = *way;
    return true;
}

/* The region begins later bytes behind above's first, or skip of its own bytes lie before that; above->up is its way's index. */
static bool walk_region(struct walk *walk, size_t index, const struct way *above, uint64_t skip, uint64_t later);

static bool walk_below(struct walk *walk, size_t self)
{
    const struct way way = walk->ways->ways[self]; /* a copy: the array moves */
    const struct topo_region *regions = walk->index->topology->regions, *region = &regions[way.region];
    uint64_t first = way.first < walk->first ? walk->first : way.first;
    uint64_t last = way.last > walk->last ? walk->last : way.last;
    struct way above = way;
    bool ok = true;
    size_t from;

    above.up = self;
    if (region->kind == GMEM_KIND_ALIAS) {
        uint64_t skip = region->target_offset + way.offset;

        if (region->target == NOWHERE || skip < way.offset) /* the window is past the end of every target */
            return true;
        return walk_region(walk, region->target, &above, skip, 0);
    }
    from = find_children(walk, way.region, way.offset + (first - way.first), way.offset + (last - way.first));
    for (size_t i = from; ok && i < walk->n_found; i++) {
        size_t child = walk->found[i];
        uint64_t offset = regions[child].offset;
        bool later = offset > way.offset;

        ok = walk_region(walk, child, &above, later ? 0 : way.offset - offset, later ? offset - way.offset : 0);
    }
    walk->n_found = from;
    return ok;
}

static bool walk_region(struct walk *walk, size_t index, const struct way *above, uint64_t skip, uint64_t later)
{
    const struct topo_region *region = &walk->index->topology->regions[index];
    struct way way = {.region = index, .up = above->up, .depth = above->up == NOWHERE ? 0 : above->depth + 1};
    uint64_t room, left;
    size_t self = 0;

    if (later > above->last - above->first || skip > region_last(region))
        return true;
    way.first = above->first + later;
    way.offset = skip;
    room = above->last - way.first;
    left = region_last(region) - skip;
    way.cut = skip > 0 || left > room;
    way.last = way.first + (left < room ? left : room);
    if (way.last < walk->first || way.first > walk->last || circle(walk, index, above, false))
        return true;
    if (!push(walk, &way, above, &self) || !walk_below(walk, self))
        return false;
    walk->ways->ways[self].order = walk->order++;
    return true;
}

/* The address is at offset of the region, or of where it would be if it went on. */
static bool walk_at(struct walk *walk, size_t index, const struct way *above, uint64_t offset)
{
    const struct topo_region *regions = walk->index->topology->regions, *region = &regions[index];
    struct way way = {.region = index, .up = above->up, .depth = above->up == NOWHERE ? 0 : above->depth + 1};
    uint64_t addr = walk->first, before = offset, behind;
    bool ended = offset > region_last(region), ok = true;
    size_t self = 0, from;

    way.outside = above->outside || ended;
    if (circle(walk, index, above, way.outside))
        return true;
    if (!way.outside && before > addr - above->first)
        before = addr - above->first;
    if (before > addr)
        before = addr;
    behind = ended ? 0 : region_last(region) - offset;
    if (!way.outside && behind > above->last - addr)
        behind = above->last - addr;
    way.first = addr - before;
    way.offset = offset - before;
    if (!ended)
        way.last = add_up_to_end(addr, behind);
    else
        way.last = way.first + (way.offset < region_last(region) ? region_last(region) - way.offset : 0);
    way.cut = way.offset > 0 || (!ended && behind < region_last(region) - offset);
    if (!push(walk, &way, above, &self))
        return false;
    way.up = self;
    way.enabled = walk->ways->ways[self].enabled;
    way.attrs = walk->ways->ways[self].attrs;
    if (region->kind == GMEM_KIND_ALIAS) {
        uint64_t there = region->target_offset + offset;

        if (!ended && region->target != NOWHERE && there >= offset && there <= walk->index->reach[region->target])
            ok = walk_at(walk, region->target, &way, there);
    } else {
        from = find_children(walk, index, offset, offset);
        for (size_t i = from; ok && i < walk->n_found; i++)
            ok = walk_at(walk, walk->found[i], &way, offset - regions[walk->found[i]].offset);
        walk->n_found = from;
    }
    if (ended && walk->ways->n == self + 1)
        walk->ways->n = self; /* nothing of it is there either */
    else
        walk->ways->ways[self].order = walk->order++;
    return ok;
}

static bool done(struct walk *walk, bool ok)
{
    free(walk->found);
    if (!ok)
        ways_free(walk->ways);
    return ok;
}

static const struct way outermost = {.up = NOWHERE, .last = UINT64_MAX, .enabled = true};

bool ways_find_in(const struct ways_index *index, size_t space, uint64_t first, uint64_t last, size_t limit,
                  struct ways *ways, struct problem *problem)
{
    size_t root = index->topology->spaces[space].root;
    struct walk walk = {.index = index, .first = first, .last = last, .limit = limit, .ways = ways, .problem = problem};

    *ways = (struct ways){0};
    return done(&walk,
                root == NOWHERE || walk_region(&walk, root, &outermost, 0, index->topology->regions[root].offset));
}

bool ways_at(const struct ways_index *index, size_t space, uint64_t addr, size_t limit, struct ways *ways,
             struct problem *problem)
{
    size_t root = index->topology->spaces[space].root;
    uint64_t offset = root == NOWHERE ? 0 : index->topology->regions[root].offset;
    struct walk walk = {.index = index, .first = addr, .last = addr, .limit = limit, .ways = ways, .problem = problem};

    *ways = (struct ways){0};
    return done(&walk, root == NOWHERE || addr < offset || addr - offset > index->reach[root] ||
                           walk_at(&walk, root, &outermost, addr - offset));
}

bool ways_find(const struct topology *topology, size_t space, uint64_t first, uint64_t last, size_t limit,
               struct ways *ways, struct problem *problem)
{
    struct ways_index *index = ways_index(topology);
    bool ok = ways_find_in(index, space, first, last, limit, ways, problem);

    ways_index_free(index);
    return ok;
}

void ways_free(struct ways *ways)
{
    free(ways->ways);
    *ways = (struct ways){0};
}
