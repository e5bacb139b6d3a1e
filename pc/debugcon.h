/* SPDX-License-Identifier: MIT */
/*
 * The debug console of Bochs and QEMU: one port that firmware writes its log to. Reading it gives 0xe9, by which the
 * firmware knows that it is there.
 */
#ifndef GMEM_PC_DEBUGCON_H
#define GMEM_PC_DEBUGCON_H

#include <gmem/gmem.h>

#include "device.h"

struct debugcon;

#define DEBUGCON_PORT 0x402u /* where SeaBIOS looks for it */

/* Create one at port in io. */
int debugcon_create(gmem_vm *vm, gmem_region *io, uint16_t port, struct pc_sink output,
                    struct debugcon **ret) GMEM_MUST_CHECK;

/* End it, before the vm. NULL is allowed. */
void debugcon_destroy(struct debugcon *debugcon);

#endif
