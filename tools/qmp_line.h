/* SPDX-License-Identifier: MIT */
/*
 * Lines to and from a server at a socket, none of which is waited for longer than until a deadline.
 */
#ifndef QMP_LINE_H
#define QMP_LINE_H

#include <stdint.h>

#include "problem.h"

#define QMP_LINE_MAX ((size_t)64 << 20) /* bytes of all that comes before a deadline */

struct qmp_line {
    const char *address;
    int fd;
    int64_t deadline; /* milliseconds of CLOCK_MONOTONIC */
    char *bytes;      /* that came */
    size_t begin, end, room;
    size_t seen;     /* of [begin, end), where there is no newline */
    size_t received; /* since the deadline was set */
};

/* False: nobody is there, or we are not let in. Nothing is to be closed then. */
bool qmp_line_connect(const char *address, int timeout_ms, struct qmp_line *line, struct problem *problem);
void qmp_line_close(struct qmp_line *line);

/* What follows is to be over so many milliseconds from now. */
void qmp_line_within(struct qmp_line *line, int timeout_ms);

bool qmp_line_send(struct qmp_line *line, const char *text, struct problem *problem);

/*
 * Without its newline, or several lines that are one object; good until the next call. If partial, what is no object and stays without a newline is given after a
 * moment.
 */
bool qmp_line_receive(struct qmp_line *line, bool partial, const char **ret, size_t *ret_length,
                      struct problem *problem);

#endif
