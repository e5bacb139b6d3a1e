/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a QMP server sends, whatever it is asked; then it ends the connection.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source tree, flat;
    struct problem problem;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    /* What does not fit is cut off: a server may end in the middle. */
    if (size && send(fds[1], data, size, MSG_NOSIGNAL) < 0)
        abort();
    shutdown(fds[1], SHUT_WR);
    if (qmp_converse(fds[0], "fuzz", 10000, &tree, &flat, &problem)) {
        source_free(&tree);
        source_free(&flat);
    }
    close(fds[1]);
    return 0;
}
