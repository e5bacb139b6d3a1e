/* SPDX-License-Identifier: MIT */
/*
 * The command line of one command: getopt_long(3) with the options that several commands share already understood. Options may
 * stand before, between and after the operands; "--" ends them.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <getopt.h>

#include "load.h"

/* Options that are understood for a command if it says so. */
#define OPT_INPUT 0x01u    /* -f --flat FILE, --qmp SOCKET, --at N, and one FILE */
#define OPT_SPACE 0x02u    /* -s --space NAME */
#define OPT_JSON 0x04u     /* --json */
#define OPT_TWO 0x08u      /* with OPT_INPUT: two FILEs */
#define OPT_OPTIONAL 0x10u /* with OPT_INPUT: there may be fewer FILEs; the command looks at n_inputs */

#define OPT_FILE 0x20u /* one FILE, without the options of OPT_INPUT */

#define OPTION_OWN 0x200 /* values of a command's own long options begin here; a letter is a short option too */

struct options {
    struct input inputs[2];
    size_t n_inputs;
    const char *space; /* or NULL */
    bool json;
    bool help;
    char **operands; /* what is neither an option nor an input FILE, such as ADDR; in order */
    int n_operands;
};

/*
 * Called for an option of the command's own (its value) with its argument. False: the argument is wrong, and *problem says
 * how.
 */
typedef bool option_fn(void *opaque, int value, const char *argument, struct problem *problem);

/*
 * operands: how many words of the command's own come before the input FILE(s). own may be NULL, else ends in a zero element; its values
 * begin at OPTION_OWN, or are the letter of a short option. --color[=WHEN] and --help are always understood. Returns -1 to go on,
 * else the status to exit with, after a message on standard error or the help on standard output. *ret points into argv, whose
 * words it moves: the operands come first.
 *
 * Of two inputs: --qmp SOCKET is an input where it stands. --flat and --at belong to the input that they follow; if one of them
 * stands before the first input, then each belongs to the input that follows it, and behind the last to that. So these are the same:
 *     gmem diff A --flat FA B --flat FB
 *     gmem diff --flat FA A --flat FB B
 */
int options_parse(int argc, char **argv, unsigned understood, int operands, const struct option *own, option_fn *fn,
                  void *opaque, struct options *ret);

/* 0x..., decimal, octal with 0; with suffix K, M, G, T (of 1024). False: none, or past 2^64. */
bool number_parse(const char *text, uint64_t *ret, struct problem *problem);

/* Print the problem on standard error; EXIT_USAGE. */
int bad_input(const struct problem *problem);

/* The command line is wrong: the same, and where help is. */
int bad_usage(const char *command, const struct problem *problem);

#endif
