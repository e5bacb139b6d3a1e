/* SPDX-License-Identifier: MIT */
/*
 * pc/lapic.h - the local APIC of one processor: Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller", in
 * xAPIC mode, with version 0x14 and six entries in the local vector table (LVT).
 *
 * Its timer counts LAPIC_BUS_HZ of virtual time, before the divider. Of what a page of its registers means, apic_bus.h says
 * where it is.
 *
 * Under the machine's device lock, or before the processors run.
 */
#ifndef PC_LAPIC_H
#define PC_LAPIC_H

#include <gmem/base.h>

#include "apic.h"
#include "vtime.h"

struct lapic;

#define LAPIC_BASE 0xfee00000u /* after reset; it stays there */
#define LAPIC_SIZE 0x1000u
#define LAPIC_BUS_HZ UINT64_C(1000000000)

/*
 * A periodic timer interrupts at most once in this time, at a multiple of its period: so many expire together that nobody
 * could tell apart. Its count register is not held back.
 */
#define LAPIC_TIMER_GAP_NS 10000u

#define LAPIC_BASE_BSP 0x100u
#define LAPIC_BASE_ENABLE 0x800u

#define LAPIC_LINTS 2u

struct lapic_config {
    unsigned cpu;       /* its id after reset; 0 is the bootstrap processor */
    struct vtime *time; /* borrowed */
    /* All must be given. None may call back but as it says. */
    void (*send)(void *opaque, unsigned cpu, enum apic_shorthand to, const struct apic_message *message); /* accept */
    void (*eoi)(void *opaque, uint8_t vector);   /* of a level triggered interrupt; it may call lapic_accept() */
    void (*retry)(void *opaque);                 /* it takes what it did not before; it may call lapic_accept() */
    void (*changed)(void *opaque, unsigned cpu); /* of lapic_pending(), or there are events */
    void *opaque;
};

int lapic_create(const struct lapic_config *config, struct lapic **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void lapic_destroy(struct lapic *apic);

/* The register at offset, 0 to LAPIC_SIZE - 1. */
uint32_t lapic_read(struct lapic *apic, uint32_t offset);
void lapic_write(struct lapic *apic, uint32_t offset, uint32_t value);

/* Whether a message is for it, and what decides among several if it is for one of them. */
bool lapic_is_dest(const struct lapic *apic, uint8_t dest, bool logical);
bool lapic_takes_vectors(const struct lapic *apic);
uint8_t lapic_arbitration(const struct lapic *apic);
/* It has that interrupt already, and is the one that gets it again (the focus processor). */
bool lapic_is_focus(const struct lapic *apic, uint8_t vector);
/* Take a message, whoever it is for. Whether it was taken: false while the APIC is off, for vectors also by software. */
bool lapic_accept(struct lapic *apic, const struct apic_message *message);

/* Pin n: LINT0 or LINT1. While the APIC is off they are INTR and NMI of processor 0, and nothing of others. */
void lapic_set_lint(struct lapic *apic, unsigned n, int level);

/* Whether an interrupt waits that the processor would take if its IF were set. */
bool lapic_pending(const struct lapic *apic);
/*
 * The processor takes it: true and its vector, or false: the controller behind LINT0 has it. If it went away, the answer is of
 * the controller that had it: false, or the spurious vector.
 */
bool lapic_take(struct lapic *apic, uint8_t *ret_vector) GMEM_MUST_CHECK;
/* Fetch and clear events: IRQCHIP_* bits (irqchip.h). *ret_vector is set with IRQCHIP_SIPI. */
unsigned lapic_events(struct lapic *apic, uint8_t *ret_vector);

/* IA32_APIC_BASE. -EINVAL: a reserved bit is set, or the page would move; nothing is changed. The BSP bit can't be written. */
uint64_t lapic_base(const struct lapic *apic);
int lapic_set_base(struct lapic *apic, uint64_t value) GMEM_MUST_CHECK;

#endif
