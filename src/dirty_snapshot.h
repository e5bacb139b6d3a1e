/* SPDX-License-Identifier: MIT */
/* dirty_snapshot.h - taking a snapshot step by step, for who has something else to do in between. */
#ifndef GMEM_SRC_DIRTY_SNAPSHOT_H
#define GMEM_SRC_DIRTY_SNAPSHOT_H

#include "ram.h"

/* One of size bytes, at least 1, at offset of ram, which are inside, with nothing in it. -ENOMEM. */
int gmem__dirty_snapshot_make(gmem_ram *ram, uint64_t offset, uint64_t size,
                              gmem_dirty_snapshot **ret_snapshot) GMEM_MUST_CHECK;
/* Take what client has dirty. -EIO: nothing was taken. */
int gmem__dirty_snapshot_take(gmem_ram *ram, unsigned client, gmem_dirty_snapshot *snapshot) GMEM_MUST_CHECK;
/* Make dirty again what was taken. */
void gmem__dirty_snapshot_return(gmem_ram *ram, unsigned client, const gmem_dirty_snapshot *snapshot);

#endif
