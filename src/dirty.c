/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - dirty bitmaps: one for each RAM block and client that ever logged it, a bit for each page.
 *
 * Owns ram->dirty[]. A bitmap is made when a region of the block first wishes to log for the client (by the edit, with the
 * writer turn held) and stays until the block ends; its pointer is set once. Bits are set and cleared by any thread,
 * without a lock, a word at a time.
 *
 * No write is lost. A writer W and a syncer S go so:
 *
 *   W1 write the bytes               S1 clear the bits that are set (atomic exchange)
 *   W2 full fence                    S2 full fence
 *   W3 test the bit; if clear, set   S3 copy the page
 *
 * Of two threads that each write, fence and then read, at least one sees the other's write. So either S3 copies what W1
 * wrote, or W3 finds the bit clear and sets it, and the syncer's next round copies the page. If W3 set the bit that S1
 * clears, the release of W3 and the acquire of S1 order W1 before S3. That is also why W marks after it has written, and
 * never before. Finding the bit set, W writes nothing, so that pages that are written often do not make processors take the
 * word from each other.
 *
 * Beginning to log is the same with the pointer in place of the bit: gmem__ram_log() sets it and fences, and whoever has
 * written and fenced sees it, or the one who began to log copies what was written. That holds for writers that look at all
 * bitmaps (maps and segments). An access looks only if its range wishes to log; one in flight, which uses the view of
 * before, writes unmarked.
 */
#include "dirty.h"
#include "range.h"
#include <errno.h>
#include <stdlib.h>

#define PAGES_PER_WORD 64u

/* Pages first to last, both included. */
struct pages {
    uint64_t first, last;
};

/* length is not 0. */
static struct pages pages_of(uint64_t offset, uint64_t length)
{
    return (struct pages){offset / GMEM_DIRTY_PAGE_SIZE, (offset + (length - 1)) / GMEM_DIRTY_PAGE_SIZE};
}

/* The bits of word that are pages. */
static uint64_t mask_of(const struct pages *pages, uint64_t word)
{
    uint64_t from = word == pages->first / PAGES_PER_WORD ? pages->first % PAGES_PER_WORD : 0;
    uint64_t to = word == pages->last / PAGES_PER_WORD ? pages->last % PAGES_PER_WORD : PAGES_PER_WORD - 1;

    return UINT64_MAX >> (PAGES_PER_WORD - 1 - to) & UINT64_MAX << from;
}

/* Acquire: pairs with the release in gmem__ram_log(); the bitmap is zero before anybody finds it. */
static uint64_t *bitmap_of(const gmem_ram *ram, unsigned client)
{
    return __atomic_load_n(&ram->dirty[client], __ATOMIC_ACQUIRE);
}

int gmem__ram_log(gmem_ram *ram, unsigned client)
{
    uint64_t *bitmap;

    if (bitmap_of(ram, client))
        return 0;
    bitmap = calloc(pages_of(0, ram->max).last / PAGES_PER_WORD + 1, sizeof(*bitmap));
    if (!bitmap)
        return -ENOMEM;
    __atomic_store_n(&ram->dirty[client], bitmap, __ATOMIC_RELEASE);
    /* S2 of the one who begins to log. Pairs with W2. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return 0;
}

void gmem__ram_log_free(gmem_ram *ram)
{
    unsigned client;

    for (client = 0; client < GMEM_LOG_CLIENTS; client++)
        free(ram->dirty[client]);
}

void gmem__ram_mark_dirty(gmem_ram *ram, unsigned clients, uint64_t offset, uint64_t length)
{
    struct pages pages = pages_of(offset, length);
    uint64_t *bitmap, word, mask;
    unsigned client;

    /* W2: pairs with S2. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (client = 0; clients >> client; client++) {
        bitmap = clients >> client & 1 ? bitmap_of(ram, client) : NULL;
        for (word = pages.first / PAGES_PER_WORD; bitmap && word <= pages.last / PAGES_PER_WORD; word++) {
            mask = mask_of(&pages, word);
            /* W3. Release: pairs with the acquire of S1. */
            if ((__atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & mask) != mask)
                (void)__atomic_fetch_or(&bitmap[word], mask, __ATOMIC_RELEASE);
        }
    }
}

/* --- public -------------------------------------------------------------------------------------------------------- */

static int check_interval(const gmem_ram *ram, uint64_t offset, uint64_t size)
{
    if (!ram || size == 0)
        return -EINVAL;
    if (offset >= gmem_ram_size(ram) || size > gmem_ram_size(ram) - offset)
        return gmem__refuse(ram->vm, -ERANGE, "0x%llx bytes at 0x%llx are not inside RAM block \"%s\"",
                            (unsigned long long)size, (unsigned long long)offset, ram->id);
    return 0;
}

int gmem_ram_dirty_mark(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    int err = check_interval(ram, offset, size);

    if (!err)
        gmem__ram_mark_dirty(ram, GMEM__LOG_ALL, offset, size);
    return err;
}

static int check_question(const gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, const bool *ret_dirty)
{
    if (client >= GMEM_LOG_CLIENTS || !ret_dirty)
        return -EINVAL;
    return check_interval(ram, offset, size);
}

int gmem_ram_dirty_test(const gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, bool *ret_dirty)
{
    struct pages pages;
    const uint64_t *bitmap;
    bool dirty = false;
    uint64_t word;
    int err;

    err = check_question(ram, client, offset, size, ret_dirty);
    if (err)
        return err;
    pages = pages_of(offset, size);
    bitmap = bitmap_of(ram, client);
    for (word = pages.first / PAGES_PER_WORD; bitmap && !dirty && word <= pages.last / PAGES_PER_WORD; word++)
        dirty = __atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & mask_of(&pages, word);
    *ret_dirty = dirty;
    return 0;
}

int gmem_ram_dirty_test_and_clear(gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, bool *ret_dirty)
{
    uint64_t *bitmap, word, mask;
    struct pages pages;
    bool dirty = false;
    int err;

    err = check_question(ram, client, offset, size, ret_dirty);
    if (err)
        return err;
    pages = pages_of(offset, size);
    bitmap = bitmap_of(ram, client);
    for (word = pages.first / PAGES_PER_WORD; bitmap && word <= pages.last / PAGES_PER_WORD; word++) {
        mask = mask_of(&pages, word);
        /* A page whose bit is clear here is not copied; its bit is the next round's. */
        if (!(__atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & mask))
            continue;
        /* S1. Acquire: pairs with the release of W3. */
        if (__atomic_fetch_and(&bitmap[word], ~mask, __ATOMIC_ACQ_REL) & mask)
            dirty = true;
    }
    /* S2: pairs with W2. */
    if (dirty)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    *ret_dirty = dirty;
    return 0;
}
