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
 *      they write over entries that nobody has taken, or that were given back and not yet reset. Then entries are lost, and
 *      their pages are watched no longer. That shows as a ring without a free entry, or as a reset that does not get on. From
 *      then on every harvest marks all that is logged, which loses nothing.
 *
 * A ring that ran over works on:
 *
 *  (d) An entry is given back only if the kernel has it before it: else its reset would come past what it writes, and it
 *      would take the ring for full for ever. Entries are written in order. So an entry that is not 0 proves all
 *      before it, back to the kernel's position, which is at most a lap; and who turns dirty entries into such that are to be
 *      reset, each at most once, gives back no more than there were. That holds while processors go on writing.
 *  (e) The kernel's position is known exactly. If it did all that was asked for, it is where we are. If not, it is at the first
 *      entry that it gets on from when that alone is given back.
 *  (f) What the kernel counts and has lost keeps a ring from looking empty to it: its position is at an entry that is 0,
 *      and what it writes next comes further on. Then all before that is given back (d). If it counts so many that it
 *      lets the processor write nothing, this one says that its ring is full, again, and there was nothing in it
 *      in between. Then there is one to be given back.
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

/* Calls in a row that reset nothing before a reset is given up. */
#define RESET_TRIES 16u
/* How often a ring that goes on running over is emptied in one harvest. */
#define MEND_LAPS 4u

struct ring_vcpu {
    struct ring_vcpu *next;
    struct kvm_dirty_gfn *gfn; /* shared with the kernel */
    uint32_t reset;            /* the kernel's position: the next entry that it resets; counts on without end */
    uint32_t fetch;            /* next entry to be taken: at most a lap further */
    uint32_t count;            /* of taken[]: not all reset yet */
    int fd;
    bool overrun; /* (c) */
    bool idle;    /* (f): nothing was in it since the processor came with a full ring */
    struct kvm_dirty_gfn taken[];
};

struct gmem_kvm_ring {
    struct gmem_kvm_ring_options options;
    uint64_t page_size;
    pthread_mutex_t lock;
    struct ring_vcpu *vcpus;
    uint64_t strangers; /* entries given back by processors that went before they were reset */
    bool overrun;       /* (c): of any that ever was */
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
static uint32_t state_of(const struct kvm_dirty_gfn *gfn)
{
    uint32_t flags = __atomic_load_n(&gfn->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_MASK;

    return flags & KVM_DIRTY_GFN_F_RESET ? KVM_DIRTY_GFN_F_RESET : flags;
}

/* Release: the entry is read. */
static void give_back(struct kvm_dirty_gfn *gfn)
{
    __atomic_store_n(&gfn->flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
}

static uint32_t waiting(const struct ring_vcpu *vcpu)
{
    return vcpu->fetch - vcpu->reset;
}

static void note_overrun(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    vcpu->overrun = true;
    ring->overrun = true;
    count(&ring->stats.overruns, 1);
}

/* A dirty entry. Where there is no room for it, the ring ran over, and everything is marked. */
static void take_entry(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu, struct kvm_dirty_gfn *gfn)
{
    if (vcpu->count < ring->options.entries) {
        vcpu->taken[vcpu->count].slot = gfn->slot;
        vcpu->taken[vcpu->count].offset = gfn->offset;
        vcpu->count++;
    }
    give_back(gfn);
}

/* (f): how many entries are before the next that is not 0; none if there is no such. */
static uint32_t gap_of(const struct gmem_kvm_ring *ring, const struct ring_vcpu *vcpu)
{
    uint32_t gap = 0, most = ring->options.entries - waiting(vcpu);

    while (vcpu->overrun && gap < most && !state_of(entry_at(ring, vcpu, vcpu->fetch + gap)))
        gap++;
    return vcpu->overrun && gap < most ? gap : 0;
}

/* Take what a ring has; at most a lap, so that a guest that goes on writing does not keep us here. */
static void take(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    uint32_t taken = 0, gap;

    while (waiting(vcpu) < ring->options.entries) {
        struct kvm_dirty_gfn *gfn = entry_at(ring, vcpu, vcpu->fetch);
        uint32_t state = state_of(gfn);

        if (state == KVM_DIRTY_GFN_F_DIRTY) {
            take_entry(ring, vcpu, gfn);
            taken++;
        }
        gap = state ? 1 : gap_of(ring, vcpu);
        if (!gap)
            break;
        for (; gap > 0; gap--) {
            if (!state)
                give_back(entry_at(ring, vcpu, vcpu->fetch));
            vcpu->fetch++;
        }
        vcpu->idle = false;
    }
    count(&ring->stats.harvested, taken);
    if (waiting(vcpu) == ring->options.entries)
        note_overrun(ring, vcpu);
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
 * Have the kernel reset entries until it did so many, or gets on no more; how many is added up. It stops in between when this
 * thread has a signal to handle; so these wait.
 */
static int call_reset(struct gmem_kvm_ring *ring, uint64_t wanted, uint64_t *ret_done)
{
    unsigned tries = RESET_TRIES;
    sigset_t all, before;
    int done = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (*ret_done < wanted && tries > 0) {
        done = call_kernel(ring, KVM_RESET_DIRTY_RINGS, NULL);
        if (done < 0)
            break;
        count(&ring->stats.resets, 1);
        *ret_done += (uint64_t)done;
        tries = done > 0 ? RESET_TRIES : tries - 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return done < 0 ? done : 0;
}

/*
 * (e): the kernel did not reset all that was given back, and stands still. So only a ring in which an entry is given back gets
 * on, and only if that is where the kernel is. Entries that are 0 it has reset; dirty ones it has reset
 * and written again, or written over. 1: found, and it got on. 0: it had reset all.
 */
static int find_position(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    for (; waiting(vcpu) > 0; vcpu->reset++) {
        struct kvm_dirty_gfn *gfn = entry_at(ring, vcpu, vcpu->reset);
        uint32_t state = state_of(gfn);
        uint64_t done = 0;
        int err;

        if (!state)
            continue;
        if (state == KVM_DIRTY_GFN_F_DIRTY)
            take_entry(ring, vcpu, gfn);
        err = call_reset(ring, 1, &done);
        if (err && state == KVM_DIRTY_GFN_F_DIRTY)
            __atomic_store_n(&gfn->flags, (uint32_t)KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
        if (err)
            return err;
        if (done > 0) {
            vcpu->reset += (uint32_t)done;
            if (state == KVM_DIRTY_GFN_F_DIRTY)
                note_overrun(ring, vcpu);
            return 1;
        }
        if (state == KVM_DIRTY_GFN_F_RESET)
            return -EINTR;
    }
    return 0;
}

/* Empty a ring in which alone the kernel gets on, and where it is known. What is left then is for the next harvest. */
static int mend(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    unsigned laps = MEND_LAPS;
    int err = 0;

    do {
        uint64_t done = 0;

        vcpu->fetch = vcpu->reset;
        take(ring, vcpu);
        err = call_reset(ring, waiting(vcpu), &done);
        vcpu->reset += (uint32_t)done;
    } while (!err && waiting(vcpu) > 0 && --laps > 0);
    return err;
}

/*
 * Have the kernel watch the pages of all entries taken again. -EINTR: it stopped though nothing keeps it from getting on.
 */
static int reset(struct gmem_kvm_ring *ring)
{
    struct ring_vcpu *vcpu;
    uint64_t wanted = ring->strangers, done = 0;
    int err;

    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next)
        wanted += waiting(vcpu);
    err = call_reset(ring, wanted, &done);
    if (err)
        return err;
    ring->strangers = 0;
    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next) {
        if (done == wanted)
            vcpu->reset = vcpu->fetch;
    }
    for (vcpu = ring->vcpus; vcpu && err >= 0; vcpu = vcpu->next) {
        err = find_position(ring, vcpu);
        if (err > 0)
            err = mend(ring, vcpu);
    }
    return err;
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
        return err;
    mark_taken(ring, true);
    for (vcpu = ring->vcpus; vcpu; vcpu = vcpu->next)
        take(ring, vcpu);
    return reset(ring);
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

static struct ring_vcpu **find(struct gmem_kvm_ring *ring, int fd)
{
    struct ring_vcpu **at = &ring->vcpus;

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

/* (f): the processor has come here before, has run since, and there was nothing in its ring. */
static int release_one(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    give_back(entry_at(ring, vcpu, vcpu->fetch));
    vcpu->fetch++;
    return reset(ring);
}

static int serve_full(struct gmem_kvm_ring *ring, struct ring_vcpu *vcpu)
{
    int err = harvest(ring);

    if (err || !vcpu)
        return err;
    if (vcpu->idle)
        err = release_one(ring, vcpu);
    vcpu->idle = !err && vcpu->overrun && !waiting(vcpu);
    return err;
}

int gmem_kvm_ring_serve_full(gmem_kvm_ring *ring, int vcpu_fd)
{
    int err;

    if (!ring)
        return -EINVAL;
    count(&ring->stats.full, 1);
    pthread_mutex_lock(&ring->lock);
    err = serve_full(ring, *find(ring, vcpu_fd));
    pthread_mutex_unlock(&ring->lock);
    return err;
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
        ring->strangers += waiting(vcpu);
        unmap(ring, vcpu);
    }
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
