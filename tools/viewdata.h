/* SPDX-License-Identifier: MIT */
/*
 * A machine, or one through all its steps, as the data of the HTML page: regions as rows of a table, a new row only where a
 * step changed something, so that a boot of a thousand commits stays small.
 */
#ifndef VIEWDATA_H
#define VIEWDATA_H

#include "history.h"

/* A region as it is from some step on. Names, owners and blocks are indexes into texts, or -1. */
struct view_row {
    uint64_t offset, last, target_offset; /* last: its size - 1 */
    int32_t id;                           /* what the region keeps through all steps, counted from 0 */
    int32_t parent, target;               /* ids, or -1 */
    int32_t name, owner, ram;
    int32_t kind, flags;
    int32_t priority;
    int32_t rank; /* among siblings of equal priority the lower one wins; equal only where it does not matter */
    int32_t line;
};

#define VIEW_ENABLED 1
#define VIEW_READONLY 2 /* its own, or a ROM */
#define VIEW_NONVOLATILE 4
#define VIEW_ROMD 8 /* reads directly */
#define VIEW_IMPLIED 16

struct view_space {
    int32_t name, root; /* a text, and an id or -1 */
    int32_t line;
};

struct view_step {
    size_t first_row, n_rows;  /* rows that are new or changed with it */
    size_t first_gone, n_gone; /* ids that are no longer there */
    size_t first_space;        /* all of its spaces, */
    size_t n_spaces;           /* unless */
    bool same_spaces;          /* they are those of the step before */
};

struct view_data {
    struct texts *texts;
    struct view_row *rows;
    size_t n_rows;
    int32_t *gone;
    size_t n_gone;
    struct view_space *spaces;
    size_t n_spaces;
    struct view_step *steps;
    size_t n_steps;
    int32_t *current; /* by id: its row now, or -1 */
    int32_t *seen;    /* by id: the step that it was seen in last, counted from 1 */
    size_t n_ids;
    struct texts *ids;
};

/* Add the machine after one more step. ids: as of history_topology(); NULL: the topology's own order. */
void viewdata_add(struct view_data *data, const struct topology *topology, const uint64_t *ids);
void viewdata_free(struct view_data *data);

/* Texts, each kept once and named by its index. The bytes may hold anything. */
size_t texts_count(const struct texts *texts);
const char *texts_at(const struct texts *texts, size_t index, size_t *ret_length);

#endif
