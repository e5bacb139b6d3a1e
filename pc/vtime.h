/* SPDX-License-Identifier: MIT */
/*
 * pc/vtime.h - virtual time: it advances by what processors execute and not by the host's clock, so that two runs of a machine
 * are the same. Devices set timers on it.
 *
 * Everything is called with the machine's device lock held, or before the processors run; vtime_now() by whoever holds it.
 */
#ifndef PC_VTIME_H
#define PC_VTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

#define VTIME_NEVER UINT64_MAX

/* One that waits is in its vtime's list. All zero: it does not. The device's; it outlives the vtime, or is stopped first. */
struct vtime_timer {
    uint64_t due;
    /* Called once it is due, no longer waiting; it may set itself and others. now is the time then, due or later. */
    void (*expire)(void *opaque, uint64_t now);
    void *opaque;
    bool waiting;
    bool put_off;             /* to the next advance */
    struct vtime_timer *next; /* falls due at the same time, set later; or later */
};

struct vtime {
    uint64_t now; /* nanoseconds since the machine was made */
    struct vtime_timer *first;
    bool advancing;
    /* NULL, or told that the first timer to fall due is an earlier one than before. */
    void (*sooner)(void *opaque);
    void *opaque;
};

/* The clock of it. */
struct pc_clock vtime_clock(struct vtime *time);
static inline uint64_t vtime_now(const struct vtime *time)
{
    return time->now;
}

/* When the first timer is due, or VTIME_NEVER. */
uint64_t vtime_next(const struct vtime *time);

/*
 * Let timer fall due at due, also if that is past: it then expires at the next advance. VTIME_NEVER stops it. Of
 * two that are due at the same time the one that was set first goes first. Setting one that waits is stopping it and setting it.
 */
void vtime_set(struct vtime *time, struct vtime_timer *timer, uint64_t due);

/*
 * The processors' thread: it is now, which is not before the time it was. What is due expires in order; while one does, now is
 * the time it is. What an expiring timer sets for a moment that is not after that is put off until the next advance,
 * and the others go on: so each timer expires once in a nanosecond at most, and this ends (G9). Not from inside of expire.
 */
void vtime_advance(struct vtime *time, uint64_t now);

#endif
