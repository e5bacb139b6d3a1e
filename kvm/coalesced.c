/* SPDX-License-Identifier: MIT */
/*
 * coalesced.c - owns the table of coalesced intervals of a space of memory and one of ports, and keeps it, and the kernel's,
 * as the views say.
 *
 * Two listeners; the table is touched with the vm's writer turn held. The ring is coalesced_ring.c's.
 *
 *  (a) A zone is in the table while it is wanted, or the kernel has it. In a commit that is not an undo the two agree, or
 *      it is refused. Where the kernel refuses an undo they disagree, and every later commit that is heard tries again.
 *  (b) An undo needs no memory: zones that go leave their room, and there is as much again for those that stay.
 *  (c) When a zone has been taken away, what is in the ring is resolved under the map of before. Nothing is delivered in
 *      a commit. The kernel has a zone only while the published map has it, or in the commit that adds it, after all that
 *      this takes away: so what is resolved in a commit is for a device of the map of before, and no iommu region is asked.
 *
 * The kernel's Documentation/virt/kvm/api.rst: taking a zone away from the kernel takes each that contains it.
 */
#include "coalesced_ring.h"
#include "slotplan.h"

#include <errno.h>
#include <stdlib.h>

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

    struct zone *zones;
    size_t count, room;
    uint32_t there, missing; /* of them; atomic, relaxed: they count */

    struct gmem__coalesced_ring ring;
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
    __atomic_store_n(&coalesced->there, there, __ATOMIC_RELAXED);
    __atomic_store_n(&coalesced->missing, missing, __ATOMIC_RELAXED);
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

void gmem_kvm_coalesced_drain(gmem_kvm_coalesced *coalesced)
{
    if (coalesced)
        (void)gmem__coalesced_ring_drain(&coalesced->ring);
}

void gmem_kvm_coalesced_flush(void *opaque)
{
    gmem_kvm_coalesced_drain(opaque);
}

int gmem_kvm_coalesced_handle_exit(gmem_kvm_coalesced *coalesced, gmem_space *memory, gmem_space *ports,
                                   struct kvm_run *run, struct gmem_attrs attrs, gmem_result *ret_result)
{
    if (coalesced && !gmem__coalesced_ring_drain(&coalesced->ring))
        return -EBUSY;
    return gmem_kvm_handle_exit(memory, ports, run, attrs, ret_result);
}

int gmem_kvm_coalesced_add_vcpu(gmem_kvm_coalesced *coalesced, int vcpu_fd)
{
    return coalesced ? gmem__coalesced_ring_map(&coalesced->ring, vcpu_fd, coalesced->page) : -EINVAL;
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
    /* Nothing comes in any more; what came is of the map of before. In an undo that is the map of after. */
    if (!err && !listener->undoing)
        gmem__coalesced_ring_resolve(&coalesced->ring, side->ports);
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
    gmem__coalesced_ring_end(&coalesced->ring);
    free(coalesced->zones);
    free(coalesced);
}

static int make(gmem_space *memory, gmem_space *ports, const struct gmem_kvm_coalesced_options *options,
                struct gmem_kvm_coalesced *coalesced)
{
    int err = gmem__coalesced_ring_init(&coalesced->ring, memory, ports);

    if (!err)
        err = prepare(coalesced, options);
    if (err)
        return err;
    coalesced->ring.attrs = coalesced->options.attrs;
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
    ret_stats->drains = __atomic_load_n(&coalesced->ring.drains, __ATOMIC_RELAXED);
    ret_stats->delivered = __atomic_load_n(&coalesced->ring.delivered, __ATOMIC_RELAXED);
    ret_stats->bad = __atomic_load_n(&coalesced->ring.bad, __ATOMIC_RELAXED);
    ret_stats->intervals = __atomic_load_n(&coalesced->there, __ATOMIC_RELAXED);
    ret_stats->missing = __atomic_load_n(&coalesced->missing, __ATOMIC_RELAXED);
}
