/* SPDX-License-Identifier: MIT */
/*
 * log.c - dirty logging of a vm as a whole: everything at once, a region with its listeners, settling, clients' names.
 *
 * Everything is logged (vm->global_log) exactly while every block has MIGRATION in ram->always. Both change with the turn, and
 * together while the mutex is held, which a new block is entered under. So nothing is rendered; but what threads and caches
 * remember of host memory says whether it may be written unmarked. Therefore each shown gets another generation after the blocks
 * were changed: whoever finds the new one looks at the block again (hint.h, cache.c), and whoever still finds the old one is an
 * access under way.
 *
 * All or nothing (G1): bitmaps are made, and listeners asked, before anything changes. vm->log_blocks is set first, so that
 * blocks which are entered meanwhile bring their bitmap along; the last step needs no memory.
 */
#include "dirty.h"
#include "dirty_snapshot.h"
#include "fence.h"
#include "listener.h"
#include "range.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- everything ---------------------------------------------------------------------------------------------------- */

/* Call fn for every block until it returns other than 0, which is returned. What fn does need not be quick. */
static int each_block(gmem_vm *vm, int (*fn)(gmem_ram *ram, unsigned client), unsigned client)
{
    gmem_ram *ram, *next;
    int err = 0;

    for (ram = gmem__ram_next(vm, NULL); ram; ram = next) {
        err = fn(ram, client);
        next = err ? NULL : gmem__ram_next(vm, ram);
        gmem_ram_unref(ram);
    }
    return err;
}

static int discard(gmem_ram *ram, unsigned client)
{
    (void)client;
    gmem__ram_log_discard(ram);
    return 0;
}

static void set_log_blocks(gmem_vm *vm, bool on)
{
    pthread_mutex_lock(&vm->mutex);
    vm->log_blocks = on;
    pthread_mutex_unlock(&vm->mutex);
}

/* The step that can't fail. */
static void switch_blocks(gmem_vm *vm, bool on)
{
    struct gmem__link *link;

    pthread_mutex_lock(&vm->mutex);
    for (link = vm->rams.next; link != &vm->rams; link = link->next) {
        gmem_ram *ram = GMEM__OF(link, gmem_ram, link);

        if (on)
            gmem__ram_log_install(ram, GMEM_LOG_MIGRATION);
        /* One that is about to end may have been passed over, and is written by nobody. */
        gmem__ram_log_always(ram, on && gmem__bitmap(ram, GMEM_LOG_MIGRATION) ? 1u << GMEM_LOG_MIGRATION : 0);
    }
    vm->global_log = on;
    vm->log_blocks = on;
    pthread_mutex_unlock(&vm->mutex);
    for (link = vm->shown.next; link != &vm->shown; link = link->next)
        gmem__shown_left(GMEM__OF(link, struct gmem__shown, link));
}

static int fence(gmem_vm *vm)
{
    return gmem__fence_heavy(vm->full_fence) ? gmem__refuse(vm, -EIO, "the kernel refuses membarrier(2)") : 0;
}

static int start_all(gmem_vm *vm)
{
    int err;

    set_log_blocks(vm, true);
    err = each_block(vm, gmem__ram_log_prepare, GMEM_LOG_MIGRATION);
    if (err)
        err = gmem__refuse(vm, err, "no memory for a dirty bitmap of every RAM block");
    if (!err)
        err = gmem__tell_global(vm, true);
    if (err) {
        set_log_blocks(vm, false);
        (void)each_block(vm, discard, 0);
        return err;
    }
    switch_blocks(vm, true);
    /* S2 of who begins to log, for writers that look at all bitmaps. */
    err = fence(vm);
    if (err) {
        switch_blocks(vm, false);
        if (gmem__tell_global(vm, false))
            gmem__log(vm, GMEM_LOG_WARNING, "a listener goes on to log everything");
    }
    return err;
}

static int stop_all(gmem_vm *vm)
{
    int err = gmem__tell_global(vm, false);

    if (!err)
        switch_blocks(vm, false);
    return err;
}

int gmem_vm_set_global_log(gmem_vm *vm, bool on)
{
    int err;

    if (!vm)
        return -EINVAL;
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    if (vm->global_log != on) {
        err = on ? start_all(vm) : stop_all(vm);
    }
    gmem__turn_release(vm);
    return err;
}

/* --- in flight ----------------------------------------------------------------------------------------------------- */

int gmem_vm_settle(gmem_vm *vm)
{
    if (!vm)
        return -EINVAL;
    if (gmem__rcu_inside() || gmem__turn_mine(vm))
        return gmem__refuse(vm, -EBUSY, "accesses can't be waited for from inside one, or inside a transaction");
    /* Caches look again after they wrote, which needs the fence; all else is in a read section. */
    if (fence(vm))
        return -EIO;
    gmem__rcu_synchronize();
    return 0;
}

/* --- a region ------------------------------------------------------------------------------------------------------ */

/* With the turn. Listeners first, so that what they know is in the bitmap; log_clear before anybody copies. */
static int sync_and_take(gmem_region *region, unsigned client, uint64_t first, uint64_t last,
                         gmem_dirty_snapshot *snapshot)
{
    int err = gmem_region_log_sync(region);

    if (!err)
        err = gmem__dirty_snapshot_take(region->ram, client, snapshot);
    if (err)
        return err;
    err = gmem_region_log_clear(region, first, last);
    if (err)
        gmem__dirty_snapshot_return(region->ram, client, snapshot);
    return err;
}

static int region_snapshot(gmem_region *region, unsigned client, uint64_t first, uint64_t last,
                           gmem_dirty_snapshot **ret_snapshot)
{
    gmem_dirty_snapshot *snapshot;
    int err;

    if (last > region->p.last)
        return gmem__refuse(region->vm, -ERANGE, "0x%llx is not inside \"%s\"", (unsigned long long)last, region->name);
    /* Of the region, the offsets are those of its block. */
    err = gmem__dirty_snapshot_make(region->ram, first, last - first + 1, &snapshot);
    if (err)
        return err;
    err = sync_and_take(region, client, first, last, snapshot);
    if (err)
        gmem_dirty_snapshot_free(snapshot);
    else
        *ret_snapshot = snapshot;
    return err;
}

int gmem_region_dirty_snapshot(gmem_region *region, unsigned client, uint64_t first, uint64_t last,
                               gmem_dirty_snapshot **ret_snapshot)
{
    int err;

    if (!region || client >= GMEM_LOG_CLIENTS || first > last || !ret_snapshot)
        return -EINVAL;
    if (!region->ram)
        return gmem__refuse(region->vm, -EOPNOTSUPP, "\"%s\" has no dirty log", region->name);
    err = gmem__turn_acquire(region->vm);
    if (err)
        return err;
    err = region_snapshot(region, client, first, last, ret_snapshot);
    gmem__turn_release(region->vm);
    return err;
}

/* --- clients ------------------------------------------------------------------------------------------------------- */

/* With vm->mutex. */
static int take_free(gmem_vm *vm, char *name, unsigned *ret_client)
{
    unsigned client, found = GMEM_LOG_CLIENTS;

    for (client = GMEM_LOG_CLIENTS - 1; client >= GMEM_LOG_USER; client--) {
        if (!vm->log_names[client])
            found = client;
        else if (!strcmp(vm->log_names[client], name))
            return -EEXIST;
    }
    if (found == GMEM_LOG_CLIENTS)
        return -ENOSPC;
    vm->log_names[found] = name;
    *ret_client = found;
    return 0;
}

static int clean(gmem_ram *ram, unsigned client)
{
    uint64_t *bitmap = gmem__bitmap(ram, client), i;

    for (i = 0; bitmap && i <= gmem__pages_of(0, ram->max).last / GMEM__PAGES_PER_WORD; i++) {
        if (__atomic_load_n(&bitmap[i], __ATOMIC_RELAXED))
            __atomic_store_n(&bitmap[i], 0, __ATOMIC_RELAXED);
    }
    return 0;
}

static bool is_fixed(const char *name)
{
    return !strcmp(name, "display") || !strcmp(name, "migration") || !strcmp(name, "code");
}

int gmem_vm_log_client_get(gmem_vm *vm, const char *name, unsigned *ret_client)
{
    size_t length = name ? strnlen(name, GMEM_NAME_MAX + 1) : 0;
    unsigned client = 0;
    char *copy;
    int err;

    if (!vm || !ret_client || length == 0 || length > GMEM_NAME_MAX)
        return -EINVAL;
    if (is_fixed(name))
        return gmem__refuse(vm, -EEXIST, "a logging client \"%s\" is there always", name);
    copy = strdup(name);
    if (!copy)
        return gmem__refuse(vm, -ENOMEM, "no memory for a logging client \"%s\"", name);
    pthread_mutex_lock(&vm->mutex);
    err = take_free(vm, copy, &client);
    pthread_mutex_unlock(&vm->mutex);
    if (err) {
        free(copy);
        return gmem__refuse(
            vm, err,
            err == -EEXIST ? "a logging client \"%s\" is there already" : "no logging client is free for \"%s\"", name);
    }
    /* What was written for whoever had the number before. */
    (void)each_block(vm, clean, client);
    *ret_client = client;
    return 0;
}

void gmem_vm_log_client_put(gmem_vm *vm, unsigned client)
{
    char *name;

    if (!vm || client < GMEM_LOG_USER || client >= GMEM_LOG_CLIENTS)
        return;
    pthread_mutex_lock(&vm->mutex);
    name = vm->log_names[client];
    vm->log_names[client] = NULL;
    pthread_mutex_unlock(&vm->mutex);
    free(name);
}

int gmem_vm_log_client_name(gmem_vm *vm, unsigned client, char *buf, size_t size)
{
    static const char *const fixed[GMEM_LOG_USER] = {"display", "migration", "code"};
    const char *name;
    int err = 0;

    if (!vm || client >= GMEM_LOG_CLIENTS || !buf || size == 0)
        return -EINVAL;
    pthread_mutex_lock(&vm->mutex);
    name = client < GMEM_LOG_USER ? fixed[client] : vm->log_names[client];
    if (name)
        (void)snprintf(buf, size, "%s", name);
    else
        err = -ENOENT;
    pthread_mutex_unlock(&vm->mutex);
    return err;
}
