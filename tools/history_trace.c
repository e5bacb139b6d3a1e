/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "history.h"

bool history_from_trace(const struct slot_trace *trace, struct history *history, struct problem *problem)
{
    (void)history;
    return problem_at(problem, trace->source, 0, "traces are not read yet");
}
