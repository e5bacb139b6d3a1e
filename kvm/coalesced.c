/* SPDX-License-Identifier: MIT */
/*
 * coalesced.c - owns the table of coalesced intervals of a space of memory and one of ports, keeps it, and the kernel's,
 * as the views say, and takes writes out of the kernel's ring.
 *
 * Two listeners. The table is touched with the vm's writer turn held; the ring by whoever drains.
 *
 *  (a) A zone is in the table while it is wanted, or the kernel has it. In a commit that is not an undo the two agree, or
 *      it is refused. Where the kernel refuses an undo they disagree, and every later commit that is heard tries again.
 *  (b) An undo needs no memory: zones that go leave their room, and there is as much again for those that stay.
 *  (c) Writes are delivered one at a time, in the ring's order, each before it leaves the ring. So who finds the ring
 *      empty knows that all are delivered.
 *  (d) The lock guards who drains, for moments, and is not held while a write is delivered. Who comes meanwhile waits; but
 *      not the thread that drains (its write is being delivered, those behind come after it), and not a commit, since the
 *      one who drains may be waiting for the turn.
 *  (e) A drain delivers what was in the ring when it began, and no more.
 *
 * The kernel's Documentation/virt/kvm/api.rst has the ring: first is the next entry to be taken, moved on by the program;
 * last the next to be filled, moved on by the kernel. Taking a zone away from the kernel takes each that contains it.
 */
#include "internal.h"
#include "slotplan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmem/access.h>
#include <gmem/listener.h>
#include <gmem/vm.h>

/* More pieces of one interval than any kernel takes. */
#define PIECES_MAX 4096u

struct zone {
    uint64_t addr;
    uint32_t size;
    bool ports;
    bool wanted;
    bool there; /* the kernel has it */
};

/* One of the two spaces. */
struct side {
    struct gmem_kvm_coalesced *coalesced;
    gmem_space *space; /* NULL: none */
    struct gmem_listener listener;
    bool ports;
};

struct gmem_kvm_coalesced {
    struct gmem_kvm_coalesced_options options;
    gmem_vm *vm;
    struct side memory, ports;
    uint32_t page; /* where the ring is in a virtual processor's mapping, in pages */
    bool has_ports;
    uint64_t page_size;

    struct zone *zones;
    size_t count, room;

    struct kvm_coalesced_mmio_ring *ring; /* atomic; set once, with the lock held */
    uint32_t ring_entries;
    pthread_mutex_t lock;
    pthread_cond_t drained;
    bool draining;
    pthread_t drainer;

    struct gmem_kvm_coalesced_stats stats; /* atomic, relaxed: they count */
};

static int call_kernel(const struct gmem_kvm_coalesced *coalesced, unsigned long request, void *arg)
{
    return gmem__kvm_ioctl(coalesced->options.ioctl, coalesced->options.ioctl_opaque, coalesced->options.vm_fd, request,
                           arg);
}

/* --- zones --- */

static int tell_kernel(struct gmem_kvm_coalesced *coalesced, struct zone *zone, bool there)
{
    struct kvm_coalesced_mmio_zone call = {.addr = zone->addr, .size = zone->size, .pio = zone->ports};
    int err = call_kernel(coalesced, there ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &call);

    if (err < 0)
        return err;
    zone->there = there;
    return 0;
}

static bool contains(const struct zone *outer, const struct zone *inner)
{
    return outer->ports == inner->ports && inner->addr >= outer->addr &&
           inner->addr - outer->addr + inner->size <= outer->size;
}

/* Take a zone away; the kernel takes those around it too, which are put back. */
static int take_away(struct gmem_kvm_coalesced *coalesced, struct zone *zone)
{
    size_t i;
    int err = tell_kernel(coalesced, zone, false);

    for (i = 0; i < coalesced->count && !err; i++) {
        struct zone *other = &coalesced->zones[i];

        if (other == zone || !other->there || !contains(other, zone))
            continue;
        other->there = false;
        if (other->wanted)
            (void)tell_kernel(coalesced, other, true);
    }
    return err;
}

static void count_zones(struct gmem_kvm_coalesced *coalesced)
{
    uint32_t there = 0, missing = 0;
    size_t i;

    for (i = 0; i < coalesced->count; i++) {
        there += coalesced->zones[i].there;
        missing += coalesced->zones[i].wanted && !coalesced->zones[i].there;
    }
    __atomic_store_n(&coalesced->stats.intervals, there, __ATOMIC_RELAXED);
    __atomic_store_n(&coalesced->stats.missing, missing, __ATOMIC_RELAXED);
}

static void drop_if_done(struct gmem_kvm_coalesced *coalesced, struct zone *zone)
{
    if (!zone->wanted && !zone->there)
        *zone = coalesced->zones[--coalesced->count];
}

/* The zone equal to sought that is wanted or, if want is false, that the kernel would not let go. */
static struct zone *find(struct gmem_kvm_coalesced *coalesced, const struct zone *sought, bool want)
{
    size_t i;

    for (i = 0; i < coalesced->count; i++) {
        struct zone *zone = &coalesced->zones[i];

        if (zone->addr == sought->addr && zone->size == sought->size && zone->ports == sought->ports &&
            zone->wanted == want)
            return zone;
    }
    return NULL;
}

/* The zones of a section: the kernel's are at most 2^32 - 1 bytes large, so there may be several. */
static struct zone zone_at(const struct gmem_section *section, bool ports, uint64_t offset)
{
    uint64_t left = section->last - section->first - offset;

    return (struct zone){
        .addr = section->first + offset, .size = left < UINT32_MAX ? (uint32_t)left + 1 : UINT32_MAX, .ports = ports};
}

static size_t zones_of(const struct gmem_section *section)
{
    return (size_t)((section->last - section->first) / UINT32_MAX) + 1;
}

static int reserve(struct gmem_kvm_coalesced *coalesced, size_t more)
{
    void *array = coalesced->zones;
    int err = gmem__kvm_grow(&array, &coalesced->room, 2 * (coalesced->count + more), sizeof(struct zone));

    coalesced->zones = array;
    return coalesced->count + more <= coalesced->room ? 0 : err;
}

static int add_zone(struct gmem_kvm_coalesced *coalesced, const struct zone *sought, bool undoing)
{
    struct zone *zone = find(coalesced, sought, false);
    int err = 0;

    if (!zone) {
        zone = &coalesced->zones[coalesced->count++];
        *zone = *sought;
    }
    if (!zone->there)
        err = tell_kernel(coalesced, zone, true);
    zone->wanted = !err || undoing;
    drop_if_done(coalesced, zone);
    return err;
}

static int del_zone(struct gmem_kvm_coalesced *coalesced, const struct zone *sought, bool undoing)
{
    struct zone *zone = find(coalesced, sought, true);
    int err = 0;

    if (!zone)
        return 0;
    zone->wanted = false;
    if (zone->there)
        err = take_away(coalesced, zone);
    zone->wanted = err && !undoing;
    drop_if_done(coalesced, zone);
    return err;
}

/* --- the ring --- */

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

static void deliver(struct gmem_kvm_coalesced *coalesced, const struct kvm_coalesced_mmio *write)
{
    gmem_space *space = write->pio ? coalesced->ports.space : coalesced->memory.space;

    if (!space || write->len < 1 || write->len > sizeof(write->data)) {
        count(&coalesced->stats.bad, 1);
        return;
    }
    count(&coalesced->stats.delivered, 1);
    (void)gmem_space_write(space, write->phys_addr, coalesced->options.attrs, write->data, write->len);
}

/* (c): an entry leaves the ring when it is delivered. The release pairs with the acquire in is_empty(). */
static void deliver_all(struct gmem_kvm_coalesced *coalesced, struct kvm_coalesced_mmio_ring *ring)
{
    /* Acquire: what the kernel put in the ring is there. Only the one who drains moves first. */
    uint32_t last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % coalesced->ring_entries;
    uint32_t first = __atomic_load_n(&ring->first, __ATOMIC_RELAXED) % coalesced->ring_entries;

    if (first != last)
        count(&coalesced->stats.drains, 1);
    while (first != last) {
        struct kvm_coalesced_mmio write = ring->coalesced_mmio[first];

        deliver(coalesced, &write);
        first = (first + 1) % coalesced->ring_entries;
        __atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
    }
}

static bool is_empty(const struct kvm_coalesced_mmio_ring *ring)
{
    return __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) == __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE);
}

static bool begin_drain(struct gmem_kvm_coalesced *coalesced, bool wait)
{
    bool mine;

    pthread_mutex_lock(&coalesced->lock);
    while (wait && coalesced->draining && !pthread_equal(coalesced->drainer, pthread_self()))
        pthread_cond_wait(&coalesced->drained, &coalesced->lock);
    mine = !coalesced->draining;
    if (mine) {
        coalesced->draining = true;
        coalesced->drainer = pthread_self();
    }
    pthread_mutex_unlock(&coalesced->lock);
    return mine;
}

static void end_drain(struct gmem_kvm_coalesced *coalesced)
{
    pthread_mutex_lock(&coalesced->lock);
    coalesced->draining = false;
    pthread_cond_broadcast(&coalesced->drained);
    pthread_mutex_unlock(&coalesced->lock);
}

static void drain(struct gmem_kvm_coalesced *coalesced, bool wait)
{
    struct kvm_coalesced_mmio_ring *ring = __atomic_load_n(&coalesced->ring, __ATOMIC_ACQUIRE);

    if (!ring || is_empty(ring) || !begin_drain(coalesced, wait))
        return;
    deliver_all(coalesced, ring);
    end_drain(coalesced);
}

void gmem_kvm_coalesced_drain(gmem_kvm_coalesced *coalesced)
{
    if (coalesced)
        drain(coalesced, true);
}

void gmem_kvm_coalesced_flush(void *opaque)
{
    gmem_kvm_coalesced_drain(opaque);
}

int gmem_kvm_coalesced_handle_exit(gmem_kvm_coalesced *coalesced, gmem_space *memory, gmem_space *ports,
                                   struct kvm_run *run, struct gmem_attrs attrs, gmem_result *ret_result)
{
    gmem_kvm_coalesced_drain(coalesced);
    return gmem_kvm_handle_exit(memory, ports, run, attrs, ret_result);
}

int gmem_kvm_coalesced_add_vcpu(gmem_kvm_coalesced *coalesced, int vcpu_fd)
{
    void *at;
    int err = 0;

    if (!coalesced)
        return -EINVAL;
    pthread_mutex_lock(&coalesced->lock);
    if (!coalesced->ring) {
        at = mmap(NULL, coalesced->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
                  (off_t)(coalesced->page * coalesced->page_size));
        if (at == MAP_FAILED)
            err = -errno;
        else
            __atomic_store_n(&coalesced->ring, at, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&coalesced->lock);
    return err;
}

/* --- what the listeners hear --- */

static int on_add(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct side *side = listener->opaque;
    struct gmem_kvm_coalesced *coalesced = side->coalesced;
    size_t i, pieces = zones_of(section);
    struct zone zone;
    int err;

    /* A kernel without them for ports makes exits there, which is right too. */
    if (side->ports && !coalesced->has_ports)
        return 0;
    err = pieces > PIECES_MAX ? -ENOSPC : reserve(coalesced, pieces);
    if (err)
        return err;
    for (i = 0; i < pieces && (!err || listener->undoing); i++) {
        zone = zone_at(section, side->ports, i * UINT32_MAX);
        err = add_zone(coalesced, &zone, listener->undoing);
    }
    if (err && !listener->undoing) {
        for (i--; i-- > 0;) {
            zone = zone_at(section, side->ports, i * UINT32_MAX);
            (void)del_zone(coalesced, &zone, true);
        }
    }
    count_zones(coalesced);
    return err;
}

static int on_del(struct gmem_listener *listener, const struct gmem_section *section)
{
    struct side *side = listener->opaque;
    struct gmem_kvm_coalesced *coalesced = side->coalesced;
    size_t i, pieces = zones_of(section);
    struct zone zone;
    int err = 0;

    for (i = 0; i < pieces && (!err || listener->undoing); i++) {
        zone = zone_at(section, side->ports, i * UINT32_MAX);
        err = del_zone(coalesced, &zone, listener->undoing);
    }
    if (err && !listener->undoing) {
        for (i--; i-- > 0;) {
            zone = zone_at(section, side->ports, i * UINT32_MAX);
            (void)add_zone(coalesced, &zone, true);
        }
    }
    count_zones(coalesced);
    /* Nothing comes in any more; what came is of the map of before. */
    drain(coalesced, false);
    return err;
}

/* Mend what an undo could not. */
static int on_commit(struct gmem_listener *listener)
{
    struct side *side = listener->opaque;
    struct gmem_kvm_coalesced *coalesced = side->coalesced;
    size_t i;

    if (listener->undoing)
        return 0;
    for (i = coalesced->count; i-- > 0;) {
        struct zone *zone = &coalesced->zones[i];

        if (zone->wanted && !zone->there)
            (void)tell_kernel(coalesced, zone, true);
        else if (!zone->wanted && !take_away(coalesced, zone))
            drop_if_done(coalesced, zone);
    }
    count_zones(coalesced);
    return 0;
}

/* --- creation and end --- */

static int prepare(struct gmem_kvm_coalesced *coalesced, const struct gmem_kvm_coalesced_options *options)
{
    int err = gmem__kvm_copy_options(&coalesced->options, sizeof(coalesced->options), options);
    int page;

    if (err)
        return err;
    page = call_kernel(coalesced, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_COALESCED_MMIO);
    if (page <= 0)
        return page ? page : -ENOTSUP;
    err = call_kernel(coalesced, KVM_CHECK_EXTENSION, (void *)(uintptr_t)KVM_CAP_COALESCED_PIO);
    if (err < 0)
        return err;
    coalesced->has_ports = err > 0;
    coalesced->page = (uint32_t)page;
    coalesced->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    coalesced->ring_entries =
        (uint32_t)((coalesced->page_size - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio));
    return 0;
}

static int attach(struct gmem_kvm_coalesced *coalesced, struct side *side, gmem_space *space, bool ports)
{
    side->coalesced = coalesced;
    side->ports = ports;
    side->space = space;
    side->listener = (struct gmem_listener){.struct_size = sizeof(side->listener),
                                            .name = ports ? "kvm coalesced ports" : "kvm coalesced memory",
                                            .opaque = side,
                                            .priority = coalesced->options.priority,
                                            .commit = on_commit,
                                            .coalesced_add = on_add,
                                            .coalesced_del = on_del};
    return space ? gmem_listener_register(coalesced->vm, space, &side->listener) : 0;
}

static void free_coalesced(struct gmem_kvm_coalesced *coalesced)
{
    if (coalesced->ring)
        (void)munmap(coalesced->ring, coalesced->page_size);
    pthread_cond_destroy(&coalesced->drained);
    pthread_mutex_destroy(&coalesced->lock);
    free(coalesced->zones);
    free(coalesced);
}

static int make(gmem_space *memory, gmem_space *ports, const struct gmem_kvm_coalesced_options *options,
                struct gmem_kvm_coalesced *coalesced)
{
    int err = prepare(coalesced, options);

    if (err)
        return err;
    coalesced->vm = gmem_space_vm(memory);
    if (ports && gmem_space_vm(ports) != coalesced->vm)
        return -EXDEV;
    err = attach(coalesced, &coalesced->memory, memory, false);
    if (err)
        return err;
    err = attach(coalesced, &coalesced->ports, ports, true);
    if (err)
        gmem_listener_unregister(coalesced->vm, &coalesced->memory.listener);
    return err;
}

int gmem_kvm_coalesced_create(gmem_space *memory, gmem_space *ports, const struct gmem_kvm_coalesced_options *options,
                              gmem_kvm_coalesced **ret_coalesced)
{
    struct gmem_kvm_coalesced *coalesced;
    int err;

    if (!memory || !options || !ret_coalesced)
        return -EINVAL;
    coalesced = calloc(1, sizeof(*coalesced));
    if (!coalesced)
        return -ENOMEM;
    pthread_mutex_init(&coalesced->lock, NULL);
    pthread_cond_init(&coalesced->drained, NULL);
    err = make(memory, ports, options, coalesced);
    if (err) {
        free_coalesced(coalesced);
        return err;
    }
    *ret_coalesced = coalesced;
    return 0;
}

void gmem_kvm_coalesced_destroy(gmem_kvm_coalesced *coalesced)
{
    if (!coalesced)
        return;
    gmem_kvm_coalesced_drain(coalesced);
    if (coalesced->ports.space)
        gmem_listener_unregister(coalesced->vm, &coalesced->ports.listener);
    gmem_listener_unregister(coalesced->vm, &coalesced->memory.listener);
    /* What the kernel would not let go. */
    while (coalesced->count > 0) {
        coalesced->count--;
        if (coalesced->zones[coalesced->count].there)
            (void)tell_kernel(coalesced, &coalesced->zones[coalesced->count], false);
    }
    free_coalesced(coalesced);
}

void gmem_kvm_coalesced_stats(const gmem_kvm_coalesced *coalesced, struct gmem_kvm_coalesced_stats *ret_stats)
{
    const struct gmem_kvm_coalesced_stats *stats = &coalesced->stats;

    ret_stats->drains = __atomic_load_n(&stats->drains, __ATOMIC_RELAXED);
    ret_stats->delivered = __atomic_load_n(&stats->delivered, __ATOMIC_RELAXED);
    ret_stats->bad = __atomic_load_n(&stats->bad, __ATOMIC_RELAXED);
    ret_stats->intervals = __atomic_load_n(&stats->intervals, __ATOMIC_RELAXED);
    ret_stats->missing = __atomic_load_n(&stats->missing, __ATOMIC_RELAXED);
}
