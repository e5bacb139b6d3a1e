/* SPDX-License-Identifier: MIT */
/*
 * test-cache.c - caches and hints: never stale, never dangling, and always the access of gmem/access.h.
 */
#include "access_world.h"
#include "random.h"
#include "rcu.h"
#include <errno.h>

#define OK(call) assert_int_equal((call), 0)
#define ADDR 0x1000u
#define SIZE 0x1000u

struct owner {
    int reached; /* by the library */
};

static void owner_ref(void *opaque)
{
    __atomic_add_fetch(&((struct owner *)opaque)->reached, 1, __ATOMIC_SEQ_CST);
}

static void owner_unref(void *opaque)
{
    __atomic_sub_fetch(&((struct owner *)opaque)->reached, 1, __ATOMIC_SEQ_CST);
}

static int reached(struct owner *owner)
{
    return __atomic_load_n(&owner->reached, __ATOMIC_SEQ_CST);
}

static gmem_region *ram_of(gmem_vm *vm, const char *name, uint64_t size, struct owner *owner, uint8_t **ret_host)
{
    struct gmem_owner known = {.opaque = owner, .ref = owner_ref, .unref = owner_unref};
    gmem_region *region;
    gmem_ram *ram;

    OK(gmem_ram_create_anon(vm, name, size, &ram));
    OK(gmem_region_create_ram(vm, name, ram, owner ? &known : NULL, &region));
    if (ret_host)
        *ret_host = gmem_ram_host(ram);
    gmem_ram_unref(ram);
    return region;
}

static uint32_t load(struct gmem_cache *cache, uint64_t offset)
{
    uint32_t value = 0xdeadbeef;

    assert_int_equal(gmem_cache_ld32_le(cache, offset, &value), GMEM_OK);
    return value;
}

static void test_arguments(void **state)
{
    struct gmem_cache cache;
    struct world world;

    (void)state;
    world_open(&world);
    memset(&cache, 0x5a, sizeof(cache));
    assert_int_equal(gmem_cache_init(NULL, world.space, 0, 1, GMEM_ATTRS_NONE), -EINVAL);
    assert_int_equal(gmem_cache_init(&cache, NULL, 0, 1, GMEM_ATTRS_NONE), -EINVAL);
    assert_int_equal(gmem_cache_init(&cache, world.space, 0, 0, GMEM_ATTRS_NONE), -EINVAL);
    assert_int_equal(gmem_cache_init(&cache, world.space, 2, UINT64_MAX, GMEM_ATTRS_NONE), -EOVERFLOW);
    assert_int_equal(((uint8_t *)&cache)[sizeof(cache) / 2], 0x5a);
    OK(gmem_cache_init(&cache, world.space, 1, UINT64_MAX, GMEM_ATTRS_NONE));
    gmem_cache_end(&cache);
    gmem_cache_end(&cache);
    gmem_cache_end(NULL);
    world_close(&world);
}

static void check_words(struct gmem_cache *cache, gmem_space *space, uint64_t addr, uint64_t offset)
{
#define CHECK(suffix, bits)                                                                                            \
    do {                                                                                                               \
        uint##bits##_t mine = 1, theirs = 2;                                                                           \
                                                                                                                       \
        assert_int_equal(gmem_cache_ld##suffix(cache, offset, &mine),                                                  \
                         gmem_ld##suffix(space, addr + offset, GMEM_ATTRS_NONE, &theirs));                             \
        assert_int_equal(mine, theirs);                                                                                \
        mine = (uint##bits##_t)(theirs * 3 + 1);                                                                       \
        assert_int_equal(gmem_cache_st##suffix(cache, offset, mine), GMEM_OK);                                         \
        assert_int_equal(gmem_ld##suffix(space, addr + offset, GMEM_ATTRS_NONE, &theirs), GMEM_OK);                    \
        assert_int_equal(mine, theirs);                                                                                \
    } while (0)
    CHECK(8, 8);
    CHECK(16_le, 16);
    CHECK(16_be, 16);
    CHECK(16_native, 16);
    CHECK(32_le, 32);
    CHECK(32_be, 32);
    CHECK(32_native, 32);
    CHECK(64_le, 64);
    CHECK(64_be, 64);
    CHECK(64_native, 64);
#undef CHECK
}

/* All widths, orders and alignments, on guests of both orders; up to the last byte of the interval and across two ranges. */
static void test_words(void **state)
{
    (void)state;
    for (enum gmem_endian order = GMEM_ENDIAN_LITTLE; order <= GMEM_ENDIAN_BIG; order++) {
        struct gmem_cache cache;
        struct world world;

        world_open_with(&world, order, false);
        bytes_pattern(world_ram(&world, ADDR, SIZE, "low"), SIZE, 1);
        bytes_pattern(world_ram(&world, ADDR + SIZE, SIZE, "high"), SIZE, 77);
        OK(gmem_cache_init(&cache, world.space, ADDR + 0x10, 2 * SIZE - 0x10 - 3, GMEM_ATTRS_NONE));
        for (uint64_t offset = 0; offset < 20; offset++)
            check_words(&cache, world.space, ADDR + 0x10, offset);
        for (uint64_t offset = SIZE - 0x10 - 12; offset < SIZE + 4; offset++)
            check_words(&cache, world.space, ADDR + 0x10, offset);
        for (uint64_t offset = 2 * SIZE - 0x10 - 3 - 20; offset <= 2 * SIZE - 0x10 - 3 - 8; offset++)
            check_words(&cache, world.space, ADDR + 0x10, offset);
        gmem_cache_end(&cache);
        world_close(&world);
    }
}

static void test_outside(void **state)
{
    struct gmem_cache cache;
    struct world world;
    uint8_t *host, bytes[8] = {0};
    uint32_t v32;
    uint64_t v64;

    (void)state;
    world_open_with(&world, GMEM_ENDIAN_LITTLE, true);
    host = world_ram(&world, ADDR, SIZE, "ram");
    OK(gmem_cache_init(&cache, world.space, ADDR + 8, 16, GMEM_ATTRS_NONE));
    assert_int_equal(load(&cache, 12), 0);
    static const uint64_t offsets[] = {13, 14, 15, 16, 17, 0x1000, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        assert_int_equal(gmem_cache_ld32_le(&cache, offsets[i], &v32), GMEM_RESULT_DECODE);
        assert_int_equal(v32, UINT32_MAX);
        assert_int_equal(gmem_cache_st32_le(&cache, offsets[i], 0x1234567), GMEM_RESULT_DECODE);
        assert_int_equal(gmem_cache_ld64_be(&cache, offsets[i], &v64), GMEM_RESULT_DECODE);
        assert_true(v64 == UINT64_MAX);
        assert_int_equal(gmem_cache_write(&cache, offsets[i], bytes, 5), GMEM_RESULT_DECODE);
        assert_int_equal(gmem_cache_read(&cache, offsets[i], bytes, 5), GMEM_RESULT_DECODE);
        assert_int_equal(bytes[4], 0xff);
    }
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(host[i], 0);
    assert_int_equal(gmem_cache_read(&cache, UINT64_MAX, bytes, 0), GMEM_OK);
    assert_int_equal(gmem_cache_write(&cache, 11, bytes, 5), GMEM_OK);
    assert_int_equal(host[8 + 15], 0xff);
    gmem_cache_end(&cache);
    assert_int_equal(gmem_cache_ld32_le(&cache, 0, &v32), GMEM_RESULT_DECODE);
    world_close(&world);
}

/* C of docs/concurrency.md: each kind of change is seen by the next access, whichever way it comes. */
static void test_never_stale(void **state)
{
    struct gmem_cache cache;
    gmem_region *over, *ram, *alias, *root;
    struct world world;
    gmem_space *space;
    uint8_t *host, *host_over;
    uint32_t value;

    (void)state;
    world_open(&world);
    ram = ram_of(world.vm, "ram", SIZE, NULL, &host);
    over = ram_of(world.vm, "over", SIZE, NULL, &host_over);
    OK(gmem_region_create_container(world.vm, "container", GMEM_SIZE_ALL, NULL, &root));
    OK(gmem_region_create_alias(world.vm, "alias", ram, 0, GMEM_SIZE(0x100), NULL, &alias));
    OK(gmem_space_create(world.vm, "other", root, NULL, &space));
    OK(gmem_cache_init(&cache, space, ADDR, 0x100, GMEM_ATTRS_NONE));
    memset(host, 1, SIZE);
    memset(host_over, 2, SIZE);
    host[0x80] = 9;

    assert_int_equal(gmem_cache_ld32_le(&cache, 0, &value), GMEM_RESULT_DECODE);
    OK(gmem_region_add(root, ADDR, alias)); /* what the root comes down to is another region now */
    assert_int_equal(load(&cache, 0), 0x01010101);
    OK(gmem_region_add_priority(root, ADDR, over, 1));
    assert_int_equal(load(&cache, 0), 0x02020202);
    OK(gmem_region_set_enabled(over, false));
    assert_int_equal(load(&cache, 0), 0x01010101);
    OK(gmem_region_set_alias(alias, ram, 0x80));
    assert_int_equal(load(&cache, 0), 0x01010109);
    OK(gmem_region_set_readonly(alias, true));
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 7), GMEM_OK);
    assert_int_equal(load(&cache, 0), 0x01010109);
    OK(gmem_region_set_readonly(alias, false));
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 7), GMEM_OK);
    assert_int_equal(host[0x80], 7);
    OK(gmem_region_move(alias, ADDR + 4));
    assert_int_equal(gmem_cache_ld32_le(&cache, 0, &value), GMEM_RESULT_DECODE);
    assert_int_equal(load(&cache, 4), 7);
    OK(gmem_region_resize(alias, GMEM_SIZE(6)));
    assert_int_equal(load(&cache, 4), 7);
    assert_int_equal(gmem_cache_ld32_le(&cache, 8, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0x0101);
    OK(gmem_region_remove(root, alias));
    OK(gmem_region_remove(root, over));
    assert_int_equal(gmem_cache_ld32_le(&cache, 4, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0);
    gmem_cache_end(&cache);
    world_close(&world);
}

/*
 * C of docs/concurrency.md. Two spaces share a view, then one comes down to another region while the other stays: the cache and the hint of the one see
 * it, those of the other need not.
 */
static void test_space_leaves(void **state)
{
    gmem_region *bus, *mirror, *ram, *over;
    struct gmem_cache here, there;
    gmem_space *left;
    struct world world;
    uint8_t *host, *host_over;
    uint32_t value;

    (void)state;
    world_open(&world);
    ram = ram_of(world.vm, "ram", SIZE, NULL, &host);
    over = ram_of(world.vm, "over", SIZE, NULL, &host_over);
    memset(host, 1, SIZE);
    memset(host_over, 2, SIZE);
    OK(gmem_region_add(world.root, 0, ram));
    OK(gmem_region_create_container(world.vm, "bus", GMEM_SIZE_ALL, NULL, &bus));
    OK(gmem_region_create_alias(world.vm, "mirror", world.root, 0, GMEM_SIZE_ALL, NULL, &mirror));
    OK(gmem_region_add(bus, 0, mirror));
    OK(gmem_space_create(world.vm, "left", bus, NULL, &left));
    OK(gmem_cache_init(&here, world.space, 0, SIZE, GMEM_ATTRS_NONE));
    OK(gmem_cache_init(&there, left, 0, SIZE, GMEM_ATTRS_NONE));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(load(&here, 0), 0x01010101);
        assert_int_equal(load(&there, 0), 0x01010101);
        assert_int_equal(gmem_ld32_le(left, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, 0x01010101);
        OK(gmem_region_add_priority(bus, 0, over, 1));
        assert_int_equal(load(&there, 0), 0x02020202);
        assert_int_equal(load(&here, 0), 0x01010101);
        assert_int_equal(gmem_ld32_le(left, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, 0x02020202);
        assert_int_equal(gmem_ld32_le(world.space, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, 0x01010101);
        OK(gmem_region_remove(bus, over));
    }
    assert_int_equal(load(&there, 0), 0x01010101);
    gmem_space_destroy(left);
    gmem_cache_end(&there);
    assert_int_equal(load(&here, 0), 0x01010101);
    gmem_cache_end(&here);
    world_close(&world);
}

/* K of docs/concurrency.md: one vm after another, as alike as can be; what a thread remembers of one is not taken for the next. */
static void test_hints_of_dead_vms(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < 50; i++) {
        struct world world;
        uint32_t value;
        uint8_t *host;

        world_open(&world);
        host = world_ram(&world, 0, SIZE, "ram");
        memcpy(host, &i, sizeof(i));
        assert_int_equal(gmem_ld32_native(world.space, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, i);
        assert_int_equal(gmem_st32_native(world.space, 4, GMEM_ATTRS_NONE, i), GMEM_OK);
        assert_memory_equal(host + 4, &i, sizeof(i));
        world_close(&world);
    }
}

/* What a thread remembers of a range ends with the range, not with the memory behind it. */
static void test_hint_at_the_end(void **state)
{
    gmem_region *ram, *low, *high;
    struct world world;
    uint8_t *host;
    uint64_t value;

    (void)state;
    world_open(&world);
    ram = ram_of(world.vm, "ram", SIZE, NULL, &host);
    bytes_pattern(host, SIZE, 0);
    OK(gmem_region_create_alias(world.vm, "low", ram, 0, GMEM_SIZE(12), NULL, &low));
    OK(gmem_region_create_alias(world.vm, "high", ram, 0x80, GMEM_SIZE(12), NULL, &high));
    world_place(&world, low, 0);
    world_place(&world, high, 12);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gmem_ld64_be(world.space, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_true(value == 0x0001020304050607);
        assert_int_equal(gmem_ld64_be(world.space, 8, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_true(value == 0x08090a0b80818283);
        assert_int_equal(gmem_ld64_be(world.space, 16, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_true(value == 0x8485868788898a8b);
        assert_int_equal(gmem_st64_be(world.space, 0, GMEM_ATTRS_NONE, 0x0001020304050607), GMEM_OK);
        assert_int_equal(gmem_st64_be(world.space, 8, GMEM_ATTRS_NONE, 0x08090a0b80818283), GMEM_OK);
        for (uint64_t size = 9; size <= 16; size++) {
            uint8_t bytes[16] = {0};

            assert_int_equal(gmem_space_read(world.space, 0, GMEM_ATTRS_NONE, bytes, size), GMEM_OK);
            for (uint64_t at = 0; at < size; at++)
                assert_int_equal(bytes[at], at < 12 ? at : 0x80 + at - 12);
            assert_int_equal(gmem_space_write(world.space, 0, GMEM_ATTRS_NONE, bytes, size), GMEM_OK);
        }
    }
    assert_int_equal(host[12], 12);
    assert_int_equal(host[0x80], 0x80);
    world_close(&world);
}

static void test_hint_of_rom(void **state)
{
    struct world world;
    uint8_t *host;
    uint32_t value;

    (void)state;
    world_open(&world);
    world_place(&world, world_memory(&world, GMEM_KIND_ROM, "rom", SIZE, NULL, NULL, &host), 0);
    host[0] = 7;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gmem_ld32_le(world.space, 0, GMEM_ATTRS_NONE, &value), GMEM_OK);
        assert_int_equal(value, 7);
        assert_int_equal(gmem_st32_le(world.space, 0, GMEM_ATTRS_NONE, 99), GMEM_OK);
    }
    assert_int_equal(host[0], 7);
    world_close(&world);
}

/* Whether a page of [offset, offset + size) is dirty for client 1; clears. */
static bool take_dirty(gmem_ram *ram, uint64_t offset, uint64_t size)
{
    bool dirty = false;

    OK(gmem_ram_dirty_test_and_clear(ram, 1, offset, size, &dirty));
    return dirty;
}

/* A window or a hint that was made before somebody began to log does not hide a write from him. */
static void test_logged(void **state)
{
    struct gmem_cache cache;
    gmem_region *region;
    struct world world;
    gmem_ram *ram;

    (void)state;
    world_open(&world);
    OK(gmem_ram_create_anon(world.vm, "ram", 2 * SIZE, &ram));
    OK(gmem_region_create_ram(world.vm, "ram", ram, NULL, &region));
    world_place(&world, region, 0);
    OK(gmem_cache_init(&cache, world.space, 0, 2 * SIZE, GMEM_ATTRS_NONE));
    assert_int_equal(gmem_cache_st32_le(&cache, 0, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, SIZE, GMEM_ATTRS_NONE, 1), GMEM_OK);
    for (int i = 0; i < 2; i++) {
        OK(gmem_region_set_log(region, 1, true));
        assert_false(take_dirty(ram, 0, 2 * SIZE));
        assert_int_equal(gmem_cache_st32_le(&cache, 0, 2), GMEM_OK);
        assert_true(take_dirty(ram, 0, SIZE));
        assert_false(take_dirty(ram, SIZE, SIZE));
        assert_int_equal(gmem_cache_write(&cache, SIZE - 1, "ab", 2), GMEM_OK);
        assert_true(take_dirty(ram, SIZE, SIZE));
        assert_int_equal(gmem_st32_le(world.space, SIZE, GMEM_ATTRS_NONE, 2), GMEM_OK);
        assert_int_equal(gmem_st32_le(world.space, SIZE, GMEM_ATTRS_NONE, 3), GMEM_OK);
        assert_true(take_dirty(ram, SIZE, SIZE));
        (void)take_dirty(ram, 0, 2 * SIZE);
        OK(gmem_region_set_log(region, 1, false));
        assert_int_equal(gmem_cache_st32_le(&cache, 0, 3), GMEM_OK);
    }
    gmem_cache_end(&cache);
    gmem_ram_unref(ram);
    world_close(&world);
}

/* H of docs/concurrency.md: the cache keeps what it accesses, but no more, and not beyond its next access or its end. */
static void test_lifetime(void **state)
{
    struct owner ram_owner = {0}, other_owner = {0};
    gmem_region *ram, *other;
    struct gmem_cache cache;
    struct world world;
    uint8_t *host;

    (void)state;
    world_open(&world);
    ram = ram_of(world.vm, "ram", SIZE, &ram_owner, &host);
    other = ram_of(world.vm, "other", SIZE, &other_owner, NULL);
    memset(host, 3, SIZE);
    world_place(&world, ram, 0);
    world_place(&world, other, SIZE);
    OK(gmem_cache_init(&cache, world.space, 0, 2 * SIZE, GMEM_ATTRS_NONE));
    assert_int_equal(load(&cache, 0), 0x03030303);
    OK(gmem_region_remove(world.root, ram));
    OK(gmem_region_remove(world.root, other));
    gmem_region_unref(ram);
    gmem__rcu_barrier();
    assert_int_equal(reached(&ram_owner), 1);
    assert_int_equal(reached(&other_owner), 0);
    host[0] = 4; /* still there */
    uint32_t value;
    assert_int_equal(gmem_cache_ld32_le(&cache, 0, &value), GMEM_RESULT_DECODE);
    assert_int_equal(reached(&ram_owner), 0);
    world_place(&world, other, 0);
    assert_int_equal(load(&cache, 0), 0);
    OK(gmem_region_remove(world.root, other));
    gmem__rcu_barrier();
    assert_int_equal(reached(&other_owner), 1);
    gmem_cache_end(&cache);
    assert_int_equal(reached(&other_owner), 0);
    gmem_region_unref(other);
    world_close(&world);
}

/* The attributes reach the device, and devices see the accesses that they would without a cache. */
static void test_device(void **state)
{
    struct gmem_attrs attrs = {.requester = 0x1234, .secure = true};
    struct bytes_device device = {0};
    struct gmem_cache cache;
    struct world world;
    uint16_t value;

    (void)state;
    world_open(&world);
    world_ram(&world, 0, ADDR, "ram");
    world_mmio(&world, ADDR, BYTES_SIZE, &bytes_ops, &device);
    bytes_pattern(device.bytes, BYTES_SIZE, 1);
    OK(gmem_cache_init(&cache, world.space, 0, ADDR + BYTES_SIZE, attrs));
    assert_int_equal(load(&cache, 0), 0);
    assert_int_equal(gmem_cache_ld16_be(&cache, ADDR + 4, &value), GMEM_OK);
    assert_int_equal(value, 0x0506);
    assert_int_equal(device.last_attrs.requester, 0x1234);
    assert_true(device.last_attrs.secure);
    assert_int_equal(device.last_size, 2);
    device.write_result = GMEM_RESULT_DEVICE;
    assert_int_equal(gmem_cache_st16_le(&cache, ADDR + 8, 0x1122), GMEM_RESULT_DEVICE);
    assert_int_equal(device.bytes[8], 0x22);
    assert_int_equal(device.reads, 1);
    assert_int_equal(device.writes, 1);
    gmem_cache_end(&cache);
    world_close(&world);
}

/* --- anything ---------------------------------------------------------------------------------------------------------- */

#define PARTS 12u
#define SPAN 0x400u

struct any {
    struct world world;
    gmem_space *other;
    gmem_region *part[PARTS];
    struct bytes_device device[PARTS];
    struct random random;
};

static void any_open(struct any *any, uint64_t seed)
{
    static const struct gmem_mmio_ops *ops = &bytes_ops;
    gmem_region *box, *alias;
    char name[8];

    memset(any, 0, sizeof(*any));
    any->random = random_start("any map", seed);
    world_open_with(&any->world, GMEM_ENDIAN_BIG, true);
    OK(gmem_region_create_container(any->world.vm, "box", GMEM_SIZE_ALL, NULL, &box));
    OK(gmem_region_create_alias(any->world.vm, "alias", any->world.root, 0, GMEM_SIZE_ALL, NULL, &alias));
    OK(gmem_region_add(box, 0, alias));
    OK(gmem_space_create(any->world.vm, "other", box, NULL, &any->other));
    for (unsigned i = 0; i < PARTS; i++) {
        uint8_t *host = NULL;

        snprintf(name, sizeof(name), "p%u", i);
        if (i % 4 == 3) {
            OK(gmem_region_create_mmio(any->world.vm, name, GMEM_SIZE(BYTES_SIZE), ops, &any->device[i], NULL,
                                       &any->part[i]));
        } else {
            enum gmem_kind kind = i % 4 == 0 ? GMEM_KIND_RAM : i % 4 == 1 ? GMEM_KIND_ROMD : GMEM_KIND_ROM;

            any->part[i] = world_memory(&any->world, kind, name, BYTES_SIZE, ops, &any->device[i], &host);
            bytes_pattern(host, BYTES_SIZE, (uint8_t)(16 * i));
        }
        bytes_pattern(any->device[i].bytes, BYTES_SIZE, (uint8_t)(16 * i + 5));
        OK(gmem_region_add_priority(i % 5 ? any->world.root : box, random_below(&any->random, SPAN), any->part[i],
                                    i % 3 ? 0 : 1));
    }
}

static void any_edit(struct any *any)
{
    gmem_region *part = any->part[random_below(&any->random, PARTS)];
    int err;

    switch (random_below(&any->random, 4)) {
    case 0:
        OK(gmem_region_set_enabled(part, !gmem_region_enabled(part)));
        break;
    case 1:
        OK(gmem_region_move(part, random_below(&any->random, SPAN)));
        break;
    case 2:
        OK(gmem_region_set_priority(part, (int32_t)random_below(&any->random, 3)));
        break;
    default:
        err = gmem_region_kind(part) == GMEM_KIND_ROMD
                  ? gmem_region_set_romd(part, !gmem_region_romd(part))
                  : gmem_region_set_readonly(part, random_chance(&any->random, 30));
        assert_true(err == 0 || err == -EOPNOTSUPP);
        break;
    }
}

/* Reads compared at once; what writes did, by the reads that follow through the space itself. */
static void any_access(struct any *any, struct gmem_cache *cache, gmem_space *space)
{
    uint64_t offset = random_below(&any->random, SPAN), value = random_u64(&any->random), mine, theirs;
    uint8_t a[40], b[40];
    unsigned size = 1u << random_below(&any->random, 4), length = (unsigned)random_below(&any->random, 41);
    gmem_result result;

    if (offset + 40 > SPAN)
        offset = SPAN - 40;
    switch (random_below(&any->random, 4)) {
    case 0:
        memset(a, 0, sizeof(a));
        memset(b, 1, sizeof(b));
        result = gmem_cache_read(cache, offset, a, length);
        assert_int_equal(result, gmem_space_read(space, offset, GMEM_ATTRS_NONE, b, length));
        assert_memory_equal(a, b, length);
        break;
    case 1:
        memset(a, (uint8_t)value, sizeof(a));
        (void)gmem_cache_write(cache, offset, a, length);
        break;
    case 2:
        result = gmem_cache_load(cache, offset, size, GMEM_ENDIAN_BIG, &mine);
        theirs = 0;
        assert_int_equal(result, gmem_space_read(space, offset, GMEM_ATTRS_NONE, a, size));
        for (unsigned i = 0; i < size; i++)
            theirs = theirs << 8 | a[i];
        assert_true(mine == theirs);
        (void)gmem_cache_ld32_native(cache, offset, &(uint32_t){0});
        break;
    default:
        if (random_chance(&any->random, 50))
            (void)gmem_cache_st32_be(cache, offset, (uint32_t)value);
        else
            (void)gmem_cache_st64_native(cache, offset & ~(uint64_t)7, value);
        break;
    }
}

static void test_any(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct gmem_cache cache[2];
        struct any any;

        any_open(&any, seed);
        OK(gmem_cache_init(&cache[0], any.world.space, 0, SPAN, GMEM_ATTRS_NONE));
        OK(gmem_cache_init(&cache[1], any.other, 0, SPAN, GMEM_ATTRS_NONE));
        for (unsigned i = 0; i < 600; i++) {
            if (random_chance(&any.random, 20))
                any_edit(&any);
            any_access(&any, &cache[0], any.world.space);
            any_access(&any, &cache[1], any.other);
        }
        gmem_cache_end(&cache[0]);
        gmem_cache_end(&cache[1]);
        world_close(&any.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),       cmocka_unit_test(test_words),
        cmocka_unit_test(test_outside),         cmocka_unit_test(test_never_stale),
        cmocka_unit_test(test_space_leaves),    cmocka_unit_test(test_hints_of_dead_vms),
        cmocka_unit_test(test_hint_at_the_end), cmocka_unit_test(test_hint_of_rom),
        cmocka_unit_test(test_logged),          cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_device),          cmocka_unit_test(test_any),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
