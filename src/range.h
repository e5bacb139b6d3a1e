/* SPDX-License-Identifier: MIT */
/*
 * range.h - arithmetic on inclusive ranges [first, last] of 64-bit addresses.
 *
 * A size is carried as the offset of its last byte, so that 2^64 fits. Nothing here can overflow
 * unless it says so.
 */
#ifndef GMEM_SRC_RANGE_H
#define GMEM_SRC_RANGE_H

#include <gmem/base.h>

#define GMEM__LAST UINT64_MAX

/* The offset of a size's last byte; the size must not be zero. */
static inline uint64_t gmem__size_last(gmem_size size)
{
    return size.all ? GMEM__LAST : size.bytes - 1;
}

static inline bool gmem__size_is_zero(gmem_size size)
{
    return !size.all && size.bytes == 0;
}

static inline gmem_size gmem__size_from_last(uint64_t last)
{
    return last == GMEM__LAST ? gmem_size_all() : gmem_size_of(last + 1);
}

/* Whether something whose last byte is at offset last does not fit below 2^64 when put at first. */
static inline bool gmem__range_overflows(uint64_t first, uint64_t last)
{
    return first > GMEM__LAST - last;
}

static inline uint64_t gmem__min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t gmem__max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
