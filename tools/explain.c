/* SPDX-License-Identifier: MIT */
/*
 * Owns an explainer's index and copies of the views, and an explanation's arrays. One thread.
 *
 * The ranges are the library's; the reasons are found by walking the topology to the one address. Both say who wins, and if they do
 * not say the same, that is a fault of this program, which is reported and not glossed over.
 */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct ranges {
    gmem_view *view; /* a reference held */
    struct gmem_section *items;
    size_t n;
};

struct explainer {
    const struct map *map;
    const struct topology *topology;
    struct ways_index *index;
    struct ranges *ranges; /* of each view that was asked for */
    size_t n_ranges;
    size_t *of_space;    /* by space: which of ranges, NOWHERE: not asked for yet */
    size_t *guesses;     /* indices of the topology's, by region */
    size_t *guess_begin; /* by region, one more than there are regions */
};

static void sort_guesses(struct explainer *explainer)
{
    const struct topology *topology = explainer->topology;
    size_t n = topology->n_regions, *begin = alloc_zeroed(n + 2, sizeof(*begin));

    explainer->guesses = alloc_zeroed(topology->n_guesses, sizeof(*explainer->guesses));
    /* Counted two places ahead: filling moves each up to where its region begins. */
    for (size_t i = 0; i < topology->n_guesses; i++)
        if (topology->guesses[i].region < n)
            begin[topology->guesses[i].region + 2]++;
    for (size_t i = 1; i < n + 2; i++)
        begin[i] += begin[i - 1];
    for (size_t i = 0; i < topology->n_guesses; i++)
        if (topology->guesses[i].region < n)
            explainer->guesses[begin[topology->guesses[i].region + 1]++] = i;
    explainer->guess_begin = begin;
}

struct explainer *explainer_new(const struct map *map)
{
    struct explainer *explainer = alloc_zeroed(1, sizeof(*explainer));

    explainer->map = map;
    explainer->topology = map->topology;
    explainer->index = ways_index(map->topology);
    explainer->of_space = alloc_zeroed(map->topology->n_spaces, sizeof(*explainer->of_space));
    for (size_t i = 0; i < map->topology->n_spaces; i++)
        explainer->of_space[i] = NOWHERE;
    sort_guesses(explainer);
    return explainer;
}

void explainer_free(struct explainer *explainer)
{
    if (!explainer)
        return;
    for (size_t i = 0; i < explainer->n_ranges; i++) {
        gmem_view_unref(explainer->ranges[i].view);
        free(explainer->ranges[i].items);
    }
    free(explainer->ranges);
    free(explainer->of_space);
    free(explainer->guesses);
    free(explainer->guess_begin);
    ways_index_free(explainer->index);
    free(explainer);
}

const struct map *explainer_map(const struct explainer *explainer)
{
    return explainer->map;
}

static int collect(void *opaque, const struct gmem_section *section)
{
    struct ranges *ranges = opaque;

    ranges->items[ranges->n++] = *section;
    return 0;
}

/* Spaces that share a view share the copy. */
static const struct ranges *ranges_of(struct explainer *explainer, size_t space)
{
    gmem_view *view;
    size_t i = explainer->of_space[space];
    struct ranges *ranges;

    if (i != NOWHERE)
        return &explainer->ranges[i];
    view = gmem_space_view(explainer->map->spaces[space]);
    for (i = 0; i < explainer->n_ranges && explainer->ranges[i].view != view; i++)
        ;
    explainer->of_space[space] = i;
    if (i < explainer->n_ranges) {
        gmem_view_unref(view);
        return &explainer->ranges[i];
    }
    explainer->n_ranges++;
    alloc_grow(&explainer->ranges, i, sizeof(*explainer->ranges));
    ranges = &explainer->ranges[i];
    *ranges = (struct ranges){.view = view, .items = alloc_zeroed(gmem_view_count(view), sizeof(*ranges->items))};
    gmem_view_foreach(view, collect, ranges);
    return ranges;
}

const struct gmem_section *explainer_ranges(struct explainer *explainer, size_t space, size_t *ret_n)
{
    const struct ranges *ranges = ranges_of(explainer, space);

    *ret_n = ranges->n;
    return ranges->items;
}

size_t explain_chain(const struct explanation *explanation, size_t way, size_t ways[GMEM_DEPTH_MAX + 1])
{
    size_t n = explanation->ways.ways[way].depth + 1, i = n;

    do {
        ways[--i] = way;
        way = explanation->ways.ways[way].up;
    } while (i > 0);
    return n;
}

static const struct topo_region *region_of(const struct explainer *explainer, const struct explanation *explanation,
                                           size_t way)
{
    return &explainer->topology->regions[explanation->ways.ways[way].region];
}

/* Of the explanation's address, in the region on this way. */
static uint64_t offset_in(const struct explanation *explanation, size_t way)
{
    const struct way *at = &explanation->ways.ways[way];

    return at->offset + (explanation->addr - at->first);
}

static void decide_outside(const struct explainer *explainer, const struct explanation *explanation,
                           struct candidate *candidate)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(explanation, candidate->way, chain);

    candidate->fate = FATE_OUTSIDE;
    /* From within: of several that have ended, what is in the innermost goes on, what is in the others need not. */
    for (size_t i = n - 1; i-- > 0;)
        if (offset_in(explanation, chain[i]) > region_last(region_of(explainer, explanation, chain[i]))) {
            candidate->by = explanation->ways.ways[chain[i]].region;
            candidate->against = explanation->ways.ways[chain[i + 1]].region;
            return;
        }
    /* No way of its own for a target that ends before. */
    candidate->against = explanation->ways.ways[candidate->way].region;
    candidate->by = explainer->topology->regions[candidate->against].target;
}

static void decide_disabled(const struct explainer *explainer, const struct explanation *explanation,
                            struct candidate *candidate)
{
    size_t chain[GMEM_DEPTH_MAX + 1], n = explain_chain(explanation, candidate->way, chain), i = 0;

    while (i + 1 < n && region_of(explainer, explanation, chain[i])->enabled)
        i++;
    candidate->fate = FATE_DISABLED;
    candidate->by = explanation->ways.ways[chain[i]].region;
}

/* Where their ways part, two siblings lie one over the other; or the winner is in the loser. */
static void decide_lower(const struct explainer *explainer, const struct explanation *explanation, size_t winner,
                         struct candidate *candidate)
{
    size_t ours[GMEM_DEPTH_MAX + 1], n = explain_chain(explanation, candidate->way, ours);
    size_t theirs[GMEM_DEPTH_MAX + 1], m = explain_chain(explanation, winner, theirs), i = 0;
    const struct topo_region *x, *y;

    while (i < n && i < m && ours[i] == theirs[i])
        i++;
    candidate->by = explanation->ways.ways[theirs[i]].region;
    if (i == n) {
        candidate->fate = FATE_BELOW_CHILD;
        return;
    }
    candidate->against = explanation->ways.ways[ours[i]].region;
    x = region_of(explainer, explanation, ours[i]);
    y = region_of(explainer, explanation, theirs[i]);
    candidate->fate = x->priority < y->priority ? FATE_LOWER : FATE_EARLIER;
}

static bool past_target(const struct explainer *explainer, const struct topo_region *region, uint64_t offset)
{
    uint64_t there = region->target_offset + offset;

    return region->kind == GMEM_KIND_ALIAS && region->target != NOWHERE &&
           (there < offset || there > region_last(&explainer->topology->regions[region->target]));
}

static void decide(const struct explainer *explainer, const struct explanation *explanation, size_t winner,
                   struct candidate *candidate)
{
    const struct way *way = &explanation->ways.ways[candidate->way];
    const struct topo_region *region = &explainer->topology->regions[way->region];

    candidate->by = candidate->against = NOWHERE;
    if (candidate->way == winner)
        candidate->fate = FATE_WINS;
    else if (way->outside || past_target(explainer, region, candidate->offset))
        decide_outside(explainer, explanation, candidate);
    else if (!way->enabled)
        decide_disabled(explainer, explanation, candidate);
    else if (!region_answers(region))
        candidate->fate = FATE_CONTAINER;
    else
        decide_lower(explainer, explanation, winner, candidate);
}

static bool could_win(const struct explainer *explainer, const struct explanation *explanation, size_t way)
{
    const struct way *at = &explanation->ways.ways[way];

    return at->enabled && !at->outside && region_answers(&explainer->topology->regions[at->region]);
}

static int by_order(const void *a, const void *b, void *opaque)
{
    const struct way *ways = opaque;
    const struct way *x = &ways[((const struct candidate *)a)->way], *y = &ways[((const struct candidate *)b)->way];

    return x->order < y->order ? -1 : x->order > y->order;
}

/* What answers itself, and what is the end of its way: containers with nothing there. The winner comes first. */
static void find_candidates(const struct explainer *explainer, struct explanation *explanation)
{
    const struct ways *ways = &explanation->ways;
    size_t winner = NOWHERE, at = 0;
    struct candidate first;

    for (size_t i = 0; i < ways->n; i++) {
        const struct topo_region *region = region_of(explainer, explanation, i);
        bool leaf = i + 1 == ways->n || ways->ways[i + 1].up != i;
        uint64_t offset = offset_in(explanation, i);

        if (offset > region_last(region) || (!leaf && !region_answers(region)))
            continue;
        alloc_grow(&explanation->candidates, explanation->n_candidates, sizeof(*explanation->candidates));
        explanation->candidates[explanation->n_candidates++] = (struct candidate){.way = i, .offset = offset};
        if (could_win(explainer, explanation, i) &&
            (winner == NOWHERE || ways->ways[i].order < ways->ways[winner].order))
            winner = i;
    }
    if (explanation->n_candidates > 1)
        qsort_r(explanation->candidates, explanation->n_candidates, sizeof(*explanation->candidates), by_order,
                ways->ways);
    for (size_t i = 0; i < explanation->n_candidates; i++)
        decide(explainer, explanation, winner, &explanation->candidates[i]);
    explanation->found = winner != NOWHERE;
    if (!explanation->found)
        return;
    while (explanation->candidates[at].way != winner)
        at++;
    first = explanation->candidates[at];
    memmove(&explanation->candidates[1], &explanation->candidates[0], at * sizeof(first));
    explanation->candidates[0] = first;
}

static bool goes_through(const struct explanation *explanation, size_t way, size_t region)
{
    for (; way != NOWHERE; way = explanation->ways.ways[way].up)
        if (explanation->ways.ways[way].region == region)
            return true;
    return false;
}

static size_t next_without(const struct explainer *explainer, const struct explanation *explanation, size_t region)
{
    for (size_t i = 1; i < explanation->n_candidates; i++) {
        size_t way = explanation->candidates[i].way;

        if (could_win(explainer, explanation, way) && !goes_through(explanation, way, region))
            return i;
    }
    return NOWHERE;
}

static void find_without(const struct explainer *explainer, struct explanation *explanation)
{
    size_t way = explanation->candidates[0].way;

    explanation->without = alloc_zeroed(explanation->ways.ways[way].depth + 1, sizeof(*explanation->without));
    for (; way != NOWHERE; way = explanation->ways.ways[way].up) {
        struct without *without = &explanation->without[explanation->n_without++];

        without->region = explanation->ways.ways[way].region;
        without->next = next_without(explainer, explanation, without->region);
    }
    explanation->next = explanation->without[0].next;
}

/* Whether the view has the address, and what lies on both sides. */
static bool look_up(struct explainer *explainer, struct explanation *explanation)
{
    const struct ranges *ranges = ranges_of(explainer, explanation->space);
    size_t low = 0, high = ranges->n;
    bool found;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges->items[middle].last < explanation->addr)
            low = middle + 1;
        else
            high = middle;
    }
    found = low < ranges->n && ranges->items[low].first <= explanation->addr;
    if (found)
        explanation->section = ranges->items[low];
    explanation->has_before = low > 0;
    if (low > 0)
        explanation->before = ranges->items[low - 1];
    explanation->has_after = low + found < ranges->n;
    if (explanation->has_after)
        explanation->after = ranges->items[low + found];
    return found;
}

bool explain(struct explainer *explainer, size_t space, uint64_t addr, struct explanation *ret, struct problem *problem)
{
    struct explanation explanation = {.space = space, .addr = addr, .next = NOWHERE};
    const struct topo_space *of = &explainer->topology->spaces[space];
    bool found;

    if (!ways_at(explainer->index, space, addr, EXPLAIN_WAYS_MAX, &explanation.ways, problem))
        return false;
    find_candidates(explainer, &explanation);
    found = look_up(explainer, &explanation);
    if (found != explanation.found || (found && map_region(explainer->map, explanation.section.region) !=
                                                    explanation.ways.ways[explanation.candidates[0].way].region)) {
        explanation_free(&explanation);
        return problem_at(
            problem, explainer->topology->source, of->line,
            "space %s, 0x%llx: the reasons found lead to another answer than the map's; this is a fault of "
            "gmem: please report it with the file",
            of->name, (unsigned long long)addr);
    }
    if (found)
        find_without(explainer, &explanation);
    *ret = explanation;
    return true;
}

void explanation_free(struct explanation *explanation)
{
    ways_free(&explanation->ways);
    free(explanation->candidates);
    free(explanation->without);
    *explanation = (struct explanation){0};
}

static int by_index(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

void explain_guesses(const struct explainer *explainer, const struct explanation *explanation, explain_guess_fn *fn,
                     void *opaque)
{
    size_t *found = NULL, n = 0;

    for (size_t i = 0; i < explanation->ways.n; i++) {
        size_t region = explanation->ways.ways[i].region;

        for (size_t k = explainer->guess_begin[region]; k < explainer->guess_begin[region + 1]; k++) {
            alloc_grow(&found, n, sizeof(*found));
            found[n++] = explainer->guesses[k];
        }
    }
    if (n > 1)
        qsort(found, n, sizeof(*found), by_index);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || found[i] != found[i - 1])
            fn(opaque, &explainer->topology->guesses[found[i]]);
    free(found);
}
