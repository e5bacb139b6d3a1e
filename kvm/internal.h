/* SPDX-License-Identifier: MIT */
/* internal.h - what the files of libgmem-kvm share besides the planner: the kernel's side and the trace text. */
#ifndef GMEM_KVM_INTERNAL_H
#define GMEM_KVM_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <gmem/base.h>
#include <linux/kvm.h>

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

/* Longest line of gmem__kvm_trace_line() with its NUL. */
#define GMEM__TRACE_LINE 160

/* The text of QEMU's trace event kvm_set_user_memory for a call that returned ret (0 or a negative errno). */
void gmem__kvm_trace_line(char buf[GMEM__TRACE_LINE], const struct kvm_userspace_memory_region *call, int ret);
/* The same as an event of vm's (gmem/trace.h). */
void gmem__kvm_trace_event(gmem_vm *vm, const struct kvm_userspace_memory_region *call, int ret);

#endif
