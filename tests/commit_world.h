/* SPDX-License-Identifier: MIT */
/*
 * commit_world.h - a random machine of up to hundreds of regions, edited at random: what test-commit-model.c runs.
 *
 * commit_edits.c makes the machine and edits it, commit_heard.c has listeners that keep account of
 * what they are told, commit_check.c compares after every commit. A failed check ends the process.
 */
#ifndef COMMIT_WORLD_H
#define COMMIT_WORLD_H

#include "random.h"
#include "space.h"
#include "support.h"

#define BOXES 40u
#define FIXED_BOXES 8u /* that are seldom edited */
#define ALIASES 60u
#define LEAVES_MAX 1500u
#define TOWER 125u /* containers in each other: about as deep as a commit takes */
#define SPACES 12u
#define EARS 3u
#define HELD 10u
#define RAM_SIZE 0x4000u

/*
 * What a listener knows, as a sum over all that it was told and not told the end of. Two that know
 * the same have the same sum; hardly any others have.
 */
struct ear {
    struct gmem_listener listener;
    struct world *world;
    gmem_space *space; /* NULL: all */
    bool registered;
    bool inside; /* between begin and commit */
    uint64_t sum;
    size_t count;
};

/* A view that is held, and what it showed then. */
struct held {
    gmem_view *view;
    struct gmem__ranges ranges;
};

/* Where an edited region is in one view, seen or not. */
struct places {
    struct gmem__span *items;
    size_t count, room;
};

/* An interval of region that an edit of this step can have changed. */
struct touch {
    gmem_region *region;
    bool held; /* a reference: outside transactions it could be freed */
    uint64_t first, last;
};

struct shown {
    gmem_space *space; /* NULL: none */
    gmem_view *view;   /* what it showed after the step before; a reference held */
    struct places places;
};

struct world {
    struct random random; /* begins anew with each step */
    bool verbose;         /* print every edit */
    gmem_vm *vm;
    gmem_region *box[BOXES];
    gmem_region *alias[ALIASES];
    gmem_region *leaf[LEAVES_MAX];
    gmem_region *tower[TOWER];
    size_t leaves;
    uint64_t spread; /* boxes are about this many bytes */
    struct shown spaces[SPACES];
    struct ear ears[EARS];
    unsigned long calls_left; /* the listeners' call that refuses; 0: none does */
    struct held held[HELD];
    unsigned depth; /* of open transactions */
    bool lost;      /* some region edited in this step is in too many places */
    unsigned climbs;
    struct touch touched[200];
    size_t touched_count;

    /* For the naive rendering: all regions by container, and there in the order in which they win. */
    const gmem_region **topology;
    size_t topology_count, topology_room;

    unsigned long edits;   /* that the library took */
    unsigned long refused; /* edits and commits that it did not */
    unsigned long checks;  /* of everything, after a commit */
    unsigned long views;   /* new ones */
    unsigned long ranges;  /* of these */
    unsigned long shared;  /* new versions of which the nodes were compared with those of the one before */
    unsigned long naive;   /* views compared with the naive rendering */
};

/* commit_edits.c */
void world_begin(struct world *world, uint64_t seed, size_t leaves);
void world_step(struct world *world, uint64_t seed);
void world_end(struct world *world);

/* commit_heard.c */
int ear_register(struct world *world, struct ear *ear, gmem_space *space, bool nop);
void ear_unregister(struct world *world, struct ear *ear);
/* What an ear knows of a range that it was told of, with its eventfds and coalesced intervals: add to *sum and *count. */
void ear_account(gmem_space *space, const struct gmem__range *range, uint64_t *sum, size_t *count);

/* commit_check.c */
/* Note where region is, in all that spaces show; before and after each edit of it. */
void check_note_places(struct world *world, gmem_region *region);
/*
 * The same for all edits of this step, where things are at its end: a region that shows part of what it is in moves with
 * what it shows.
 */
void check_note_again(struct world *world);
/* No view changed: a transaction is open, or was undone. */
void check_unchanged(struct world *world);
/* After a commit. */
void check_all(struct world *world);
void check_hold(struct world *world, struct held *held, gmem_space *space);

#endif
