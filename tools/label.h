/* SPDX-License-Identifier: MIT */
/*
 * Texts of a picture: made of names that may hold any bytes, and fitted into boxes. A font with fixed advance is used, so that
 * widths are known without it: everything is counted in cells.
 */
#ifndef LABEL_H
#define LABEL_H

#include <stddef.h>

#define LABEL_LEAST 6 /* cells: what is cut shorter than this says too little */

/* Valid UTF-8 of what XML allows on one line; what is not, and what would turn the direction of text, is U+FFFD. Of the caller. */
char *label_text(const char *bytes);

/* How many cells a text of label_text() takes, at most. */
size_t label_cells(const char *text);

/* The text if it takes cells at most, else its beginning with an ellipsis; NULL: not even LABEL_LEAST cells fit. Of the caller. */
char *label_fit(const char *text, size_t cells);

#endif
