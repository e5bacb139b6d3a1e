/* SPDX-License-Identifier: MIT */
/*
 * pc/irqchip.c - the interrupt controllers of an interpreted machine: i8259.c, ioapic.c and apic_bus.c with a lapic.c for each
 * processor, and the wires between them.
 *
 *   ISA input n ----+--> PICs, input n --- INTR --> LINT0 of each local APIC
 *                   +--> IOAPIC, pin n (0: pin 2) -- messages --> local APICs <-- MSI
 *                                            ^------ EOI ------------'
 *
 * Nothing drives LINT1, nor the IOAPIC's pins 0 and 16 to 23.
 *
 * Runs under the machine's device lock.
 */
#include "irqchip.h"

#include <errno.h>
#include <stdlib.h>

#include "apic_bus.h"
#include "i8259.h"
#include "ioapic.h"
#include "lapic.h"

#define TIMER_PIN 2u

struct isa_input {
    struct irqchip *chip;
    unsigned n;
};

struct irqchip {
    struct irqchip_config config;
    struct isa_input inputs[IRQCHIP_ISA_IRQS];
    struct i8259 *pics;
    struct ioapic *ioapic;
    struct apic_bus *bus;
};

static void set_isa_irq(void *opaque, int level)
{
    const struct isa_input *input = opaque;

    i8259_set(input->chip->pics, input->n, level);
    ioapic_set(input->chip->ioapic, input->n ? input->n : TIMER_PIN, level);
}

struct pc_irq irqchip_isa_irq(struct irqchip *chip, unsigned n)
{
    if (n >= IRQCHIP_ISA_IRQS || n == I8259_CASCADE)
        return (struct pc_irq){.set = NULL};
    return (struct pc_irq){.set = set_isa_irq, .opaque = &chip->inputs[n]};
}

static void set_intr(void *opaque, int level)
{
    const struct irqchip *chip = opaque;

    for (unsigned cpu = 0; cpu < chip->config.cpus; cpu++)
        lapic_set_lint(apic_bus_lapic(chip->bus, cpu), 0, level);
}

static bool send(void *opaque, const struct apic_message *message)
{
    const struct irqchip *chip = opaque;

    return apic_bus_send(chip->bus, message);
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    const struct irqchip *chip = opaque;

    ioapic_eoi(chip->ioapic, vector);
}

static void retry(void *opaque)
{
    const struct irqchip *chip = opaque;

    ioapic_retry(chip->ioapic);
}

static void changed(void *opaque, unsigned cpu)
{
    const struct irqchip *chip = opaque;

    chip->config.changed(chip->config.opaque, cpu);
}

void irqchip_set_current(struct irqchip *chip, unsigned cpu)
{
    apic_bus_set_current(chip->bus, cpu);
}

bool irqchip_pending(const struct irqchip *chip, unsigned cpu)
{
    return lapic_pending(apic_bus_lapic(chip->bus, cpu));
}

uint8_t irqchip_acknowledge(struct irqchip *chip, unsigned cpu)
{
    uint8_t vector;

    return lapic_take(apic_bus_lapic(chip->bus, cpu), &vector) ? vector : i8259_acknowledge(chip->pics);
}

unsigned irqchip_events(struct irqchip *chip, unsigned cpu, uint8_t *ret_vector)
{
    return lapic_events(apic_bus_lapic(chip->bus, cpu), ret_vector);
}

uint64_t irqchip_apic_base(const struct irqchip *chip, unsigned cpu)
{
    return lapic_base(apic_bus_lapic(chip->bus, cpu));
}

int irqchip_set_apic_base(struct irqchip *chip, unsigned cpu, uint64_t value)
{
    return lapic_set_base(apic_bus_lapic(chip->bus, cpu), value);
}

int irqchip_create(gmem_vm *vm, gmem_region *io, gmem_region *system, const struct irqchip_config *config,
                   struct irqchip **ret)
{
    struct irqchip *chip = calloc(1, sizeof(*chip));
    struct apic_bus_config bus = {.cpus = config->cpus,
                                  .time = config->time,
                                  .eoi = end_of_interrupt,
                                  .retry = retry,
                                  .changed = changed,
                                  .opaque = chip};
    struct ioapic_config ioapic = {.send = send, .opaque = chip};
    int err;

    (void)vm; /* its regions say */
    if (!chip)
        return -ENOMEM;
    chip->config = *config;
    for (unsigned n = 0; n < IRQCHIP_ISA_IRQS; n++)
        chip->inputs[n] = (struct isa_input){.chip = chip, .n = n};
    err = apic_bus_create(system, &bus, &chip->bus);
    if (!err)
        err = ioapic_create(system, &ioapic, &chip->ioapic);
    if (!err)
        err = i8259_create(io, (struct pc_irq){.set = set_intr, .opaque = chip}, &chip->pics);
    if (err) {
        irqchip_destroy(chip);
        return err;
    }
    *ret = chip;
    return 0;
}

void irqchip_destroy(struct irqchip *chip)
{
    if (!chip)
        return;
    i8259_destroy(chip->pics);
    ioapic_destroy(chip->ioapic);
    apic_bus_destroy(chip->bus);
    free(chip);
}
