/* SPDX-License-Identifier: MIT */
/*
 * doorbell.c - the library's duplicates of eventfds.
 *
 * The caller's descriptor may be closed, and its number be another file's, as soon as the eventfd is deleted, while an access
 * that found it is still under way. So accesses use a duplicate, which lives as long as any list of eventfds that names it; such a
 * list is given up when the accesses of its day have ended (region.c).
 *
 * A write to an eventfd waits while its counter is full. Whether it is set not to is a flag of the open file, which the caller
 * shares, and not the library's to change; and writing without waiting (RWF_NOWAIT) is refused for eventfds. So it is asked
 * first whether there is room. Between asking and writing only somebody who adds nearly 2^64 at once could fill it.
 */
#include "doorbell.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int gmem__signal_create(int fd, struct gmem__signal **ret_signal)
{
    struct gmem__signal *signal;
    struct stat stat;

    if (fstat(fd, &stat))
        return -errno;
    /* Of an anonymous inode it is not said what it is; of anything else it is, and to write 8 bytes there would harm. */
    if (stat.st_mode & S_IFMT) {
        *ret_signal = NULL;
        return 0;
    }
    signal = malloc(sizeof(*signal));
    if (!signal)
        return -ENOMEM;
    signal->refs = 1;
    signal->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (signal->fd < 0) {
        int err = -errno;

        free(signal);
        return err;
    }
    *ret_signal = signal;
    return 0;
}

struct gmem__signal *gmem__signal_ref(struct gmem__signal *signal)
{
    if (signal)
        __atomic_fetch_add(&signal->refs, 1, __ATOMIC_RELAXED);
    return signal;
}

void gmem__signal_unref(struct gmem__signal *signal)
{
    if (!signal || __atomic_sub_fetch(&signal->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    (void)close(signal->fd);
    free(signal);
}

void gmem__signal_send(const struct gmem__signal *signal)
{
    struct pollfd room = {.fd = signal->fd, .events = POLLOUT};
    const uint64_t one = 1;
    ssize_t written;

    if (poll(&room, 1, 0) < 1 || !(room.revents & POLLOUT))
        return;
    do
        written = write(signal->fd, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}
