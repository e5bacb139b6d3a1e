/* SPDX-License-Identifier: MIT */
/*
 * ram_list.c - the RAM blocks of a vm: their order, the gaps between them, and their ids.
 *
 * Invariants. vm->rams is ordered by offset, and no two blocks overlap. Behind a block is a gap if at least a unit of the offset
 * space begins there at a multiple of a unit; vm->gaps has exactly the blocks with one, in any order. What blocks leave that are
 * made one after another is the gap behind the last, so that placing does not look at all of them; what is in front of the first
 * is looked at besides.
 *
 * vm->ids is a tree of the blocks by the hash of their ids: below a block are those whose hashes begin with the bits that lead
 * there, and so any of them that has nothing below it can take its place. It needs no memory of its own. Several blocks have one id
 * where all but the latest have no reference left. Everything here runs with vm->mutex.
 */
#include "ram_list.h"
#include "range.h"
#include "ram_backing.h"
#include <errno.h>
#include <string.h>

#define PAGES_PER_WORD 64u

uint64_t gmem__ram_unit(void)
{
    return PAGES_PER_WORD * gmem__host_page_size();
}

gmem_ram *gmem__ram_behind(const gmem_vm *vm, const gmem_ram *ram)
{
    struct gmem__link *next = ram ? ram->link.next : vm->rams.next;

    return next == &vm->rams ? NULL : GMEM__OF(next, gmem_ram, link);
}

/* The first multiple of align behind a block, and the last byte in front of the next. False: there is none. */
static bool gap(const gmem_vm *vm, const gmem_ram *ram, uint64_t align, uint64_t *ret_first, uint64_t *ret_last)
{
    const gmem_ram *next = gmem__ram_behind(vm, ram);
    uint64_t from = ram ? ram->offset + ram->mapped : 0;
    uint64_t at = (from + align - 1) & ~(align - 1);

    /* A block may end at 2^64. */
    if ((ram && from < ram->offset) || at < from || (next && next->offset <= at))
        return false;
    *ret_first = at;
    *ret_last = next ? next->offset - 1 : GMEM__LAST;
    return true;
}

int gmem__ram_place(const gmem_vm *vm, uint64_t size, uint64_t align, uint64_t *ret_offset, gmem_ram **ret_behind)
{
    const struct gmem__link *link = &vm->gaps;
    gmem_ram *behind = NULL;
    uint64_t best_room = GMEM__LAST;
    bool found = false;

    for (;;) {
        uint64_t first, last;

        if (gap(vm, behind, align, &first, &last) && last - first >= size - 1 &&
            (!found || last - first < best_room || (last - first == best_room && first < *ret_offset))) {
            best_room = last - first;
            *ret_offset = first;
            *ret_behind = behind;
            found = true;
        }
        link = link->next;
        if (link == &vm->gaps)
            return found ? 0 : -ENOSPC;
        behind = GMEM__OF(link, gmem_ram, gap);
    }
}

/* Something came or went behind ram, if that is a block. */
static void look_behind(gmem_vm *vm, gmem_ram *ram)
{
    uint64_t first, last;

    if (!ram)
        return;
    gmem__link_remove(&ram->gap);
    if (gap(vm, ram, gmem__ram_unit(), &first, &last))
        gmem__link_before(&vm->gaps, &ram->gap);
}

/* All 64 bits depend on every byte. */
static uint64_t hash(const char *id)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 0x100000001b3u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return h ^ (h >> 32);
}

/* Which way from a block that is so deep in the tree; what is deeper than there are bits lies in a row. */
static unsigned way(uint64_t h, unsigned depth)
{
    return depth < 64 ? (unsigned)(h >> depth) & 1u : 0;
}

gmem_ram *gmem__ram_of_id(const gmem_vm *vm, const char *id)
{
    uint64_t h = hash(id);
    gmem_ram *ram = vm->ids;
    unsigned depth = 0;

    while (ram && (ram->id_hash != h || strcmp(ram->id, id) != 0 || !__atomic_load_n(&ram->refs, __ATOMIC_RELAXED)))
        ram = ram->id_below[way(h, depth++)];
    return ram;
}

static void enter_id(gmem_vm *vm, gmem_ram *ram)
{
    gmem_ram **at = &vm->ids;
    unsigned depth = 0;

    ram->id_hash = hash(ram->id);
    while (*at)
        at = &(*at)->id_below[way(ram->id_hash, depth++)];
    *at = ram;
}

static void leave_id(gmem_vm *vm, gmem_ram *ram)
{
    gmem_ram **at = &vm->ids, **leaf;
    unsigned depth = 0;
    gmem_ram *last;

    while (*at != ram)
        at = &(*at)->id_below[way(ram->id_hash, depth++)];
    leaf = at;
    while ((*leaf)->id_below[0] || (*leaf)->id_below[1])
        leaf = &(*leaf)->id_below[!(*leaf)->id_below[0]];
    last = *leaf;
    *leaf = NULL;
    if (last == ram)
        return;
    memcpy(last->id_below, ram->id_below, sizeof(last->id_below));
    *at = last;
}

void gmem__ram_enter(gmem_vm *vm, gmem_ram *ram, gmem_ram *behind)
{
    gmem__link_before(behind ? behind->link.next : vm->rams.next, &ram->link);
    gmem__link_init(&ram->gap);
    look_behind(vm, behind);
    look_behind(vm, ram);
    enter_id(vm, ram);
}

void gmem__ram_leave(gmem_vm *vm, gmem_ram *ram)
{
    struct gmem__link *before = ram->link.prev;

    leave_id(vm, ram);
    gmem__link_remove(&ram->gap);
    gmem__link_remove(&ram->link);
    look_behind(vm, before == &vm->rams ? NULL : GMEM__OF(before, gmem_ram, link));
}
