/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with what the user gave: what, where, what to do. Functions that can find such a thing return false and
 * fill a struct problem; the program prints it and ends with status 2.
 */
#ifndef PROBLEM_H
#define PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

struct problem {
    char text[1024];
};

/* "FILE:LINE: ..."; line 0: "FILE: ..."; file NULL: neither. Bytes of the text that a terminal would act on become '?'. False. */
bool problem_at(struct problem *problem, const char *file, size_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What messages on standard error begin with: "gmem", and "gmem COMMAND" once that is known. */
const char *problem_program(void);
void problem_command(const char *command);

#endif
