/* SPDX-License-Identifier: MIT */
/* mmio_ops.h - what devices implement, as the library keeps it: shared by the regions of like devices. */
#ifndef GMEM_SRC_MMIO_OPS_H
#define GMEM_SRC_MMIO_OPS_H

#include "vm.h"
#include <gmem/region.h>

/* Immutable, but for link and refs. */
struct gmem__mmio_ops {
    struct gmem_mmio_ops is; /* widths and order resolved: no zeros, no NATIVE */

    /*
     * Atomic, changed with the vm's mutex. Of 1, 2, 4, 8 those of which an aligned access is one callback, that nobody is
     * asked about; none while it is watched. So what is done around callbacks costs nothing where it is not done.
     */
    uint8_t call_sizes;
    uint8_t single_sizes; /* the same whether or not it is watched; immutable */
    bool watched;         /* an access has to look at its region, or vm->watch: there may be more to do than call */

    struct gmem__link link; /* in vm->mmio_ops, the latest used first */
    size_t refs;
    size_t watchers; /* regions that are to be looked at */
};

static inline bool gmem__mmio_ops_watched(const struct gmem__mmio_ops *ops)
{
    /* Acquire: pairs with the release in mmio_ops.c; what the region has is there to be seen. */
    return __atomic_load_n(&ops->watched, __ATOMIC_ACQUIRE);
}

/* One that is as ops are, which are resolved, with a reference for the caller. Any thread. -ENOMEM. */
int gmem__mmio_ops_get(gmem_vm *vm, const struct gmem_mmio_ops *ops, struct gmem__mmio_ops **ret_ops) GMEM_MUST_CHECK;
/* A region with these ops is to be looked at, or no longer. Any thread. */
void gmem__mmio_ops_look(gmem_vm *vm, struct gmem__mmio_ops *ops, bool look);
/* A bit of vm->watch, for all ops of the vm. With the vm's mutex. */
void gmem__mmio_ops_watch(gmem_vm *vm, unsigned bit, bool on);
/* Give a reference up. NULL is allowed. Any thread. */
void gmem__mmio_ops_put(gmem_vm *vm, struct gmem__mmio_ops *ops);

#endif
