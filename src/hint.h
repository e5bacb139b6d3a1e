/* SPDX-License-Identifier: MIT */
/*
 * hint.h - the host memory that a thread came to last, so that it need not search for it again.
 *
 * Each thread has a hint of its own, and nothing is written that threads share. The hint is good while the generation that it
 * was made in is the published one, which a reader checks inside its read section: then the view that it was taken from is
 * alive, and so is the memory. Before that check nothing is done with what the hint says.
 *
 * Only host memory is worth it: what a device costs lies in its callback, and a hint that is as often wrong as right costs more
 * than the search.
 */
#ifndef GMEM_SRC_HINT_H
#define GMEM_SRC_HINT_H

#include "space.h"

struct gmem__hint {
    uint64_t generation; /* of the view; 0: none */
    uint64_t first;      /* of the range */
    uint64_t reads;      /* at offsets in the range below this 8 bytes may be read */
    uint64_t writes;     /* and written */
    uintptr_t base;      /* with an address of the range added: the host's */
};

extern __thread struct gmem__hint gmem__hint;

/*
 * The hint is not of generation, which is that of shown. If all that came between is one commit that did nothing to its range, it
 * is made so, without a look at the nodes that the commit has written.
 */
bool gmem__hint_renew(const struct gmem__shown *shown, uint64_t generation);

/*
 * The host memory of size bytes, at least 1, at addr, if the hint has them, else NULL. limit is the hint's, for reading or for
 * writing. In a read section.
 */
static inline uint8_t *gmem__hinted(gmem_space *space, uint64_t addr, uint64_t size, uint64_t limit)
{
    const struct gmem__shown *shown = gmem__rcu_get(space->shown);
    uint64_t generation = gmem__shown_generation(shown), skip = addr - gmem__hint.first;

    if (skip >= limit || (size > 8 && size - 1 > limit + 6 - skip))
        return NULL;
    if (__builtin_expect(gmem__hint.generation != generation, 0) && !gmem__hint_renew(shown, generation))
        return NULL;
    return (uint8_t *)(gmem__hint.base + (uintptr_t)addr); /* NOLINT(performance-no-int-to-ptr) */
}

/* Whether a range is read, or written, as host memory. */
static inline bool gmem__range_reads_directly(const struct gmem__range *range)
{
    return range->host && (range->region->kind != GMEM_KIND_ROMD || (range->attrs & GMEM_RANGE_ROMD));
}

static inline bool gmem__range_writes_directly(const struct gmem__range *range)
{
    return range->host && range->region->kind == GMEM_KIND_RAM && !(range->attrs & GMEM_RANGE_READONLY);
}

/* Whether nobody need be told of a write. */
static inline bool gmem__range_writes_unlogged(const struct gmem__range *range)
{
    return gmem__range_writes_directly(range) && !(range->attrs & GMEM_RANGE_LOG_MASK);
}

/*
 * Remember range, of view, which is read directly. In the read section that the view was found in.
 */
void gmem__hint_set(const gmem_view *view, const struct gmem__range *range);

#endif
