/* SPDX-License-Identifier: MIT */
/*
 * QEMU's `info mtree -f [-o] [-d]` as text says it: views, the spaces that share each, and their ranges. The first form too, with a
 * view for each "address-space (flat view): NAME".
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
    char *root;  /* name of its root region; "" in the first form, which does not say */
    char *alias; /* an alias root says what of: its name, or NULL */
};

struct flat_view {
    size_t line;
    struct flat_space *spaces;
    size_t n_spaces; /* 0: a form that names the root alone */
    char *root;      /* name of the region that it was rendered from; NULL: "(none)", or not said */
    struct flat_range *ranges;
    size_t n_ranges;
};

struct flat_dump {
    char *source;
    struct flat_view *views;
    size_t n_views;
    bool shows_owner;
};

/*
 * Lines of an `info mtree` in the same text are skipped, before and after, and so is what -d adds. Of several flat dumps the last is
 * taken: a session's last answer. False: a line that makes no sense, ranges that are not in the order of their addresses, no view at
 * all, or the text is cut off in the middle of one.
 */
bool flatdump_parse(const struct source *source, struct flat_dump *dump, struct problem *problem);
/* There is the heading of a view in it. */
bool flatdump_is_in(const struct source *source);
void flatdump_free(struct flat_dump *dump);

#endif
