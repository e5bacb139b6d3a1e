/* SPDX-License-Identifier: MIT */
/*
 * discard.c - which granules of a ram region are populated, and who hears of it.
 *
 * Owns ram->discard: made once, and ended with its region. All changes have the writer turn, so there is one at a time; the bits
 * are written and read as atomic words, so that anybody may look without a lock.
 *
 *   a. Listeners hear of an interval before its state changes, and memory is given back after all have heard.
 *   b. Populating is all or nothing: each run that was told is told back, from a copy of the bits of before.
 *   c. A run never has both states, and runs are as long as they can be inside what was asked for.
 */
#include "discard.h"
#include "dirty.h"
#include "ram_backing.h"
#include "region.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BITS 64u

/* --- bits ---------------------------------------------------------------------------------------------------------- */

static bool bit(const uint64_t *bits, uint64_t granule)
{
    /* Acquire: pairs with the release in set_bits(): who finds it populated finds what listeners did for that. */
    return __atomic_load_n(&bits[granule / BITS], __ATOMIC_ACQUIRE) >> granule % BITS & 1;
}

/* Granules first to last, both included. With the turn. */
static void set_bits(uint64_t *bits, uint64_t first, uint64_t last, bool on)
{
    uint64_t word, mask, from = first / BITS, to = last / BITS;

    for (word = from; word <= to; word++) {
        mask = UINT64_MAX << (word == from ? first % BITS : 0);
        mask &= UINT64_MAX >> (word == to ? BITS - 1 - last % BITS : 0);
        if (on)
            __atomic_fetch_or(&bits[word], mask, __ATOMIC_RELEASE);
        else
            __atomic_fetch_and(&bits[word], ~mask, __ATOMIC_RELEASE);
    }
}

/* The end of the run that begins with granule at, of one state, in granules up to last. */
static uint64_t run_end(const uint64_t *bits, uint64_t at, uint64_t last, bool *ret_state)
{
    uint64_t whole;

    *ret_state = bit(bits, at);
    whole = *ret_state ? UINT64_MAX : 0;
    while (at < last) {
        if ((at + 1) % BITS == 0 && last - at >= BITS &&
            __atomic_load_n(&bits[(at + 1) / BITS], __ATOMIC_ACQUIRE) == whole)
            at += BITS;
        else if (bit(bits, at + 1) == *ret_state)
            at++;
        else
            break;
    }
    return at;
}

static struct gmem__discard *discard_of(const gmem_region *region)
{
    /* Acquire: pairs with the release in gmem_discard_create(). */
    struct gmem__discard *discard = region->ram ? __atomic_load_n(&region->ram->discard, __ATOMIC_ACQUIRE) : NULL;

    return discard && discard->region == region ? discard : NULL;
}

/* The last byte of a granule, in the region. */
static uint64_t granule_last(const gmem_region *region, const struct gmem__discard *discard, uint64_t granule)
{
    return gmem__min(region->p.last, granule * discard->granule + (discard->granule - 1));
}

/* --- making it ----------------------------------------------------------------------------------------------------- */

static int check_region(const gmem_region *region)
{
    const gmem_ram *ram = region->ram;
    const char *wrong = NULL;

    if (region->kind != GMEM_KIND_RAM)
        return gmem__refuse(region->vm, -EOPNOTSUPP, "discarding: \"%s\" is no ram region", region->name);
    if (ram->backing == GMEM_RAM_CALLER)
        wrong = "is the caller's";
    else if (ram->backing == GMEM_RAM_FILE && !(ram->flags & GMEM_RAM_SHARED))
        wrong = "is a private file";
    if (ram->resizable)
        wrong = "is resizable";
    if (wrong)
        return gmem__refuse(region->vm, -EOPNOTSUPP, "discarding: the memory of \"%s\" %s", ram->id, wrong);
    return 0;
}

/* Whether undoing the transaction that is open would change the size of region. */
static bool was_resized(const gmem_region *region)
{
    const gmem_vm *vm = region->vm;
    size_t i;

    for (i = 0; i < vm->undo_count; i++) {
        if (vm->undos[i].region == region && vm->undos[i].old.last != region->p.last)
            return true;
    }
    return false;
}

static int create(gmem_region *region, uint64_t granule, bool populated)
{
    gmem_ram *ram = region->ram;
    uint64_t count = (gmem_ram_size(ram) - 1) / granule + 1;
    struct gmem__discard *discard;

    if (ram->discard)
        return gmem__refuse(region->vm, -EEXIST, "RAM block \"%s\" is discardable already", ram->id);
    if (was_resized(region))
        return gmem__refuse(region->vm, -EBUSY, "\"%s\" was resized, which may be undone yet", region->name);
    discard = calloc(1, sizeof(*discard) + (count / BITS + 1) * sizeof(discard->bits[0]));
    if (!discard)
        return gmem__refuse(region->vm, -ENOMEM, "no memory for what is populated of \"%s\"", region->name);
    discard->region = region;
    discard->granule = granule;
    discard->count = count;
    if (populated)
        set_bits(discard->bits, 0, count - 1, true);
    /* Release: pairs with the acquire in discard_of(). */
    __atomic_store_n(&ram->discard, discard, __ATOMIC_RELEASE);
    return 0;
}

int gmem_discard_create(gmem_region *region, const struct gmem_discard_options *options)
{
    struct gmem_discard_options known = {0};
    uint64_t granule;
    int err;

    if (!region)
        return -EINVAL;
    if (options && gmem__options_copy(&known, sizeof(known), options, options->struct_size))
        return gmem__refuse(region->vm, -EINVAL, "discard options with an unknown size, or tail");
    err = check_region(region);
    if (err)
        return err;
    granule = known.granule ? known.granule : region->ram->page_size;
    if ((granule & (granule - 1)) || granule < region->ram->page_size)
        return gmem__refuse(region->vm, -EINVAL, "discarding: a granule of 0x%llx bytes does not fit \"%s\"",
                            (unsigned long long)granule, region->name);
    err = gmem__turn_acquire(region->vm);
    if (err)
        return err;
    err = create(region, granule, known.populated);
    gmem__turn_release(region->vm);
    return err;
}

void gmem__discard_forget(const gmem_region *region)
{
    struct gmem__discard *discard = discard_of(region);

    if (!discard)
        return;
    __atomic_store_n(&region->ram->discard, NULL, __ATOMIC_RELEASE);
    free(discard);
}

/* --- telling ------------------------------------------------------------------------------------------------------- */

/* The part of granules first to last that listener hears of; false: none. */
static bool clip(const struct gmem__discard *discard, const struct gmem_discard_listener *listener, uint64_t first,
                 uint64_t last, uint64_t *ret_first, uint64_t *ret_last)
{
    *ret_first = gmem__max(listener->first, first * discard->granule);
    *ret_last = gmem__min(listener->last, granule_last(discard->region, discard, last));
    return *ret_first <= *ret_last;
}

static int tell_populate(struct gmem__discard *discard, struct gmem_discard_listener *listener, uint64_t first,
                         uint64_t last)
{
    gmem_region *region = listener->region;
    uint64_t from, to;
    int err = 0;

    if (!clip(discard, listener, first, last, &from, &to))
        return 0;
    discard->region->vm->discard_calling++;
    err = listener->populate(listener, region, from, to);
    discard->region->vm->discard_calling--;
    /* A positive answer is no errno. */
    return err > 0 ? -EINVAL : err;
}

static void tell_discard(struct gmem__discard *discard, struct gmem_discard_listener *listener, uint64_t first,
                         uint64_t last)
{
    uint64_t from, to;

    if (!clip(discard, listener, first, last, &from, &to))
        return;
    discard->region->vm->discard_calling++;
    listener->discard(listener, listener->region, from, to);
    discard->region->vm->discard_calling--;
}

/* Latest first, those before until; NULL: all. */
static void tell_all_discard(struct gmem__discard *discard, struct gmem_discard_listener *until, uint64_t first,
                             uint64_t last)
{
    struct gmem_discard_listener *listener = until ? until->prev : discard->last;

    for (; listener; listener = listener->prev)
        tell_discard(discard, listener, first, last);
}

static int tell_all_populate(struct gmem__discard *discard, uint64_t first, uint64_t last)
{
    struct gmem_discard_listener *listener;
    int err;

    for (listener = discard->first; listener; listener = listener->next) {
        err = tell_populate(discard, listener, first, last);
        if (err) {
            tell_all_discard(discard, listener, first, last);
            return err;
        }
    }
    return 0;
}

/* --- populating and discarding ------------------------------------------------------------------------------------- */

/* The granules of an interval; with the turn. */
static int check_interval(const gmem_region *region, uint64_t first, uint64_t last, struct gmem__discard **ret_discard,
                          uint64_t *ret_first, uint64_t *ret_last)
{
    struct gmem__discard *discard = discard_of(region);
    gmem_vm *vm = region->vm;

    if (!discard)
        return gmem__refuse(vm, -ENOENT, "\"%s\" is not discardable", region->name);
    if (region->vm->discard_calling)
        return gmem__refuse(vm, -EBUSY, "\"%s\" discarded or populated from a listener's callback", region->name);
    if (first > last)
        return gmem__refuse(vm, -EINVAL, "an interval of \"%s\" ends before it begins", region->name);
    if (last > region->p.last)
        return gmem__refuse(vm, -ERANGE, "0x%llx-0x%llx is not inside \"%s\"", (unsigned long long)first,
                            (unsigned long long)last, region->name);
    if ((first & (discard->granule - 1)) || (last != region->p.last && ((last + 1) & (discard->granule - 1))))
        return gmem__refuse(vm, -EINVAL, "0x%llx-0x%llx cuts a granule of \"%s\"", (unsigned long long)first,
                            (unsigned long long)last, region->name);
    *ret_discard = discard;
    *ret_first = first / discard->granule;
    *ret_last = last / discard->granule;
    return 0;
}

/* Undo what was populated below granule end: was are the bits of before, from the word of first on. */
static void unpopulate(struct gmem__discard *discard, const uint64_t *was, uint64_t first, uint64_t end)
{
    uint64_t base = first / BITS * BITS, at, to;
    bool before;

    for (at = first; at < end; at = to + 1) {
        to = base + run_end(was, at - base, end - 1 - base, &before);
        if (before)
            continue;
        tell_all_discard(discard, NULL, at, to);
        set_bits(discard->bits, at, to, false);
    }
}

static int populate(struct gmem__discard *discard, uint64_t first, uint64_t last)
{
    size_t words = (size_t)(last / BITS - first / BITS + 1);
    uint64_t *was = malloc(words * sizeof(*was));
    uint64_t at, to;
    bool populated;
    int err = 0;

    if (!was)
        return gmem__refuse(discard->region->vm, -ENOMEM, "no memory to populate \"%s\"", discard->region->name);
    memcpy(was, discard->bits + first / BITS, words * sizeof(*was));
    for (at = first; !err && at <= last; at = to + 1) {
        to = run_end(discard->bits, at, last, &populated);
        if (populated)
            continue;
        err = tell_all_populate(discard, at, to);
        if (err)
            break;
        set_bits(discard->bits, at, to, true);
    }
    if (err) {
        unpopulate(discard, was, first, at);
        (void)gmem__refuse(discard->region->vm, err, "a listener refuses to populate \"%s\"", discard->region->name);
    }
    free(was);
    return err;
}

int gmem_discard_populate(gmem_region *region, uint64_t first, uint64_t last)
{
    struct gmem__discard *discard;
    int err;

    if (!region)
        return -EINVAL;
    err = gmem__turn_acquire(region->vm);
    if (err)
        return err;
    err = check_interval(region, first, last, &discard, &first, &last);
    if (!err)
        err = populate(discard, first, last);
    gmem__turn_release(region->vm);
    return err;
}

static void discard_run(struct gmem__discard *discard, gmem_region *region, uint64_t first, uint64_t last)
{
    uint64_t from = first * discard->granule, size = granule_last(region, discard, last) - from + 1;

    tell_all_discard(discard, NULL, first, last);
    set_bits(discard->bits, first, last, false);
    gmem__backing_give_back(region->ram, from, size);
    gmem__ram_mark_dirty(region->ram, GMEM__LOG_ALL, from, size);
}

int gmem_discard_discard(gmem_region *region, uint64_t first, uint64_t last)
{
    struct gmem__discard *discard;
    uint64_t at, to;
    bool populated;
    int err;

    if (!region)
        return -EINVAL;
    err = gmem__turn_acquire(region->vm);
    if (err)
        return err;
    err = check_interval(region, first, last, &discard, &first, &last);
    if (!err && region->vm->discard_disabled)
        err = gmem__refuse(region->vm, -EBUSY, "discarding of \"%s\" is disabled", region->name);
    for (at = first; !err && at <= last; at = to + 1) {
        to = run_end(discard->bits, at, last, &populated);
        if (populated)
            discard_run(discard, region, at, to);
    }
    gmem__turn_release(region->vm);
    return err;
}

/* --- listeners ----------------------------------------------------------------------------------------------------- */

/* The turn, which a listener callback of a commit has already. Whether it is to be given up. */
static bool take_turn(gmem_vm *vm)
{
    return !(gmem__turn_mine(vm) && vm->notifying) && gmem__turn_acquire(vm) == 0;
}

/* Tell listener of what is populated below granule end. */
static void take_back(struct gmem__discard *discard, struct gmem_discard_listener *listener, uint64_t end)
{
    uint64_t at, to;
    bool populated;

    for (at = 0; at < end; at = to + 1) {
        to = run_end(discard->bits, at, end - 1, &populated);
        if (populated)
            tell_discard(discard, listener, at, to);
    }
}

static int listen(gmem_region *region, struct gmem_discard_listener *listener)
{
    struct gmem__discard *discard = discard_of(region);
    const struct gmem_discard_listener *other;
    uint64_t at, to;
    bool populated;
    int err;

    if (!discard)
        return gmem__refuse(region->vm, -ENOENT, "\"%s\" is not discardable", region->name);
    if (region->vm->discard_calling)
        return gmem__refuse(region->vm, -EBUSY, "a listener of \"%s\" registered from another's callback",
                            region->name);
    for (other = discard->first; other; other = other->next) {
        if (other == listener)
            return gmem__refuse(region->vm, -EEXIST, "the listener is registered with \"%s\" already", region->name);
    }
    listener->region = region;
    for (at = 0; at < discard->count; at = to + 1) {
        to = run_end(discard->bits, at, discard->count - 1, &populated);
        err = populated ? tell_populate(discard, listener, at, to) : 0;
        if (err) {
            take_back(discard, listener, at);
            listener->region = NULL;
            return err;
        }
    }
    listener->next = NULL;
    listener->prev = discard->last;
    *(discard->last ? &discard->last->next : &discard->first) = listener;
    discard->last = listener;
    gmem_region_ref(region);
    return 0;
}

int gmem_discard_listen(gmem_region *region, struct gmem_discard_listener *listener)
{
    bool mine;
    int err;

    if (!region || !listener || !listener->populate || !listener->discard || listener->first > listener->last)
        return -EINVAL;
    mine = take_turn(region->vm);
    err = listen(region, listener);
    if (mine)
        gmem__turn_release(region->vm);
    return err;
}

void gmem_discard_unlisten(struct gmem_discard_listener *listener)
{
    gmem_region *region = listener ? listener->region : NULL;
    struct gmem__discard *discard;
    gmem_vm *vm;
    bool mine;

    if (!region)
        return;
    vm = region->vm;
    mine = take_turn(vm);
    discard = discard_of(region);
    if (!region->vm->discard_calling) {
        take_back(discard, listener, discard->count);
        *(listener->prev ? &listener->prev->next : &discard->first) = listener->next;
        *(listener->next ? &listener->next->prev : &discard->last) = listener->prev;
        listener->region = NULL;
    } else {
        gmem__log(region->vm, GMEM_LOG_ERROR, "a discard listener of \"%s\" can't go from a callback", region->name);
        region = NULL;
    }
    if (mine)
        gmem__turn_release(vm);
    gmem_region_unref(region);
}

/* --- asking -------------------------------------------------------------------------------------------------------- */

uint64_t gmem_discard_granule(const gmem_region *region)
{
    const struct gmem__discard *discard = region ? discard_of(region) : NULL;

    return discard ? discard->granule : 0;
}

bool gmem_discard_is_populated(const gmem_region *region, uint64_t first, uint64_t last)
{
    const struct gmem__discard *discard = region ? discard_of(region) : NULL;
    uint64_t end;
    bool populated;

    if (!region || first > last || last > region->p.last)
        return false;
    if (!discard)
        return true;
    end = last / discard->granule;
    return run_end(discard->bits, first / discard->granule, end, &populated) == end && populated;
}

int gmem_discard_foreach(gmem_region *region, uint64_t first, uint64_t last, bool populated, gmem_discard_fn *fn,
                         void *opaque)
{
    const struct gmem__discard *discard;
    uint64_t at, to, end;
    bool state;
    int ret = 0;

    if (!region || !fn)
        return -EINVAL;
    last = gmem__min(last, region->p.last);
    if (first > last)
        return 0;
    discard = discard_of(region);
    if (!discard)
        return populated ? fn(opaque, region, first, last) : 0;
    end = last / discard->granule;
    for (at = first / discard->granule; !ret && at <= end; at = to + 1) {
        to = run_end(discard->bits, at, end, &state);
        if (state == populated)
            ret = fn(opaque, region, gmem__max(first, at * discard->granule),
                     gmem__min(last, granule_last(region, discard, to)));
    }
    return ret;
}

int gmem_discard_disable(gmem_vm *vm)
{
    int err;

    if (!vm)
        return -EINVAL;
    err = gmem__turn_acquire(vm);
    if (err)
        return err;
    if (vm->discard_calling)
        err = gmem__refuse(vm, -EBUSY, "discarding disabled from a listener's callback");
    else
        vm->discard_disabled++;
    gmem__turn_release(vm);
    return err;
}

void gmem_discard_enable(gmem_vm *vm)
{
    bool mine;

    if (!vm)
        return;
    mine = take_turn(vm);
    if (vm->discard_disabled > 0)
        vm->discard_disabled--;
    if (mine)
        gmem__turn_release(vm);
}
