/* SPDX-License-Identifier: MIT */
/*
 * Which spaces an SVG shows, and in which order: those that show the same once. Owns a document's groups until
 * svg_groups_free(). One thread.
 */
#include "svg.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define PICTURES 48 /* spaces that are drawn; others are named */
#define LINES 4     /* this many spaces of one range make a list; fewer are drawn */

struct collecting {
    const struct map *map;
    struct layout_range *ranges;
    size_t n;
    uint64_t first, last;
};

static int collect(void *opaque, const struct gmem_section *section)
{
    struct collecting *collecting = opaque;
    struct layout_range range = {.first = section->first,
                                 .last = section->last,
                                 .offset = section->offset,
                                 .attrs = section->attrs,
                                 .region = map_region(collecting->map, section->region)};

    if (range.region == NOWHERE || range.last < collecting->first || range.first > collecting->last)
        return 0;
    if (range.first < collecting->first) {
        range.offset += collecting->first - range.first;
        range.first = collecting->first;
    }
    if (range.last > collecting->last)
        range.last = collecting->last;
    alloc_grow(&collecting->ranges, collecting->n, sizeof(range));
    collecting->ranges[collecting->n++] = range;
    return 0;
}

static bool same(const struct svg_group *group, const struct collecting *ranges)
{
    if (group->n_ranges != ranges->n)
        return false;
    for (size_t i = 0; i < ranges->n; i++) {
        const struct layout_range *a = &group->ranges[i], *b = &ranges->ranges[i];

        if (a->first != b->first || a->last != b->last || a->offset != b->offset || a->attrs != b->attrs ||
            a->region != b->region)
            return false;
    }
    return true;
}

/* How many aliases and containers one looks through before there is more than one thing: fewer make the simpler picture. */
static unsigned detours(const struct topology *topology, size_t space)
{
    size_t root = topology->spaces[space].root;
    unsigned n = 0;

    for (size_t at = root; at != NOWHERE && n < GMEM_DEPTH_MAX; n++) {
        size_t only = NOWHERE, children = 0;

        if (topology->regions[at].kind == GMEM_KIND_ALIAS) {
            at = topology->regions[at].target;
            continue;
        }
        for (size_t i = 0; i < topology->n_regions && children < 2; i++)
            if (topology->regions[i].parent == at)
                only = i, children++;
        if (children != 1)
            break;
        at = only;
    }
    return n;
}

static void add_space(struct svg_document *document, size_t space)
{
    const struct loaded *loaded = document->loaded;
    const struct topology *topology = &loaded->topology;
    struct collecting ranges = {
        .map = &loaded->map, .first = document->options->first, .last = document->options->last};
    gmem_view *view = gmem_space_view(loaded->map.spaces[space]);
    struct svg_group *group;
    size_t i;

    gmem_view_foreach(view, collect, &ranges);
    gmem_view_unref(view);
    if (!ranges.n && document->options->space == NOWHERE) {
        alloc_grow(&document->empty, document->n_empty, sizeof(*document->empty));
        document->empty[document->n_empty++] = space;
        return;
    }
    for (i = 0; i < document->n_groups && !same(&document->groups[i], &ranges); i++)
        ;
    if (i == document->n_groups) {
        alloc_grow(&document->groups, document->n_groups, sizeof(*document->groups));
        document->groups[document->n_groups++] = (struct svg_group){.ranges = ranges.ranges, .n_ranges = ranges.n};
    } else {
        free(ranges.ranges);
    }
    group = &document->groups[i];
    alloc_grow(&group->spaces, group->n_spaces, sizeof(*group->spaces));
    group->spaces[group->n_spaces++] = space;
    if (group->n_spaces > 1 && group->n_spaces < 1000) {
        size_t other = group->spaces[0];
        unsigned here = detours(topology, space), there = detours(topology, other);

        if (here < there ||
            (here == there && strlen(topology->spaces[space].name) < strlen(topology->spaces[other].name))) {
            group->spaces[0] = space;
            group->spaces[group->n_spaces - 1] = other;
        }
    }
}

static uint64_t answered(const struct svg_group *group)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < group->n_ranges; i++)
        sum += (group->ranges[i].last - group->ranges[i].first) / 2; /* half, so that it has room */
    return sum;
}

static int by_answered(const void *a, const void *b)
{
    const struct svg_group *x = a, *y = b;
    uint64_t of_x = answered(x), of_y = answered(y);

    if (x->line != y->line)
        return y->line ? -1 : 1;
    if (of_x != of_y)
        return of_x > of_y ? -1 : 1;
    return x->spaces[0] < y->spaces[0] ? -1 : x->spaces[0] > y->spaces[0];
}

/* Whether there is nothing to see in it but that region. */
static bool is_one(const struct topology *topology, const struct svg_group *group)
{
    size_t at = topology->spaces[group->spaces[0]].root;

    for (unsigned depth = 0; at != NOWHERE && depth <= GMEM_DEPTH_MAX; depth++) {
        size_t only = NOWHERE, children = 0;

        for (size_t i = 0; i < topology->n_regions && children < 2; i++)
            if (topology->regions[i].parent == at)
                only = i, children++;
        if (at == group->ranges[0].region)
            return !children;
        at = topology->regions[at].kind == GMEM_KIND_ALIAS ? topology->regions[at].target
             : children == 1                               ? only
                                                           : NOWHERE;
    }
    return false;
}

/* The one in which most addresses are answered first. */
void svg_groups_find(struct svg_document *document)
{
    if (document->options->space != NOWHERE)
        add_space(document, document->options->space);
    else
        for (size_t i = 0; i < document->loaded->topology.n_spaces; i++)
            add_space(document, i);
    for (size_t i = 0; i < document->n_groups; i++) {
        struct svg_group *group = &document->groups[i];

        group->line =
            group->n_ranges == 1 && document->options->space == NOWHERE && is_one(&document->loaded->topology, group);
        document->lines += group->line;
    }
    for (size_t i = 0; i < document->n_groups && document->lines < LINES; i++)
        document->groups[i].line = false;
    if (document->lines < LINES)
        document->lines = 0;
    if (document->n_groups)
        qsort(document->groups, document->n_groups, sizeof(*document->groups), by_answered);
    document->drawn = document->n_groups - document->lines;
    document->drawn = document->drawn < PICTURES ? document->drawn : PICTURES;
}

char *svg_names(const struct svg_document *document, const size_t *spaces, size_t n)
{
    char *names = alloc_text("");

    for (size_t i = 0; i < n && strlen(names) < 2000; i++) {
        char *more = alloc_format("%s%s%s", names, i ? ", " : "", document->loaded->topology.spaces[spaces[i]].name);

        free(names);
        names = more;
    }
    return names;
}

void svg_groups_free(struct svg_document *document)
{
    for (size_t i = 0; i < document->n_groups; i++) {
        layout_free(&document->groups[i].picture);
        free(document->groups[i].spaces);
        free(document->groups[i].ranges);
    }
    free(document->groups);
    free(document->empty);
}
