/* SPDX-License-Identifier: MIT */
/*
 * coalesce.c - the queue of each guard (gmem/device.h), and who is asked to empty queues elsewhere.
 *
 *   a. Writes leave a queue in the order in which they came, and each is with its device before the next is taken out: only
 *      who holds the guard's lock, the device's own, takes any. So no thread waits for another but by that lock, which
 *      it would take anyway.
 *   b. A queue counts a write until it has been delivered. So who finds the count at 0 comes after all of them, and who does
 *      not, and takes the lock, too.
 *   c. Draining takes as many as were there when it began: others may add as fast as it goes.
 *   d. Who drains keeps a region that names the lock until it has given the lock up: the lock may end with the last of them.
 *
 * The queue's mutex is held for moments, never in a callback. Runs in the read section of an access, or in one of its own.
 */
#include "coalesce.h"
#include "access.h"
#include "range.h"
#include "trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gmem__queue {
    pthread_mutex_t mutex;
    unsigned first, count;   /* with the mutex */
    gmem_region *delivering; /* of the write that was taken out and may not be delivered yet, or NULL; with the mutex */
    struct gmem__queued writes[GMEM_COALESCED_MAX];
};

struct gmem__hook {
    struct gmem__rcu_head rcu;
    gmem_coalesced_flush_fn *flush;
    void *opaque;
};

int gmem__queue_create(gmem_guard *guard)
{
    struct gmem__queue *queue;

    if (guard->queue)
        return 0;
    queue = calloc(1, sizeof(*queue));
    if (!queue)
        return gmem__refuse(guard->vm, -ENOMEM, "no memory to queue writes");
    if (pthread_mutex_init(&queue->mutex, NULL)) {
        free(queue);
        return gmem__refuse(guard->vm, -ENOMEM, "no memory to queue writes");
    }
    gmem__rcu_set(guard->queue, queue);
    return 0;
}

void gmem__queue_free(struct gmem__queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

/* --- queueing -------------------------------------------------------------------------------------------------------- */

bool gmem__coalesced_has(const gmem_vm *vm, const struct gmem__device *device, const struct gmem__queued *write)
{
    const struct gmem__intervals *all = gmem__rcu_get(device->coalesced);
    uint64_t last = write->offset + (write->size - 1u);
    size_t i;

    if (!all || !device->guard || !device->lock || !__atomic_load_n(&vm->coalescing, __ATOMIC_RELAXED) ||
        !gmem__rcu_get(device->guard->queue) || !gmem__lock_same(device->lock, &device->guard->lock))
        return false;
    for (i = 0; i < all->count && all->items[i].first <= write->offset; i++) {
        if (all->items[i].last >= last)
            return true;
    }
    return false;
}

bool gmem__coalesced_put(gmem_guard *guard, const struct gmem__queued *write)
{
    struct gmem__queue *queue = gmem__rcu_get(guard->queue);
    bool room;

    pthread_mutex_lock(&queue->mutex);
    room = queue->count < GMEM_COALESCED_MAX;
    if (room) {
        queue->writes[(queue->first + queue->count) % GMEM_COALESCED_MAX] = *write;
        queue->count++;
        gmem__region_pin(write->region);
        __atomic_fetch_add(&guard->vm->queued, 1, __ATOMIC_RELEASE);
        __atomic_fetch_add(&guard->queued, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&queue->mutex);
    return room;
}

/* --- delivering ------------------------------------------------------------------------------------------------------ */

static bool take(struct gmem__queue *queue, struct gmem__queued *ret_write)
{
    bool some;

    pthread_mutex_lock(&queue->mutex);
    some = queue->count > 0;
    if (some) {
        *ret_write = queue->writes[queue->first];
        queue->first = (queue->first + 1) % GMEM_COALESCED_MAX;
        queue->count--;
        queue->delivering = ret_write->region;
    }
    pthread_mutex_unlock(&queue->mutex);
    return some;
}

/* With the lock, in the guard. regions, of GMEM_COALESCED_MAX, are to be unpinned without it. */
static unsigned deliver(gmem_guard *guard, unsigned long most, gmem_region **regions)
{
    struct gmem__queue *queue = gmem__rcu_get(guard->queue);
    gmem_region *outer = queue->delivering;
    struct gmem__queued write;
    unsigned done = 0;

    while (done < gmem__min(most, GMEM_COALESCED_MAX) && take(queue, &write)) {
        gmem__queued_deliver(&write);
        __atomic_fetch_sub(&guard->queued, 1, __ATOMIC_RELEASE);
        __atomic_fetch_sub(&guard->vm->queued, 1, __ATOMIC_RELEASE);
        regions[done++] = write.region;
    }
    pthread_mutex_lock(&queue->mutex);
    queue->delivering = outer;
    pthread_mutex_unlock(&queue->mutex);
    return done;
}

/* A region that has the lock and something that is not delivered, pinned; NULL: all is delivered. */
static gmem_region *pin_waiting(struct gmem__queue *queue)
{
    gmem_region *region;

    pthread_mutex_lock(&queue->mutex);
    region = queue->count > 0 ? queue->writes[queue->first].region : queue->delivering;
    /* It is pinned already, so that no owner is called. */
    if (region)
        gmem__region_pin(region);
    pthread_mutex_unlock(&queue->mutex);
    return region;
}

void gmem__coalesced_drain(gmem_guard *guard)
{
    struct gmem_guard_entry entry;
    struct gmem_trace_event event = {.kind = GMEM_TRACE_COALESCED_FLUSH};
    gmem_region *regions[GMEM_COALESCED_MAX], *keep = pin_waiting(gmem__rcu_get(guard->queue));
    unsigned count, i;

    if (!keep)
        return;
    /* The guard may end with the last region that is unpinned. */
    gmem_guard_ref(guard);
    gmem__entry_begin(&entry, guard, &guard->lock);
    count = deliver(guard, __atomic_load_n(&guard->queued, __ATOMIC_ACQUIRE), regions);
    gmem__entry_end(&entry);
    /* An owner that is let go so may free the lock. */
    for (i = 0; i < count; i++)
        gmem__region_unpin(regions[i]);
    gmem__region_unpin(keep);
    if (count > 0) {
        GMEM__PROBE3(coalesced_flush, guard->vm, &guard->label[0], count);
        event.u.coalesced.guard = guard;
        event.u.coalesced.count = count;
        gmem_trace_emit(guard->vm, &event);
    }
    gmem_guard_unref(guard);
}

/* The first guard after the one numbered after that has something queued, with a reference; or NULL. */
static gmem_guard *next_waiting(gmem_vm *vm, uint64_t after)
{
    gmem_guard *guard = NULL;
    struct gmem__link *link;

    pthread_mutex_lock(&vm->mutex);
    for (link = vm->guards.next; !guard && link != &vm->guards; link = link->next) {
        guard = GMEM__OF(link, gmem_guard, link);
        guard = guard->number > after && gmem__coalesced_waiting(guard) ? gmem_guard_ref(guard) : NULL;
    }
    pthread_mutex_unlock(&vm->mutex);
    return guard;
}

void gmem_vm_flush_coalesced(gmem_vm *vm)
{
    uint64_t number = 0;
    gmem_guard *guard;

    /* A device that has its lock may be waiting for the turn. */
    if (!vm || __atomic_load_n(&vm->queued, __ATOMIC_ACQUIRE) == 0 || gmem__turn_mine(vm) || !gmem__calls_shallow())
        return;
    while ((guard = next_waiting(vm, number))) {
        number = guard->number;
        if (!gmem_guard_inside(guard) && gmem__lock_harmless(&guard->lock)) {
            gmem__rcu_enter();
            gmem__coalesced_drain(guard);
            gmem__access_leave();
        }
        gmem_guard_unref(guard);
    }
}

int gmem_vm_set_coalescing(gmem_vm *vm, bool on)
{
    if (!vm)
        return -EINVAL;
    __atomic_store_n(&vm->coalescing, on, __ATOMIC_RELAXED);
    if (!on)
        gmem_vm_flush_coalesced(vm);
    return 0;
}

/* --- others who queue ------------------------------------------------------------------------------------------------- */

static void hook_free(struct gmem__rcu_head *head)
{
    free(GMEM__OF(head, struct gmem__hook, rcu));
}

int gmem_vm_set_coalesced_flush(gmem_vm *vm, gmem_coalesced_flush_fn *flush, void *opaque)
{
    struct gmem__hook *now = NULL, *old;
    bool busy;

    if (!vm)
        return -EINVAL;
    if (flush) {
        now = malloc(sizeof(*now));
        if (!now)
            return gmem__refuse(vm, -ENOMEM, "no memory for who flushes coalesced writes");
        *now = (struct gmem__hook){.flush = flush, .opaque = opaque};
    }
    /* Others' callbacks may wait for the turn. */
    busy = gmem__rcu_inside() || gmem__turn_mine(vm);
    pthread_mutex_lock(&vm->mutex);
    old = vm->hook;
    busy = busy && old;
    if (!busy)
        gmem__rcu_set(vm->hook, now);
    pthread_mutex_unlock(&vm->mutex);
    if (busy) {
        free(now);
        return gmem__refuse(vm, -EBUSY, "setting who flushes where one can't wait for the end of the one before");
    }
    if (old) {
        gmem__rcu_defer(&old->rcu, hook_free);
        gmem__rcu_barrier();
    }
    return 0;
}

void gmem__hook_end(gmem_vm *vm)
{
    free(vm->hook);
}

void gmem__coalesced_ask(gmem_vm *vm, const struct gmem__device *device)
{
    const struct gmem__hook *hook = gmem__rcu_get(vm->hook);

    if (!hook || gmem__calls.flushing ||
        !(gmem__rcu_get(device->coalesced) ||
          (device->guard && __atomic_load_n(&device->guard->coalescing, __ATOMIC_ACQUIRE) > 0)))
        return;
    gmem__calls.flushing = true;
    hook->flush(hook->opaque);
    gmem__calls.flushing = false;
}
