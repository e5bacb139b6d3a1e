/* SPDX-License-Identifier: MIT */
/* diff.h - what changed between two versions of a view, or in parts of it. Pure. */
#ifndef GMEM_SRC_DIFF_H
#define GMEM_SRC_DIFF_H

#include "view.h"

enum gmem__change {
    GMEM__CHANGE_DEL,  /* before only */
    GMEM__CHANGE_ADD,  /* after only */
    GMEM__CHANGE_KEEP, /* in both; the clients that log may differ */
};

/* Which range of before (DEL, KEEP) and of after (ADD, KEEP). A changed range is a DEL followed by an ADD. */
struct gmem__changed {
    enum gmem__change change;
    size_t before, after;
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

struct gmem__extras {
    struct gmem__extra *items;
    size_t count, room;
};

/*
 * Zero it, fill before and after, call gmem__diff(), as often as there are parts; then
 * gmem__diff_extras() once.
 */
struct gmem__changes {
    struct gmem__ranges before, after;
    struct gmem__changed *items;
    size_t count, room;
    size_t real;          /* of these, those that listeners hear without asking for region_nop */
    uint64_t first, last; /* all of those are in it; nothing if there are none */
    struct gmem__extras gone, come;
};

/* Append the changes between before.items[before_from..] and after.items[after_from..]. -ENOMEM. */
int gmem__diff(struct gmem__changes *changes, size_t before_from, size_t after_from) GMEM_MUST_CHECK;

/*
 * Find the extras gone and come in all of before and after. What a region had before is in its was,
 * if was_epoch is epoch. -ENOMEM.
 */
int gmem__diff_extras(struct gmem__changes *changes, uint64_t epoch) GMEM_MUST_CHECK;

/*
 * Call fn for each extra of a range's region that is visible in it, as of before the transaction of
 * epoch (0: now), each once. No memory is needed. Until fn returns non-zero, which is returned.
 */
typedef int gmem__extra_fn(void *opaque, const struct gmem__extra *extra);
int gmem__range_intervals(const struct gmem__range *range, uint64_t epoch, gmem__extra_fn *fn, void *opaque);
int gmem__range_eventfds(const struct gmem__range *range, uint64_t epoch, gmem__extra_fn *fn, void *opaque);

void gmem__changes_free(struct gmem__changes *changes);

/* What a commit does to one shown. */
struct gmem__next {
    struct gmem__changes changes;
    struct gmem__tree_edit edit;
    struct gmem__pin *dropped; /* of the ranges of changes.before */
    gmem_view *view;           /* the new version; NULL: only extras changed */
};

#endif
