/* SPDX-License-Identifier: MIT */
/*
 * DMA controller of the PC/AT: Intel 8237A. The first has channels 0 to 3 at ports 0x00 to 0x0f and pages at 0x81 to
 * 0x83 and 0x87, the second channels 4 to 7 at 0xc0 to 0xdf and pages at 0x89 to 0x8b and 0x8f. All registers are there;
 * nothing on this machine requests a transfer, and memory to memory transfers are absent.
 */
#ifndef GMEM_PC_I8237_H
#define GMEM_PC_I8237_H

#include <gmem/gmem.h>

struct i8237;

/* Create the first or the second controller in io. */
int i8237_create(gmem_vm *vm, gmem_region *io, bool second, struct i8237 **ret) GMEM_MUST_CHECK;

/* End it, before the vm. NULL is allowed. */
void i8237_destroy(struct i8237 *dma);

#endif
