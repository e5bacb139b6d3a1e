/* SPDX-License-Identifier: MIT */
/*
 * gmem/device.h - what the library does around a device's callbacks: coalesced writes, and statistics of accesses.
 *
 * Both are off at first, and cost nothing while they are.
 */
#ifndef GMEM_DEVICE_H
#define GMEM_DEVICE_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Coalesced writes without a kernel. Between gmem_vm_set_coalescing(vm, true) and false, a write that lies inside a coalesced
 * interval (gmem_region_add_coalesced()) is queued in place of calling the device, with GMEM_OK, if the region's owner
 * names a guard and a lock (gmem/guard.h), and its ops have no accepts(). A device has one queue, that of its guard, with
 * room for GMEM_COALESCED_MAX writes. They are delivered, one by one, in the order in which they were queued and with the
 * attributes they were made with, under the lock: before any other access to a region of the guard (a read, a write outside
 * the intervals, or one that finds no room), and, as far as gmem_vm_flush_coalesced() may, by that, after a commit, and
 * when coalescing is switched off; and when the vm ends. What the device answers then is lost.
 *
 * The lock is that of the first region that names the guard and one; regions of the guard with another are not
 * coalesced, since it is the lock that keeps the order. Queueing takes a mutex of the guard for a moment: this is the one
 * exception to "an access takes no lock" that the library makes, and only where it was switched on.
 *
 * While coalescing is on, who holds such a lock commits only with gmem_lock_enter(), as is the rule for accesses. Any thread.
 *
 * -EINVAL  vm is NULL
 */
#define GMEM_COALESCED_MAX 64u
GMEM_API int gmem_vm_set_coalescing(gmem_vm *vm, bool on) GMEM_MUST_CHECK;

/*
 * Deliver what is queued in the whole vm now. A monitor does that from time to time, as what is shown (a
 * screen) shall not be late. Left alone are queues of guards that this thread is in, and, while it has a lock that regions name, those
 * that need another: it would be taken in an order that no device chose. While this thread has a transaction open, or is in a
 * listener callback, nothing is delivered: a device that has its lock may wait for the turn. So it is with the delivery after a commit,
 * too, and where callbacks nest as deep as they may (gmem/guard.h). What is left is delivered by the next occasion. Any thread.
 */
GMEM_API void gmem_vm_flush_coalesced(gmem_vm *vm);

/*
 * Where somebody else queues writes (a kernel): flush(opaque) is called to have them delivered before an access of the library
 * reaches a region that has coalesced intervals, or that shares its guard with one that has. It delivers them
 * by making the accesses. It is called on the thread of the access, without a lock of the library's and before the region's
 * is taken, by several threads at once if they make accesses; and not for accesses that are made inside of it. The thread may
 * be in another device's callback, or have a lock: where gmem_thread_busy() (gmem/guard.h) it should return at once. There is
 * one of a vm: setting it replaces the one before; NULL takes it away. When the call returns the one before is not called any
 * more, nor running.
 *
 * -EINVAL  vm is NULL
 * -EBUSY   there is one to wait for, and this is called from inside a callback of the library or a transaction of the
 *          caller's, for which it might have to wait in turn
 * -ENOMEM  out of memory
 */
typedef void gmem_coalesced_flush_fn(void *opaque);
GMEM_API int gmem_vm_set_coalesced_flush(gmem_vm *vm, gmem_coalesced_flush_fn *flush, void *opaque) GMEM_MUST_CHECK;

/*
 * Accesses that came to a device (a region of kind mmio or romd), by any way; memory is not counted. One access is one that
 * the guest or a device made, or the part of it that is in the region.
 */
struct gmem_access_stats {
    uint64_t reads;
    uint64_t writes; /* eventfds and queued ones too */
    uint64_t read_bytes;
    uint64_t write_bytes;
    uint64_t refused;   /* with GMEM_RESULT_REFUSED */
    uint64_t errors;    /* with GMEM_RESULT_DEVICE */
    uint64_t reentrant; /* with GMEM_RESULT_REENTRANT */
    uint64_t eventfds;  /* writes that signalled one */
    uint64_t coalesced; /* writes that were queued */
};

/*
 * Count, or no longer, for all regions of the vm. They go on where they were. Not from inside a listener callback.
 *
 * -EINVAL  vm is NULL
 * -ENOMEM  out of memory; then it is off
 * -EBUSY   called from a listener callback
 */
GMEM_API int gmem_vm_set_access_stats(gmem_vm *vm, bool on) GMEM_MUST_CHECK;

/*
 * What was counted of a region, and of all regions of a vm, those that are gone included; zeros if nothing was. Each figure
 * is right, and they are of one moment while no other thread makes accesses. Any thread; that of a vm waits for the turn.
 */
GMEM_API void gmem_region_access_stats(const gmem_region *region, struct gmem_access_stats *ret_stats);
GMEM_API void gmem_vm_access_stats(gmem_vm *vm, struct gmem_access_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
