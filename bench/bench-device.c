/* SPDX-License-Identifier: MIT */
/*
 * bench-device.c - what a device pays for its rings and buffers: caches beside raw loads, intervals as host pointers beside copies.
 *
 * Random words and chains are those of bench-access.c, and the random generator runs in the loop of both sides.
 */
#include "world.h"

#include <string.h>

#define DEVICES 10u
#define PIECES 8u /* a device and the gap behind it are two */
#define BUFFER 4096u

struct device {
    struct world *world;
    struct gmem_cache cache; /* of all of the RAM */
    uint8_t buf[BUFFER];
};

/* --- caches ---------------------------------------------------------------------------------------------------------- */

static double cache_ld32(void *opaque, uint64_t count)
{
    struct gmem_cache *cache = &((struct device *)opaque)->cache;
    uint32_t random = WORLD_SEED, value, sum = 0;
    gmem_result result = GMEM_OK;
    double start = bench_now();

    for (; count > 0; count--) {
        result |= gmem_cache_ld32_le(cache, bench_random(&random) & (WORLD_WORKING_SET - 4), &value);
        sum += value;
    }
    bench_keep(sum);
    return result ? -1 : bench_now() - start;
}

static double raw_ld32(void *opaque, uint64_t count)
{
    const uint8_t *host = ((const struct device *)opaque)->world->host;
    uint32_t random = WORLD_SEED, sum = 0;
    double start = bench_now();

    for (; count > 0; count--)
        sum += *(const volatile uint32_t *)(const void *)(host + (bench_random(&random) & (WORLD_WORKING_SET - 4)));
    bench_keep(sum);
    return bench_now() - start;
}

static double cache_chain(void *opaque, uint64_t count)
{
    struct gmem_cache *cache = &((struct device *)opaque)->cache;
    gmem_result result = GMEM_OK;
    uint32_t at = WORLD_CHAIN_AT;
    double start = bench_now();

    for (; count > 0; count--)
        result |= gmem_cache_ld32_le(cache, at, &at);
    bench_keep(at);
    return result ? -1 : bench_now() - start;
}

static double raw_chain(void *opaque, uint64_t count)
{
    const uint8_t *host = ((const struct device *)opaque)->world->host;
    uint32_t at = WORLD_CHAIN_AT;
    double start = bench_now();

    for (; count > 0; count--)
        at = *(const volatile uint32_t *)(const void *)(host + at);
    bench_keep(at);
    return bench_now() - start;
}

static double cache_st32(void *opaque, uint64_t count)
{
    struct gmem_cache *cache = &((struct device *)opaque)->cache;
    gmem_result result = GMEM_OK;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        result |= gmem_cache_st32_le(cache, random & (WORLD_WORKING_SET - 4), random);
    }
    return result ? -1 : bench_now() - start;
}

static double raw_st32(void *opaque, uint64_t count)
{
    uint8_t *host = ((struct device *)opaque)->world->host;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        (void)bench_random(&random);
        *(volatile uint32_t *)(void *)(host + (random & (WORLD_WORKING_SET - 4))) = random;
    }
    return bench_now() - start;
}

/* A descriptor of a ring. */
static double cache_read_16(void *opaque, uint64_t count)
{
    struct device *device = opaque;
    uint32_t random = WORLD_SEED;
    gmem_result result = GMEM_OK;
    double start = bench_now();

    for (; count > 0; count--) {
        result |= gmem_cache_read(&device->cache, bench_random(&random) & (WORLD_WORKING_SET - 16), device->buf, 16);
        bench_keep((uintptr_t)device->buf);
    }
    return result ? -1 : bench_now() - start;
}

static double raw_read_16(void *opaque, uint64_t count)
{
    struct device *device = opaque;
    uint32_t random = WORLD_SEED;
    double start = bench_now();

    for (; count > 0; count--) {
        memcpy(device->buf, device->world->host + (bench_random(&random) & (WORLD_WORKING_SET - 16)), 16);
        bench_keep((uintptr_t)device->buf);
    }
    return bench_now() - start;
}

/* What a commit costs the next access of a cache: it translates anew. Beside the commit alone. */
static double toggle(struct device *device, uint64_t count, bool access)
{
    gmem_region *region = device->world->regions[0];
    double start = bench_now();
    bool failed = false;
    uint32_t value = 0;

    for (; count > 0; count--) {
        failed |= gmem_region_set_enabled(region, count % 2 != 0) != 0;
        if (access)
            failed |= gmem_cache_ld32_le(&device->cache, 0, &value) != GMEM_OK;
        bench_keep(value);
    }
    return failed ? -1 : bench_now() - start;
}

static double cache_after_commit(void *opaque, uint64_t count)
{
    return toggle(opaque, count, true);
}

static double commit_alone(void *opaque, uint64_t count)
{
    return toggle(opaque, count, false);
}

/* --- intervals as host pointers --------------------------------------------------------------------------------------- */

static double map_of(struct device *device, uint64_t addr, uint64_t size, bool is_write, uint64_t count)
{
    gmem_space *space = device->world->space;
    gmem_result result = GMEM_OK;
    double start = bench_now();
    struct gmem_map map;

    for (; count > 0; count--) {
        if (gmem_map(space, addr, GMEM_ATTRS_NONE, size, is_write, &map))
            return -1;
        bench_keep((uintptr_t)map.host);
        result |= map.result | gmem_unmap(&map, map.size);
    }
    return result ? -1 : bench_now() - start;
}

static double map_read(void *opaque, uint64_t count)
{
    return map_of(opaque, 0, BUFFER, false, count);
}

static double map_write(void *opaque, uint64_t count)
{
    return map_of(opaque, 0, BUFFER, true, count);
}

static double map_device(void *opaque, uint64_t count)
{
    return map_of(opaque, world_address(0), 64, false, count);
}

static double space_access(struct device *device, uint64_t addr, uint64_t size, bool is_write, uint64_t count)
{
    gmem_space *space = device->world->space;
    gmem_result result = GMEM_OK;
    double start = bench_now();

    for (; count > 0; count--)
        result |= gmem_space_rw(space, addr, GMEM_ATTRS_NONE, device->buf, size, is_write);
    return result ? -1 : bench_now() - start;
}

static double copy_read(void *opaque, uint64_t count)
{
    return space_access(opaque, 0, BUFFER, false, count);
}

static double copy_write(void *opaque, uint64_t count)
{
    return space_access(opaque, 0, BUFFER, true, count);
}

static double copy_device(void *opaque, uint64_t count)
{
    return space_access(opaque, world_address(0), 64, false, count);
}

static double segments_of(struct device *device, uint64_t addr, uint64_t size, size_t pieces, uint64_t count)
{
    struct gmem_segment segments[PIECES];
    double start = bench_now();
    uint64_t covered;
    size_t found;

    for (; count > 0; count--) {
        if (gmem_segments(device->world->space, addr, GMEM_ATTRS_NONE, size, false, segments, PIECES, &found,
                          &covered) ||
            found != pieces)
            return -1;
        gmem_segments_release(segments, found, 0);
    }
    return bench_now() - start;
}

static double segments_1(void *opaque, uint64_t count)
{
    return segments_of(opaque, 0, BUFFER, 1, count);
}

static double segments_8(void *opaque, uint64_t count)
{
    return segments_of(opaque, world_address(0), (uint64_t)(PIECES / 2) * WORLD_STRIDE, PIECES, count);
}

/* Looking each piece up by itself. */
static double lookups(struct device *device, uint64_t addr, unsigned pieces, uint64_t count)
{
    struct gmem_section section;
    double start = bench_now();
    unsigned i;

    for (; count > 0; count--) {
        for (i = 0; i < pieces; i++) {
            if (gmem_space_lookup(device->world->space, addr + i * (uint64_t)WORLD_STRIDE, &section))
                return -1;
            gmem_section_release(&section);
        }
    }
    return bench_now() - start;
}

static double lookup_1(void *opaque, uint64_t count)
{
    return lookups(opaque, 0, 1, count);
}

static double lookup_4(void *opaque, uint64_t count)
{
    return lookups(opaque, world_address(0), PIECES / 2, count);
}

/* --- the rows -------------------------------------------------------------------------------------------------------- */

static const struct bench_entry rows[] = {
    {{"cache/ld32 random", DEVICES, NULL, "raw load", BENCH_RATIO, 1.3, NULL}, cache_ld32, raw_ld32},
    {{"cache/ld32 chain", DEVICES, NULL, "raw chain", BENCH_NO_TARGET, 0, NULL}, cache_chain, raw_chain},
    {{"cache/st32 random", DEVICES, NULL, "raw store", BENCH_NO_TARGET, 0, NULL}, cache_st32, raw_st32},
    {{"cache/read 16 B", DEVICES, NULL, "memcpy", BENCH_NO_TARGET, 0, NULL}, cache_read_16, raw_read_16},
    {{"cache/after a commit", DEVICES, NULL, "commit", BENCH_NO_TARGET, 0, NULL}, cache_after_commit, commit_alone},
    {{"map/read 4 KiB", DEVICES, NULL, "space_read", BENCH_NO_TARGET, 0, NULL}, map_read, copy_read},
    {{"map/write 4 KiB", DEVICES, NULL, "space_write", BENCH_NO_TARGET, 0, NULL}, map_write, copy_write},
    {{"map/device 64 B", DEVICES, NULL, "space_read", BENCH_NO_TARGET, 0, NULL}, map_device, copy_device},
    {{"segments/1 piece", DEVICES, NULL, "lookup", BENCH_NO_TARGET, 0, NULL}, segments_1, lookup_1},
    {{"segments/8 pieces", DEVICES, NULL, "4 lookups", BENCH_NO_TARGET, 0, NULL}, segments_8, lookup_4},
};

/* There is one map, of DEVICES, for all rows. */
static void *the_device(void *opaque, uint64_t n)
{
    (void)n;
    return opaque;
}

int main(int argc, char **argv)
{
    static struct device device;
    struct bench bench;
    int status;

    if (!bench_start(&bench, "bench-device", "Caches, maps and segments beside raw loads and copies.", argc, argv,
                     &status))
        return status;
    if (world_create(DEVICES, &device.world) ||
        gmem_cache_init(&device.cache, device.world->space, 0, WORLD_RAM_SIZE, GMEM_ATTRS_NONE)) {
        (void)fprintf(stderr, "bench-device: the map can't be made\n");
        world_destroy(device.world);
        return 1;
    }
    world_make_chain(device.world);
    bench_table(&bench, rows, sizeof(rows) / sizeof(rows[0]), the_device, &device);
    gmem_cache_end(&device.cache);
    world_destroy(device.world);
    return bench_end(&bench);
}
