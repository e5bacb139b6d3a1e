/* SPDX-License-Identifier: MIT */
/*
 * bounce.c - the count of a space's bounce buffers, and the waiters for one.
 *
 *   a. No more than max buffers are counted, whatever the guest does (G9). Waiters are the callers' own memory.
 *   b. While the mutex is free: a waiter is in the list only if no buffer is free, or while some thread serves. So no
 *      wakeup is lost, also if one who is called does not take what is free: the next is called then.
 *   c. At most one thread serves at a time. Whoever finds another at it, or itself further up, leaves its news to that one,
 *      which looks again after each call: so calls are in the order of arrival, and do not recurse.
 *   d. A waiter is not touched from the moment it is taken from the list, before its fn is called.
 *
 * Any thread. The mutex is never held in a call.
 */
#include "bounce.h"
#include <errno.h>

int gmem__bounce_init(struct gmem__bounce *bounce, size_t max)
{
    *bounce = (struct gmem__bounce){.max = max};
    if (pthread_mutex_init(&bounce->mutex, NULL))
        return -ENOMEM;
    if (pthread_cond_init(&bounce->called, NULL)) {
        pthread_mutex_destroy(&bounce->mutex);
        return -ENOMEM;
    }
    return 0;
}

void gmem__bounce_end(struct gmem__bounce *bounce)
{
    pthread_cond_destroy(&bounce->called);
    pthread_mutex_destroy(&bounce->mutex);
}

/* Take waiter from the list. */
static void dequeue(struct gmem__bounce *bounce, struct gmem_map_waiter *waiter)
{
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        bounce->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        bounce->last = waiter->prev;
    waiter->prev = NULL;
    waiter->next = NULL;
    waiter->waiting = false;
}

/* With the mutex, which is given up: call those who wait, while a buffer is free. */
static void serve(struct gmem__bounce *bounce)
{
    while (!bounce->calling && bounce->used < bounce->max && bounce->first) {
        struct gmem_map_waiter *waiter = bounce->first;
        void (*fn)(void *opaque) = waiter->fn;
        void *opaque = waiter->opaque;

        dequeue(bounce, waiter);
        bounce->calling = waiter;
        bounce->caller = pthread_self();
        pthread_mutex_unlock(&bounce->mutex);
        fn(opaque);
        pthread_mutex_lock(&bounce->mutex);
        bounce->calling = NULL;
        pthread_cond_broadcast(&bounce->called);
    }
    pthread_mutex_unlock(&bounce->mutex);
}

bool gmem__bounce_take(struct gmem__bounce *bounce)
{
    bool taken;

    pthread_mutex_lock(&bounce->mutex);
    taken = bounce->used < bounce->max;
    bounce->used += taken;
    pthread_mutex_unlock(&bounce->mutex);
    return taken;
}

void gmem__bounce_give(struct gmem__bounce *bounce)
{
    pthread_mutex_lock(&bounce->mutex);
    bounce->used--;
    serve(bounce);
}

int gmem__bounce_wait(struct gmem__bounce *bounce, struct gmem_map_waiter *waiter)
{
    pthread_mutex_lock(&bounce->mutex);
    if (waiter->waiting) {
        pthread_mutex_unlock(&bounce->mutex);
        return -EBUSY;
    }
    waiter->prev = bounce->last;
    waiter->next = NULL;
    waiter->waiting = true;
    if (bounce->last)
        bounce->last->next = waiter;
    else
        bounce->first = waiter;
    bounce->last = waiter;
    serve(bounce);
    return 0;
}

bool gmem__bounce_cancel(struct gmem__bounce *bounce, struct gmem_map_waiter *waiter)
{
    bool cancelled = false;

    pthread_mutex_lock(&bounce->mutex);
    for (;;) {
        if (waiter->waiting) {
            dequeue(bounce, waiter);
            cancelled = true;
        }
        if (bounce->calling != waiter || pthread_equal(bounce->caller, pthread_self()))
            break;
        /* Its fn may wait again meanwhile: look again. */
        pthread_cond_wait(&bounce->called, &bounce->mutex);
    }
    pthread_mutex_unlock(&bounce->mutex);
    return cancelled;
}
