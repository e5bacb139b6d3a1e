/* SPDX-License-Identifier: MIT */
/*
 * wrap.h - allocations of the library counted, and failed on demand.
 *
 * For programs that are linked to the library's archive with --wrap for each function below, so
 * that they are called in place of the C library's, by the library and by the test. Any thread may
 * allocate; one counts at a time, but what is allocated (wrap_live()) is counted for all together.
 */
#ifndef GMEM_TESTS_WRAP_H
#define GMEM_TESTS_WRAP_H

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * Since wrap_start(): allocations asked for and their bytes. The one numbered fail_at fails, from
 * 1, or if every is set all from there on; 0: none does.
 */
struct wrap {
    bool counting;
    bool every;
    unsigned long count;
    unsigned long fail_at;
    size_t bytes;
};

static __thread struct wrap wrap;

static inline void wrap_start(unsigned long fail_at)
{
    wrap.counting = true;
    wrap.count = 0;
    wrap.bytes = 0;
    wrap.every = false;
    wrap.fail_at = fail_at;
}

/* Whether the allocation that was to fail came. */
static inline bool wrap_stop(void)
{
    wrap.counting = false;
    return wrap.fail_at && wrap.count >= wrap.fail_at;
}

static inline bool wrap_fails(size_t size)
{
    if (!wrap.counting)
        return false;
    wrap.bytes += size;
    wrap.count++;
    return wrap.count == wrap.fail_at || (wrap.every && wrap.count > wrap.fail_at);
}

static size_t wrap_bytes_live; /* atomic */

/* Bytes allocated at present, with what the C library's allocator adds to each allocation. */
static inline size_t wrap_live(void)
{
    return __atomic_load_n(&wrap_bytes_live, __ATOMIC_RELAXED);
}

/* The allocation came; nothing where it failed. */
static inline void *wrap_came(void *at)
{
    if (at)
        __atomic_fetch_add(&wrap_bytes_live, malloc_usable_size(at) + sizeof(size_t), __ATOMIC_RELAXED);
    return at;
}

static inline void wrap_goes(void *at)
{
    if (at)
        __atomic_fetch_sub(&wrap_bytes_live, malloc_usable_size(at) + sizeof(size_t), __ATOMIC_RELAXED);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *at);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *at);

void *__wrap_malloc(size_t size)
{
    return wrap_fails(size) ? NULL : wrap_came(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return wrap_fails(count * size) ? NULL : wrap_came(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    size_t was = old ? malloc_usable_size(old) + sizeof(size_t) : 0;
    void *now = wrap_fails(size) ? NULL : __real_realloc(old, size);

    if (now)
        __atomic_fetch_sub(&wrap_bytes_live, was, __ATOMIC_RELAXED);
    return wrap_came(now);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return wrap_fails(size) ? NULL : wrap_came(__real_aligned_alloc(align, size));
}

char *__wrap_strdup(const char *text)
{
    return wrap_fails(strlen(text) + 1) ? NULL : wrap_came(__real_strdup(text));
}

void __wrap_free(void *at)
{
    wrap_goes(at);
    __real_free(at);
}

#endif
