/* SPDX-License-Identifier: MIT */
/*
 * dirty_snapshot.c - many dirty pages at once: snapshots, runs, counts.
 *
 * A snapshot is the caller's memory and refers to nothing. Its words are those of the bitmap at the same places, so that
 * both are searched by the same code: with relaxed loads, since what a run says of a live bitmap is of some moment only.
 * Taking one is S1 of dirty.c for each word and one S2; a word that is clear is not written. Any thread, no lock.
 */
#include "dirty_snapshot.h"
#include "dirty.h"
#include "fence.h"
#include "range.h"
#include <errno.h>
#include <stdlib.h>

struct gmem_dirty_snapshot {
    struct gmem__pages pages; /* that it was asked about */
    uint64_t end;             /* the block's size: behind its last byte */
    uint64_t count;           /* of dirty pages */
    uint64_t words[];         /* from the one that pages.first is in */
};

/* --- runs of bits -------------------------------------------------------------------------------------------------- */

/* Words of bits, of which the first bit is that of page base, a multiple of 64; those beyond are clear. */
struct bits {
    const uint64_t *words;
    uint64_t base, count;
};

/* The first page at or behind from whose bit is value, or that behind the last. */
static uint64_t find_page(const struct bits *bits, uint64_t from, bool value)
{
    uint64_t at = from - bits->base, word = at / GMEM__PAGES_PER_WORD, found;
    uint64_t mask = UINT64_MAX << at % GMEM__PAGES_PER_WORD, flip = value ? 0 : UINT64_MAX;

    for (; word < bits->count; word++, mask = UINT64_MAX) {
        found = (__atomic_load_n(&bits->words[word], __ATOMIC_RELAXED) ^ flip) & mask;
        if (found)
            return bits->base + word * GMEM__PAGES_PER_WORD + (unsigned)__builtin_ctzll(found);
    }
    return bits->base + bits->count * GMEM__PAGES_PER_WORD;
}

/* The first dirty bytes at or behind from, in a block of end bytes. */
static int find_run(const struct bits *bits, uint64_t from, uint64_t end, uint64_t *ret_offset, uint64_t *ret_size)
{
    uint64_t behind = bits->base + bits->count * GMEM__PAGES_PER_WORD;
    uint64_t page = gmem__max(from / GMEM_DIRTY_PAGE_SIZE, bits->base), last;

    page = page < behind ? find_page(bits, page, true) : behind;
    if (page == behind || from >= end)
        return -ENOENT;
    last = find_page(bits, page, false) - 1;
    from = gmem__max(from, page * GMEM_DIRTY_PAGE_SIZE);
    /* The last byte of the last page of a block is not beyond 2^64 - 1. */
    last = gmem__min(last * GMEM_DIRTY_PAGE_SIZE + (GMEM_DIRTY_PAGE_SIZE - 1), end - 1);
    *ret_offset = from;
    *ret_size = last - from + 1;
    return 0;
}

/* --- of the live bitmap -------------------------------------------------------------------------------------------- */

/* All of a client's bitmap; no word if it has none. */
static struct bits live_bits(const gmem_ram *ram, unsigned client, uint64_t size)
{
    const uint64_t *bitmap = gmem__bitmap(ram, client);

    return (struct bits){bitmap, 0, bitmap ? gmem__pages_of(0, size).last / GMEM__PAGES_PER_WORD + 1 : 0};
}

int gmem_ram_dirty_next(const gmem_ram *ram, unsigned client, uint64_t from, uint64_t *ret_offset, uint64_t *ret_size)
{
    struct bits bits;
    uint64_t size;

    if (!ram || client >= GMEM_LOG_CLIENTS || !ret_offset || !ret_size)
        return -EINVAL;
    size = gmem_ram_size(ram);
    bits = live_bits(ram, client, size);
    return find_run(&bits, from, size, ret_offset, ret_size);
}

int gmem_ram_dirty_count(const gmem_ram *ram, unsigned client, uint64_t *ret_pages)
{
    uint64_t count = 0, word, i;
    struct bits bits;

    if (!ram || client >= GMEM_LOG_CLIENTS || !ret_pages)
        return -EINVAL;
    bits = live_bits(ram, client, gmem_ram_size(ram));
    for (i = 0; i < bits.count; i++) {
        word = __atomic_load_n(&bits.words[i], __ATOMIC_RELAXED);
        if (word)
            count += (unsigned)__builtin_popcountll(word);
    }
    *ret_pages = count;
    return 0;
}

/* --- snapshots ----------------------------------------------------------------------------------------------------- */

/* S1 of each word of pages; returns how many pages were dirty. */
static uint64_t take(uint64_t *bitmap, const struct gmem__pages *pages, uint64_t *words)
{
    uint64_t first = pages->first / GMEM__PAGES_PER_WORD, last = pages->last / GMEM__PAGES_PER_WORD;
    uint64_t count = 0, at, mask, word;

    for (at = first; at <= last; at++) {
        mask = at == first || at == last ? gmem__pages_mask(pages, at) : UINT64_MAX;
        word = __atomic_load_n(&bitmap[at], __ATOMIC_RELAXED) & mask;
        if (word) {
            /* Acquire: pairs with the release of W3. */
            word = mask == UINT64_MAX ? __atomic_exchange_n(&bitmap[at], 0, __ATOMIC_ACQ_REL)
                                      : __atomic_fetch_and(&bitmap[at], ~mask, __ATOMIC_ACQ_REL) & mask;
            count += (unsigned)__builtin_popcountll(word);
        }
        words[at - first] = word;
    }
    return count;
}

static uint64_t words_of(const struct gmem__pages *pages)
{
    return pages->last / GMEM__PAGES_PER_WORD - pages->first / GMEM__PAGES_PER_WORD + 1;
}

static void snapshot_clear(gmem_dirty_snapshot *snapshot)
{
    uint64_t i;

    for (i = 0; i < words_of(&snapshot->pages); i++)
        snapshot->words[i] = 0;
}

int gmem__dirty_snapshot_make(gmem_ram *ram, uint64_t offset, uint64_t size, gmem_dirty_snapshot **ret_snapshot)
{
    struct gmem__pages pages = gmem__pages_of(offset, size);
    gmem_dirty_snapshot *snapshot = malloc(sizeof(*snapshot) + words_of(&pages) * sizeof(snapshot->words[0]));

    if (!snapshot)
        return gmem__refuse(ram->vm, -ENOMEM, "no memory for a dirty snapshot of RAM block \"%s\"", ram->id);
    snapshot->pages = pages;
    snapshot->end = gmem_ram_size(ram);
    snapshot->count = 0;
    *ret_snapshot = snapshot;
    return 0;
}

int gmem__dirty_snapshot_take(gmem_ram *ram, unsigned client, gmem_dirty_snapshot *snapshot)
{
    uint64_t *bitmap = gmem__bitmap(ram, client);

    if (bitmap)
        snapshot->count = take(bitmap, &snapshot->pages, snapshot->words);
    else
        snapshot_clear(snapshot);
    /* S2: pairs with W2. */
    if (snapshot->count > 0 && gmem__fence_heavy(ram->full_fence)) {
        gmem__dirty_snapshot_return(ram, client, snapshot);
        return gmem__refuse(ram->vm, -EIO, "the kernel refuses membarrier(2)");
    }
    return 0;
}

void gmem__dirty_snapshot_return(gmem_ram *ram, unsigned client, const gmem_dirty_snapshot *snapshot)
{
    uint64_t from = snapshot->pages.first / GMEM__PAGES_PER_WORD * GMEM__PAGES_PER_WORD;

    if (snapshot->count > 0)
        gmem__ram_mark_bits(ram, 1u << client, &(struct gmem__pages){from, snapshot->pages.last}, snapshot->words);
}

int gmem_ram_dirty_snapshot(gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size,
                            gmem_dirty_snapshot **ret_snapshot)
{
    gmem_dirty_snapshot *snapshot;
    int err;

    if (client >= GMEM_LOG_CLIENTS || !ret_snapshot)
        return -EINVAL;
    err = gmem__ram_check_interval(ram, offset, size);
    if (!err)
        err = gmem__dirty_snapshot_make(ram, offset, size, &snapshot);
    if (err)
        return err;
    err = gmem__dirty_snapshot_take(ram, client, snapshot);
    if (err)
        gmem_dirty_snapshot_free(snapshot);
    else
        *ret_snapshot = snapshot;
    return err;
}

static struct bits snapshot_bits(const gmem_dirty_snapshot *snapshot)
{
    return (struct bits){snapshot->words, snapshot->pages.first / GMEM__PAGES_PER_WORD * GMEM__PAGES_PER_WORD,
                         words_of(&snapshot->pages)};
}

bool gmem_dirty_snapshot_test(const gmem_dirty_snapshot *snapshot, uint64_t offset, uint64_t size)
{
    uint64_t run, run_size;

    if (!snapshot || size == 0)
        return false;
    /* Outwards to pages. */
    if (gmem_dirty_snapshot_next(snapshot, offset - offset % GMEM_DIRTY_PAGE_SIZE, &run, &run_size))
        return false;
    return run <= offset || run - offset <= size - 1;
}

uint64_t gmem_dirty_snapshot_count(const gmem_dirty_snapshot *snapshot)
{
    return snapshot ? snapshot->count : 0;
}

int gmem_dirty_snapshot_next(const gmem_dirty_snapshot *snapshot, uint64_t from, uint64_t *ret_offset,
                             uint64_t *ret_size)
{
    struct bits bits;

    if (!ret_offset || !ret_size)
        return -EINVAL;
    if (!snapshot)
        return -ENOENT;
    bits = snapshot_bits(snapshot);
    return find_run(&bits, from, snapshot->end, ret_offset, ret_size);
}

void gmem_dirty_snapshot_free(gmem_dirty_snapshot *snapshot)
{
    free(snapshot);
}
