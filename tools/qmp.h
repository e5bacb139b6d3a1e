/* SPDX-License-Identifier: MIT */
/*
 * Asking a running QEMU over its QMP socket (human-monitor-command), as its manual describes the protocol.
 */
#ifndef QMP_H
#define QMP_H

#include "source.h"

#define QMP_TIMEOUT_MS 10000

/*
 * `info mtree -o -D` and `info mtree -f -o` of the QEMU that listens at address, as two sources: a Unix socket's path or
 * HOST:PORT, also as QEMU's own -qmp has them (unix:PATH, tcp:HOST:PORT). An older QEMU is asked without the options that it does not
 * have; of one that has no flat views, ret_flat is all zero. The machine is not stopped: the tree is asked for again after the
 * flat views until it has not changed meanwhile, five times at most. False: no socket, no QMP, refused, or no answer in ten seconds.
 */
bool qmp_read(const char *address, struct source *ret_tree, struct source *ret_flat, struct problem *problem);

/* The same with another time to wait for each answer. */
bool qmp_read_within(const char *address, int timeout_ms, struct source *ret_tree, struct source *ret_flat,
                     struct problem *problem);

/* The same with the server at the other end of fd, a socket that does not block and is closed in the end. address is for messages. */
bool qmp_converse(int fd, const char *address, int timeout_ms, struct source *ret_tree, struct source *ret_flat,
                  struct problem *problem);

/* One line that a QMP server sends. */
enum qmp_kind { QMP_GREETING, QMP_EVENT, QMP_RETURN, QMP_ERROR };

struct qmp_message {
    enum qmp_kind kind;
    char *text; /* RETURN: the string returned, or NULL if it is none; ERROR: what is wrong; else NULL. To be freed */
};

/* address is for the problem. False: no such line; of a monitor for people, say. */
bool qmp_message_parse(const char *address, const char *line, size_t length, struct qmp_message *message,
                       struct problem *problem);

#endif
