/* SPDX-License-Identifier: MIT */
/*
 * What the platform devices have in common: a lock around their registers, the regions they place, and a lifetime
 * that ends when neither their creator nor the library can reach them (G7).
 */
#ifndef GMEM_PC_DEVICE_H
#define GMEM_PC_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include <gmem/gmem.h>

/* Bytes that a device sends out of the machine. Called with the device's lock held. put may be NULL. */
struct pc_sink {
    void (*put)(void *opaque, uint8_t byte);
    void *opaque;
};

#define PC_DEVICE_REGIONS_MAX 8u

/* The first member of every device's structure, which is allocated with calloc(). */
struct pc_device {
    gmem_vm *vm;
    pthread_mutex_t lock; /* the device's registers */
    atomic_uint users;    /* the creator, and each region that a view shows */
    void (*release)(struct pc_device *device);
    unsigned count;
    gmem_region *regions[PC_DEVICE_REGIONS_MAX];
};

/*
 * Start a device. release, which may be NULL, gives back what the device holds; the structure itself is then freed with
 * free(). On failure (-errno) the structure is still the caller's.
 */
int pc_device_init(struct pc_device *device, gmem_vm *vm, void (*release)(struct pc_device *device)) GMEM_MUST_CHECK;

/*
 * Create an mmio region of the device and place it in container at offset. *ret_region, if wanted, is borrowed.
 *
 * -ENOSPC  the device has PC_DEVICE_REGIONS_MAX regions already
 * others   as gmem_region_create_mmio() and gmem_region_add()
 */
int pc_device_add(struct pc_device *device, gmem_region *container, uint64_t offset, const char *name, uint64_t size,
                  const struct gmem_mmio_ops *ops, gmem_region **ret_region) GMEM_MUST_CHECK;

/*
 * Take the regions out of their containers and give up the creator's hold. The structure is freed as soon as no view shows
 * a region of it, at the latest by gmem_vm_destroy(), which must not have been called yet.
 */
void pc_device_end(struct pc_device *device);

#endif
