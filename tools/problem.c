/* SPDX-License-Identifier: MIT */
/*
 * Owns the name that messages begin with, set once by main. One thread.
 */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

static char program[24] = "gmem";

const char *problem_program(void)
{
    return program;
}

void problem_command(const char *command)
{
    snprintf(program, sizeof(program), "gmem %s", command);
}

bool problem_at(struct problem *problem, const char *file, size_t line, const char *format, ...)
{
    size_t size = sizeof(problem->text), used = 0;
    va_list args;
    int n = 0;

    if (file && line)
        n = snprintf(problem->text, size, "%s:%zu: ", file, line);
    else if (file)
        n = snprintf(problem->text, size, "%s: ", file);
    if (n > 0)
        used = (size_t)n < size ? (size_t)n : size - 1;
    va_start(args, format);
    vsnprintf(problem->text + used, size - used, format, args);
    va_end(args);
    for (char *c = problem->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return false;
}
