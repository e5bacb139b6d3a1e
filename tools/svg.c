/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "draw.h"

bool draw_svg(const struct loaded *loaded, const struct draw_options *options, FILE *out, struct problem *problem)
{
    (void)options, (void)out;
    return problem_at(problem, loaded->name, 0, "not drawn yet");
}
