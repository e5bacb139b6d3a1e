/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - read sections, publication and deferred freeing: all of liburcu that gmem uses, and the only file that includes it.
 *
 * The flavour is liburcu-bp: a thread needs no registering, so that any thread may read guest memory, and its inlined read
 * section costs what that of the flavours with registration costs (docs/concurrency.md has the measurement).
 *
 * A pointer is published by a release store and read by an acquire load: liburcu's own reading orders only what depends on the
 * pointer, and who has found a new view may not read an old generation after it. ThreadSanitizer sees both. What it does not
 * see is the edge that a grace period makes, from the end of a read section to what was deferred before: in a build with it
 * that is told. Nothing is suppressed: a pointer stored without gmem__rcu_set(), a use after the read section, something freed
 * without gmem__rcu_defer() are all reported.
 */
#ifndef GMEM_SRC_RCU_H
#define GMEM_SRC_RCU_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu-bp.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GMEM__TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define GMEM__TSAN 1
#endif

struct gmem__rcu_head;
typedef void gmem__rcu_function(struct gmem__rcu_head *head);

/* In what is to be freed, or otherwise there until its function is called. */
struct gmem__rcu_head {
    struct rcu_head head;
    gmem__rcu_function *function;
};

/* The pointer, as of somewhere in this read section, and all that was written before it was set. */
#define gmem__rcu_get(pointer) __atomic_load_n(&(pointer), __ATOMIC_ACQUIRE)
/* Publish value: pairs with gmem__rcu_get(). */
#define gmem__rcu_set(pointer, value) __atomic_store_n(&(pointer), (value), __ATOMIC_RELEASE)

#ifndef GMEM__TSAN

#define gmem__rcu_grace_release() ((void)0)
#define gmem__rcu_grace_acquire() ((void)0)

#else

#include <semaphore.h>

void __tsan_acquire(void *at);
void __tsan_release(void *at);

/* One address for all grace periods; any that every file agrees on does. */
#define GMEM__RCU_GRACE ((void *)(uintptr_t)urcu_bp_synchronize_rcu)
#define gmem__rcu_grace_release() __tsan_release(GMEM__RCU_GRACE)
#define gmem__rcu_grace_acquire() __tsan_acquire(GMEM__RCU_GRACE)

#endif

/* A read section of the calling thread; they nest. The first of a thread registers it with liburcu. */
static inline void gmem__rcu_enter(void)
{
    urcu_bp_read_lock();
}

static inline void gmem__rcu_leave(void)
{
    gmem__rcu_grace_release();
    urcu_bp_read_unlock();
}

/* Whether the calling thread is in a read section. */
static inline bool gmem__rcu_inside(void)
{
    return urcu_bp_read_ongoing() != 0;
}

static inline void gmem__rcu_called(struct rcu_head *head)
{
    struct gmem__rcu_head *deferred = caa_container_of(head, struct gmem__rcu_head, head);

    gmem__rcu_grace_acquire();
    deferred->function(deferred);
}

/* Have function(head) called, on liburcu's thread, when all read sections of today have ended. Never waits. */
static inline void gmem__rcu_defer(struct gmem__rcu_head *head, gmem__rcu_function *function)
{
    head->function = function;
    gmem__rcu_grace_release();
    urcu_bp_call_rcu(&head->head, gmem__rcu_called);
}

/* Wait until all read sections of today have ended. Not in a read section. */
#ifndef GMEM__TSAN
#define gmem__rcu_synchronize() urcu_bp_synchronize_rcu()
#else
/* liburcu's own would not be seen. */
#define gmem__rcu_synchronize() gmem__rcu_barrier()
#endif

/* Wait until all that was deferred has been called. Not in a read section. */
#ifndef GMEM__TSAN

static inline void gmem__rcu_barrier(void)
{
    urcu_bp_barrier();
}

#else

struct gmem__rcu_waiter {
    struct gmem__rcu_head rcu;
    sem_t passed;
};

static inline void gmem__rcu_passed(struct gmem__rcu_head *head)
{
    sem_post(&caa_container_of(head, struct gmem__rcu_waiter, rcu)->passed);
}

/* liburcu's own would be reported for its counters. All functions run in one thread, in the order they were deferred. */
static inline void gmem__rcu_barrier(void)
{
    struct gmem__rcu_waiter waiter;

    sem_init(&waiter.passed, 0, 0);
    gmem__rcu_defer(&waiter.rcu, gmem__rcu_passed);
    while (sem_wait(&waiter.passed))
        ;
    sem_destroy(&waiter.passed);
}

#endif

#endif
