/* SPDX-License-Identifier: MIT */
/*
 * pc/ioapic.h - the I/O APIC: Intel 82093AA.
 *
 * Under the machine's device lock, or before the processors run.
 */
#ifndef PC_IOAPIC_H
#define PC_IOAPIC_H

#include <gmem/gmem.h>

#include "apic.h"

struct ioapic;

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24u

struct ioapic_config {
    /* Deliver it; whether a local APIC took it. Must not call back. */
    bool (*send)(void *opaque, const struct apic_message *message);
    void *opaque;
};

/* Place it ("ioapic") at IOAPIC_BASE in system. On failure (-errno) nothing is left. */
int ioapic_create(gmem_region *system, const struct ioapic_config *config, struct ioapic **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void ioapic_destroy(struct ioapic *ioapic);

/*
 * Pin n, 0 to IOAPIC_PINS - 1. level is whether the interrupt is asserted: what voltage that is, which the polarity bit says,
 * is no question here.
 */
void ioapic_set(struct ioapic *ioapic, unsigned n, int level);

/* A processor has ended the level triggered interrupt of vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* A local APIC may take now what it did not before: level triggered interrupts that nobody took are sent again. */
void ioapic_retry(struct ioapic *ioapic);

#endif
