/* SPDX-License-Identifier: MIT */
/*
 * pc/vtime.c - virtual time and the timers on it.
 *
 * The list is ordered by due, those set earlier first among equals. A machine has a handful of timers, so it is walked.
 *
 * Runs under the machine's device lock.
 */
#include "vtime.h"

#include <stddef.h>

static uint64_t clock_now(void *opaque)
{
    return vtime_now(opaque);
}

struct pc_clock vtime_clock(struct vtime *time)
{
    return (struct pc_clock){.now = clock_now, .opaque = time};
}

uint64_t vtime_next(const struct vtime *time)
{
    return time->first ? time->first->due : VTIME_NEVER;
}

static void take_out(struct vtime *time, struct vtime_timer *timer)
{
    struct vtime_timer **at = &time->first;

    if (!timer->waiting)
        return;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    timer->waiting = false;
    timer->next = NULL;
}

void vtime_set(struct vtime *time, struct vtime_timer *timer, uint64_t due)
{
    struct vtime_timer **at = &time->first;
    uint64_t before = vtime_next(time);

    take_out(time, timer);
    timer->due = due;
    timer->put_off = time->advancing && due <= time->now;
    if (due == VTIME_NEVER)
        return;
    while (*at && (*at)->due <= due)
        at = &(*at)->next;
    timer->next = *at;
    timer->waiting = true;
    *at = timer;
    if (time->sooner && due < before)
        time->sooner(time->opaque);
}

/* The first that was not put off, if it is due by now. */
static struct vtime_timer *find_due(const struct vtime *time, uint64_t now)
{
    struct vtime_timer *timer = time->first;

    while (timer && timer->put_off)
        timer = timer->next;
    return timer && timer->due <= now ? timer : NULL;
}

void vtime_advance(struct vtime *time, uint64_t now)
{
    struct vtime_timer *timer;

    time->advancing = true;
    while ((timer = find_due(time, now))) {
        if (timer->due > time->now)
            time->now = timer->due;
        take_out(time, timer);
        timer->expire(timer->opaque, time->now);
    }
    time->advancing = false;
    time->now = now;
    for (timer = time->first; timer && timer->due <= now; timer = timer->next)
        timer->put_off = false;
}
