/* SPDX-License-Identifier: MIT */
/*
 * Serial port: National Semiconductor 16550A UART, 8 ports. What is written leaves at once, at any divisor.
 */
#ifndef GMEM_PC_SERIAL_H
#define GMEM_PC_SERIAL_H

#include <gmem/gmem.h>

#include "device.h"
#include "irq.h"

struct serial;

/* Create one at base (0x3f8 for the first) in io. irq is gated by OUT2, as on a PC. Bytes that are sent go to output. */
int serial_create(gmem_vm *vm, gmem_region *io, uint16_t base, struct pc_irq irq, struct pc_sink output,
                  struct serial **ret) GMEM_MUST_CHECK;

/* End it, before the vm. NULL is allowed. */
void serial_destroy(struct serial *serial);

/*
 * Bytes arrive at the port. Returns how many of len it takes now; the rest are to be offered again later. Any thread.
 */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len);

#endif
