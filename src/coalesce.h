/* SPDX-License-Identifier: MIT */
/* coalesce.h - writes that are queued and delivered later, by the library or by somebody else. */
#ifndef GMEM_SRC_COALESCE_H
#define GMEM_SRC_COALESCE_H

#include "region.h"

/* One write: size bytes in the order of their addresses, at offset of region. */
struct gmem__queued {
    gmem_region *region; /* pinned while it is in the queue */
    uint64_t offset;
    struct gmem_attrs attrs;
    uint8_t size;
    uint8_t bytes[8];
};

/* Have a device's callback make a queued write. It is in the guard, and has the lock. access_mmio.c. */
void gmem__queued_deliver(const struct gmem__queued *write);

/* An access is about to reach the callbacks of device: let others who queue writes deliver them. */
void gmem__coalesced_ask(gmem_vm *vm, const struct gmem__device *device);

/* Whether write may be queued: device's region coalesces there. */
bool gmem__coalesced_has(const gmem_vm *vm, const struct gmem__device *device, const struct gmem__queued *write);
/* Queue it. False: there is no room. */
bool gmem__coalesced_put(gmem_guard *guard, const struct gmem__queued *write);

/* Deliver what is queued for guard, which this thread is not in. */
void gmem__coalesced_drain(gmem_guard *guard);

static inline bool gmem__coalesced_waiting(const gmem_guard *guard)
{
    /* Acquire: pairs with the release of the count. */
    return guard && __atomic_load_n(&guard->queued, __ATOMIC_ACQUIRE) > 0;
}

/* Free the hook. gmem_vm_destroy() only. */
void gmem__hook_end(gmem_vm *vm);

#endif
