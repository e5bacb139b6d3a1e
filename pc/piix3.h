/* SPDX-License-Identifier: MIT */
/* pc/piix3.h - the ISA bridge: Intel 82371SB (PIIX3), function 0. */
#ifndef PC_PIIX3_H
#define PC_PIIX3_H

#include "irq.h"
#include "pci.h"

#define PIIX3_ISA_IRQS 16u

struct piix3;

/*
 * Create it as device 1, function 0 and take over the bus's interrupt lines. isa_irqs are the sixteen inputs of the interrupt
 * controllers; reset is raised when the guest asks for one at port 0xcf9.
 */
int piix3_create(struct pci_bus *bus, const struct pc_irq isa_irqs[PIIX3_ISA_IRQS], struct pc_irq reset,
                 struct piix3 **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void piix3_destroy(struct piix3 *chip);

#endif
