/* SPDX-License-Identifier: MIT */
/*
 * Owns what it makes of the text until flatdump_free(). One thread.
 */
#include "flatdump.h"

#include <stdlib.h>

#include "alloc.h"

bool flatdump_parse(const struct source *source, struct flat_dump *dump, struct problem *problem)
{
    (void)dump;
    return problem_at(problem, source->name, 0, "flat dumps are not read yet");
}

void flatdump_free(struct flat_dump *dump)
{
    free(dump->source);
    *dump = (struct flat_dump){0};
}
