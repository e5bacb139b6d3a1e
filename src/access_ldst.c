/* SPDX-License-Identifier: MIT */
/*
 * access_ldst.c - loads and stores of 1, 2, 4 and 8 bytes as numbers.
 *
 * Each is the access that gmem_space_rw() makes of as many bytes. What is one aligned word of host memory, which is nearly
 * all of them, is read or written here without taking the way over the bytes; guarantees as in access.c.
 */
#include "access.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ENDIAN GMEM_ENDIAN_LITTLE
#else
#define HOST_ENDIAN GMEM_ENDIAN_BIG
#endif

#define NATIVE(space) ((space)->vm->endian)

/* The host memory of size bytes at addr, if they are an aligned word of a range that is read (or written) directly. */
static inline uint8_t *word_to_read(const struct gmem__range *range, uint64_t addr, uint64_t size)
{
    if (!range || addr < range->first || range->last - addr < size - 1 || !gmem__range_reads_directly(range))
        return NULL;
    return ((uintptr_t)range->host + (addr - range->first)) & (size - 1) ? NULL : range->host + (addr - range->first);
}

static inline uint8_t *word_to_write(const struct gmem__range *range, uint64_t addr, uint64_t size)
{
    return range && gmem__range_writes_directly(range) ? word_to_read(range, addr, size) : NULL;
}

static inline uint8_t swap8(uint8_t value)
{
    return value;
}

static inline uint16_t swap16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t swap32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static inline uint64_t swap64(uint64_t value)
{
    return __builtin_bswap64(value);
}

typedef uint8_t gmem__word8;

/* What is no word of host memory: found already, so that it is not looked up again. */
static gmem_result read_bytes(const gmem_space *space, const gmem_view *view, const struct gmem__range *range,
                              uint64_t addr, struct gmem_attrs attrs, void *out, uint64_t size)
{
    struct gmem__access access = {.space = space, .attrs = attrs, .what = GMEM__READ, .out = out};

    return gmem__access(&access, view, range, addr, size);
}

static gmem_result write_bytes(const gmem_space *space, const gmem_view *view, const struct gmem__range *range,
                               uint64_t addr, struct gmem_attrs attrs, const void *in, uint64_t size)
{
    struct gmem__access access = {.space = space, .attrs = attrs, .what = GMEM__WRITE, .in = in};

    return gmem__access(&access, view, range, addr, size);
}

/* load<bits> and store<bits> in any order, on which the public functions are instances. */
#define DEFINE_WORD(bits)                                                                                              \
    static inline gmem_result load##bits(gmem_space *space, uint64_t addr, struct gmem_attrs attrs,                    \
                                         enum gmem_endian order, uint##bits##_t *ret_value)                            \
    {                                                                                                                  \
        const struct gmem__range *range;                                                                               \
        gmem_result result = GMEM_OK;                                                                                  \
        const gmem_view *view;                                                                                         \
        uint##bits##_t value;                                                                                          \
        const uint8_t *host;                                                                                           \
                                                                                                                       \
        gmem__rcu_enter();                                                                                             \
        view = gmem__space_view(space);                                                                                \
        range = gmem__view_find(view, addr);                                                                           \
        host = word_to_read(range, addr, sizeof(value));                                                               \
        if (host)                                                                                                      \
            value = __atomic_load_n((const gmem__word##bits *)(const void *)host, __ATOMIC_RELAXED);                   \
        else                                                                                                           \
            result = read_bytes(space, view, range, addr, attrs, &value, sizeof(value));                               \
        gmem__rcu_leave();                                                                                             \
        *ret_value = order == HOST_ENDIAN ? value : swap##bits(value);                                                 \
        return result;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static inline gmem_result store##bits(gmem_space *space, uint64_t addr, struct gmem_attrs attrs,                   \
                                          enum gmem_endian order, uint##bits##_t value)                                \
    {                                                                                                                  \
        uint##bits##_t bytes = order == HOST_ENDIAN ? value : swap##bits(value);                                       \
        const struct gmem__range *range;                                                                               \
        gmem_result result = GMEM_OK;                                                                                  \
        const gmem_view *view;                                                                                         \
        uint8_t *host;                                                                                                 \
                                                                                                                       \
        gmem__rcu_enter();                                                                                             \
        view = gmem__space_view(space);                                                                                \
        range = gmem__view_find(view, addr);                                                                           \
        host = word_to_write(range, addr, sizeof(bytes));                                                              \
        if (host)                                                                                                      \
            __atomic_store_n((gmem__word##bits *)(void *)host, bytes, __ATOMIC_RELAXED);                               \
        else                                                                                                           \
            result = write_bytes(space, view, range, addr, attrs, &bytes, sizeof(bytes));                              \
        gmem__rcu_leave();                                                                                             \
        return result;                                                                                                 \
    }

#define DEFINE_PUBLIC(suffix, bits, order)                                                                             \
    gmem_result gmem_ld##suffix(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint##bits##_t *ret_value)  \
    {                                                                                                                  \
        return load##bits(space, addr, attrs, order, ret_value);                                                       \
    }                                                                                                                  \
                                                                                                                       \
    gmem_result gmem_st##suffix(gmem_space *space, uint64_t addr, struct gmem_attrs attrs, uint##bits##_t value)       \
    {                                                                                                                  \
        return store##bits(space, addr, attrs, order, value);                                                          \
    }

#define DEFINE_ORDERS(bits)                                                                                            \
    DEFINE_WORD(bits)                                                                                                  \
    DEFINE_PUBLIC(bits##_le, bits, GMEM_ENDIAN_LITTLE)                                                                 \
    DEFINE_PUBLIC(bits##_be, bits, GMEM_ENDIAN_BIG)                                                                    \
    DEFINE_PUBLIC(bits##_native, bits, NATIVE(space))

DEFINE_WORD(8)
DEFINE_PUBLIC(8, 8, HOST_ENDIAN)
DEFINE_ORDERS(16)
DEFINE_ORDERS(32)
DEFINE_ORDERS(64)
