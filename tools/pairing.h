/* SPDX-License-Identifier: MIT */
/*
 * Which regions and spaces of one topology are those of another: the same machine at another time, or another one like it.
 */
#ifndef PAIRING_H
#define PAIRING_H

#include "topology.h"

struct space_pair {
    size_t a, b; /* NOWHERE: it is only in the other */
};

struct pairing {
    const struct topology *a, *b;
    size_t *to_b; /* by region of a: the region of b; NOWHERE: none */
    size_t *to_a;
    struct space_pair *spaces; /* those of a in their order, then those of b alone */
    size_t n_spaces;
};

/*
 * Spaces are paired by name, of several of one name in their order. Regions are the same if name and kind are, and the owner
 * where both have them; memory must have the same size as well. Where several are, what is in the same place is paired first,
 * then what is as large, then what comes first.
 */
void pair_topologies(const struct topology *a, const struct topology *b, struct pairing *pairing);
void pairing_free(struct pairing *pairing);

#endif
