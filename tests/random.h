/* SPDX-License-Identifier: MIT */
/*
 * random.h - random numbers for unit tests, the same in every run or those of GMEM_TEST_SEED; and
 * whether there is time for many of them.
 */
#ifndef GMEM_TESTS_RANDOM_H
#define GMEM_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct random {
    uint64_t state;
};

/* Start a sequence of the test called what, and say of which seed. */
static inline struct random random_start(const char *what, uint64_t seed)
{
    const char *text = getenv("GMEM_TEST_SEED");
    struct random random = {text ? strtoull(text, NULL, 0) : seed};

    printf("# %s: GMEM_TEST_SEED=%llu\n", what, (unsigned long long)random.state);
    fflush(stdout);
    return random;
}

/* Whether this is ./dev test --long: tests that can look further then take minutes instead of seconds. */
static inline bool test_is_long(void)
{
    const char *text = getenv("GMEM_TEST_LONG");

    return text && *text && *text != '0';
}

/* splitmix64 */
static inline uint64_t random_u64(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 0 to count - 1; count is not 0. */
static inline uint64_t random_below(struct random *random, uint64_t count)
{
    return random_u64(random) % count;
}

/* In [first, last]. */
static inline uint64_t random_within(struct random *random, uint64_t first, uint64_t last)
{
    return last - first == UINT64_MAX ? random_u64(random) : first + random_below(random, last - first + 1);
}

static inline bool random_chance(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

#endif
