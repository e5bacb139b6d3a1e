/* SPDX-License-Identifier: MIT */
/*
 * pc/monitor.c - reads lines, carries them out and writes the answers, each in one piece.
 *
 * One thread. What a command needs to lock it locks itself, and nothing is locked while an answer is written: it is put
 * together in memory before.
 */
#include "monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor_internal.h"

struct monitor {
    struct machine *machine;
    struct terminal *terminal;
    int fd; /* -1: it has ended */
    bool prompt;
    size_t at, count; /* bytes[at] to bytes[count - 1] are still to be taken */
    char bytes[4096];
    struct monitor_input input;
};

int monitor_create(struct machine *machine, struct terminal *terminal, int fd, bool prompt, struct monitor **ret)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));

    if (!monitor)
        return -ENOMEM;
    monitor->machine = machine;
    monitor->terminal = terminal;
    monitor->fd = fd;
    monitor->prompt = prompt;
    if (prompt)
        terminal_prompt(terminal, MONITOR_PROMPT);
    *ret = monitor;
    return 0;
}

void monitor_destroy(struct monitor *monitor)
{
    free(monitor);
}

int monitor_fd(const struct monitor *monitor)
{
    return monitor->fd;
}

bool monitor_busy(const struct monitor *monitor)
{
    return monitor->at < monitor->count;
}

static void answer(struct monitor *monitor, const char *text, size_t len)
{
    if (len)
        terminal_answer(monitor->terminal, text, len);
}

static void say(struct monitor *monitor, const char *text)
{
    answer(monitor, text, strlen(text));
}

/* False: quit. */
static bool carry_out(struct monitor *monitor)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool go_on;

    if (!out) {
        say(monitor, "out of memory\n");
        return true;
    }
    go_on = monitor_execute(monitor->machine, monitor->input.text, out);
    if (fclose(out))
        say(monitor, "out of memory: the answer can't be shown\n");
    else
        answer(monitor, text, len);
    free(text);
    return go_on;
}

static bool serve_line(struct monitor *monitor, enum monitor_line line)
{
    bool go_on = true;

    switch (line) {
    case MONITOR_LINE_NONE:
        return true;
    case MONITOR_LINE_GOOD:
        go_on = carry_out(monitor);
        break;
    case MONITOR_LINE_LONG:
        say(monitor, "a line of more than 1024 bytes is no command\n");
        break;
    case MONITOR_LINE_BYTES:
        say(monitor, "a line with a NUL byte is no command\n");
        break;
    }
    if (go_on && monitor->prompt && monitor->fd >= 0)
        terminal_prompt(monitor->terminal, MONITOR_PROMPT);
    return go_on;
}

/* Input has ended, or is broken: the machine goes on. What came last is a command even without its newline. */
static bool end_input(struct monitor *monitor, int err)
{
    char text[128];

    monitor->fd = -1;
    if (err) {
        snprintf(text, sizeof(text), "commands can't be read any more: %s\n", strerror(err));
        say(monitor, text);
    }
    return serve_line(monitor, monitor_input_end(&monitor->input));
}

bool monitor_serve(struct monitor *monitor)
{
    enum monitor_line line;
    size_t used;

    if (!monitor_busy(monitor)) {
        ssize_t got = monitor->fd < 0 ? 0 : read(monitor->fd, monitor->bytes, sizeof(monitor->bytes));

        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            return true;
        if (got <= 0)
            return end_input(monitor, got < 0 ? errno : 0);
        monitor->at = 0;
        monitor->count = (size_t)got;
    }
    line = monitor_input_take(&monitor->input, monitor->bytes + monitor->at, monitor->count - monitor->at, &used);
    monitor->at += used;
    return serve_line(monitor, line);
}
