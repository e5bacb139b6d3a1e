/* SPDX-License-Identifier: MIT */
/*
 * pc/record.h - a recording of a run: what each commit changed in the map, and why, as docs/recording.md describes it.
 *
 * Lines are written as the run goes on, each at once and whole. What can't be written, or is not for want of memory, is told in
 * the end by record_end().
 */
#ifndef PC_RECORD_H
#define PC_RECORD_H

#include <stdio.h>

#include "machine.h"
#include "options.h"

struct record;

/* To be fed from the machine's making on, which sets slots. file is borrowed until record_end(). NULL: no memory. */
struct record *record_create(FILE *file);

/* The machine is complete, and its processors have not run yet: write what is so now. -errno with the reason in error. */
int record_begin(struct record *record, struct machine *machine, const struct options *options,
                 struct pc_error *error) GMEM_MUST_CHECK;

/* The hooks of the same names (hooks.h). record may be NULL. */
void record_slot(struct record *record, const char *line);
void record_pci(struct record *record, const char *line);
void record_mapped(struct record *record, const char *cause);
void record_served(struct record *record);

/*
 * When the processors are stopped, before the machine is destroyed. False: not everything is in the file because there was no
 * memory, or the machine's map could not be printed. Errors of the file are the caller's to look at. NULL is allowed.
 */
bool record_end(struct record *record);

#endif
