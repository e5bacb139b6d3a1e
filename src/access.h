/* SPDX-License-Identifier: MIT */
/* access.h - the parts of an access: cutting into pieces (access.c), devices (access_mmio.c), RAM as words (here). */
#ifndef GMEM_SRC_ACCESS_H
#define GMEM_SRC_ACCESS_H

#include "backlog.h"
#include "dirty.h"
#include "hint.h"
#include <gmem/access.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GMEM__HOST_ENDIAN GMEM_ENDIAN_LITTLE
#else
#define GMEM__HOST_ENDIAN GMEM_ENDIAN_BIG
#endif

/* Host memory holds anything, a caller's own objects included. */
typedef uint16_t __attribute__((may_alias)) gmem__word16;
typedef uint32_t __attribute__((may_alias)) gmem__word32;
typedef uint64_t __attribute__((may_alias)) gmem__word64;

/* What is done to the bytes of an access, wherever they are. */
enum gmem__what {
    GMEM__READ,
    GMEM__WRITE,
    GMEM__FILL,
    GMEM__LOAD, /* write as the host: whatever has host memory takes it */
};

struct gmem__access {
    const gmem_space *space;
    struct gmem_attrs attrs;
    enum gmem__what what;
    uint8_t *out;      /* READ: where the next byte goes */
    const uint8_t *in; /* WRITE, LOAD: where it comes from; FILL: the one byte */
};

/* The end of the read section of an access that may have called a device. */
static inline void gmem__access_leave(void)
{
    gmem__rcu_leave();
    if (__builtin_expect(gmem__backlog_owing, 0))
        gmem__backlog_pay();
}

/*
 * Make an access of size bytes, at least 1, at addr of a view, in the read section the view was found in. range is what
 * gmem__view_find() says of addr.
 */
gmem_result gmem__access(struct gmem__access *access, const gmem_view *view, const struct gmem__range *range,
                         uint64_t addr, uint64_t size);

/* A word of 1, 2, 4 or 8 bytes as a number: what gmem_ld* and gmem_st* do. order may be NATIVE. */
gmem_result gmem__load(gmem_space *space, uint64_t addr, unsigned size, struct gmem_attrs attrs, enum gmem_endian order,
                       uint64_t *ret_value);
gmem_result gmem__store(gmem_space *space, uint64_t addr, unsigned size, struct gmem_attrs attrs,
                        enum gmem_endian order, uint64_t value);

/* One store of an aligned word of 1, 2, 4 or 8 bytes. */
static inline void gmem__host_store(uint8_t *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        __atomic_store_n(host, (uint8_t)value, __ATOMIC_RELAXED);
        break;
    case 2:
        __atomic_store_n((gmem__word16 *)(void *)host, (uint16_t)value, __ATOMIC_RELAXED);
        break;
    case 4:
        __atomic_store_n((gmem__word32 *)(void *)host, (uint32_t)value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((gmem__word64 *)(void *)host, value, __ATOMIC_RELAXED);
        break;
    }
}

/* Copy to and from host memory, in words that do not tear. */
void gmem__host_read(const uint8_t *host, uint8_t *out, uint64_t length);
void gmem__host_write(uint8_t *host, const uint8_t *in, uint64_t length);

/*
 * The part of an access that is length bytes, at least 1, at addr, all in one range, or (range is NULL) in none. The
 * range's region must be kept alive.
 */
gmem_result gmem__access_piece(struct gmem__access *access, const struct gmem__range *range, uint64_t addr,
                               uint64_t length);

/*
 * One access to a device: length bytes, at most up to the region's end, at offset. out receives a read; in is where a write
 * comes from, whose byte i is in[i * in_step], so that one byte can stand for all.
 */
struct gmem__mmio {
    const struct gmem_mmio_ops *ops;
    void *opaque;
    struct gmem_attrs attrs;
    gmem_vm *vm;
    gmem_region *region; /* NULL: it need not be looked at, and nobody watches */
    uint64_t addr;       /* in the space, and */
    uint64_t offset;     /* in the region: where the access begins; to say it, and nothing else */
    uint8_t fill;        /* what refused pieces read as */
    const uint8_t *in;
    size_t in_step;
};

/* Whether an access of size bytes at offset is one callback of that size, about which nobody else is asked or told. */
static inline bool gmem__mmio_is_call(const struct gmem__mmio_ops *ops, uint64_t offset, unsigned size)
{
    return ops && (__atomic_load_n(&ops->call_sizes, __ATOMIC_RELAXED) & size) && !(offset & (size - 1));
}

/* The same of one that is watched, or would nest too deep: for gmem__device_load() and gmem__device_store(). */
static inline bool gmem__mmio_is_single(const struct gmem__mmio_ops *ops, uint64_t offset, unsigned size)
{
    return ops && (ops->single_sizes & size) && !(offset & (size - 1));
}

gmem_result gmem__mmio_read(const struct gmem__mmio *mmio, uint64_t offset, uint64_t length, uint8_t *out);
gmem_result gmem__mmio_write(const struct gmem__mmio *mmio, uint64_t offset, uint64_t length);

/* length bytes, skip bytes into a range with host memory, were written: for those who log it. */
static inline void gmem__range_written(const struct gmem__range *range, uint64_t skip, uint64_t length)
{
    unsigned clients = gmem__range_clients(range);

    if (clients)
        gmem__ram_mark_dirty(range->region->ram, clients, range->offset + skip, length);
}

#endif
