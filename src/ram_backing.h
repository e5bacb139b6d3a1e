/* SPDX-License-Identifier: MIT */
/* ram_backing.h - the host memory of a RAM block: files, mappings, advice. */
#ifndef GMEM_SRC_RAM_BACKING_H
#define GMEM_SRC_RAM_BACKING_H

#include "ram.h"

/*
 * Get the memory that checked options ask for: sets host, size, mapped, page_size, file_offset, flags, backing and fd of ram
 * (whose vm and id are set). On error there is nothing to give back, and a file is as it was.
 */
int gmem__backing_map(gmem_ram *ram, const struct gmem_ram_options *options) GMEM_MUST_CHECK;

/* Give it back. */
void gmem__backing_unmap(gmem_ram *ram);

/* Touch what is in size bytes at offset, or find out that the host can't: -ENOMEM and others. */
int gmem__backing_preallocate(const gmem_ram *ram, uint64_t offset, uint64_t size) GMEM_MUST_CHECK;

/*
 * Give the memory of size bytes at offset back to the host: they are zero from now on. Up to mapped. Pages that are cut, and
 * what the host does not take back, are written with zeros. Not of a GMEM_RAM_READONLY block.
 */
void gmem__backing_give_back(gmem_ram *ram, uint64_t offset, uint64_t size);

/* Write to every page of [host, host + size) without changing it, for kernels that can't be asked to. */
void gmem__backing_touch(uint8_t *host, uint64_t size, uint64_t page_size);

/* The size of the host's ordinary pages. */
uint64_t gmem__host_page_size(void);

#endif
