/* SPDX-License-Identifier: MIT */
/*
 * Owns the ranges and changes of a diff until view_diff_free(). One thread.
 */
#include "viewdiff.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct taking {
    const struct map *map;
    const size_t *to_a; /* of the second side, else NULL */
    size_t n_a;
    struct shown_range **ranges;
    size_t *n;
};

static int take(void *opaque, const struct gmem_section *section)
{
    struct taking *taking = opaque;
    size_t region = map_region(taking->map, section->region), n = *taking->n;

    if (region == NOWHERE)
        return 0;
    alloc_grow(taking->ranges, n, sizeof(**taking->ranges));
    (*taking->ranges)[n] = (struct shown_range){
        .first = section->first,
        .last = section->last,
        .offset = section->offset,
        .region = region,
        .identity = !taking->to_a                     ? region
                    : taking->to_a[region] != NOWHERE ? taking->to_a[region]
                                                      : taking->n_a + region,
        .attrs = (section->attrs & ~GMEM_RANGE_LOG_MASK) | (uint32_t)taking->map->topology->regions[region].log
                                                               << GMEM_RANGE_LOG_SHIFT,
    };
    ++*taking->n;
    return 0;
}

static void take_ranges(const struct map *map, size_t space, const struct pairing *pairing, unsigned side,
                        struct space_group *group)
{
    struct taking taking = {.map = map,
                            .to_a = side ? pairing->to_a : NULL,
                            .n_a = pairing->a->n_regions,
                            .ranges = &group->ranges[side],
                            .n = &group->n_ranges[side]};
    gmem_view *view;

    if (space == NOWHERE)
        return;
    view = gmem_space_view(map->spaces[space]);
    (void)gmem_view_foreach(view, take, &taking);
    gmem_view_unref(view);
}

static bool same_range(const struct shown_range *x, const struct shown_range *y)
{
    return x->first == y->first && x->last == y->last && x->identity == y->identity && x->offset == y->offset &&
           x->attrs == y->attrs;
}

static void add_change(struct space_group *group, const struct shown_range *before, const struct shown_range *after)
{
    enum change change = !after ? CHANGE_GONE : !before ? CHANGE_NEW : CHANGE_CHANGED;

    alloc_grow(&group->changes, group->n_changes, sizeof(*group->changes));
    group->changes[group->n_changes++] = (struct range_change){change, before, after};
    group->gone += change == CHANGE_GONE;
    group->fresh += change == CHANGE_NEW;
    group->changed += change == CHANGE_CHANGED;
}

static void compare(struct space_group *group)
{
    const struct shown_range *x = group->ranges[0], *end_x = x ? x + group->n_ranges[0] : x;
    const struct shown_range *y = group->ranges[1], *end_y = y ? y + group->n_ranges[1] : y;

    while (x < end_x || y < end_y) {
        if (x < end_x && y < end_y && x->first == y->first && x->last == y->last && x->identity == y->identity) {
            if (!same_range(x, y))
                add_change(group, x, y);
            x++;
            y++;
        } else if (x < end_x && (y == end_y || x->first <= y->first)) {
            add_change(group, x++, NULL);
        } else {
            add_change(group, NULL, y++);
        }
    }
}

/* --- spaces that share their views --- */

struct shared {
    const gmem_view *views[2];
    size_t pair;
};

static int by_views(const void *a, const void *b)
{
    const struct shared *x = a, *y = b;

    for (unsigned s = 0; s < 2; s++)
        if (x->views[s] != y->views[s])
            return x->views[s] < y->views[s] ? -1 : 1;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

static int by_first_pair(const void *a, const void *b)
{
    const struct space_group *x = a, *y = b;

    return x->pairs[0] < y->pairs[0] ? -1 : x->pairs[0] > y->pairs[0];
}

/* The pointer only tells views apart: the space keeps its view as long as the map lives. */
static const gmem_view *view_of(const struct map *map, size_t space)
{
    gmem_view *view;

    if (space == NOWHERE)
        return NULL;
    view = gmem_space_view(map->spaces[space]);
    gmem_view_unref(view);
    return view;
}

void view_diff(const struct map *a, const struct map *b, const struct pairing *pairing, size_t only,
               struct view_diff *diff)
{
    struct shared *shared = alloc_zeroed(pairing->n_spaces, sizeof(*shared));
    size_t n = 0;

    *diff = (struct view_diff){0};
    for (size_t i = 0; i < pairing->n_spaces; i++)
        if (only == NOWHERE || only == i)
            shared[n++] = (struct shared){{view_of(a, pairing->spaces[i].a), view_of(b, pairing->spaces[i].b)}, i};
    qsort(shared, n, sizeof(*shared), by_views);
    for (size_t i = 0; i < n; i++) {
        const struct space_pair *pair = &pairing->spaces[shared[i].pair];
        bool whole = shared[i].views[0] && shared[i].views[1];
        struct space_group *group;

        if (!i || !whole || shared[i].views[0] != shared[i - 1].views[0] ||
            shared[i].views[1] != shared[i - 1].views[1]) {
            alloc_grow(&diff->groups, diff->n_groups, sizeof(*diff->groups));
            group = &diff->groups[diff->n_groups++];
            *group = (struct space_group){0};
            take_ranges(a, pair->a, pairing, 0, group);
            take_ranges(b, pair->b, pairing, 1, group);
            compare(group);
        }
        group = &diff->groups[diff->n_groups - 1];
        alloc_grow(&group->pairs, group->n_pairs, sizeof(*group->pairs));
        group->pairs[group->n_pairs++] = shared[i].pair;
    }
    free(shared);
    if (diff->n_groups)
        qsort(diff->groups, diff->n_groups, sizeof(*diff->groups), by_first_pair);
}

void view_diff_free(struct view_diff *diff)
{
    for (size_t i = 0; i < diff->n_groups; i++) {
        free(diff->groups[i].pairs);
        free(diff->groups[i].ranges[0]);
        free(diff->groups[i].ranges[1]);
        free(diff->groups[i].changes);
    }
    free(diff->groups);
    *diff = (struct view_diff){0};
}
