/* SPDX-License-Identifier: MIT */
/* diff.h - what changed between two views. Pure. */
#ifndef GMEM_SRC_DIFF_H
#define GMEM_SRC_DIFF_H

#include "view.h"

enum gmem__change {
    GMEM__CHANGE_DEL,  /* before only */
    GMEM__CHANGE_ADD,  /* after only */
    GMEM__CHANGE_KEEP, /* in both; the clients that log may differ */
};

struct gmem__diff {
    const gmem_view *before, *after;
    size_t i, j;
};

/*
 * The next change by rising address, into *ret_change, *ret_before (DEL, KEEP) and *ret_after (ADD,
 * KEEP); false at the end. A changed range is a DEL followed by an ADD. Begin with i = j = 0.
 */
bool gmem__diff_ranges(struct gmem__diff *diff, enum gmem__change *ret_change, const struct gmem__range **ret_before,
                       const struct gmem__range **ret_after);
bool gmem__diff_extras(struct gmem__diff *diff, enum gmem__change *ret_change, const struct gmem__extra **ret_extra);

#endif
