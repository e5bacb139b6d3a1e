/* SPDX-License-Identifier: MIT */
/*
 * How slot calls and amounts of bytes are printed.
 */
#ifndef SLOTCALL_H
#define SLOTCALL_H

#include <stdio.h>

#include "slottrace.h"

/* "2.999 GiB": four digits of it. */
struct bytes_text {
    char text[24];
};
struct bytes_text bytes_text(uint64_t bytes);

/* "add slot 2 ...c0000-...dffff read-write 128 KiB". A removal's event does not have the size of what is removed. */
void slot_call_print(FILE *out, const struct trace_event *event, uint64_t size);
/* An object with the members of the event. */
void slot_call_json(FILE *out, const struct trace_event *event, uint64_t size);

#endif
