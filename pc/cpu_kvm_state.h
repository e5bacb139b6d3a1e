/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_kvm_state.h - what a KVM processor is (CPUID), how it starts (registers), what ends KVM_RUN and where it is. Each returns 0 or -errno.
 */
#ifndef PC_CPU_KVM_STATE_H
#define PC_CPU_KVM_STATE_H

#include <signal.h>
#include <stdint.h>

/* Sent to a processor's thread, it ends KVM_RUN. */
#define CPU_KVM_KICK SIGUSR1

/* What the kernel can show of the host's processor, as number index of count single-threaded cores of one package. */
int cpu_kvm_set_cpuid(int kvm_device, int vcpu_fd, unsigned index, unsigned count);

/* The state after the reset pin; all but the first wait for a start-up interrupt. */
int cpu_kvm_set_reset_state(int vcpu_fd, unsigned index);

/* Inside KVM_RUN only the kick gets through. */
int cpu_kvm_set_run_mask(int vcpu_fd);

/* The guest-physical address of its next instruction. On its thread. -EFAULT: its page tables have none. */
int cpu_kvm_executing(int vcpu_fd, uint64_t *ret_addr);

#endif
