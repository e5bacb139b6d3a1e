/* SPDX-License-Identifier: MIT */
/*
 * A machine's regions and spaces as plain data, wherever they come from: what readers make and map.c builds through the
 * library. Regions and spaces are named by their index.
 */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <gmem/gmem.h>

#include "problem.h"

#define NOWHERE SIZE_MAX /* no parent, no target, no root */

/* Who settled what the source leaves open. */
enum settled {
    SETTLED_TEXT, /* it is not open: the text says so */
    SETTLED_RULE, /* by a rule of thumb */
    SETTLED_FLAT, /* by the flat dump of the same machine */
};

struct topo_region {
    size_t line; /* of the source; 0: none, or not known */
    enum gmem_kind kind;
    char *name;
    char *owner;     /* label, or NULL */
    char *ram;       /* regions that name the same block share it; NULL: a block of its own */
    size_t parent;   /* NOWHERE: in no container */
    uint32_t rank;   /* among siblings of equal priority the lower one wins */
    uint64_t offset; /* in its container; of a root: where its space shows it */
    gmem_size size;  /* at least 1 byte */
    int32_t priority;
    bool enabled;
    bool readonly; /* its own attribute */
    bool nonvolatile;
    bool romd;     /* kind romd: reads directly */
    uint8_t log;   /* of memory: clients that want dirty logging, a bit for each; dumps do not tell: 0 */
    size_t target; /* of an alias; NOWHERE: not in the source, and nothing is seen through it */
    uint64_t target_offset;
    bool implied; /* not in the text: it has to be there (a disabled container whose children are printed) */
};

struct topo_space {
    size_t line;
    char *name;
    size_t root; /* NOWHERE: not printed, so nothing is seen */
    bool unassigned_ones;
};

/* One thing that the source leaves open and how it was settled. */
struct topo_guess {
    size_t line;   /* of the source; 0: none */
    size_t region; /* that it is about, or NOWHERE */
    enum settled by;
    bool against_rule; /* by the flat dump: the rule would have taken something else */
    char *text;        /* a sentence: what was taken, and why */
};

struct topology {
    char *source; /* for messages */
    struct topo_region *regions;
    size_t n_regions;
    struct topo_space *spaces;
    size_t n_spaces;
    struct topo_guess *guesses;
    size_t n_guesses;
};

/* Append a zeroed one (NOWHERE where that is no answer, enabled, size 1) and return its index. */
size_t topology_add_region(struct topology *topology);
size_t topology_add_space(struct topology *topology, const char *name, size_t root);
void topology_guess(struct topology *topology, size_t region, enum settled by, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void topology_free(struct topology *topology);

#endif
