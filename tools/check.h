/* SPDX-License-Identifier: MIT */
/*
 * A map compared with the flat dump of the same machine, range for range.
 */
#ifndef CHECK_H
#define CHECK_H

#include "load.h"

/* A range as it is printed, of either side. Texts are borrowed. */
struct check_range {
    uint64_t first, last;
    uint64_t offset;
    int32_t priority;
    bool nonvolatile;
    const char *type;
    const char *name;
    const char *owner; /* NULL: not known */
};

/* Not the same on both sides: they begin at one address, or only one side has anything there. */
struct check_difference {
    bool has_dump, has_map;
    struct check_range dump, map;
};

struct check_view {
    const struct flat_view *view; /* borrowed from the dump */
    size_t *spaces;               /* of the map, by the view's spaces; NOWHERE: there is none of that name */
    size_t compared;              /* ranges of the dump */
    struct check_difference *differences;
    size_t n_differences;
    bool shared;      /* the same spaces share it in the map */
    const char *root; /* of the map's view, or NULL */
    bool same_root;
    bool exact; /* all of it */
};

struct check {
    struct check_view *views; /* in the order of the dump */
    size_t n_views;
    size_t n_exact;
    size_t compared;
    size_t n_differences;
    size_t missing; /* spaces of the map that are in no view */
};

/* loaded has a flat dump. */
void check(const struct loaded *loaded, struct check *ret);
void check_free(struct check *check);

#endif
