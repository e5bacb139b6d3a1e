/* SPDX-License-Identifier: MIT */
/*
 * exits.c - owns nothing: turns an exit of a vCPU for memory or ports into accesses of a space.
 *
 * Runs on the vCPU's thread, with no lock; the kvm_run is that thread's. What the kernel puts where is in its
 * Documentation/virt/kvm/api.rst, "The kvm_run structure": data of an MMIO exit is the bytes in memory order, data of
 * a port exit lies at data_offset in the mapping of kvm_run, count pieces of size bytes, all for the same port.
 */
#include <errno.h>
#include <linux/kvm.h>

#include <gmem/access.h>
#include <gmem/kvm.h>

/* The kernel keeps the data of one port exit in a page. */
#define PORT_DATA_MAX 4096u

static int serve_mmio(gmem_space *memory, struct kvm_run *run, struct gmem_attrs attrs, gmem_result *ret_result)
{
    if (run->mmio.len < 1 || run->mmio.len > sizeof(run->mmio.data))
        return -EINVAL;
    *ret_result =
        gmem_space_rw(memory, run->mmio.phys_addr, attrs, run->mmio.data, run->mmio.len, run->mmio.is_write != 0);
    return 0;
}

static int serve_ports(gmem_space *ports, struct kvm_run *run, struct gmem_attrs attrs, gmem_result *ret_result)
{
    uint64_t size = run->io.size;
    bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
    gmem_result result = GMEM_OK;
    uint8_t *data;
    uint32_t i;

    if ((size != 1 && size != 2 && size != 4) || run->io.count == 0 || run->io.count > PORT_DATA_MAX / size)
        return -EINVAL;
    if (run->io.direction != KVM_EXIT_IO_IN && !is_write)
        return -EINVAL;
    /* Not over what describes the exit; how far kvm_run is mapped can't be told from here. */
    if (run->io.data_offset < offsetof(struct kvm_run, io) + sizeof(run->io))
        return -EINVAL;
    data = (uint8_t *)run + run->io.data_offset;
    for (i = 0; i < run->io.count; i++)
        result |= gmem_space_rw(ports, run->io.port, attrs, data + size * i, size, is_write);
    *ret_result = result;
    return 0;
}

int gmem_kvm_handle_exit(gmem_space *memory, gmem_space *ports, struct kvm_run *run, struct gmem_attrs attrs,
                         gmem_result *ret_result)
{
    gmem_result result = GMEM_OK;
    int err;

    if (!memory || !ports || !run)
        return -EINVAL;
    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        err = serve_mmio(memory, run, attrs, &result);
        break;
    case KVM_EXIT_IO:
        err = serve_ports(ports, run, attrs, &result);
        break;
    default:
        err = -ENOTSUP;
        break;
    }
    if (!err && ret_result)
        *ret_result = result;
    return err;
}
