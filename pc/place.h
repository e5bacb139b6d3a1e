/* SPDX-License-Identifier: MIT */
/*
 * pc/place.h - create a region and put it where it belongs in one call.
 *
 * ret_region may be NULL: the container then holds the only reference and the region lives as long as it is placed.
 * Otherwise the caller has a reference too. On failure nothing was placed and nothing is left.
 */
#ifndef PC_PLACE_H
#define PC_PLACE_H

#include <gmem/gmem.h>

int pc_place_mmio(gmem_region *container, uint64_t offset, int32_t priority, const char *name, uint64_t size,
                  const struct gmem_mmio_ops *ops, void *opaque, gmem_region **ret_region) GMEM_MUST_CHECK;
int pc_place_alias(gmem_region *container, uint64_t offset, int32_t priority, const char *name, gmem_region *target,
                   uint64_t target_offset, uint64_t size, gmem_region **ret_region) GMEM_MUST_CHECK;
int pc_place_reserved(gmem_region *container, uint64_t offset, int32_t priority, const char *name,
                      uint64_t size) GMEM_MUST_CHECK;

/*
 * Take what was placed with a reference of the caller's out again, and give that up. Where there is no memory for the new view,
 * the region stays until its vm ends. NULL is allowed.
 */
void pc_unplace(gmem_region *region);

/* A rom region with its own block, of size bytes, that starts with the len bytes at data (NULL: none); placed nowhere. */
int pc_create_rom(gmem_vm *vm, const char *name, const char *id, uint64_t size, const void *data, size_t len,
                  gmem_region **ret_region) GMEM_MUST_CHECK;

#endif
