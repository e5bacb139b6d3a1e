/* SPDX-License-Identifier: MIT */
/*
 * pc/terminal.c - standard output. What can't be written is found by whoever closes the file.
 *
 * Lock: terminal->lock, held while the file is written, and nothing else is done.
 */
#include "terminal.h"

#include <string.h>

void terminal_init(struct terminal *terminal, FILE *file, bool whole_lines)
{
    memset(terminal, 0, sizeof(*terminal));
    pthread_mutex_init(&terminal->lock, NULL);
    terminal->file = file;
    terminal->whole_lines = whole_lines;
}

/* To the beginning of a line, as far as is known. */
static void begin_line(struct terminal *terminal)
{
    if (terminal->line_open || terminal->prompt)
        putc('\n', terminal->file);
    terminal->line_open = false;
}

static void write_held(struct terminal *terminal)
{
    const char *prompt = terminal->prompt;
    bool ends = terminal->line[terminal->len - 1] == '\n';

    if (prompt)
        begin_line(terminal);
    fwrite(terminal->line, 1, terminal->len, terminal->file);
    terminal->len = 0;
    terminal->line_open = !ends;
    if (prompt && ends)
        fputs(prompt, terminal->file);
    else
        terminal->prompt = NULL;
    fflush(terminal->file);
}

void terminal_log(struct terminal *terminal, char c)
{
    pthread_mutex_lock(&terminal->lock);
    if (terminal->whole_lines) {
        terminal->line[terminal->len++] = c;
        if (c == '\n' || terminal->len == TERMINAL_LINE_MAX)
            write_held(terminal);
    } else {
        putc(c, terminal->file);
        terminal->line_open = c != '\n';
        if (c == '\n')
            fflush(terminal->file);
    }
    pthread_mutex_unlock(&terminal->lock);
}

void terminal_answer(struct terminal *terminal, const char *text, size_t len)
{
    pthread_mutex_lock(&terminal->lock);
    /* Behind a prompt stands the command, which its newline has ended. */
    terminal->prompt = NULL;
    begin_line(terminal);
    fwrite(text, 1, len, terminal->file);
    fflush(terminal->file);
    pthread_mutex_unlock(&terminal->lock);
}

void terminal_prompt(struct terminal *terminal, const char *prompt)
{
    pthread_mutex_lock(&terminal->lock);
    begin_line(terminal);
    fputs(prompt, terminal->file);
    terminal->prompt = prompt;
    fflush(terminal->file);
    pthread_mutex_unlock(&terminal->lock);
}

void terminal_finish(struct terminal *terminal)
{
    pthread_mutex_lock(&terminal->lock);
    if (terminal->len)
        write_held(terminal);
    begin_line(terminal);
    terminal->prompt = NULL;
    pthread_mutex_unlock(&terminal->lock);
}
