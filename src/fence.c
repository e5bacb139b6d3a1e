/* SPDX-License-Identifier: MIT */
/*
 * fence.c - membarrier(2), for fence.h. Owns nothing; any thread, also in a read section.
 *
 * The commands are the kernel's numbers, so that it builds with headers that are older than the kernel that it runs on.
 */
#include "fence.h"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CMD_PRIVATE_EXPEDITED (1 << 3)
#define CMD_REGISTER_PRIVATE_EXPEDITED (1 << 4)

bool gmem__fence_init(void)
{
#ifdef SYS_membarrier
    return syscall(SYS_membarrier, CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0;
#else
    return true;
#endif
}

int gmem__fence_heavy(bool full)
{
    /* Pairs with gmem__fence_light(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#ifdef SYS_membarrier
    if (!full && syscall(SYS_membarrier, CMD_PRIVATE_EXPEDITED, 0, 0))
        return -EIO;
#endif
    return 0;
}
