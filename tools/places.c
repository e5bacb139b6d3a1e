/* SPDX-License-Identifier: MIT */
/*
 * Owns an array until places_free(). One thread.
 *
 * The ways up form no tree: a region may be seen through many aliases of aliases. So steps are counted, and there is an end to them.
 */
#include "places.h"

#include <stdlib.h>

#include "alloc.h"
#include "ways.h"

#define STEPS_MAX 1000000 /* regions looked at, those that are no alias of what is asked for included */

struct climb {
    const struct topology *topology;
    size_t limit, steps;
    struct places *places;
};

static void add(struct climb *climb, size_t space, uint64_t addr)
{
    struct places *places = climb->places;

    if (places->n == climb->limit) {
        places->more = true;
        return;
    }
    alloc_grow(&places->places, places->n, sizeof(*places->places));
    places->places[places->n++] = (struct place){.space = space, .addr = addr};
}

/* A byte of a region, and what it was come from. */
struct step {
    size_t region;
    uint64_t offset;
    bool outside; /* past the end of something: no window shows it there */
    unsigned depth;
    const struct step *from;
};

static void climb_from(struct climb *climb, const struct step *from);

static void climb_to(struct climb *climb, const struct step *from, size_t region, uint64_t offset)
{
    struct step step = {region, offset, from->outside, from->depth + 1, from};

    for (; from; from = from->from)
        if (from->region == region && from->offset == offset) /* disabled things may go in circles */
            return;
    step.outside |= offset > region_last(&climb->topology->regions[region]);
    climb_from(climb, &step);
}

static void climb_from(struct climb *climb, const struct step *from)
{
    const struct topology *topology = climb->topology;
    const struct topo_region *region = &topology->regions[from->region];
    bool fits = from->offset <= UINT64_MAX - region->offset;

    if (climb->steps > STEPS_MAX || from->depth > GMEM_DEPTH_MAX) {
        climb->places->more = true;
        return;
    }
    climb->steps += topology->n_regions / 64 + 1; /* comparing is quicker than climbing */
    for (size_t i = 0; fits && i < topology->n_spaces; i++)
        if (topology->spaces[i].root == from->region) {
            add(climb, i, from->offset + region->offset);
            break;
        }
    if (fits && region->parent != NOWHERE)
        climb_to(climb, from, region->parent, from->offset + region->offset);
    for (size_t i = 0; !from->outside && i < topology->n_regions; i++) {
        const struct topo_region *alias = &topology->regions[i];

        if (alias->kind == GMEM_KIND_ALIAS && alias->target == from->region && from->offset >= alias->target_offset &&
            from->offset - alias->target_offset <= region_last(alias))
            climb_to(climb, from, i, from->offset - alias->target_offset);
    }
}

static int by_address(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->space != y->space)
        return x->space < y->space ? -1 : 1;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

void places_find(const struct topology *topology, size_t region, uint64_t offset, size_t limit, struct places *places)
{
    struct climb climb = {.topology = topology, .limit = limit, .places = places};
    struct step first = {.region = region, .offset = offset};
    size_t n = 0;

    *places = (struct places){0};
    climb_from(&climb, &first);
    if (places->n > 1)
        qsort(places->places, places->n, sizeof(*places->places), by_address);
    for (size_t i = 0; i < places->n; i++)
        if (i == 0 || by_address(&places->places[i], &places->places[n - 1]) != 0)
            places->places[n++] = places->places[i];
    places->n = n;
}

void places_free(struct places *places)
{
    free(places->places);
    *places = (struct places){0};
}
