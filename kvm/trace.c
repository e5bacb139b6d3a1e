/* SPDX-License-Identifier: MIT */
/*
 * trace.c - owns the text of the trace lines that are compared with QEMU's (learnt from recorded traces).
 *
 * Pure; any thread. A removal has size 0 and flags 0 and keeps the host address; a slot of address space 1 is 65536
 * and up.
 */
#include "internal.h"
#include <gmem/trace.h>

#include <inttypes.h>
#include <stdio.h>

#include <gmem/kvm.h>

void gmem__kvm_trace_line(char buf[GMEM__TRACE_LINE], const struct kvm_userspace_memory_region *call, int ret)
{
    (void)snprintf(buf, GMEM__TRACE_LINE,
                   "kvm_set_user_memory Slot#%" PRIu32 " flags=0x%" PRIx32 " gpa=0x%" PRIx64 " size=0x%" PRIx64
                   " ua=0x%" PRIx64 " ret=%d",
                   call->slot, call->flags, (uint64_t)call->guest_phys_addr, (uint64_t)call->memory_size,
                   (uint64_t)call->userspace_addr, ret);
}

void gmem__kvm_trace_event(gmem_vm *vm, const struct kvm_userspace_memory_region *call, int ret)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_SLOT};

    event.u.slot.slot = call->slot;
    event.u.slot.flags = call->flags;
    event.u.slot.gpa = call->guest_phys_addr;
    event.u.slot.size = call->memory_size;
    event.u.slot.host = call->userspace_addr;
    event.u.slot.err = ret;
    gmem_trace_emit(vm, &event);
}

int gmem_trace_pci_cfg_write(char *buf, size_t size, const char *name, unsigned bus, unsigned device, unsigned function,
                             unsigned offset, uint32_t value)
{
    return snprintf(buf, size, "pci_cfg_write %s %02x:%02x.%x @0x%x <- 0x%" PRIx32, name, bus, device, function, offset,
                    value);
}
