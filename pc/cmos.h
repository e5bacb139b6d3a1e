/* SPDX-License-Identifier: MIT */
/*
 * Real-time clock and CMOS memory of the PC: Motorola MC146818A (the functions of a DS12887's), ports 0x70 and 0x71.
 *
 * BCD and binary, 24 and 12 hours, setting the time, update-in-progress, alarm, update-ended and periodic interrupts are
 * modelled. Absent: daylight saving, the square wave pin, the NMI mask (bit 7 of port 0x70 is ignored); the day of the
 * week follows the date and can't be set. Dates run from 1678 to 2261.
 */
#ifndef GMEM_PC_CMOS_H
#define GMEM_PC_CMOS_H

#include <gmem/gmem.h>

#include "irq.h"

struct cmos;
struct vtime;

/* cmos_tick() when no interrupt will come by the passing of time alone. */
#define CMOS_NEVER UINT64_MAX

/* What the clock shows at time 0 of virtual time: 2000-01-01 00:00:00 UTC, in seconds since 1970. */
#define CMOS_VTIME_START_S UINT64_C(946684800)

/* A clock, and whoever calls cmos_tick() by it. next and end may be NULL. */
struct cmos_clock {
    /* Nanoseconds since 1970-01-01 00:00 UTC; any thread, must not block. */
    uint64_t (*now)(void *opaque);
    /*
     * cmos_tick() is to be called at another time than was said before (first: CMOS_NEVER). With the device's lock held, from
     * inside of accesses and of cmos_tick(); must not call back.
     */
    void (*next)(void *opaque, uint64_t due);
    /* By cmos_destroy(), with no lock held: call cmos_tick() no more; when this returns, nobody does. Then nothing is called. */
    void (*end)(void *opaque);
    void *opaque;
};

/*
 * Create the device on the host's clock (the time in UTC), with a thread of its own that raises interrupts when they are due. The
 * memory tells the firmware of cpus processors (1 to 255), of ram_below_4g bytes of RAM from address 0 and of ram_above_4g from 4
 * GiB. irq8 is active high and level: it is lowered by reading register C.
 *
 * -EINVAL  cpus is out of range
 * -EAGAIN  no thread can be made
 * -ENOMEM  out of memory
 */
int cmos_create(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                struct pc_irq irq8, struct cmos **ret) GMEM_MUST_CHECK;

/*
 * The same on virtual time, from CMOS_VTIME_START_S on and without a thread: a timer raises interrupts. While processors
 * run, accesses, cmos_tick() and cmos_destroy() then need the machine's device lock, as the timer has it. time is
 * borrowed until cmos_destroy().
 */
int cmos_create_vtime(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                      struct pc_irq irq8, struct vtime *time, struct cmos **ret) GMEM_MUST_CHECK;

/* The same on another clock: the caller must call cmos_tick(). On failure end is not called. */
int cmos_create_clock(gmem_vm *vm, gmem_region *io, uint64_t ram_below_4g, uint64_t ram_above_4g, unsigned cpus,
                      struct pc_irq irq8, const struct cmos_clock *clock, struct cmos **ret) GMEM_MUST_CHECK;

/* Stop the thread or the timer and end the device, before the vm. NULL is allowed. */
void cmos_destroy(struct cmos *cmos);

/*
 * Bring the flags up to the clock's time and raise the interrupt if one is due. Returns the clock's time at which to call
 * again, or CMOS_NEVER. Any thread.
 */
uint64_t cmos_tick(struct cmos *cmos);

#endif
