/* SPDX-License-Identifier: MIT */
/*
 * pc/terminal.h - standard output, shared by the firmware's log, which processors write a character at a time, and the
 * monitor's answers, each of which is written in one piece.
 */
#ifndef PC_TERMINAL_H
#define PC_TERMINAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#define TERMINAL_LINE_MAX 1024u

struct terminal {
    pthread_mutex_t lock; /* all below */
    FILE *file;
    bool whole_lines;   /* log lines are held back until they end, so that nothing comes between */
    bool line_open;     /* a log line was written in part */
    const char *prompt; /* it is shown, and the log goes above it; NULL: none is */
    size_t len;
    char line[TERMINAL_LINE_MAX]; /* held back */
};

void terminal_init(struct terminal *terminal, FILE *file, bool whole_lines);
/* Any thread. A line longer than TERMINAL_LINE_MAX is written in pieces. */
void terminal_log(struct terminal *terminal, char c);
/* text begins on a line of its own. Any thread. */
void terminal_answer(struct terminal *terminal, const char *text, size_t len);
/* Ask for a line. prompt must live as long as the terminal. */
void terminal_prompt(struct terminal *terminal, const char *prompt);
/* Nothing more is logged: write what was held back, and end its line. */
void terminal_finish(struct terminal *terminal);

#endif
