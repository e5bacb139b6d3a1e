/* SPDX-License-Identifier: MIT */
/*
 * The SVG as a document: which spaces are drawn, one above the other, under a heading with the legend. Owns views and
 * pictures while it runs. One thread.
 *
 * Its size is bounded whatever the map is: a number of pictures, of boxes in each, and of characters in a name's tooltip.
 */
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define WIDTH_LEAST 320
#define WIDTH_USUAL 1160
#define WIDTH_MOST 1800
#define PARTS 4500 /* boxes, ranges and entries of keys in all pictures together */
#define PIXELS 3   /* what is narrower is drawn together with its neighbours */
#define HEADING 40 /* of a picture */
#define BETWEEN 34 /* pictures */
#define NOTE 20    /* a line behind them */

/* Sets *ret_parts to how many things there are to be drawn in all. */
static bool lay_out_for(struct svg_document *document, double width, size_t boxes, size_t *ret_parts,
                        struct problem *problem)
{
    struct layout_options options = {.first = document->options->first,
                                     .last = document->options->last,
                                     .left = SVG_MARGIN,
                                     .width = width - 2 * SVG_MARGIN,
                                     .least = PIXELS,
                                     .boxes = boxes};

    document->width = width;
    *ret_parts = 0;
    for (size_t i = 0; i < document->drawn; i++) {
        struct svg_group *group = &document->groups[i];
        struct picture *picture = &group->picture;

        layout_free(picture);
        if (!layout_make(&document->loaded->topology, group->spaces[0], group->ranges, group->n_ranges, &options,
                         picture, problem))
            return false;
        *ret_parts += picture->n_boxes + picture->n_winners + picture->n_key;
    }
    return true;
}

/* Where there is too much in all of them together, each gets its share. */
static bool lay_out(struct svg_document *document, double width, struct problem *problem)
{
    size_t parts;

    if (!lay_out_for(document, width, PARTS / 2, &parts, problem))
        return false;
    return parts <= PARTS || lay_out_for(document, width, PARTS / 3 / document->drawn, &parts, problem);
}

/* As much as the one with the most pieces needs to be read, within reason. */
static double good_width(const struct svg_document *document)
{
    double width = WIDTH_USUAL;

    for (size_t i = 0; i < document->drawn; i++) {
        const struct axis *axis = &document->groups[i].picture.axis;
        double needs = 2 * SVG_MARGIN;

        for (size_t j = 0; j < axis->n; j++)
            needs += axis->pieces[j].folded ? 46 : axis->pieces[j].gap ? 18 : 30;
        width = fmax(width, needs);
    }
    return fmin(width, WIDTH_MOST);
}

static void write_group(const struct svg_document *document, const struct svg_group *group, FILE *out)
{
    const struct picture *picture = &group->picture;
    char *names = svg_names(document, group->spaces, group->n_spaces);
    char *about = group->n_ranges ? alloc_format("%zu range%s", group->n_ranges, group->n_ranges == 1 ? "" : "s")
                                  : alloc_text("nothing answers here");
    double width = document->width - 2 * SVG_MARGIN;

    svg_fitted(out, "h", SVG_MARGIN, group->y + 14, names, width - 20, 9.5);
    svg_text_at(out, "pm", SVG_MARGIN, group->y + 31, about);
    svg_picture(out, picture, group->y + HEADING);
    free(about);
    if (picture->hidden || picture->stubs_left) {
        about =
            picture->stubs_left
                ? alloc_format("%zu regions lower down and %zu more targets are not drawn; --range shows part of it",
                               picture->hidden, picture->stubs_left)
                : alloc_format("%zu regions lower down are not drawn; --range shows part of it", picture->hidden);
        svg_text_at(out, "pm", SVG_MARGIN, group->y + HEADING + picture->height + 16, about);
        free(about);
    }
    free(names);
}

static void write_rest(const struct svg_document *document, FILE *out, double y)
{
    double width = document->width - 2 * SVG_MARGIN;
    size_t left = document->n_groups - document->drawn - document->lines +
                  (document->lines > SVG_LINES ? document->lines - SVG_LINES : 0);
    char *names, *words;

    y = svg_lines(document, out, y);
    if (!document->loaded->topology.n_spaces || (!document->n_groups && !document->n_empty)) {
        svg_text_at(out, "p", SVG_MARGIN, y + 12, "There is no address space here.");
        return;
    }
    if (left) {
        words = alloc_format("%zu more spaces are not drawn; --space NAME draws one.", left);
        svg_text_at(out, "pm", SVG_MARGIN, y + 12, words);
        free(words);
        y += NOTE;
    }
    if (document->n_empty) {
        names = svg_names(document, document->empty, document->n_empty);
        words = alloc_format("Nothing answers in: %s", names);
        svg_fitted(out, "pm", SVG_MARGIN, y + 12, words, width, 7.6);
        free(names);
        free(words);
    }
}

/* A path's last two parts. */
static const char *short_name(const char *path)
{
    const char *at = path + strlen(path);

    for (int parts = 0; parts < 2; parts++) {
        while (at > path && at[-1] == '/')
            at--;
        while (at > path && at[-1] != '/')
            at--;
    }
    return at;
}

static void write_document(struct svg_document *document, FILE *out)
{
    const char *title = document->options->title ? document->options->title : short_name(document->loaded->name);
    double y = SVG_MARGIN + 52, rest, notes = 0;

    document->legend_y = y;
    y = svg_legend(document, NULL, y) + 18;
    for (size_t i = 0; i < document->drawn; i++) {
        document->groups[i].y = y;
        y += HEADING + document->groups[i].picture.height + BETWEEN;
    }
    rest = y;
    y = svg_lines(document, NULL, y);
    if (document->n_groups > document->drawn + document->lines || document->lines > SVG_LINES)
        notes += NOTE;
    if (document->n_empty || !document->n_groups)
        notes += NOTE;
    document->height = y + (notes > 0 ? notes + 12 : -10);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%ld\" height=\"%ld\" viewBox=\"0 0 %ld %ld\" "
            "role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">",
            lround(document->width), lround(document->height), lround(document->width), lround(document->height));
    svg_text(out, title);
    fputs("</title>\n", out);
    svg_style(out);
    fputs("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n", out);
    svg_fitted(out, "t", SVG_MARGIN, SVG_MARGIN + 14, title, document->width - 2 * SVG_MARGIN, 13);
    svg_text_at(out, "pm", SVG_MARGIN, SVG_MARGIN + 34,
                document->width < 700
                    ? "Asked first on top. The bottom line is who answers."
                    : "Asked first on top; the bottom line is who answers. A number at the axis is the address "
                      "where something begins.");
    svg_legend(document, out, document->legend_y);
    for (size_t i = 0; i < document->drawn; i++)
        write_group(document, &document->groups[i], out);
    write_rest(document, out, rest);
    fputs("</svg>\n", out);
}

bool draw_svg(const struct loaded *loaded, const struct draw_options *options, FILE *out, struct problem *problem)
{
    struct svg_document document = {.loaded = loaded, .options = options};
    double width = options->width ? fmax(options->width, WIDTH_LEAST) : WIDTH_USUAL;
    bool ok;

    svg_groups_find(&document);
    ok = lay_out(&document, width, problem);
    if (ok && !options->width && good_width(&document) > width)
        ok = lay_out(&document, good_width(&document), problem);
    if (ok)
        write_document(&document, out);
    svg_groups_free(&document);
    return ok;
}
