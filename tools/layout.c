/* SPDX-License-Identifier: MIT */
/*
 * Owns a picture until layout_free(). One thread. This file: what of the ways is shown, and the picture from top to bottom.
 *
 * An alias is one box, and its target is drawn where it is placed. Only a container that is placed nowhere in the space is
 * drawn in the (first) alias that shows it; so every region is drawn at most once by itself and once in an alias.
 */
#include "layout.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "label.h"

static bool is_alias(const struct picture *picture, size_t way)
{
    return picture->topology->regions[picture->ways.ways[way].region].kind == GMEM_KIND_ALIAS;
}

enum look layout_look(const struct topology *topology, size_t region, uint32_t attrs)
{
    const struct topo_region *of = &topology->regions[region];

    for (unsigned depth = 0; of->kind == GMEM_KIND_ALIAS && depth <= GMEM_DEPTH_MAX; depth++) {
        if (of->target == NOWHERE)
            return LOOK_ALIAS;
        of = &topology->regions[of->target];
        if (of->kind == GMEM_KIND_CONTAINER)
            return LOOK_ALIAS;
    }
    switch (of->kind) {
    case GMEM_KIND_CONTAINER:
        return LOOK_CONTAINER;
    case GMEM_KIND_RAM:
        return LOOK_RAM;
    case GMEM_KIND_ROM:
        return LOOK_ROM;
    case GMEM_KIND_ROMD:
        return attrs & GMEM_RANGE_ROMD || of->romd ? LOOK_ROMD : LOOK_DEVICE;
    case GMEM_KIND_RAM_DEVICE:
        return LOOK_RAMD;
    case GMEM_KIND_MMIO:
        return LOOK_DEVICE;
    case GMEM_KIND_IOMMU:
        return LOOK_IOMMU;
    case GMEM_KIND_RESERVED:
        return LOOK_RESERVED;
    case GMEM_KIND_ALIAS:
        break;
    }
    return LOOK_ALIAS;
}

char *layout_size(uint64_t first, uint64_t last)
{
    static const char units[] = "KMGTPE";
    double size = (double)(last - first) + 1;
    int unit = -1;

    if (last - first < 1023)
        return alloc_format("%u B", (unsigned)(last - first) + 1);
    do {
        size /= 1024;
        unit++;
    } while (size >= 1024 && unit < 5);
    size = size < 99.95 ? round(size * 10) / 10 : round(size);
    return alloc_format(size == floor(size) ? "%.0f %ciB" : "%.1f %ciB", size, units[unit]);
}

/* Those that are not seen through an alias, and where regions are at home. */
static void show_direct(struct picture *picture)
{
    const struct ways *ways = &picture->ways;

    for (size_t i = 0; i < ways->n; i++) {
        const struct way *way = &ways->ways[i];
        size_t *home = &picture->home[way->region];

        if (way->up != NOWHERE && (!picture->shown[way->up] || is_alias(picture, way->up)))
            continue;
        picture->shown[i] = true;
        if (*home == NOWHERE || (way->enabled && !ways->ways[*home].enabled))
            *home = i;
    }
}

/* Whether the part of a region that one way shows is, at least in part, among what another shows. */
static bool meets(const struct way *a, const struct way *b)
{
    uint64_t size_a = a->last - a->first, size_b = b->last - b->first;

    return a->offset <= b->offset ? b->offset - a->offset <= size_a : a->offset - b->offset <= size_b;
}

/* In aliases: containers, or parts of them, that have no home, with all that is in them. */
static void show_seen(struct picture *picture)
{
    const struct ways *ways = &picture->ways;
    bool *holds = alloc_zeroed(ways->n, sizeof(*holds));

    for (size_t i = 0; i < ways->n; i++)
        if (ways->ways[i].up != NOWHERE)
            holds[ways->ways[i].up] = true;
    for (size_t i = 0; i < ways->n; i++) {
        const struct way *way = &ways->ways[i];
        size_t *home = &picture->home[way->region];

        if (picture->shown[i] || way->up == NOWHERE || !picture->shown[way->up])
            continue;
        if (is_alias(picture, way->up) && (!holds[i] || (*home != NOWHERE && meets(way, &ways->ways[*home]))))
            continue;
        picture->shown[i] = true;
        if (*home == NOWHERE)
            *home = i;
    }
    free(holds);
}

static double width_of(const char *bytes)
{
    char *text = label_text(bytes);
    size_t cells = label_cells(text);

    free(text);
    return (double)(cells > 24 ? 24 : cells) * LAYOUT_CELL + 9;
}

/*
 * What the axis is cut by: everything shown, and ranges. Both have a name to be written; those of ranges come first, those of
 * disabled regions and of containers may be numbers.
 */
static void make_axis(struct picture *picture, const struct layout_range *ranges, size_t n,
                      const struct layout_options *options)
{
    const struct ways *ways = &picture->ways;
    struct axis_span *spans = alloc_zeroed(ways->n + n, sizeof(*spans));
    size_t n_spans = 0;
    uint64_t first = options->first, last = options->last;

    for (size_t i = 0; i < n; i++)
        spans[n_spans++] = (struct axis_span){.first = ranges[i].first,
                                              .last = ranges[i].last,
                                              .covers = true,
                                              .want = width_of(picture->topology->regions[ranges[i].region].name)};
    for (size_t i = 0; i < ways->n; i++) {
        const struct way *way = &ways->ways[i];
        enum look look = layout_look(picture->topology, way->region, way->attrs);
        bool covers = look != LOOK_CONTAINER && look != LOOK_ALIAS;

        if (picture->shown[i])
            spans[n_spans++] = (struct axis_span){.first = way->first,
                                                  .last = way->last,
                                                  .covers = covers,
                                                  .later = covers && way->enabled ? 1 : 2,
                                                  .want = width_of(picture->topology->regions[way->region].name)};
    }
    if (ways->n && ways->ways[0].first > first)
        first = ways->ways[0].first;
    if (ways->n && ways->ways[0].last < last)
        last = ways->ways[0].last;
    axis_make(spans, n_spans, first, last, options->left, options->width, &picture->axis);
    free(spans);
}

bool layout_make(const struct topology *topology, size_t space, const struct layout_range *ranges, size_t n,
                 const struct layout_options *options, struct picture *picture, struct problem *problem)
{
    *picture = (struct picture){.topology = topology};
    if (!ways_find(topology, space, options->first, options->last, LAYOUT_WAYS, &picture->ways, problem))
        return false;
    picture->shown = alloc_zeroed(picture->ways.n, sizeof(*picture->shown));
    picture->home = alloc_zeroed(topology->n_regions, sizeof(*picture->home));
    for (size_t i = 0; i < topology->n_regions; i++)
        picture->home[i] = NOWHERE;
    show_direct(picture);
    show_seen(picture);
    make_axis(picture, ranges, n, options);
    picture->ticks = layout_ticks(&picture->axis, true, true, &picture->n_ticks, &picture->upright, &picture->axis_y);
    picture->layers_y = picture->axis_y + 22;
    for (double least = options->least;; least *= 2) {
        picture->n_boxes = picture->n_frames = picture->hidden = 0;
        layout_boxes(picture, least);
        if (picture->n_boxes <= options->boxes || least > options->width)
            break;
    }
    for (double least = options->least;; least *= 2) {
        picture->n_winners = 0;
        layout_winners(picture, ranges, n, least);
        if (picture->n_winners <= options->boxes || least > options->width)
            break;
    }
    layout_stubs(picture, options);
    layout_labels(picture);
    return true;
}

void layout_free(struct picture *picture)
{
    for (size_t i = 0; i < picture->n_boxes; i++)
        free(picture->boxes[i].label.text);
    for (size_t i = 0; i < picture->n_winners; i++) {
        free(picture->winners[i].label.text);
        free(picture->winners[i].size);
    }
    for (size_t i = 0; i < picture->n_stubs; i++) {
        free(picture->stubs[i].label.text);
        free(picture->stubs[i].ticks);
        axis_free(&picture->stubs[i].axis);
    }
    for (size_t i = 0; i < picture->n_key; i++)
        free(picture->key[i].text);
    for (size_t i = 0; i < picture->n_notes; i++)
        free(picture->notes[i].text);
    free(picture->notes);
    free(picture->boxes);
    free(picture->frames);
    free(picture->winners);
    free(picture->ticks);
    free(picture->stubs);
    free(picture->arrows);
    free(picture->key);
    free(picture->shown);
    free(picture->home);
    axis_free(&picture->axis);
    ways_free(&picture->ways);
    *picture = (struct picture){0};
}
