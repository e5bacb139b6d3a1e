/* SPDX-License-Identifier: MIT */
/* pc/output.h - a file that is written later, but whose absence or refusal is found before the machine is made. */
#ifndef PC_OUTPUT_H
#define PC_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "hooks.h"

/* All zero: there is none. */
struct output {
    const char *path; /* borrowed */
    FILE *file;
    bool created;
};

/*
 * Open it without emptying it. path NULL: there is to be none, and 0. -errno with the reason in error, in which what names the
 * file.
 */
int output_open(struct output *output, const char *path, const char *what, struct pc_error *error)
    __attribute__((warn_unused_result));

/* When all files of a run could be opened. What has no length, such as a pipe, stays as it is. */
int output_empty(struct output *output, struct pc_error *error) __attribute__((warn_unused_result));

/* False: not everything was written, which is told on standard error. */
bool output_close(struct output *output);

/* The machine never ran: leave nothing behind. */
void output_drop(struct output *output);

#endif
