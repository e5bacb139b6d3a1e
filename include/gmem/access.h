/* SPDX-License-Identifier: MIT */
/*
 * gmem/access.h - reading and writing guest memory through a space.
 *
 * An access covers any number of bytes and ranges and is cut where one range ends and another
 * begins; one access sees one view (G2). It never waits for a commit and takes no lock; device
 * callbacks are called without one (G6). Any thread, also from inside a device callback. It must
 * not wrap past 2^64 - 1: the bytes beyond are treated as unassigned.
 *
 * ram                 read and written directly
 * rom, readonly       read directly; writes are ignored with GMEM_OK, for mmio and romd in a readonly range too
 * romd                read directly or by callback (gmem_region_set_romd()); written by callback
 * mmio                by callback, cut and widened as its gmem_mmio_ops say
 * ram-device          as ram or readonly, by single loads and stores of the guest's width (gmem_region_create_ram_device())
 * iommu               where it is translated to, or GMEM_RESULT_DENIED (gmem/iommu.h)
 * reserved, nothing   GMEM_RESULT_DECODE; reads give all ones or zero, as the space says
 *
 * What is done around a device's callbacks is in gmem/guard.h (a device that comes back to itself is refused) and
 * gmem/device.h; a write that an eventfd waits for signals it (gmem_region_add_eventfd()).
 *
 * A refused piece of an mmio access also reads as the space's unassigned value. Aligned 1, 2, 4 and
 * 8 byte pieces of RAM are read and written as one, so that a guest's and the host's do not tear
 * each other.
 */
#ifndef GMEM_ACCESS_H
#define GMEM_ACCESS_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Copy size bytes at addr of the space into buf, or from it. buf is always filled by a read,
 * whatever the result. size may be 0. rw does the one or the other.
 */
GMEM_API gmem_result gmem_space_read(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, void *buf,
                                     uint64_t size);
GMEM_API gmem_result gmem_space_write(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, const void *buf,
                                      uint64_t size);
GMEM_API gmem_result gmem_space_rw(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, void *buf, uint64_t size,
                                   bool is_write);

/*
 * As the host's hand, not the guest's: writes rom, readonly and romd memory too (loading firmware),
 * touches no callbacks. Bytes without host memory give GMEM_RESULT_DECODE and are skipped, those of
 * a GMEM_RAM_READONLY block GMEM_RESULT_REFUSED.
 */
GMEM_API gmem_result gmem_space_write_rom(gmem_space *space, uint64_t addr, const void *buf, uint64_t size);

/* Set size bytes at addr to value, as gmem_space_write() would. */
GMEM_API gmem_result gmem_space_fill(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint8_t value,
                                     uint64_t size);

/*
 * Load and store 1, 2, 4 or 8 bytes as a number in the byte order given: exactly the access
 * gmem_space_rw() makes. Loads always set *ret_value. native is the guest's order (struct
 * gmem_vm_options).
 */
GMEM_API gmem_result gmem_ld8(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint8_t *ret_value);
GMEM_API gmem_result gmem_ld16_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t *ret_value);
GMEM_API gmem_result gmem_ld16_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t *ret_value);
GMEM_API gmem_result gmem_ld16_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t *ret_value);
GMEM_API gmem_result gmem_ld32_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t *ret_value);
GMEM_API gmem_result gmem_ld32_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t *ret_value);
GMEM_API gmem_result gmem_ld32_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t *ret_value);
GMEM_API gmem_result gmem_ld64_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t *ret_value);
GMEM_API gmem_result gmem_ld64_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t *ret_value);
GMEM_API gmem_result gmem_ld64_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t *ret_value);

GMEM_API gmem_result gmem_st8(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint8_t value);
GMEM_API gmem_result gmem_st16_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t value);
GMEM_API gmem_result gmem_st16_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t value);
GMEM_API gmem_result gmem_st16_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint16_t value);
GMEM_API gmem_result gmem_st32_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t value);
GMEM_API gmem_result gmem_st32_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t value);
GMEM_API gmem_result gmem_st32_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint32_t value);
GMEM_API gmem_result gmem_st64_le(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t value);
GMEM_API gmem_result gmem_st64_be(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t value);
GMEM_API gmem_result gmem_st64_native(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
