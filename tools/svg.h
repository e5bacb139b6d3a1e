/* SPDX-License-Identifier: MIT */
/*
 * Parts of the SVG: one picture, and what all of them share.
 */
#ifndef SVG_H
#define SVG_H

#include <stdio.h>

#include "layout.h"

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

#endif
