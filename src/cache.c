/* SPDX-License-Identifier: MIT */
/*
 * cache.c - caches: the window on host memory that the inline functions of gmem/cache.h use, and what they do without one.
 *
 *   a. Never stale. A window is good while the generation of the shown that it was made of stands. A commit that publishes
 *      another view there raises it before it returns; so does a space that leaves a shown for another, or ends. (That costs
 *      nothing by the number of caches: nobody keeps a list of them.)
 *   b. Never dangling. The cache has a reference on the shown and a pin on the region of the window, which hold the generation
 *      and the host memory in place, whatever happens to the map between the compare and the access (G7).
 *
 *   c. No unmarked write that a client logs (docs/concurrency.md). No read section tells gmem_vm_settle() of a store that is under
 *      way, so a store looks at the generation again after it has written: with the light fence in between, and the heavy
 *      one in gmem_vm_settle(), either that is seen to have passed, and the store marks for everybody, or what it has
 *      written was there when gmem_vm_settle() returned. Where the light fence is not enough (fence.h) no window is for writing.
 *
 * A cache belongs to the thread that uses it. Windows are made in an RCU read section.
 */
#include "access.h"
#include <errno.h>
#include <gmem/cache.h>

static void close_window(struct gmem_cache *cache)
{
    cache->generation = 0;
    memset(cache->reads, 0, sizeof(cache->reads));
    memset(cache->writes, 0, sizeof(cache->writes));
    cache->clients = 0;
}

/* At how many offsets of size bytes 1, 2, 4 and 8 are all inside. */
static void limits(uint64_t *ret_limits, uint64_t size)
{
    unsigned log2;

    for (log2 = 0; log2 < 4; log2++)
        ret_limits[log2] = size >> log2 ? size - ((uint64_t)1 << log2) + 1 : 0;
}

/* The window that range gives on the interval. */
static void open_window(struct gmem_cache *cache, const struct gmem__range *range)
{
    uint64_t first = gmem__max(range->first, cache->addr);
    uint64_t last = gmem__min(range->last, cache->addr + cache->last);
    /* All of 2^64 bytes are one too many to count. */
    uint64_t size = gmem__min(last - first, GMEM__LAST - 1) + 1;

    cache->first = first - cache->addr;
    cache->host = range->host + (first - range->first);
    limits(cache->reads, size);
    if (!gmem__range_writes_directly(range) || range->region->ram->full_fence)
        return;
    cache->clients = gmem__range_clients(range);
    if (!cache->clients)
        limits(cache->writes, size);
}

/* Whether all that came since the window was made is one commit that did nothing to it; then it is good again. */
static bool renew(struct gmem_cache *cache)
{
    struct gmem__shown *shown = cache->shown;
    uint64_t generation;

    if (!shown)
        return false;
    /* Were the space to leave shown after this, the generation would be another; if it has left, no step leads to this one. */
    generation = gmem__shown_generation(shown);
    if (!gmem__shown_kept(shown, cache->generation, generation, cache->addr + cache->first))
        return false;
    cache->generation = generation;
    return true;
}

/* Whether the window is good still, wherever it is. */
static bool is_current(const struct gmem_cache *cache)
{
    return cache->region && __atomic_load_n(cache->now, __ATOMIC_ACQUIRE) == cache->generation;
}

/*
 * Make a window on what is at offset, if that is host memory; else a good one elsewhere stays. The reference on a shown and
 * the pin that the cache had are given up after the read section: an owner may be told.
 */
static void translate(struct gmem_cache *cache, uint64_t offset)
{
    struct gmem__shown *shown, *old_shown = cache->shown;
    gmem_region *region = NULL, *old_region = cache->region;
    const struct gmem__range *range;
    const gmem_view *view;
    uint64_t generation;

    gmem__rcu_enter();
    shown = gmem__rcu_get(cache->space->shown);
    view = gmem__shown_view(shown);
    /* The view's own: that of the shown may be the next one's already. */
    generation = gmem__view_generation(view);
    /*
     * Were the space to leave shown after this, the generation would be another. If it is leaving or has left, that one may be
     * what was read: then this is no time for a window. Acquire: who reads that it is moving no more sees where it is.
     */
    if (!__atomic_load_n(&cache->space->moving, __ATOMIC_ACQUIRE) && shown == gmem__rcu_get(cache->space->shown)) {
        range = gmem__view_find(view, cache->addr + offset);
        if (range && range->first <= cache->addr + offset && gmem__range_reads_directly(range)) {
            region = range->region;
            if (region != old_region)
                gmem__region_pin(region);
            if (shown != old_shown)
                gmem__shown_ref(shown);
            close_window(cache);
            cache->region = region;
            cache->shown = shown;
            cache->now = &shown->generation;
            cache->generation = generation;
            open_window(cache, range);
        }
    }
    gmem__rcu_leave();
    if (!region && is_current(cache))
        return;
    if (!region) {
        close_window(cache);
        cache->region = NULL;
        cache->shown = NULL;
    }
    if (old_region && old_region != cache->region)
        gmem__region_unpin(old_region);
    if (old_shown && old_shown != cache->shown)
        gmem__shown_unref(old_shown);
}

int gmem_cache_init(struct gmem_cache *cache, gmem_space *space, uint64_t addr, uint64_t size, struct gmem_attrs attrs)
{
    if (!cache || !space || size == 0)
        return -EINVAL;
    if (gmem__range_overflows(addr, size - 1))
        return -EOVERFLOW;
    memset(cache, 0, sizeof(*cache));
    cache->space = space;
    cache->addr = addr;
    cache->last = size - 1;
    cache->attrs = attrs;
    cache->swap = space->vm->endian != GMEM__HOST_ENDIAN;
    return 0;
}

void gmem_cache_end(struct gmem_cache *cache)
{
    if (!cache)
        return;
    if (cache->region)
        gmem__region_unpin(cache->region);
    if (cache->shown)
        gmem__shown_unref(cache->shown);
    memset(cache, 0, sizeof(*cache));
}

/* Whether size bytes, at least 1, are inside the interval; if so a window is made unless there is one. */
static bool inside(struct gmem_cache *cache, uint64_t offset, uint64_t size)
{
    if (!cache->space || offset > cache->last || size - 1 > cache->last - offset)
        return false;
    if (!gmem__cached(cache, offset, cache->reads, 0) &&
        !(renew(cache) && gmem__cached(cache, offset, cache->reads, 0)))
        translate(cache, offset);
    return true;
}

static uint8_t fill_of(const struct gmem_cache *cache)
{
    return cache->space ? cache->space->fill : 0;
}

gmem_result gmem_cache_load(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                            uint64_t *ret_value)
{
    if (!inside(cache, offset, size)) {
        *ret_value = fill_of(cache) ? GMEM__LAST >> (64 - 8 * size) : 0;
        return GMEM_RESULT_DECODE;
    }
    return gmem__load(cache->space, cache->addr + offset, size, cache->attrs, order, ret_value);
}

static uint64_t host_word(const uint8_t *host, unsigned size)
{
    if (!gmem__is_aligned(host, (unsigned)__builtin_ctz(size)))
        return gmem__load_bytes(host, size);
    switch (size) {
    case 1:
        return __atomic_load_n(host, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const gmem__cached16 *)(const void *)host, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const gmem__cached32 *)(const void *)host, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const gmem__cached64 *)(const void *)host, __ATOMIC_RELAXED);
    }
}

bool gmem_cache_try_load(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                         uint64_t *ret_value)
{
    bool swap = order == GMEM_ENDIAN_NATIVE ? cache->swap : order != GMEM__HOST_ENDIAN;
    const uint8_t *host;
    uint64_t word;

    if (!inside(cache, offset, size))
        return false;
    host = gmem__cached_any(cache, offset, cache->reads, (unsigned)__builtin_ctz(size));
    if (!host)
        return false;
    word = host_word(host, size);
    *ret_value = swap ? __builtin_bswap64(word) >> (64 - 8 * size) : word;
    return true;
}

void gmem_cache_stored(struct gmem_cache *cache, uint64_t offset, uint64_t size)
{
    gmem_ram *ram = cache->region->ram; /* NOLINT(clang-analyzer-core.NullDereference): a window has a region */

    gmem__ram_mark_dirty(ram, GMEM__LOG_ALL, (uint64_t)(cache->host - ram->host) + (offset - cache->first), size);
}

/* size bytes at offset were written through the window, unmarked so far. */
static void window_written(struct gmem_cache *cache, uint64_t offset, uint64_t size)
{
    gmem_ram *ram = cache->region->ram; /* NOLINT(clang-analyzer-core.NullDereference): a window has a region */
    uint64_t in_block = (uint64_t)(cache->host - ram->host) + (offset - cache->first);

    /* W2 of dirty.c, and that of invariant c. */
    gmem__fence_light(false);
    if (cache->clients) {
        /* Who wishes to log has a bitmap. */
        gmem__bitmap_mark_bytes(gmem__bitmap(ram, (unsigned)__builtin_ctz(cache->clients)), in_block, size);
        if (cache->clients & (cache->clients - 1))
            gmem__ram_mark_dirty(ram, cache->clients & (cache->clients - 1), in_block, size);
    }
    if (__builtin_expect(__atomic_load_n(cache->now, __ATOMIC_RELAXED) != cache->generation, 0))
        gmem_cache_stored(cache, offset, size);
}

/* An aligned word of what is logged, which is not for the inline functions. */
static bool store_logged(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                         uint64_t value)
{
    bool swap = order == GMEM_ENDIAN_NATIVE ? cache->swap : order != GMEM__HOST_ENDIAN;
    unsigned log2 = (unsigned)__builtin_ctz(size);
    uint8_t *host = gmem__cached(cache, offset, cache->reads, log2);

    if (!host)
        return false;
    gmem__host_store(host, size, swap ? __builtin_bswap64(value) >> (64 - 8 * size) : value);
    window_written(cache, offset, size);
    return true;
}

gmem_result gmem_cache_store(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                             uint64_t value)
{
    if (cache->clients && store_logged(cache, offset, size, order, value))
        return GMEM_OK;
    if (!inside(cache, offset, size))
        return GMEM_RESULT_DECODE;
    return gmem__store(cache->space, cache->addr + offset, size, cache->attrs, order, value);
}

bool gmem_cache_try_store(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                          uint64_t value)
{
    bool swap = order == GMEM_ENDIAN_NATIVE ? cache->swap : order != GMEM__HOST_ENDIAN;
    unsigned log2 = (unsigned)__builtin_ctz(size);
    uint8_t *host;

    if (!inside(cache, offset, size))
        return false;
    host = gmem__cached_any(cache, offset, cache->clients ? cache->reads : cache->writes, log2);
    if (!host)
        return false;
    value = swap ? __builtin_bswap64(value) >> (64 - 8 * size) : value;
    if (gmem__is_aligned(host, log2))
        gmem__host_store(host, size, value);
    else
        gmem__store_bytes(host, size, value);
    window_written(cache, offset, size);
    return true;
}

gmem_result gmem_cache_read(struct gmem_cache *cache, uint64_t offset, void *buf, uint64_t size)
{
    if (size == 0)
        return GMEM_OK;
    if (!inside(cache, offset, size)) {
        memset(buf, fill_of(cache), size);
        return GMEM_RESULT_DECODE;
    }
    if (size > cache->reads[0] || offset - cache->first > cache->reads[0] - size)
        return gmem_space_read(cache->space, cache->addr + offset, cache->attrs, buf, size);
    gmem__host_read(cache->host + (offset - cache->first), buf, size);
    return GMEM_OK;
}

gmem_result gmem_cache_write(struct gmem_cache *cache, uint64_t offset, const void *buf, uint64_t size)
{
    uint64_t limit;

    if (size == 0)
        return GMEM_OK;
    if (!inside(cache, offset, size))
        return GMEM_RESULT_DECODE;
    limit = cache->clients ? cache->reads[0] : cache->writes[0];
    if (size > limit || offset - cache->first > limit - size)
        return gmem_space_write(cache->space, cache->addr + offset, cache->attrs, buf, size);
    gmem__host_write(cache->host + (offset - cache->first), buf, size);
    window_written(cache, offset, size);
    return GMEM_OK;
}
