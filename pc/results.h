/* SPDX-License-Identifier: MIT */
/* pc/results.h - what gmem-pc prints of a machine that has run. */
#ifndef PC_RESULTS_H
#define PC_RESULTS_H

#include <stdio.h>

#include "machine.h"

/*
 * Print to out the flat views, the statistics of memory slots and, if somebody counted, what was executed; and to map (may be
 * NULL) the tree and the flat views. When it is stopped. What depends on the host is on the last line alone where processors are
 * interpreted. 0 or -ENOMEM; that a file can't be written is found in the file.
 */
int results_print(struct machine *machine, FILE *out, FILE *map) GMEM_MUST_CHECK;

#endif
