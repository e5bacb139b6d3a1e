/* SPDX-License-Identifier: MIT */
/* pc/i440fx.h - the host bridge: Intel 82441FX (PMC), device 0, function 0. */
#ifndef PC_I440FX_H
#define PC_I440FX_H

#include "pci.h"

struct i440fx;

/*
 * Create it on bus and put its windows on ram and on the bus's memory into system, mapped as the registers are after reset, in
 * one commit.
 */
int i440fx_create(struct pci_bus *bus, gmem_region *system, gmem_region *ram, struct i440fx **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void i440fx_destroy(struct i440fx *chip);

#endif
