/* SPDX-License-Identifier: MIT */
/* pc/i8254.c - stub; replaced when the timer is there. */
#include "i8254.h"

int i8254_create(gmem_vm *vm, gmem_region *io, struct vtime *time, struct pc_irq irq0, struct i8254 **ret)
{
    (void)vm, (void)io, (void)time, (void)irq0;
    *ret = NULL;
    return 0;
}

void i8254_destroy(struct i8254 *pit)
{
    (void)pit;
}

void i8254_set_gate2(struct i8254 *pit, int level)
{
    (void)pit, (void)level;
}

int i8254_output2(struct i8254 *pit)
{
    (void)pit;
    return 0;
}
