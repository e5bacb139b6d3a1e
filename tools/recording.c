/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "history.h"

bool history_from_recording(const struct source *source, struct history *history, struct problem *problem)
{
    (void)history;
    return problem_at(problem, source->name, 0, "recordings are not read yet");
}
