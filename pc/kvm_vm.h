/* SPDX-License-Identifier: MIT */
/*
 * pc/kvm_vm.h - a virtual machine of the kernel's: KVM with its own interrupt controllers and timer, and processors that
 * nobody runs yet.
 */
#ifndef PC_KVM_VM_H
#define PC_KVM_VM_H

#include <gmem/gmem.h>

#include "hooks.h"
#include "irq.h"

struct kvm_vm;

#define KVM_VM_ISA_IRQS 16u

/*
 * Open /dev/kvm and create a virtual machine with PICs, IOAPIC, local APICs and PIT, and cpus processors in the reset state. 0,
 * or -errno with the reason in error: no /dev/kvm, no permission, a kernel that lacks something, not so many processors. With smm
 * it is to have system management mode: -ENOTSUP where the kernel has not, before anything is made. All that a kernel may not do for
 * a machine is tried here, so that one can do without KVM before anything else is made.
 */
int kvm_vm_create(bool smm, unsigned cpus, struct kvm_vm **ret, struct pc_error *error) GMEM_MUST_CHECK;
/* After its processors' threads have ended. NULL is allowed. */
void kvm_vm_destroy(struct kvm_vm *kvm);

int kvm_vm_fd(const struct kvm_vm *kvm);     /* of KVM_CREATE_VM */
int kvm_vm_device(const struct kvm_vm *kvm); /* of /dev/kvm */

struct kvm_run;

/* Processor number index: its descriptor and what it shares with the kernel. Valid until the virtual machine is destroyed. */
int kvm_vm_processor(const struct kvm_vm *kvm, unsigned index, struct kvm_run **ret_run);

/* Input n of the interrupt controllers. Any thread. */
struct pc_irq kvm_vm_isa_irq(struct kvm_vm *kvm, unsigned n);

/*
 * Show in the map what the kernel answers itself: PICs, PIT and ELCR in io, IOAPIC and the APIC page in system. These
 * addresses never reach the regions, so they are reserved ones.
 */
int kvm_vm_place(gmem_region *io, gmem_region *system) GMEM_MUST_CHECK;

#endif
