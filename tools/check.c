/* SPDX-License-Identifier: MIT */
/*
 * Owns what it found until check_free(). One thread.
 *
 * Views are a set, and names of spaces repeat: of several of one name, a view of the dump takes one that shows the same, if there is one.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct ranges {
    struct check_range *ranges;
    size_t n;
};

static int add_section(void *opaque, const struct gmem_section *section)
{
    struct ranges *ranges = opaque;
    const char *label = gmem_region_label(section->region);

    alloc_grow(&ranges->ranges, ranges->n, sizeof(*ranges->ranges));
    ranges->ranges[ranges->n++] = (struct check_range){
        .first = section->first,
        .last = section->last,
        .offset = section->offset,
        .priority = gmem_region_priority(section->region),
        .nonvolatile = section->attrs & GMEM_RANGE_NONVOLATILE,
        .type = section->attrs & GMEM_RANGE_READONLY ? "rom" : gmem_region_type(section->region),
        .name = gmem_region_name(section->region),
        .owner = *label ? label : NULL,
    };
    return 0;
}

static const char *type_text(enum mtree_type type)
{
    switch (type) {
    case MTREE_RAM:
        return "ram";
    case MTREE_ROM:
        return "rom";
    case MTREE_ROMD:
        return "romd";
    case MTREE_RAMD:
        return "ramd";
    case MTREE_READWRITE:
        return "RW";
    case MTREE_READONLY:
        return "R-";
    case MTREE_WRITEONLY:
        return "-W";
    case MTREE_NOACCESS:
        return "--";
    case MTREE_IO:
        break;
    }
    return "i/o";
}

static struct check_range of_dump(const struct flat_range *range)
{
    return (struct check_range){.first = range->first,
                                .last = range->last,
                                .offset = range->offset,
                                .priority = range->priority,
                                .nonvolatile = range->nonvolatile,
                                .type = type_text(range->type),
                                .name = range->name,
                                .owner = range->owner};
}

static bool same_range(const struct check_range *a, const struct check_range *b)
{
    return a->first == b->first && a->last == b->last && a->offset == b->offset && a->priority == b->priority &&
           a->nonvolatile == b->nonvolatile && strcmp(a->type, b->type) == 0 && strcmp(a->name, b->name) == 0 &&
           (!a->owner || !b->owner || strcmp(a->owner, b->owner) == 0);
}

static bool all_same(const struct flat_view *view, const struct ranges *ranges)
{
    if (view->n_ranges != ranges->n)
        return false;
    for (size_t i = 0; i < ranges->n; i++) {
        struct check_range range = of_dump(&view->ranges[i]);

        if (!same_range(&range, &ranges->ranges[i]))
            return false;
    }
    return true;
}

static void compare(struct check_view *result, const struct ranges *ranges)
{
    const struct flat_view *view = result->view;
    size_t i = 0, k = 0;

    result->compared = view->n_ranges;
    while (i < view->n_ranges || k < ranges->n) {
        struct check_difference difference = {0};

        if (i < view->n_ranges)
            difference.dump = of_dump(&view->ranges[i]);
        if (k < ranges->n)
            difference.map = ranges->ranges[k];
        difference.has_dump = i < view->n_ranges && (k == ranges->n || difference.dump.first <= difference.map.first);
        difference.has_map = k < ranges->n && (i == view->n_ranges || difference.map.first <= difference.dump.first);
        i += difference.has_dump;
        k += difference.has_map;
        if (difference.has_dump && difference.has_map && same_range(&difference.dump, &difference.map))
            continue;
        alloc_grow(&result->differences, result->n_differences, sizeof(*result->differences));
        result->differences[result->n_differences++] = difference;
    }
}

struct name {
    const char *name;
    size_t space;
};

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order)
        return order;
    return x->space < y->space ? -1 : x->space > y->space;
}

struct checking {
    const struct loaded *loaded;
    struct name *names; /* sorted */
    size_t n;
    struct ranges *ranges;   /* by space; those of one view are shared */
    const gmem_view **views; /* by space: which view it shows, for comparing only; NULL: an empty one */
    bool *taken;             /* by space */
};

static void render(struct checking *checking)
{
    const struct loaded *loaded = checking->loaded;

    for (size_t i = 0; i < checking->n; i++) {
        gmem_view *view = gmem_space_view(loaded->map.spaces[i]);

        checking->names[i] = (struct name){.name = loaded->topology.spaces[i].name, .space = i};
        gmem_view_foreach(view, add_section, &checking->ranges[i]);
        checking->views[i] = gmem_view_root(view) ? view : NULL;
        gmem_view_unref(view);
    }
    qsort(checking->names, checking->n, sizeof(*checking->names), by_name);
}

static size_t first_of(const struct checking *checking, const char *name)
{
    size_t low = 0, high = checking->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(checking->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How a space of a view is chosen among those of its name. */
enum take {
    TAKE_ONLY,   /* there is one of that name, in the dump and in the map */
    TAKE_SHARED, /* it shows what the view's spaces do that are taken */
    TAKE_SAME,   /* it shows the same ranges */
    TAKE_ANY,
};

static bool may_take(const struct checking *checking, const struct check_view *view, size_t at, enum take how)
{
    size_t space = checking->names[at].space;
    const char *name = checking->names[at].name;

    if (checking->taken[space])
        return false;
    switch (how) {
    case TAKE_ONLY:
        return (!at || strcmp(checking->names[at - 1].name, name) != 0) &&
               (at + 1 == checking->n || strcmp(checking->names[at + 1].name, name) != 0);
    case TAKE_SHARED:
        for (size_t i = 0; i < view->view->n_spaces; i++)
            if (view->spaces[i] != NOWHERE && checking->views[view->spaces[i]] == checking->views[space])
                return true;
        return false;
    case TAKE_SAME:
        return all_same(view->view, &checking->ranges[space]);
    case TAKE_ANY:
        break;
    }
    return true;
}

static size_t take_space(struct checking *checking, const struct check_view *view, const char *name, enum take how)
{
    for (size_t i = first_of(checking, name); i < checking->n && strcmp(checking->names[i].name, name) == 0; i++) {
        if (!may_take(checking, view, i, how))
            continue;
        checking->taken[checking->names[i].space] = true;
        return checking->names[i].space;
    }
    return NOWHERE;
}

static void take_spaces(struct checking *checking, struct check *check)
{
    for (int how = TAKE_ONLY; how <= TAKE_ANY; how++)
        for (size_t i = 0; i < check->n_views; i++) {
            struct check_view *view = &check->views[i];

            for (size_t k = 0; k < view->view->n_spaces; k++) {
                const char *name = view->view->spaces[k].name;

                if (view->spaces[k] == NOWHERE && how > TAKE_SHARED) /* with one just taken */
                    view->spaces[k] = take_space(checking, view, name, TAKE_SHARED);
                if (view->spaces[k] == NOWHERE)
                    view->spaces[k] = take_space(checking, view, name, (enum take)how);
            }
        }
}

/* The spaces of one view show one object, and no other view's spaces show that. */
static bool is_shared(const struct checking *checking, const struct check *check, const struct check_view *view)
{
    const gmem_view *shown;

    if (!view->view->n_spaces || view->spaces[0] == NOWHERE)
        return true;
    shown = checking->views[view->spaces[0]];
    for (size_t i = 0; i < check->n_views; i++)
        for (size_t k = 0; k < check->views[i].view->n_spaces; k++) {
            size_t space = check->views[i].spaces[k];

            if (space != NOWHERE && (checking->views[space] == shown) != (&check->views[i] == view) && shown)
                return false;
        }
    return true;
}

static void judge(struct checking *checking, struct check *check, struct check_view *view)
{
    struct ranges none = {0};
    size_t first = NOWHERE;

    view->shared = is_shared(checking, check, view);
    view->exact = view->shared;
    for (size_t k = 0; k < view->view->n_spaces; k++) {
        size_t space = view->spaces[k];

        if (space == NOWHERE)
            view->exact = false;
        else if (first == NOWHERE || (view->shared ? 0 : !all_same(view->view, &checking->ranges[space])))
            first = space;
    }
    compare(view, first == NOWHERE ? &none : &checking->ranges[first]);
    if (first != NOWHERE) {
        gmem_view *shown = gmem_space_view(checking->loaded->map.spaces[first]);
        gmem_region *root = gmem_view_root(shown);

        view->root = root ? gmem_region_name(root) : NULL; /* the map's, which outlives the view */
        gmem_view_unref(shown);
    }
    view->same_root = view->root ? view->view->root && strcmp(view->root, view->view->root) == 0 : !view->view->root;
    view->exact &= !view->n_differences && view->same_root;
    check->n_exact += view->exact;
    check->compared += view->compared;
    check->n_differences += view->n_differences;
}

void check(const struct loaded *loaded, struct check *ret)
{
    size_t n = loaded->topology.n_spaces;
    struct checking checking = {.loaded = loaded,
                                .names = alloc_zeroed(n, sizeof(struct name)),
                                .n = n,
                                .ranges = alloc_zeroed(n, sizeof(struct ranges)),
                                .views = alloc_zeroed(n, sizeof(gmem_view *)),
                                .taken = alloc_zeroed(n, sizeof(bool))};

    *ret = (struct check){.n_views = loaded->flat.n_views,
                          .views = alloc_zeroed(loaded->flat.n_views, sizeof(*ret->views))};
    render(&checking);
    for (size_t i = 0; i < ret->n_views; i++) {
        struct check_view *view = &ret->views[i];

        view->view = &loaded->flat.views[i];
        view->spaces = alloc_zeroed(view->view->n_spaces, sizeof(*view->spaces));
        for (size_t k = 0; k < view->view->n_spaces; k++)
            view->spaces[k] = NOWHERE;
    }
    take_spaces(&checking, ret);
    for (size_t i = 0; i < ret->n_views; i++)
        judge(&checking, ret, &ret->views[i]);
    for (size_t i = 0; i < n; i++) {
        ret->missing += !checking.taken[i];
        free(checking.ranges[i].ranges);
    }
    free(checking.names);
    free(checking.ranges);
    free(checking.views);
    free(checking.taken);
}

void check_free(struct check *check)
{
    for (size_t i = 0; i < check->n_views; i++) {
        free(check->views[i].spaces);
        free(check->views[i].differences);
    }
    free(check->views);
    *check = (struct check){0};
}
