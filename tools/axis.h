/* SPDX-License-Identifier: MIT */
/*
 * From addresses to places on a line. The line is cut where something begins or ends; each piece gets a width by the
 * logarithm of its size and by what is to be written there, so that 16 bytes can be seen beside 16 GiB. Where nothing is, a
 * piece is folded. What is to the left has the lower address, always.
 */
#ifndef AXIS_H
#define AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AXIS_PIECE_MIN 14 /* pixels, where there is room for all pieces */
#define AXIS_GAP_MIN 11
#define AXIS_FOLD_MIN 22 /* of a folded gap, if there is room: its size can be written */

struct axis_span {
    uint64_t first, last;
    bool covers;    /* else it only begins and ends there, as containers do */
    unsigned later; /* its want is looked at after those with a lower number */
    double want;    /* pixels that would be good to have; 0: none in particular */
};

struct axis_piece {
    uint64_t first, last;
    double x, width;
    size_t segments; /* more than one: there was no room to tell them apart, and addresses are in proportion */
    bool gap;        /* nothing covers it; it then is one segment */
    bool folded;     /* a gap that is much larger than it looks */
};

struct axis {
    struct axis_piece *pieces; /* by rising address, one at least; they begin and end on whole pixels */
    size_t n;
};

/* Pieces from first to last, from left on for width pixels. Spans are cut to first and last. */
void axis_make(const struct axis_span *spans, size_t n, uint64_t first, uint64_t last, double left, double width,
               struct axis *axis);
void axis_free(struct axis *axis);

/* Where addr begins, and where it ends: that is where addr + 1 begins. Addresses outside are at the near end. */
double axis_begin(const struct axis *axis, uint64_t addr);
double axis_end(const struct axis *axis, uint64_t addr);

/* Index of the piece that addr is in, or the nearest. */
size_t axis_piece_at(const struct axis *axis, uint64_t addr);

#endif
