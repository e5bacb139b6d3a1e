/* SPDX-License-Identifier: MIT */
/* doorbell.h - the library's duplicates of eventfds, which it signals itself. */
#ifndef GMEM_SRC_DOORBELL_H
#define GMEM_SRC_DOORBELL_H

#include <gmem/base.h>

struct gmem__signal {
    unsigned long refs; /* atomic */
    int fd;
};

/*
 * A duplicate of fd, with a reference for the caller; NULL if it is none that can be written to as an eventfd. -EBADF,
 * -EMFILE, -ENOMEM.
 */
int gmem__signal_create(int fd, struct gmem__signal **ret_signal) GMEM_MUST_CHECK;
struct gmem__signal *gmem__signal_ref(struct gmem__signal *signal);
/* The last closes it. NULL is allowed. Any thread. */
void gmem__signal_unref(struct gmem__signal *signal);
/* Add 1. Does nothing if the counter is full. */
void gmem__signal_send(const struct gmem__signal *signal);

#endif
