/* SPDX-License-Identifier: MIT */
/*
 * A wire from a device to whoever watches it: an interrupt, the A20 gate, a reset request.
 *
 * set is called with the new level (0 or 1) whenever the device drives the wire, also with the level it already has.
 * It runs on the thread that made the access (or on the device's timer thread), with that device's lock held: it
 * may not access that device. A wire whose set is NULL leads nowhere.
 */
#ifndef GMEM_PC_IRQ_H
#define GMEM_PC_IRQ_H

#include <stddef.h>

struct pc_irq {
    void (*set)(void *opaque, int level);
    void *opaque;
};

static inline void pc_irq_set(struct pc_irq irq, int level)
{
    if (irq.set != NULL)
        irq.set(irq.opaque, level);
}

#endif
