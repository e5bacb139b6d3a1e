/* SPDX-License-Identifier: MIT */
/*
 * gmem/guard.h - keeping a device from being entered again by what it does itself, and its lock.
 *
 * A guest can point a device's own transfers at the device's registers. Its callback is then called from inside its
 * callback, in the middle of its work. A guard, named by the owner of a device's regions (struct gmem_owner, gmem/region.h),
 * refuses that: while a thread is in a callback of a region of the guard, an access of that thread that comes to any region
 * of the guard, directly or by way of other devices, is refused with GMEM_RESULT_REENTRANT. The callback is not called, a
 * read gives what unassigned bytes read as, and the refusal is counted; the first of a guard is logged as a warning.
 * Accesses to memory are never refused. Guards are of threads: two threads may be in one device at once (a lock
 * keeps them apart). Regions of kind mmio, romd and reserved have guards. translate of an iommu region (gmem/iommu.h) is called
 * whether or not the thread is in its owner's guard: what it may be asked for is other devices' transfers.
 *
 * Callbacks of devices without a guard, or of different guards, nest GMEM_NESTING_MAX deep on one thread, translate counted; a deeper
 * access is refused in the same way. From then on until the thread is out of all callbacks every access that would call a
 * device again is refused: so a device that accesses itself twice in each callback is called some GMEM_NESTING_MAX times, and
 * not twice as often with each step down.
 *
 * A region may name a lock as well. The library takes it around each call of the region's callbacks, or, where one access
 * of the bus is put together from several (struct gmem_mmio_ops), around all of them; so reading and writing back is
 * done under one hold. The order: the guard first, so that what is refused waits for no lock; then the lock; then
 * accepts() and the callbacks. No lock of the library is held then. Regions of kind reserved call nothing, so that it is not
 * taken for them (nor where an eventfd is signalled); and it is not taken for translate, which brings a lock of its own. It is not taken again while the thread holds the
 * very same lock (all three members equal) by an outer callback or by gmem_lock_enter(), so it need not be recursive. A device
 * that reaches another from its callback takes the other's lock inside its own: that this makes no circle is up to them.
 * Whoever has taken such a lock in another way must not make an access that reaches its region: it would wait for itself.
 */
#ifndef GMEM_GUARD_H
#define GMEM_GUARD_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gmem_guard gmem_guard;

/* How deep callbacks nest on one thread. */
#define GMEM_NESTING_MAX 32u

/* A lock of the program's. lock waits until it has it. Neither is called with a lock of the library held. */
struct gmem_lock {
    void (*lock)(void *opaque); /* NULL: there is no lock, and the rest says nothing */
    void (*unlock)(void *opaque);
    void *opaque;
};

/*
 * Create a guard. label is for people and copied; NULL is the empty one. *ret_guard is the caller's reference. A vm
 * frees what guards are left when it ends.
 *
 * -EINVAL  vm or ret_guard is NULL, or label is longer than GMEM_NAME_MAX (gmem/region.h)
 * -ENOMEM  out of memory
 */
GMEM_API int gmem_guard_create(gmem_vm *vm, const char *label, gmem_guard **ret_guard) GMEM_MUST_CHECK;

/* Take another reference; returns guard. unref gives one up; NULL is allowed. Regions have their own. Any thread. */
GMEM_API gmem_guard *gmem_guard_ref(gmem_guard *guard);
GMEM_API void gmem_guard_unref(gmem_guard *guard);

/* Its label, which lives as long as it does, and how many accesses it refused. Any thread. */
GMEM_API const char *gmem_guard_label(const gmem_guard *guard);
GMEM_API uint64_t gmem_guard_refused(const gmem_guard *guard);

/* What a thread has entered. The caller's memory, on its stack; the members are the library's. */
struct gmem_guard_entry {
    struct gmem_guard_entry *up;
    gmem_guard *guard;
    const struct gmem_lock *lock;
    unsigned paused;
    bool locked;
};

/*
 * Enter a guard, as the library does around callbacks, for work of the device that no access began: a timer, a bottom
 * half. False, and nothing is entered, if this thread is in it (and it is not paused). What was entered is left by the
 * same thread with the same entry, in the opposite order.
 */
GMEM_API bool gmem_guard_enter(gmem_guard *guard, struct gmem_guard_entry *entry) GMEM_MUST_CHECK;
GMEM_API void gmem_guard_leave(struct gmem_guard_entry *entry);

/* Whether an access of this thread to a region of the guard would be refused. */
GMEM_API bool gmem_guard_inside(const gmem_guard *guard);

/*
 * From inside a guard, leave it for a while: until the matching resume, or the end of the callback (or the
 * gmem_guard_leave()) that it was entered by, accesses of this thread reach its regions again. For deferred work that a
 * callback runs on purpose. They nest. False, and nothing to resume, if this thread is not in it. The
 * bound on nesting stays, and so does what locks are held. A resume without a pause does nothing.
 */
GMEM_API bool gmem_guard_pause(gmem_guard *guard) GMEM_MUST_CHECK;
GMEM_API void gmem_guard_resume(gmem_guard *guard);

/*
 * Take a lock that regions name, and have the library know that this thread has it; unless the thread has it already,
 * of which the library knows: then nothing is taken, nor given up by the leave. lock must stay where it is
 * until then. Left by the same thread with the same entry.
 */
GMEM_API void gmem_lock_enter(const struct gmem_lock *lock, struct gmem_guard_entry *entry);
GMEM_API void gmem_lock_leave(struct gmem_guard_entry *entry);

/*
 * Whether others may be waiting for what this thread is in, so that it had better not wait for them, nor call devices that
 * it has no business with: it is in a callback of a device, or the translate of an iommu region, of whatever vm; in a
 * guard that it entered and has not paused; it has a lock that it entered; or it has a transaction of vm open, or is in
 * its commit. vm NULL: the last two are not asked for. A lock that was taken in another way is not known. Any thread.
 */
GMEM_API bool gmem_thread_busy(gmem_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
