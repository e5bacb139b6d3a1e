/* SPDX-License-Identifier: MIT */
/*
 * coalesced_ring.c - owns the mapping of the ring in which a kernel puts writes of guests, and takes them out.
 *
 *  (a) Writes are delivered one at a time, in the ring's order, each before it leaves the ring. So who finds the ring
 *      empty knows that all are delivered.
 *  (b) A thread that others may be waiting for (gmem_thread_busy()) delivers nothing and waits for nobody. So no device's
 *      lock is taken inside another's, in a transaction or in a commit, and none is waited for there; and no delivery is
 *      refused because the thread is in the device already. That is asked before each, since a callback may enter something
 *      and not leave it: the drain then ends, and what is not delivered stays.
 *  (c) A write goes where the map said when it was resolved: before it is delivered or, if an interval is taken away
 *      meanwhile, in that commit. Of the two the earlier counts. Resolved writes stay where they are in the ring: so they need
 *      no other order, no other bound than the ring's size, and no memory but what was set aside at the beginning. They keep
 *      their regions.
 *  (d) A drain delivers what was in the ring when it began, and no more.
 *  (e) The lock guards what is said of the ring, for moments, and is not held while a map is asked, a write is delivered or
 *      a piece given back. Who comes to drain while another does waits for that one, but not the thread that drains: it
 *      is on the way of its own write, and those behind come after it.
 *
 * A write that was taken (its number is below taken) and its entries in the ring and in resolved are the drainer's alone
 * until it moves the ring on, or puts it back. Writes that were not taken may be resolved by the drainer and by a commit at
 * once; the first that stores it under the lock has resolved it.
 *
 * The kernel's Documentation/virt/kvm/api.rst has the ring: first is the next entry to be taken, moved on by the program;
 * last the next to be filled, moved on by the kernel.
 */
#include "coalesced_ring.h"
#include "slotplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/guard.h>
#include <gmem/vm.h>

static void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* --- where a write goes --- */

/* Those of a write that makes no sense are none. */
static void translate(const struct gmem__coalesced_ring *ring, const struct kvm_coalesced_mmio *write,
                      struct gmem__resolved *ret)
{
    gmem_space *space = write->pio ? ring->ports : ring->memory;
    uint64_t covered;
    size_t pieces;

    ret->count = ret->done = 0;
    if (space && write->len >= 1 && write->len <= sizeof(write->data) &&
        gmem_segments(space, write->phys_addr, ring->attrs, write->len, true, ret->piece, GMEM__WRITE_MAX, &pieces,
                      &covered) == 0)
        ret->count = (unsigned)pieces;
}

static void give_back(struct gmem__resolved *resolved)
{
    gmem_segments_release(resolved->piece, resolved->count, 0);
    resolved->count = resolved->done = 0;
}

/* The entry of the write of that number, which was not taken. With the lock. */
static uint32_t entry_of(const struct gmem__coalesced_ring *ring, uint64_t number)
{
    return (uint32_t)((ring->next + (number - ring->taken)) % ring->entries);
}

/* The number of the write that the kernel makes next. With the lock. */
static uint64_t end_of(const struct gmem__coalesced_ring *ring)
{
    /* Acquire: what the kernel put in the ring is there. */
    uint32_t last = __atomic_load_n(&ring->shared->last, __ATOMIC_ACQUIRE) % ring->entries;

    return ring->taken + (last + ring->entries - ring->next) % ring->entries;
}

/* (c). With the lock, which is given up meanwhile. The write may have been taken when it returns. */
static void resolve(struct gmem__coalesced_ring *ring, uint64_t number)
{
    uint32_t entry = entry_of(ring, number);
    const struct kvm_coalesced_mmio write = ring->shared->coalesced_mmio[entry];
    struct gmem__resolved found;
    bool stored;

    if (ring->resolved[entry].count > 0)
        return;
    pthread_mutex_unlock(&ring->lock);
    translate(ring, &write, &found);
    pthread_mutex_lock(&ring->lock);
    stored = number >= ring->taken && ring->resolved[entry].count == 0;
    if (stored) {
        memcpy(ring->resolved[entry].piece, found.piece, found.count * sizeof(found.piece[0]));
        ring->resolved[entry].count = found.count;
    } else {
        /* The last reference of a region may call its owner. */
        pthread_mutex_unlock(&ring->lock);
        give_back(&found);
        pthread_mutex_lock(&ring->lock);
    }
}

void gmem__coalesced_ring_resolve(struct gmem__coalesced_ring *ring, bool ports)
{
    uint64_t number, end;

    if (!__atomic_load_n(&ring->shared, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&ring->lock);
    end = end_of(ring);
    for (number = ring->taken; number < end; number++) {
        if (number < ring->taken)
            continue;
        if (!ring->shared->coalesced_mmio[entry_of(ring, number)].pio == !ports)
            resolve(ring, number);
    }
    pthread_mutex_unlock(&ring->lock);
}

/* --- delivering --- */

/* What was taken. False: the thread must not deliver all of it (b). */
static bool deliver(struct gmem__coalesced_ring *ring, uint32_t entry)
{
    const struct kvm_coalesced_mmio *write = &ring->shared->coalesced_mmio[entry];
    struct gmem__resolved *to = &ring->resolved[entry];

    if (to->count == 0) {
        count(&ring->bad);
        return true;
    }
    for (; to->done < to->count; to->done++) {
        const struct gmem_segment *piece = &to->piece[to->done];

        if (gmem_thread_busy(ring->vm))
            return false;
        (void)gmem_segment_write(piece, 0, write->data + (piece->addr - write->phys_addr), piece->size);
    }
    give_back(to);
    count(&ring->delivered);
    return true;
}

/* By who drains. */
static void deliver_all(struct gmem__coalesced_ring *ring)
{
    bool going = true;
    uint32_t entry;
    uint64_t end;

    pthread_mutex_lock(&ring->lock);
    end = end_of(ring);
    if (ring->taken < end)
        count(&ring->drains);
    while (going && ring->taken < end) {
        resolve(ring, ring->taken);
        entry = ring->next;
        ring->next = (entry + 1) % ring->entries;
        ring->taken++;
        pthread_mutex_unlock(&ring->lock);
        going = deliver(ring, entry);
        pthread_mutex_lock(&ring->lock);
        if (going) {
            /* Release: pairs with the acquire in is_empty(), and the kernel's before it fills the entry. */
            __atomic_store_n(&ring->shared->first, ring->next, __ATOMIC_RELEASE);
        } else {
            ring->next = entry;
            ring->taken--;
        }
    }
    pthread_mutex_unlock(&ring->lock);
}

static bool is_empty(const struct kvm_coalesced_mmio_ring *shared)
{
    return __atomic_load_n(&shared->last, __ATOMIC_ACQUIRE) == __atomic_load_n(&shared->first, __ATOMIC_ACQUIRE);
}

static bool begin_drain(struct gmem__coalesced_ring *ring)
{
    bool mine;

    pthread_mutex_lock(&ring->lock);
    while (ring->draining && !pthread_equal(ring->drainer, pthread_self()))
        pthread_cond_wait(&ring->drained, &ring->lock);
    mine = !ring->draining;
    if (mine) {
        ring->draining = true;
        ring->drainer = pthread_self();
    }
    pthread_mutex_unlock(&ring->lock);
    return mine;
}

static void end_drain(struct gmem__coalesced_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->draining = false;
    pthread_cond_broadcast(&ring->drained);
    pthread_mutex_unlock(&ring->lock);
}

bool gmem__coalesced_ring_drain(struct gmem__coalesced_ring *ring)
{
    const struct kvm_coalesced_mmio_ring *shared = __atomic_load_n(&ring->shared, __ATOMIC_ACQUIRE);

    if (!shared || is_empty(shared))
        return true;
    if (gmem_thread_busy(ring->vm))
        return false;
    if (begin_drain(ring)) {
        deliver_all(ring);
        end_drain(ring);
    }
    return true;
}

/* --- beginning and end --- */

int gmem__coalesced_ring_init(struct gmem__coalesced_ring *ring, gmem_space *memory, gmem_space *ports)
{
    void *array = NULL;
    size_t i;
    int err;

    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->drained, NULL);
    ring->vm = gmem_space_vm(memory);
    ring->memory = memory;
    ring->ports = ports;
    ring->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    ring->entries =
        (uint32_t)((ring->page_size - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio));
    err = gmem__kvm_grow(&array, &ring->room, ring->entries, sizeof(*ring->resolved));
    ring->resolved = array;
    for (i = 0; i < ring->room; i++)
        ring->resolved[i].count = ring->resolved[i].done = 0;
    return err;
}

void gmem__coalesced_ring_end(struct gmem__coalesced_ring *ring)
{
    size_t i;

    for (i = 0; i < ring->room; i++)
        give_back(&ring->resolved[i]);
    if (ring->shared)
        (void)munmap(ring->shared, ring->page_size);
    pthread_cond_destroy(&ring->drained);
    pthread_mutex_destroy(&ring->lock);
    free(ring->resolved);
}

int gmem__coalesced_ring_map(struct gmem__coalesced_ring *ring, int vcpu_fd, uint32_t page)
{
    struct kvm_coalesced_mmio_ring *shared;
    int err = 0;
    void *at;

    pthread_mutex_lock(&ring->lock);
    if (!ring->shared) {
        at = mmap(NULL, ring->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, (off_t)(page * ring->page_size));
        if (at == MAP_FAILED) {
            err = -errno;
        } else {
            shared = at;
            ring->next = __atomic_load_n(&shared->first, __ATOMIC_RELAXED) % ring->entries;
            __atomic_store_n(&ring->shared, shared, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return err;
}
