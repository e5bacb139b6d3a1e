/* SPDX-License-Identifier: MIT */
/* cache_inline.c - the inline functions of gmem/cache.h as functions of the library, for callers in other languages. */
#include <gmem/base.h>
#define GMEM_INLINE GMEM_API
#include <gmem/cache.h>
