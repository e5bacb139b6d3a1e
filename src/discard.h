/* SPDX-License-Identifier: MIT */
/* discard.h - the population state of a RAM block's discardable region. */
#ifndef GMEM_SRC_DISCARD_H
#define GMEM_SRC_DISCARD_H

#include "vm.h"
#include <gmem/discard.h>

struct gmem__discard {
    const gmem_region *region; /* compared; the state ends with it */
    uint64_t granule;
    uint64_t count; /* granules */
    struct gmem_discard_listener *first, *last;
    uint64_t bits[]; /* atomic words: 1 is populated */
};

/* Region is being freed: forget the state of its block, if it is that one's. */
void gmem__discard_forget(const gmem_region *region);

#endif
