/* SPDX-License-Identifier: MIT */
/*
 * gmem/kvm_dirty.h - libgmem-kvm: what guests write in KVM's slots, brought into the RAM blocks' dirty bitmaps.
 *
 * Follows the kernel's Documentation/virt/kvm/api.rst: KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG,
 * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_DIRTY_LOG_RING(_ACQ_REL), KVM_RESET_DIRTY_RINGS.
 *
 * The adapter (gmem/kvm.h) has slots logged that a client wishes to log. gmem_region_log_sync() then fetches the
 * kernel's log of the slots that the region is in, and marks it in the bitmaps of all clients (gmem_ram_dirty_mark()).
 *
 * The order that loses no write. Each client that copies pages, or draws them, goes so:
 *
 *   gmem_region_log_sync()            what the guest wrote so far is in the bitmaps
 *   gmem_ram_dirty_test_and_clear()   which pages to copy
 *   gmem_region_log_clear()           of these pages: the kernel watches them again
 *   copy the pages
 *
 * A write of the guest, or of the host (gmem/access.h), is then in the copy or found by the next round. That holds for several
 * clients at once, each at its own pace, if all do so: log_clear takes from the kernel's log only what a sync has handed to
 * all clients and nobody cleared since. A client that leaves log_clear out finds pages dirty again and again, and loses writes
 * if another one does not leave it out. Without manual protection and with rings log_clear does nothing and may be left out.
 * With rings, every section that a sync is about has the processors held out and all rings emptied, since a listener hears of one
 * after the other: gmem_vm_log_sync() does so once for each logged section, and a monitor that polls does better to
 * sync the regions that it needs.
 *
 * A slot that is removed (or changed, which removes it) while it is logged loses nothing: with pause the guest is kept
 * out, its log fetched, and the slot removed; without, or if the kernel refuses the log, all of the slot is marked dirty.
 * When logging of a slot begins under manual protection with KVM_DIRTY_LOG_INITIALLY_SET, all of it is dirty.
 */
#ifndef GMEM_KVM_DIRTY_H
#define GMEM_KVM_DIRTY_H

#include <gmem/kvm.h>
#include <gmem/kvm_events.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gmem_kvm_dirty gmem_kvm_dirty;
typedef struct gmem_kvm_ring gmem_kvm_ring;

enum gmem_kvm_dirty_mode {
    GMEM_KVM_DIRTY_AUTO =
        0, /* MANUAL with INITIALLY_SET, MANUAL, or GET: the first that the kernel has; with ring, rings */
    GMEM_KVM_DIRTY_GET = 1,         /* fetching the log clears it */
    GMEM_KVM_DIRTY_MANUAL = 2,      /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
    GMEM_KVM_DIRTY_MANUAL_INIT = 3, /* and KVM_DIRTY_LOG_INITIALLY_SET */
    GMEM_KVM_DIRTY_RING = 4,        /* the log is in rings; needs ring */
};

struct gmem_kvm_dirty_options {
    size_t struct_size; /* sizeof(struct gmem_kvm_dirty_options) */
    /* Of the VM, not of the adapter: adapters that share a vm_fd must agree. */
    enum gmem_kvm_dirty_mode mode;
    int32_t priority;    /* of the listener */
    gmem_kvm_ring *ring; /* borrowed until destroy; NULL: none */
    /*
     * pause returns when no virtual processor is in KVM_RUN, and lets none begin it until resume. It must count one
     * whose thread is elsewhere (in a device callback, waiting for the writer turn) as out, and the calling thread too: both are
     * called with the writer turn held, inside commits and log_sync. Calls nest. Both or neither; RING needs both.
     */
    void (*pause)(void *opaque);
    void (*resume)(void *opaque);
    void *pause_opaque;
    gmem_kvm_ioctl_fn *ioctl; /* NULL: ioctl(2) */
    void *ioctl_opaque;
};

/*
 * Follow the slots of an adapter, and listen to its space for log_sync and log_clear. One for each adapter. To be ended before
 * the adapter (and, if there is one, the ring). From now on a commit that begins to log a slot may fail for want of
 * memory (a bit for each page of it).
 *
 * -EINVAL   a NULL argument or an option out of range; RING without ring, pause or resume; ring in another mode
 * -ENOTSUP  the kernel has not what mode asks for
 * -EEXIST   the adapter has one
 * -ENOMEM, -EBUSY as gmem_listener_register(), or what the ioctl failed with
 */
GMEM_API int gmem_kvm_dirty_create(gmem_kvm *kvm, const struct gmem_kvm_dirty_options *options,
                                   gmem_kvm_dirty **ret_dirty) GMEM_MUST_CHECK;

/*
 * Stop following. What the kernel has logged and nobody fetched is lost. NULL is allowed. Not from a listener callback or
 * inside a transaction (as gmem_listener_unregister()).
 */
GMEM_API void gmem_kvm_dirty_destroy(gmem_kvm_dirty *dirty);

/* The mode that AUTO came to. */
GMEM_API enum gmem_kvm_dirty_mode gmem_kvm_dirty_mode(const gmem_kvm_dirty *dirty);

/* Counters since creation. Any thread. */
struct gmem_kvm_dirty_stats {
    uint64_t gets;         /* KVM_GET_DIRTY_LOG that succeeded */
    uint64_t clears;       /* KVM_CLEAR_DIRTY_LOG that succeeded */
    uint64_t pages_marked; /* pages of the host that were found dirty */
    uint64_t pages_cleared;
    uint64_t fetched_at_removal; /* logged slots whose log was fetched before they went */
    uint64_t marked_at_removal;  /* logged slots that were marked dirty as a whole */
    uint64_t failed;             /* ioctls the kernel refused */
};
GMEM_API void gmem_kvm_dirty_stats(const gmem_kvm_dirty *dirty, struct gmem_kvm_dirty_stats *ret_stats);

/* --- rings --- */

struct gmem_kvm_ring_options {
    size_t struct_size;       /* sizeof(struct gmem_kvm_ring_options) */
    int vm_fd;                /* of KVM_CREATE_VM, without virtual processors as yet; stays the caller's */
    uint32_t entries;         /* of each processor's ring: a power of two; 0: as many as the kernel takes */
    gmem_kvm_ioctl_fn *ioctl; /* NULL: ioctl(2) */
    void *ioctl_opaque;
};

/*
 * Have a VM log into rings, one for each virtual processor, in place of bitmaps (for good: the kernel has no way back). To be
 * called before any virtual processor is created. *ret_ring is the caller's.
 *
 * -EINVAL   a NULL argument, an option out of range; the kernel takes no ring of that size, or has processors
 * -ENOTSUP  the kernel has no rings
 * -ENOMEM, or what the ioctl failed with
 */
GMEM_API int gmem_kvm_ring_create(const struct gmem_kvm_ring_options *options,
                                  gmem_kvm_ring **ret_ring) GMEM_MUST_CHECK;

/* After all gmem_kvm_dirty that use it. NULL is allowed. */
GMEM_API void gmem_kvm_ring_destroy(gmem_kvm_ring *ring);

/* How many entries each ring has. */
GMEM_API uint32_t gmem_kvm_ring_entries(const gmem_kvm_ring *ring);

/*
 * A virtual processor comes, before it runs: its ring is mapped; or goes, after it ran for the last time: its ring is emptied
 * and unmapped. add keeps the number vcpu_fd to know it by; remove of one that is not there does nothing.
 *
 * -EINVAL  ring is NULL
 * -EEXIST  it is there
 * -ENOMEM, or what mmap(2) failed with
 */
GMEM_API int gmem_kvm_ring_add_vcpu(gmem_kvm_ring *ring, int vcpu_fd) GMEM_MUST_CHECK;
GMEM_API void gmem_kvm_ring_remove_vcpu(gmem_kvm_ring *ring, int vcpu_fd);

/*
 * Serve KVM_EXIT_DIRTY_RING_FULL of the processor vcpu_fd: empty all rings into the bitmaps, so that it can run again. On its
 * thread, once for each such exit. With vcpu_fd -1 also of use at any other time and on any thread, to keep rings from filling. Waits
 * for other threads that do the same; calls nothing of the caller's but ioctl.
 *
 * -EINVAL  ring is NULL
 * -EINTR   the kernel does not go on resetting, though it should; nothing is lost, and the next call tries again
 * other    what KVM_RESET_DIRTY_RINGS failed with; as -EINTR
 */
GMEM_API int gmem_kvm_ring_serve_full(gmem_kvm_ring *ring, int vcpu_fd) GMEM_MUST_CHECK;

struct gmem_kvm_ring_stats {
    uint64_t harvested; /* entries taken from rings */
    uint64_t resets;    /* KVM_RESET_DIRTY_RINGS that succeeded */
    uint64_t strays;    /* entries of slots that are gone, or outside their slot */
    uint64_t full;      /* calls of gmem_kvm_ring_serve_full() */
    /*
     * How often a ring was found that the kernel let run over (or that it filled to the last entry), which it must not: entries are
     * lost. From the first on every sync marks all that is logged, so that nothing else is. That is no error, and the ring
     * works on; if it ran over by nearly its whole length or more, its processor comes with a full ring as many times, one after
     * the other, before it runs. Larger rings help.
     */
    uint64_t overruns;
};
GMEM_API void gmem_kvm_ring_stats(const gmem_kvm_ring *ring, struct gmem_kvm_ring_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
