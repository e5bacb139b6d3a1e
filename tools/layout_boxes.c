/* SPDX-License-Identifier: MIT */
/*
 * The layers: boxes of one container from top to bottom in the order in which they are asked, each as high up as those
 * above it that it shares addresses with let it. Owns what is in struct placing while it runs. One thread.
 *
 * No two boxes overlap: places are whole pixels, and a skyline says for each column how far down it is taken.
 */
#include "layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define DEEPEST 1500 /* pixels: what would be further down than this is counted and left out */

struct placing {
    struct picture *picture;
    double least;
    size_t *begin; /* where each way's shown children begin in children; one more than there are ways */
    size_t *children;
    size_t *below; /* how many shown ways a way and what is below it are */
};

/* A child, or several that are too small, waiting to be placed. */
struct item {
    int left, right; /* pixels */
    size_t way;      /* of several: the first that is asked */
    size_t count;    /* ways that it is, with all below */
    bool many;
    bool enabled;
    enum look look; /* of several: that of all of them, else a container's */
    uint64_t first, last;
};

static int left_of(const struct picture *picture, uint64_t addr)
{
    return (int)lround(axis_begin(&picture->axis, addr));
}

static int right_of(const struct picture *picture, uint64_t addr)
{
    return (int)lround(axis_end(&picture->axis, addr));
}

static int by_left(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->enabled != y->enabled)
        return x->enabled ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return x->way < y->way ? -1 : x->way > y->way;
}

static int by_turn(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return x->way < y->way ? -1 : x->way > y->way;
}

/* Of what is narrower than least, neighbours that are no further apart become one. Returns how many items are left. */
static size_t join(struct item *items, size_t n, double least)
{
    size_t left = 0;

    qsort(items, n, sizeof(*items), by_left);
    for (size_t i = 0; i < n; i++) {
        struct item *last = left ? &items[left - 1] : NULL;

        if (!last || items[i].left > last->right + least + 1 || items[i].enabled != last->enabled) {
            items[left++] = items[i];
            continue;
        }
        last->many = true;
        if (last->look != items[i].look)
            last->look = LOOK_CONTAINER;
        last->count += items[i].count;
        last->right = items[i].right > last->right ? items[i].right : last->right;
        last->last = items[i].last > last->last ? items[i].last : last->last;
        last->first = items[i].first < last->first ? items[i].first : last->first;
        last->way = items[i].way < last->way ? items[i].way : last->way;
    }
    return left;
}

static struct item item_of(const struct placing *placing, size_t index)
{
    const struct picture *picture = placing->picture;
    const struct way *way = &picture->ways.ways[index];
    struct item item = {.left = left_of(picture, way->first),
                        .right = right_of(picture, way->last),
                        .way = index,
                        .count = placing->below[index],
                        .enabled = way->enabled,
                        .look = layout_look(picture->topology, way->region, way->attrs),
                        .first = way->first,
                        .last = way->last};

    return item;
}

/* A way's children as items, in the order in which they are asked. What would be no pixel wide is one, left of right. */
static struct item *items_of(const struct placing *placing, size_t index, int right, size_t *ret_n)
{
    size_t n = placing->begin[index + 1] - placing->begin[index], small = 0, large = 0;
    struct item *items = alloc_zeroed(n, sizeof(*items)), *smalls = alloc_zeroed(n, sizeof(*items));

    for (size_t i = 0; i < n; i++) {
        struct item item = item_of(placing, placing->children[placing->begin[index] + i]);

        if (item.right - item.left < placing->least)
            smalls[small++] = item;
        else
            items[large++] = item;
    }
    small = join(smalls, small, placing->least);
    for (size_t i = 0; i < small; i++) {
        if (smalls[i].right == smalls[i].left && smalls[i].right < right)
            smalls[i].right++;
        else if (smalls[i].right == smalls[i].left)
            smalls[i].left--;
        smalls[i].many = smalls[i].count > 1;
        items[large++] = smalls[i];
    }
    free(smalls);
    qsort(items, large, sizeof(*items), by_turn);
    *ret_n = large;
    return items;
}

static void add_box(struct placing *placing, enum box_type type, const struct item *item, int y)
{
    struct picture *picture = placing->picture;
    const struct way *way = &picture->ways.ways[item->way];
    struct box box = {.type = type,
                      .look = item->look,
                      .way = item->many ? NOWHERE : item->way,
                      .first = item->first,
                      .last = item->last,
                      .x = item->left,
                      .width = item->right - item->left,
                      .y = y,
                      .count = item->count,
                      .enabled = item->enabled,
                      .readonly = way->attrs & GMEM_RANGE_READONLY,
                      .label.key = NOWHERE};

    if (type != BOX_WINDOW && box.look == LOOK_ALIAS && type != BOX_HEAD)
        box.look = LOOK_CONTAINER;
    alloc_grow(&picture->boxes, picture->n_boxes, sizeof(box));
    picture->boxes[picture->n_boxes++] = box;
}

static int place(struct placing *placing, const struct item *item, bool head, unsigned depth);

/* Its children below y, and how far down they come. */
static int place_children(struct placing *placing, const struct item *item, int y, bool heads, unsigned depth)
{
    struct picture *picture = placing->picture;
    int width = item->right - item->left, end = y, *skyline = alloc_zeroed((size_t)width + 1, sizeof(*skyline));
    size_t n;
    struct item *items = items_of(placing, item->way, item->right, &n);

    for (int i = 0; i <= width; i++)
        skyline[i] = y;
    for (size_t i = 0; i < n; i++) {
        size_t boxes = picture->n_boxes, frames = picture->n_frames;
        int top = y, bottom;

        for (int x = items[i].left; x < items[i].right; x++)
            if (x - item->left <= width && skyline[x - item->left] > top)
                top = skyline[x - item->left];
        bottom = place(placing, &items[i], heads, depth + 1);
        if (top + bottom > DEEPEST - (int)depth * (LAYOUT_ROW + LAYOUT_SPACING)) {
            picture->hidden += items[i].count;
            picture->n_boxes = boxes;
            picture->n_frames = frames;
            continue;
        }
        for (; boxes < picture->n_boxes; boxes++)
            picture->boxes[boxes].y += top;
        for (; frames < picture->n_frames; frames++)
            picture->frames[frames].y += top;
        for (int x = items[i].left; x < items[i].right && x - item->left <= width; x++)
            skyline[x - item->left] = top + bottom + LAYOUT_SPACING;
        if (top + bottom + LAYOUT_SPACING > end)
            end = top + bottom + LAYOUT_SPACING;
    }
    free(items);
    free(skyline);
    return end;
}

/* Boxes of an item from 0 down; returns its height. head: its name is to be written above what is in it. */
static int place(struct placing *placing, const struct item *item, bool head, unsigned depth)
{
    struct picture *picture = placing->picture;
    const struct topo_region *region = &picture->topology->regions[picture->ways.ways[item->way].region];
    size_t begin = placing->begin[item->way], n = item->many ? 0 : placing->begin[item->way + 1] - begin;
    bool alias = region->kind == GMEM_KIND_ALIAS, container = region->kind == GMEM_KIND_CONTAINER;
    int y = 0;

    if (item->many) {
        add_box(placing, BOX_MANY, item, 0);
        return LAYOUT_ROW;
    }
    if (!n) {
        if (head || !container)
            add_box(placing, alias ? BOX_WINDOW : container ? BOX_HEAD : BOX_REGION, item, 0);
        return head || !container ? LAYOUT_ROW : 0;
    }
    if (head && (alias || container)) {
        add_box(placing, BOX_HEAD, item, 0);
        y = LAYOUT_ROW + LAYOUT_SPACING;
    }
    y = place_children(placing, item, y, !alias, depth); /* an alias' name says its target's */
    if (!alias && !container) {
        add_box(placing, BOX_REGION, item, y);
        y += LAYOUT_ROW + LAYOUT_SPACING;
    }
    alloc_grow(&picture->frames, picture->n_frames, sizeof(*picture->frames));
    picture->frames[picture->n_frames++] =
        (struct frame){item->way, item->left, item->right - item->left, 0, y - LAYOUT_SPACING + 3};
    return y - LAYOUT_SPACING + 3;
}

void layout_boxes(struct picture *picture, double least)
{
    const struct ways *ways = &picture->ways;
    struct placing placing = {.picture = picture, .least = least};
    size_t *fill = alloc_zeroed(ways->n + 1, sizeof(*fill));
    double end = picture->layers_y;

    placing.begin = alloc_zeroed(ways->n + 2, sizeof(*placing.begin));
    placing.children = alloc_zeroed(ways->n, sizeof(*placing.children));
    placing.below = alloc_zeroed(ways->n, sizeof(*placing.below));
    for (size_t i = ways->n; i-- > 0;) {
        placing.below[i] += picture->shown[i];
        if (picture->shown[i] && ways->ways[i].up != NOWHERE) {
            placing.below[ways->ways[i].up] += placing.below[i];
            placing.begin[ways->ways[i].up + 1]++;
        }
    }
    for (size_t i = 0; i < ways->n; i++)
        placing.begin[i + 1] += placing.begin[i];
    for (size_t i = 0; i < ways->n; i++)
        if (picture->shown[i] && ways->ways[i].up != NOWHERE) {
            size_t up = ways->ways[i].up;

            placing.children[placing.begin[up] + fill[up]++] = i;
        }
    if (ways->n) {
        struct item root = item_of(&placing, 0);

        if (root.right > root.left)
            end += place(&placing, &root, true, 0);
        for (size_t i = 0; i < picture->n_boxes; i++)
            picture->boxes[i].y += picture->layers_y;
        for (size_t i = 0; i < picture->n_frames; i++)
            picture->frames[i].y += picture->layers_y;
    }
    picture->winners_y = end + 14;
    free(fill);
    free(placing.begin);
    free(placing.children);
    free(placing.below);
}

void layout_winners(struct picture *picture, const struct layout_range *ranges, size_t n, double least)
{
    const struct axis_piece *end = &picture->axis.pieces[picture->axis.n - 1];
    bool small = false; /* the last one is, and may be joined by others */

    for (size_t i = 0; i < n; i++) {
        struct winner *last = picture->n_winners ? &picture->winners[picture->n_winners - 1] : NULL;
        double left = fmin(left_of(picture, ranges[i].first), end->x + end->width - 1);
        double right = fmax(right_of(picture, ranges[i].last), left + 1), taken = last ? last->x + last->width : 0;
        enum look look = layout_look(picture->topology, ranges[i].region, ranges[i].attrs);
        bool tiny = right - left < least;

        if (last && small && tiny && left <= taken + least + 1) {
            last->count++;
            last->last = ranges[i].last;
            if (last->look != look)
                last->look = LOOK_CONTAINER;
            last->width = fmax(right, taken) - last->x;
            continue;
        }
        /* Who would have no pixel gets one of a large neighbour's. */
        if (last && left < taken && tiny && last->width > least)
            last->width = left - last->x;
        else if (last && left < taken)
            left = taken;
        right = fmax(right, left + 1);
        small = tiny;
        alloc_grow(&picture->winners, picture->n_winners, sizeof(*picture->winners));
        picture->winners[picture->n_winners++] = (struct winner){.range = ranges[i],
                                                                 .last = ranges[i].last,
                                                                 .count = 1,
                                                                 .look = look,
                                                                 .x = left,
                                                                 .width = right - left,
                                                                 .label.key = NOWHERE};
    }
}
