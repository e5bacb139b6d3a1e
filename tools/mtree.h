/* SPDX-License-Identifier: MIT */
/*
 * QEMU's `info mtree` as text says it, line for line, before anything is concluded from it: sections, and in each the
 * nodes in the order of their lines. All forms: plain, -D, -o, with access (RW, R-) in place of the type as earlier releases print, and with
 * bare names as headings as the first ones did; within whatever a terminal session put around it (dumptext.h).
 */
#ifndef MTREE_H
#define MTREE_H

#include <gmem/gmem.h>

#include "source.h"

enum mtree_type {
    MTREE_IO,   /* "i/o": a container, device registers, or anything else without memory; "container", "reserved" */
    MTREE_RAM,  /* "ram" */
    MTREE_ROM,  /* "rom" */
    MTREE_ROMD, /* "romd" */
    MTREE_RAMD, /* "ramd" */
    MTREE_READWRITE, /* "RW": of earlier releases: can be read and written, memory or not; also where nothing is said, as in the first */
    MTREE_READONLY,  /* "R-" */
    MTREE_WRITEONLY, /* "-W": a ROM device that does not read directly now */
    MTREE_NOACCESS,  /* "--" */
};

struct mtree_node {
    size_t line;
    size_t parent;        /* index of the node whose line it is below in the section, by indentation; SIZE_MAX: none */
    unsigned indent;      /* spaces before it */
    uint64_t first, last; /* as printed */
    int32_t priority;
    enum mtree_type type;
    bool nonvolatile;
    bool disabled;
    char *name;   /* may be empty */
    char *owner;  /* all of "owner:{...}" and "parent:{...}" as printed, or NULL */
    char *target; /* an alias: the name of its target; else NULL */
    uint64_t target_first, target_last;
};

struct mtree_section {
    size_t line;
    bool region;  /* memory-region:, else address-space: */
    char **names; /* of the spaces that it is printed for, one at least; or of the region, one */
    size_t n_names;
    size_t first_node; /* in nodes; its nodes follow one another */
    size_t n_nodes;    /* 0: its root is not printed (disabled) */
};

struct mtree {
    char *source; /* for messages */
    struct mtree_section *sections;
    size_t n_sections;
    struct mtree_node *nodes;
    size_t n_nodes;
    bool shows_disabled; /* some line says [disabled]: printed with -D, or old */
    bool shows_owner;
};

/*
 * Lines of an `info mtree -f` in the same text are skipped, before and after the tree. Of several trees the last is taken: a
 * session's last answer. False: a line that makes no sense, none at all, or the text is cut off in the middle of one.
 */
bool mtree_parse(const struct source *source, struct mtree *mtree, struct problem *problem);
void mtree_free(struct mtree *mtree);

#endif
