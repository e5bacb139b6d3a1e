/* SPDX-License-Identifier: MIT */
/*
 * fence.h - a fence of which the many pay nothing: whoever looks makes all processors pass one.
 *
 * Two threads, "light" and "heavy", each write something, fence, and then read what the other writes. As with two full fences
 * at least one of them sees the other's write: the heavy one has every processor that runs a thread of this program pass a full
 * fence (membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED), and one that runs none passes one before it does. In the light thread
 * that fence stands before its read, which then sees what heavy wrote; or behind its read, and so behind its write, which
 * heavy's read then sees. The light thread's own is only for the compiler, which must not exchange the two.
 *
 * full: the kernel can't (gmem__fence_init()); then both are full fences.
 */
#ifndef GMEM_SRC_FENCE_H
#define GMEM_SRC_FENCE_H

#include <gmem/base.h>

/* Prepare this process, as often as wanted. Returns full. */
bool gmem__fence_init(void);

static inline void gmem__fence_light(bool full)
{
    /* Pairs with gmem__fence_heavy(). */
    if (__builtin_expect(full, 0))
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    else
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* -EIO: the kernel refuses what it could do before. */
int gmem__fence_heavy(bool full) GMEM_MUST_CHECK;

#endif
