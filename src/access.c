/* SPDX-License-Identifier: MIT */
/*
 * access.c - reading and writing any number of bytes through a space, over any number of ranges.
 *
 * Guarantees. (a) One access sees one view: it is fetched once, and used to the end even if a callback on the way publishes
 * another. (b) No lock is taken and nothing is allocated; the RCU read section that is held, also across callbacks, delays
 * only the freeing of old views, and no commit waits for it (G2, G3, G6). The first access of a thread registers it with
 * liburcu. (c) Host memory is read and written in aligned words of up to 8 bytes, each at once. The middle of
 * copies from COPY_WORDS bytes on is memcpy's where both ends are aligned: whole words, which the memcpy of every host that is
 * supported moves as such.
 */
#include "device.h"
#include "iommu.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* as gcc has it */
#endif
#endif

/*
 * From this size on memcpy(3) is faster than a loop over words, by more the larger. Not where the thread sanitizer looks: two
 * processors of a guest that race are no error of this program's, which only atomic words tell it.
 */
#ifdef __SANITIZE_THREAD__
#define COPY_WORDS UINT64_MAX
#else
#define COPY_WORDS 64u
#endif

/* --- host memory --------------------------------------------------------------------------------------------------- */

/* The largest word, up to length bytes, that begins at host. */
static unsigned word_at(const uint8_t *host, uint64_t length)
{
    uintptr_t address = (uintptr_t)host;

    if (!(address & 7) && length >= 8)
        return 8;
    if (!(address & 3) && length >= 4)
        return 4;
    return !(address & 1) && length >= 2 ? 2 : 1;
}

/* Relaxed: the guest's processors order their accesses themselves, and so do devices where they must. */
static void word_read(const uint8_t *host, uint8_t *out, unsigned size)
{
    uint64_t w64;
    uint32_t w32;
    uint16_t w16;

    switch (size) {
    case 8:
        w64 = __atomic_load_n((const gmem__word64 *)(const void *)host, __ATOMIC_RELAXED);
        memcpy(out, &w64, 8);
        break;
    case 4:
        w32 = __atomic_load_n((const gmem__word32 *)(const void *)host, __ATOMIC_RELAXED);
        memcpy(out, &w32, 4);
        break;
    case 2:
        w16 = __atomic_load_n((const gmem__word16 *)(const void *)host, __ATOMIC_RELAXED);
        memcpy(out, &w16, 2);
        break;
    default:
        *out = __atomic_load_n(host, __ATOMIC_RELAXED);
        break;
    }
}

static void word_write(uint8_t *host, const uint8_t *in, unsigned size)
{
    uint64_t w64;
    uint32_t w32;
    uint16_t w16;

    switch (size) {
    case 8:
        memcpy(&w64, in, 8);
        __atomic_store_n((gmem__word64 *)(void *)host, w64, __ATOMIC_RELAXED);
        break;
    case 4:
        memcpy(&w32, in, 4);
        __atomic_store_n((gmem__word32 *)(void *)host, w32, __ATOMIC_RELAXED);
        break;
    case 2:
        memcpy(&w16, in, 2);
        __atomic_store_n((gmem__word16 *)(void *)host, w16, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n(host, *in, __ATOMIC_RELAXED);
        break;
    }
}

/*
 * The part of length bytes at host that memcpy or memset may do: whole words, and worth it; else 0. other is the caller's end of
 * the copy: where that is not aligned memcpy may go by its words, and take the host's in halves.
 */
static uint64_t bulk_at(const uint8_t *host, const uint8_t *other, uint64_t length)
{
    return (((uintptr_t)host | (uintptr_t)other) & 7) || length < COPY_WORDS ? 0 : length & ~(uint64_t)7;
}

void gmem__host_read(const uint8_t *host, uint8_t *out, uint64_t length)
{
    uint64_t size;

    for (; length > 0; length -= size, host += size, out += size) {
        size = bulk_at(host, out, length);
        if (size > 0) {
            memcpy(out, host, size);
        } else {
            size = word_at(host, length);
            word_read(host, out, (unsigned)size);
        }
    }
}

void gmem__host_write(uint8_t *host, const uint8_t *in, uint64_t length)
{
    uint64_t size;

    for (; length > 0; length -= size, host += size, in += size) {
        size = bulk_at(host, in, length);
        if (size > 0) {
            memcpy(host, in, size);
        } else {
            size = word_at(host, length);
            word_write(host, in, (unsigned)size);
        }
    }
}

static void host_fill(uint8_t *host, uint8_t value, uint64_t length)
{
    uint8_t word[8];
    uint64_t size;

    memset(word, value, sizeof(word));
    for (; length > 0; length -= size, host += size) {
        size = bulk_at(host, host, length);
        if (size > 0) {
            memset(host, value, size);
        } else {
            size = word_at(host, length);
            word_write(host, word, (unsigned)size);
        }
    }
}

/* --- memory of a device: one load or store for each word, never memcpy ------------------------------------------------ */

static uint8_t *device_host(const struct gmem__range *range, uint64_t skip)
{
    return range->region->ram->host + range->offset + skip;
}

static void device_read(const uint8_t *host, uint8_t *out, uint64_t length)
{
    unsigned size;

    for (; length > 0; length -= size, host += size, out += size) {
        size = word_at(host, length);
        word_read(host, out, size);
    }
}

/* FILL: in is the one byte. */
static void device_write(uint8_t *host, const uint8_t *in, uint64_t length, bool fill)
{
    uint8_t word[8];
    unsigned size;

    memset(word, *in, sizeof(word));
    for (; length > 0; length -= size, host += size) {
        size = word_at(host, length);
        word_write(host, fill ? word : in, size);
        if (!fill)
            in += size;
    }
}

/* --- one range ----------------------------------------------------------------------------------------------------- */

/* The region of a range with callbacks, if an access has to look at it. */
static gmem_region *watched_region(const struct gmem__range *range)
{
    return gmem__mmio_ops_watched(range->ops) ? range->region : NULL;
}

/* What claims addresses gives nothing, and takes nothing but what an eventfd waits for. */
static gmem_result reserved_access(const struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                                   uint64_t length)
{
    const struct gmem__mmio mmio = {.attrs = access->attrs,
                                    .vm = access->space->vm,
                                    .region = range->region,
                                    .addr = range->first + skip,
                                    .offset = range->offset + skip};
    bool whole = length <= 8 && !(length & (length - 1));
    uint8_t bytes[8];

    if (access->what == GMEM__READ)
        memset(access->out, access->space->fill, length);
    else if (range->attrs & GMEM_RANGE_READONLY)
        return GMEM_RESULT_DECODE;
    if (access->what == GMEM__READ || !whole)
        return gmem__device_claimed(&mmio, 0, NULL, GMEM_ENDIAN_NATIVE);
    memset(bytes, *access->in, sizeof(bytes));
    if (access->what != GMEM__FILL)
        memcpy(bytes, access->in, length);
    return gmem__device_claimed(&mmio, (unsigned)length, bytes, access->space->vm->endian);
}

static gmem_result iommu_access(struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                                uint64_t length);

static gmem_result range_read(struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                              uint64_t length)
{
    if (gmem__range_reads_directly(range)) {
        gmem__host_read(range->host + skip, access->out, length);
        return GMEM_OK;
    }
    if (range->region->kind == GMEM_KIND_RESERVED)
        return reserved_access(access, range, skip, length);
    if (range->region->kind == GMEM_KIND_RAM_DEVICE) {
        device_read(device_host(range, skip), access->out, length);
        return GMEM_OK;
    }
    if (range->region->kind == GMEM_KIND_IOMMU)
        return iommu_access(access, range, skip, length);
    return gmem__mmio_read(&(struct gmem__mmio){.ops = &range->ops->is,
                                                .opaque = range->opaque,
                                                .attrs = access->attrs,
                                                .vm = access->space->vm,
                                                .region = watched_region(range),
                                                .addr = range->first + skip,
                                                .offset = range->offset + skip,
                                                .fill = access->space->fill},
                           range->offset + skip, length, access->out);
}

static gmem_result range_write(struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                               uint64_t length)
{
    if (range->region->kind == GMEM_KIND_RESERVED)
        return reserved_access(access, range, skip, length);
    if (range->attrs & GMEM_RANGE_READONLY)
        return GMEM_OK;
    if (gmem__range_writes_directly(range)) {
        if (access->what == GMEM__FILL)
            host_fill(range->host + skip, *access->in, length);
        else
            gmem__host_write(range->host + skip, access->in, length);
        gmem__range_written(range, skip, length);
        return GMEM_OK;
    }
    if (range->region->kind == GMEM_KIND_RAM_DEVICE) {
        device_write(device_host(range, skip), access->in, length, access->what == GMEM__FILL);
        gmem__range_written(range, skip, length);
        return GMEM_OK;
    }
    if (range->region->kind == GMEM_KIND_IOMMU)
        return iommu_access(access, range, skip, length);
    return gmem__mmio_write(&(struct gmem__mmio){.ops = &range->ops->is,
                                                 .opaque = range->opaque,
                                                 .attrs = access->attrs,
                                                 .vm = access->space->vm,
                                                 .region = watched_region(range),
                                                 .addr = range->first + skip,
                                                 .offset = range->offset + skip,
                                                 .in = access->in,
                                                 .in_step = access->what == GMEM__FILL ? 0 : 1},
                            range->offset + skip, length);
}

static gmem_result range_load(struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                              uint64_t length)
{
    if (range->region->kind == GMEM_KIND_RAM_DEVICE) {
        device_write(device_host(range, skip), access->in, length, false);
        gmem__range_written(range, skip, length);
        return GMEM_OK;
    }
    if (!range->host)
        return GMEM_RESULT_DECODE;
    /* A file that was mapped readonly can't be written by anybody. */
    if (gmem_ram_flags(range->region->ram) & GMEM_RAM_READONLY)
        return GMEM_RESULT_REFUSED;
    gmem__host_write(range->host + skip, access->in, length);
    gmem__range_written(range, skip, length);
    return GMEM_OK;
}

/* --- all ranges ---------------------------------------------------------------------------------------------------- */

gmem_result gmem__access_piece(struct gmem__access *access, const struct gmem__range *range, uint64_t addr,
                               uint64_t length)
{
    if (!range) {
        if (access->what == GMEM__READ)
            memset(access->out, access->space->fill, length);
        return GMEM_RESULT_DECODE;
    }
    switch (access->what) {
    case GMEM__READ:
        return range_read(access, range, addr - range->first, length);
    case GMEM__LOAD:
        return range_load(access, range, addr - range->first, length);
    default:
        return range_write(access, range, addr - range->first, length);
    }
}

/* READ, WRITE, FILL: page by page to what is behind an iommu region. No recursion: that is none, or takes no writes. */
static gmem_result iommu_access(struct gmem__access *access, const struct gmem__range *range, uint64_t skip,
                                uint64_t length)
{
    unsigned want = access->what == GMEM__READ ? GMEM_IOMMU_READ : GMEM_IOMMU_WRITE;
    struct gmem__access part = *access;
    gmem_result result = GMEM_OK;
    struct gmem__way way;

    for (; length > 0; skip += way.length, length -= way.length) {
        way = (struct gmem__way){.range = range, .addr = range->first + skip, .length = length};
        gmem__iommu_follow(&way, access->attrs, want);
        part.space = way.space;
        if (!way.denied)
            result |= gmem__access_piece(&part, way.range, way.addr, way.length);
        else if (access->what == GMEM__READ)
            memset(part.out, access->space->fill, way.length);
        if (way.denied)
            result |= GMEM_RESULT_DENIED;
        if (access->what == GMEM__READ)
            part.out += way.length;
        else if (access->what == GMEM__WRITE)
            part.in += way.length;
    }
    return result;
}

/* size bytes, at least 1, from addr on, not beyond 2^64 - 1. */
static gmem_result walk(struct gmem__access *access, const gmem_view *view, const struct gmem__range *range,
                        uint64_t addr, uint64_t size)
{
    uint64_t last = addr + (size - 1);
    gmem_result result = GMEM_OK;

    for (;;) {
        bool inside = range && range->first <= addr;
        uint64_t until = last;
        uint64_t length;

        if (inside)
            until = gmem__min(last, range->last);
        else if (range)
            until = gmem__min(last, range->first - 1);
        length = until - addr + 1;
        result |= gmem__access_piece(access, inside ? range : NULL, addr, length);
        if (access->what == GMEM__READ)
            access->out += length;
        else if (access->what != GMEM__FILL)
            access->in += length;
        if (until == last)
            return result;
        addr = until + 1;
        range = gmem__view_find(view, addr);
    }
}

gmem_result gmem__access(struct gmem__access *access, const gmem_view *view, const struct gmem__range *range,
                         uint64_t addr, uint64_t size)
{
    uint64_t inside = GMEM__LAST - addr; /* bytes up to 2^64 - 1, less one */
    gmem_result result;

    if (size - 1 <= inside)
        return walk(access, view, range, addr, size);
    result = walk(access, view, range, addr, inside + 1);
    return result | gmem__access_piece(access, NULL, 0, size - 1 - inside);
}

/* What no hint gave, in a read section, which ends. access->space is filled in. */
static __attribute__((noinline)) gmem_result find_and_access(gmem_space *space, uint64_t addr, uint64_t size,
                                                             struct gmem__access *access)
{
    gmem_view *view = gmem__space_view(space);
    const struct gmem__range *range = gmem__view_find(view, addr);
    gmem_result result;

    if (range && range->first <= addr && gmem__range_reads_directly(range))
        gmem__hint_set(view, range);
    access->space = space;
    result = gmem__access(access, view, range, addr, size);
    gmem__access_leave();
    return result;
}

/* ------------------------------------------------------------------------------------------------------------------- */

gmem_result gmem_space_read(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, void *buf, uint64_t size)
{
    const uint8_t *host;

    if (size == 0)
        return GMEM_OK;
    gmem__rcu_enter();
    host = gmem__hinted(space, addr, size, gmem__hint.reads);
    if (!host)
        return find_and_access(space, addr, size,
                               &(struct gmem__access){.attrs = attrs, .what = GMEM__READ, .out = buf});
    gmem__host_read(host, buf, size);
    gmem__rcu_leave();
    return GMEM_OK;
}

gmem_result gmem_space_write(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, const void *buf, uint64_t size)
{
    uint8_t *host;

    if (size == 0)
        return GMEM_OK;
    gmem__rcu_enter();
    /* One of the two is 0. */
    host = gmem__hinted(space, addr, size, gmem__hint.writes | gmem__hint.logged);
    if (!host)
        return find_and_access(space, addr, size,
                               &(struct gmem__access){.attrs = attrs, .what = GMEM__WRITE, .in = buf});
    gmem__host_write(host, buf, size);
    if (gmem__hint.logged)
        gmem__hint_written(addr, size);
    gmem__rcu_leave();
    return GMEM_OK;
}

gmem_result gmem_space_rw(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, void *buf, uint64_t size,
                          bool is_write)
{
    return is_write ? gmem_space_write(space, addr, attrs, buf, size) : gmem_space_read(space, addr, attrs, buf, size);
}

gmem_result gmem_space_write_rom(gmem_space *space, uint64_t addr, const void *buf, uint64_t size)
{
    if (size == 0)
        return GMEM_OK;
    gmem__rcu_enter();
    return find_and_access(space, addr, size, &(struct gmem__access){.what = GMEM__LOAD, .in = buf});
}

gmem_result gmem_space_fill(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint8_t value, uint64_t size)
{
    if (size == 0)
        return GMEM_OK;
    gmem__rcu_enter();
    return find_and_access(space, addr, size, &(struct gmem__access){.attrs = attrs, .what = GMEM__FILL, .in = &value});
}
