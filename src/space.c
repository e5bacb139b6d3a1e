/* SPDX-License-Identifier: MIT */
/*
 * space.c - address spaces: created and ended by writers, looked into by readers.
 *
 * Writers (create, destroy) hold the writer turn. Readers (lookup, view) run in an RCU read section
 * and take nothing.
 *
 * A new space has vm->none until the commit that creates it has told the listeners, so that a
 * refusal leaves nothing behind.
 */
#include "space.h"
#include "ram.h"
#include "transaction.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void space_free(gmem_space *space)
{
    gmem__bounce_end(&space->bounce);
    gmem_region_unref(space->root);
    free(space->name);
    free(space);
}

static int check_create(gmem_vm *vm, const char *name, gmem_region *root, const struct gmem_space_options *options,
                        struct gmem_space_options *ret_known)
{
    memset(ret_known, 0, sizeof(*ret_known));
    if (root->vm != vm)
        return gmem__refuse(vm, -EXDEV, "space \"%.255s\": its root belongs to another vm", name);
    if (strnlen(name, GMEM_NAME_MAX + 1) > GMEM_NAME_MAX)
        return gmem__refuse(vm, -EINVAL, "a space's name is longer than %u bytes", GMEM_NAME_MAX);
    if (options && gmem__options_copy(ret_known, sizeof(*ret_known), options, options->struct_size))
        return gmem__refuse(vm, -EINVAL, "space \"%s\": unknown options", name);
    return 0;
}

void gmem__space_show(gmem_space *space, struct gmem__shown *shown)
{
    struct gmem__shown *before = space->shown;

    if (shown)
        shown->spaces++;
    /*
     * Caches first, so that who has found the new shown has no window on the old one: neither from before, whose generation
     * passes, nor from the moment until it can be found. Release: who reads that generation sees that the space is moving.
     */
    __atomic_store_n(&space->moving, true, __ATOMIC_RELEASE);
    if (before)
        gmem__shown_left(before);
    /* Release: pairs with gmem__rcu_get() in readers. */
    gmem__rcu_set(space->shown, shown);
    __atomic_store_n(&space->moving, false, __ATOMIC_RELEASE);
    if (before && --before->spaces == 0)
        gmem__shown_retire(before);
}

/* Link it in, showing nothing, and let a commit do the rest. */
static int space_attach(gmem_space *space)
{
    gmem_vm *vm = space->vm;
    int err;

    err = gmem_vm_begin(vm);
    if (err)
        return err;
    if (vm->savepoint_count > 1) {
        gmem_vm_abort(vm);
        return gmem__refuse(vm, -EBUSY, "space \"%s\" can't be created inside a transaction", space->name);
    }
    space->fresh = true;
    vm->fresh_spaces = true;
    gmem__space_show(space, vm->none);
    space->root->spaces++;
    gmem__link_before(&vm->spaces, &space->vm_link);
    err = gmem__commit(vm);
    if (err) {
        gmem__link_remove(&space->vm_link);
        space->root->spaces--;
        gmem__space_show(space, NULL);
        vm->fresh_spaces = false;
    }
    gmem_vm_abort(vm);
    return err;
}

int gmem_space_create(gmem_vm *vm, const char *name, gmem_region *root, const struct gmem_space_options *options,
                      gmem_space **ret_space)
{
    struct gmem_space_options known;
    gmem_space *space;
    int err;

    if (!vm || !name || !root || !ret_space)
        return -EINVAL;
    err = check_create(vm, name, root, options, &known);
    if (err)
        return err;
    space = gmem__alloc_lines(sizeof(*space));
    if (!space ||
        gmem__bounce_init(&space->bounce, known.bounce_buffers ? known.bounce_buffers : GMEM_BOUNCE_BUFFERS)) {
        free(space);
        return gmem__refuse(vm, -ENOMEM, "no memory for space \"%s\"", name);
    }
    space->vm = vm;
    space->root = gmem_region_ref(root);
    space->fill = known.unassigned_ones ? 0xff : 0x00;
    space->name = strdup(name);
    err = space->name ? space_attach(space) : gmem__refuse(vm, -ENOMEM, "no memory for space \"%s\"", name);
    if (err) {
        space_free(space);
        return err;
    }
    *ret_space = space;
    return 0;
}

void gmem_space_destroy(gmem_space *space)
{
    gmem_vm *vm;

    if (!space)
        return;
    vm = space->vm;
    if (gmem__turn_acquire(vm)) {
        gmem__log(vm, GMEM_LOG_ERROR, "space \"%s\" can't be destroyed from a callback of a commit", space->name);
        return;
    }
    gmem__tell_gone(space);
    gmem__link_remove(&space->vm_link);
    space->root->spaces--;
    gmem__space_show(space, NULL);
    gmem__turn_release(vm);
    space_free(space);
}

gmem_vm *gmem_space_vm(const gmem_space *space)
{
    return space->vm;
}

const char *gmem_space_name(const gmem_space *space)
{
    return space->name;
}

gmem_region *gmem_space_root(const gmem_space *space)
{
    return space->root;
}

int gmem_space_lookup(gmem_space *space, uint64_t addr, struct gmem_section *ret_section)
{
    const struct gmem__range *range;
    int err = -ENOENT;

    if (!space || !ret_section)
        return -EINVAL;
    gmem__rcu_enter();
    range = gmem__view_find(gmem__space_view(space), addr);
    if (range && range->first <= addr) {
        gmem__region_pin(range->region);
        gmem__range_section(range, space, ret_section);
        err = 0;
    }
    gmem__rcu_leave();
    return err;
}

void gmem_section_release(struct gmem_section *section)
{
    if (!section || !section->region)
        return;
    gmem__region_unpin(section->region);
    section->region = NULL;
}

void *gmem_section_host(const struct gmem_section *section)
{
    const gmem_ram *ram = section->region->ram;

    return ram ? ram->host + section->offset : NULL;
}

gmem_view *gmem_space_view(gmem_space *space)
{
    gmem_view *view;

    gmem__rcu_enter();
    view = gmem__space_view(space);
    /* It can't be at zero: its shown's own reference is given up only after this read section. */
    __atomic_fetch_add(&view->refs, 1, __ATOMIC_RELAXED);
    gmem__rcu_leave();
    return view;
}
