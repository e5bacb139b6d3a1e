/* SPDX-License-Identifier: MIT */
/*
 * Parts of the SVG: one picture, and what all of them share.
 */
#ifndef SVG_H
#define SVG_H

#include <stdio.h>

#include "draw.h"
#include "layout.h"

#define SVG_MARGIN 28
#define SVG_LINES 200 /* spaces that are listed */

/* Spaces that show the same. */
struct svg_group {
    size_t *spaces; /* the first is drawn */
    size_t n_spaces;
    struct layout_range *ranges;
    size_t n_ranges;
    struct picture picture;
    bool line; /* one range and no more to see: a line of a list, behind those that are drawn */
    double y;
};

struct svg_document {
    const struct loaded *loaded;
    const struct draw_options *options;
    struct svg_group *groups;
    size_t n_groups;
    size_t *empty; /* spaces that show nothing */
    size_t n_empty;
    size_t drawn, lines; /* lines come behind all that could be drawn */
    double width, legend_y, height;
    bool looks[LOOKS], readonly, disabled, folds;
};

/* Name of a look in classes and variables: "ram"; and for people: "RAM". */
const char *svg_class(enum look look);
const char *svg_kind(enum look look);

/* <style> and <defs>. */
void svg_style(FILE *out);

/* Text as a label or attribute: escaped; bytes that are no text become U+FFFD. */
void svg_text(FILE *out, const char *bytes);

/* name="value" behind a space, to half a pixel. */
void svg_number(FILE *out, const char *name, double value);

/* A picture from y down. */
void svg_picture(FILE *out, const struct picture *picture, double y);

/* Text at a place, in a font of svg_style(); the second cuts it to a width, in which a cell is at most that wide. */
void svg_text_at(FILE *out, const char *class, double x, double y, const char *text);
void svg_fitted(FILE *out, const char *class, double x, double y, const char *bytes, double width, double cell);

/* A sample of a colour. */
void svg_swatch(FILE *out, double x, double y, double height, const char *class);

/* The spaces of a document, those that show the same together; svg_groups_free() frees what it holds. */
void svg_groups_find(struct svg_document *document);
void svg_groups_free(struct svg_document *document);

/* "memory, cpu-memory-0", of the caller. */
char *svg_names(const struct svg_document *document, const size_t *spaces, size_t n);

/* What colours mean, those that are used; returns where it ends. With out NULL only that, as of the next. */
double svg_legend(struct svg_document *document, FILE *out, double y);

/* Spaces of one range, in columns. */
double svg_lines(const struct svg_document *document, FILE *out, double y);

#endif
