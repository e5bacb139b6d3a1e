/* SPDX-License-Identifier: MIT */
/*
 * test-cache-try.c - loads and stores of a cache that are made to host memory or not at all.
 */
#include "access_world.h"
#include "rcu.h"

#define OK(call) assert_int_equal((call), 0)
#define SIZE 0x1000u
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aull

/* The width and order, as the functions that may always be made have it, at an offset where both are possible. */
#define CHECK(suffix, bits)                                                                                            \
    do {                                                                                                               \
        uint##bits##_t mine = (uint##bits##_t)UNTOUCHED, theirs = 0;                                                   \
        uint##bits##_t value = (uint##bits##_t)(0x1122334455667788ull + offset);                                       \
                                                                                                                       \
        assert_true(gmem_cache_try_ld##suffix(cache, offset, &mine));                                                  \
        assert_int_equal(gmem_cache_ld##suffix(cache, offset, &theirs), GMEM_OK);                                      \
        assert_true(mine == theirs);                                                                                   \
        assert_true(gmem_cache_try_st##suffix(cache, offset, value));                                                  \
        assert_int_equal(gmem_cache_ld##suffix(cache, offset, &theirs), GMEM_OK);                                      \
        assert_true(value == theirs);                                                                                  \
        assert_int_equal(gmem_cache_st##suffix(cache, offset, mine), GMEM_OK);                                         \
    } while (0)

#define REFUSED(suffix, bits)                                                                                          \
    do {                                                                                                               \
        uint##bits##_t mine = (uint##bits##_t)UNTOUCHED;                                                               \
                                                                                                                       \
        assert_false(gmem_cache_try_ld##suffix(cache, offset, &mine));                                                 \
        assert_true(mine == (uint##bits##_t)UNTOUCHED);                                                                \
        assert_false(gmem_cache_try_st##suffix(cache, offset, 0));                                                     \
    } while (0)

#define EACH(what, width)                                                                                              \
    do {                                                                                                               \
        if ((width) == 1)                                                                                              \
            what(8, 8);                                                                                                \
        if ((width) == 2) {                                                                                            \
            what(16_le, 16);                                                                                           \
            what(16_be, 16);                                                                                           \
            what(16_native, 16);                                                                                       \
        }                                                                                                              \
        if ((width) == 4) {                                                                                            \
            what(32_le, 32);                                                                                           \
            what(32_be, 32);                                                                                           \
            what(32_native, 32);                                                                                       \
        }                                                                                                              \
        if ((width) == 8) {                                                                                            \
            what(64_le, 64);                                                                                           \
            what(64_be, 64);                                                                                           \
            what(64_native, 64);                                                                                       \
        }                                                                                                              \
    } while (0)

static void made(struct gmem_cache *cache, uint64_t offset, unsigned width)
{
    EACH(CHECK, width);
}

static void refused(struct gmem_cache *cache, uint64_t offset, unsigned width)
{
    EACH(REFUSED, width);
}

/* Aligned or not; not over the seam of two ranges, whose bytes stay as they are, nor outside of the interval. */
static void test_words(void **state)
{
    (void)state;
    for (enum gmem_endian order = GMEM_ENDIAN_LITTLE; order <= GMEM_ENDIAN_BIG; order++) {
        struct gmem_cache cache;
        struct world world;
        uint8_t *low, before[16];

        world_open_with(&world, order, false);
        low = world_ram(&world, 0, SIZE, "low");
        bytes_pattern(low, SIZE, 1);
        bytes_pattern(world_ram(&world, SIZE, SIZE, "high"), SIZE, 77);
        memcpy(before, low + SIZE - 16, 16);
        OK(gmem_cache_init(&cache, world.space, 0x10, 2 * SIZE - 0x10 - 3, GMEM_ATTRS_NONE));
        for (unsigned width = 1; width <= 8; width *= 2) {
            for (uint64_t offset = SIZE - 0x10 - 20; offset < SIZE - 0x10 + 20; offset++) {
                if (offset < SIZE - 0x10 && offset + width > SIZE - 0x10)
                    refused(&cache, offset, width);
                else
                    made(&cache, offset, width);
            }
            for (uint64_t offset = 2 * SIZE - 0x10 - 3 - 20; offset < 2 * SIZE; offset++) {
                if (offset + width > 2 * SIZE - 0x10 - 3)
                    refused(&cache, offset, width);
                else
                    made(&cache, offset, width);
            }
            refused(&cache, UINT64_MAX - width + 1, width);
        }
        assert_memory_equal(before, low + SIZE - 16, 16);
        gmem_cache_end(&cache);
        refused(&cache, 0, 4);
        world_close(&world);
    }
}

/* A device is not called, nothing is nothing, and ROM is loaded from only. */
static void test_no_memory(void **state)
{
    struct bytes_device device = {0};
    struct gmem_cache cache;
    struct world world;
    uint8_t *rom;
    uint32_t value;

    (void)state;
    world_open(&world);
    world_ram(&world, 0, SIZE, "ram");
    world_mmio(&world, SIZE, BYTES_SIZE, &bytes_ops, &device);
    world_place(&world, world_memory(&world, GMEM_KIND_ROM, "rom", SIZE, NULL, NULL, &rom), 2 * SIZE);
    bytes_pattern(rom, SIZE, 1);
    OK(gmem_cache_init(&cache, world.space, 0, 4 * SIZE, GMEM_ATTRS_NONE));
    made(&cache, 0, 4);
    for (unsigned width = 1; width <= 8; width *= 2) {
        refused(&cache, SIZE + 8, width);
        refused(&cache, 3 * SIZE, width);
    }
    assert_int_equal(device.reads + device.writes, 0);
    made(&cache, 4, 4);
    assert_true(gmem_cache_try_ld32_le(&cache, 2 * SIZE, &value));
    assert_int_equal(value, 0x04030201);
    assert_false(gmem_cache_try_st32_le(&cache, 2 * SIZE, 0));
    assert_int_equal(rom[0], 1);
    gmem_cache_end(&cache);
    world_close(&world);
}

/* What a commit has put there is what is met, and a device that has come is not called. */
static void test_never_stale(void **state)
{
    struct bytes_device device = {0};
    struct gmem_cache cache;
    struct world world;
    gmem_region *first, *second;
    uint32_t value = 7;

    (void)state;
    world_open(&world);
    first = world_memory(&world, GMEM_KIND_RAM, "first", SIZE, NULL, NULL, NULL);
    second = world_memory(&world, GMEM_KIND_RAM, "second", SIZE, NULL, NULL, NULL);
    world_place(&world, first, 0);
    OK(gmem_cache_init(&cache, world.space, 0, SIZE, GMEM_ATTRS_NONE));
    assert_true(gmem_cache_try_st32_le(&cache, 0, 1));
    OK(gmem_region_remove(world.root, first));
    assert_false(gmem_cache_try_st32_le(&cache, 0, 2));
    assert_false(gmem_cache_try_ld32_le(&cache, 0, &value));
    assert_int_equal(value, 7);
    world_place(&world, second, 0);
    assert_true(gmem_cache_try_ld32_le(&cache, 0, &value));
    assert_int_equal(value, 0);
    OK(gmem_region_remove(world.root, second));
    world_mmio(&world, 0, BYTES_SIZE, &bytes_ops, &device);
    assert_false(gmem_cache_try_ld32_le(&cache, 0, &value));
    assert_int_equal(device.reads, 0);
    gmem_cache_end(&cache);
    world_close(&world);
}

static bool take_dirty(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    bool dirty = false;

    OK(gmem_ram_dirty_test_and_clear(ram, 1, offset, size, &dirty));
    return dirty;
}

/* A store marks what is logged, aligned or not, over two pages too. */
static void test_logged(void **state)
{
    struct gmem_cache cache;
    gmem_region *region;
    struct world world;
    gmem_ram *ram;

    (void)state;
    world_open(&world);
    OK(gmem_ram_create_anon(world.vm, "ram", 4 * SIZE, &ram));
    OK(gmem_region_create_ram(world.vm, "ram", ram, NULL, &region));
    world_place(&world, region, 0);
    OK(gmem_cache_init(&cache, world.space, 0, 4 * SIZE, GMEM_ATTRS_NONE));
    assert_true(gmem_cache_try_st32_le(&cache, 0, 1));
    OK(gmem_region_set_log(region, 1, true));
    (void)take_dirty(ram, 0, 4 * SIZE);
    assert_true(gmem_cache_try_st32_le(&cache, 8, 2));
    assert_true(take_dirty(ram, 0, SIZE));
    assert_true(gmem_cache_try_st32_le(&cache, 2 * SIZE - 2, 2));
    for (unsigned page = 0; page < 4; page++)
        assert_int_equal(take_dirty(ram, page * SIZE, SIZE), page == 1 || page == 2);
    OK(gmem_region_set_log(region, 1, false));
    gmem_cache_end(&cache);
    gmem_ram_unref(ram);
    world_close(&world);
}

static void count_ref(void *opaque)
{
    __atomic_add_fetch((int *)opaque, 1, __ATOMIC_SEQ_CST);
}

static void count_unref(void *opaque)
{
    __atomic_sub_fetch((int *)opaque, 1, __ATOMIC_SEQ_CST);
}

/* One that is refused lets go of what was removed; one that is refused beside a good window keeps that. */
static void test_lifetime(void **state)
{
    int reached = 0;
    struct gmem_owner owner = {.opaque = &reached, .ref = count_ref, .unref = count_unref};
    struct gmem_cache cache;
    gmem_region *region;
    struct world world;
    gmem_ram *ram;
    uint8_t byte;

    (void)state;
    world_open(&world);
    OK(gmem_ram_create_anon(world.vm, "ram", SIZE, &ram));
    OK(gmem_region_create_ram(world.vm, "ram", ram, &owner, &region));
    gmem_ram_unref(ram);
    world_place(&world, region, 0);
    OK(gmem_cache_init(&cache, world.space, 0, 2 * SIZE, GMEM_ATTRS_NONE));
    assert_true(gmem_cache_try_ld8(&cache, 0, &byte));
    assert_false(gmem_cache_try_ld8(&cache, SIZE, &byte));
    assert_true(cache.reads[0] == SIZE);
    OK(gmem_region_remove(world.root, region));
    gmem_region_unref(region);
    gmem__rcu_barrier();
    assert_true(reached > 0);
    assert_false(gmem_cache_try_ld8(&cache, SIZE, &byte));
    gmem__rcu_barrier();
    assert_int_equal(reached, 0);
    gmem_cache_end(&cache);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),  cmocka_unit_test(test_no_memory), cmocka_unit_test(test_never_stale),
        cmocka_unit_test(test_logged), cmocka_unit_test(test_lifetime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
