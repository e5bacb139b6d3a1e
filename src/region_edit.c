/* SPDX-License-Identifier: MIT */
/*
 * region_edit.c - every edit of a region: what is refused, and how the new props look.
 *
 * Each edit opens a transaction (its own, or nested in the caller's), checks, journals, applies and
 * commits. So all of this runs with the writer turn held. Nothing is changed before every check has
 * passed (G1).
 */
#include "child_index.h"
#include "dirty.h"
#include "transaction.h"
#include <errno.h>
#include <gmem/discard.h>
#include <stdlib.h>
#include <string.h>

/* Most regions looked at to find a loop; only topologies that are almost loops need more than a few. */
#define LOOP_BUDGET 1000000u

static const char *const kind_names[] = {"container", "ram",      "rom",   "romd",      "mmio",
                                         "alias",     "reserved", "iommu", "ram-device"};

static int refuse_kind(const gmem_region *region, const char *edit)
{
    return gmem__refuse(region->vm, -EOPNOTSUPP, "%s: \"%s\" is of kind %s", edit, region->name,
                        kind_names[region->kind]);
}

/* The aliases that a walk down came through, latest first. */
struct path {
    const gmem_region *alias;
    const struct path *up;
};

/* A walk down in search of a loop. */
struct descent {
    const struct path *path;
    uint64_t first, last; /* the window, in the region whose subregions are being looked at */
    unsigned depth;
    bool every; /* start again from each alias met */
    unsigned *budget;
};

static int find_loop(const gmem_region *region, const struct descent *descent);

static int find_loop_below(void *opaque, gmem_region *child)
{
    struct descent below = *(const struct descent *)opaque;

    if (child->mark != child->vm->epoch)
        return 0;
    below.first = gmem__max(below.first, child->p.offset) - child->p.offset;
    below.last = gmem__min(below.last, child->p.offset + child->p.last) - child->p.offset;
    below.depth++;
    return find_loop(child, &below);
}

/*
 * Whether an alias below a window of region is seen through its own window: on the way down from
 * there or, if every is set, on the way down from any alias met. Only regions that check_loop()'s
 * walk up has marked can be part of a new loop.
 * -ELOOP: one is. -E2BIG: too much to look at.
 */
static int find_loop(const gmem_region *region, const struct descent *descent)
{
    const struct path here = {region, descent->path};
    const struct path *path;
    struct descent below = *descent;
    int err = 0;

    if (descent->depth > GMEM_DEPTH_MAX || --*descent->budget == 0)
        return -E2BIG;
    if (descent->first > region->p.last || region->mark != region->vm->epoch)
        return 0;
    below.last = gmem__min(descent->last, region->p.last);
    if (!region->p.target)
        return gmem__child_index_walk(region->child_index, below.first, below.last, find_loop_below, &below);
    for (path = descent->path; path; path = path->up) {
        if (path->alias == region)
            return -ELOOP;
    }
    below.depth++;
    if (descent->every) { /* its whole window, of which the walk may see only a part */
        struct descent again = {NULL, 0, region->p.last, below.depth, false, descent->budget};

        err = find_loop(region, &again);
    }
    below.path = &here;
    below.first += region->p.target_from;
    below.last += region->p.target_from;
    return err ? err : find_loop(region->p.target, &below);
}

/*
 * Whether region, as it is now, is part of a loop: an alias seen through its own window. An alias
 * may show a container that it is in, as long as its window does not reach the alias (boards mirror
 * their registers that way); such a container shows part of itself, and may be placed, moved and
 * aliased like any other. Whether regions are enabled does not matter.
 */
static int check_loop(gmem_region *region)
{
    unsigned budget = LOOP_BUDGET;
    struct descent descent = {NULL, 0, region->p.last, 0, true, &budget};
    gmem_vm *vm = region->vm;
    int err;

    /*
     * What shows nothing else can't close a loop; most regions are such leaves, and walking up is
     * not free.
     */
    if (!region->child_index && !region->p.target)
        return 0;
    gmem__region_mark_up(region, ++vm->epoch);
    err = find_loop(region, &descent);
    if (err == -ELOOP)
        return gmem__refuse(vm, err, "with \"%s\" so, an alias would show itself", region->name);
    return err ? gmem__refuse(vm, err, "\"%s\" shows too much of what it is shown by", region->name) : 0;
}

/*
 * Journal and apply props that change where region is or what it shows, and refuse a loop: the
 * caller's abort undoes it.
 */
static int edit_geometry(gmem_region *region, const struct gmem__props *props)
{
    int err = gmem__edit(region, props);

    return err ? err : check_loop(region);
}

static int check_add(gmem_region *container, uint64_t offset, gmem_region *child)
{
    gmem_vm *vm = container->vm;
    const gmem_region *up;

    if (container->kind == GMEM_KIND_ALIAS)
        return refuse_kind(container, "placing a region in it");
    if (child->p.container)
        return gmem__refuse(vm, -EBUSY, "\"%s\" is in \"%s\" already, can't be placed in \"%s\" too", child->name,
                            child->p.container->name, container->name);
    if (gmem__range_overflows(offset, child->p.last))
        return gmem__refuse(vm, -EOVERFLOW, "\"%s\" at 0x%llx of \"%s\" reaches past 2^64", child->name,
                            (unsigned long long)offset, container->name);
    for (up = container; up; up = up->p.container) {
        if (up == child)
            return gmem__refuse(vm, -ELOOP, "\"%s\" contains \"%s\": placed there it would contain itself", child->name,
                                container->name);
    }
    return 0;
}

int gmem_region_add_priority(gmem_region *container, uint64_t offset, gmem_region *child, int32_t priority)
{
    struct gmem__props props;
    gmem_vm *vm;
    int err;

    if (!container || !child)
        return -EINVAL;
    vm = container->vm;
    if (child->vm != vm)
        return gmem__refuse(vm, -EXDEV, "\"%s\" and \"%s\" belong to different vms", child->name, container->name);
    err = gmem_vm_begin(vm);
    if (err)
        return err;
    err = check_add(container, offset, child);
    if (!err) {
        props = child->p;
        props.container = container;
        props.offset = offset;
        props.priority = priority;
        props.seq = ++vm->next_seq;
        err = edit_geometry(child, &props);
    }
    return gmem__edit_end(vm, err);
}

int gmem_region_add(gmem_region *container, uint64_t offset, gmem_region *child)
{
    return gmem_region_add_priority(container, offset, child, 0);
}

int gmem_region_remove(gmem_region *container, gmem_region *child)
{
    struct gmem__props props;
    gmem_vm *vm;
    int err;

    if (!container || !child)
        return -EINVAL;
    vm = container->vm;
    if (child->vm != vm)
        return gmem__refuse(vm, -EXDEV, "\"%s\" and \"%s\" belong to different vms", child->name, container->name);
    err = gmem_vm_begin(vm);
    if (err)
        return err;
    if (child->p.container != container) {
        err = gmem__refuse(vm, -ENOENT, "\"%s\" is not in \"%s\"", child->name, container->name);
    } else {
        props = child->p;
        props.container = NULL;
        props.offset = 0;
        props.priority = 0;
        err = gmem__edit(child, &props);
    }
    return gmem__edit_end(vm, err);
}

/* An attribute switched on or off; an edit that changes nothing is not journalled. */
static int set_attr(gmem_region *region, uint32_t attr, bool on)
{
    struct gmem__props props = region->p;

    props.attrs = on ? props.attrs | attr : props.attrs & ~attr;
    return props.attrs == region->p.attrs ? 0 : gmem__edit(region, &props);
}

int gmem_region_set_enabled(gmem_region *region, bool enabled)
{
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    return gmem__edit_end(region->vm, set_attr(region, GMEM__ATTR_DISABLED, !enabled));
}

int gmem_region_set_readonly(gmem_region *region, bool readonly)
{
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    err = region->kind == GMEM_KIND_ROM && !readonly ? refuse_kind(region, "making it writable")
                                                     : set_attr(region, GMEM_RANGE_READONLY, readonly);
    return gmem__edit_end(region->vm, err);
}

int gmem_region_set_nonvolatile(gmem_region *region, bool nonvolatile)
{
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    return gmem__edit_end(region->vm, set_attr(region, GMEM_RANGE_NONVOLATILE, nonvolatile));
}

int gmem_region_set_romd(gmem_region *region, bool direct)
{
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    err = region->kind != GMEM_KIND_ROMD ? refuse_kind(region, "switching direct reads")
                                         : set_attr(region, GMEM_RANGE_ROMD, direct);
    return gmem__edit_end(region->vm, err);
}

static int make_bitmap(gmem_ram *ram, unsigned client)
{
    int err = gmem__ram_log(ram, client);

    if (err == -ENOMEM)
        return gmem__refuse(ram->vm, err, "no memory for a dirty bitmap of \"%s\"", gmem_ram_id(ram));
    return err ? gmem__refuse(ram->vm, err, "the kernel refuses membarrier(2)") : 0;
}

int gmem_region_set_log(gmem_region *region, unsigned client, bool wanted)
{
    int err;

    if (!region)
        return -EINVAL;
    if (client >= GMEM_LOG_CLIENTS)
        return gmem__refuse(region->vm, -EINVAL, "client %u wants the log of \"%s\": they are numbered below %u",
                            client, region->name, GMEM_LOG_CLIENTS);
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    if (!region->ram)
        err = refuse_kind(region, "dirty logging");
    else
        err = wanted ? make_bitmap(region->ram, client) : 0;
    if (!err)
        err = set_attr(region, 1u << (GMEM_RANGE_LOG_SHIFT + client), wanted);
    return gmem__edit_end(region->vm, err);
}

int gmem_region_move(gmem_region *region, uint64_t offset)
{
    struct gmem__props props;
    gmem_vm *vm;
    int err;

    if (!region)
        return -EINVAL;
    vm = region->vm;
    err = gmem_vm_begin(vm);
    if (err)
        return err;
    if (gmem__range_overflows(offset, region->p.last)) {
        err = gmem__refuse(vm, -EOVERFLOW, "\"%s\" moved to 0x%llx reaches past 2^64", region->name,
                           (unsigned long long)offset);
    } else if (offset != region->p.offset) {
        props = region->p;
        props.offset = offset;
        props.seq = ++vm->next_seq;
        err = edit_geometry(region, &props);
    }
    return gmem__edit_end(vm, err);
}

static int check_resize(const gmem_region *region, gmem_size size)
{
    gmem_vm *vm = region->vm;
    uint64_t last;

    if (gmem__size_is_zero(size))
        return gmem__refuse(vm, -EINVAL, "\"%s\" resized to 0", region->name);
    last = gmem__size_last(size);
    if (gmem__range_overflows(region->p.offset, last))
        return gmem__refuse(vm, -EOVERFLOW, "\"%s\" resized reaches past 2^64", region->name);
    if (region->p.target && gmem__range_overflows(region->p.target_from, last))
        return gmem__refuse(vm, -EOVERFLOW, "\"%s\" resized reaches past 2^64 in its target", region->name);
    if (last != region->p.last && gmem_discard_granule(region) != 0)
        return gmem__refuse(vm, -EOPNOTSUPP, "\"%s\" is discardable, can't be resized", region->name);
    if (region->ram && last > gmem_ram_size(region->ram) - 1)
        return gmem__refuse(vm, -ERANGE, "\"%s\" can't grow past its RAM block \"%s\"", region->name,
                            gmem_ram_id(region->ram));
    return 0;
}

int gmem_region_resize(gmem_region *region, gmem_size size)
{
    struct gmem__props props;
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    err = check_resize(region, size);
    if (!err && gmem__size_last(size) != region->p.last) {
        props = region->p;
        props.last = gmem__size_last(size);
        err = edit_geometry(region, &props);
    }
    return gmem__edit_end(region->vm, err);
}

int gmem_region_set_priority(gmem_region *region, int32_t priority)
{
    struct gmem__props props;
    gmem_vm *vm;
    int err;

    if (!region)
        return -EINVAL;
    vm = region->vm;
    err = gmem_vm_begin(vm);
    if (err)
        return err;
    if (!region->p.container) {
        err = gmem__refuse(vm, -ENOENT, "\"%s\" is placed nowhere: no priority", region->name);
    } else if (priority != region->p.priority) {
        props = region->p;
        props.priority = priority;
        props.seq = ++vm->next_seq;
        err = gmem__edit(region, &props);
    }
    return gmem__edit_end(vm, err);
}

static int check_alias(gmem_region *alias, gmem_region *target, uint64_t offset)
{
    gmem_vm *vm = alias->vm;
    const gmem_region *next;

    if (alias->kind != GMEM_KIND_ALIAS)
        return refuse_kind(alias, "aiming it");
    /* Also where their windows miss each other and nothing would be seen: what kind would such an alias be of? */
    for (next = target; next; next = next->p.target) {
        if (next == alias)
            return gmem__refuse(vm, -ELOOP, "alias \"%s\" aimed at \"%s\" would be an alias of itself", alias->name,
                                target->name);
    }
    if (gmem__range_overflows(offset, alias->p.last))
        return gmem__refuse(vm, -EOVERFLOW, "alias \"%s\" reaches past 2^64 in \"%s\"", alias->name, target->name);
    return 0;
}

int gmem_region_set_alias(gmem_region *alias, gmem_region *target, uint64_t offset)
{
    struct gmem__props props;
    gmem_vm *vm;
    int err;

    if (!alias || !target)
        return -EINVAL;
    vm = alias->vm;
    if (target->vm != vm)
        return gmem__refuse(vm, -EXDEV, "\"%s\" and \"%s\" belong to different vms", alias->name, target->name);
    err = gmem_vm_begin(vm);
    if (err)
        return err;
    err = check_alias(alias, target, offset);
    if (!err && (target != alias->p.target || offset != alias->p.target_from)) {
        props = alias->p;
        props.target = target;
        props.target_from = offset;
        err = edit_geometry(alias, &props);
    }
    return gmem__edit_end(vm, err);
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_eventfd(const struct gmem_eventfd *a, const struct gmem_eventfd *b)
{
    int order = compare_u64(a->offset, b->offset);

    if (!order)
        order = compare_u64(a->size, b->size);
    if (!order)
        order = compare_u64(a->match, b->match);
    if (!order && a->match)
        order = compare_u64(a->data, b->data);
    return order;
}

static int check_eventfd(const gmem_region *region, const struct gmem_eventfd *eventfd)
{
    uint64_t bytes = eventfd->size ? eventfd->size : 1;

    if (!gmem__region_terminates(region))
        return refuse_kind(region, "an eventfd");
    if (bytes > 8 || (bytes & (bytes - 1)) || eventfd->fd < 0 || (eventfd->match && !eventfd->size))
        return gmem__refuse(
            region->vm, -EINVAL,
            "eventfd of \"%s\": size must be 0, 1, 2, 4 or 8, a value to match needs a size, fd be open", region->name);
    if (eventfd->offset > region->p.last || region->p.last - eventfd->offset < bytes - 1)
        return gmem__refuse(region->vm, -ERANGE, "eventfd at 0x%llx is not inside \"%s\"",
                            (unsigned long long)eventfd->offset, region->name);
    return 0;
}

/* gmem__edit() of what accesses are to see, once it is published. */
static int edit_watched(gmem_region *region, const struct gmem__props *props)
{
    /* Memory that holds no callbacks takes what is written to it. */
    bool emulated = region->ops || region->kind == GMEM_KIND_RESERVED;
    int err = emulated ? gmem__region_watch(region) : 0;

    if (err)
        return gmem__refuse(region->vm, err, "no memory to change \"%s\"", region->name);
    return gmem__edit(region, props);
}

/* Append those of old, which may be NULL, from the one at index from to before the one at until. */
static void eventfds_copy(struct gmem__eventfds *now, const struct gmem__eventfds *old, size_t from, size_t until)
{
    for (; from < until; from++, now->count++) {
        now->items[now->count] = old->items[from];
        now->signals[now->count] = gmem__signal_ref(old->signals[from]);
    }
}

/*
 * Replace region's eventfds by a copy without the one at index drop (count: none) and with add, if
 * given, in its place.
 */
static int edit_eventfds(gmem_region *region, size_t at, const struct gmem_eventfd *add)
{
    struct gmem__eventfds *old = region->p.eventfds, *now;
    size_t count = old ? old->count : 0, tail = add ? at : at + 1;
    struct gmem__props props = region->p;
    int err;

    now = gmem__eventfds_alloc(count + 1);
    if (!now)
        return gmem__refuse(region->vm, -ENOMEM, "no memory for the eventfds of \"%s\"", region->name);
    eventfds_copy(now, old, 0, at);
    if (add) {
        err = gmem__signal_create(add->fd, &now->signals[at]);
        if (err) {
            gmem__eventfds_unref(now);
            return gmem__refuse(region->vm, err, "eventfd of \"%s\": descriptor %d: %s", region->name, add->fd,
                                gmem_strerror(err));
        }
        now->items[now->count] = *add;
        if (!add->match) /* says nothing then, and must not make a difference */
            now->items[now->count].data = 0;
        now->count++;
    }
    eventfds_copy(now, old, tail, count);
    props.eventfds = now;
    err = edit_watched(region, &props);
    gmem__eventfds_unref(now);
    return err;
}

static size_t find_eventfd(const gmem_region *region, const struct gmem_eventfd *eventfd, bool *ret_found)
{
    const struct gmem__eventfds *all = region->p.eventfds;
    size_t at = 0, count = all ? all->count : 0;

    while (at < count && compare_eventfd(&all->items[at], eventfd) < 0)
        at++;
    *ret_found = at < count && compare_eventfd(&all->items[at], eventfd) == 0;
    return at;
}

int gmem_region_add_eventfd(gmem_region *region, const struct gmem_eventfd *eventfd)
{
    bool found;
    size_t at;
    int err;

    if (!region || !eventfd)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    err = check_eventfd(region, eventfd);
    if (!err) {
        at = find_eventfd(region, eventfd, &found);
        if (found)
            err = gmem__refuse(region->vm, -EEXIST, "\"%s\" has that eventfd already", region->name);
        else if (region->p.eventfds && region->p.eventfds->count >= GMEM_EVENTFDS_MAX)
            err = gmem__refuse(region->vm, -ENOSPC, "\"%s\" has %u eventfds", region->name, GMEM_EVENTFDS_MAX);
        else
            err = edit_eventfds(region, at, eventfd);
    }
    return gmem__edit_end(region->vm, err);
}

int gmem_region_del_eventfd(gmem_region *region, const struct gmem_eventfd *eventfd)
{
    bool found;
    size_t at;
    int err;

    if (!region || !eventfd)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    at = find_eventfd(region, eventfd, &found);
    err = found ? edit_eventfds(region, at, NULL)
                : gmem__refuse(region->vm, -ENOENT, "\"%s\" has no such eventfd", region->name);
    return gmem__edit_end(region->vm, err);
}

static int insert_interval(gmem_region *region, uint64_t first, uint64_t last)
{
    struct gmem__intervals *old = region->p.coalesced, *now;
    size_t count = old ? old->count : 0, at = 0;
    struct gmem__props props = region->p;
    int err;

    while (at < count &&
           (old->items[at].first < first || (old->items[at].first == first && old->items[at].last < last)))
        at++;
    if (at < count && old->items[at].first == first && old->items[at].last == last)
        return 0;
    now = calloc(1, sizeof(*now) + (count + 1) * sizeof(now->items[0]));
    if (!now)
        return gmem__refuse(region->vm, -ENOMEM, "no memory for the intervals of \"%s\"", region->name);
    now->refs = 1;
    now->count = count + 1;
    if (old) {
        memcpy(now->items, old->items, at * sizeof(now->items[0]));
        memcpy(now->items + at + 1, old->items + at, (count - at) * sizeof(now->items[0]));
    }
    now->items[at].first = first;
    now->items[at].last = last;
    props.coalesced = now;
    err = edit_watched(region, &props);
    gmem__intervals_unref(now);
    if (!err && region->device && region->device->guard && region->device->lock)
        err = gmem__queue_create(region->device->guard);
    return err;
}

int gmem_region_add_coalesced(gmem_region *region, uint64_t first, uint64_t last)
{
    int err;

    if (!region)
        return -EINVAL;
    if (first > last)
        return gmem__refuse(region->vm, -EINVAL, "an interval of \"%s\" ends before it begins", region->name);
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    if (region->kind != GMEM_KIND_MMIO)
        err = refuse_kind(region, "coalescing writes");
    else if (last > region->p.last)
        err = gmem__refuse(region->vm, -ERANGE, "interval 0x%llx-0x%llx is not inside \"%s\"",
                           (unsigned long long)first, (unsigned long long)last, region->name);
    else
        err = insert_interval(region, first, last);
    return gmem__edit_end(region->vm, err);
}

int gmem_region_clear_coalesced(gmem_region *region)
{
    struct gmem__props props;
    int err;

    if (!region)
        return -EINVAL;
    err = gmem_vm_begin(region->vm);
    if (err)
        return err;
    if (region->p.coalesced) {
        props = region->p;
        props.coalesced = NULL;
        err = gmem__edit(region, &props);
    }
    return gmem__edit_end(region->vm, err);
}
