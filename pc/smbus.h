/* SPDX-License-Identifier: MIT */
/* pc/smbus.h - the SMBus host controller inside the PIIX4. Nothing is attached to the bus. */
#ifndef PC_SMBUS_H
#define PC_SMBUS_H

#include <gmem/gmem.h>

struct smbus;

/* Places its registers in io, disabled. */
int smbus_create(gmem_region *io, struct smbus **ret) GMEM_MUST_CHECK;
/* NULL is allowed. */
void smbus_destroy(struct smbus *smbus);

/* Map the registers at base (rounded down to their size) or unmap them; an edit, also inside a transaction. */
int smbus_map(struct smbus *smbus, uint16_t base, bool enabled) GMEM_MUST_CHECK;

#endif
