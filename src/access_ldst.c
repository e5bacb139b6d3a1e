/* SPDX-License-Identifier: MIT */
/*
 * access_ldst.c - loads and stores of 1, 2, 4 and 8 bytes as numbers.
 *
 * Each is the access that gmem_space_rw() makes of as many bytes. The usual ones take no way over bytes: an aligned word
 * of host memory, which a hint of the thread finds by a compare and an add; and what a device takes as one callback of the
 * same size. Guarantees as in access.c; all of it runs in an RCU read section.
 */
#include "device.h"

#define NATIVE(space) ((space)->vm->endian)

typedef uint8_t gmem__word8;

/* One access: size is 1, 2, 4 or 8, order that of the number. */
struct word {
    gmem_space *space;
    uint64_t addr;
    unsigned size;
    struct gmem_attrs attrs;
    enum gmem_endian order;
};

/* The same bytes as a number of the other order. */
static inline uint64_t swap(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

static inline uint64_t in_order(uint64_t value, unsigned size, enum gmem_endian from, enum gmem_endian to)
{
    return from == to ? value : swap(value, size);
}

/* Whether all of the word is in range, which may be NULL. */
static inline bool inside(const struct word *word, const struct gmem__range *range)
{
    return range && word->addr >= range->first && range->last - word->addr >= word->size - 1;
}

static bool aligned(const uint8_t *host, unsigned size)
{
    return ((uintptr_t)host & (size - 1)) == 0;
}

/* --- what no hint gave ---------------------------------------------------------------------------------------------- */

static uint64_t host_load(const uint8_t *host, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n(host, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const gmem__word16 *)(const void *)host, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const gmem__word32 *)(const void *)host, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const gmem__word64 *)(const void *)host, __ATOMIC_RELAXED);
    }
}

/* The bytes of the access are those of the number on a host of its order. */
static uint64_t from_bytes(const struct word *word, const uint8_t *bytes)
{
    uint64_t value = 0;
    unsigned i;

    for (i = 0; i < word->size; i++)
        value |= (uint64_t)bytes[word->order == GMEM_ENDIAN_LITTLE ? i : word->size - 1 - i] << 8 * i;
    return value;
}

static void to_bytes(const struct word *word, uint64_t value, uint8_t *bytes)
{
    unsigned i;

    for (i = 0; i < word->size; i++)
        bytes[word->order == GMEM_ENDIAN_LITTLE ? i : word->size - 1 - i] = (uint8_t)(value >> 8 * i);
}

static inline __attribute__((always_inline)) gmem_result load_other(const struct word *word, uint64_t *ret_value)
{
    gmem_view *view = gmem__space_view(word->space);
    const struct gmem__range *range = gmem__view_find(view, word->addr);
    struct gmem__access access = {.space = word->space, .attrs = word->attrs, .what = GMEM__READ};
    const struct gmem__mmio_ops *ops;
    gmem_result result;
    uint8_t bytes[8];
    uint64_t skip, value = 0;

    if (inside(word, range)) {
        ops = range->ops;
        skip = word->addr - range->first;
        if (gmem__range_reads_directly(range)) {
            gmem__hint_set(view, range);
            if (aligned(range->host + skip, word->size)) {
                value = host_load(range->host + skip, word->size);
                *ret_value = in_order(value, word->size, GMEM__HOST_ENDIAN, word->order);
                return GMEM_OK;
            }
        } else if (gmem__mmio_is_call(ops, range->offset + skip, word->size) && gmem__call_begin()) {
            result = ops->is.read(range->opaque, range->offset + skip, word->size, word->attrs, &value);
            gmem__call_end();
            GMEM__PROBE4(mmio_read, range->opaque, range->offset + skip, word->size, value);
            *ret_value = in_order(value, word->size, ops->is.endian, word->order);
            return result;
        } else if (gmem__mmio_is_single(ops, range->offset + skip, word->size)) {
            result = gmem__device_load(word->space, range, word->addr, word->size, word->attrs, &value);
            *ret_value = in_order(value, word->size, ops->is.endian, word->order);
            return result;
        }
    }
    access.out = bytes;
    result = gmem__access(&access, view, range, word->addr, word->size);
    *ret_value = from_bytes(word, bytes);
    return result;
}

static inline __attribute__((always_inline)) gmem_result store_other(const struct word *word, uint64_t value)
{
    gmem_view *view = gmem__space_view(word->space);
    const struct gmem__range *range = gmem__view_find(view, word->addr);
    struct gmem__access access = {.space = word->space, .attrs = word->attrs, .what = GMEM__WRITE};
    const struct gmem__mmio_ops *ops;
    gmem_result result;
    uint8_t bytes[8];
    uint64_t skip;

    if (inside(word, range)) {
        ops = range->ops;
        skip = word->addr - range->first;
        if (gmem__range_writes_directly(range)) {
            gmem__hint_set(view, range);
            if (aligned(range->host + skip, word->size)) {
                gmem__host_store(range->host + skip, word->size,
                                 in_order(value, word->size, word->order, GMEM__HOST_ENDIAN));
                gmem__range_written(range, skip, word->size);
                return GMEM_OK;
            }
        } else if (gmem__mmio_is_call(ops, range->offset + skip, word->size) && !(range->attrs & GMEM_RANGE_READONLY) &&
                   gmem__call_begin()) {
            value = in_order(value, word->size, word->order, ops->is.endian);
            GMEM__PROBE4(mmio_write, range->opaque, range->offset + skip, word->size, value);
            result = ops->is.write(range->opaque, range->offset + skip, word->size, word->attrs, value);
            gmem__call_end();
            return result;
        } else if (gmem__mmio_is_single(ops, range->offset + skip, word->size) &&
                   !(range->attrs & GMEM_RANGE_READONLY)) {
            value = in_order(value, word->size, word->order, ops->is.endian);
            return gmem__device_store(word->space, range, word->addr, word->size, word->attrs, value);
        }
    }
    to_bytes(word, value, bytes);
    access.in = bytes;
    return gmem__access(&access, view, range, word->addr, word->size);
}

gmem_result gmem__load(gmem_space *space, uint64_t addr, unsigned size, struct gmem_attrs attrs, enum gmem_endian order,
                       uint64_t *ret_value)
{
    gmem_result result;

    if (order == GMEM_ENDIAN_NATIVE)
        order = NATIVE(space);
    gmem__rcu_enter();
    result = load_other(&(struct word){space, addr, size, attrs, order}, ret_value);
    gmem__access_leave();
    return result;
}

gmem_result gmem__store(gmem_space *space, uint64_t addr, unsigned size, struct gmem_attrs attrs,
                        enum gmem_endian order, uint64_t value)
{
    gmem_result result;

    if (order == GMEM_ENDIAN_NATIVE)
        order = NATIVE(space);
    gmem__rcu_enter();
    result = store_other(&(struct word){space, addr, size, attrs, order}, value);
    gmem__access_leave();
    return result;
}

/* --- the usual case ------------------------------------------------------------------------------------------------- */

/* The same, if it is an aligned word. */
static inline uint8_t *hinted_word(gmem_space *space, uint64_t addr, unsigned size, uint64_t limit)
{
    uint8_t *host = gmem__hinted(space, addr, size, limit);

    return aligned(host, size) ? host : NULL;
}

/*
 * load<bits> and store<bits> in any order, on which the public functions are instances. What no hint gives is done out of
 * line, so that the usual case needs no stack; there the read section ends.
 */
#define DEFINE_WORD(bits)                                                                                              \
    static __attribute__((noinline)) gmem_result load_other##bits(                                                     \
        gmem_space *space, uint64_t addr, struct gmem_attrs attrs, enum gmem_endian order, uint##bits##_t *ret_value)  \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        gmem_result result = load_other(&(struct word){space, addr, (bits) / 8, attrs, order}, &value);                \
                                                                                                                       \
        gmem__access_leave();                                                                                          \
        *ret_value = (uint##bits##_t)value;                                                                            \
        return result;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static inline gmem_result load##bits(gmem_space *space, uint64_t addr, struct gmem_attrs attrs,                    \
                                         enum gmem_endian order, uint##bits##_t *ret_value)                            \
    {                                                                                                                  \
        const uint8_t *host;                                                                                           \
        uint##bits##_t value;                                                                                          \
                                                                                                                       \
        gmem__rcu_enter();                                                                                             \
        host = hinted_word(space, addr, (bits) / 8, gmem__hint.reads);                                                 \
        if (__builtin_expect(!host, 0))                                                                                \
            return load_other##bits(space, addr, attrs, order, ret_value);                                             \
        value = __atomic_load_n((const gmem__word##bits *)(const void *)host, __ATOMIC_RELAXED);                       \
        gmem__rcu_leave();                                                                                             \
        *ret_value = (uint##bits##_t)in_order(value, (bits) / 8, GMEM__HOST_ENDIAN, order);                            \
        return GMEM_OK;                                                                                                \
    }                                                                                                                  \
                                                                                                                       \
    static __attribute__((noinline)) gmem_result store_other##bits(                                                    \
        gmem_space *space, uint64_t addr, struct gmem_attrs attrs, enum gmem_endian order, uint##bits##_t value)       \
    {                                                                                                                  \
        gmem_result result = store_other(&(struct word){space, addr, (bits) / 8, attrs, order}, value);                \
                                                                                                                       \
        gmem__access_leave();                                                                                          \
        return result;                                                                                                 \
    }                                                                                                                  \
                                                                                                                       \
    static __attribute__((noinline)) gmem_result store_logged##bits(                                                   \
        gmem_space *space, uint64_t addr, struct gmem_attrs attrs, enum gmem_endian order, uint##bits##_t value)       \
    {                                                                                                                  \
        uint8_t *host = hinted_word(space, addr, (bits) / 8, gmem__hint.logged);                                       \
                                                                                                                       \
        if (__builtin_expect(!host, 0))                                                                                \
            return store_other##bits(space, addr, attrs, order, value);                                                \
        __atomic_store_n((gmem__word##bits *)(void *)host,                                                             \
                         (uint##bits##_t)in_order(value, (bits) / 8, order, GMEM__HOST_ENDIAN), __ATOMIC_RELAXED);     \
        gmem__hint_written(addr, (bits) / 8);                                                                          \
        gmem__rcu_leave();                                                                                             \
        return GMEM_OK;                                                                                                \
    }                                                                                                                  \
                                                                                                                       \
    static inline gmem_result store##bits(gmem_space *space, uint64_t addr, struct gmem_attrs attrs,                   \
                                          enum gmem_endian order, uint##bits##_t value)                                \
    {                                                                                                                  \
        uint8_t *host;                                                                                                 \
                                                                                                                       \
        gmem__rcu_enter();                                                                                             \
        host = hinted_word(space, addr, (bits) / 8, gmem__hint.writes);                                                \
        if (__builtin_expect(!host, 0))                                                                                \
            return store_logged##bits(space, addr, attrs, order, value);                                               \
        __atomic_store_n((gmem__word##bits *)(void *)host,                                                             \
                         (uint##bits##_t)in_order(value, (bits) / 8, order, GMEM__HOST_ENDIAN), __ATOMIC_RELAXED);     \
        gmem__rcu_leave();                                                                                             \
        return GMEM_OK;                                                                                                \
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
DEFINE_PUBLIC(8, 8, GMEM__HOST_ENDIAN)
DEFINE_ORDERS(16)
DEFINE_ORDERS(32)
DEFINE_ORDERS(64)
