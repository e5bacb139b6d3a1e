/* SPDX-License-Identifier: MIT */
/* guard.h - guards, and what each thread is in: the callbacks that it runs, the guards and the locks around them. */
#ifndef GMEM_SRC_GUARD_H
#define GMEM_SRC_GUARD_H

#include "vm.h"
#include <gmem/guard.h>

struct gmem__queue;

struct gmem_guard {
    gmem_vm *vm;
    struct gmem__link link; /* in vm->guards, with the vm's mutex */
    unsigned long refs;     /* atomic */
    uint64_t number;        /* in the order of the list; immutable */
    uint64_t refused;       /* atomic */
    bool logged;            /* atomic */

    /* Coalesced writes; see coalesce.c. */
    struct gmem_lock lock;     /* of the first region that has one; set once, with the vm's mutex, before queue */
    struct gmem__queue *queue; /* atomic: set once, with the writer turn */
    unsigned long queued;      /* atomic: writes not delivered yet */
    unsigned long coalescing;  /* atomic: its regions that have coalesced intervals */

    char label[]; /* immutable */
};

/* What the calling thread is in. Little, because it is a part of the room that there is for libraries opened late. */
struct gmem__calls {
    struct gmem_guard_entry *top; /* guards and locks, innermost first */
    unsigned depth;               /* callbacks of devices; with GMEM__CALLS_STOPPED after they nested too deep */
    bool flushing;                /* a gmem_coalesced_flush_fn runs */
};

extern __thread struct gmem__calls gmem__calls;

/*
 * Added to how deep they nest when one more was refused: until the thread is out of all callbacks it may call no device. Else
 * one that accesses itself twice would be called 2^GMEM_NESTING_MAX times.
 */
#define GMEM__CALLS_STOPPED (1u << 16)

/* Of a thread that is too deep, or stopped. */
bool gmem__calls_may_still(void);

/* Whether this thread may call another device; if not, it may not until it is out of all callbacks. */
static inline bool gmem__calls_may(void)
{
    return __builtin_expect(gmem__calls.depth < GMEM_NESTING_MAX, 1) || gmem__calls_may_still();
}

/* The same where nothing is refused, and so nothing follows, if not. */
static inline bool gmem__calls_shallow(void)
{
    return gmem__calls.depth < GMEM_NESTING_MAX ||
           (gmem__calls.depth == GMEM__CALLS_STOPPED && gmem__calls_may_still());
}

static inline bool gmem__lock_same(const struct gmem_lock *a, const struct gmem_lock *b)
{
    return a->lock == b->lock && a->unlock == b->unlock && a->opaque == b->opaque;
}

/* Whether this thread has lock, or none: taking it then makes no order of locks that the devices did not make. */
bool gmem__lock_harmless(const struct gmem_lock *lock);

/* Enter guard, which the thread is not in, and take lock; either may be NULL. gmem__entry_end() gives both back. */
void gmem__entry_begin(struct gmem_guard_entry *entry, gmem_guard *guard, const struct gmem_lock *lock);
void gmem__entry_end(struct gmem_guard_entry *entry);

/* A region names guard (or NULL) and lock. */
void gmem__guard_named(gmem_guard *guard, const struct gmem_lock *lock);
/* Free the guards of a vm whatever refers to them: gmem_vm_destroy() only. */
void gmem__guard_free_all(gmem_vm *vm);

/* Make the queue of a guard, if it has none. -ENOMEM. With the turn. */
int gmem__queue_create(gmem_guard *guard) GMEM_MUST_CHECK;
/* With nothing in it, or nobody who would deliver it. NULL is allowed. */
void gmem__queue_free(struct gmem__queue *queue);

#endif
