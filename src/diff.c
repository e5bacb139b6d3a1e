/* SPDX-License-Identifier: MIT */
/*
 * diff.c - two views merged by address: what is gone, new, kept.
 *
 * Pure. A range counts as kept when everything but the set of logging clients is equal; anything
 * else is gone and new.
 */
#include "diff.h"

bool gmem__diff_ranges(struct gmem__diff *diff, enum gmem__change *ret_change, const struct gmem__range **ret_before,
                       const struct gmem__range **ret_after)
{
    const struct gmem__range *before = diff->i < diff->before->count ? &diff->before->ranges[diff->i] : NULL;
    const struct gmem__range *after = diff->j < diff->after->count ? &diff->after->ranges[diff->j] : NULL;

    if (!before && !after)
        return false;
    if (before && after && gmem__range_same(before, after)) {
        *ret_change = GMEM__CHANGE_KEEP;
        diff->i++;
        diff->j++;
    } else if (before && (!after || before->first <= after->first)) {
        *ret_change = GMEM__CHANGE_DEL;
        diff->i++;
    } else {
        *ret_change = GMEM__CHANGE_ADD;
        diff->j++;
    }
    *ret_before = before;
    *ret_after = after;
    return true;
}

bool gmem__diff_extras(struct gmem__diff *diff, enum gmem__change *ret_change, const struct gmem__extra **ret_extra)
{
    const struct gmem__extra *before = diff->i < diff->before->extra_count ? &diff->before->extras[diff->i] : NULL;
    const struct gmem__extra *after = diff->j < diff->after->extra_count ? &diff->after->extras[diff->j] : NULL;
    int order;

    if (!before && !after)
        return false;
    order = !before ? 1 : !after ? -1 : gmem__extra_compare(before, after);
    *ret_change = order == 0 ? GMEM__CHANGE_KEEP : order < 0 ? GMEM__CHANGE_DEL : GMEM__CHANGE_ADD;
    *ret_extra = order > 0 ? after : before;
    if (order <= 0)
        diff->i++;
    if (order >= 0)
        diff->j++;
    return true;
}
