/* SPDX-License-Identifier: MIT */
/*
 * Who answers at an address and why: everything that covers it in the order in which it is asked, what became of each, and
 * what would answer without the winner.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <stdio.h>

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
    size_t by; /* the region that it lost to (a sibling, a subregion), that is disabled, or that ends; else NOWHERE */
    size_t against; /* of the two siblings, its own side's; what reaches past the end, the window; else NOWHERE */
};

/* What would answer if one region of the winner's way were disabled. */
struct without {
    size_t region; /* that one */
    size_t next;   /* index of a candidate; NOWHERE: nothing would answer */
};

struct explanation {
    size_t space;
    uint64_t addr;
    bool found;                   /* something answers: candidates[0] wins, and section is its range */
    struct gmem_section section;  /* borrowed from the explainer */
    struct ways ways;             /* those at this address; a candidate's way is one of them */
    struct candidate *candidates; /* the winner first, then in the order in which they would win */
    size_t n_candidates;
    size_t next; /* index of the one that would answer if the winner were disabled; NOWHERE: nothing would */
    struct without *without; /* for each region on the winner's way from the winner itself up to the root */
    size_t n_without;
    bool has_before, has_after; /* nearest ranges of the view on both sides */
    struct gmem_section before, after;
};

/* What explanations need of a map, gathered once. The map is borrowed and must not change. */
struct explainer;
struct explainer *explainer_new(const struct map *map);
void explainer_free(struct explainer *explainer);
const struct map *explainer_map(const struct explainer *explainer);

#define EXPLAIN_WAYS_MAX 10000 /* at one address */

/*
 * A few microseconds, however many regions there are. False: out of bounds of what is answered (EXPLAIN_WAYS_MAX, a chain
 * of more than GMEM_DEPTH_MAX).
 */
bool explain(struct explainer *explainer, size_t space, uint64_t addr, struct explanation *ret,
             struct problem *problem);
void explanation_free(struct explanation *explanation);

/* The ranges of a space's view by rising address, to be explained one by one. Borrowed. */
const struct gmem_section *explainer_ranges(struct explainer *explainer, size_t space, size_t *ret_n);

/* Indices of the ways from the root to way itself; returns how many. */
size_t explain_chain(const struct explanation *explanation, size_t way, size_t ways[GMEM_DEPTH_MAX + 1]);

/* Guesses of the inference about regions on the ways of the candidates: fn is called for each, once. */
typedef void explain_guess_fn(void *opaque, const struct topo_guess *guess);
void explain_guesses(const struct explainer *explainer, const struct explanation *explanation, explain_guess_fn *fn,
                     void *opaque);

/* One sentence: why the candidate of that index lost. To be freed. "" for the winner. */
char *explain_why(const struct explainer *explainer, const struct explanation *explanation, size_t index);

/* One JSON object, an element of "explanations" in docs/json.md; and the text of `gmem explain`. */
void explain_json(const struct explainer *explainer, const struct explanation *explanation, FILE *out);
void explain_text(const struct explainer *explainer, const struct explanation *explanation, FILE *out);

#endif
