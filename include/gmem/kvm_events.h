/* SPDX-License-Identifier: MIT */
/*
 * gmem/kvm_events.h - libgmem-kvm: a guest's writes that need no exit: ioeventfds and coalesced writes.
 *
 * Both are listeners that tell the kernel what regions wish (gmem_region_add_eventfd(),
 * gmem_region_add_coalesced()), and follow each commit. They follow the kernel's
 * Documentation/virt/kvm/api.rst: KVM_IOEVENTFD, KVM_(UN)REGISTER_COALESCED_MMIO,
 * KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_COALESCED_MMIO, KVM_CAP_COALESCED_PIO.
 *
 * An ioctl that fails refuses the commit with its errno value, and the commit is undone (G1). -ENOSPC: a kernel has room for
 * about 1,000 intervals for memory and as many for ports; where these leave none an eventfd is refused as well. If the
 * kernel refuses to put back what an undo wants back, writes there exit like any other until a later commit
 * that is heard puts it back.
 */
#ifndef GMEM_KVM_EVENTS_H
#define GMEM_KVM_EVENTS_H

#include <gmem/space.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvm_run; /* <linux/kvm.h> */

/*
 * Carries out an ioctl(2) on fd: what it returned, or the negative errno it failed with. For dry runs and tests, and
 * for whoever has the VM's descriptor in another process. Called where the real call would be made, inside commits too;
 * it must not call the library.
 */
typedef int gmem_kvm_ioctl_fn(void *opaque, int fd, unsigned long request, void *arg);

/* --- eventfds --- */

typedef struct gmem_kvm_eventfds gmem_kvm_eventfds;

struct gmem_kvm_eventfds_options {
    size_t struct_size; /* sizeof(struct gmem_kvm_eventfds_options) */
    int vm_fd;          /* of KVM_CREATE_VM; stays the caller's */
    bool ports;         /* the space is that of x86's ports; false: of memory */
    /*
     * The guest's byte order, as given to gmem_vm_create() (GMEM_ENDIAN_NATIVE means little): the kernel compares bytes in
     * the host's.
     */
    enum gmem_endian endian;
    int32_t priority;         /* of the listener */
    gmem_kvm_ioctl_fn *ioctl; /* NULL: ioctl(2) */
    void *ioctl_opaque;
};

/*
 * Attach to a space: every eventfd that is visible in it is given to the kernel now, and each later commit takes away and gives
 * what it changes. A write that hits one signals it and makes no exit. *ret_eventfds is the caller's, to be ended
 * before the space. Of an eventfd that is visible at several addresses each is given.
 *
 * Later commits can be refused with these as well:
 *
 * -EINVAL   a NULL argument or an option out of range; an eventfd that matches data but has no width
 * -ENOTSUP  the kernel has no ioeventfds, or none of any width (size 0), at all or (older ones) without ANY_LENGTH
 * -ENOSPC   the kernel has no room for more
 * -EEXIST   the kernel has one that takes the same writes
 * -ENOMEM, -EBUSY as gmem_listener_register(), or what the ioctl failed with
 */
GMEM_API int gmem_kvm_eventfds_create(gmem_space *space, const struct gmem_kvm_eventfds_options *options,
                                      gmem_kvm_eventfds **ret_eventfds) GMEM_MUST_CHECK;

/*
 * Take them all from the kernel and detach. NULL is allowed. Not from a listener callback or inside a transaction (as
 * gmem_listener_unregister()).
 */
GMEM_API void gmem_kvm_eventfds_destroy(gmem_kvm_eventfds *eventfds);

/* How many the kernel has now, and (ret_missing, may be NULL) how many it should have but refused to take back. Any thread. */
GMEM_API size_t gmem_kvm_eventfds_count(const gmem_kvm_eventfds *eventfds, size_t *ret_missing);

/* --- coalesced writes --- */

typedef struct gmem_kvm_coalesced gmem_kvm_coalesced;

struct gmem_kvm_coalesced_options {
    size_t struct_size;       /* sizeof(struct gmem_kvm_coalesced_options) */
    int vm_fd;                /* of KVM_CREATE_VM; stays the caller's */
    int32_t priority;         /* of the listeners */
    struct gmem_attrs attrs;  /* of the accesses that deliver writes */
    gmem_kvm_ioctl_fn *ioctl; /* NULL: ioctl(2) */
    void *ioctl_opaque;
};

/*
 * Attach to a space of memory and one of ports (NULL: none): every visible coalesced interval is given to the kernel, now and
 * as commits change them. The guest's writes there are then put in a ring by the kernel, without an exit, and
 * gmem_kvm_coalesced_drain() delivers them as gmem_space_write() would. All memory for that is set aside now.
 *
 * -EINVAL   a NULL argument or an option out of range
 * -EXDEV    the spaces belong to different vms
 * -ENOTSUP  the kernel has no coalesced writes. Where it has none for ports, intervals of ports are left to exit.
 * -ENOSPC   (later refuses the commit) the kernel has no room for more
 * -ENOMEM, -EBUSY as gmem_listener_register(), or what the ioctl failed with
 */
GMEM_API int gmem_kvm_coalesced_create(gmem_space *memory, gmem_space *ports,
                                       const struct gmem_kvm_coalesced_options *options,
                                       gmem_kvm_coalesced **ret_coalesced) GMEM_MUST_CHECK;

/*
 * Deliver what is in the ring, take all intervals from the kernel, detach. No virtual processor may run. To be called where
 * gmem_thread_busy() is false: elsewhere what is in the ring is dropped. Not from a listener callback or inside a
 * transaction (as gmem_listener_unregister()). NULL is allowed.
 */
GMEM_API void gmem_kvm_coalesced_destroy(gmem_kvm_coalesced *coalesced);

/*
 * Tell of a virtual processor (a descriptor of KVM_CREATE_VCPU), before the first of them runs. All of a VM share one
 * ring, which any of them shows, so one is enough, and later calls change nothing. The ring stays mapped until
 * destroy, whatever becomes of the descriptor; the mapping keeps the kernel's VM.
 *
 * -EINVAL  coalesced is NULL
 * other    what mmap(2) failed with
 */
GMEM_API int gmem_kvm_coalesced_add_vcpu(gmem_kvm_coalesced *coalesced, int vcpu_fd) GMEM_MUST_CHECK;

/*
 * Deliver the writes that are in the ring, in the order in which the guest made them, to the space that each is for. When it
 * returns, every write that was in the ring when it was called has reached its device, by this thread or by another that is
 * waited for, but:
 *
 *   where gmem_thread_busy() (gmem/guard.h: in a device's callback, a guard, a lock that was entered, a transaction, a
 *   commit): returns at once, and delivers nothing. Order is kept where it matters: what the guest wrote before the
 *   exit that led to a callback was drained before (gmem_kvm_coalesced_handle_exit()). What is in the ring now is other
 *   processors', and has no order with an access made here.
 *   on the thread that drains, from another callback (a trace): returns at once; the writes behind that one come after it
 *   a device's callback leaves something entered: the drain ends there. What it could not deliver stays for the next
 *
 * At most what the ring holds is delivered, however fast the guest goes on. No lock of the library is held while a device callback
 * runs. A lock that a region names is known to the library, if it is taken by gmem_lock_enter(). Who holds another that a
 * callback of such a device takes must not call this, or make an access that has it called. Any thread.
 *
 * Nothing is delivered inside a commit. What is in the ring when a commit has taken an interval away will go where
 * the map of before says, whatever the map is then, in the order of the ring, and takes up room in it until the next drain. Until
 * then it keeps its regions and their owners (G7), as a segment does (gmem/map.h): whoever ends a device drains after
 * the commit that took it away. If the commit is undone, nothing of this is seen. A write to an interval that a commit adds may
 * be in the ring before the map that has it is published; drained then, it goes where the map of before says, as an exit would.
 */
GMEM_API void gmem_kvm_coalesced_drain(gmem_kvm_coalesced *coalesced);

/* The same, as a callback whose opaque is the gmem_kvm_coalesced: for gmem_vm_set_coalesced_flush() (gmem/device.h). */
GMEM_API void gmem_kvm_coalesced_flush(void *opaque);

/*
 * gmem_kvm_handle_exit() (gmem/kvm.h), after a drain: the guest's earlier writes reach their devices before this access does,
 * whatever it is for. Also to be called for exits of other kinds that must come after them: these are drained too before
 * -ENOTSUP is returned. To be called where gmem_thread_busy() is false.
 *
 * -EBUSY  it is true, and there are writes that must be delivered before. Nothing was done
 * other   as gmem_kvm_handle_exit()
 */
GMEM_API int gmem_kvm_coalesced_handle_exit(gmem_kvm_coalesced *coalesced, gmem_space *memory, gmem_space *ports,
                                            struct kvm_run *run, struct gmem_attrs attrs,
                                            gmem_result *ret_result) GMEM_MUST_CHECK;

/* Counters since creation. */
struct gmem_kvm_coalesced_stats {
    uint64_t drains;    /* that found something */
    uint64_t delivered; /* writes */
    uint64_t bad;       /* entries that made no sense, or for ports where there are none: dropped */
    uint32_t intervals; /* the kernel has now */
    uint32_t missing;   /* it should have but refused to take back */
};
GMEM_API void gmem_kvm_coalesced_stats(const gmem_kvm_coalesced *coalesced, struct gmem_kvm_coalesced_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
