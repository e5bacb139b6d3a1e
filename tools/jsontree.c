/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "jsontree.h"

bool jsontree_parse(const struct source *source, struct topology *topology, struct problem *problem)
{
    (void)topology;
    return problem_at(problem, source->name, 0, "JSON is not read yet");
}
