/* SPDX-License-Identifier: MIT */
/*
 * gmem: reads, explains, compares and draws memory maps. Chooses the command. Owns nothing. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "help.h"
#include "options.h"
#include "output.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"tree", cmd_tree}, {"flat", cmd_flat},   {"check", cmd_check}, {"explain", cmd_explain},
    {"diff", cmd_diff}, {"trace", cmd_trace}, {"draw", cmd_draw},
};

static int no_command(const char *name)
{
    const char *near = help_nearest(name);
    struct problem problem;

    if (near)
        problem_at(&problem, NULL, 0, "there is no command \"%s\"; did you mean gmem %s?", name, near);
    else
        problem_at(&problem, NULL, 0, "there is no %s \"%s\"", *name == '-' ? "option" : "command", name);
    fprintf(stderr, "gmem: %s\nTry gmem help\n", problem.text);
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        help_overview(stdout);
        return output_end(0);
    }
    if (argc > 2) {
        fputs("gmem help: one COMMAND at a time\nTry gmem help\n", stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; help_name(i); i++)
        if (strcmp(argv[1], help_name(i)) == 0)
            return help_command(argv[1]);
    return no_command(argv[1]);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    if (!name) {
        help_overview(stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(name, commands[i].name) == 0) {
            problem_command(name);
            return commands[i].run(argc - 1, argv + 1);
        }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        help_version(stdout);
        return output_end(0);
    }
    return no_command(name);
}
