/* SPDX-License-Identifier: MIT */
/*
 * Where a byte of a region lies in the spaces: up through containers and aliases to every root.
 */
#ifndef PLACES_H
#define PLACES_H

#include "topology.h"

struct place {
    size_t space; /* the first of those that have the same root */
    uint64_t addr;
};

struct places {
    struct place *places; /* by space, then by address; each once */
    size_t n;
    bool more; /* there are more than were looked for */
};

/* Whether anything of it is seen there is another question: explain(). */
void places_find(const struct topology *topology, size_t region, uint64_t offset, size_t limit, struct places *places);
void places_free(struct places *places);

#endif
