/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_kvm_state.h - what a KVM processor is (CPUID), how it starts (registers) and where it is. Each returns 0 or -errno.
 */
#ifndef PC_CPU_KVM_STATE_H
#define PC_CPU_KVM_STATE_H

#include <stdint.h>

/* What the kernel can show of the host's processor, as number index of count single-threaded cores of one package. */
int cpu_kvm_set_cpuid(int kvm_device, int vcpu_fd, unsigned index, unsigned count);

/* The state after the reset pin; all but the first wait for a start-up interrupt. */
int cpu_kvm_set_reset_state(int vcpu_fd, unsigned index);

/* The guest-physical address of its next instruction. On its thread. -EFAULT: its page tables have none. */
int cpu_kvm_executing(int vcpu_fd, uint64_t *ret_addr);

#endif
