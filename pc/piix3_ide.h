/* SPDX-License-Identifier: MIT */
/* pc/piix3_ide.h - the IDE controller: Intel 82371SB (PIIX3), function 1. No drives are attached. */
#ifndef PC_PIIX3_IDE_H
#define PC_PIIX3_IDE_H

#include "pci.h"

struct piix3_ide;

int piix3_ide_create(struct pci_bus *bus, struct piix3_ide **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void piix3_ide_destroy(struct piix3_ide *chip);

#endif
