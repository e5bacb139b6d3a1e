/* SPDX-License-Identifier: MIT */
/*
 * Writes one picture, as laid out, from the back to the front. Owns nothing. One thread.
 */
#include "svg.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "alloc.h"
#include "label.h"

#define TOOLTIP 100 /* cells of a name */

struct drawing {
    FILE *out;
    const struct picture *picture;
    double y; /* where the picture begins */
};

/* A name in a tooltip: all that a person reads of it, and no more, so that the size of all of them has a bound. */
static void words(FILE *out, const char *bytes)
{
    char *all = label_text(bytes), *fit = label_fit(all, TOOLTIP);

    svg_text(out, fit);
    free(all);
    free(fit);
}

static void rect(const struct drawing *drawing, double x, double y, double width, double height)
{
    fputs("<rect", drawing->out);
    svg_number(drawing->out, "x", x);
    svg_number(drawing->out, "y", drawing->y + y);
    svg_number(drawing->out, "width", width);
    svg_number(drawing->out, "height", height);
}

static void text(const struct drawing *drawing, const char *class, double x, double y, const char *what)
{
    fprintf(drawing->out, "<text class=\"%s\"", class);
    svg_number(drawing->out, "x", x);
    svg_number(drawing->out, "y", drawing->y + y);
    fputc('>', drawing->out);
    svg_text(drawing->out, what);
    fputs("</text>\n", drawing->out);
}

static void upright_text(const struct drawing *drawing, const char *class, double x, double y, const char *what)
{
    fprintf(drawing->out, "<text class=\"%s\" transform=\"translate(%ld %ld) rotate(-90)\">", class, lround(x),
            lround(drawing->y + y));
    svg_text(drawing->out, what);
    fputs("</text>\n", drawing->out);
}

static void line(const struct drawing *drawing, const char *class, double x, double y, double to_x, double to_y)
{
    fprintf(drawing->out, "<path class=\"%s\" d=\"M%ld.5 %ldL%ld.5 %ld\"/>\n", class, lround(x), lround(drawing->y + y),
            lround(to_x), lround(drawing->y + to_y));
}

/* "0xa0000 to 0xbffff, 128 KiB" */
static void extent(FILE *out, uint64_t first, uint64_t last)
{
    char *size = layout_size(first, last);

    fprintf(out, "0x%" PRIx64 " to 0x%" PRIx64 ", %s", first, last, size);
    free(size);
}

static void region_words(FILE *out, const struct topology *topology, size_t index)
{
    const struct topo_region *region = &topology->regions[index];

    if (region->kind == GMEM_KIND_ALIAS) {
        fputs("\nalias of ", out);
        words(out, region->target == NOWHERE ? "nothing" : topology->regions[region->target].name);
        fprintf(out, " from offset 0x%" PRIx64, region->target_offset);
    }
    if (region->owner) {
        fputs("\nowner ", out);
        words(out, region->owner);
    }
    if (region->line)
        fprintf(out, "\nline %zu", region->line);
}

static void box_title(const struct drawing *drawing, const struct box *box)
{
    FILE *out = drawing->out;
    const struct topology *topology = drawing->picture->topology;
    const struct way *way;
    const struct topo_region *region;

    fputs("><title>", out);
    if (box->way == NOWHERE) {
        fprintf(out, "%zu regions between ", box->count);
        extent(out, box->first, box->last);
        fputs("</title></rect>", out);
        return;
    }
    way = &drawing->picture->ways.ways[box->way];
    region = &topology->regions[way->region];
    words(out, region->name);
    fprintf(out, " (%s%s%s)\n", svg_kind(box->look),
            region->kind == GMEM_KIND_ALIAS && box->look != LOOK_ALIAS ? " in an alias" : "",
            box->readonly && box->look != LOOK_ROM ? ", readonly" : "");
    extent(out, way->first, way->last);
    fprintf(out, "\npriority %" PRId32 "%s%s", region->priority,
            way->enabled      ? ""
            : region->enabled ? ", in something disabled"
                              : ", disabled",
            way->cut ? ", cut by what it is in" : "");
    region_words(out, topology, way->region);
    fputs("</title></rect>", out);
}

/* Name or number in the middle or at the left of a box. */
static void write_label(const struct drawing *drawing, const struct label *label, const char *more, double x,
                        double width, double y, bool centered)
{
    char *number, *classes;

    if (label->text) {
        classes = alloc_format("n%s%s", centered ? " c" : "", more);
        text(drawing, classes, centered ? x + width / 2 : x + 4, y, label->text);
        free(classes);
    } else if (label->key != NOWHERE) {
        number = alloc_format("%zu", label->key + 1);
        classes = alloc_format("m c%s", more);
        text(drawing, classes, x + width / 2, y - 0.5, number);
        free(classes);
        free(number);
    }
}

static void draw_axis(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;
    const struct axis *axis = &picture->axis;
    double y = picture->axis_y;

    for (size_t i = 0; i < picture->n_ticks; i++)
        line(drawing, "grid", picture->ticks[i].x, y, picture->ticks[i].x, picture->winners_y + LAYOUT_WINNER);
    for (size_t i = 0; i < axis->n; i++) {
        const struct axis_piece *piece = &axis->pieces[i];
        double middle = piece->x + piece->width / 2, zigzag = fmin(piece->width / 2 - 1, 8);

        if (!piece->folded) {
            line(drawing, "axis", piece->x, y, piece->x + piece->width, y);
            continue;
        }
        fprintf(drawing->out,
                "<path class=\"fold\" d=\"M%ld %ldH%ldl%.0f -4 %.0f 8 %.0f -8 %.0f 4H%ld\"><title>nothing from ",
                lround(piece->x), lround(drawing->y + y), lround(middle - zigzag), zigzag / 4, zigzag / 2, zigzag / 2,
                zigzag / 4, lround(piece->x + piece->width));
        extent(drawing->out, piece->first, piece->last);
        fputs("</title></path>\n", drawing->out);
    }
    for (size_t i = 0; i < picture->n_notes; i++) {
        const struct note *note = &picture->notes[i];

        if (note->upright)
            upright_text(drawing, "m mm", note->x + 3, y - 8, note->text);
        else
            text(drawing, "m mm c", note->x, y + 14, note->text);
    }
    for (size_t i = 0; i < picture->n_ticks; i++) {
        const struct tick *tick = &picture->ticks[i];
        char *number = alloc_format("0x%" PRIx64, tick->addr);
        double up = picture->upright ? 4 : 8 + tick->row * 13;

        line(drawing, "axis", tick->x, y + 3, tick->x, y - up - (picture->upright ? 0 : 8));
        if (picture->upright)
            upright_text(drawing, "a", fmax(tick->x + 4, 8), y - up - 3, number);
        else
            text(drawing, tick->back ? "a e" : "a", tick->back ? tick->x - 3 : tick->x + 4, y - up, number);
        free(number);
    }
}

static void draw_arrows(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;

    for (size_t i = 0; i < picture->n_arrows; i++) {
        const struct arrow *arrow = &picture->arrows[i];
        long x = lround(arrow->x), y = lround(drawing->y + arrow->y), to_x = lround(arrow->to_x);
        long to_y = lround(drawing->y + arrow->to_y), bend;
        const char *class = arrow->enabled ? "line" : "off";

        if (arrow->beside) {
            fprintf(drawing->out, "<path class=\"%s\" d=\"M%ld %ldv4.5H%ldv-1\"/>\n", class, x, y, to_x);
        } else if (arrow->stub == NOWHERE) {
            bend = (to_y - y) / 2;
            fprintf(drawing->out, "<path class=\"%s\" d=\"M%ld %ldC%ld %ld %ld %ld %ld %ld\"/>\n", class, x, y, x,
                    y + bend, to_x, to_y - bend, to_x, to_y);
        } else {
            long bottom = lround(drawing->y + picture->winners_y + LAYOUT_WINNER);

            bend = (to_y - bottom) * 2 / 3;
            fprintf(drawing->out, "<path class=\"%s\" d=\"M%ld %ldV%ldC%ld %ld %ld %ld %ld %ld\"/>\n", class, x, y,
                    bottom, x, bottom + bend, to_x, to_y - bend, to_x, to_y - 5);
        }
    }
}

static void draw_tips(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;

    for (size_t i = 0; i < picture->n_arrows; i++) {
        const struct arrow *arrow = &picture->arrows[i];
        long x = lround(arrow->to_x), y = lround(drawing->y + arrow->to_y);
        int up = arrow->to_y < arrow->y || arrow->beside ? 1 : -1;

        fprintf(drawing->out, "<path class=\"tip\"%s d=\"M%ld %ldl-3.5 %dh7z\"/>\n",
                arrow->enabled ? "" : " fill-opacity=\".6\"", x, y, 5 * up);
    }
}

static void draw_boxes(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;
    FILE *out = drawing->out;

    for (size_t i = 0; i < picture->n_boxes; i++) {
        const struct box *box = &picture->boxes[i];
        bool hatched = box->enabled && box->way != NOWHERE && (box->readonly || box->look == LOOK_RESERVED);

        bool inset = box->width > 3; /* an outline lies half outside */

        rect(drawing, box->x + (inset ? 0.5 : 0), box->y + 0.5, inset ? box->width - 1 : box->width, LAYOUT_ROW - 1);
        fprintf(out, " class=\"box b-%s%s%s\" rx=\"%d\"", svg_class(box->look), box->type == BOX_WINDOW ? " alias" : "",
                box->enabled ? "" : " no", inset ? 2 : 0);
        box_title(drawing, box);
        if (hatched) {
            rect(drawing, box->x + 1, box->y + 1, fmax(box->width - 2, 1), LAYOUT_ROW - 2);
            fputs(" class=\"hatch\"/>", out);
        }
        fputc('\n', out);
        write_label(drawing, &box->label, box->enabled ? "" : " mm", box->x, box->width, box->y + 12.5,
                    box->type != BOX_HEAD);
    }
}

static void draw_winners(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;
    FILE *out = drawing->out;
    const struct axis_piece *last = &picture->axis.pieces[picture->axis.n - 1];

    line(drawing, "axis", picture->axis.pieces[0].x, picture->winners_y + LAYOUT_WINNER, last->x + last->width,
         picture->winners_y + LAYOUT_WINNER);
    for (size_t i = 0; i < picture->n_winners; i++) {
        const struct winner *winner = &picture->winners[i];
        char *on = alloc_format(" b o-%s", svg_class(winner->look)),
             *classes = alloc_format("m c o-%s", svg_class(winner->look));
        bool gap = winner->width > 4; /* between neighbours, so that each is seen */

        rect(drawing, winner->x + (gap ? 0.5 : 0), picture->winners_y, gap ? winner->width - 1 : winner->width,
             LAYOUT_WINNER);
        fprintf(out, " class=\"s-%s\"><title>", svg_class(winner->look));
        if (winner->count > 1) {
            fprintf(out, "%zu ranges between ", winner->count);
            extent(out, winner->range.first, winner->last);
        } else {
            words(out, picture->topology->regions[winner->range.region].name);
            fprintf(out, " (%s%s) answers\n", svg_kind(winner->look),
                    winner->range.attrs & GMEM_RANGE_READONLY && winner->look != LOOK_ROM ? ", readonly" : "");
            extent(out, winner->range.first, winner->last);
            if (winner->range.offset)
                fprintf(out, "\nfrom its offset 0x%" PRIx64, winner->range.offset);
            region_words(out, picture->topology, winner->range.region);
        }
        fputs("</title></rect>", out);
        if (winner->count == 1 && (winner->range.attrs & GMEM_RANGE_READONLY || winner->look == LOOK_RESERVED)) {
            rect(drawing, winner->x + 0.5, picture->winners_y, fmax(winner->width - 1, 1), LAYOUT_WINNER);
            fputs(" class=\"hatch\"/>", out);
        }
        fputc('\n', out);
        write_label(drawing, &winner->label, on, winner->x, winner->width,
                    picture->winners_y + (winner->size && winner->label.text ? 14 : 20), true);
        if (winner->size && winner->label.text)
            text(drawing, classes, winner->x + winner->width / 2, picture->winners_y + 26, winner->size);
        free(on);
        free(classes);
    }
}

static void draw_stub(const struct drawing *drawing, const struct stub *stub)
{
    const struct topology *topology = drawing->picture->topology;
    FILE *out = drawing->out;

    rect(drawing, stub->x + 0.5, stub->y + 0.5, stub->width - 1, LAYOUT_STUB - 1);
    fprintf(out, " class=\"box b-%s no\" rx=\"2\"><title>", svg_class(stub->look));
    words(out, topology->regions[stub->region].name);
    fputs("\nis placed nowhere in this space; seen through aliases</title></rect>\n", out);
    for (size_t i = 0; i < stub->axis.n; i++) {
        const struct axis_piece *piece = &stub->axis.pieces[i];

        if (piece->gap)
            continue;
        rect(drawing, piece->x + 0.5, stub->y + 0.5, piece->width - 1, LAYOUT_STUB - 1);
        fprintf(out, " class=\"box b-%s\"><title>", svg_class(stub->look));
        words(out, topology->regions[stub->region].name);
        fputs("\noffsets ", out);
        extent(out, piece->first, piece->last);
        fputs("</title></rect>\n", out);
    }
    for (size_t i = 0; i < stub->n_ticks; i++) {
        char *number = alloc_format("+0x%" PRIx64, stub->ticks[i].addr);

        line(drawing, "axis", stub->ticks[i].x, stub->y + LAYOUT_STUB, stub->ticks[i].x, stub->y + LAYOUT_STUB + 9);
        text(drawing, "a", stub->ticks[i].x + 3, stub->y + LAYOUT_STUB + 10, number);
        free(number);
    }
    if (stub->label.text)
        text(drawing, "n b", stub->x, stub->y + LAYOUT_STUB + 26, stub->label.text);
}

static void draw_key(const struct drawing *drawing)
{
    const struct picture *picture = drawing->picture;
    double left = picture->axis.pieces[0].x, y = picture->key_y + 12;
    const struct axis_piece *last = &picture->axis.pieces[picture->axis.n - 1];
    double column = (last->x + last->width - left) / picture->key_columns;
    size_t rows = (picture->n_key + picture->key_columns - 1) / picture->key_columns;

    for (size_t i = 0; i < picture->n_key; i++) {
        const struct key_entry *entry = &picture->key[i];
        size_t columns_before = i / rows;
        double x = left + (double)columns_before * column, at = y + (double)(i % rows) * 16;
        char *number = alloc_format("%zu", i + 1), *size = layout_size(entry->first, entry->last);
        char *where = entry->count > 1 ? alloc_format("%zu\xc3\x97 from 0x%" PRIx64, entry->count, entry->first)
                                       : alloc_format("0x%" PRIx64 ", %s", entry->first, size);

        double room = column - 28 - ((double)label_cells(where) + 2) * LAYOUT_SMALL;
        char *name = label_fit(entry->text, (size_t)fmax(room / LAYOUT_CELL - 2, 8));

        rect(drawing, x + 0.5, at + 0.5, 21, 12);
        fprintf(drawing->out, " class=\"box b-%s\" rx=\"2\"/>", svg_class(entry->look));
        text(drawing, "m c", x + 11, at + 9.5, number);
        text(drawing, "n", x + 28, at + 10.5, name);
        text(drawing, "a", x + 28 + ((double)label_cells(name) + 1.5) * LAYOUT_CELL, at + 10.5, where);
        free(number);
        free(size);
        free(name);
        free(where);
    }
}

void svg_picture(FILE *out, const struct picture *picture, double y)
{
    struct drawing drawing = {out, picture, y};

    for (size_t i = 0; i < picture->n_frames; i++) {
        const struct frame *frame = &picture->frames[i];

        rect(&drawing, frame->x + 0.5, frame->y + 0.5, frame->width - 1, frame->height - 1);
        fputs(" class=\"frame\" rx=\"2\"/>\n", out);
    }
    draw_axis(&drawing);
    draw_arrows(&drawing);
    draw_boxes(&drawing);
    draw_winners(&drawing);
    for (size_t i = 0; i < picture->n_stubs; i++)
        draw_stub(&drawing, &picture->stubs[i]);
    draw_tips(&drawing);
    draw_key(&drawing);
}
