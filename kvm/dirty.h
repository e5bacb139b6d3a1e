/* SPDX-License-Identifier: MIT */
/* dirty.h - what the dirty log (dirty.c) and the rings (dirty_ring.c) know of each other. */
#ifndef GMEM_KVM_DIRTY_INTERNAL_H
#define GMEM_KVM_DIRTY_INTERNAL_H

#include <stdint.h>

#include <linux/kvm.h>

#include <gmem/kvm_dirty.h>

/*
 * Who takes what rings had. mark is called with the ring's lock held, after the kernel watches the pages again; returns
 * how many of the entries were its own.
 */
struct gmem__ring_sink {
    struct gmem__ring_sink *next;
    void *opaque;
    uint32_t (*mark)(void *opaque, const struct kvm_dirty_gfn *entries, uint32_t count);
    void (*mark_all)(void *opaque); /* everything logged may be dirty */
};

void gmem__ring_add_sink(gmem_kvm_ring *ring, struct gmem__ring_sink *sink);
void gmem__ring_remove_sink(gmem_kvm_ring *ring, struct gmem__ring_sink *sink);

/* Empty all rings into the sinks; as gmem_kvm_ring_serve_full(). */
int gmem__ring_harvest(gmem_kvm_ring *ring);

#endif
