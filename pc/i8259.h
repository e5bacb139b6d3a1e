/* SPDX-License-Identifier: MIT */
/*
 * pc/i8259.h - the two interrupt controllers of the PC/AT, as the PIIX has them: Intel 8259A, the second behind input 2 of the
 * first, with edge/level control (ELCR).
 *
 * Under the machine's device lock, or before the processors run.
 */
#ifndef PC_I8259_H
#define PC_I8259_H

#include <gmem/gmem.h>

#include "irq.h"

struct i8259;

#define I8259_INPUTS 16u
#define I8259_CASCADE 2u

/*
 * Place them in io: "pic" at 0x20 and 0xa0 (two ports each), "elcr" at 0x4d0 and 0x4d1. intr is INTR: it is driven when its
 * level changes. On failure (-errno) nothing is left.
 */
int i8259_create(gmem_region *io, struct pc_irq intr, struct i8259 **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void i8259_destroy(struct i8259 *pics);

/* Input n, 0 to I8259_INPUTS - 1; 8 to 15 are the second controller's. Nothing is connected to I8259_CASCADE but that one. */
void i8259_set(struct i8259 *pics, unsigned n, int level);

/*
 * The processor's two INTA cycles: the vector. Without a request it is input 7's of the first controller, or of the second
 * if the first asked it, and no input is in service by that (the spurious interrupt; 231468, "the interrupt request
 * inputs"). 0xff: the first controller left the answer to a second that is not there.
 */
uint8_t i8259_acknowledge(struct i8259 *pics);

#endif
