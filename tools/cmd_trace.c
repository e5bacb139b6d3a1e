/* SPDX-License-Identifier: MIT */
/*
 * Not written yet.
 */
#include "command.h"

#include "options.h"

int cmd_trace(int argc, char **argv)
{
    struct problem problem;

    (void)argc, (void)argv;
    problem_at(&problem, NULL, 0, "not written yet");
    return bad_input(&problem);
}
