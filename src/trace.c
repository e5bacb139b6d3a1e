/* SPDX-License-Identifier: MIT */
/*
 * trace.c - who receives events.
 *
 * A receiver is immutable and replaced as a whole: it is found in a read section, and freed after those of its day. So an
 * event takes no lock, wherever it is made. An event that a receiver's own accesses make is dropped: it would not end.
 */
#include "trace.h"
#include "mmio_ops.h"
#include "rcu.h"
#include <errno.h>
#include <stdlib.h>

struct gmem__tracer {
    struct gmem__rcu_head rcu;
    uint32_t mask;
    gmem_trace_fn *fn;
    void *opaque;
};

static __thread bool tracing;

static void tracer_free(struct gmem__rcu_head *head)
{
    free(GMEM__OF(head, struct gmem__tracer, rcu));
}

int gmem_vm_set_trace(gmem_vm *vm, uint32_t mask, gmem_trace_fn *fn, void *opaque)
{
    struct gmem__tracer *now = NULL, *old;
    bool busy;

    if (!vm || (mask & ~GMEM_TRACE_ALL))
        return -EINVAL;
    if (mask && fn) {
        now = malloc(sizeof(*now));
        if (!now)
            return gmem__refuse(vm, -ENOMEM, "no memory for a trace");
        *now = (struct gmem__tracer){.mask = mask, .fn = fn, .opaque = opaque};
    }
    /* Others' callbacks may wait for the turn. */
    busy = gmem__rcu_inside() || gmem__turn_mine(vm);
    pthread_mutex_lock(&vm->mutex);
    old = vm->tracer;
    busy = busy && old;
    if (!busy) {
        gmem__rcu_set(vm->tracer, now);
        __atomic_store_n(&vm->trace_mask, now ? mask : 0, __ATOMIC_RELAXED);
        gmem__mmio_ops_watch(vm, GMEM__WATCH_TRACE, now && (mask & GMEM__TRACE_MMIO));
    }
    pthread_mutex_unlock(&vm->mutex);
    if (busy) {
        free(now);
        return gmem__refuse(vm, -EBUSY, "setting another trace where one can't wait for the end of the one before");
    }
    if (old) {
        gmem__rcu_defer(&old->rcu, tracer_free);
        gmem__rcu_barrier();
    }
    return 0;
}

void gmem__trace_end(gmem_vm *vm)
{
    free(vm->tracer);
}

/* The probes of kinds that others than the library make. */
static void probe(const struct gmem_trace_event *event)
{
    if (event->kind == GMEM_TRACE_SLOT)
        GMEM__PROBE5(slot, event->u.slot.slot, event->u.slot.flags, event->u.slot.gpa, event->u.slot.size,
                     event->u.slot.err);
}

void gmem_trace_emit(gmem_vm *vm, const struct gmem_trace_event *event)
{
    const struct gmem__tracer *tracer;

    probe(event);
    if ((unsigned)event->kind > GMEM_TRACE_USER || !gmem__traced(vm, event->kind) || tracing)
        return;
    gmem__rcu_enter();
    tracer = gmem__rcu_get(vm->tracer);
    if (tracer && (tracer->mask & GMEM_TRACE_BIT(event->kind))) {
        tracing = true;
        tracer->fn(tracer->opaque, vm, event);
        tracing = false;
    }
    gmem__rcu_leave();
}

void gmem__trace_with_turn(gmem_vm *vm, const struct gmem_trace_event *event)
{
    bool was = vm->notifying;

    vm->notifying = true;
    gmem_trace_emit(vm, event);
    vm->notifying = was;
}

bool gmem_trace_wanted(gmem_vm *vm, enum gmem_trace_kind kind)
{
    return (unsigned)kind <= GMEM_TRACE_USER && gmem__traced(vm, kind);
}

const char *gmem_trace_name(enum gmem_trace_kind kind)
{
    static const char *const names[] = {
        [GMEM_TRACE_COMMIT_BEGIN] = "commit_begin",
        [GMEM_TRACE_COMMIT_END] = "commit_end",
        [GMEM_TRACE_COMMIT_REFUSED] = "commit_refused",
        [GMEM_TRACE_VIEW_PUBLISHED] = "view_published",
        [GMEM_TRACE_LISTENER_CALL] = "listener_call",
        [GMEM_TRACE_MMIO_READ] = "mmio_read",
        [GMEM_TRACE_MMIO_WRITE] = "mmio_write",
        [GMEM_TRACE_RAM_CREATED] = "ram_created",
        [GMEM_TRACE_RAM_ENDED] = "ram_ended",
        [GMEM_TRACE_RAM_RESIZED] = "ram_resized",
        [GMEM_TRACE_SLOT] = "slot",
        [GMEM_TRACE_DIRTY_SYNC] = "dirty_sync",
        [GMEM_TRACE_EVENTFD] = "eventfd",
        [GMEM_TRACE_COALESCED_FLUSH] = "coalesced_flush",
        [GMEM_TRACE_GUARD_REFUSED] = "guard_refused",
        [GMEM_TRACE_USER] = "user",
    };

    return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}
