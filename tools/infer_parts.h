/* SPDX-License-Identifier: MIT */
/*
 * The parts of infer(), in the order in which they run, and what they hand on. See infer.h for what is settled, and each part for how.
 */
#ifndef INFER_PARTS_H
#define INFER_PARTS_H

#include "infer.h"
#include "ways.h"

/* What the text leaves open about a region, and what has been found out. */
struct infer_region {
    size_t node;         /* the one it was taken from; SIZE_MAX: implied */
    bool target_known;   /* of an alias */
    bool open_kind;      /* "i/o": answers, or only contains */
    bool open_memory;    /* access shown in place of the kind: memory, or not */
    bool answers;        /* a flat view shows it */
    bool silent;         /* asked before what a flat view shows, and did not answer */
    bool shown_writable; /* something seen through it takes writes */
    bool window;         /* read-only, as the flat dump shows */
    bool ordered;        /* its place among its equals was settled by the flat dump */
    bool reordered;      /* and is not the one printed */
    bool overlaps;       /* an equal sibling at another address */
    bool parent_of_some;
    bool ports;   /* the root of the space of ports */
    bool aliased; /* the target of an alias */
};

/* Which of several regions of one name an alias shows. */
struct infer_choice {
    size_t alias;       /* region */
    size_t *candidates; /* regions; NOWHERE: one that is not printed, as it is disabled */
    size_t n_candidates;
    size_t *costs;  /* by candidate: how badly it fits the flat dump; NULL: there is none */
    size_t chosen;  /* index of it */
    size_t rule;    /* index of what the rule takes */
    bool confirmed; /* the flat dump decided */
};

/* Which of several regions that look the same the root of a section is. */
struct infer_twin {
    size_t section;
    size_t *nodes; /* that stand for them; the first was taken */
    size_t n_nodes;
};

struct infer {
    const struct mtree *mtree;
    const struct flat_dump *flat; /* or NULL */
    struct topology *topology;
    struct problem *problem;
    size_t *parent;               /* by node: what is printed that it is in; SIZE_MAX: nothing */
    bool *gap;                    /* by node: in something disabled that is not printed, and that in parent */
    bool *misfit;                 /* by node: gap, though its indentation does not say so */
    size_t *canon;                /* by node: the node that stands for its region */
    size_t *region_of;            /* by node: its region */
    size_t *root_of;              /* by section: the region of its root; NOWHERE: not printed */
    struct infer_region *regions; /* by region */
    struct infer_choice *choices;
    size_t n_choices;
    struct infer_twin *twins;
    size_t n_twins;
    size_t *twin_of; /* by section: index into twins; NOWHERE: none */
    size_t *view_of; /* by space: its view in the flat dump; NOWHERE: none */
    struct ways_index
        *index; /* while views are compared: aliases may change their targets then, and nothing else moves */
};

/* infer_nest.c: parent and gap of every node. */
void infer_nest(struct infer *in);

/* infer_same.c: canon of every node. */
void infer_same(struct infer *in);

/* infer_regions.c: the topology's regions and spaces, kinds where the text says them, ranks as printed. */
void infer_regions(struct infer *in);

/* infer_alias.c: the target of every alias. False: there is none, or a circle. */
bool infer_aliases(struct infer *in);

/* infer_rules.c: what a rule says of a region whose kind is open; and why, as the end of a sentence. */
enum gmem_kind infer_rule_kind(const struct infer *in, size_t region, const char **ret_why);
/* What is still open is settled by rule, and every guess listed. */
void infer_rules(struct infer *in);
/* The order of equal siblings that overlap. */
void infer_rule_order(struct infer *in);

/* infer_flat.c: what the flat dump settles. False: it is not of this machine. */
bool infer_flat(struct infer *in);

/* infer_sweep.c: addresses at which the same ways lie and the flat view shows the same range, or none. */
struct infer_place {
    uint64_t first, last;
    const struct ways *ways;
    const size_t *active; /* ways of regions that may answer here, in the order in which they are asked */
    size_t n_active;
    const struct flat_range *range; /* NULL: nothing is shown */
};
typedef void infer_place_fn(void *opaque, const struct infer_place *place);
/* All places of [first, last] where anything lies or is shown. False: more ways than are looked at. */
bool infer_sweep(struct infer *in, size_t space, const struct flat_view *view, uint64_t first, uint64_t last,
                 infer_place_fn *fn, void *opaque);
/* The range may be what this way shows there. */
bool infer_matches(const struct infer *in, const struct infer_place *place, size_t way);
/* Index into active of the first that matches, n_active if none does. */
size_t infer_winner(const struct infer *in, const struct infer_place *place);

/* infer_facts.c: what the places of all views say of kinds, order and read-only windows. */
bool infer_facts(struct infer *in);

/* infer_order.c: the order of equal siblings from who has to win over whom. */
struct infer_before {
    size_t first, second; /* siblings of equal priority; the first wins */
};
int infer_by_pair(const void *a, const void *b);
/* Sorts pairs, each once; returns how many are left. */
size_t infer_tidy(struct infer_before *pairs, size_t n);
/* pairs are tidy. */
void infer_order(struct infer *in, const struct infer_before *pairs, size_t n);

#endif
