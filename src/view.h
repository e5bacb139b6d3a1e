/* SPDX-License-Identifier: MIT */
/*
 * view.h - the flat view: an immutable version of what a root shows; and what publishes its versions.
 *
 * Readers come from a space to its shown, and from there to the view, inside an RCU read section;
 * or hold a counted reference on a view.
 */
#ifndef GMEM_SRC_VIEW_H
#define GMEM_SRC_VIEW_H

#include "view_tree.h"
#include <gmem/space.h>
#include "rcu.h"

/* One pin on the region of a range. */
struct gmem__pin {
    gmem_region *region;
    uint64_t born; /* the range's */
};

/*
 * One version. The versions of a root are chained: each holds a reference on the one that replaced
 * it, so they end in order, and what a version has that the next has not can be freed with it.
 */
struct gmem_view {
    unsigned long refs; /* atomic: the shown's, the version's before, callers' */
    gmem_vm *vm;
    gmem_region *root; /* a reference held; NULL: nothing to be seen */
    struct gmem__node *tree;
    size_t count;
    uint64_t born;       /* that of what it brought */
    uint64_t generation; /* that of no other view in the process; never 0; atomic: see gmem__shown_left() */

    /* Set when it is replaced. Then guarded by the vm's mutex. */
    gmem_view *next, *prev;
    bool replaced;                 /* or its shown is gone; and nobody can find it any more */
    struct gmem__garbage *garbage; /* the nodes that next does not have */
    size_t garbage_count, garbage_room;
    struct gmem__pin *dropped; /* of the ranges that next does not have */
    size_t dropped_count, dropped_room;
    size_t waiting; /* what it counts for in vm->backlog */
    struct gmem__rcu_head rcu;
};

/* An interval of addresses to be rendered again. */
struct gmem__span {
    uint64_t first, last;
};

struct gmem__next; /* diff.h */

/* The region that roots come down to, and the view of it that their spaces share. */
struct gmem__shown {
    /* What readers look at after a commit, on one line of the processor's cache. */
    gmem_view *view;     /* gmem__rcu_set() under the writer turn; a reference held. */
    uint64_t generation; /* atomic: of view, or of the next for a moment */
    /* Atomic: the step from the view before to this one. */
    struct gmem__step {
        uint64_t to;          /* the generation it leads to; 0: not to be relied on */
        uint64_t from;        /* and the one it comes from */
        uint64_t first, last; /* outside of this every range is as it was; no range is cut by its ends */
    } step;

    gmem_vm *vm;
    unsigned long refs; /* atomic: its spaces' one, caches' */
    gmem_region *root;  /* a reference held; NULL for vm->none */
    struct gmem__rcu_head rcu;

    /* Only with the writer turn. */
    struct gmem__link link;
    size_t spaces; /* how many have it */
    bool fresh;    /* made by this commit */
    bool whole;    /* render all of it again */
    struct gmem__span *spans;
    size_t span_count, span_room;
    size_t waiting;          /* what it counts for in vm->backlog */
    struct gmem__next *next; /* what this commit changes; NULL: nothing */
    ptrdiff_t coming;        /* scratch: spaces that will take it up, less those that will leave it */
};

/* A view that shows ranges of tree, which it takes over. -ENOMEM. */
int gmem__view_create(gmem_vm *vm, gmem_region *root, struct gmem__node *tree, size_t count,
                      gmem_view **ret_view) GMEM_MUST_CHECK;

/* What shows root, showing nothing yet. Not on vm->shown. -ENOMEM. */
int gmem__shown_create(gmem_vm *vm, gmem_region *root, struct gmem__shown **ret_shown) GMEM_MUST_CHECK;
/* Its last space is gone: free it when the readers of today are. */
void gmem__shown_retire(struct gmem__shown *shown);
/* Nobody can find it any more. Its generation stays while caches have references. */
void gmem__shown_end(struct gmem__shown *shown);
/* Taken in a read section; any thread may give it up. */
void gmem__shown_ref(struct gmem__shown *shown);
void gmem__shown_unref(struct gmem__shown *shown);
/* A space has left it, or ended: what was remembered of the view is not to be used for that space any more. With the turn. */
void gmem__shown_left(struct gmem__shown *shown);
/*
 * Publish view, on which the caller gives up its reference. It has the ranges of the one before but in [first, last]. That one
 * ends in its time. Never waits.
 */
void gmem__shown_publish(struct gmem__shown *shown, gmem_view *view, uint64_t first, uint64_t last);

/* In a read section, or with the writer turn. */
static inline gmem_view *gmem__shown_view(struct gmem__shown *shown)
{
    return gmem__rcu_get(shown->view);
}

/*
 * That of the published view, or for a moment of the one that is about to be. Who reads the old one in a read section has the
 * old view as long as that lasts; who has found the new view reads the old one no more.
 */
static inline uint64_t gmem__shown_generation(const struct gmem__shown *shown)
{
    /* Acquire: pairs with the release in gmem__shown_publish(). */
    return __atomic_load_n(&shown->generation, __ATOMIC_ACQUIRE);
}

/* What is remembered of the view is good while gmem__shown_generation() is this. */
static inline uint64_t gmem__view_generation(const gmem_view *view)
{
    /* Acquire: pairs with the release in gmem__shown_left(). */
    return __atomic_load_n(&view->generation, __ATOMIC_ACQUIRE);
}

/*
 * Whether the range that addr is in was the same in the view of generation from as it is in that of generation to, which
 * gmem__shown_generation() gave. False if that is not known.
 */
static inline bool gmem__shown_kept(const struct gmem__shown *shown, uint64_t from, uint64_t to, uint64_t addr)
{
    const struct gmem__step *step = &shown->step;
    bool kept;

    /* No range is cut by the ends of what changed. Acquire: pairs with the releases in set_step(). */
    kept = __atomic_load_n(&step->from, __ATOMIC_ACQUIRE) == from &&
           (addr < __atomic_load_n(&step->first, __ATOMIC_ACQUIRE) ||
            addr > __atomic_load_n(&step->last, __ATOMIC_ACQUIRE));
    /* If some of it was of another step, to is another by now. */
    return kept && __atomic_load_n(&step->to, __ATOMIC_ACQUIRE) == to;
}

/* The first range whose last is at or after addr, or NULL. */
static inline const struct gmem__range *gmem__view_find(const gmem_view *view, uint64_t addr)
{
    return gmem__tree_find(view->tree, addr);
}

/* Append all ranges of a view in [first, last]. -ENOMEM. */
int gmem__view_ranges(const gmem_view *view, uint64_t first, uint64_t last,
                      struct gmem__ranges *ranges) GMEM_MUST_CHECK;

void gmem__range_section(const struct gmem__range *range, gmem_space *space, struct gmem_section *ret_section);

#endif
