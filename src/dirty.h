/* SPDX-License-Identifier: MIT */
/* dirty.h - which pages of a RAM block were written, for each client that logs it. */
#ifndef GMEM_SRC_DIRTY_H
#define GMEM_SRC_DIRTY_H

#include "ram.h"

#define GMEM__LOG_ALL ((1u << GMEM_LOG_CLIENTS) - 1) /* every client that has a bitmap */

/* Give client a bitmap of ram, if it has none, with nothing dirty. With the writer turn. -ENOMEM. */
int gmem__ram_log(gmem_ram *ram, unsigned client) GMEM_MUST_CHECK;
/* Free the bitmaps of a block that nobody refers to. */
void gmem__ram_log_free(gmem_ram *ram);

/*
 * length bytes, at least 1, at offset of ram were written: after the write. clients is a set, bit c for client c; those
 * without a bitmap are skipped.
 */
void gmem__ram_mark_dirty(gmem_ram *ram, unsigned clients, uint64_t offset, uint64_t length);

#endif
