/* SPDX-License-Identifier: MIT */
/*
 * dirty.c - dirty bitmaps: one for each RAM block and client that ever logged it, a bit for each page.
 *
 * Owns ram->dirty[]. A bitmap is made when a region of the block first wishes to log for the client (by the edit, with the
 * writer turn held), or when everything is logged, and stays until the block ends; its pointer is set once. Bits are set and
 * cleared by any thread, without a lock, a word at a time.
 *
 * No write is lost. A writer W and a syncer S go so:
 *
 *   W1 write the bytes               S1 clear the bits that are set (atomic exchange)
 *   W2 light fence                   S2 heavy fence
 *   W3 test the bit; if clear, set   S3 copy the page
 *
 * Of two threads that each write, fence and then read, at least one sees the other's write; fence.h says why that is so when
 * only the syncer pays for it. So either S3 copies what W1 wrote, or W3 finds the bit clear and sets it, and the syncer's next
 * round copies the page. If W3 set the bit that S1 clears, the release of W3 and the acquire of S1 order W1 before S3. That is
 * also why W marks after it has written, and never before. Finding the bit set, W writes nothing, so that pages that are written
 * often do not make processors take the word from each other. One S2 does for any number of S1 before it.
 *
 * Beginning to log is the same with the pointer in place of the bit: gmem__ram_log() sets it and fences, and whoever has
 * written and fenced sees it, or the one who began to log copies what was written. That holds for writers that look at all
 * bitmaps (maps and segments), and with the generation in place of the bit for caches (cache.c). An access looks only if its
 * range wishes to log, or its block does; one in flight, which uses the view of before, writes unmarked. It is in a read section,
 * whose end gmem_vm_settle() waits for. Hints know a bitmap as long as their generation stands (hint.h).
 */
#include "dirty.h"
#include "fence.h"
#include "range.h"
#include <errno.h>
#include <stdlib.h>

/* --- bitmaps ------------------------------------------------------------------------------------------------------- */

int gmem__ram_log_prepare(gmem_ram *ram, unsigned client)
{
    if (gmem__bitmap(ram, client) || ram->prepared)
        return 0;
    ram->prepared = calloc(gmem__pages_of(0, ram->max).last / GMEM__PAGES_PER_WORD + 1, sizeof(*ram->prepared));
    return ram->prepared ? 0 : -ENOMEM;
}

void gmem__ram_log_install(gmem_ram *ram, unsigned client)
{
    if (!ram->prepared)
        return;
    __atomic_store_n(&ram->dirty[client], ram->prepared, __ATOMIC_RELEASE);
    ram->prepared = NULL;
}

void gmem__ram_log_discard(gmem_ram *ram)
{
    free(ram->prepared);
    ram->prepared = NULL;
}

int gmem__ram_log(gmem_ram *ram, unsigned client)
{
    int err;

    if (gmem__bitmap(ram, client))
        return 0;
    err = gmem__ram_log_prepare(ram, client);
    if (err)
        return err;
    gmem__ram_log_install(ram, client);
    /* S2 of the one who begins to log. Pairs with W2. */
    return gmem__fence_heavy(ram->full_fence);
}

void gmem__ram_log_always(gmem_ram *ram, unsigned clients)
{
    /* Release: pairs with gmem__ram_always(); who finds a client there finds its bitmap. */
    __atomic_store_n(&ram->always, clients, __ATOMIC_RELEASE);
}

void gmem__ram_log_free(gmem_ram *ram)
{
    unsigned client;

    for (client = 0; client < GMEM_LOG_CLIENTS; client++)
        free(ram->dirty[client]);
    free(ram->prepared);
}

/* --- marking ------------------------------------------------------------------------------------------------------- */

void gmem__ram_mark_dirty(gmem_ram *ram, unsigned clients, uint64_t offset, uint64_t length)
{
    struct gmem__pages pages = gmem__pages_of(offset, length);
    uint64_t *bitmap;
    unsigned client;

    /* W2: pairs with S2. */
    gmem__fence_light(ram->full_fence);
    for (; clients; clients &= clients - 1) {
        client = (unsigned)__builtin_ctz(clients);
        bitmap = gmem__bitmap(ram, client);
        if (bitmap)
            gmem__bitmap_mark_pages(bitmap, &pages);
    }
}

/* Which of the count words of 64 bits, bit by bit later by shift, the word numbered i then has. */
static uint64_t shifted(const uint64_t *bits, uint64_t count, uint64_t i, unsigned shift)
{
    uint64_t word = i < count ? bits[i] << shift : 0;

    return shift && i > 0 ? word | bits[i - 1] >> (GMEM__PAGES_PER_WORD - shift) : word;
}

static void bitmap_mark_bits(uint64_t *bitmap, const struct gmem__pages *pages, const uint64_t *bits)
{
    uint64_t first = pages->first / GMEM__PAGES_PER_WORD, last = pages->last / GMEM__PAGES_PER_WORD;
    uint64_t count = (pages->last - pages->first) / GMEM__PAGES_PER_WORD + 1, word, mask;
    unsigned shift = (unsigned)(pages->first % GMEM__PAGES_PER_WORD);

    for (word = first; word <= last; word++) {
        mask = shifted(bits, count, word - first, shift) & gmem__pages_mask(pages, word);
        if (mask)
            gmem__bitmap_mark(bitmap, word, mask);
    }
}

void gmem__ram_mark_bits(gmem_ram *ram, unsigned clients, const struct gmem__pages *pages, const uint64_t *bits)
{
    uint64_t *bitmap;
    unsigned client;

    /* W2: pairs with S2. */
    gmem__fence_light(ram->full_fence);
    for (; clients; clients &= clients - 1) {
        client = (unsigned)__builtin_ctz(clients);
        bitmap = gmem__bitmap(ram, client);
        if (bitmap)
            bitmap_mark_bits(bitmap, pages, bits);
    }
}

/* --- public -------------------------------------------------------------------------------------------------------- */

int gmem__ram_check_interval(const gmem_ram *ram, uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (!ram || size == 0)
        return -EINVAL;
    end = gmem_ram_size(ram);
    if (offset >= end || size > end - offset)
        return gmem__refuse(ram->vm, -ERANGE, "0x%llx bytes at 0x%llx are not inside RAM block \"%s\"",
                            (unsigned long long)size, (unsigned long long)offset, ram->id);
    return 0;
}

int gmem_ram_dirty_mark(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    int err = gmem__ram_check_interval(ram, offset, size);

    if (!err)
        gmem__ram_mark_dirty(ram, GMEM__LOG_ALL, offset, size);
    return err;
}

int gmem_ram_dirty_mark_bitmap(gmem_ram *ram, uint64_t offset, const uint64_t *bits, uint64_t pages)
{
    return gmem_ram_dirty_mark_clients(ram, GMEM__LOG_ALL, offset, bits, pages);
}

int gmem_ram_dirty_mark_clients(gmem_ram *ram, unsigned clients, uint64_t offset, const uint64_t *bits, uint64_t pages)
{
    uint64_t first = offset / GMEM_DIRTY_PAGE_SIZE, last;

    if (!ram || !bits || pages == 0 || offset % GMEM_DIRTY_PAGE_SIZE || (clients & ~GMEM__LOG_ALL))
        return -EINVAL;
    /* The block's last page need not be whole. */
    last = gmem__pages_of(0, gmem_ram_size(ram)).last;
    if (first > last || pages - 1 > last - first)
        return gmem__refuse(ram->vm, -ERANGE, "%llu pages at 0x%llx are not inside RAM block \"%s\"",
                            (unsigned long long)pages, (unsigned long long)offset, ram->id);
    gmem__ram_mark_bits(ram, clients, &(struct gmem__pages){first, first + (pages - 1)}, bits);
    return 0;
}

static int check_question(const gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, const void *ret)
{
    if (client >= GMEM_LOG_CLIENTS || !ret)
        return -EINVAL;
    return gmem__ram_check_interval(ram, offset, size);
}

int gmem_ram_dirty_test(const gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, bool *ret_dirty)
{
    struct gmem__pages pages;
    const uint64_t *bitmap;
    bool dirty = false;
    uint64_t word;
    int err;

    err = check_question(ram, client, offset, size, ret_dirty);
    if (err)
        return err;
    pages = gmem__pages_of(offset, size);
    bitmap = gmem__bitmap(ram, client);
    for (word = pages.first / GMEM__PAGES_PER_WORD; bitmap && !dirty && word <= pages.last / GMEM__PAGES_PER_WORD;
         word++)
        dirty = __atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & gmem__pages_mask(&pages, word);
    *ret_dirty = dirty;
    return 0;
}

int gmem_ram_dirty_test_and_clear(gmem_ram *ram, unsigned client, uint64_t offset, uint64_t size, bool *ret_dirty)
{
    uint64_t *bitmap, word, mask;
    struct gmem__pages pages;
    bool dirty = false;
    int err;

    err = check_question(ram, client, offset, size, ret_dirty);
    if (err)
        return err;
    pages = gmem__pages_of(offset, size);
    bitmap = gmem__bitmap(ram, client);
    for (word = pages.first / GMEM__PAGES_PER_WORD; bitmap && word <= pages.last / GMEM__PAGES_PER_WORD; word++) {
        mask = gmem__pages_mask(&pages, word);
        /* A page whose bit is clear here is not copied; its bit is the next round's. */
        if (!(__atomic_load_n(&bitmap[word], __ATOMIC_RELAXED) & mask))
            continue;
        /* S1. Acquire: pairs with the release of W3. */
        if (__atomic_fetch_and(&bitmap[word], ~mask, __ATOMIC_ACQ_REL) & mask)
            dirty = true;
    }
    /* S2: pairs with W2. */
    if (dirty && gmem__fence_heavy(ram->full_fence)) {
        /* Which were dirty is not known any more. */
        gmem__bitmap_mark_pages(bitmap, &pages);
        return gmem__refuse(ram->vm, -EIO, "the kernel refuses membarrier(2)");
    }
    *ret_dirty = dirty;
    return 0;
}

uint32_t gmem_ram_dirty_clients(const gmem_ram *ram)
{
    uint32_t clients = 0;
    unsigned client;

    for (client = 0; client < GMEM_LOG_CLIENTS; client++) {
        if (gmem__bitmap(ram, client))
            clients |= UINT32_C(1) << client;
    }
    return clients;
}
