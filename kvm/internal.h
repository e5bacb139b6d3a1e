/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of libgmem-kvm share besides the planner: the kernel's side, who follows slots, the trace text. */
#ifndef GMEM_KVM_INTERNAL_H
#define GMEM_KVM_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <gmem/base.h>
#include <linux/kvm.h>

#include <gmem/kvm.h>
#include <gmem/kvm_events.h>

/* What a VM's kernel offers. */
struct gmem__kvm_caps {
    uint32_t slots;     /* KVM_CAP_NR_MEMSLOTS */
    uint32_t spaces;    /* KVM_CAP_MULTI_ADDRESS_SPACE; at least 1 */
    int readonly_slots; /* KVM_CAP_READONLY_MEM */
};

/* Ask the kernel. 0, or the errno value the ioctl failed with. */
int gmem__kvm_caps(int vm_fd, struct gmem__kvm_caps *ret_caps);

/* KVM_SET_USER_MEMORY_REGION. 0, or the errno value it failed with. */
int gmem__kvm_set(int vm_fd, const struct kvm_userspace_memory_region *call);

/* An ioctl through fn, or ioctl(2) if that is NULL: what it returned, or a negative errno. */
int gmem__kvm_ioctl(gmem_kvm_ioctl_fn *fn, void *opaque, int fd, unsigned long request, void *arg);

/* Copy options that begin with their size (known_size: as this library knows them) to known; -EINVAL as everywhere. */
int gmem__kvm_copy_options(void *known, size_t known_size, const void *given);

/*
 * Who follows an adapter's slots (dirty.c). Called around each slot call, with the writer turn held. before may refuse
 * the call with a negative errno; then after is not called.
 */
struct gmem__kvm_watch {
    void *opaque;
    int (*before)(void *opaque, const struct kvm_userspace_memory_region *call);
    void (*after)(void *opaque, const struct kvm_userspace_memory_region *call, int err);
};

/*
 * Follow: before and after are called for each slot in use, then for each call. watch NULL: no longer. With the
 * turn held. -EEXIST: somebody follows. What before refuses is returned.
 */
int gmem__kvm_follow(gmem_kvm *kvm, const struct gmem__kvm_watch *watch);

/* What an adapter is for. */
struct gmem__kvm_of {
    gmem_vm *vm;
    gmem_space *space;
    int vm_fd;
    uint16_t as_id;
};
struct gmem__kvm_of gmem__kvm_of(const gmem_kvm *kvm);

/* Longest line of gmem__kvm_trace_line() with its NUL. */
#define GMEM__TRACE_LINE 160

/* The text of QEMU's trace event kvm_set_user_memory for a call that returned ret (0 or a negative errno). */
void gmem__kvm_trace_line(char buf[GMEM__TRACE_LINE], const struct kvm_userspace_memory_region *call, int ret);
/* The same as an event of vm's (gmem/trace.h). */
void gmem__kvm_trace_event(gmem_vm *vm, const struct kvm_userspace_memory_region *call, int ret);

#endif
