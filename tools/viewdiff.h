/* SPDX-License-Identifier: MIT */
/*
 * What two maps show differently: the ranges of their views, space by space.
 */
#ifndef VIEWDIFF_H
#define VIEWDIFF_H

#include "map.h"
#include "pairing.h"

/* One range of a view. */
struct shown_range {
    uint64_t first, last;
    uint64_t offset; /* in its region */
    size_t region;   /* index in the topology of its side */
    size_t identity; /* the same for a region of either side and the one that it is paired with */
    uint32_t attrs;  /* GMEM_RANGE_* */
};

enum change { CHANGE_GONE, CHANGE_NEW, CHANGE_CHANGED };

/* A range that is not in both. Changed: the same addresses show the same region, but at another offset or with other attributes. */
struct range_change {
    enum change change;
    const struct shown_range *before, *after; /* NULL: it is not there; borrowed from the group */
};

/* Spaces that share a view before and one after. */
struct space_group {
    size_t *pairs; /* indices into the pairing's spaces, one at least; a space gone or new is a group of its own */
    size_t n_pairs;
    struct shown_range *ranges[2]; /* before, after: by rising address */
    size_t n_ranges[2];
    struct range_change *changes; /* by rising address; at one address what is gone first */
    size_t n_changes;
    size_t gone, fresh, changed; /* how many of each */
};

struct view_diff {
    struct space_group *groups; /* in the order of their first spaces */
    size_t n_groups;
};

/* only: index into the pairing's spaces, or NOWHERE: all. */
void view_diff(const struct map *a, const struct map *b, const struct pairing *pairing, size_t only,
               struct view_diff *diff);
void view_diff_free(struct view_diff *diff);

#endif
