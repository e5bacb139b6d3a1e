/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "qmp.h"

bool qmp_read(const char *address, struct source *ret_tree, struct source *ret_flat, struct problem *problem)
{
    (void)ret_tree, (void)ret_flat;
    return problem_at(problem, address, 0, "QMP is not spoken yet");
}
