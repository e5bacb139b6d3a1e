/* SPDX-License-Identifier: MIT */
/* backlog.h - how much of what commits replaced waits for readers, and holding back whoever adds to it. */
#ifndef GMEM_SRC_BACKLOG_H
#define GMEM_SRC_BACKLOG_H

#include "vm.h"

/* bytes, replaced by a commit, wait to be freed; and no longer do. The one with the turn, the other on any thread. */
void gmem__backlog_add(gmem_vm *vm, size_t bytes);
void gmem__backlog_done(gmem_vm *vm, size_t bytes);

static inline bool gmem__backlog_high(const gmem_vm *vm)
{
    return __atomic_load_n(&vm->backlog, __ATOMIC_RELAXED) > vm->backlog_max;
}

/*
 * A transaction is about to begin, and this thread does not have the turn. Waits for a bounded time while too much waits,
 * but never in a read section. -EAGAIN: far too much.
 */
int gmem__backlog_admit(gmem_vm *vm) GMEM_MUST_CHECK;

/* This thread committed in a read section while too much waited. */
extern __thread bool gmem__backlog_owing;
/* An access has ended, outside its read section: wait for a bounded time in place of the commits inside it. */
void gmem__backlog_pay(void);

#endif
