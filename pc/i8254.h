/* SPDX-License-Identifier: MIT */
/* pc/i8254.h - the interval timer of the PC/AT: Intel 8254, ports 0x40 to 0x43, on virtual time. */
#ifndef PC_I8254_H
#define PC_I8254_H

#include <gmem/gmem.h>

#include "irq.h"
#include "vtime.h"

struct i8254;

/*
 * Place it ("pit") in io. irq0 follows the output of channel 0. Under the machine's device lock.
 */
int i8254_create(gmem_vm *vm, gmem_region *io, struct vtime *time, struct pc_irq irq0,
                 struct i8254 **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void i8254_destroy(struct i8254 *pit);

/* Port 0x61's side of channel 2: its gate, and its output. */
void i8254_set_gate2(struct i8254 *pit, int level);
int i8254_output2(struct i8254 *pit);

#endif
