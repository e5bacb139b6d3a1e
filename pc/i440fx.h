/* SPDX-License-Identifier: MIT */
/* pc/i440fx.h - the host bridge: Intel 82441FX (PMC), device 0, function 0. */
#ifndef PC_I440FX_H
#define PC_I440FX_H

#include "pci.h"

struct i440fx;

/*
 * Create it on bus and put its windows on ram and on the bus's memory into system, mapped as the registers are after reset, in
 * one commit. With smm it has what spaces of system management mode show in front of system, and in a commit of its own what
 * PCI has in SMRAM's place where there is no VGA.
 */
int i440fx_create(struct pci_bus *bus, gmem_region *system, gmem_region *ram, bool smm,
                  struct i440fx **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void i440fx_destroy(struct i440fx *chip);

/* That container, of 4 GiB; borrowed. NULL: without smm. */
gmem_region *i440fx_smram(struct i440fx *chip);
/*
 * Whether accesses to data, but not to code, meet in system management mode what is there outside of it (D_CLS). With the
 * machine's device lock held.
 */
bool i440fx_smram_closed(const struct i440fx *chip);

#endif
