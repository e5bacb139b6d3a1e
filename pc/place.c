/* SPDX-License-Identifier: MIT */
/* pc/place.c - create a region and put it where it belongs. No state; runs while the machine is put together. */
#include "place.h"

#include <string.h>

static int place(gmem_region *container, uint64_t offset, int32_t priority, gmem_region *region,
                 gmem_region **ret_region)
{
    int err = gmem_region_add_priority(container, offset, region, priority);

    if (err || !ret_region)
        gmem_region_unref(region);
    else
        *ret_region = region;
    return err;
}

int pc_place_mmio(gmem_region *container, uint64_t offset, int32_t priority, const char *name, uint64_t size,
                  const struct gmem_mmio_ops *ops, void *opaque, gmem_region **ret_region)
{
    gmem_region *region;
    int err = gmem_region_create_mmio(gmem_region_vm(container), name, gmem_size_of(size), ops, opaque, NULL, &region);

    return err ? err : place(container, offset, priority, region, ret_region);
}

int pc_place_alias(gmem_region *container, uint64_t offset, int32_t priority, const char *name, gmem_region *target,
                   uint64_t target_offset, uint64_t size, gmem_region **ret_region)
{
    gmem_region *region;
    int err = gmem_region_create_alias(gmem_region_vm(container), name, target, target_offset, gmem_size_of(size), NULL,
                                       &region);

    return err ? err : place(container, offset, priority, region, ret_region);
}

int pc_place_reserved(gmem_region *container, uint64_t offset, int32_t priority, const char *name, uint64_t size)
{
    gmem_region *region;
    int err = gmem_region_create_reserved(gmem_region_vm(container), name, gmem_size_of(size), NULL, &region);

    return err ? err : place(container, offset, priority, region, NULL);
}

void pc_unplace(gmem_region *region)
{
    gmem_region *container = region ? gmem_region_container(region) : NULL;

    if (container && gmem_region_remove(container, region) != 0) {
        /* Who ends a device makes no access to it any more. */
    }
    gmem_region_unref(region);
}

int pc_create_rom(gmem_vm *vm, const char *name, const char *id, uint64_t size, const void *data, size_t len,
                  gmem_region **ret_region)
{
    gmem_ram *ram;
    int err = gmem_ram_create_anon(vm, id, size, &ram);

    if (err)
        return err;
    if (data)
        memcpy(gmem_ram_host(ram), data, len);
    err = gmem_region_create_rom(vm, name, ram, NULL, ret_region);
    gmem_ram_unref(ram);
    return err;
}
