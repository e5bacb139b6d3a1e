/* SPDX-License-Identifier: MIT */
/* pc/monitor_input.h - bytes from outside, cut into lines. */
#ifndef PC_MONITOR_INPUT_H
#define PC_MONITOR_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define MONITOR_LINE_MAX 1024u /* bytes of a line, without its newline */

enum monitor_line {
    MONITOR_LINE_NONE,  /* none has ended yet */
    MONITOR_LINE_GOOD,  /* in text, with a NUL behind it */
    MONITOR_LINE_LONG,  /* longer than MONITOR_LINE_MAX; dropped */
    MONITOR_LINE_BYTES, /* it has a NUL byte; dropped */
};

/* Zero it. */
struct monitor_input {
    char text[MONITOR_LINE_MAX + 1];
    size_t len;
    bool nul;
};

/* Take bytes up to the end of a line; *ret_used is how many were taken: all of them if no line ended. */
enum monitor_line monitor_input_take(struct monitor_input *input, const char *bytes, size_t count, size_t *ret_used);
/* There is no more: what was taken last is a line too. */
enum monitor_line monitor_input_end(struct monitor_input *input);

/* Cut text into words at blanks, in place. "A word" is one. At most max words; -1: a quote is not closed, or too many. */
int monitor_words(char *text, char **words, int max);

#endif
