/* SPDX-License-Identifier: MIT */
/* dirty.h - which pages of a RAM block were written, for each client that logs it. */
#ifndef GMEM_SRC_DIRTY_H
#define GMEM_SRC_DIRTY_H

#include "ram.h"

#define GMEM__LOG_ALL ((1u << GMEM_LOG_CLIENTS) - 1) /* every client that has a bitmap */
#define GMEM__PAGES_PER_WORD 64u

/* Pages first to last, both included. */
struct gmem__pages {
    uint64_t first, last;
};

/* length is not 0. */
static inline struct gmem__pages gmem__pages_of(uint64_t offset, uint64_t length)
{
    return (struct gmem__pages){offset / GMEM_DIRTY_PAGE_SIZE, (offset + (length - 1)) / GMEM_DIRTY_PAGE_SIZE};
}

/* The bits of word that are pages. */
static inline uint64_t gmem__pages_mask(const struct gmem__pages *pages, uint64_t word)
{
    uint64_t from = word == pages->first / GMEM__PAGES_PER_WORD ? pages->first % GMEM__PAGES_PER_WORD : 0;
    uint64_t to =
        word == pages->last / GMEM__PAGES_PER_WORD ? pages->last % GMEM__PAGES_PER_WORD : GMEM__PAGES_PER_WORD - 1;

    return UINT64_MAX >> (GMEM__PAGES_PER_WORD - 1 - to) & UINT64_MAX << from;
}

/* Acquire: pairs with the release where it is set; the bitmap is zero before anybody finds it. */
static inline uint64_t *gmem__bitmap(const gmem_ram *ram, unsigned client)
{
    return __atomic_load_n(&ram->dirty[client], __ATOMIC_ACQUIRE);
}

/* W3 of dirty.c, after W2. */
static inline void gmem__bitmap_mark(uint64_t *bitmap, uint64_t word, uint64_t mask)
{
    /* Release: pairs with the acquire of S1. */
    if ((__atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & mask) != mask)
        (void)__atomic_fetch_or(&bitmap[word], mask, __ATOMIC_RELEASE);
}

static inline void gmem__bitmap_mark_pages(uint64_t *bitmap, const struct gmem__pages *pages)
{
    uint64_t word;

    for (word = pages->first / GMEM__PAGES_PER_WORD; word <= pages->last / GMEM__PAGES_PER_WORD; word++)
        gmem__bitmap_mark(bitmap, word, gmem__pages_mask(pages, word));
}

/* The same of length bytes, at least 1, which are mostly in one page. */
static inline void gmem__bitmap_mark_bytes(uint64_t *bitmap, uint64_t offset, uint64_t length)
{
    struct gmem__pages pages = gmem__pages_of(offset, length);

    if (__builtin_expect(pages.first == pages.last, 1))
        gmem__bitmap_mark(bitmap, pages.first / GMEM__PAGES_PER_WORD,
                          (uint64_t)1 << pages.first % GMEM__PAGES_PER_WORD);
    else
        gmem__bitmap_mark_pages(bitmap, &pages);
}

/* Clients that log the whole block whatever regions wish. Acquire: pairs with the release in gmem__ram_log_always(). */
static inline unsigned gmem__ram_always(const gmem_ram *ram)
{
    return __atomic_load_n(&ram->always, __ATOMIC_ACQUIRE);
}

/* Give client a bitmap of ram, if it has none, with nothing dirty. With the writer turn. -ENOMEM, -EIO. */
int gmem__ram_log(gmem_ram *ram, unsigned client) GMEM_MUST_CHECK;
/*
 * The same in two steps: make the bitmap (-ENOMEM), and let it be found, or free it. The first with the writer turn, or before
 * others find the block; the others besides with what keeps the block from ending.
 */
int gmem__ram_log_prepare(gmem_ram *ram, unsigned client) GMEM_MUST_CHECK;
void gmem__ram_log_install(gmem_ram *ram, unsigned client);
void gmem__ram_log_discard(gmem_ram *ram);
/* Have clients, who have bitmaps, log the whole block. */
void gmem__ram_log_always(gmem_ram *ram, unsigned clients);
/* Free the bitmaps of a block that nobody refers to. */
void gmem__ram_log_free(gmem_ram *ram);

/*
 * length bytes, at least 1, at offset of ram were written: after the write. clients is a set, bit c for client c; those
 * without a bitmap are skipped.
 */
void gmem__ram_mark_dirty(gmem_ram *ram, unsigned clients, uint64_t offset, uint64_t length);

/* The same for those of pages whose bit is set in bits, of which bit 0 is the first. */
void gmem__ram_mark_bits(gmem_ram *ram, unsigned clients, const struct gmem__pages *pages, const uint64_t *bits);

/* 0, -EINVAL or -ERANGE: what all public functions say of an interval of a block. */
int gmem__ram_check_interval(const gmem_ram *ram, uint64_t offset, uint64_t size) GMEM_MUST_CHECK;

#endif
