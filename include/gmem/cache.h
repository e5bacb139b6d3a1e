/* SPDX-License-Identifier: MIT */
/*
 * gmem/cache.h - an interval of a space that is accessed again and again, such as a device's rings.
 *
 * A cache remembers the host memory behind its interval, so that a load or store is a few compares and
 * the access itself, compiled into the caller. It is valid by itself: after any commit that could
 * concern it, the next access finds out that its generation has passed and translates anew. So it is
 * never stale: an access that begins after a commit returned meets the new map. Each access has the
 * result and the effects that the one of gmem/access.h at the same address would have, also where the
 * interval holds devices or nothing, or is spread over several ranges (those cost what they cost there).
 *
 * The cache keeps the region that it accesses alive (G7), and its owner with it: for as long as it is
 * not used again, also after the region was removed. End it, or access it, to let go.
 *
 * One thread at a time may use a cache. Any thread, also from inside device callbacks; no lock is
 * taken, nothing waits, nothing is allocated (G2). When an access lets go of a region that had been removed, it
 * may be the one to call the owner's unref.
 *
 * Offsets count from the start of the interval. An access that is not all inside it touches nothing
 * and is GMEM_RESULT_DECODE; a load then gives the space's unassigned value.
 */
#ifndef GMEM_CACHE_H
#define GMEM_CACHE_H

#include <gmem/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Allocated by the caller; initialised by gmem_cache_init(). May not be copied or moved. All of it is the library's. */
struct gmem_cache {
    /* The window: host memory behind part of the interval. Nothing is in an empty one. */
    const uint64_t *now; /* the generation of what the space shows */
    uint64_t generation; /* that the window was made in */
    uint64_t first;      /* offset at which it begins */
    uint64_t reads[4];   /* at how many offsets from there 1, 2, 4 and 8 bytes can be read at host */
    uint64_t writes[4];  /* and written, unlogged */
    unsigned char *host; /* behind first */
    bool swap;           /* the guest's byte order is not the host's */

    gmem_space *space;
    uint64_t addr; /* of the interval */
    uint64_t last; /* its highest offset */
    struct gmem_attrs attrs;
    gmem_region *region; /* of the window */
    unsigned clients;    /* that log it, a bit each */
    void *shown;         /* where now is */
};

/*
 * Make *cache one of size bytes at addr of the space. attrs are those of all its accesses. Before the
 * space is destroyed the cache has to be ended, or not be used any more and ended before the vm is.
 *
 * -EINVAL  a NULL argument, or size 0
 * -EOVERFLOW  the interval reaches past 2^64 - 1
 */
GMEM_API int gmem_cache_init(struct gmem_cache *cache, gmem_space *space, uint64_t addr, uint64_t size,
                             struct gmem_attrs attrs) GMEM_MUST_CHECK;
/* Let go of everything. One that was ended, or is all zero, may be ended again. NULL is allowed. */
GMEM_API void gmem_cache_end(struct gmem_cache *cache);

/* Copy size bytes at offset into buf, or from it. A read always fills buf. size may be 0. */
GMEM_API gmem_result gmem_cache_read(struct gmem_cache *cache, uint64_t offset, void *buf, uint64_t size);
GMEM_API gmem_result gmem_cache_write(struct gmem_cache *cache, uint64_t offset, const void *buf, uint64_t size);

/*
 * Load or store size (1, 2, 4 or 8) bytes as a number in the given order. What the functions below do
 * when there is no window on the bytes; a load always sets *ret_value.
 */
GMEM_API gmem_result gmem_cache_load(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                                     uint64_t *ret_value);
GMEM_API gmem_result gmem_cache_store(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                                      uint64_t value);

/*
 * What the try functions below do when there is no window on the bytes: make one, if all of them are in one piece of host
 * memory; else nothing. Whether the access was made.
 */
GMEM_API bool gmem_cache_try_load(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                                  uint64_t *ret_value) GMEM_MUST_CHECK;
GMEM_API bool gmem_cache_try_store(struct gmem_cache *cache, uint64_t offset, unsigned size, enum gmem_endian order,
                                   uint64_t value) GMEM_MUST_CHECK;

/*
 * What the functions below do when a commit passed while they stored size bytes at offset: mark them dirty for all
 * clients (gmem/dirty.h), since one may log them by now. Not to be called by anybody else.
 */
GMEM_API void gmem_cache_stored(struct gmem_cache *cache, uint64_t offset, uint64_t size);

/*
 * gmem_cache_ld8, and ld16, ld32 and ld64 with _le, _be or _native (the guest's order):
 *     gmem_result gmem_cache_ld32_le(struct gmem_cache *cache, uint64_t offset, uint32_t *ret_value);
 * gmem_cache_st8 and so on:
 *     gmem_result gmem_cache_st32_le(struct gmem_cache *cache, uint64_t offset, uint32_t value);
 *
 * gmem_cache_try_ld8, gmem_cache_try_st8 and so on, for who must do something before a device is accessed, such as take its
 * lock, and nothing where there is none:
 *     bool gmem_cache_try_ld32_le(struct gmem_cache *cache, uint64_t offset, uint32_t *ret_value);
 *     bool gmem_cache_try_st32_le(struct gmem_cache *cache, uint64_t offset, uint32_t value);
 * True: the access was made, to host memory, as the ones above would. False: nothing happened, and *ret_value is as it was;
 * there is a device, ROM to be stored to, nothing, or more than one range; one of the functions above finds out. They
 * call no device. One that is not aligned is made byte by byte.
 *
 * They are compiled into the caller, and exist as functions of the library too, for whoever calls it from
 * another language.
 */
#ifndef GMEM_INLINE
#define GMEM_INLINE static inline
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GMEM__SWAP_LE false
#else
#define GMEM__SWAP_LE true
#endif

/* Host memory holds anything, a caller's own objects included. */
typedef uint8_t __attribute__((may_alias)) gmem__cached8;
typedef uint16_t __attribute__((may_alias)) gmem__cached16;
typedef uint32_t __attribute__((may_alias)) gmem__cached32;
typedef uint64_t __attribute__((may_alias)) gmem__cached64;

#define GMEM__SWAP8(value) (value)
#define GMEM__SWAP16(value) __builtin_bswap16(value)
#define GMEM__SWAP32(value) __builtin_bswap32(value)
#define GMEM__SWAP64(value) __builtin_bswap64(value)

/* The host memory of 1 << log2 bytes at offset, or NULL. */
static inline unsigned char *gmem__cached_any(const struct gmem_cache *cache, uint64_t offset, const uint64_t *limits,
                                              unsigned log2)
{
    uint64_t skip = offset - cache->first;

    /* Acquire: what the commit of that generation published comes before the access. */
    if (skip >= limits[log2] || __atomic_load_n(cache->now, __ATOMIC_ACQUIRE) != cache->generation)
        return NULL;
    return cache->host + skip;
}

static inline bool gmem__is_aligned(const unsigned char *host, unsigned log2)
{
    return ((uintptr_t)host & ((1u << log2) - 1)) == 0;
}

/* The same of an aligned word. */
static inline unsigned char *gmem__cached(const struct gmem_cache *cache, uint64_t offset, const uint64_t *limits,
                                          unsigned log2)
{
    unsigned char *host = gmem__cached_any(cache, offset, limits, log2);

    return host && gmem__is_aligned(host, log2) ? host : NULL;
}

static inline uint64_t gmem__load_bytes(const unsigned char *host, unsigned size)
{
    uint64_t word = 0;
    unsigned i;

    for (i = 0; i < size; i++)
        word |= (uint64_t)__atomic_load_n(host + i, __ATOMIC_RELAXED)
                << (8 * (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i : size - 1 - i));
    return word;
}

static inline void gmem__store_bytes(unsigned char *host, unsigned size, uint64_t word)
{
    unsigned i;

    for (i = 0; i < size; i++)
        __atomic_store_n(host + i,
                         (unsigned char)(word >> (8 * (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i : size - 1 - i))),
                         __ATOMIC_RELAXED);
}

#define GMEM__CACHE_DEFINE(suffix, bits, log2, order, swap)                                                            \
    GMEM_INLINE gmem_result gmem_cache_ld##suffix(struct gmem_cache *cache, uint64_t offset,                           \
                                                  uint##bits##_t *ret_value);                                          \
    GMEM_INLINE gmem_result gmem_cache_st##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t value);    \
    GMEM_INLINE gmem_result gmem_cache_ld##suffix(struct gmem_cache *cache, uint64_t offset,                           \
                                                  uint##bits##_t *ret_value)                                           \
    {                                                                                                                  \
        const unsigned char *host = gmem__cached(cache, offset, cache->reads, log2);                                   \
        gmem_result result = GMEM_OK;                                                                                  \
        uint##bits##_t word;                                                                                           \
        uint64_t value;                                                                                                \
                                                                                                                       \
        if (__builtin_expect(host != NULL, 1)) {                                                                       \
            word = __atomic_load_n((const gmem__cached##bits *)(const void *)host, __ATOMIC_RELAXED);                  \
            *ret_value = (swap) ? (uint##bits##_t)GMEM__SWAP##bits(word) : word;                                       \
        } else {                                                                                                       \
            result = gmem_cache_load(cache, offset, (bits) / 8, order, &value);                                        \
            *ret_value = (uint##bits##_t)value;                                                                        \
        }                                                                                                              \
        return result;                                                                                                 \
    }                                                                                                                  \
    GMEM_INLINE gmem_result gmem_cache_st##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t value)     \
    {                                                                                                                  \
        unsigned char *host = gmem__cached(cache, offset, cache->writes, log2);                                        \
        uint##bits##_t word = (swap) ? (uint##bits##_t)GMEM__SWAP##bits(value) : value;                                \
                                                                                                                       \
        if (__builtin_expect(host == NULL, 0))                                                                         \
            return gmem_cache_store(cache, offset, (bits) / 8, order, value);                                          \
        __atomic_store_n((gmem__cached##bits *)(void *)host, word, __ATOMIC_RELAXED);                                  \
        /* For the compiler: gmem_vm_settle() makes it a fence of the processor (src/cache.c). */                      \
        __atomic_signal_fence(__ATOMIC_SEQ_CST);                                                                       \
        if (__builtin_expect(__atomic_load_n(cache->now, __ATOMIC_RELAXED) != cache->generation, 0))                   \
            gmem_cache_stored(cache, offset, (bits) / 8);                                                              \
        return GMEM_OK;                                                                                                \
    }                                                                                                                  \
    GMEM_INLINE bool gmem_cache_try_ld##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t *ret_value);  \
    GMEM_INLINE bool gmem_cache_try_st##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t value);       \
    GMEM_INLINE bool gmem_cache_try_ld##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t *ret_value)   \
    {                                                                                                                  \
        const unsigned char *host = gmem__cached_any(cache, offset, cache->reads, log2);                               \
        uint##bits##_t word;                                                                                           \
        uint64_t value;                                                                                                \
                                                                                                                       \
        if (__builtin_expect(host == NULL, 0)) {                                                                       \
            if (!gmem_cache_try_load(cache, offset, (bits) / 8, order, &value))                                        \
                return false;                                                                                          \
            *ret_value = (uint##bits##_t)value;                                                                        \
            return true;                                                                                               \
        }                                                                                                              \
        if (gmem__is_aligned(host, log2))                                                                              \
            word = __atomic_load_n((const gmem__cached##bits *)(const void *)host, __ATOMIC_RELAXED);                  \
        else                                                                                                           \
            word = (uint##bits##_t)gmem__load_bytes(host, (bits) / 8);                                                 \
        *ret_value = (swap) ? (uint##bits##_t)GMEM__SWAP##bits(word) : word;                                           \
        return true;                                                                                                   \
    }                                                                                                                  \
    GMEM_INLINE bool gmem_cache_try_st##suffix(struct gmem_cache *cache, uint64_t offset, uint##bits##_t value)        \
    {                                                                                                                  \
        unsigned char *host = gmem__cached_any(cache, offset, cache->writes, log2);                                    \
        uint##bits##_t word = (swap) ? (uint##bits##_t)GMEM__SWAP##bits(value) : value;                                \
                                                                                                                       \
        if (__builtin_expect(host == NULL, 0))                                                                         \
            return gmem_cache_try_store(cache, offset, (bits) / 8, order, value);                                      \
        if (gmem__is_aligned(host, log2))                                                                              \
            __atomic_store_n((gmem__cached##bits *)(void *)host, word, __ATOMIC_RELAXED);                              \
        else                                                                                                           \
            gmem__store_bytes(host, (bits) / 8, word);                                                                 \
        __atomic_signal_fence(__ATOMIC_SEQ_CST);                                                                       \
        if (__builtin_expect(__atomic_load_n(cache->now, __ATOMIC_RELAXED) != cache->generation, 0))                   \
            gmem_cache_stored(cache, offset, (bits) / 8);                                                              \
        return true;                                                                                                   \
    }

#define GMEM__CACHE_ORDERS(bits, log2)                                                                                 \
    GMEM__CACHE_DEFINE(bits##_le, bits, log2, GMEM_ENDIAN_LITTLE, GMEM__SWAP_LE)                                       \
    GMEM__CACHE_DEFINE(bits##_be, bits, log2, GMEM_ENDIAN_BIG, !GMEM__SWAP_LE)                                         \
    GMEM__CACHE_DEFINE(bits##_native, bits, log2, GMEM_ENDIAN_NATIVE, cache->swap)

GMEM__CACHE_DEFINE(8, 8, 0, GMEM_ENDIAN_NATIVE, false)
GMEM__CACHE_ORDERS(16, 1)
GMEM__CACHE_ORDERS(32, 2)
GMEM__CACHE_ORDERS(64, 3)

#undef GMEM__CACHE_ORDERS
#undef GMEM__CACHE_DEFINE
#undef GMEM__SWAP8
#undef GMEM__SWAP16
#undef GMEM__SWAP32
#undef GMEM__SWAP64
#undef GMEM__SWAP_LE

#ifdef __cplusplus
}
#endif

#endif
