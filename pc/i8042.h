/* SPDX-License-Identifier: MIT */
/*
 * Keyboard controller of the PC/AT and PS/2: Intel 8042, ports 0x60 and 0x64, with an MF2 keyboard and a PS/2 mouse
 * that answer every command but that nobody types on or moves.
 */
#ifndef GMEM_PC_I8042_H
#define GMEM_PC_I8042_H

#include <gmem/gmem.h>

#include "irq.h"

struct i8042;

/*
 * Create the controller in io. irq1 (keyboard) and irq12 (mouse) are up while a byte of theirs waits to be read and go down between
 * two bytes. a20 follows the output port's gate bit. reset is raised when the guest asks for a reset; it is never lowered.
 */
int i8042_create(gmem_vm *vm, gmem_region *io, struct pc_irq irq1, struct pc_irq irq12, struct pc_irq a20,
                 struct pc_irq reset, struct i8042 **ret) GMEM_MUST_CHECK;

/* End it, before the vm. NULL is allowed. */
void i8042_destroy(struct i8042 *kbc);

#endif
