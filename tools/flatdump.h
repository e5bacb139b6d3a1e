/* SPDX-License-Identifier: MIT */
/*
 * QEMU's `info mtree -f [-o]` as text says it: views, the spaces that share each, and their ranges.
 */
#ifndef FLATDUMP_H
#define FLATDUMP_H

#include "mtree.h"

struct flat_range {
    size_t line;
    uint64_t first, last;
    int32_t priority;
    enum mtree_type type;
    bool nonvolatile;
    bool kvm; /* ends in " KVM" */
    char *name;
    uint64_t offset;
    char *owner; /* or NULL */
};

struct flat_space {
    size_t line;
    char *name;
    char *root;  /* name of its root region */
    char *alias; /* an alias root says what of: its name, or NULL */
};

struct flat_view {
    size_t line;
    struct flat_space *spaces;
    size_t n_spaces;
    char *root; /* name of the region that it was rendered from; NULL: "(none)" */
    struct flat_range *ranges;
    size_t n_ranges;
};

struct flat_dump {
    char *source;
    struct flat_view *views;
    size_t n_views;
    bool shows_owner;
};

/* Lines of an `info mtree` in the same text are skipped. False: a line that makes no sense. */
bool flatdump_parse(const struct source *source, struct flat_dump *dump, struct problem *problem);
void flatdump_free(struct flat_dump *dump);

#endif
