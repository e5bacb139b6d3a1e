/* SPDX-License-Identifier: MIT */
/*
 * bench-access.c - what a load, a store or a copy of RAM through a space costs beside doing the same by hand.
 *
 * Loads and stores go to random words of 32 KiB, which stay in the first cache; the random generator runs in the loop of both sides.
 * In a chain each address is the value loaded before, so that nothing overlaps.
 */
#include "world.h"

#include <string.h>

#define SIZES 2u /* of maps */

struct access {
    struct world *world;
    uint8_t buf[4096 + 8] __attribute__((aligned(8)));
};

/* --- words of RAM ---------------------------------------------------------------------------------------------------- */

static double ld32(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    gmem_space *space = access->world->space;
    uint32_t random = WORLD_SEED, value, sum = 0;
    gmem_result result = GMEM_OK;
    double start = bench_now();

    for (; count > 0; count--) {
        result |= gmem_ld32_le(space, bench_random(&random) & (WORLD_WORKING_SET - 4), GMEM_ATTRS_NONE, &value);
        sum += value;
    }
    bench_keep(sum);
    return result ? -1 : bench_now() - start;
}

static double ld32_raw(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    const uint8_t *host = access->world->host;
    uint32_t random = WORLD_SEED, sum = 0;
    double start = bench_now();

    for (; count > 0; count--)
        sum += *(const volatile uint32_t *)(const void *)(host + (bench_random(&random) & (WORLD_WORKING_SET - 4)));
    bench_keep(sum);
    return bench_now() - start;
}

static double st32(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    gmem_space *space = access->world->space;
    gmem_result result = GMEM_OK;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        result |= gmem_st32_le(space, random & (WORLD_WORKING_SET - 4), GMEM_ATTRS_NONE, random);
    }
    return result ? -1 : bench_now() - start;
}

static double st32_raw(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    uint8_t *host = access->world->host;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        *(volatile uint32_t *)(void *)(host + (random & (WORLD_WORKING_SET - 4))) = random;
    }
    return bench_now() - start;
}

static double ld32_chain(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    gmem_space *space = access->world->space;
    gmem_result result = GMEM_OK;
    uint32_t at = WORLD_CHAIN_AT;
    double start = bench_now();

    for (; count > 0; count--)
        result |= gmem_ld32_le(space, at, GMEM_ATTRS_NONE, &at);
    bench_keep(at);
    return result ? -1 : bench_now() - start;
}

static double ld32_chain_raw(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    const uint8_t *host = access->world->host;
    uint32_t at = WORLD_CHAIN_AT;
    double start = bench_now();

    for (; count > 0; count--)
        at = *(const volatile uint32_t *)(const void *)(host + at);
    bench_keep(at);
    return bench_now() - start;
}

/* Each word is loaded by hand and stored again; what was loaded is where the next one is. */
static double st32_chain(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    gmem_space *space = access->world->space;
    const uint8_t *host = access->world->host;
    gmem_result result = GMEM_OK;
    uint32_t at = WORLD_CHAIN_AT, next;
    double start = bench_now();

    for (; count > 0; count--) {
        next = *(const volatile uint32_t *)(const void *)(host + at);
        result |= gmem_st32_le(space, at, GMEM_ATTRS_NONE, next);
        at = next;
    }
    bench_keep(at);
    return result ? -1 : bench_now() - start;
}

static double st32_chain_raw(void *opaque, uint64_t count)
{
    const struct access *access = opaque;
    uint8_t *host = access->world->host;
    uint32_t at = WORLD_CHAIN_AT, next;
    double start = bench_now();

    for (; count > 0; count--) {
        next = *(const volatile uint32_t *)(const void *)(host + at);
        *(volatile uint32_t *)(void *)(host + at) = next;
        at = next;
    }
    bench_keep(at);
    return bench_now() - start;
}

/* --- copies: at random multiples of their size in the working set ---------------------------------------------------- */

/* at: where in an aligned buffer the caller's bytes begin. */
#define DEFINE_COPIES(name, size, at)                                                                                  \
    static double read_##name(void *opaque, uint64_t count)                                                            \
    {                                                                                                                  \
        struct access *access = opaque;                                                                                \
        gmem_space *space = access->world->space;                                                                      \
        gmem_result result = GMEM_OK;                                                                                  \
        uint32_t random = WORLD_SEED;                                                                                  \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--) {                                                                                   \
            result |= gmem_space_read(space, bench_random(&random) & (WORLD_WORKING_SET - (size)), GMEM_ATTRS_NONE,    \
                                      access->buf + (at), size);                                                       \
            bench_keep((uintptr_t)access->buf + (at));                                                                 \
        }                                                                                                              \
        return result ? -1 : bench_now() - start;                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    static double read_##name##_raw(void *opaque, uint64_t count)                                                      \
    {                                                                                                                  \
        struct access *access = opaque;                                                                                \
        const uint8_t *host = access->world->host;                                                                     \
        uint32_t random = WORLD_SEED;                                                                                  \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--) {                                                                                   \
            memcpy(access->buf + (at), host + (bench_random(&random) & (WORLD_WORKING_SET - (size))), size);           \
            bench_keep((uintptr_t)access->buf + (at));                                                                 \
        }                                                                                                              \
        return bench_now() - start;                                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    static double write_##name(void *opaque, uint64_t count)                                                           \
    {                                                                                                                  \
        struct access *access = opaque;                                                                                \
        gmem_space *space = access->world->space;                                                                      \
        gmem_result result = GMEM_OK;                                                                                  \
        uint32_t random = WORLD_SEED;                                                                                  \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--)                                                                                     \
            result |= gmem_space_write(space, bench_random(&random) & (WORLD_WORKING_SET - (size)), GMEM_ATTRS_NONE,   \
                                       access->buf + (at), size);                                                      \
        return result ? -1 : bench_now() - start;                                                                      \
    }                                                                                                                  \
                                                                                                                       \
    static double write_##name##_raw(void *opaque, uint64_t count)                                                     \
    {                                                                                                                  \
        struct access *access = opaque;                                                                                \
        uint8_t *host = access->world->host;                                                                           \
        uint32_t random = WORLD_SEED;                                                                                  \
        double start = bench_now();                                                                                    \
                                                                                                                       \
        for (; count > 0; count--) {                                                                                   \
            memcpy(host + (bench_random(&random) & (WORLD_WORKING_SET - (size))), access->buf + (at), size);           \
            bench_keep((uintptr_t)host);                                                                               \
        }                                                                                                              \
        return bench_now() - start;                                                                                    \
    }

DEFINE_COPIES(64, 64, 0)
DEFINE_COPIES(4096, 4096, 0)
DEFINE_COPIES(4096_odd, 4096, 1)

/* --- the rows -------------------------------------------------------------------------------------------------------- */

static const struct bench_entry rows[] = {
    {{"ld32/random", 10, NULL, "raw load", BENCH_RATIO, 3, NULL}, ld32, ld32_raw},
    {{"ld32/random", 10000, NULL, "raw load", BENCH_RATIO, 3, NULL}, ld32, ld32_raw},
    {{"ld32/chain", 10, NULL, "raw chain", BENCH_RATIO, 2.5, NULL}, ld32_chain, ld32_chain_raw},
    {{"ld32/chain", 10000, NULL, "raw chain", BENCH_RATIO, 2.5, NULL}, ld32_chain, ld32_chain_raw},
    {{"st32/random", 10, NULL, "raw store", BENCH_NO_TARGET, 0, NULL}, st32, st32_raw},
    {{"st32/random", 10000, NULL, "raw store", BENCH_NO_TARGET, 0, NULL}, st32, st32_raw},
    {{"st32/chain", 10, NULL, "raw chain", BENCH_NO_TARGET, 0, NULL}, st32_chain, st32_chain_raw},
    {{"copy/read 64 B", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, read_64, read_64_raw},
    {{"copy/write 64 B", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, write_64, write_64_raw},
    {{"copy/read 4 KiB", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, read_4096, read_4096_raw},
    {{"copy/write 4 KiB", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, write_4096, write_4096_raw},
    {{"copy/read 4 KiB, odd buffer", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, read_4096_odd, read_4096_odd_raw},
    {{"copy/write 4 KiB, odd buffer", 10, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL},
     write_4096_odd,
     write_4096_odd_raw},
};

/* --- the maps -------------------------------------------------------------------------------------------------------- */

static int access_create(uint32_t n, struct access *access)
{
    int err = world_create(n, &access->world);

    if (!err)
        world_make_chain(access->world);
    return err;
}

/* The map of n devices, made when it is first asked for. NULL: it can't be made. */
static void *access_of(void *opaque, uint64_t n)
{
    struct access *maps = opaque;
    size_t i = 0;

    while (i < SIZES - 1 && maps[i].world && maps[i].world->n != n)
        i++;
    if (!maps[i].world && access_create((uint32_t)n, &maps[i]))
        return NULL;
    return &maps[i];
}

int main(int argc, char **argv)
{
    static struct access maps[SIZES];
    struct bench bench;
    size_t i;
    int status;

    if (!bench_start(&bench, "bench-access", "Loads, stores and copies of RAM beside the same by hand.", argc, argv,
                     &status))
        return status;
    bench_table(&bench, rows, sizeof(rows) / sizeof(rows[0]), access_of, maps);
    for (i = 0; i < SIZES; i++) {
        world_destroy(maps[i].world);
    }
    return bench_end(&bench);
}
