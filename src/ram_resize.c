/* SPDX-License-Identifier: MIT */
/*
 * ram_resize.c - resizable RAM blocks: another size with the regions that show them, and who hears of it.
 *
 *   a. No view shows memory beyond the size: it is raised before a commit that shows more, and lowered after one that shows
 *      less. So it is what new regions and edits are checked with.
 *   b. What is between the size and the largest that the block ever had is zero, or a straggler's: it is given back when the
 *      block shrinks, and once more before it grows.
 *
 * The size and the notifiers change with the writer turn only; notifiers are called with it, so that they hear of one
 * resize after the other.
 */
#include "dirty.h"
#include "ram_backing.h"
#include "trace.h"
#include "transaction.h"
#include <errno.h>
#include <gmem/device.h>

static void set_size(gmem_ram *ram, uint64_t size)
{
    __atomic_store_n(&ram->size, size, __ATOMIC_RELAXED);
}

/* Resize what shows all of before bytes of the block, or more than there will be. In a transaction, which the caller aborts on error. */
static int resize_regions(gmem_ram *ram, uint64_t before, uint64_t now)
{
    gmem_vm *vm = ram->vm;
    struct gmem__link *link;
    int err = 0;

    for (link = vm->regions.next; !err && link != &vm->regions; link = link->next) {
        gmem_region *region = GMEM__OF(link, gmem_region, vm_link);

        if (region->ram != ram)
            continue;
        if (region->p.last == before - 1 || region->p.last > now - 1)
            err = gmem_region_resize(region, gmem_size_of(now));
    }
    return err;
}

/* Make the memory above the size ready to be shown. */
static int prepare_growth(gmem_ram *ram, uint64_t before, uint64_t now)
{
    uint64_t used = gmem__min(ram->high, now);
    int err = 0;

    if (used > before)
        gmem__backing_give_back(ram, before, used - before);
    if (ram->flags & GMEM_RAM_PREALLOC)
        err = gmem__backing_preallocate(ram, before, now - before);
    return err ? gmem__refuse(ram->vm, err, "RAM block \"%s\": no memory for 0x%llx bytes", ram->id,
                              (unsigned long long)now)
               : 0;
}

static void trace(gmem_ram *ram, uint64_t before, uint64_t now)
{
    struct gmem_trace_event event = {.kind = GMEM_TRACE_RAM_RESIZED};

    GMEM__PROBE4(ram_resized, ram->vm, ram->id, before, now);
    if (!gmem__traced(ram->vm, event.kind))
        return;
    event.u.ram.id = ram->id;
    event.u.ram.old_size = before;
    event.u.ram.size = now;
    gmem__trace_with_turn(ram->vm, &event);
}

static void call_notifiers(gmem_ram *ram, uint64_t before, uint64_t now)
{
    struct gmem_ram_notifier *notifier;

    ram->next_notifier = ram->first_notifier;
    while ((notifier = ram->next_notifier)) {
        ram->next_notifier = notifier->next;
        notifier->fn(notifier->opaque, ram, before, now);
    }
}

/* In the outermost transaction, which this ends, and with the turn beyond it. */
static int resize(gmem_ram *ram, uint64_t now)
{
    uint64_t before = gmem_ram_size(ram);
    int err = now > before ? prepare_growth(ram, before, now) : 0;

    if (!err && now > before)
        set_size(ram, now);
    if (!err)
        err = resize_regions(ram, before, now);
    err = gmem__edit_end(ram->vm, err);
    if (err) {
        set_size(ram, before);
        return err;
    }
    set_size(ram, now);
    if (now < before)
        gmem__backing_give_back(ram, now, before - now);
    else
        /* What was copied of it when it was there before is not what it is now. */
        gmem__ram_mark_dirty(ram, GMEM__LOG_ALL, before, now - before);
    ram->high = gmem__max(ram->high, now);
    trace(ram, before, now);
    ram->resizing = true;
    call_notifiers(ram, before, now);
    ram->resizing = false;
    return 0;
}

static int check_resize(const gmem_ram *ram, uint64_t size)
{
    if (size == 0)
        return gmem__refuse(ram->vm, -EINVAL, "RAM block \"%s\" resized to 0", ram->id);
    if (!ram->resizable)
        return gmem__refuse(ram->vm, -EOPNOTSUPP, "RAM block \"%s\" is not resizable", ram->id);
    if (size > ram->max)
        return gmem__refuse(ram->vm, -ERANGE, "RAM block \"%s\" can have 0x%llx bytes at most", ram->id,
                            (unsigned long long)ram->max);
    return 0;
}

int gmem_ram_resize(gmem_ram *ram, uint64_t size)
{
    gmem_vm *vm;
    int err;

    if (!ram)
        return -EINVAL;
    vm = ram->vm;
    err = check_resize(ram, size);
    if (!err)
        err = gmem_vm_begin(vm);
    if (err)
        return err;
    if (vm->savepoint_count > 1 || ram->resizing) {
        gmem_vm_abort(vm);
        return gmem__refuse(vm, -EBUSY, "RAM block \"%s\" resized inside a transaction, or by its notifier", ram->id);
    }
    err = gmem__turn_acquire(vm);
    if (err) {
        gmem_vm_abort(vm);
        return err;
    }
    if (size == gmem_ram_size(ram))
        err = gmem__edit_end(vm, 0);
    else
        err = resize(ram, size);
    gmem__turn_release(vm);
    /* What the commit left, with the turn. */
    if (!err)
        gmem_vm_flush_coalesced(vm);
    return err;
}

/* --- notifiers ----------------------------------------------------------------------------------------------------- */

/* The turn, which a listener callback has already. Whether it is to be given up. */
static bool take_turn(gmem_vm *vm)
{
    return !(gmem__turn_mine(vm) && vm->notifying) && gmem__turn_acquire(vm) == 0;
}

int gmem_ram_add_notifier(gmem_ram *ram, struct gmem_ram_notifier *notifier)
{
    bool mine;
    int err = 0;

    if (!ram || !notifier || !notifier->fn)
        return -EINVAL;
    mine = take_turn(ram->vm);
    if (notifier->ram) {
        err = gmem__refuse(ram->vm, -EEXIST, "a notifier of RAM block \"%s\" is there already", ram->id);
    } else {
        notifier->ram = gmem_ram_ref(ram);
        notifier->next = NULL;
        notifier->prev = ram->last_notifier;
        *(ram->last_notifier ? &ram->last_notifier->next : &ram->first_notifier) = notifier;
        ram->last_notifier = notifier;
        /* The last one of a round is running. */
        if (ram->resizing && !ram->next_notifier)
            ram->next_notifier = notifier;
    }
    if (mine)
        gmem__turn_release(ram->vm);
    return err;
}

void gmem_ram_remove_notifier(struct gmem_ram_notifier *notifier)
{
    gmem_ram *ram = notifier ? notifier->ram : NULL;
    gmem_vm *vm;
    bool mine;

    if (!ram)
        return;
    vm = ram->vm;
    mine = take_turn(vm);
    if (ram->next_notifier == notifier)
        ram->next_notifier = notifier->next;
    *(notifier->prev ? &notifier->prev->next : &ram->first_notifier) = notifier->next;
    *(notifier->next ? &notifier->next->prev : &ram->last_notifier) = notifier->prev;
    notifier->ram = NULL;
    if (mine)
        gmem__turn_release(vm);
    gmem_ram_unref(ram);
}
