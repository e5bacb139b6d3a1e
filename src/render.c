/* SPDX-License-Identifier: MIT */
/*
 * render.c - the flat answer to "what is seen in [first, last] of this root".
 *
 * Two steps. The walk goes through the graph front to back (of siblings that overlap the winner
 * first, children before the region they lie on) and notes every piece that shows something itself: placements,
 * numbered in that order. The sweep then goes over all of them by address; at each point the lowest
 * number among those that reach there is seen. m placements cost O(m log m), however they overlap.
 *
 * Coordinates. The walk carries the window still visible in the region's own coordinates, where
 * nothing can overflow, and the distance to the root's, which is added modulo 2^64.
 *
 * Pure: reads regions under the writer turn, touches nothing but its result, its own memory and a
 * counter of the vm.
 */
#include "render.h"
#include "child_index.h"
#include "ram.h"
#include <errno.h>
#include <stdlib.h>

struct placement {
    uint64_t first, last;
    uint64_t offset;
    const gmem_region *region;
    uint32_t attrs;
    uint32_t order;
};

struct walk {
    struct placement *items;
    size_t count, room;
    unsigned visits;          /* pieces met, also those that show nothing themselves */
    struct gmem__found found; /* a stack: the subregions in the windows of the regions that are being visited */
};

#define INHERITED (GMEM_RANGE_READONLY | GMEM_RANGE_NONVOLATILE)

/*
 * Where a container shows exactly its one enabled subregion, that one; NULL with *ret_none if it
 * shows nothing at all.
 */
static gmem_region *lone_child(const gmem_region *container, bool *ret_none)
{
    gmem_region *child;

    *ret_none = container->children_enabled == 0;
    if (container->children_enabled != 1)
        return NULL;
    child = (gmem_region *)container->enabled_xor;
    return child->p.offset != 0 || child->p.last > container->p.last ? NULL : child;
}

gmem_region *gmem__render_root(gmem_region *root)
{
    uint64_t shown_at = root->p.offset;
    gmem_region *next;
    bool none = false;
    unsigned depth;

    /*
     * A step is taken only where the next region, as a root of its own, shows the very same: at the
     * same address, nothing cut off, no attribute added.
     */
    for (depth = 0; depth < GMEM_DEPTH_MAX; depth++) {
        if (!gmem__region_enabled(root))
            return NULL;
        if (root->p.attrs & INHERITED)
            return root;
        if (root->kind == GMEM_KIND_ALIAS) {
            next = root->p.target;
            if (root->p.target_from != 0 || next->p.last > root->p.last || next->p.offset != shown_at)
                return root;
        } else if (root->kind == GMEM_KIND_CONTAINER) {
            next = lone_child(root, &none);
            if (none)
                return NULL;
            if (!next || shown_at != 0)
                return root;
        } else {
            return root;
        }
        root = next;
    }
    return root;
}

static int place(struct walk *walk, const gmem_region *region, uint64_t first, uint64_t last, uint64_t distance,
                 uint32_t attrs)
{
    struct placement *placement;
    int err;

    err = gmem__grow((void **)&walk->items, &walk->room, walk->count + 1, sizeof(*walk->items));
    if (err)
        return err;
    placement = &walk->items[walk->count];
    placement->first = first + distance;
    placement->last = last + distance;
    placement->offset = first;
    placement->region = region;
    placement->attrs = attrs | (region->p.attrs & (GMEM_RANGE_ROMD | GMEM_RANGE_LOG_MASK));
    placement->order = (uint32_t)walk->count++;
    return 0;
}

static int visit(struct walk *walk, const gmem_region *region, uint64_t first, uint64_t last, uint64_t distance,
                 uint32_t attrs, unsigned depth);

static int visit_child(struct walk *walk, const gmem_region *child, uint64_t first, uint64_t last, uint64_t distance,
                       uint32_t attrs, unsigned depth)
{
    uint64_t child_last = child->p.offset + child->p.last;

    return visit(walk, child, gmem__max(first, child->p.offset) - child->p.offset,
                 gmem__min(last, child_last) - child->p.offset, distance + child->p.offset, attrs, depth + 1);
}

/* The subregions of region in [first, last]. */
static int visit_children(struct walk *walk, const gmem_region *region, uint64_t first, uint64_t last,
                          uint64_t distance, uint32_t attrs, unsigned depth)
{
    size_t from = walk->found.count, i;
    int err = gmem__child_index_find(region->child_index, first, last, &walk->found);

    /* Deeper visits put their own on top and take them off again; the array may move. */
    for (i = from; !err && i < walk->found.count; i++)
        err = visit_child(walk, walk->found.items[i].region, first, last, distance, attrs, depth);
    walk->found.count = from;
    return err;
}

/* Note what region shows of [first, last] in its own coordinates. */
static int visit(struct walk *walk, const gmem_region *region, uint64_t first, uint64_t last, uint64_t distance,
                 uint32_t attrs, unsigned depth)
{
    int err;

    if (depth > GMEM_DEPTH_MAX)
        return -E2BIG;
    if (!gmem__region_enabled(region) || first > region->p.last)
        return 0;
    if (walk->visits++ >= GMEM_PLACEMENTS_MAX)
        return -E2BIG;
    last = gmem__min(last, region->p.last);
    attrs |= region->p.attrs & INHERITED;
    if (region->kind == GMEM_KIND_ALIAS)
        return visit(walk, region->p.target, first + region->p.target_from, last + region->p.target_from,
                     distance - region->p.target_from, attrs, depth + 1);
    if (region->child_index) {
        err = visit_children(walk, region, first, last, distance, attrs, depth);
        if (err)
            return err;
    }
    return gmem__region_terminates(region) ? place(walk, region, first, last, distance, attrs) : 0;
}

static int compare_first(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* By address. Where no subregions overlap the walk met them in that order. */
static void sort_placements(struct walk *walk)
{
    size_t i = 1;

    while (i < walk->count && compare_first(&walk->items[i - 1], &walk->items[i]) < 0)
        i++;
    if (i < walk->count)
        qsort(walk->items, walk->count, sizeof(*walk->items), compare_first);
}

/* A binary heap of placements that have begun, the winner on top. */
struct heap {
    const struct placement **items;
    size_t count;
};

static void heap_push(struct heap *heap, const struct placement *placement)
{
    size_t at = heap->count++, up;

    for (; at > 0; at = up) {
        up = (at - 1) / 2;
        if (heap->items[up]->order < placement->order)
            break;
        heap->items[at] = heap->items[up];
    }
    heap->items[at] = placement;
}

static void heap_pop(struct heap *heap)
{
    const struct placement *placement = heap->items[--heap->count];
    size_t at = 0, down;

    while ((down = 2 * at + 1) < heap->count) {
        if (down + 1 < heap->count && heap->items[down + 1]->order < heap->items[down]->order)
            down++;
        if (placement->order < heap->items[down]->order)
            break;
        heap->items[at] = heap->items[down];
        at = down;
    }
    heap->items[at] = placement;
}

int gmem__ranges_add(struct gmem__ranges *ranges, const struct gmem__range *range)
{
    struct gmem__range *top;
    int err;

    if (ranges->count > 0) {
        top = &ranges->items[ranges->count - 1];
        if (top->region == range->region && top->attrs == range->attrs && top->last + 1 == range->first &&
            top->offset + (range->first - top->first) == range->offset) {
            top->last = range->last;
            return 0;
        }
    }
    err = gmem__grow((void **)&ranges->items, &ranges->room, ranges->count + 1, sizeof(*ranges->items));
    if (!err)
        ranges->items[ranges->count++] = *range;
    return err;
}

static int emit(struct gmem__ranges *ranges, const struct placement *placement, uint64_t first, uint64_t last)
{
    uint64_t offset = placement->offset + (first - placement->first);
    struct gmem__range range = {
        .first = first,
        .last = last,
        .offset = offset,
        .region = (gmem_region *)(uintptr_t)placement->region,
        .attrs = placement->attrs,
        .host = gmem__region_host(placement->region, offset),
        .ops = placement->region->ops,
        .opaque = placement->region->opaque,
    };

    return gmem__ranges_add(ranges, &range);
}

static int sweep(const struct walk *walk, struct heap *heap, struct gmem__ranges *ranges)
{
    const struct placement *top;
    uint64_t at = 0, end;
    size_t next = 0;
    int err;

    while (next < walk->count || heap->count > 0) {
        while (heap->count > 0 && heap->items[0]->last < at)
            heap_pop(heap);
        if (heap->count == 0) {
            if (next == walk->count)
                return 0;
            at = walk->items[next].first;
        }
        while (next < walk->count && walk->items[next].first <= at)
            heap_push(heap, &walk->items[next++]);
        top = heap->items[0];
        if (top->last < at)
            continue;
        end = top->last;
        if (next < walk->count)
            end = gmem__min(end, walk->items[next].first - 1);
        err = emit(ranges, top, at, end);
        if (err || end == GMEM__LAST)
            return err;
        at = end + 1;
    }
    return 0;
}

int gmem__render(const gmem_region *root, uint64_t first, uint64_t last, struct gmem__ranges *ranges)
{
    uint64_t shown_at = root->p.offset, shown_last = shown_at + root->p.last;
    struct walk walk = {0};
    struct heap heap = {0};
    int err = 0;

    if (first > shown_last || last < shown_at)
        return 0;
    err = visit(&walk, root, gmem__max(first, shown_at) - shown_at, gmem__min(last, shown_last) - shown_at, shown_at, 0,
                0);
    GMEM__COUNT(root->vm, regions_visited, walk.visits);
    if (!err && walk.count > 0) {
        heap.items = malloc(walk.count * sizeof(const struct placement *));
        if (heap.items) {
            sort_placements(&walk);
            err = sweep(&walk, &heap, ranges);
        } else {
            err = -ENOMEM;
        }
    }
    free(heap.items);
    free(walk.found.items);
    free(walk.items);
    return err;
}
