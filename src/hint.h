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
 *
 * It may be written unmarked (writes), or marked in a bitmap that the hint knows (logged), or not at all through a hint; never
 * more than one of these. A bitmap is there as long as its block, and who is to be marked changes with the generation only: when
 * it begins or ends that all is logged too (log.c). Where writers need a full fence (fence.h), what is logged has no hint: beside
 * that the search is cheap.
 */
#ifndef GMEM_SRC_HINT_H
#define GMEM_SRC_HINT_H

#include "dirty.h"
#include "fence.h"
#include "space.h"

struct gmem__hint {
    uint64_t generation; /* of the view; 0: none */
    uint64_t first;      /* of the range */
    uint64_t reads;      /* at offsets in the range below this 8 bytes may be read */
    uint64_t writes;     /* and written */
    uintptr_t base;      /* with an address of the range added: the host's */

    uint64_t logged;   /* below this they may be written if they are marked then */
    uint64_t in_block; /* with an address of the range added: the offset in its block */
    uint64_t *bitmap;  /* of a client that logs it */
    gmem_ram *ram;     /* the block */
    unsigned others;   /* clients that log it besides */
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

/* size bytes, at least 1, at addr were written through the hint, as logged says. In the read section that it was checked in. */
static inline void gmem__hint_written(uint64_t addr, uint64_t size)
{
    uint64_t offset = addr + gmem__hint.in_block;

    /* W2 of dirty.c. */
    gmem__fence_light(false);
    gmem__bitmap_mark_bytes(gmem__hint.bitmap, offset, size);
    if (__builtin_expect(gmem__hint.others, 0))
        gmem__ram_mark_dirty(gmem__hint.ram, gmem__hint.others, offset, size);
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

/*
 * The clients that log a range with host memory, a bit each. What is remembered of it has to be of a generation that was read
 * before.
 */
static inline unsigned gmem__range_clients(const struct gmem__range *range)
{
    unsigned wished = (range->attrs & GMEM_RANGE_LOG_MASK) >> GMEM_RANGE_LOG_SHIFT;

    /* Memory of a device is no part of what is migrated. */
    return range->region->kind == GMEM_KIND_RAM_DEVICE ? wished : wished | gmem__ram_always(range->region->ram);
}

/*
 * Remember range, of view, which is read directly. In the read section that the view was found in.
 */
void gmem__hint_set(const gmem_view *view, const struct gmem__range *range);

#endif
