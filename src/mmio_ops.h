/* SPDX-License-Identifier: MIT */
/* mmio_ops.h - what devices implement, as the library keeps it: shared by the regions of like devices. */
#ifndef GMEM_SRC_MMIO_OPS_H
#define GMEM_SRC_MMIO_OPS_H

#include "vm.h"
#include <gmem/region.h>

/* Immutable, but for link and refs. */
struct gmem__mmio_ops {
    struct gmem_mmio_ops is; /* widths and order resolved: no zeros, no NATIVE */
    uint8_t call_sizes; /* of 1, 2, 4, 8 those of which an aligned access is one callback, that nobody is asked about */
    struct gmem__link link; /* in vm->mmio_ops, the latest used first */
    size_t refs;
};

/* One that is as ops are, which are resolved, with a reference for the caller. Any thread. -ENOMEM. */
int gmem__mmio_ops_get(gmem_vm *vm, const struct gmem_mmio_ops *ops, struct gmem__mmio_ops **ret_ops) GMEM_MUST_CHECK;
/* Give a reference up. NULL is allowed. Any thread. */
void gmem__mmio_ops_put(gmem_vm *vm, struct gmem__mmio_ops *ops);

#endif
