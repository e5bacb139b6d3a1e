/* SPDX-License-Identifier: MIT */
/*
 * pc/irqchip.h - the interrupt controllers of a machine whose processors are interpreted: two PICs, an IOAPIC and a local APIC
 * for each processor, and the wires between them.
 *
 * Input n of the ISA side goes to the PICs and to the IOAPIC's pin n; the timer's input 0 to its pin 2, as the firmware's
 * tables say. The PICs' INTR goes to LINT0 of every local APIC (virtual wire), which after reset is open for it at processor 0,
 * as KVM's is, and masked at the others; and to processor 0 while its APIC is off. LINT1 (NMI) has no source.
 *
 * Everything is called with the machine's device lock held, or before the processors run.
 */
#ifndef PC_IRQCHIP_H
#define PC_IRQCHIP_H

#include <gmem/gmem.h>

#include "irq.h"
#include "vtime.h"

struct irqchip;

#define IRQCHIP_ISA_IRQS 16u

/* What waits at a processor besides interrupts, a bit each. */
#define IRQCHIP_NMI 0x1u
#define IRQCHIP_SMI 0x2u /* a message of the APICs; the chipset's SMI is no business of theirs */
/*
 * INIT: it waits for SIPI then, but for processor 0 (the bootstrap processor), which resets. With SIPI, INIT came first. The others
 * wait for SIPI from the beginning. Who waits for it takes no NMI; who does not wait takes no SIPI.
 */
#define IRQCHIP_INIT 0x4u
#define IRQCHIP_SIPI 0x8u

struct irqchip_config {
    unsigned cpus;
    struct vtime *time; /* borrowed */
    /*
     * Something may have changed for processor cpu: an interrupt to take came or went, or an event of IRQCHIP_*. Called from
     * inside of accesses, wires, timers, and what a processor calls below; must not call back.
     */
    void (*changed)(void *opaque, unsigned cpu);
    void *opaque;
};

/*
 * Place them: pic and elcr in io (0x20, 0xa0, 0x4d0, 0x4d1), ioapic (0xfec00000) and apic-msi (0xfee00000, priority 4096) in
 * system. On failure (-errno) nothing is left.
 */
int irqchip_create(gmem_vm *vm, gmem_region *io, gmem_region *system, const struct irqchip_config *config,
                   struct irqchip **ret) GMEM_MUST_CHECK;
/* Takes them out again, and stops their timers. NULL is allowed. */
void irqchip_destroy(struct irqchip *chip);

/* Input n, 0 to IRQCHIP_ISA_IRQS - 1; 2, where the second PIC is, leads nowhere. */
struct pc_irq irqchip_isa_irq(struct irqchip *chip, unsigned n);

/* Whose accesses come next: a local APIC is its own processor's. */
void irqchip_set_current(struct irqchip *chip, unsigned cpu);

/* Whether an interrupt waits that processor cpu would take if its IF were set. */
bool irqchip_pending(const struct irqchip *chip, unsigned cpu);
/* The processor takes it: the vector. If it went away meanwhile, the spurious one of its controller. */
uint8_t irqchip_acknowledge(struct irqchip *chip, unsigned cpu);
/* Fetch and clear the events of processor cpu; *ret_vector is set with IRQCHIP_SIPI: it begins at vector << 12. */
unsigned irqchip_events(struct irqchip *chip, unsigned cpu, uint8_t *ret_vector);

/*
 * IA32_APIC_BASE of processor cpu. Moving the APIC's page is not modelled: such a write is refused with -EINVAL (#GP), as is one
 * with a reserved bit; the BSP bit stays as it is.
 */
uint64_t irqchip_apic_base(const struct irqchip *chip, unsigned cpu);
int irqchip_set_apic_base(struct irqchip *chip, unsigned cpu, uint64_t value) GMEM_MUST_CHECK;

#endif
