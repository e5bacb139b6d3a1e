/* SPDX-License-Identifier: MIT */
/*
 * Who answers at an address and why: everything that covers it in the order in which it is asked, what became of each, and
 * what would answer without the winner.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "map.h"
#include "ways.h"

enum fate {
    FATE_WINS,
    FATE_CONTAINER,   /* shows only its subregions, and has none there */
    FATE_LOWER,       /* a sibling, of its own or of something it is in, has a higher priority */
    FATE_EARLIER,     /* equal priority: the one placed later wins */
    FATE_BELOW_CHILD, /* subregions lie over what the region itself shows */
    FATE_DISABLED,    /* it, or something it is seen through, is disabled */
    FATE_OUTSIDE,     /* it reaches past the end of what it is in, or the window past the end of its target */
};

struct candidate {
    size_t way;      /* index into the explanation's ways */
    uint64_t offset; /* of the address in the region */
    enum fate fate;
    size_t by;      /* the region that it lost to (a sibling), that is disabled, or that ends; else NOWHERE */
    size_t against; /* of the two siblings, its own side's; else NOWHERE */
};

struct explanation {
    size_t space;
    uint64_t addr;
    bool found;                   /* something answers: candidates[0] wins, and section is its range */
    struct gmem_section section;  /* borrowed from the map */
    struct ways ways;             /* those at this address; a candidate's way is one of them */
    struct candidate *candidates; /* the winner first, then in the order in which they would win */
    size_t n_candidates;
    size_t next; /* index of the one that would answer if the winner were disabled; NOWHERE: nothing would */
    bool has_before, has_after; /* nearest ranges of the view on both sides */
    struct gmem_section before, after;
};

/* False: out of bounds of what is answered (a chain of more than GMEM_DEPTH_MAX). */
bool explain(const struct map *map, size_t space, uint64_t addr, struct explanation *ret, struct problem *problem);
void explanation_free(struct explanation *explanation);

#endif
