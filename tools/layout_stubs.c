/* SPDX-License-Identifier: MIT */
/*
 * Arrows from aliases to what they show, and blocks below the bottom line for targets that are placed nowhere in the space.
 * Owns nothing. One thread.
 */
#include "layout.h"

#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "label.h"

#define STUBS 24         /* blocks that are drawn; more are counted */
#define ARROWS 300       /* with more than that nothing can be followed */
#define STUB_SPACING 24  /* pixels between blocks */
#define ARROWS_HEIGHT 46 /* between the bottom line and the first row of blocks */
#define STUB_ROW 76      /* a row of blocks with what is written around them */

/* A window of an alias on what is behind it. */
struct window {
    size_t box, region;
    uint64_t first, last; /* offsets in the target */
    bool enabled;
    double middle;
};

static int by_region(const void *a, const void *b)
{
    const struct window *x = a, *y = b;

    if (x->region != y->region)
        return x->region < y->region ? -1 : 1;
    return x->box < y->box ? -1 : x->box > y->box;
}

static int by_middle(const void *a, const void *b)
{
    const struct stub *x = a, *y = b; /* x is, until they are placed, where the middle should be */

    return x->x < y->x ? -1 : x->x > y->x;
}

/* All windows that lead to a target, by target. */
static struct window *find_windows(const struct picture *picture, size_t *ret_n)
{
    struct window *windows = alloc_zeroed(picture->n_boxes, sizeof(*windows));
    size_t n = 0;

    for (size_t i = 0; i < picture->n_boxes; i++) {
        const struct box *box = &picture->boxes[i];
        const struct topo_region *region, *target;
        uint64_t first, last;

        if (box->type != BOX_WINDOW)
            continue;
        region = &picture->topology->regions[picture->ways.ways[box->way].region];
        if (region->target == NOWHERE)
            continue;
        target = &picture->topology->regions[region->target];
        first = region->target_offset + picture->ways.ways[box->way].offset;
        last = target->size.all ? UINT64_MAX : target->size.bytes - 1;
        if (first < region->target_offset || first > last)
            continue;
        if (box->last - box->first < last - first)
            last = first + (box->last - box->first);
        windows[n++] = (struct window){i, region->target, first, last, box->enabled, box->x + box->width / 2};
    }
    qsort(windows, n, sizeof(*windows), by_region);
    *ret_n = n;
    return windows;
}

static void add_arrow(struct picture *picture, const struct window *window, double y, double to_x, double to_y,
                      size_t stub)
{
    struct arrow arrow = {.way = picture->boxes[window->box].way,
                          .x = round(window->middle),
                          .y = y,
                          .to_x = round(to_x),
                          .to_y = to_y,
                          .stub = stub,
                          .enabled = window->enabled,
                          .beside = y == to_y};

    /* What leads the same way is drawn once, and as enabled if one of them is. */
    for (size_t i = 0; i < picture->n_arrows; i++) {
        struct arrow *other = &picture->arrows[i];

        if (other->stub == stub && fabs(other->to_x - arrow.to_x) < 3 && fabs(other->x - arrow.x) < 3 &&
            other->to_y == to_y && (other->enabled || !arrow.enabled)) {
            if (stub != NOWHERE)
                other->y = fmin(other->y, y);
            return;
        }
    }
    if (picture->n_arrows == ARROWS)
        return;
    alloc_grow(&picture->arrows, picture->n_arrows, sizeof(arrow));
    picture->arrows[picture->n_arrows++] = arrow;
}

static const struct box *box_of(const struct picture *picture, size_t way)
{
    for (; way != NOWHERE; way = picture->ways.ways[way].up) /* an alias stands for the container that it shows */
        for (size_t i = 0; i < picture->n_boxes; i++)
            if (picture->boxes[i].way == way)
                return &picture->boxes[i];
    return NULL;
}

/* Where in a home the offset is: the home may be cut, then as near as can be. */
static double home_place(const struct picture *picture, size_t home, uint64_t offset)
{
    const struct way *way = &picture->ways.ways[home];
    uint64_t behind = offset > way->offset ? offset - way->offset : 0;

    if (behind > way->last - way->first)
        behind = way->last - way->first;
    return axis_begin(&picture->axis, way->first + behind);
}

static void lead_home(struct picture *picture, const struct window *window, size_t home)
{
    const struct box *from = &picture->boxes[window->box], *to = box_of(picture, home);
    double x;

    if (!to)
        return;
    x = (home_place(picture, home, window->first) + home_place(picture, home, window->last)) / 2;
    x = fmin(fmax(x, to->x + 1), to->x + to->width - 1);
    if (fabs(x - window->middle) < 4 && window->middle > to->x && window->middle < to->x + to->width)
        x = window->middle; /* no slant */
    if (to->y == from->y)
        add_arrow(picture, window, from->y + LAYOUT_ROW, x, to->y + LAYOUT_ROW, NOWHERE);
    else if (to->y > from->y)
        add_arrow(picture, window, from->y + LAYOUT_ROW, x, to->y, NOWHERE);
    else
        add_arrow(picture, window, from->y, x, to->y + LAYOUT_ROW, NOWHERE);
}

static void add_stub(struct picture *picture, const struct window *windows, size_t n, double width)
{
    const struct topo_region *region = &picture->topology->regions[windows[0].region];
    uint64_t last = region->size.all ? UINT64_MAX : region->size.bytes - 1;
    struct axis_span *spans = alloc_zeroed(n + 1, sizeof(*spans));
    struct stub stub = {.region = windows[0].region, .look = layout_look(picture->topology, windows[0].region, 0)};
    char *name = label_text(region->name), *size = layout_size(0, last);
    bool upright;
    double height, weight = 0;

    stub.label.key = NOWHERE;
    stub.label.text = alloc_format("%s  %s", name, size);
    for (size_t i = 0; i < n; i++) {
        double counts = windows[i].enabled ? 1 : 0.01;

        spans[i] = (struct axis_span){.first = windows[i].first, .last = windows[i].last, .covers = true};
        stub.x += windows[i].middle * counts;
        weight += counts;
    }
    stub.x /= weight;
    axis_make(spans, n, 0, last, 0, width, &stub.axis);
    stub.width = fmax((double)label_cells(stub.label.text) * LAYOUT_CELL + 8, 40 * (double)stub.axis.n);
    stub.width = ceil(fmin(fmax(stub.width, 110), width));
    axis_free(&stub.axis);
    axis_make(spans, n, 0, last, 0, stub.width, &stub.axis);
    stub.ticks = layout_ticks(&stub.axis, false, false, &stub.n_ticks, &upright, &height);
    free(name);
    name = label_fit(stub.label.text, (size_t)(stub.width / LAYOUT_CELL));
    free(stub.label.text);
    stub.label.text = name;
    free(spans);
    free(size);
    alloc_grow(&picture->stubs, picture->n_stubs, sizeof(stub));
    picture->stubs[picture->n_stubs++] = stub;
}

/* From left to right below their windows as far as there is room; returns how many rows. */
static unsigned place_stubs(struct picture *picture, double left, double width)
{
    unsigned rows = 0;

    qsort(picture->stubs, picture->n_stubs, sizeof(*picture->stubs), by_middle);
    for (size_t first = 0, end; first < picture->n_stubs; first = end, rows++) {
        double used = 0, at = left, limit = left + width;

        for (end = first; end < picture->n_stubs; end++) {
            if (end > first && used + STUB_SPACING + picture->stubs[end].width > width)
                break;
            used += picture->stubs[end].width + (end > first ? STUB_SPACING : 0);
        }
        for (size_t i = first; i < end; i++) {
            struct stub *stub = &picture->stubs[i];

            stub->x = fmax(at, round(stub->x - stub->width / 2));
            stub->y = picture->stubs_y + rows * STUB_ROW;
            at = stub->x + stub->width + STUB_SPACING;
        }
        for (size_t i = end; i-- > first;) {
            struct stub *stub = &picture->stubs[i];

            stub->x = fmin(stub->x, limit - stub->width);
            limit = stub->x - STUB_SPACING;
        }
        for (size_t i = first; i < end; i++) {
            struct stub *stub = &picture->stubs[i];

            for (size_t piece = 0; piece < stub->axis.n; piece++)
                stub->axis.pieces[piece].x += stub->x;
            for (size_t tick = 0; tick < stub->n_ticks; tick++)
                stub->ticks[tick].x += stub->x;
        }
    }
    return rows;
}

static void lead_down(struct picture *picture, const struct window *windows, size_t n)
{
    size_t *by_target = alloc_zeroed(picture->topology->n_regions, sizeof(*by_target));

    for (size_t i = 0; i < picture->n_stubs; i++)
        by_target[picture->stubs[i].region] = i + 1;
    for (int enabled = 1; enabled >= 0; enabled--)
        for (size_t i = 0; i < n; i++) {
            size_t index = by_target[windows[i].region];
            const struct stub *stub;

            if (windows[i].enabled != enabled)
                continue;
            if (picture->home[windows[i].region] != NOWHERE) {
                lead_home(picture, &windows[i], picture->home[windows[i].region]);
            } else if (index) {
                stub = &picture->stubs[index - 1];
                add_arrow(picture, &windows[i], picture->boxes[windows[i].box].y + LAYOUT_ROW,
                          (axis_begin(&stub->axis, windows[i].first) + axis_end(&stub->axis, windows[i].last)) / 2,
                          stub->y, index - 1);
            }
        }
    free(by_target);
}

void layout_stubs(struct picture *picture, const struct layout_options *options)
{
    size_t n;
    struct window *windows = find_windows(picture, &n);

    picture->stubs_y = picture->winners_y + LAYOUT_WINNER + 8;
    picture->key_y = picture->stubs_y;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && windows[end].region == windows[i].region; end++)
            ;
        if (picture->home[windows[i].region] != NOWHERE)
            continue;
        if (picture->n_stubs < STUBS)
            add_stub(picture, &windows[i], end - i, options->width);
        else
            picture->stubs_left++;
    }
    if (picture->n_stubs) {
        picture->stubs_y += ARROWS_HEIGHT;
        picture->key_y = picture->stubs_y + place_stubs(picture, options->left, options->width) * STUB_ROW - 24;
    }
    lead_down(picture, windows, n);
    free(windows);
}
