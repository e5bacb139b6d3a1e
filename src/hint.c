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

void gmem__hint_set(const gmem_view *view, const struct gmem__range *range)
{
    uint64_t last = range->last - range->first;

    gmem__hint.generation = gmem__view_generation(view);
    gmem__hint.first = range->first;
    gmem__hint.reads = last < 7 ? 0 : last - 6;
    gmem__hint.writes = gmem__range_writes_unlogged(range) ? gmem__hint.reads : 0;
    gmem__hint.base = (uintptr_t)range->host - (uintptr_t)range->first;
}
