/* SPDX-License-Identifier: MIT */
/*
 * What gmem diff found, as text and as JSON.
 */
#ifndef DIFFPRINT_H
#define DIFFPRINT_H

#include "load.h"
#include "transit.h"
#include "treediff.h"

struct difference {
    const struct loaded *sides[2];
    struct pairing pairing;
    struct view_diff views;
    struct tree_diff tree;
    bool tried;
    struct transit transit;   /* if tried */
    struct problem not_tried; /* else why */
    bool one_space;           /* asked for: the trees are not told */
};

bool difference_any(const struct difference *difference);

/* The listener's callbacks. */
extern const char *const heard_names[];

/* summary: numbers only. */
void difference_text(const struct difference *difference, bool summary);
void difference_json(const struct difference *difference, bool summary);

#endif
