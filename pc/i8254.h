/* SPDX-License-Identifier: MIT */
/*
 * pc/i8254.h - the interval timer of the PC/AT: Intel 8254, ports 0x40 to 0x43, on virtual time.
 *
 * Three counters of 1.193182 MHz: pulse n is at the first nanosecond that is n / 1193182 s or more after time 0, so periods
 * do not drift. What each mode does stands in i8254_counter.c. Port 0x43 reads 0xff.
 */
#ifndef PC_I8254_H
#define PC_I8254_H

#include <gmem/gmem.h>

#include "irq.h"
#include "vtime.h"

struct i8254;

#define I8254_HZ 1193182u

/*
 * Place it ("pit") in io. irq0 follows the output of channel 0, which is low, as is the gate of channel 2; the gates of
 * channels 0 and 1 are high. irq0 is called from inside of accesses and of the timer; it must not call back. time is
 * borrowed and outlives the vm.
 *
 * Everything runs under the machine's device lock, or before the processors do, or after.
 *
 * -ENOMEM  out of memory
 * others   as gmem_region_add()
 */
int i8254_create(gmem_vm *vm, gmem_region *io, struct vtime *time, struct pc_irq irq0,
                 struct i8254 **ret) GMEM_MUST_CHECK;
/* Stop its timer and end it, before the vm. irq0 is not called any more. NULL is allowed. */
void i8254_destroy(struct i8254 *pit);

/* Port 0x61's side of channel 2: its gate, and its output (0 or 1). */
void i8254_set_gate2(struct i8254 *pit, int level);
int i8254_output2(struct i8254 *pit);

#endif
