/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "draw.h"

bool draw_html(const struct loaded *loaded, const struct history *timeline, const struct draw_options *options,
               FILE *out, struct problem *problem)
{
    (void)options, (void)out, (void)timeline;
    return problem_at(problem, loaded->name, 0, "not drawn yet");
}
