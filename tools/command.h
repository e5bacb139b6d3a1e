/* SPDX-License-Identifier: MIT */
/*
 * The commands of gmem: gmem COMMAND ... calls the one of that name with what follows it (argv[0] is the command's name) and
 * exits with what it returns. Each reads its own options with options.h.
 */
#ifndef COMMAND_H
#define COMMAND_H

#define EXIT_ASKED 1 /* the thing asked failed: it differs, nothing answers there */
#define EXIT_USAGE 2 /* usage, or bad input */

int cmd_tree(int argc, char **argv);
int cmd_flat(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_draw(int argc, char **argv);

#endif
