/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "slottrace.h"

bool slottrace_parse(const struct source *source, struct slot_trace *trace, struct problem *problem)
{
    (void)trace;
    return problem_at(problem, source->name, 0, "traces are not read yet");
}

void slottrace_free(struct slot_trace *trace)
{
    (void)trace;
}
