/* SPDX-License-Identifier: MIT */
/*
 * pc/apic_bus.h - the local APICs of all processors, the messages between them, and their place in memory.
 *
 * "apic-msi" is 1 MiB at LAPIC_BASE, in front of everything in system. In its first page a processor finds its own APIC's registers, 32
 * bits wide (narrower reads give part of one, narrower writes none); nothing, while that is off. What is written by a
 * processor elsewhere in the 1 MiB, or anywhere by a bus master (a requester that is not 0), is a message signalled
 * interrupt if it is 32 bits wide. Reading these gives all ones.
 *
 * Under the machine's device lock, or before the processors run.
 */
#ifndef PC_APIC_BUS_H
#define PC_APIC_BUS_H

#include <gmem/gmem.h>

#include "apic.h"
#include "vtime.h"

struct apic_bus;
struct lapic;

#define APIC_MSI_SIZE 0x100000u
#define APIC_MSI_PRIORITY 4096

struct apic_bus_config {
    unsigned cpus;      /* at least 1 */
    struct vtime *time; /* borrowed */
    /* As in lapic.h: the first two may call apic_bus_send() with interrupts, the last may not call back. */
    void (*eoi)(void *opaque, uint8_t vector);
    void (*retry)(void *opaque);
    void (*changed)(void *opaque, unsigned cpu);
    void *opaque;
};

/* On failure (-errno) nothing is left. */
int apic_bus_create(gmem_region *system, const struct apic_bus_config *config, struct apic_bus **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void apic_bus_destroy(struct apic_bus *bus);

/* That of processor cpu. Borrowed. */
struct lapic *apic_bus_lapic(const struct apic_bus *bus, unsigned cpu);

/* Whose accesses come next. */
void apic_bus_set_current(struct apic_bus *bus, unsigned cpu);

/* Deliver a message; whether a local APIC took it. */
bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message);

#endif
