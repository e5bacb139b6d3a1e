/* SPDX-License-Identifier: MIT */
/*
 * region.c - regions as objects: references, the edges between them, their end, what can be asked of one.
 *
 * Owns the graph's edges. Invariants, with the writer turn held:
 *   - a region is in its container's child index exactly while p.container is set;
 *   - an alias is on its target's list of aliases exactly while p.target is set;
 *   - containers form a forest; with aliases there may be cycles, but nothing is seen in itself (region_edit.c sees to both).
 *
 * Containers hold references on what they contain and aliases on what they show. So an alias that
 * shows a container it is in keeps both alive until it is taken out or aimed elsewhere, or the vm
 * ends.
 *
 * References may be dropped on any thread, but edges may be cut only with the turn: a region nobody
 * can reach any more goes on vm->dead and is buried by whoever has the turn next.
 */
#include "region.h"
#include "backlog.h"
#include "child_index.h"
#include "discard.h"
#include "iommu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

gmem_region *gmem_region_ref(gmem_region *region)
{
    __atomic_fetch_add(&region->refs, 1, __ATOMIC_RELAXED);
    return region;
}

void gmem_region_unref(gmem_region *region)
{
    gmem_vm *vm;
    gmem_region *head;

    if (!region)
        return;
    vm = region->vm;
    /*
     * Release: what this thread did with the region comes before its end. Acquire: and after
     * everybody else's.
     */
    if (__atomic_sub_fetch(&region->refs, 1, __ATOMIC_SEQ_CST) > 0)
        return;
    /*
     * Until it is buried its children are still in it, and the journal of an edit of theirs takes a reference and gives it
     * up once more. Only the owner of the turn does that, who is also the one to bury.
     */
    if (__atomic_exchange_n(&region->dead, true, __ATOMIC_SEQ_CST))
        return;
    head = __atomic_load_n(&vm->dead, __ATOMIC_RELAXED);
    do {
        region->dead_next = head;
        /* Release pairs with the acquire exchange in gmem__region_bury(). */
    } while (!__atomic_compare_exchange_n(&vm->dead, &head, region, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    gmem__turn_poke(vm);
}

void gmem__region_pin(gmem_region *region)
{
    gmem_region_ref(region);
    if (__atomic_fetch_add(&region->pins, 1, __ATOMIC_ACQ_REL) == 0 && region->owner && region->owner->ref)
        region->owner->ref(region->owner->opaque);
}

static void owner_unref(const gmem_region *region)
{
    if (region->owner && region->owner->unref)
        region->owner->unref(region->owner->opaque);
}

void gmem__region_unpin(gmem_region *region)
{
    if (__atomic_sub_fetch(&region->pins, 1, __ATOMIC_ACQ_REL) == 0)
        owner_unref(region);
    gmem_region_unref(region);
}

struct gmem__eventfds *gmem__eventfds_alloc(size_t count)
{
    struct gmem__eventfds *eventfds =
        calloc(1, sizeof(*eventfds) + count * (sizeof(eventfds->items[0]) + sizeof(eventfds->signals[0])));

    if (!eventfds)
        return NULL;
    eventfds->refs = 1;
    eventfds->signals = (struct gmem__signal **)(void *)(eventfds->items + count);
    return eventfds;
}

void gmem__eventfds_unref(struct gmem__eventfds *eventfds)
{
    size_t i;

    if (!eventfds || __atomic_sub_fetch(&eventfds->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (i = 0; i < eventfds->count; i++)
        gmem__signal_unref(eventfds->signals[i]);
    free(eventfds);
}

void gmem__intervals_unref(struct gmem__intervals *intervals)
{
    if (intervals && __atomic_sub_fetch(&intervals->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(intervals);
}

static struct gmem__eventfds *eventfds_ref(struct gmem__eventfds *eventfds)
{
    if (eventfds)
        __atomic_fetch_add(&eventfds->refs, 1, __ATOMIC_RELAXED);
    return eventfds;
}

static struct gmem__intervals *intervals_ref(struct gmem__intervals *intervals)
{
    if (intervals)
        __atomic_fetch_add(&intervals->refs, 1, __ATOMIC_RELAXED);
    return intervals;
}

void gmem__props_ref(const struct gmem__props *props)
{
    if (props->target)
        gmem_region_ref(props->target);
    eventfds_ref(props->eventfds);
    intervals_ref(props->coalesced);
}

void gmem__props_unref(const struct gmem__props *props)
{
    gmem_region_unref(props->target);
    gmem__eventfds_unref(props->eventfds);
    gmem__intervals_unref(props->coalesced);
}

/* Count child among the enabled children of its container, or no longer. */
static void count_enabled(const gmem_region *child, bool add)
{
    gmem_region *container = child->p.container;

    if (!gmem__region_enabled(child))
        return;
    container->children_enabled += add ? 1 : -1u;
    container->enabled_xor ^= (uintptr_t)child;
}

static void link_alias(gmem_region *region)
{
    gmem_region *target = region->p.target;

    region->next_alias = target->aliases;
    if (region->next_alias)
        region->next_alias->alias_link = &region->next_alias;
    region->alias_link = &target->aliases;
    target->aliases = region;
}

static void unlink_alias(gmem_region *region)
{
    *region->alias_link = region->next_alias;
    if (region->next_alias)
        region->next_alias->alias_link = region->alias_link;
}

void gmem__region_apply(gmem_region *region, const struct gmem__props *props)
{
    gmem_region *was = region->p.container, *target = region->p.target;
    bool reindex = was != props->container || region->p.seq != props->seq || region->p.priority != props->priority ||
                   region->p.offset != props->offset || region->p.last != props->last;

    if (was) {
        count_enabled(region, false);
        if (reindex)
            gmem__child_index_remove(&was->child_index, region);
    }
    region->p = *props;
    if (region->p.container) {
        count_enabled(region, true);
        if (reindex)
            gmem__child_index_insert(&region->p.container->child_index, region);
    }
    if (target != props->target) {
        if (target)
            unlink_alias(region);
        if (props->target)
            link_alias(region);
    }
    if (!was && props->container)
        gmem_region_ref(region);
    else if (was && !props->container)
        gmem_region_unref(region);
}

static void walk_visit(gmem_region *region, uint64_t epoch, gmem_region **work)
{
    if (region->mark == epoch)
        return;
    region->mark = epoch;
    region->walk_next = *work;
    *work = region;
}

void gmem__region_mark_up(gmem_region *region, uint64_t epoch)
{
    gmem_region *work = NULL, *alias;

    walk_visit(region, epoch, &work);
    while (work) {
        region = work;
        work = region->walk_next;
        if (region->p.container)
            walk_visit(region->p.container, epoch, &work);
        for (alias = region->aliases; alias; alias = alias->next_alias)
            walk_visit(alias, epoch, &work);
    }
}

/* --- what is around the callbacks ------------------------------------------------------------------------------------- */

/* It is there for good once it is. */
static int make_device(gmem_region *region)
{
    struct gmem__device *device;

    if (region->device)
        return 0;
    device = calloc(1, sizeof(*device));
    if (!device)
        return -ENOMEM;
    gmem__rcu_set(region->device, device);
    return 0;
}

int gmem__region_watch(gmem_region *region)
{
    int err = make_device(region);

    if (!err && region->ops && !region->device->looked) {
        region->device->looked = true;
        gmem__mmio_ops_look(region->vm, region->ops, true);
    }
    return err;
}

/* The guard and the lock of a region that nothing knows of yet. */
int gmem__region_device_owned(gmem_region *region, const struct gmem_owner *owner)
{
    int err;

    if (!owner || (!owner->guard && !owner->lock.lock))
        return 0;
    err = gmem__region_watch(region);
    if (err)
        return err;
    if (owner->guard)
        region->device->guard = gmem_guard_ref(owner->guard);
    if (owner->lock.lock) {
        region->device->lock_is = owner->lock;
        region->device->lock = &region->device->lock_is;
    }
    gmem__guard_named(owner->guard, &owner->lock);
    return 0;
}

int gmem__region_count(gmem_region *region)
{
    struct gmem__access_counts *counts;
    int err = make_device(region);

    if (err || region->device->counts)
        return err;
    counts = gmem__alloc_lines(sizeof(*counts));
    if (!counts)
        return -ENOMEM;
    gmem__rcu_set(region->device->counts, counts);
    return 0;
}

/* What a list counts for while it waits for readers: a guest may have it changed as often as it likes. */
static size_t eventfds_waiting(const struct gmem__eventfds *eventfds)
{
    return sizeof(*eventfds) + eventfds->count * (sizeof(eventfds->items[0]) + sizeof(eventfds->signals[0]));
}

static size_t intervals_waiting(const struct gmem__intervals *intervals)
{
    return sizeof(*intervals) + intervals->count * sizeof(intervals->items[0]);
}

static void eventfds_passed(struct gmem__rcu_head *head)
{
    struct gmem__eventfds *eventfds = GMEM__OF(head, struct gmem__eventfds, rcu);

    gmem__backlog_done(eventfds->vm, eventfds_waiting(eventfds));
    gmem__eventfds_unref(eventfds);
}

static void intervals_passed(struct gmem__rcu_head *head)
{
    struct gmem__intervals *intervals = GMEM__OF(head, struct gmem__intervals, rcu);

    gmem__backlog_done(intervals->vm, intervals_waiting(intervals));
    gmem__intervals_unref(intervals);
}

static void eventfds_defer(gmem_vm *vm, struct gmem__eventfds *eventfds)
{
    eventfds->vm = vm;
    gmem__backlog_add(vm, eventfds_waiting(eventfds));
    gmem__rcu_defer(&eventfds->rcu, eventfds_passed);
}

static void intervals_defer(gmem_vm *vm, struct gmem__intervals *intervals)
{
    intervals->vm = vm;
    gmem__backlog_add(vm, intervals_waiting(intervals));
    gmem__rcu_defer(&intervals->rcu, intervals_passed);
}

/* A list is published once, and so is deferred once: an edit that changes one makes another. */
void gmem__region_published(gmem_region *region)
{
    struct gmem__device *device = region->device;
    struct gmem__eventfds *eventfds;
    struct gmem__intervals *coalesced;

    if (!device)
        return;
    eventfds = device->eventfds;
    if (eventfds != region->p.eventfds) {
        gmem__rcu_set(device->eventfds, eventfds_ref(region->p.eventfds));
        if (eventfds)
            eventfds_defer(region->vm, eventfds);
    }
    coalesced = device->coalesced;
    if (coalesced != region->p.coalesced) {
        if (device->guard && !coalesced != !region->p.coalesced)
            __atomic_fetch_add(&device->guard->coalescing, coalesced ? -1ul : 1ul, __ATOMIC_RELEASE);
        gmem__rcu_set(device->coalesced, intervals_ref(region->p.coalesced));
        if (coalesced)
            intervals_defer(region->vm, coalesced);
    }
}

/* What was counted of a region that ends stays in the vm's sum. */
static void counts_end(gmem_vm *vm, struct gmem__access_counts *counts)
{
    const uint64_t *from = (const uint64_t *)counts;
    size_t i;

    if (!counts)
        return;
    pthread_mutex_lock(&vm->mutex);
    for (i = 0; vm->counts_gone && i < sizeof(*counts) / sizeof(*from); i++)
        ((uint64_t *)vm->counts_gone)[i] += from[i];
    pthread_mutex_unlock(&vm->mutex);
    free(counts);
}

static void device_end(gmem_region *region)
{
    struct gmem__device *device = region->device;

    if (!device)
        return;
    if (device->looked)
        gmem__mmio_ops_look(region->vm, region->ops, false);
    if (device->guard && device->coalesced)
        __atomic_fetch_sub(&device->guard->coalescing, 1, __ATOMIC_RELAXED);
    gmem__eventfds_unref(device->eventfds);
    gmem__intervals_unref(device->coalesced);
    counts_end(region->vm, device->counts);
    gmem_guard_unref(device->guard);
    free(device);
}

void gmem__region_free(gmem_region *region)
{
    gmem__discard_forget(region);
    device_end(region);
    gmem_ram_unref(region->ram);
    gmem__mmio_ops_put(region->vm, region->ops);
    if (region->kind == GMEM_KIND_IOMMU)
        gmem__iommu_end(region->opaque);
    free(region->owner);
    free(region);
}

static void bury_one(gmem_region *region)
{
    gmem_vm *vm = region->vm;
    struct gmem__props nowhere = region->p;
    gmem_region *child;

    while ((child = region->child_index)) {
        /* It keeps its offset: a space may have it as root. */
        gmem__child_index_remove(&region->child_index, child);
        child->p.container = NULL;
        gmem_region_unref(child);
    }
    if (nowhere.target)
        unlink_alias(region);
    gmem__props_unref(&nowhere);
    gmem__link_remove(&region->vm_link);
    GMEM__COUNT(vm, regions, -(uint64_t)1);
    gmem__region_free(region);
}

/* Whether a region from vm->dead is not to be buried now: it was met through its children and is shown or kept again. */
static bool lives_again(gmem_region *region)
{
    if (__atomic_load_n(&region->refs, __ATOMIC_ACQUIRE) == 0)
        return false;
    /*
     * Sequentially consistent, with gmem_region_unref(): of whoever gives up the last reference meanwhile
     * and this, one sees what the other did, and buries it.
     */
    __atomic_store_n(&region->dead, false, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&region->refs, __ATOMIC_SEQ_CST) > 0 ||
           __atomic_exchange_n(&region->dead, true, __ATOMIC_SEQ_CST);
}

void gmem__region_bury(gmem_vm *vm)
{
    gmem_region *region, *next;

    /* Acquire pairs with the release of gmem_region_unref(). Burying one may add others. */
    while ((region = __atomic_exchange_n(&vm->dead, NULL, __ATOMIC_ACQUIRE))) {
        for (; region; region = next) {
            next = region->dead_next;
            if (!lives_again(region))
                bury_one(region);
        }
    }
}

void gmem__region_free_all(gmem_vm *vm)
{
    struct gmem__link *link;
    gmem_region *region;

    /* Nothing may be buried, and so freed, while the list is walked. */
    for (link = vm->regions.next; link != &vm->regions; link = link->next)
        gmem_region_ref(GMEM__OF(link, gmem_region, vm_link));
    for (link = vm->regions.next; link != &vm->regions; link = link->next) {
        region = GMEM__OF(link, gmem_region, vm_link);
        if (__atomic_exchange_n(&region->pins, 0, __ATOMIC_ACQ_REL) > 0)
            owner_unref(region);
    }
    while (!gmem__link_empty(&vm->regions)) {
        region = GMEM__OF(vm->regions.next, gmem_region, vm_link);
        gmem__link_remove(&region->vm_link);
        gmem__eventfds_unref(region->p.eventfds);
        gmem__intervals_unref(region->p.coalesced);
        gmem__region_free(region);
    }
}

gmem_vm *gmem_region_vm(const gmem_region *region)
{
    return region->vm;
}

enum gmem_kind gmem_region_kind(const gmem_region *region)
{
    return region->kind;
}

const char *gmem_region_name(const gmem_region *region)
{
    return region->name;
}

const char *gmem_region_label(const gmem_region *region)
{
    return region->owner ? region->owner->label : "";
}

gmem_ram *gmem_region_ram(const gmem_region *region)
{
    return region->ram;
}

void *gmem_region_opaque(const gmem_region *region)
{
    return region->kind == GMEM_KIND_IOMMU ? ((struct gmem__iommu *)region->opaque)->opaque : region->opaque;
}

gmem_size gmem_region_size(const gmem_region *region)
{
    return gmem__size_from_last(region->p.last);
}

uint64_t gmem_region_offset(const gmem_region *region)
{
    return region->p.offset;
}

int32_t gmem_region_priority(const gmem_region *region)
{
    return region->p.priority;
}

bool gmem_region_enabled(const gmem_region *region)
{
    return gmem__region_enabled(region);
}

bool gmem_region_readonly(const gmem_region *region)
{
    return region->p.attrs & GMEM_RANGE_READONLY;
}

bool gmem_region_nonvolatile(const gmem_region *region)
{
    return region->p.attrs & GMEM_RANGE_NONVOLATILE;
}

bool gmem_region_romd(const gmem_region *region)
{
    return region->p.attrs & GMEM_RANGE_ROMD;
}

gmem_region *gmem_region_container(const gmem_region *region)
{
    return region->p.container;
}

gmem_region *gmem_region_alias_target(const gmem_region *region)
{
    return region->p.target;
}

uint64_t gmem_region_alias_offset(const gmem_region *region)
{
    return region->p.target_from;
}

gmem_region *gmem_region_first_child(const gmem_region *region)
{
    return gmem__child_index_first(region->child_index);
}

gmem_region *gmem_region_next_sibling(const gmem_region *region)
{
    return region->p.container ? gmem__child_index_next(region->p.container->child_index, region) : NULL;
}
