/* SPDX-License-Identifier: MIT */
/*
 * What is written where: names as far as they fit, numbers and the key for the rest, addresses at the axis. Owns nothing.
 * One thread.
 *
 * Texts do not overlap: one in a box is no wider than it, and addresses get rows of their own where they would meet.
 */
#include "layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "label.h"

#define PADDING 7       /* pixels: left and right of a name, together */
#define TICK_SPACE 8    /* between two addresses in one row */
#define TICK_ROW 13     /* height of a row of addresses */
#define TICK_UPRIGHT 11 /* width of an address from bottom to top */
#define TICK_ROWS 4

/* What the key's entries are found by: equal texts in one colour share a number. */
struct wish {
    struct label *label;
    enum look look;
    char *text;
    uint64_t first, last;
    size_t order;
    bool winner;
    double width;
};

static char *with_target(const struct topology *topology, const struct topo_region *region)
{
    char *name = label_text(region->name), *target, *text;

    if (region->target == NOWHERE)
        target = alloc_text("nothing");
    else
        target = label_text(topology->regions[region->target].name);
    text = alloc_format("%s \xe2\x86\x92 %s", name, target);
    free(name);
    free(target);
    return text;
}

char *layout_name(const struct picture *picture, const struct box *box)
{
    const struct topo_region *region;

    if (box->way == NOWHERE)
        return alloc_format("%zu regions", box->count);
    region = &picture->topology->regions[picture->ways.ways[box->way].region];
    if (region->kind == GMEM_KIND_ALIAS)
        return with_target(picture->topology, region);
    return label_text(*region->name ? region->name : "(no name)");
}

/* The name, or the part of it before its arrow; false: neither fits. */
static bool write_name(struct label *label, const char *text, double width)
{
    size_t cells = width > PADDING ? (size_t)((width - PADDING) / LAYOUT_CELL) : 0;
    const char *arrow = strstr(text, " \xe2\x86\x92 ");

    if (arrow && label_cells(text) > cells) {
        char *name = alloc_bytes(text, (size_t)(arrow - text));

        label->text = label_fit(name, cells);
        free(name);
    } else {
        label->text = label_fit(text, cells);
    }
    return label->text;
}

static int by_text(const void *a, const void *b)
{
    const struct wish *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    if (order)
        return order;
    if (x->look != y->look)
        return x->look < y->look ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_order(const void *a, const void *b)
{
    const struct wish *x = *(const struct wish *const *)a, *y = *(const struct wish *const *)b;

    return x->order < y->order ? -1 : x->order > y->order;
}

static double mark_width(size_t number)
{
    return (number < 10 ? 1 : number < 100 ? 2 : number < 1000 ? 3 : 4) * LAYOUT_MARK + 2;
}

/* Numbers from left to right, one for each text; a box that has no room for its number gets none. */
static void make_key(struct picture *picture, struct wish *wishes, size_t n)
{
    struct wish **firsts = alloc_zeroed(n, sizeof(*firsts));
    size_t n_firsts = 0;

    qsort(wishes, n, sizeof(*wishes), by_text);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(wishes[i].text, wishes[i - 1].text) != 0 || wishes[i].look != wishes[i - 1].look)
            firsts[n_firsts++] = &wishes[i];
    qsort(firsts, n_firsts, sizeof(struct wish *), by_order);
    for (size_t i = 0; i < n_firsts; i++) {
        size_t counts[2] = {0};
        struct key_entry entry = {.look = firsts[i]->look, .first = firsts[i]->first, .last = firsts[i]->last};

        for (struct wish *wish = firsts[i];
             wish < wishes + n && strcmp(wish->text, firsts[i]->text) == 0 && wish->look == firsts[i]->look; wish++)
            if (wish->width >= mark_width(picture->n_key + 1)) {
                if (wish->first < entry.first)
                    entry.first = wish->first;
                wish->label->key = picture->n_key;
                counts[wish->winner]++;
            }
        entry.count = counts[0] > counts[1] ? counts[0] : counts[1];
        if (!entry.count)
            continue;
        entry.text = alloc_text(firsts[i]->text);
        alloc_grow(&picture->key, picture->n_key, sizeof(entry));
        picture->key[picture->n_key++] = entry;
    }
    free(firsts);
}

static void lay_key(struct picture *picture, double width)
{
    picture->key_columns = (unsigned)(width / 360) ? (unsigned)(width / 360) : 1;
    picture->height = picture->key_y;
    if (picture->n_key) {
        size_t rows = (picture->n_key + picture->key_columns - 1) / picture->key_columns;

        picture->height += 12 + 16 * (double)rows;
    }
}

/* How much was folded: below the axis, or upright between two addresses that are upright too. */
static void make_notes(struct picture *picture)
{
    for (size_t i = 0; i < picture->axis.n; i++) {
        const struct axis_piece *piece = &picture->axis.pieces[i];
        struct note note = {.x = piece->x + piece->width / 2};

        if (!piece->folded)
            continue;
        note.text = layout_size(piece->first, piece->last);
        note.upright = (double)label_cells(note.text) * LAYOUT_MARK + 1 > piece->width;
        if (note.upright && (!picture->upright || piece->width < AXIS_FOLD_MIN)) {
            free(note.text);
            continue;
        }
        alloc_grow(&picture->notes, picture->n_notes, sizeof(note));
        picture->notes[picture->n_notes++] = note;
    }
}

void layout_labels(struct picture *picture)
{
    struct wish *wishes = alloc_zeroed(picture->n_boxes + picture->n_winners, sizeof(*wishes));
    size_t n = 0;
    double width = picture->axis.pieces[picture->axis.n - 1].x + picture->axis.pieces[picture->axis.n - 1].width;

    for (size_t i = 0; i < picture->n_winners; i++) {
        struct winner *winner = &picture->winners[i];
        char *text = winner->count > 1 ? alloc_format("%zu ranges", winner->count)
                                       : label_text(picture->topology->regions[winner->range.region].name),
             *size;

        if (winner->count == 1) {
            size = layout_size(winner->range.first, winner->last);
            if ((double)label_cells(size) * LAYOUT_SMALL + PADDING <= winner->width)
                winner->size = size;
            else
                free(size);
        }
        if (write_name(&winner->label, text, winner->width) || winner->count > 1)
            free(text);
        else
            wishes[n] = (struct wish){&winner->label, winner->look, text, winner->range.first, winner->last, n,
                                      true,           winner->width},
            n++;
    }
    for (size_t i = 0; i < picture->n_boxes; i++) {
        struct box *box = &picture->boxes[i];
        char *text = layout_name(picture, box);

        if (write_name(&box->label, text, box->width) || box->way == NOWHERE)
            free(text);
        else
            wishes[n] = (struct wish){&box->label, box->look, text, box->first, box->last, n, false, box->width}, n++;
    }
    make_key(picture, wishes, n);
    make_notes(picture);
    for (size_t i = 0; i < n; i++)
        free(wishes[i].text);
    free(wishes);
    lay_key(picture, width);
}

static double tick_width(uint64_t addr)
{
    char text[24];

    return snprintf(text, sizeof(text), "0x%" PRIx64, addr) * LAYOUT_SMALL;
}

/*
 * Texts right of their ticks, but left of them near the right end; each above those whose ticks it would lie across. False: too
 * many rows, or no room.
 */
static bool in_rows(struct tick *ticks, size_t n, double left, double right, double *ret_height)
{
    unsigned rows = 0;

    for (size_t i = n; i-- > 0;) {
        struct tick *tick = &ticks[i];
        double end = tick->x + tick_width(tick->addr) + TICK_SPACE;
        bool across = false; /* one whose text is on the left */

        for (size_t j = i + 1; j < n && ticks[j].x < end; j++)
            across |= ticks[j].back;
        tick->back = tick->end || across || end - TICK_SPACE > right;
        if (tick->back && tick->x - tick_width(tick->addr) - 4 < left)
            return false;
        for (size_t j = i + 1; !tick->back && j < n && ticks[j].x < end; j++)
            if (ticks[j].row >= tick->row)
                tick->row = ticks[j].row + 1;
        rows = tick->row > rows ? tick->row : rows;
    }
    for (size_t i = 0; i < n; i++) {
        struct tick *tick = &ticks[i];
        double begin = tick->x - tick_width(tick->addr) - TICK_SPACE;

        for (size_t j = 0; tick->back && j < i; j++)
            if (ticks[j].x + (ticks[j].back ? 0 : tick_width(ticks[j].addr)) > begin && ticks[j].row >= tick->row)
                tick->row = ticks[j].row + 1;
        rows = tick->row > rows ? tick->row : rows;
        if (rows >= TICK_ROWS)
            return false;
    }
    *ret_height = (rows + 1) * TICK_ROW + 8;
    return true;
}

/* Of those that would touch only the first is left. */
static size_t thin(struct tick *ticks, size_t n, double space)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        if (!left || ticks[i].x >= ticks[left - 1].x + space)
            ticks[left++] = ticks[i];
        else if (ticks[i].end && left > 1 && ticks[i].x < ticks[left - 1].x + space)
            ticks[left - 1] = ticks[i];
    return left;
}

struct tick *layout_ticks(const struct axis *axis, bool ends, bool may_upright, size_t *ret_n, bool *ret_upright,
                          double *ret_height)
{
    struct tick *ticks = alloc_zeroed(axis->n + 1, sizeof(*ticks));
    const struct axis_piece *last = &axis->pieces[axis->n - 1];
    size_t n = 0;
    double widest = 0;

    for (size_t i = 0; i < axis->n; i++)
        ticks[n++] = (struct tick){.addr = axis->pieces[i].first, .x = axis->pieces[i].x};
    if (ends)
        ticks[n++] = (struct tick){.addr = last->last, .x = last->x + last->width, .end = true};
    *ret_upright = false;
    if (!may_upright) {
        /* One row: those that have no room are left out. */
        size_t left = 0;

        for (size_t i = 0; i < n; i++)
            if (!left || ticks[i].x >= ticks[left - 1].x + tick_width(ticks[left - 1].addr) + TICK_SPACE)
                ticks[left++] = ticks[i];
        n = left;
        *ret_height = TICK_ROW;
    } else if (!in_rows(ticks, n, axis->pieces[0].x, last->x + last->width, ret_height)) {
        n = thin(ticks, n, TICK_UPRIGHT);
        *ret_upright = true;
        for (size_t i = 0; i < n; i++) {
            ticks[i].row = 0;
            ticks[i].back = false;
            widest = fmax(widest, tick_width(ticks[i].addr));
        }
        *ret_height = fmax(ceil(widest) + 8, 56);
    }
    *ret_n = n;
    return ticks;
}
