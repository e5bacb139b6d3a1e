/* SPDX-License-Identifier: MIT */
/*
 * A space and the flat view of it, side by side. Owns only what it works with. One thread.
 */
#include "infer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* Ways of one space; and, over all of its places, ways that lie there. A machine has a few thousand of either. */
#define WAYS_MAX ((size_t)1 << 20)
#define WORK_MAX ((size_t)1 << 26)

static int by_first(const void *a, const void *b, void *opaque)
{
    const struct way *ways = opaque, *x = &ways[*(const size_t *)a], *y = &ways[*(const size_t *)b];

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static size_t insert(const struct way *ways, size_t *active, size_t n, size_t way)
{
    size_t i = n;

    for (; i && ways[active[i - 1]].order > ways[way].order; i--)
        active[i] = active[i - 1];
    active[i] = way;
    return n + 1;
}

static size_t drop_ended(const struct way *ways, size_t *active, size_t n, uint64_t at)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        if (ways[active[i]].last >= at)
            active[left++] = active[i];
    return left;
}

struct sweep {
    struct infer *in;
    struct infer_place place;
    size_t *begin; /* ways by rising first */
    size_t n_begin;
    size_t *active;
    const struct flat_view *view;
    infer_place_fn *fn;
    void *opaque;
};

static bool sweep(struct sweep *sweep, uint64_t at, uint64_t end)
{
    const struct way *ways = sweep->place.ways->ways;
    size_t range = 0, n = 0, begun = 0, work = 0;

    for (;;) {
        uint64_t last = end;
        struct infer_place *place = &sweep->place;

        n = drop_ended(ways, sweep->active, n, at);
        while (begun < sweep->n_begin && ways[sweep->begin[begun]].first <= at)
            n = insert(ways, sweep->active, n, sweep->begin[begun++]);
        n = drop_ended(ways, sweep->active, n, at); /* of a part, some end before it begins */
        while (range < sweep->view->n_ranges && sweep->view->ranges[range].last < at)
            range++;
        if (begun < sweep->n_begin && ways[sweep->begin[begun]].first - 1 < last)
            last = ways[sweep->begin[begun]].first - 1;
        for (size_t i = 0; i < n; i++)
            if (ways[sweep->active[i]].last < last)
                last = ways[sweep->active[i]].last;
        place->range = NULL;
        if (range < sweep->view->n_ranges) {
            const struct flat_range *r = &sweep->view->ranges[range];

            if (r->first <= at)
                place->range = r;
            if (r->first <= at ? r->last < last : r->first - 1 < last)
                last = r->first <= at ? r->last : r->first - 1;
        }
        place->first = at;
        place->last = last;
        place->active = sweep->active;
        place->n_active = n;
        work += n + 1;
        if (work > WORK_MAX)
            return problem_at(sweep->in->problem, sweep->in->mtree->source, 0,
                              "too many regions lie over one another to be compared with the flat dump");
        if (n || place->range)
            sweep->fn(sweep->opaque, place);
        if (last == end)
            return true;
        at = last + 1;
    }
}

bool infer_sweep(struct infer *in, size_t space, const struct flat_view *view, uint64_t first, uint64_t last,
                 infer_place_fn *fn, void *opaque)
{
    struct ways ways;
    struct sweep all = {.in = in, .place = {.ways = &ways}, .view = view, .fn = fn, .opaque = opaque};
    bool ok;

    if (!ways_find_in(in->index, space, first, last, WAYS_MAX, &ways, in->problem))
        return false;
    all.begin = alloc_zeroed(ways.n, sizeof(*all.begin));
    all.active = alloc_zeroed(ways.n, sizeof(*all.active));
    for (size_t i = 0; i < ways.n; i++)
        if (ways.ways[i].enabled && in->topology->regions[ways.ways[i].region].kind != GMEM_KIND_ALIAS)
            all.begin[all.n_begin++] = i;
    qsort_r(all.begin, all.n_begin, sizeof(*all.begin), by_first, ways.ways);
    ok = sweep(&all, first, last);
    free(all.begin);
    free(all.active);
    ways_free(&ways);
    return ok;
}

static enum mtree_type shown_type(const struct topo_region *region)
{
    switch (region->kind) {
    case GMEM_KIND_RAM:
        return MTREE_RAM;
    case GMEM_KIND_ROM:
        return MTREE_ROM;
    case GMEM_KIND_ROMD:
        return region->romd ? MTREE_ROMD : MTREE_IO;
    case GMEM_KIND_RAM_DEVICE:
        return MTREE_RAMD;
    case GMEM_KIND_CONTAINER:
    case GMEM_KIND_RESERVED:
    case GMEM_KIND_MMIO:
    case GMEM_KIND_IOMMU:
    case GMEM_KIND_ALIAS:
        break;
    }
    return MTREE_IO;
}

bool infer_matches(const struct infer *in, const struct infer_place *place, size_t way)
{
    const struct way *w = &place->ways->ways[way];
    const struct topo_region *region = &in->topology->regions[w->region];
    const struct flat_range *range = place->range;

    if (w->offset + (place->first - w->first) != range->offset + (place->first - range->first) ||
        range->priority != region->priority || strcmp(range->name, region->name) != 0)
        return false;
    if (range->owner && region->owner && strcmp(range->owner, region->owner) != 0)
        return false;
    /* Seen through a read-only alias, everything is shown as rom. */
    return in->regions[w->region].open_memory || range->type == MTREE_ROM || range->type == shown_type(region);
}

size_t infer_winner(const struct infer *in, const struct infer_place *place)
{
    size_t i = 0;

    while (i < place->n_active && !infer_matches(in, place, place->active[i]))
        i++;
    return i;
}
