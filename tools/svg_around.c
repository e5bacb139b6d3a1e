/* SPDX-License-Identifier: MIT */
/*
 * What stands around the pictures: the legend, and the list of spaces that are no picture worth. Owns nothing. One thread.
 */
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "label.h"

#define LINE 18 /* height of one */

void svg_text_at(FILE *out, const char *class, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\"", class);
    svg_number(out, "x", x);
    svg_number(out, "y", y);
    fputc('>', out);
    svg_text(out, text);
    fputs("</text>\n", out);
}

/* Text that is cut to the width that there is; a cell of its font is at most this wide. */
void svg_fitted(FILE *out, const char *class, double x, double y, const char *bytes, double width, double cell)
{
    char *text = label_text(bytes), *fit = label_fit(text, (size_t)(width / cell));

    if (fit)
        svg_text_at(out, class, x, y, fit);
    free(fit);
    free(text);
}

/* An entry of the legend, on the next line where there is no more room. Returns where its sample goes. */
static double legend_entry(const struct svg_document *document, FILE *out, double *x, double *y, const char *words)
{
    double needs = 52 + (double)strlen(words) * 6.3, at;

    if (*x > SVG_MARGIN && *x + needs > document->width - SVG_MARGIN) {
        *x = SVG_MARGIN;
        *y += 22;
    }
    at = *x;
    *x += needs;
    if (out)
        svg_text_at(out, "p", at + 28, *y + 11, words);
    return at;
}

void svg_swatch(FILE *out, double x, double y, double height, const char *class)
{
    fputs("<rect", out);
    svg_number(out, "x", x);
    svg_number(out, "y", y);
    fputs(" width=\"21\"", out);
    svg_number(out, "height", height);
    fprintf(out, " rx=\"2\" class=\"%s\"/>\n", class);
}

static void legend_kinds(const struct svg_document *document, FILE *out, double *x, double *y)
{
    static const enum look order[] = {LOOK_RAM,    LOOK_ROM,   LOOK_ROMD,     LOOK_RAMD,
                                      LOOK_DEVICE, LOOK_IOMMU, LOOK_RESERVED, LOOK_CONTAINER};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        char *tint = alloc_format("box b-%s", svg_class(order[i])), *solid = alloc_format("s-%s", svg_class(order[i]));

        if (document->looks[order[i]]) {
            double at = legend_entry(document, out, x, y, svg_kind(order[i]));

            if (out)
                svg_swatch(out, at + 0.5, *y + 0.5, 13, tint);
            if (out && order[i] != LOOK_CONTAINER)
                svg_swatch(out, at, *y + 7, 7, solid);
        }
        free(tint);
        free(solid);
    }
}

static void note_looks(struct svg_document *document)
{
    for (size_t i = 0; i < document->drawn; i++) {
        const struct picture *picture = &document->groups[i].picture;

        for (size_t j = 0; j < picture->n_boxes; j++) {
            const struct box *box = &picture->boxes[j];

            document->looks[box->type == BOX_WINDOW ? LOOK_ALIAS : box->look] = true;
            document->looks[box->look] = true;
            document->readonly |= box->readonly && box->enabled && box->way != NOWHERE;
            document->disabled |= !box->enabled;
        }
        for (size_t j = 0; j < picture->n_winners; j++) {
            document->looks[picture->winners[j].look] = true;
            document->readonly |= picture->winners[j].range.attrs & GMEM_RANGE_READONLY;
        }
        for (size_t j = 0; j < picture->axis.n; j++)
            document->folds |= picture->axis.pieces[j].folded;
    }
    for (size_t i = document->n_groups - document->lines; i < document->n_groups; i++) {
        const struct layout_range *range = &document->groups[i].ranges[0];

        document->looks[layout_look(&document->loaded->topology, range->region, range->attrs)] = true;
    }
}

double svg_legend(struct svg_document *document, FILE *out, double y)
{
    double x = SVG_MARGIN, at;

    note_looks(document);
    legend_kinds(document, out, &x, &y);
    if (document->looks[LOOK_ALIAS]) {
        at = legend_entry(document, out, &x, &y, "alias, and where it leads");
        if (out) {
            svg_swatch(out, at + 0.5, y + 0.5, 13, "box b-alias alias");
            fprintf(out, "<path class=\"line\" d=\"M%ld %ldh9\"/><path class=\"tip\" d=\"M%ld %ldl-5 -3.5v7z\"/>\n",
                    lround(at) + 4, lround(y) + 7, lround(at) + 18, lround(y) + 7);
        }
    }
    if (document->readonly) {
        at = legend_entry(document, out, &x, &y, "takes no writes");
        if (out) {
            svg_swatch(out, at + 0.5, y + 0.5, 13, "box b-container");
            svg_swatch(out, at + 0.5, y + 0.5, 13, "hatch");
        }
    }
    if (document->disabled) {
        at = legend_entry(document, out, &x, &y, "disabled");
        if (out)
            svg_swatch(out, at + 0.5, y + 0.5, 13, "box b-container no");
    }
    if (document->folds) {
        at = legend_entry(document, out, &x, &y, "addresses left out, and how many");
        if (out)
            fprintf(out, "<path class=\"fold\" d=\"M%ld %ldh4l3 -4 5 8 5 -8 3 4h3\"/>\n", lround(at), lround(y) + 7);
    }
    return x > SVG_MARGIN ? y + 22 : y;
}

double svg_lines(const struct svg_document *document, FILE *out, double y)
{
    double width = document->width - 2 * SVG_MARGIN;
    size_t n = document->lines < SVG_LINES ? document->lines : SVG_LINES, columns = width < 1000 ? 1 : 2;
    size_t rows = (n + columns - 1) / columns;
    double column = width / (double)columns;

    if (!n)
        return y;
    if (out)
        svg_text_at(out, "h", SVG_MARGIN, y + 14, "Spaces of one range");
    for (size_t i = 0; i < n && out; i++) {
        const struct svg_group *group = &document->groups[document->n_groups - document->lines + i];
        const struct layout_range *range = &group->ranges[0];
        enum look look = layout_look(&document->loaded->topology, range->region, range->attrs);
        size_t columns_before = i / rows;
        double x = SVG_MARGIN + (double)columns_before * column, at = y + 28 + (double)(i % rows) * LINE;
        char *names = svg_names(document, group->spaces, group->n_spaces),
             *size = layout_size(range->first, range->last);
        char *tint = alloc_format("box b-%s", svg_class(look)), *solid = alloc_format("s-%s", svg_class(look));
        char *what = alloc_format("%s, %s", document->loaded->topology.regions[range->region].name, size);

        svg_swatch(out, x + 0.5, at + 0.5, 13, tint);
        svg_swatch(out, x, at + 7, 7, solid);
        svg_fitted(out, "n b", x + 30, at + 11, names, column * 0.5 - 42, LAYOUT_CELL);
        svg_fitted(out, "n", x + column * 0.5, at + 11, what, column * 0.5 - 12, LAYOUT_CELL);
        free(names);
        free(size);
        free(tint);
        free(solid);
        free(what);
    }
    return y + 28 + (double)rows * LINE + 16;
}
