/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "explain.h"

bool explain(const struct map *map, size_t space, uint64_t addr, struct explanation *ret, struct problem *problem)
{
    (void)map, (void)space, (void)addr, (void)ret;
    return problem_at(problem, NULL, 0, "not written yet");
}

void explanation_free(struct explanation *explanation)
{
    (void)explanation;
}
