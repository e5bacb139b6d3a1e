/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - owns nothing: the few ioctls on a VM's descriptor that the adapter makes, the way that the others' take, and
 * options as callers give them.
 *
 * The kernel's Documentation/virt/kvm/api.rst says what each does. No locks; slot calls are made under the vm's
 * writer turn.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static int check_extension(int vm_fd, unsigned long capability, int *ret_value)
{
    int value = ioctl(vm_fd, KVM_CHECK_EXTENSION, capability);

    if (value < 0)
        return -errno;
    *ret_value = value;
    return 0;
}

int gmem__kvm_caps(int vm_fd, struct gmem__kvm_caps *ret_caps)
{
    int slots = 0;
    int spaces = 0;
    int readonly_slots = 0;
    int err = check_extension(vm_fd, KVM_CAP_NR_MEMSLOTS, &slots);

    if (!err)
        err = check_extension(vm_fd, KVM_CAP_MULTI_ADDRESS_SPACE, &spaces);
    if (!err)
        err = check_extension(vm_fd, KVM_CAP_READONLY_MEM, &readonly_slots);
    if (err)
        return err;
    /* Kernels from before the capability had 32 slots. */
    ret_caps->slots = slots > 0 ? (uint32_t)slots : 32;
    ret_caps->spaces = spaces > 0 ? (uint32_t)spaces : 1;
    ret_caps->readonly_slots = readonly_slots;
    return 0;
}

int gmem__kvm_set(int vm_fd, const struct kvm_userspace_memory_region *call)
{
    int ret;

    do {
        ret = ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, call);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

int gmem__kvm_ioctl(gmem_kvm_ioctl_fn *fn, void *opaque, int fd, unsigned long request, void *arg)
{
    int ret;

    do {
        ret = fn ? fn(opaque, fd, request, arg) : ioctl(fd, request, arg);
        if (!fn && ret < 0)
            ret = -errno;
    } while (ret == -EINTR);
    return ret;
}

int gmem__kvm_copy_options(void *known, size_t known_size, const void *given)
{
    const unsigned char *bytes = given;
    size_t size;
    size_t i;

    memcpy(&size, given, sizeof(size));
    if (size < sizeof(size))
        return -EINVAL;
    for (i = known_size; i < size; i++) {
        if (bytes[i])
            return -EINVAL;
    }
    memset(known, 0, known_size);
    memcpy(known, given, size < known_size ? size : known_size);
    return 0;
}
