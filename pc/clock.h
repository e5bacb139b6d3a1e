/* SPDX-License-Identifier: MIT */
/*
 * pc/clock.h - the time that devices live in: the host's, or that of an interpreted machine (vtime.h).
 *
 * now counts nanoseconds from some moment and never goes back. Any thread that may access the device; it must not block.
 */
#ifndef PC_CLOCK_H
#define PC_CLOCK_H

#include <stdint.h>

struct pc_clock {
    uint64_t (*now)(void *opaque);
    void *opaque;
};

#define PC_NS_PER_S UINT64_C(1000000000)

struct pc_clock pc_clock_host(void); /* CLOCK_MONOTONIC */

static inline uint64_t pc_clock_now(struct pc_clock clock)
{
    return clock.now(clock.opaque);
}

#endif
