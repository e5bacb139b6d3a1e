/* SPDX-License-Identifier: MIT */
/*
 * From what the user named on the command line to a map, whatever kind of source it is.
 */
#ifndef LOAD_H
#define LOAD_H

#include "history.h"
#include "infer.h"
#include "map.h"

struct input {
    const char *path; /* a file, or "-"; NULL with qmp */
    const char *flat; /* a flat dump of the same machine, or NULL */
    const char *qmp;  /* socket of a running QEMU, asked in place of path; or NULL */
    bool no_infer;    /* the flat dump is read, but nothing is concluded from it */
    size_t at;        /* of a trace or recording: how many of its steps; SIZE_MAX: all */
};

struct loaded {
    enum source_kind kind;
    char *name; /* for messages and headings */
    struct topology topology;
    bool has_flat;
    struct flat_dump flat; /* if has_flat: from input.flat, from the same file as the tree, or from qmp */
    bool has_history;
    struct history history; /* of a trace or a recording */
    struct map map;
};

/* False: bad input. Nothing is to be freed then. */
bool load(const struct input *input, struct loaded *loaded, struct problem *problem);
void loaded_free(struct loaded *loaded);

/* Index of the space of that name; the first of several. False: there is none, and the message names those there are. */
bool loaded_space(const struct loaded *loaded, const char *name, size_t *ret_space, struct problem *problem);

#endif
