/* SPDX-License-Identifier: MIT */
/*
 * view.h - the flat view: an immutable, ordered set of disjoint ranges, counted, with the eventfds
 * and coalesced intervals that are visible in it.
 *
 * Readers reach a view through struct gmem_space.view inside an RCU read section, or by a counted
 * reference. A view holds a pin and a reference on the region of each of its ranges.
 */
#ifndef GMEM_SRC_VIEW_H
#define GMEM_SRC_VIEW_H

#include "region.h"
#include <gmem/space.h>
#include <urcu-bp.h>

struct gmem__range {
    uint64_t first, last;
    uint64_t offset; /* of first in the region */
    gmem_region *region;
    uint8_t *host;  /* behind first, when the region has host memory; contiguous to last */
    uint32_t attrs; /* GMEM_RANGE_* */
};

/* An eventfd or a coalesced interval where it is visible. */
struct gmem__extra {
    uint64_t first, last;
    uint64_t offset;
    gmem_region *region;
    uint32_t attrs;              /* of the range it is in; not compared */
    bool is_eventfd;             /* else coalesced */
    struct gmem_eventfd eventfd; /* zero if not */
};

struct gmem_view {
    unsigned long refs;
    gmem_vm *vm;
    gmem_region *root;   /* a reference held; NULL: nothing to be seen */
    unsigned publishers; /* spaces that show it (with the turn); while there are any they hold one reference together */
    gmem_view *commit_next; /* the views made by the current commit (with the turn) */
    gmem_view *before;      /* root->view before this commit made this one (with the turn) */
    struct gmem__range *ranges;
    size_t count;
    struct gmem__extra *extras; /* coalesced first, then eventfds; each by address */
    size_t extra_count;
    struct rcu_head rcu;
};

/* What render produces: ranges and extras in growing arrays, without references on regions. */
struct gmem__ranges {
    struct gmem__range *items;
    size_t count, room;
};

/*
 * Make a view of root from rendered ranges, which it takes over (the array is the view's on
 * success). Pins their regions.
 */
int gmem__view_create(gmem_vm *vm, gmem_region *root, struct gmem__ranges *ranges,
                      gmem_view **ret_view) GMEM_MUST_CHECK;
/* Whether both show the same: ranges with all attributes, and extras. Roots are not compared. */
bool gmem__view_equal(const gmem_view *a, const gmem_view *b);
/*
 * A space begins, or ceases, to show it. The latter takes effect when the readers of today are
 * gone; never waits.
 */
void gmem__view_publish(gmem_view *view);
void gmem__view_retire(gmem_view *view);

/* The first range whose last is at or after addr, or NULL. */
const struct gmem__range *gmem__view_find(const gmem_view *view, uint64_t addr);

/* Whether two ranges are the same but for the clients that log. */
bool gmem__range_same(const struct gmem__range *a, const struct gmem__range *b);

/* Total order over extras; 0: the same. Coalesced intervals come before eventfds, each by address. */
int gmem__extra_compare(const struct gmem__extra *a, const struct gmem__extra *b);

void gmem__range_section(const struct gmem__range *range, gmem_space *space, struct gmem_section *ret_section);

#endif
