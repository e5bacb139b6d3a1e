/* SPDX-License-Identifier: MIT */
/*
 * mmio_ops.c - sharing what devices implement.
 *
 * A machine has many devices and few kinds of them. What they share stays in the processor's cache, so that an access to one of
 * ten thousand does not have to fetch it from memory. Of kinds that were not used lately there may be several copies: only a few
 * are looked through, so that making a region costs the same however many kinds there are.
 *
 * The list and the counts are guarded by the vm's mutex.
 */
#include "mmio_ops.h"
#include <errno.h>
#include <stdlib.h>

#define LATEST 8u

/* Member by member: there is padding between them. */
static bool alike(const struct gmem_mmio_ops *a, const struct gmem_mmio_ops *b)
{
    return a->read == b->read && a->write == b->write && a->endian == b->endian && a->valid.min == b->valid.min &&
           a->valid.max == b->valid.max && a->valid.unaligned == b->valid.unaligned &&
           a->valid.accepts == b->valid.accepts && a->impl.min == b->impl.min && a->impl.max == b->impl.max &&
           a->impl.unaligned == b->impl.unaligned;
}

static uint8_t call_sizes(const struct gmem_mmio_ops *ops)
{
    unsigned size, sizes = 0;

    for (size = 1; size <= 8 && !ops->valid.accepts; size *= 2) {
        if (size >= ops->valid.min && size <= ops->valid.max && size >= ops->impl.min && size <= ops->impl.max)
            sizes |= size;
    }
    return (uint8_t)sizes;
}

static void settle(const gmem_vm *vm, struct gmem__mmio_ops *ops)
{
    bool watched = ops->watchers > 0 || vm->watch != 0;

    /* Release: pairs with gmem__mmio_ops_watched(). */
    __atomic_store_n(&ops->watched, watched, __ATOMIC_RELEASE);
    __atomic_store_n(&ops->call_sizes, watched ? 0 : ops->single_sizes, __ATOMIC_RELEASE);
}

static struct gmem__mmio_ops *find_latest(gmem_vm *vm, const struct gmem_mmio_ops *ops)
{
    struct gmem__link *link = vm->mmio_ops.next;
    struct gmem__mmio_ops *found;
    unsigned i;

    for (i = 0; i < LATEST && link != &vm->mmio_ops; i++, link = link->next) {
        found = GMEM__OF(link, struct gmem__mmio_ops, link);
        if (alike(&found->is, ops))
            return found;
    }
    return NULL;
}

int gmem__mmio_ops_get(gmem_vm *vm, const struct gmem_mmio_ops *ops, struct gmem__mmio_ops **ret_ops)
{
    struct gmem__mmio_ops *found;

    pthread_mutex_lock(&vm->mutex);
    found = find_latest(vm, ops);
    if (found) {
        gmem__link_remove(&found->link);
    } else {
        found = gmem__alloc_lines(sizeof(*found));
        if (!found) {
            pthread_mutex_unlock(&vm->mutex);
            return -ENOMEM;
        }
        found->is = *ops;
        found->single_sizes = call_sizes(ops);
        settle(vm, found);
    }
    gmem__link_before(vm->mmio_ops.next, &found->link);
    found->refs++;
    pthread_mutex_unlock(&vm->mutex);
    *ret_ops = found;
    return 0;
}

void gmem__mmio_ops_look(gmem_vm *vm, struct gmem__mmio_ops *ops, bool look)
{
    pthread_mutex_lock(&vm->mutex);
    ops->watchers += look ? 1 : (size_t)-1;
    settle(vm, ops);
    pthread_mutex_unlock(&vm->mutex);
}

void gmem__mmio_ops_watch(gmem_vm *vm, unsigned bit, bool on)
{
    struct gmem__link *link;

    __atomic_store_n(&vm->watch, on ? vm->watch | bit : vm->watch & ~bit, __ATOMIC_RELAXED);
    for (link = vm->mmio_ops.next; link != &vm->mmio_ops; link = link->next)
        settle(vm, GMEM__OF(link, struct gmem__mmio_ops, link));
}

void gmem__mmio_ops_put(gmem_vm *vm, struct gmem__mmio_ops *ops)
{
    bool last;

    if (!ops)
        return;
    pthread_mutex_lock(&vm->mutex);
    last = --ops->refs == 0;
    if (last)
        gmem__link_remove(&ops->link);
    pthread_mutex_unlock(&vm->mutex);
    if (last)
        free(ops);
}
