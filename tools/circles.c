/* SPDX-License-Identifier: MIT */
/*
 * Owns the array that it makes until circles_free(). One thread.
 *
 * A machine may have an alias of a container in that container, whose window is elsewhere in it: nothing is ever seen through itself. The
 * library refuses that: it looks at what contains what, not at windows. Regions that reach one another by what they contain and show are
 * a knot. An alias that leads from a knot into the same knot becomes a container; in it, each child of its target that the window
 * meets has an alias, if it is outside of the knot, or becomes a container in the same way.
 */
#include "circles.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define ADDED_MAX ((size_t)1 << 16)

struct undo {
    const struct topology *topology;
    struct topology *to;
    size_t *children; /* by parent */
    size_t *begin;    /* one more than there are regions */
    size_t *knot;     /* by region: the same for those that reach one another */
    size_t alias;     /* that is being undone */
    struct problem *problem;
};

static void index_children(struct undo *undo)
{
    const struct topo_region *regions = undo->topology->regions;
    size_t n = undo->topology->n_regions;

    /* Counted two places on, so that begin[parent + 1] may run while children are filled in, and ends as the next one's begin. */
    for (size_t i = 0; i < n; i++)
        if (regions[i].parent != NOWHERE)
            undo->begin[regions[i].parent + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        undo->begin[i] += undo->begin[i - 1];
    for (size_t i = 0; i < n; i++)
        if (regions[i].parent != NOWHERE)
            undo->children[undo->begin[regions[i].parent + 1]++] = i;
}

/* The i-th region that one contains or shows; NOWHERE: it has no more. */
static size_t below(const struct undo *undo, size_t region, size_t i)
{
    size_t n = undo->begin[region + 1] - undo->begin[region];

    if (i < n)
        return undo->children[undo->begin[region] + i];
    return i == n ? undo->topology->regions[region].target : NOWHERE;
}

/* Tarjan's strongly connected components, without recursion. */
static void find_knots(struct undo *undo)
{
    size_t n = undo->topology->n_regions, found = 0, n_stack = 0;
    size_t *number = alloc_zeroed(n, sizeof(*number)), *low = alloc_zeroed(n, sizeof(*low));
    size_t *stack = alloc_zeroed(n, sizeof(*stack)), *path = alloc_zeroed(n, sizeof(*path));
    size_t *at = alloc_zeroed(n, sizeof(*at));

    for (size_t i = 0; i < n; i++)
        undo->knot[i] = NOWHERE;
    for (size_t i = 0; i < n; i++) {
        size_t depth = 0;

        if (number[i])
            continue;
        path[depth++] = i;
        while (depth) {
            size_t region = path[depth - 1], next;

            if (!number[region]) {
                number[region] = low[region] = ++found;
                stack[n_stack++] = region;
            }
            next = below(undo, region, at[region]);
            if (next != NOWHERE) {
                at[region]++;
                if (!number[next])
                    path[depth++] = next;
                else if (undo->knot[next] == NOWHERE && number[next] < low[region])
                    low[region] = number[next];
                continue;
            }
            depth--;
            if (depth && low[region] < low[path[depth - 1]])
                low[path[depth - 1]] = low[region];
            if (low[region] != number[region])
                continue;
            do
                undo->knot[stack[--n_stack]] = region;
            while (stack[n_stack] != region);
        }
    }
    free(number);
    free(low);
    free(stack);
    free(path);
    free(at);
}

static uint64_t last_offset(const struct topo_region *region)
{
    return region->size.all ? UINT64_MAX : region->size.bytes - 1;
}

/* A copy of region, which shows what it shows from skip on and no more than up to room, at offset in container. */
static size_t add_copy(struct undo *undo, size_t region, size_t container, uint64_t skip, uint64_t offset,
                       uint64_t room)
{
    size_t index = topology_add_region(undo->to);
    struct topo_region *copy = &undo->to->regions[index];
    uint64_t left = last_offset(&undo->topology->regions[region]) - skip;

    *copy = undo->topology->regions[region];
    copy->parent = container;
    copy->offset = offset;
    if (left > room)
        left = room;
    copy->size = left == UINT64_MAX ? GMEM_SIZE_ALL : GMEM_SIZE(left + 1);
    copy->target = NOWHERE;
    copy->kind = GMEM_KIND_CONTAINER;
    copy->ram = NULL;
    return index;
}

/* container is to show what region shows, from skip on and no more than up to room. */
static bool fill(struct undo *undo, size_t container, size_t region, uint64_t skip, uint64_t room, unsigned depth)
{
    const struct topo_region *of = &undo->topology->regions[region];

    if (!of->enabled || skip > last_offset(of))
        return true;
    if (room > last_offset(of) - skip)
        room = last_offset(of) - skip;
    undo->to->regions[container].readonly |= of->readonly;
    undo->to->regions[container].nonvolatile |= of->nonvolatile;
    if (depth > GMEM_DEPTH_MAX || undo->to->n_regions > undo->topology->n_regions + ADDED_MAX)
        return problem_at(undo->problem, undo->topology->source, undo->topology->regions[undo->alias].line,
                          "\"%s\" shows itself: aliases in a circle", undo->topology->regions[undo->alias].name);
    if (of->kind == GMEM_KIND_ALIAS)
        return of->target == NOWHERE || skip > UINT64_MAX - of->target_offset ||
               fill(undo, container, of->target, skip + of->target_offset, room, depth + 1);
    if (of->kind != GMEM_KIND_CONTAINER)
        return problem_at(undo->problem, undo->topology->source, undo->topology->regions[undo->alias].line,
                          "\"%s\" lies in \"%s\", which answers itself, and shows it: that can't be built",
                          undo->topology->regions[undo->alias].name, of->name);
    for (size_t i = undo->begin[region]; i < undo->begin[region + 1]; i++) {
        size_t child = undo->children[i], copy;
        const struct topo_region *c = &undo->topology->regions[child];
        bool later = c->offset > skip;
        uint64_t inside = later ? 0 : skip - c->offset, offset = later ? c->offset - skip : 0;

        if (!c->enabled || offset > room || inside > last_offset(c))
            continue;
        copy = add_copy(undo, child, container, inside, offset, room - offset);
        if (undo->knot[child] != undo->knot[undo->alias]) {
            undo->to->regions[copy].kind = GMEM_KIND_ALIAS;
            undo->to->regions[copy].target = child;
            undo->to->regions[copy].target_offset = inside;
        } else if (!fill(undo, copy, child, inside, room - offset, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool circles_undo(const struct topology *topology, struct topology *ret, struct problem *problem)
{
    size_t n = topology->n_regions;
    struct undo undo = {.topology = topology,
                        .to = ret,
                        .children = alloc_zeroed(n, sizeof(size_t)),
                        .begin = alloc_zeroed(n + 2, sizeof(size_t)),
                        .knot = alloc_zeroed(n, sizeof(size_t)),
                        .problem = problem};
    bool ok = true;

    *ret = *topology;
    ret->n_regions = 0;
    ret->regions = NULL;
    for (size_t i = 0; i < n; i++) {
        alloc_grow(&ret->regions, i, sizeof(*ret->regions));
        ret->regions[i] = topology->regions[i];
    }
    ret->n_regions = n;
    index_children(&undo);
    find_knots(&undo);
    for (size_t i = 0; ok && i < n; i++) {
        const struct topo_region *region = &topology->regions[i];

        if (region->target == NOWHERE || undo.knot[region->target] != undo.knot[i])
            continue;
        undo.alias = i;
        ret->regions[i].kind = GMEM_KIND_CONTAINER;
        ret->regions[i].target = NOWHERE;
        ok = !region->enabled || fill(&undo, i, region->target, region->target_offset, last_offset(region), 0);
    }
    free(undo.children);
    free(undo.begin);
    free(undo.knot);
    if (!ok)
        circles_free(ret);
    return ok;
}

void circles_free(struct topology *undone)
{
    free(undone->regions);
    *undone = (struct topology){0};
}
