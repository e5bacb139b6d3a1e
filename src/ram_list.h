/* SPDX-License-Identifier: MIT */
/* ram_list.h - the RAM blocks of a vm: by id, and where there is room for one more. All with vm->mutex. */
#ifndef GMEM_SRC_RAM_LIST_H
#define GMEM_SRC_RAM_LIST_H

#include "ram.h"

/* What offsets are multiples of, in bytes. */
uint64_t gmem__ram_unit(void);

/*
 * The place of size bytes at a multiple of align, a power of two of at least a unit, by best fit: the smallest gap that holds
 * them, the lowest of several. *ret_behind is the block that it is behind, NULL for none. -ENOSPC.
 */
int gmem__ram_place(const gmem_vm *vm, uint64_t size, uint64_t align, uint64_t *ret_offset, gmem_ram **ret_behind);

/* A block with its id, offset and mapped set, of which the latter two are as gmem__ram_place() said. Can't fail. */
void gmem__ram_enter(gmem_vm *vm, gmem_ram *ram, gmem_ram *behind);
void gmem__ram_leave(gmem_vm *vm, gmem_ram *ram);

/* The block of that id that has references, or NULL. Only a reference of the caller's keeps it from losing them. */
gmem_ram *gmem__ram_of_id(const gmem_vm *vm, const char *id);

/* The first block by offset, for NULL; the next one. NULL: there is none. */
gmem_ram *gmem__ram_behind(const gmem_vm *vm, const gmem_ram *ram);

#endif
