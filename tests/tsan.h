/* SPDX-License-Identifier: MIT */
/*
 * tsan.h - liburcu as ThreadSanitizer can follow it. Included ahead of every file of a build with b_sanitize=thread, and of
 * no other build.
 *
 * liburcu orders memory with volatile accesses and fences, which the sanitizer does not see, so that every use of it would
 * be reported. Here the publication of a pointer is a release store and reading one an acquire load, and the edge that a
 * grace period makes, from the end of a read section to a callback that was queued for later, is told to the sanitizer.
 * What this leaves out stays an error: a pointer that is stored without rcu_assign_pointer(), a read outside a read section,
 * something freed without call_rcu().
 */
#ifndef GMEM_TESTS_TSAN_H
#define GMEM_TESTS_TSAN_H

#define _LGPL_SOURCE
#include <urcu-bp.h>

#include <semaphore.h>
#include <stdlib.h>

void __tsan_acquire(void *at);
void __tsan_release(void *at);

/* One address for all grace periods; any that every file agrees on does. */
#define TSAN_GRACE ((void *)&urcu_bp_gp)

#ifdef __clang_analyzer__
/* clang-tidy, which reads this build's commands, can't know that a registered reader is not NULL. */
#undef rcu_read_lock
#define rcu_read_lock() ((void)0)
#endif

#undef rcu_dereference
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#undef rcu_assign_pointer
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#undef rcu_set_pointer
#define rcu_set_pointer(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#undef rcu_xchg_pointer
#define rcu_xchg_pointer(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#undef rcu_cmpxchg_pointer
#define rcu_cmpxchg_pointer(p, old, v) __sync_val_compare_and_swap((p), (old), (v))

static inline void tsan_read_unlock(void)
{
    __tsan_release(TSAN_GRACE);
    urcu_bp_read_unlock();
}
#undef rcu_read_unlock
#define rcu_read_unlock() tsan_read_unlock()

struct tsan_call {
    struct rcu_head head; /* queued in place of the caller's */
    struct rcu_head *callers;
    void (*func)(struct rcu_head *head);
};

static inline void tsan_called(struct rcu_head *head)
{
    struct tsan_call *call = caa_container_of(head, struct tsan_call, head);

    __tsan_acquire(TSAN_GRACE);
    call->func(call->callers);
    free(call);
}

static inline void tsan_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
    struct tsan_call *call = malloc(sizeof(*call));

    if (!call)
        abort();
    call->callers = head;
    call->func = func;
    __tsan_release(TSAN_GRACE);
    urcu_bp_call_rcu(&call->head, tsan_called);
}
#undef call_rcu
#define call_rcu(head, func) tsan_call_rcu(head, func)

struct tsan_waiter {
    struct rcu_head head;
    sem_t passed;
};

static inline void tsan_passed(struct rcu_head *head)
{
    sem_post(&caa_container_of(head, struct tsan_waiter, head)->passed);
}

/* liburcu's own would be reported for its counters. All callbacks run in one thread, in the order they were queued. */
static inline void tsan_barrier(void)
{
    struct tsan_waiter waiter;

    sem_init(&waiter.passed, 0, 0);
    tsan_call_rcu(&waiter.head, tsan_passed);
    while (sem_wait(&waiter.passed))
        ;
    sem_destroy(&waiter.passed);
}
#undef rcu_barrier
#define rcu_barrier() tsan_barrier()

static inline void tsan_synchronize(void)
{
    urcu_bp_synchronize_rcu();
    __tsan_acquire(TSAN_GRACE);
}
#undef synchronize_rcu
#define synchronize_rcu() tsan_synchronize()

#endif
