/* SPDX-License-Identifier: MIT */
/*
 * What gmem can do, in words: the lists of commands, the help of each, the version.
 */
#ifndef HELP_H
#define HELP_H

#include <stdio.h>

/* Print what a command does, its options and examples on standard output; the status to exit with. */
int help_command(const char *command);

/* All commands, a line each. */
void help_overview(FILE *out);

/* The version, which is the library's. */
void help_version(FILE *out);

/* "gmem flat [OPTION...] FILE"; of no command, "gmem COMMAND [OPTION...] [FILE...]". */
const char *help_synopsis(const char *command);

/* The i-th command's name; NULL: there are no more. */
const char *help_name(size_t i);

/* The command that somebody meant, or NULL. */
const char *help_nearest(const char *command);

#endif
