/* SPDX-License-Identifier: MIT */
/*
 * pc/lapic_timer.c - the timer of the local APIC, one-shot or periodic (Intel SDM volume 3, chapter "APIC", "APIC Timer").
 *
 * The count is worked out from the time when it is read. A timer of virtual time waits only while an interrupt is due: the
 * LVT's entry is unmasked and the count not at its end. Times are whole multiples of the period from when the
 * guest wrote the initial count, so nothing drifts; a period shorter than LAPIC_TIMER_GAP_NS interrupts at some of its
 * multiples only, which bounds how often it expires in a piece of virtual time (G9).
 *
 * Runs under the machine's device lock.
 */
#include "lapic_internal.h"

/* Bits 3, 1 and 0: 2, 4, 8, 16, 32, 64, 128, 1. */
static uint64_t tick_ns(const struct lapic *apic)
{
    unsigned code = (apic->timer.divide & 3u) | (apic->timer.divide >> 1 & 4u);

    return (PC_NS_PER_S / LAPIC_BUS_HZ) << (code + 1) % 8;
}

static bool is_periodic(const struct lapic *apic)
{
    return apic->lvt[LVT_TIMER] & LVT_PERIODIC;
}

uint32_t lapic_timer_count(const struct lapic *apic)
{
    const struct lapic_timer *timer = &apic->timer;
    uint64_t ticks;

    if (!timer->running)
        return 0;
    ticks = (vtime_now(apic->config.time) - timer->start) / tick_ns(apic);
    if (ticks < timer->first)
        return timer->first - (uint32_t)ticks;
    if (!is_periodic(apic))
        return 0;
    return timer->initial - (uint32_t)((ticks - timer->first) % timer->initial);
}

/* When the first interrupt is due that is so at earliest or later. */
static uint64_t next_due(const struct lapic *apic, uint64_t earliest)
{
    const struct lapic_timer *timer = &apic->timer;
    uint64_t tick = tick_ns(apic);
    uint64_t ticks = (earliest - timer->start + tick - 1) / tick;
    uint64_t cycles;

    if (ticks <= timer->first)
        return timer->start + timer->first * tick;
    if (!is_periodic(apic))
        return VTIME_NEVER;
    cycles = (ticks - timer->first + timer->initial - 1) / timer->initial;
    return timer->start + (timer->first + cycles * timer->initial) * tick;
}

static void schedule(struct lapic *apic, uint64_t earliest)
{
    bool due = apic->timer.running && !(apic->lvt[LVT_TIMER] & LVT_MASKED);

    vtime_set(apic->config.time, &apic->timer.timer, due ? next_due(apic, earliest) : VTIME_NEVER);
}

/* An expiry at the time it is has been delivered: the next one is later. */
static void schedule_next(struct lapic *apic)
{
    schedule(apic, vtime_now(apic->config.time) + 1);
}

static void expire(void *opaque, uint64_t now)
{
    struct lapic *apic = opaque;

    schedule(apic, now + (is_periodic(apic) ? LAPIC_TIMER_GAP_NS : 1));
    lapic_accept_vector(apic, apic->lvt[LVT_TIMER] & LVT_VECTOR, false);
    lapic_update(apic);
}

/* What is due is delivered before a register changes, though the time has not been advanced there yet. */
static void settle(struct lapic *apic)
{
    struct lapic_timer *timer = &apic->timer;
    uint64_t now = vtime_now(apic->config.time);

    if (!timer->timer.waiting || timer->timer.due > now)
        return;
    vtime_set(apic->config.time, &timer->timer, VTIME_NEVER);
    expire(apic, now);
}

/* The cycle under way goes on from here: what follows may change how it is counted. */
static void restart(struct lapic *apic)
{
    struct lapic_timer *timer = &apic->timer;

    timer->first = lapic_timer_count(apic);
    timer->start = vtime_now(apic->config.time);
    timer->running = timer->first != 0;
}

void lapic_timer_init(struct lapic *apic)
{
    apic->timer.timer = (struct vtime_timer){.expire = expire, .opaque = apic};
}

void lapic_timer_stop(struct lapic *apic)
{
    vtime_set(apic->config.time, &apic->timer.timer, VTIME_NEVER);
    apic->timer.running = false;
    apic->timer.first = 0;
    apic->timer.initial = 0;
    apic->timer.divide = 0;
}

void lapic_timer_write_initial(struct lapic *apic, uint32_t value)
{
    struct lapic_timer *timer = &apic->timer;

    settle(apic);
    timer->first = value;
    timer->initial = value;
    timer->start = vtime_now(apic->config.time);
    timer->running = value != 0;
    schedule_next(apic);
}

void lapic_timer_write_divide(struct lapic *apic, uint32_t value)
{
    settle(apic);
    restart(apic);
    apic->timer.divide = value & 0x0bu;
    schedule_next(apic);
}

void lapic_timer_write_lvt(struct lapic *apic, uint32_t value)
{
    settle(apic);
    if ((value ^ apic->lvt[LVT_TIMER]) & LVT_PERIODIC)
        restart(apic);
    apic->lvt[LVT_TIMER] = value;
    schedule_next(apic);
}
