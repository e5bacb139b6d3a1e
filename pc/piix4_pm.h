/* SPDX-License-Identifier: MIT */
/* pc/piix4_pm.h - power management and SMBus: Intel 82371AB (PIIX4), function 3. */
#ifndef PC_PIIX4_PM_H
#define PC_PIIX4_PM_H

#include "clock.h"
#include "irq.h"
#include "pci.h"

struct piix4_pm;

struct piix4_pm_config {
    struct pc_clock clock;
    struct pc_irq sci; /* the system control interrupt (ISA interrupt 9) */
    /* The firmware is to set up system management mode, of which smi is the interrupt: driven up and down at once. */
    bool smm;
    struct pc_irq smi;
};

/* Switching the machine off is a PC_EVENT_POWEROFF. */
int piix4_pm_create(struct pci_bus *bus, const struct piix4_pm_config *config, struct piix4_pm **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void piix4_pm_destroy(struct piix4_pm *chip);

#endif
