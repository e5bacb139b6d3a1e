/* SPDX-License-Identifier: MIT */
/* render.h - from the topology to ranges. Pure: reads the graph, writes only its result. */
#ifndef GMEM_SRC_RENDER_H
#define GMEM_SRC_RENDER_H

#include "view.h"

/*
 * The region whose rendering is what root shows, after everything that adds nothing is stripped; NULL when
 * nothing can be seen. Two roots with the same answer show exactly the same.
 */
gmem_region *gmem__render_root(gmem_region *root);

/*
 * Append to ranges what root shows in [first, last], by rising address, merged. Enabled or not is
 * for the caller of a root that came from gmem__render_root(). On error ranges may hold a part.
 *
 * -ENOMEM, -E2BIG (GMEM_DEPTH_MAX, GMEM_PLACEMENTS_MAX)
 */
int gmem__render(const gmem_region *root, uint64_t first, uint64_t last, struct gmem__ranges *ranges) GMEM_MUST_CHECK;

/* Append a range, or let it continue the last one if it does. The last must not reach past its first. -ENOMEM. */
int gmem__ranges_add(struct gmem__ranges *ranges, const struct gmem__range *range) GMEM_MUST_CHECK;

#endif
