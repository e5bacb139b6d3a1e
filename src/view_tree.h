/* SPDX-License-Identifier: MIT */
/*
 * view_tree.h - the ordered set of a view's ranges as a tree of wide nodes that versions share.
 *
 * Nodes never change once published. A new version is made by copying the path to what changes; the
 * nodes it no longer has are handed back as garbage, to be freed when no reader can see the version
 * before.
 */
#ifndef GMEM_SRC_VIEW_TREE_H
#define GMEM_SRC_VIEW_TREE_H

#include "region.h"

struct gmem__range {
    uint64_t first, last;
    uint64_t offset; /* of first in the region */
    uint8_t *host;   /* behind first, if accesses may use it (gmem__region_host()); contiguous to last */
    const struct gmem__mmio_ops *ops; /* the region's and */
    void *opaque;                     /* the region's, so that an access need not look at it */
    gmem_region *region;
    uint64_t born;  /* the version that brought it; an older one has another there, or nothing */
    uint32_t attrs; /* GMEM_RANGE_* */
};

/* Ranges in a growing array, by address. */
struct gmem__ranges {
    struct gmem__range *items;
    size_t count, room;
};

#define GMEM__LEAF_MAX 16u
#define GMEM__INNER_MAX 32u

struct gmem__node {
    struct gmem__node *prev, *next; /* among the nodes of the version being made */
    uint64_t born;                  /* which version that was */
    uint32_t height;                /* 0: a leaf */
    uint32_t count;
};

/* The keys of both are padded with the highest address, so that they are searched without a look at the count. */
struct gmem__leaf {
    struct gmem__node node;
    uint64_t last[GMEM__LEAF_MAX]; /* that of each range */
    struct gmem__range ranges[GMEM__LEAF_MAX];
};

struct gmem__inner {
    struct gmem__node node;
    uint64_t last[GMEM__INNER_MAX]; /* the highest address below each child */
    struct gmem__node *children[GMEM__INNER_MAX];
};

/* A node that a version no longer has, or (whole) a subtree of which it has nothing. */
struct gmem__garbage {
    struct gmem__node *node;
    bool whole;
};

/* A version in the making. Zero it, but for born, which no node that exists may have. */
struct gmem__tree_edit {
    uint64_t born;
    struct gmem__node *made; /* through next */
    uint64_t visited;        /* counts nodes that were taken apart or dropped */
    uint64_t copied;         /* counts nodes made */
    struct gmem__garbage *garbage;
    size_t garbage_count, garbage_room;
};

/*
 * Replace the ranges of *tree (NULL is empty) that reach into [first, last], all of which must be
 * inside, by count ranges from items, by address and inside too. On error (-ENOMEM) the edit can
 * only be abandoned.
 */
int gmem__tree_splice(struct gmem__tree_edit *edit, struct gmem__node **tree, uint64_t first, uint64_t last,
                      const struct gmem__range *items, size_t count) GMEM_MUST_CHECK;
/* Nothing was published: free what was made, and forget the garbage. */
void gmem__tree_abandon(struct gmem__tree_edit *edit);

/* Free nodes of a version that nobody can see any more. */
void gmem__tree_free(struct gmem__node *tree);
void gmem__garbage_free(const struct gmem__garbage *garbage, size_t count);
/*
 * The garbage of a version that an older one, born at born, outlives: what that one has not is freed, and the rest appended to
 * *ret_kept, which has room. Without ret_kept, only count the rest.
 */
size_t gmem__garbage_keep(const struct gmem__garbage *garbage, size_t count, uint64_t born,
                          struct gmem__garbage *ret_kept);

/* The first range whose last is at or after addr, or NULL. */
const struct gmem__range *gmem__tree_find(const struct gmem__node *node, uint64_t addr);

/*
 * Call fn for the ranges that reach into [first, last], by address, until it returns non-zero,
 * which is returned.
 */
typedef int gmem__tree_fn(void *opaque, const struct gmem__range *range);
int gmem__tree_walk(const struct gmem__node *node, uint64_t first, uint64_t last, gmem__tree_fn *fn, void *opaque);

#endif
