/* SPDX-License-Identifier: MIT */
/* coalesced_ring.h - the ring in which a kernel puts the writes of guests, and their way to the devices. */
#ifndef GMEM_KVM_COALESCED_RING_H
#define GMEM_KVM_COALESCED_RING_H

#include <pthread.h>

#include "internal.h"
#include <gmem/map.h>

/* Bytes that a write has at most, and so pieces that it is made of. */
#define GMEM__WRITE_MAX 8u

/* Where a write goes. */
struct gmem__resolved {
    unsigned count, done; /* pieces, and how many of them are delivered; count 0: not known yet */
    struct gmem_segment piece[GMEM__WRITE_MAX];
};

struct gmem__coalesced_ring {
    gmem_vm *vm;
    gmem_space *memory, *ports; /* ports may be NULL */
    struct gmem_attrs attrs;    /* of the accesses that deliver; set before it is mapped */

    struct kvm_coalesced_mmio_ring *shared; /* with the kernel; atomic: set once, with the lock */
    uint64_t page_size;
    uint32_t entries;

    pthread_mutex_t lock;
    pthread_cond_t drained;
    bool draining; /* with the lock, as all that follows */
    pthread_t drainer;
    uint64_t taken; /* writes that were taken to be delivered, since the beginning: the number of the next one */
    uint32_t next;  /* where that is in the ring */
    struct gmem__resolved *resolved;
    size_t room;

    uint64_t drains, delivered, bad; /* atomic, relaxed: they count */
};

/* Set memory aside. ring is zero, and goes to gmem__coalesced_ring_end() in any case. -ENOMEM. */
int gmem__coalesced_ring_init(struct gmem__coalesced_ring *ring, gmem_space *memory, gmem_space *ports) GMEM_MUST_CHECK;
void gmem__coalesced_ring_end(struct gmem__coalesced_ring *ring);

/* Map it, that many pages into what a virtual processor shows, unless it is mapped. */
int gmem__coalesced_ring_map(struct gmem__coalesced_ring *ring, int vcpu_fd, uint32_t page) GMEM_MUST_CHECK;

/*
 * Deliver what is in the ring, or leave that to the thread that does and wait for it. False: something is in it, and this
 * thread may do neither (gmem_thread_busy()).
 */
bool gmem__coalesced_ring_drain(struct gmem__coalesced_ring *ring);

/* From now on what is in the ring for the space of ports, or of memory, goes where the map says now. In a commit. */
void gmem__coalesced_ring_resolve(struct gmem__coalesced_ring *ring, bool ports);

#endif
