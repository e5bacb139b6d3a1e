/* SPDX-License-Identifier: MIT */
/* pc/clock.c - the host's clock. No state. */
#include "clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t host_now(void *opaque)
{
    struct timespec now;

    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * PC_NS_PER_S + (uint64_t)now.tv_nsec;
}

struct pc_clock pc_clock_host(void)
{
    return (struct pc_clock){.now = host_now, .opaque = NULL};
}
