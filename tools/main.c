/* SPDX-License-Identifier: MIT */
/*
 * gmem: reads, explains, compares and draws memory maps. Chooses the command. Owns nothing. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"tree", cmd_tree}, {"flat", cmd_flat},   {"check", cmd_check}, {"explain", cmd_explain},
    {"diff", cmd_diff}, {"trace", cmd_trace}, {"draw", cmd_draw},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fputs("usage: gmem COMMAND [OPTION...] [FILE...]\n", stderr);
    return EXIT_USAGE;
}
