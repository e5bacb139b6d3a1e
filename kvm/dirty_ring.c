/* SPDX-License-Identifier: MIT */
/*
 * dirty_ring.c - owns the mappings of virtual processors' dirty rings, and empties them.
 *
 * The kernel's Documentation/virt/kvm/api.rst, KVM_CAP_DIRTY_LOG_RING: an entry is 0, then dirty (the kernel's), then to
 * be reset (the program's), and 0 again after KVM_RESET_DIRTY_RINGS, which has the kernel watch the pages of those
 * entries again. Flags are loaded with acquire and stored with release.
 *
 * The lock guards all of it. It is taken by threads of virtual processors and inside commits, for as long as it takes to
 * empty the rings; nothing of the caller's is called with it but the ioctl.
 *
 * No write is lost:
 *
 *  (a) Pages are marked after the kernel watches them again. A write before that is marked by this, since it is in memory
 *      when the mark is made; one after it makes a new entry. Were they marked before, somebody could clear the mark and copy
 *      the page, and a write come unseen between the copy and the reset.
 *  (b) Entries are kept until all are reset. If that fails they are marked (what came until now is known), and again after
 *      the next that succeeds. No more are taken than there is room for.
 *  (c) The kernel says that a ring is full while part of it is free, and keeps that for what a processor writes until it is
 *      told. Kernels that emulate many instructions at a time (without unrestricted guests) can run over nevertheless:
 *      then entries are lost, and their pages are watched no longer. That shows as a ring without a free entry. From then on
 *      every harvest marks all that is logged, which loses nothing, and entries that the kernel counts but has lost are
 *      given back so that it finds its ring empty.
 */
#include "dirty.h"
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef KVM_DIRTY_LOG_PAGE_OFFSET
#define KVM_DIRTY_LOG_PAGE_OFFSET 0
#endif

/* Calls in a row that reset nothing before a reset is put off. */
#define RESET_TRIES 64u

struct ring_vcpu {
    struct ring_vcpu *next;
    struct kvm_dirty_gfn *gfn; /* shared with the kernel */
    uint32_t fetch;            /* next entry to be taken; counts on without end */
    uint32_t count;            /* of taken[]: not all reset yet */
    int fd;
    struct kvm_dirty_gfn taken[];
};

struct gmem_kvm_ring {
    struct gmem_kvm_ring_options options;
    uint64_t page_size;
    pthread_mutex_t lock;
    struct ring_vcpu *vcpus;
    uint64_t waiting; /* entries taken and not reset */
    bool overrun;     /* (c) */
    struct gmem__ring_sink *sinks;
    struct gmem_kvm_ring_stats stats; /* atomic, relaxed: they count */
};

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

static int call_kernel(const struct gmem_kvm_ring *ring, unsigned long request, void *arg)
{
    return gmem__kvm_ioctl(ring->options.ioctl, ring->options.ioctl_opaque, ring->options.vm_fd, request, arg);
}

static size_t ring_bytes(const struct gmem_kvm_ring *ring)
{
    return ring->options.entries * sizeof(struct kvm_dirty_gfn);
}

static struct kvm_dirty_gfn *entry_at(const struct gmem_kvm_ring *ring, const struct ring_vcpu *vcpu, uint32_t index)
{
    return &vcpu->gfn[index & (ring->options.entries - 1)];
}

/* Acquire: slot and offset were written before, and so were the entries before it. */
static bool is_dirty(const struct kvm_dirty_gfn *gfn)
{
    return (__atomic_load_n(&gfn->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_MASK) == KVM_DIRTY_GFN_F_DIRTY;
}

/* Release: the entry is read. */
static void give_back(struct kvm_dirty_gfn *gfn)
{
    __atomic_store_n(&gfn->flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
}

/*
 * (c): whether there is something to take behind entries that the kernel counts and has lost. These are given back, so
 * that it counts them no more. Entries are written in order; so if the next one is dirty after all, there is no gap.
 */
static bool skip_gap(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    uint32_t gap = 1;

    if (!ring->overrun)
        return false;
    while (gap < ring->options.entries && !is_dirty(entry_at(ring, vcpu, vcpu->fetch + gap)))
        gap++;
    if (gap == ring->options.entries)
        return is_dirty(entry_at(ring, vcpu, vcpu->fetch));
    if (is_dirty(entry_at(ring, vcpu, vcpu->fetch)))
        return true;
    ring->waiting += gap;
    for (; gap > 0; gap--)
        give_back(entry_at(ring, vcpu, vcpu->fetch++));
    return true;
}

static bool is_full(const struct gmem_kvm_ring *ring, const struct ring_vcpu *vcpu)
{
    uint32_t i;

    for (i = 0; i < ring->options.entries; i++) {
        if (!__atomic_load_n(&entry_at(ring, vcpu, i)->flags, __ATOMIC_ACQUIRE))
            return false;
    }
    return true;
}

/* No entry of a ring is free: it ran over. All is given back, also what the kernel wrote over and what was not taken. */
static void note_overrun(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    uint32_t i, rest = ring->options.entries - vcpu->count;

    ring->overrun = true;
    count(&ring->stats.overruns, 1);
    for (i = 0; i < ring->options.entries; i++)
        give_back(entry_at(ring, vcpu, i));
    vcpu->fetch += rest;
    ring->waiting += rest;
}

/* Take what a ring has; at most as much as fits, so that a guest that goes on writing does not keep us here. */
static uint32_t take(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    uint32_t before = vcpu->count;

    while (vcpu->count < ring->options.entries) {
        struct kvm_dirty_gfn *gfn = entry_at(ring, vcpu, vcpu->fetch);

        if (!is_dirty(gfn)) {
            if (skip_gap(ring, vcpu))
                continue;
            break;
        }
        vcpu->taken[vcpu->count].slot = gfn->slot;
        vcpu->taken[vcpu->count].offset = gfn->offset;
        vcpu->count++;
        vcpu->fetch++;
        give_back(gfn);
    }
    ring->waiting += vcpu->count - before;
    if (vcpu->count == ring->options.entries && is_full(ring, vcpu))
        note_overrun(ring, vcpu);
    return vcpu->count - before;
}

static void mark(struct gmem_kvm_ring *ring, const struct ring_vcpu *vcpu)
{
    const struct gmem__ring_sink *sink;
    uint32_t known = 0;

    for (sink = ring->sinks; sink; sink = sink->next)
        known += sink->mark(sink->opaque, vcpu->taken, vcpu->count);
    count(&ring->stats.strays, vcpu->count - known);
}

/*
 * Have the kernel watch the pages of all entries taken again. It says how many it did, and stops in between when this
 * thread has a signal to handle; so these wait. -EINTR: it did not get on nevertheless.
 */
static int reset(struct gmem_kvm_ring *ring)
{
    unsigned tries = RESET_TRIES;
    sigset_t all, before;
    int done = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (ring->waiting > 0 && tries > 0 && done >= 0) {
        done = call_kernel(ring, KVM_RESET_DIRTY_RINGS, NULL);
        if (done < 0)
            break;
        count(&ring->stats.resets, 1);
        ring->waiting -= (uint64_t)done < ring->waiting ? (uint64_t)done : ring->waiting;
        tries = done > 0 ? RESET_TRIES : tries - 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (done < 0)
        return done;
    return ring->waiting > 0 ? -EINTR : 0;
}

/* A ring that ran over while it was emptied keeps a reset from getting on. */
static int mend_and_reset(struct gmem_kvm_ring *ring)
{
    struct ring_vcpu *vcpu;
    bool mended = false;

    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next) {
        if (is_full(ring, vcpu)) {
            note_overrun(ring, vcpu);
            mended = true;
        }
    }
    return mended ? reset(ring) : -EINTR;
}

/* (a), (b). done: all of it is reset. */
static void mark_taken(struct gmem_kvm_ring *ring, bool done)
{
    struct ring_vcpu *vcpu;

    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next) {
        mark(ring, vcpu);
        if (done)
            vcpu->count = 0;
    }
}

static int take_and_reset(struct gmem_kvm_ring *ring)
{
    struct ring_vcpu *vcpu;
    int err;

    /* What an earlier reset left comes first: then all that is taken is all that waits. */
    err = reset(ring);
    if (err)
        return err == -EINTR ? mend_and_reset(ring) : err;
    mark_taken(ring, true);
    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next)
        count(&ring->stats.harvested, take(ring, vcpu));
    err = reset(ring);
    return err == -EINTR ? mend_and_reset(ring) : err;
}

/* With the lock held. */
static int harvest(struct gmem_kvm_ring *ring)
{
    const struct gmem__ring_sink *sink;
    int err = take_and_reset(ring);

    mark_taken(ring, !err);
    for (sink = ring->sinks; sink && ring->overrun; sink = sink->next)
        sink->mark_all(sink->opaque);
    return err;
}

int gmem__ring_harvest(gmem_kvm_ring *ring)
{
    int err;

    pthread_mutex_lock(&ring->lock);
    err = harvest(ring);
    pthread_mutex_unlock(&ring->lock);
    return err;
}

int gmem_kvm_ring_serve_full(gmem_kvm_ring *ring)
{
    if (!ring)
        return -EINVAL;
    count(&ring->stats.full, 1);
    return gmem__ring_harvest(ring);
}

void gmem__ring_add_sink(gmem_kvm_ring *ring, struct gmem__ring_sink *sink)
{
    pthread_mutex_lock(&ring->lock);
    sink->next = ring->sinks;
    ring->sinks = sink;
    pthread_mutex_unlock(&ring->lock);
}

void gmem__ring_remove_sink(gmem_kvm_ring *ring, struct gmem__ring_sink *sink)
{
    struct gmem__ring_sink **at;

    pthread_mutex_lock(&ring->lock);
    for (at = &ring->sinks; *at; at = &(*at)->next) {
        if (*at == sink) {
            *at = sink->next;
            break;
        }
    }
    pthread_mutex_unlock(&ring->lock);
}

/* --- virtual processors --- */

static struct ring_vcpu **find(struct gmem_kvm_ring *ring, int fd)
{
    struct ring_vcpu **at = &ring->vcpus;

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

static int add(struct gmem_kvm_ring *ring, int fd)
{
    struct ring_vcpu **at = find(ring, fd);
    struct ring_vcpu *vcpu;
    void *mapped;

    if (*at)
        return -EEXIST;
    vcpu = calloc(1, sizeof(*vcpu) + ring_bytes(ring));
    if (!vcpu)
        return -ENOMEM;
    mapped = mmap(NULL, ring_bytes(ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                  (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * ring->page_size));
    if (mapped == MAP_FAILED) {
        int err = -errno;

        free(vcpu);
        return err;
    }
    vcpu->gfn = mapped;
    vcpu->fd = fd;
    *at = vcpu;
    return 0;
}

int gmem_kvm_ring_add_vcpu(gmem_kvm_ring *ring, int vcpu_fd)
{
    int err;

    if (!ring)
        return -EINVAL;
    pthread_mutex_lock(&ring->lock);
    err = add(ring, vcpu_fd);
    pthread_mutex_unlock(&ring->lock);
    return err;
}

static void unmap(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    (void)munmap(vcpu->gfn, ring_bytes(ring));
    free(vcpu);
}

void gmem_kvm_ring_remove_vcpu(gmem_kvm_ring *ring, int vcpu_fd)
{
    struct ring_vcpu **at;
    struct ring_vcpu *vcpu;

    if (!ring)
        return;
    pthread_mutex_lock(&ring->lock);
    /* If the reset fails its pages are marked nevertheless, and the kernel watches them again at the next one. */
    (void)harvest(ring);
    at = find(ring, vcpu_fd);
    vcpu = *at;
    if (vcpu) {
        *at = vcpu->next;
        unmap(ring, vcpu);
    }
    if (!ring->vcpus)
        ring->waiting = 0;
    pthread_mutex_unlock(&ring->lock);
}

/* --- creation and end --- */

static int enable(struct gmem_kvm_ring *ring)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL};
    int bytes = call_kernel(ring, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap.cap);
    int err;

    if (bytes == 0) {
        cap.cap = KVM_CAP_DIRTY_LOG_RING;
        bytes = call_kernel(ring, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap.cap);
    }
    if (bytes <= 0)
        return bytes ? bytes : -ENOTSUP;
    if (!ring->options.entries)
        ring->options.entries = (uint32_t)((size_t)bytes / sizeof(struct kvm_dirty_gfn));
    if (ring->options.entries & (ring->options.entries - 1) || ring_bytes(ring) > (size_t)bytes)
        return -EINVAL;
    cap.args[0] = ring_bytes(ring);
    err = call_kernel(ring, KVM_ENABLE_CAP, &cap);
    return err < 0 ? err : 0;
}

int gmem_kvm_ring_create(const struct gmem_kvm_ring_options *options, gmem_kvm_ring **ret_ring)
{
    struct gmem_kvm_ring *ring;
    int err;

    if (!options || !ret_ring)
        return -EINVAL;
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    err = gmem__kvm_copy_options(&ring->options, sizeof(ring->options), options);
    if (!err)
        err = enable(ring);
    if (err) {
        free(ring);
        return err;
    }
    ring->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    pthread_mutex_init(&ring->lock, NULL);
    *ret_ring = ring;
    return 0;
}

void gmem_kvm_ring_destroy(gmem_kvm_ring *ring)
{
    if (!ring)
        return;
    while (ring->vcpus) {
        struct ring_vcpu *vcpu = ring->vcpus;

        ring->vcpus = vcpu->next;
        unmap(ring, vcpu);
    }
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

uint32_t gmem_kvm_ring_entries(const gmem_kvm_ring *ring)
{
    return ring->options.entries;
}

void gmem_kvm_ring_stats(const gmem_kvm_ring *ring, struct gmem_kvm_ring_stats *ret_stats)
{
    const struct gmem_kvm_ring_stats *stats = &ring->stats;

    ret_stats->harvested = __atomic_load_n(&stats->harvested, __ATOMIC_RELAXED);
    ret_stats->resets = __atomic_load_n(&stats->resets, __ATOMIC_RELAXED);
    ret_stats->strays = __atomic_load_n(&stats->strays, __ATOMIC_RELAXED);
    ret_stats->overruns = __atomic_load_n(&stats->overruns, __ATOMIC_RELAXED);
    ret_stats->full = __atomic_load_n(&stats->full, __ATOMIC_RELAXED);
}
