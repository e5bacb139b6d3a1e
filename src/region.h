/* SPDX-License-Identifier: MIT */
/*
 * region.h - struct gmem_region: a node of the topology, its edges in both directions, and its references.
 *
 * Everything an edit can change is in struct gmem__props. There is one way to change it,
 * gmem__region_apply(), which also keeps the edges and the references they hold; an edit journals
 * the old props, an undo applies them again.
 */
#ifndef GMEM_SRC_REGION_H
#define GMEM_SRC_REGION_H

#include "doorbell.h"
#include "guard.h"
#include "mmio_ops.h"
#include "ram.h"
#include "range.h"
#include "rcu.h"
#include "vm.h"
#include <gmem/device.h>
#include <gmem/region.h>

/* Attributes a region has itself: the GMEM_RANGE_* bits, and this one. */
#define GMEM__ATTR_DISABLED 0x10000u

/*
 * Immutable sorted arrays, replaced as a whole by edits, so that an undo needs no memory. Counted;
 * NULL is empty.
 */
struct gmem__eventfds {
    unsigned long refs; /* atomic */
    size_t count;
    struct gmem__rcu_head rcu; /* of what accesses may look at */
    gmem_vm *vm;
    struct gmem__signal **signals; /* behind items: of each one a reference; NULL: it is told to listeners only */
    struct gmem_eventfd items[];   /* by offset, size, match, data */
};

struct gmem__interval {
    uint64_t first, last;
};

struct gmem__intervals {
    unsigned long refs; /* atomic */
    size_t count;
    struct gmem__rcu_head rcu;
    gmem_vm *vm;
    struct gmem__interval items[]; /* by first, last */
};

/* What every region keeps of struct gmem_owner. */
struct gmem__owner {
    void *opaque;
    void (*ref)(void *opaque);
    void (*unref)(void *opaque);
    char label[];
};

/*
 * What is to be done around the callbacks of a region, if there is anything: few have one. It is made once, before what is in
 * it, and stays.
 */
struct gmem__device {
    gmem_guard *guard;            /* the owner's, a reference held, or NULL; immutable */
    const struct gmem_lock *lock; /* the owner's, below, or NULL; immutable */
    struct gmem_lock lock_is;
    bool looked; /* accesses look at it, and not only while all of the vm is watched; with the turn */
    struct gmem__access_counts *counts; /* gmem__rcu_set() once; NULL: nothing was ever counted */

    /* As of the latest commit: gmem__rcu_set() with the turn; a reference held; NULL: none. */
    struct gmem__eventfds *eventfds;
    struct gmem__intervals *coalesced;
};

/* Atomic, each counted by whoever makes an access. On a line of its own. */
struct gmem__access_counts {
    struct gmem_access_stats is;
};

struct gmem__shown;

struct gmem__props {
    uint64_t offset;        /* in the container; where a root is shown */
    uint64_t last;          /* size - 1 */
    gmem_region *container; /* NULL: placed nowhere; a reference while placed is held by the container on the child */
    uint64_t seq;           /* order of placement among equals: higher wins */
    int32_t priority;
    uint32_t attrs;       /* GMEM_RANGE_* of its own, GMEM__ATTR_DISABLED */
    gmem_region *target;  /* alias: a reference held */
    uint64_t target_from; /* alias: where the window starts in target */
    struct gmem__eventfds *eventfds;
    struct gmem__intervals *coalesced;
};

/*
 * There may be a hundred thousand of these, and a commit reaches for a few of them all over memory:
 * what few regions have is behind a pointer.
 */
struct gmem_region {
    /* Atomic, any thread. */
    unsigned long refs; /* all references, those below included */
    unsigned long pins; /* of views, lookups and maps: while there are any the owner is referenced */

    /* Immutable, but for what says that it is not. */
    struct gmem__mmio_ops *ops;  /* mmio, romd: a reference held; else NULL */
    struct gmem__device *device; /* gmem__rcu_set() once; NULL: there is nothing to do, nor was anything counted */
    void *opaque;                /* the device's, for the callbacks */
    enum gmem_kind kind;
    bool dead;    /* atomic, any thread: it has been put on vm->dead */
    bool reaches; /* with the turn: it or something that shows it is shown (never false by mistake) */
    gmem_vm *vm;
    struct gmem__owner *owner; /* NULL: none */
    gmem_ram *ram;

    /* Only with the writer turn. */
    uint64_t reach_shape;                  /* vm->shape that reaches was found out for */
    gmem_region *index_left, *index_right; /* in the container's child index */
    uint64_t index_last;                   /* highest last address below this node of it */
    struct gmem__props p;
    gmem_region *child_index; /* the children by address */
    uintptr_t enabled_xor;    /* of the addresses of its enabled children: when there is one, its address */
    uint32_t children_enabled;
    uint32_t spaces;          /* of which it is the root */
    gmem_region *aliases;     /* those that aim here, through next_alias */
    gmem_region *next_alias;  /* of the same target */
    gmem_region **alias_link; /* what points to this one in that list */
    struct gmem__link vm_link;
    uint64_t id;                   /* no other region of the vm has, had or gets it */
    struct gmem__shown *shown;     /* what spaces that come down to this root share; NULL: none do */
    uint64_t mark;                 /* epoch of the last walk that visited it */
    gmem_region *walk_next;        /* worklist of that walk */
    uint64_t was_epoch;            /* epoch of the commit that was belongs to */
    const struct gmem__props *was; /* the props before that commit's transaction */
    gmem_region *dead_next;        /* in vm->dead */

    char name[]; /* immutable */
};

/*
 * How one region was before an edit. Holds references on region and old.container besides those of
 * the props.
 */
struct gmem__undo {
    gmem_region *region;
    struct gmem__props old;
};

static inline bool gmem__region_enabled(const gmem_region *region)
{
    return !(region->p.attrs & GMEM__ATTR_DISABLED);
}

/* Whether it shows something itself, apart from its subregions. */
static inline bool gmem__region_terminates(const gmem_region *region)
{
    return region->kind != GMEM_KIND_CONTAINER && region->kind != GMEM_KIND_ALIAS;
}

/*
 * The host memory at offset of region that accesses may use as such, or NULL. That of a ram-device they may not; but its block
 * has it.
 */
static inline uint8_t *gmem__region_host(const gmem_region *region, uint64_t offset)
{
    return region->ram && region->kind != GMEM_KIND_RAM_DEVICE ? region->ram->host + offset : NULL;
}

/* Of two siblings of these priorities and orders of placement, whether a is seen where both are. */
static inline bool gmem__wins(int32_t priority_a, uint64_t seq_a, int32_t priority_b, uint64_t seq_b)
{
    return priority_a != priority_b ? priority_a > priority_b : seq_a > seq_b;
}

/*
 * Make props the region's own, relinking edges. The references props hold become the region's; the
 * old props' become the caller's. Can't fail.
 */
void gmem__region_apply(gmem_region *region, const struct gmem__props *props);
/* Take or give up the references that props hold: on target, eventfds, coalesced. */
void gmem__props_ref(const struct gmem__props *props);
void gmem__props_unref(const struct gmem__props *props);

/* A view, a lookup or a map begins or ceases to reach it. Any thread. */
void gmem__region_pin(gmem_region *region);
void gmem__region_unpin(gmem_region *region);

/* Make what is to be done around its callbacks a part of it, if it is not yet. With the turn. -ENOMEM. */
int gmem__region_watch(gmem_region *region) GMEM_MUST_CHECK;
/* The guard and the lock of a region that nothing knows of yet. -ENOMEM. */
int gmem__region_device_owned(gmem_region *region, const struct gmem_owner *owner) GMEM_MUST_CHECK;
/* Free a region that nobody can reach, or that was never entered. */
void gmem__region_free(gmem_region *region);
/* A commit is published that changed it: from now on accesses go by its eventfds and intervals. With the turn. */
void gmem__region_published(gmem_region *region);
/* Make its counts, if it has none. With the turn, or where nothing knows of it yet. -ENOMEM. */
int gmem__region_count(gmem_region *region) GMEM_MUST_CHECK;

/* A list of eventfds with room for count, signals none yet, with one reference. NULL: no memory. */
struct gmem__eventfds *gmem__eventfds_alloc(size_t count);
/* Give up references. NULL is allowed. Any thread. */
void gmem__eventfds_unref(struct gmem__eventfds *eventfds);
void gmem__intervals_unref(struct gmem__intervals *intervals);

/* Mark region and everything that shows it with epoch; stops where the mark is set already. */
void gmem__region_mark_up(gmem_region *region, uint64_t epoch);

/* Free the regions on vm->dead. With the turn. */
void gmem__region_bury(gmem_vm *vm);
/* Free every region whatever refers to it: gmem_vm_destroy() only. */
void gmem__region_free_all(gmem_vm *vm);

#endif
