/* SPDX-License-Identifier: MIT */
/*
 * device.h - what is done around the callbacks of a device that is watched: its guard and lock, eventfds, queued writes,
 * statistics and traces. What is done around those of all devices is here.
 */
#ifndef GMEM_SRC_DEVICE_H
#define GMEM_SRC_DEVICE_H

#include "access.h"
#include "coalesce.h"
#include "trace.h"

/* Callbacks of devices nest no deeper than this thread may go. True: end it with gmem__call_end(). */
static inline bool gmem__call_begin(void)
{
    if (!gmem__calls_may())
        return false;
    gmem__calls.depth++;
    return true;
}

static inline void gmem__call_end(void)
{
    gmem__calls.depth--;
}

/*
 * One access of the bus is about to reach a device: size bytes at offset. bytes are those of a write, or NULL.
 * True: go on, and call gmem__device_leave(). False: that is all, and *ret_result what became of it.
 */
bool gmem__device_enter(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes,
                        struct gmem_guard_entry *entry, gmem_result *ret_result);
void gmem__device_leave(struct gmem_guard_entry *entry);

/* The same of a write that the bus is about to cut, if its device may be entered. mmio->region is there. */
bool gmem__device_signal_whole(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, const uint8_t *bytes);

/* For who watches all of the vm: what became of an access of the bus, and of the whole access, length bytes. */
void gmem__device_trace(const struct gmem__mmio *mmio, uint64_t offset, unsigned size, uint64_t value, bool is_write,
                        gmem_result result);
void gmem__device_count(const struct gmem__mmio *mmio, uint64_t length, bool is_write, gmem_result result);

/*
 * An access to a region without callbacks, at mmio->offset, which is of a device nevertheless: it is refused as others, what was queued
 * for the device before is delivered, and an eventfd is signalled. bytes are those of a write of size that may do so, or NULL.
 */
gmem_result gmem__device_claimed(const struct gmem__mmio *mmio, unsigned size, const uint8_t *bytes,
                                 enum gmem_endian order);

static inline bool gmem__device_watched(const struct gmem__mmio *mmio)
{
    return __atomic_load_n(&mmio->vm->watch, __ATOMIC_RELAXED) && mmio->region;
}

/* An access that is one callback (gmem__mmio_is_single()) to a range that is not readonly; value in the device's order. */
gmem_result gmem__device_load(const gmem_space *space, const struct gmem__range *range, uint64_t addr, unsigned size,
                              struct gmem_attrs attrs, uint64_t *ret_value);
gmem_result gmem__device_store(const gmem_space *space, const struct gmem__range *range, uint64_t addr, unsigned size,
                               struct gmem_attrs attrs, uint64_t value);

#endif
