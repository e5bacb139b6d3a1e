/* SPDX-License-Identifier: MIT */
/*
 * Owns an array until places_free(). One thread.
 *
 * The ways up form no tree: a region may be seen through many aliases of aliases. So steps are counted, and there is an end to them.
 */
#include "places.h"

#include <stdlib.h>

#include "alloc.h"

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

static void climb_from(struct climb *climb, size_t index, uint64_t offset, unsigned depth)
{
    const struct topology *topology = climb->topology;
    const struct topo_region *region = &topology->regions[index];
    bool fits = offset <= UINT64_MAX - region->offset;

    if (climb->steps > STEPS_MAX || depth > GMEM_DEPTH_MAX) {
        climb->places->more = true;
        return;
    }
    climb->steps += topology->n_regions / 64 + 1; /* comparing is quicker than climbing */
    for (size_t i = 0; fits && i < topology->n_spaces; i++)
        if (topology->spaces[i].root == index) {
            add(climb, i, offset + region->offset);
            break;
        }
    if (fits && region->parent != NOWHERE)
        climb_from(climb, region->parent, offset + region->offset, depth + 1);
    for (size_t i = 0; i < topology->n_regions; i++) {
        const struct topo_region *alias = &topology->regions[i];
        uint64_t last = alias->size.all ? UINT64_MAX : alias->size.bytes - 1;

        if (alias->kind == GMEM_KIND_ALIAS && alias->target == index && offset >= alias->target_offset &&
            offset - alias->target_offset <= last)
            climb_from(climb, i, offset - alias->target_offset, depth + 1);
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
    size_t n = 0;

    *places = (struct places){0};
    climb_from(&climb, region, offset, 0);
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
