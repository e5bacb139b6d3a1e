/* SPDX-License-Identifier: MIT */
/*
 * transaction.c - begin, commit, abort, and the journal that makes them all or nothing (G1).
 *
 * Every edit replaces a region's props as a whole and journals the ones before. Undoing is applying
 * those again, latest first, which needs no memory and can't fail. A savepoint per open transaction
 * lets an inner abort undo its part.
 *
 * All of this runs with the writer turn held; begin takes it, the matching commit or abort gives it up.
 */
#include "transaction.h"
#include "backlog.h"
#include <errno.h>
#include <gmem/device.h>
#include <stdlib.h>

/* Entries of the journal that stay allocated between transactions. */
#define JOURNAL_KEPT 256u

int gmem_vm_begin(gmem_vm *vm)
{
    int err;

    if (!vm)
        return -EINVAL;
    err = gmem__backlog_high(vm) && !gmem__turn_mine(vm) ? gmem__backlog_admit(vm) : 0;
    if (!err)
        err = gmem__turn_acquire(vm);
    if (err)
        return err;
    err = gmem__grow((void **)&vm->savepoints, &vm->savepoint_room, vm->savepoint_count + 1, sizeof(*vm->savepoints));
    if (err) {
        gmem__turn_release(vm);
        return gmem__refuse(vm, err, "no memory for a transaction");
    }
    vm->savepoints[vm->savepoint_count++] = vm->undo_count;
    return 0;
}

/* Forget one journal entry, giving up what it holds. */
static void undo_drop(struct gmem__undo *undo)
{
    gmem__props_unref(&undo->old);
    gmem_region_unref(undo->old.container);
    gmem_region_unref(undo->region);
}

static void undo_to(gmem_vm *vm, size_t savepoint)
{
    struct gmem__undo *undo;
    struct gmem__props now;

    /* What a refused commit found out about the ways up was true of edges that are no more. */
    if (vm->undo_count > savepoint)
        vm->shape++;
    while (vm->undo_count > savepoint) {
        undo = &vm->undos[--vm->undo_count];
        now = undo->region->p;
        gmem__region_apply(undo->region, &undo->old);
        /*
         * The old props' references are the region's again; the entry now holds those of the props
         * it undid.
         */
        gmem_region_unref(undo->old.container);
        gmem__props_unref(&now);
        gmem_region_unref(undo->region);
    }
}

/* The end of a transaction, which has done with its part of the journal. */
static void leave(gmem_vm *vm)
{
    vm->savepoint_count--;
    if (vm->savepoint_count == 0 && vm->undo_room > JOURNAL_KEPT) {
        free(vm->undos);
        vm->undos = NULL;
        vm->undo_room = 0;
    }
    gmem__turn_release(vm);
}

int gmem__edit(gmem_region *region, const struct gmem__props *props)
{
    gmem_vm *vm = region->vm;
    struct gmem__undo *undo;
    int err;

    err = gmem__grow((void **)&vm->undos, &vm->undo_room, vm->undo_count + 1, sizeof(*vm->undos));
    if (err)
        return gmem__refuse(vm, err, "no memory to change \"%s\"", region->name);
    undo = &vm->undos[vm->undo_count++];
    undo->region = gmem_region_ref(region);
    undo->old = region->p;
    if (undo->old.container)
        gmem_region_ref(undo->old.container);
    gmem__props_ref(props);
    gmem__region_apply(region, props);
    return 0;
}

int gmem__edit_end(gmem_vm *vm, int err)
{
    if (err) {
        gmem_vm_abort(vm);
        return err;
    }
    return gmem_vm_commit(vm);
}

int gmem_vm_commit(gmem_vm *vm)
{
    int err = 0;

    if (!vm)
        return -EINVAL;
    if (!gmem__turn_mine(vm) || vm->savepoint_count == 0)
        return gmem__refuse(vm, -EINVAL, "a commit without a transaction");
    if (vm->notifying)
        return gmem__refuse(vm, -EBUSY, "a commit from inside a listener or log callback");
    if (vm->savepoint_count == 1) {
        err = gmem__commit(vm);
        if (err)
            undo_to(vm, 0);
        while (vm->undo_count > 0)
            undo_drop(&vm->undos[--vm->undo_count]);
    }
    leave(vm);
    /* Now that devices may be called, if this was the outermost: an interval that is gone must not keep its region for ever. */
    if (!err)
        gmem_vm_flush_coalesced(vm);
    return err;
}

void gmem_vm_abort(gmem_vm *vm)
{
    if (!vm || !gmem__turn_mine(vm) || vm->savepoint_count == 0 || vm->notifying)
        return;
    undo_to(vm, vm->savepoints[vm->savepoint_count - 1]);
    leave(vm);
}
