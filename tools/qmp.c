/* SPDX-License-Identifier: MIT */
/*
 * The conversation with a QMP server: its greeting, qmp_capabilities, then human-monitor-command. Owns the connection while it
 * lasts. One thread.
 *
 * What a server sends has a bound in bytes and in time for each answer, so that none keeps us.
 */
#include "qmp.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "qmp_line.h"

#define TREES_MAX 5u

struct talk {
    struct qmp_line line;
    int timeout_ms;
    struct problem *problem;
};

static bool wrong(const struct talk *talk, const char *what, const char *text)
{
    problem_at(talk->problem, talk->line.address, 0, "%s: %s", what, text);
    return false;
}

/* The next message that is no event. */
static bool receive(struct talk *talk, bool partial, struct qmp_message *message)
{
    const char *line;
    size_t length;

    do {
        do {
            if (!qmp_line_receive(&talk->line, partial, &line, &length, talk->problem))
                return false;
        } while (!length || (length == 1 && *line == '\r'));
        if (!qmp_message_parse(talk->line.address, line, length, message, talk->problem))
            return false;
    } while (message->kind == QMP_EVENT);
    return true;
}

/* A monitor for people ends its greeting without a newline. */
static bool greet(struct talk *talk)
{
    struct qmp_message message;

    if (!receive(talk, true, &message))
        return false;
    free(message.text);
    return message.kind == QMP_GREETING || wrong(talk, "what listens there does not speak QMP", "it does not greet");
}

/* What the command returns, to be freed; NULL if that is no string. False: an error, with its text. */
static bool execute(struct talk *talk, const char *command, char **ret)
{
    struct qmp_message message;

    qmp_line_within(&talk->line, talk->timeout_ms);
    if (!qmp_line_send(&talk->line, command, talk->problem) || !receive(talk, false, &message))
        return false;
    if (message.kind == QMP_RETURN) {
        *ret = message.text;
        return true;
    }
    wrong(talk, "QEMU refuses", message.kind == QMP_ERROR ? message.text : "it greets again");
    free(message.text);
    return false;
}

/* Lines of a monitor end in CR LF. */
static void strip(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++)
        if (*from != '\r' || from[1] != '\n')
            *to++ = *from;
    *to = '\0';
}

static bool monitor(struct talk *talk, const char *command, char **ret)
{
    char *text =
        alloc_format("{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"%s\"}}\n", command);
    bool good = execute(talk, text, ret);

    free(text);
    if (good && !*ret)
        return wrong(talk, "QEMU's monitor has no text for", command);
    if (good)
        strip(*ret);
    return good;
}

static bool is_tree(const char *text)
{
    return strncmp(text, "address-space", 13) == 0 || strncmp(text, "memory", 6) == 0;
}

static bool is_flat(const char *text)
{
    return strncmp(text, "FlatView #", 10) == 0;
}

/*
 * The answer to the first of several commands that this QEMU has, and in *command which that is. NULL: it has none. A monitor
 * says in its answer that it does not know an option.
 */
static bool ask(struct talk *talk, const char *const *commands, bool (*is_answer)(const char *text),
                const char **command, char **ret)
{
    for (size_t i = 0; commands[i]; i++) {
        if (!monitor(talk, commands[i], ret))
            return false;
        if (is_answer(*ret)) {
            *command = commands[i];
            return true;
        }
        free(*ret);
        *ret = NULL;
    }
    return true;
}

static void give(struct source *source, const char *address, const char *command, char *text)
{
    *source = (struct source){.name = alloc_format("%s: %s", address, command), .text = text, .size = strlen(text)};
}

static bool read_all(struct talk *talk, struct source *ret_tree, struct source *ret_flat)
{
    static const char *const trees[] = {"info mtree -o -D", "info mtree -o", "info mtree -D", "info mtree", NULL};
    static const char *const flats[] = {"info mtree -f -o", "info mtree -f", NULL};
    const char *tree_command = NULL, *flat_command = NULL;
    char *tree = NULL, *flat = NULL, *again = NULL;
    bool good = ask(talk, trees, is_tree, &tree_command, &tree);

    if (good && !tree)
        return wrong(talk, "QEMU's monitor does not know", "info mtree");
    if (good)
        good = ask(talk, flats, is_flat, &flat_command, &flat);
    for (unsigned n = 1; good && flat && n < TREES_MAX; n++) {
        good = monitor(talk, tree_command, &again);
        if (!good || strcmp(tree, again) == 0)
            break;
        free(tree);
        free(flat);
        tree = again;
        again = flat = NULL;
        good = monitor(talk, flat_command, &flat);
    }
    if (good)
        free(again);
    if (!good) {
        free(tree);
        free(flat);
        return false;
    }
    give(ret_tree, talk->line.address, tree_command, tree);
    *ret_flat = (struct source){0};
    if (flat)
        give(ret_flat, talk->line.address, flat_command, flat);
    return true;
}

static bool converse(struct talk *talk, struct source *ret_tree, struct source *ret_flat)
{
    char *nothing = NULL;
    bool good = greet(talk) && execute(talk, "{\"execute\": \"qmp_capabilities\"}\n", &nothing);

    free(nothing);
    good = good && read_all(talk, ret_tree, ret_flat);
    qmp_line_close(&talk->line);
    return good;
}

bool qmp_converse(int fd, const char *address, int timeout_ms, struct source *ret_tree, struct source *ret_flat,
                  struct problem *problem)
{
    struct talk talk = {.line = {.address = address, .fd = fd}, .timeout_ms = timeout_ms, .problem = problem};

    qmp_line_within(&talk.line, timeout_ms);
    return converse(&talk, ret_tree, ret_flat);
}

bool qmp_read_within(const char *address, int timeout_ms, struct source *ret_tree, struct source *ret_flat,
                     struct problem *problem)
{
    struct talk talk = {.timeout_ms = timeout_ms, .problem = problem};

    return qmp_line_connect(address, timeout_ms, &talk.line, problem) && converse(&talk, ret_tree, ret_flat);
}

bool qmp_read(const char *address, struct source *ret_tree, struct source *ret_flat, struct problem *problem)
{
    return qmp_read_within(address, QMP_TIMEOUT_MS, ret_tree, ret_flat, problem);
}
