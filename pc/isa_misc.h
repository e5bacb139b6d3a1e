/* SPDX-License-Identifier: MIT */
/*
 * The PC's lone ports: 0x80 (diagnostic code), 0xf0 (coprocessor error), 0x92 (A20 gate and fast reset of the PS/2)
 * and 0x61 (speaker, gate and output of the timer's channel 2).
 */
#ifndef GMEM_PC_ISA_MISC_H
#define GMEM_PC_ISA_MISC_H

#include <gmem/gmem.h>

#include "clock.h"
#include "irq.h"

struct isa_misc;

/*
 * Channel 2 of the interval timer, wherever it lives. gate is told the level of port 0x61's bit 0; output gives the
 * level of bit 5. Both run with the device's lock held; either may be NULL (output then reads 0).
 */
struct isa_misc_timer {
    void (*gate)(void *opaque, int level);
    int (*output)(void *opaque);
    void *opaque;
};

/*
 * Create the ports in io. a20 follows bit 1 of port 0x92; reset is raised when its bit 0 rises and never lowered. timer
 * may be NULL and is copied. Bit 4 of port 0x61 changes every 15,085 ns of clock.
 */
int isa_misc_create(gmem_vm *vm, gmem_region *io, struct pc_irq a20, struct pc_irq reset,
                    const struct isa_misc_timer *timer, struct pc_clock clock, struct isa_misc **ret) GMEM_MUST_CHECK;

/* End them, before the vm. NULL is allowed. */
void isa_misc_destroy(struct isa_misc *misc);

#endif
