/* SPDX-License-Identifier: MIT */
/*
 * The picture of a map, as an SVG or as an HTML page that needs nothing else.
 */
#ifndef DRAW_H
#define DRAW_H

#include <stdio.h>

#include "load.h"

struct draw_options {
    const char *title;    /* NULL: the source's name */
    size_t space;         /* the one to draw; NOWHERE: all */
    uint64_t first, last; /* only these addresses; 0 and UINT64_MAX: all */
    unsigned width;       /* SVG: pixels */
};

/* False: more than can be drawn. What is written may then be incomplete. Errors of out are the caller's to look at. */
bool draw_svg(const struct loaded *loaded, const struct draw_options *options, FILE *out, struct problem *problem);

/* timeline may be NULL; else the slider is over its steps, and loaded is its last. */
bool draw_html(const struct loaded *loaded, const struct history *timeline, const struct draw_options *options,
               FILE *out, struct problem *problem);

#endif
