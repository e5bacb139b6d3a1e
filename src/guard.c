/* SPDX-License-Identifier: MIT */
/*
 * guard.c - guards as objects, and what each thread has entered.
 *
 * A thread's entries are a list, innermost first, of objects on its own stack: nothing is allocated, and no other thread
 * looks. It is as long as callbacks nest (GMEM_NESTING_MAX), and what the program has entered itself.
 *
 * The list of a vm's guards is under its mutex.
 */
#include "guard.h"
#include <errno.h>
#include <gmem/region.h>
#include <stdlib.h>
#include <string.h>

__thread struct gmem__calls gmem__calls;

int gmem_guard_create(gmem_vm *vm, const char *label, gmem_guard **ret_guard)
{
    size_t length = label ? strnlen(label, GMEM_NAME_MAX + 1) : 0;
    gmem_guard *guard;

    if (!vm || !ret_guard)
        return -EINVAL;
    if (length > GMEM_NAME_MAX)
        return gmem__refuse(vm, -EINVAL, "the label of a guard is too long");
    guard = calloc(1, sizeof(*guard) + length + 1);
    if (!guard)
        return gmem__refuse(vm, -ENOMEM, "no memory for a guard");
    if (label)
        memcpy(guard->label, label, length);
    guard->vm = vm;
    guard->refs = 1;
    pthread_mutex_lock(&vm->mutex);
    guard->number = ++vm->guards_made;
    gmem__link_before(&vm->guards, &guard->link);
    pthread_mutex_unlock(&vm->mutex);
    *ret_guard = guard;
    return 0;
}

gmem_guard *gmem_guard_ref(gmem_guard *guard)
{
    __atomic_fetch_add(&guard->refs, 1, __ATOMIC_RELAXED);
    return guard;
}

void gmem_guard_unref(gmem_guard *guard)
{
    bool last;

    if (!guard)
        return;
    /* With the mutex: a flush goes through the list, and takes references. Its holder's uses come before the end. */
    pthread_mutex_lock(&guard->vm->mutex);
    last = __atomic_sub_fetch(&guard->refs, 1, __ATOMIC_ACQ_REL) == 0;
    if (last)
        gmem__link_remove(&guard->link);
    pthread_mutex_unlock(&guard->vm->mutex);
    if (!last)
        return;
    gmem__queue_free(guard->queue);
    free(guard);
}

void gmem__guard_free_all(gmem_vm *vm)
{
    gmem_guard *guard;

    while (!gmem__link_empty(&vm->guards)) {
        guard = GMEM__OF(vm->guards.next, gmem_guard, link);
        gmem__link_remove(&guard->link);
        gmem__queue_free(guard->queue);
        free(guard);
    }
}

void gmem__guard_named(gmem_guard *guard, const struct gmem_lock *lock)
{
    if (!guard || !lock->lock)
        return;
    pthread_mutex_lock(&guard->vm->mutex);
    if (!guard->lock.lock)
        guard->lock = *lock;
    pthread_mutex_unlock(&guard->vm->mutex);
}

const char *gmem_guard_label(const gmem_guard *guard)
{
    return guard->label;
}

uint64_t gmem_guard_refused(const gmem_guard *guard)
{
    return __atomic_load_n(&guard->refused, __ATOMIC_RELAXED);
}

/* --- what this thread is in ------------------------------------------------------------------------------------------ */

static struct gmem_guard_entry *innermost(const gmem_guard *guard)
{
    struct gmem_guard_entry *entry = gmem__calls.top;

    while (entry && entry->guard != guard)
        entry = entry->up;
    return entry;
}

static bool holds(const struct gmem_lock *lock)
{
    const struct gmem_guard_entry *entry;

    for (entry = gmem__calls.top; entry; entry = entry->up) {
        if (entry->locked && gmem__lock_same(entry->lock, lock))
            return true;
    }
    return false;
}

bool gmem__calls_may_still(void)
{
    if (gmem__calls.depth < GMEM__CALLS_STOPPED)
        gmem__calls.depth += GMEM__CALLS_STOPPED;
    /* Nothing but this is left of what was refused before. */
    if (gmem__calls.depth == GMEM__CALLS_STOPPED)
        gmem__calls.depth = 0;
    return gmem__calls.depth == 0;
}

bool gmem__lock_harmless(const struct gmem_lock *lock)
{
    const struct gmem_guard_entry *entry = gmem__calls.top;

    while (entry && !entry->locked)
        entry = entry->up;
    return !entry || holds(lock);
}

void gmem__entry_begin(struct gmem_guard_entry *entry, gmem_guard *guard, const struct gmem_lock *lock)
{
    *entry = (struct gmem_guard_entry){.guard = guard, .lock = lock};
    if (lock && !holds(lock)) {
        lock->lock(lock->opaque);
        entry->locked = true;
    }
    entry->up = gmem__calls.top;
    gmem__calls.top = entry;
}

void gmem__entry_end(struct gmem_guard_entry *entry)
{
    struct gmem_guard_entry **at = &gmem__calls.top;

    while (*at && *at != entry)
        at = &(*at)->up;
    if (!*at)
        return;
    *at = entry->up;
    if (entry->locked)
        entry->lock->unlock(entry->lock->opaque);
}

bool gmem_thread_busy(gmem_vm *vm)
{
    const struct gmem_guard_entry *entry = gmem__calls.top;

    while (entry && !entry->locked && (!entry->guard || entry->paused > 0))
        entry = entry->up;
    return entry || gmem__calls.depth % GMEM__CALLS_STOPPED > 0 || (vm && gmem__turn_mine(vm));
}

bool gmem_guard_inside(const gmem_guard *guard)
{
    const struct gmem_guard_entry *entry = innermost(guard);

    return entry && entry->paused == 0;
}

bool gmem_guard_enter(gmem_guard *guard, struct gmem_guard_entry *entry)
{
    if (gmem_guard_inside(guard))
        return false;
    gmem__entry_begin(entry, guard, NULL);
    return true;
}

void gmem_guard_leave(struct gmem_guard_entry *entry)
{
    gmem__entry_end(entry);
}

bool gmem_guard_pause(gmem_guard *guard)
{
    struct gmem_guard_entry *entry = innermost(guard);

    if (!entry)
        return false;
    entry->paused++;
    return true;
}

void gmem_guard_resume(gmem_guard *guard)
{
    struct gmem_guard_entry *entry = innermost(guard);

    if (entry && entry->paused > 0)
        entry->paused--;
}

void gmem_lock_enter(const struct gmem_lock *lock, struct gmem_guard_entry *entry)
{
    gmem__entry_begin(entry, NULL, lock->lock ? lock : NULL);
}

void gmem_lock_leave(struct gmem_guard_entry *entry)
{
    gmem__entry_end(entry);
}
