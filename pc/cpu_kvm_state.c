/* SPDX-License-Identifier: MIT */
/*
 * pc/cpu_kvm_state.c - CPUID, reset state, signal mask and place of a processor that KVM runs. No state of its own.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual: volume 2, CPUID; volume 3, 10.1.1 "processor state after
 * reset". AMD64 Architecture Programmer's Manual, volume 3, appendix E.4. Linux, Documentation/virt/kvm/api.rst:
 * KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2, KVM_SET_MP_STATE, KVM_SET_SIGNAL_MASK,
 * KVM_TRANSLATE.
 */
#include "cpu_kvm_state.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define ENTRIES_MAX 1024u

#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF1_EDX_HTT (1u << 28)

#define EFER_LMA (1u << 10)

/* Bits that number the cores of the package. */
static unsigned core_bits(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* Leaves 0xb and 0x1f: one thread a core, count cores. */
static void set_topology(struct kvm_cpuid_entry2 *entry, unsigned index, unsigned count)
{
    entry->edx = index;
    entry->eax = entry->ebx = 0;
    entry->ecx = entry->index;
    if (entry->index == 0) {
        entry->ebx = 1;
        entry->ecx |= 1u << 8;
    } else if (entry->index == 1) {
        entry->eax = core_bits(count);
        entry->ebx = count;
        entry->ecx |= 2u << 8;
    }
}

static void adjust(struct kvm_cpuid_entry2 *entry, unsigned index, unsigned count)
{
    switch (entry->function) {
    case 0x1:
        entry->ebx = (entry->ebx & 0x0000ffffu) | count << 16 | index << 24;
        entry->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_TSC_DEADLINE;
        if (count > 1)
            entry->edx |= LEAF1_EDX_HTT;
        else
            entry->edx &= ~LEAF1_EDX_HTT;
        break;
    case 0x4:
        if (entry->eax & 0x1f)
            entry->eax = (entry->eax & 0x3fffu) | (count - 1) << 26;
        break;
    case 0xb:
    case 0x1f:
        set_topology(entry, index, count);
        break;
    case 0x80000008:
        entry->ecx = (entry->ecx & ~0xf0ffu) | (count - 1) | core_bits(count) << 12;
        break;
    case 0x8000001e:
        entry->eax = index;
        entry->ebx = index;
        entry->ecx = 0;
        break;
    default:
        break;
    }
}

static struct kvm_cpuid2 *supported(int kvm_device)
{
    for (unsigned entries = 128; entries <= ENTRIES_MAX; entries *= 2) {
        struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + entries * sizeof(cpuid->entries[0]));

        if (!cpuid)
            return NULL;
        cpuid->nent = entries;
        if (ioctl(kvm_device, KVM_GET_SUPPORTED_CPUID, cpuid) == 0)
            return cpuid;
        free(cpuid);
        if (errno != E2BIG)
            return NULL;
    }
    errno = E2BIG;
    return NULL;
}

int cpu_kvm_set_cpuid(int kvm_device, int vcpu_fd, unsigned index, unsigned count)
{
    struct kvm_cpuid2 *cpuid = supported(kvm_device);
    int err = 0;

    if (!cpuid)
        return -errno;
    for (unsigned i = 0; i < cpuid->nent; i++)
        adjust(&cpuid->entries[i], index, count);
    if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
        err = -errno;
    free(cpuid);
    return err;
}

int cpu_kvm_set_reset_state(int vcpu_fd, unsigned index)
{
    struct kvm_mp_state mp = {.mp_state = index ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE};
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    regs.rip = 0xfff0;
    regs.rflags = 0x2;
    sregs.cs.selector = 0xf000;
    sregs.cs.base = 0xffff0000;
    if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ||
        ioctl(vcpu_fd, KVM_SET_MP_STATE, &mp) < 0)
        return -errno;
    return 0;
}

int cpu_kvm_set_run_mask(int vcpu_fd)
{
    struct {
        struct kvm_signal_mask head;
        uint64_t blocked; /* the kernel's sigset_t: 64 signals */
    } __attribute__((packed)) mask = {.head = {.len = 8}, .blocked = ~(1ull << (CPU_KVM_KICK - 1))};

    return ioctl(vcpu_fd, KVM_SET_SIGNAL_MASK, &mask) < 0 ? -errno : 0;
}

int cpu_kvm_executing(int vcpu_fd, uint64_t *ret_addr)
{
    struct kvm_translation translation = {0};
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    if ((sregs.efer & EFER_LMA) && sregs.cs.l)
        translation.linear_address = regs.rip;
    else
        translation.linear_address = (uint32_t)(sregs.cs.base + regs.rip);
    if (ioctl(vcpu_fd, KVM_TRANSLATE, &translation) < 0)
        return -errno;
    if (!translation.valid)
        return -EFAULT;
    *ret_addr = translation.physical_address;
    return 0;
}
