/* SPDX-License-Identifier: MIT */
/*
 * hint.c - the hint of each thread (see hint.h). It is a thread's static data: nothing is allocated, and it ends with it.
 *
 * Runs in an RCU read section.
 */
#include "hint.h"

__thread struct gmem__hint gmem__hint;

bool gmem__hint_renew(const struct gmem__shown *shown, uint64_t generation)
{
    if (!gmem__shown_kept(shown, gmem__hint.generation, generation, gmem__hint.first))
        return false;
    gmem__hint.generation = generation;
    return true;
}

static void set_logged(const struct gmem__range *range, unsigned clients)
{
    gmem_ram *ram = range->region->ram;

    if (ram->full_fence)
        return;
    gmem__hint.logged = gmem__hint.reads;
    gmem__hint.in_block = range->offset - range->first;
    /* Who wishes to log has a bitmap. */
    gmem__hint.bitmap = gmem__bitmap(ram, (unsigned)__builtin_ctz(clients));
    gmem__hint.ram = ram;
    gmem__hint.others = clients & (clients - 1);
}

void gmem__hint_set(const gmem_view *view, const struct gmem__range *range)
{
    uint64_t last = range->last - range->first;
    unsigned clients;

    gmem__hint.generation = gmem__view_generation(view);
    gmem__hint.first = range->first;
    gmem__hint.reads = last < 7 ? 0 : last - 6;
    gmem__hint.base = (uintptr_t)range->host - (uintptr_t)range->first;
    clients = gmem__range_clients(range);
    gmem__hint.writes = 0;
    gmem__hint.logged = 0;
    if (!gmem__range_writes_directly(range))
        return;
    if (!clients)
        gmem__hint.writes = gmem__hint.reads;
    else
        set_logged(range, clients);
}
