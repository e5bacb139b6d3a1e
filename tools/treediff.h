/* SPDX-License-Identifier: MIT */
/*
 * What differs between the trees of two topologies: the edits that made the one the other.
 */
#ifndef TREEDIFF_H
#define TREEDIFF_H

#include "pairing.h"
#include "viewdiff.h"

struct tree_attribute {
    const char *name; /* "enabled", "priority", "offset", "size", "target", ...; static */
    char *before, *after;
};

struct tree_change {
    enum change change;
    size_t a, b;                       /* the region in each; NOWHERE: it is not there */
    size_t below;                      /* gone or new: how many more regions below it are */
    struct tree_attribute *attributes; /* changed: one at least */
    size_t n_attributes;
};

struct tree_diff {
    struct tree_change *changes; /* in the order of a, then what is new in that of b */
    size_t n_changes;
    size_t gone, fresh, changed; /* regions */
};

void tree_diff(const struct pairing *pairing, struct tree_diff *diff);
void tree_diff_free(struct tree_diff *diff);

/* "system/pci/vga.vram": the names of what a region is in, at most the last few; the caller's to free. */
char *tree_path(const struct topology *topology, size_t region);

#endif
