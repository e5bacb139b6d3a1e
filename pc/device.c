/* SPDX-License-Identifier: MIT */
/*
 * Lifetime of the platform devices. users counts the creator and, through the owner callbacks, every region that the
 * library can reach on its own; whoever brings it to 0 frees the device. That may be the library's reclaiming thread, so
 * releasing a device touches nothing but its own memory.
 *
 * init, add and end are called by one thread, the one that builds the machine; regions[] is its alone.
 */
#include "device.h"

#include <errno.h>
#include <stdlib.h>

static void device_ref(void *opaque)
{
    struct pc_device *device = opaque;

    /* Relaxed: who takes a reference holds one already, or is inside a commit that was handed one. */
    atomic_fetch_add_explicit(&device->users, 1, memory_order_relaxed);
}

static void device_unref(void *opaque)
{
    struct pc_device *device = opaque;

    /* Release pairs with acquire here in whoever comes last: all uses happen before the free. */
    if (atomic_fetch_sub_explicit(&device->users, 1, memory_order_acq_rel) != 1)
        return;
    if (device->release != NULL)
        device->release(device);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

int pc_device_init(struct pc_device *device, gmem_vm *vm, void (*release)(struct pc_device *device))
{
    int err = pthread_mutex_init(&device->lock, NULL);

    if (err != 0)
        return -err;
    device->vm = vm;
    device->release = release;
    device->count = 0;
    atomic_init(&device->users, 1);
    return 0;
}

int pc_device_add(struct pc_device *device, gmem_region *container, uint64_t offset, const char *name, uint64_t size,
                  const struct gmem_mmio_ops *ops, gmem_region **ret_region)
{
    const struct gmem_owner owner = {.opaque = device, .ref = device_ref, .unref = device_unref};
    gmem_region *region;
    int err;

    if (device->count == PC_DEVICE_REGIONS_MAX)
        return -ENOSPC;
    err = gmem_region_create_mmio(device->vm, name, gmem_size_of(size), ops, device, &owner, &region);
    if (err != 0)
        return err;
    err = gmem_region_add(container, offset, region);
    if (err != 0) {
        gmem_region_unref(region);
        return err;
    }
    device->regions[device->count++] = region;
    if (ret_region != NULL)
        *ret_region = region;
    return 0;
}

void pc_device_end(struct pc_device *device)
{
    while (device->count > 0) {
        gmem_region *region = device->regions[--device->count];
        gmem_region *container = gmem_region_container(region);

        if (container != NULL && gmem_region_remove(container, region) != 0) {
            /* No memory for the new view: what the old one shows holds the device until the vm ends. */
        }
        gmem_region_unref(region);
    }
    device_unref(device);
}
