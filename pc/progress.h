/* SPDX-License-Identifier: MIT */
/* pc/progress.h - a line that says how far touching a block's memory is. */
#ifndef PC_PROGRESS_H
#define PC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_AFTER_MS 1000 /* shown when it has taken as long */
#define PROGRESS_EVERY_MS 100

struct progress {
    FILE *file; /* a terminal, or NULL: nothing is shown */
    int64_t begun, shown_at;
    bool shown;
};

/*
 * done of total bytes of block id are touched now, a time in milliseconds. done is 0 first and total last. The line is
 * written over itself (carriage return) and ends with the last.
 */
void progress_show(struct progress *progress, const char *id, uint64_t done, uint64_t total, int64_t now);
/* It goes no further: end the line, if there is one. */
void progress_end(struct progress *progress);

#endif
