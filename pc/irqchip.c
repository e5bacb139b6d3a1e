/* SPDX-License-Identifier: MIT */
/* pc/irqchip.c - stub; replaced when the controllers are there. */
#include "irqchip.h"

#include <errno.h>
#include <stdlib.h>

struct irqchip {
    unsigned cpus;
};

int irqchip_create(gmem_vm *vm, gmem_region *io, gmem_region *system, const struct irqchip_config *config,
                   struct irqchip **ret)
{
    struct irqchip *chip = calloc(1, sizeof(*chip));

    (void)vm, (void)io, (void)system;
    if (!chip)
        return -ENOMEM;
    chip->cpus = config->cpus;
    *ret = chip;
    return 0;
}

void irqchip_destroy(struct irqchip *chip)
{
    free(chip);
}

struct pc_irq irqchip_isa_irq(struct irqchip *chip, unsigned n)
{
    (void)chip, (void)n;
    return (struct pc_irq){.set = NULL};
}

void irqchip_set_current(struct irqchip *chip, unsigned cpu)
{
    (void)chip, (void)cpu;
}

bool irqchip_pending(const struct irqchip *chip, unsigned cpu)
{
    (void)chip, (void)cpu;
    return false;
}

uint8_t irqchip_acknowledge(struct irqchip *chip, unsigned cpu)
{
    (void)chip, (void)cpu;
    return 0xff;
}

unsigned irqchip_events(struct irqchip *chip, unsigned cpu, uint8_t *ret_vector)
{
    (void)chip, (void)cpu, (void)ret_vector;
    return 0;
}

uint64_t irqchip_apic_base(const struct irqchip *chip, unsigned cpu)
{
    (void)chip;
    return 0xfee00800u | (cpu ? 0 : 0x100u);
}

int irqchip_set_apic_base(struct irqchip *chip, unsigned cpu, uint64_t value)
{
    (void)chip, (void)cpu, (void)value;
    return 0;
}
