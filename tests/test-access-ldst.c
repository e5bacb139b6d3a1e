/* SPDX-License-Identifier: MIT */
/*
 * test-access-ldst.c - loads and stores as numbers: all widths and orders, on RAM (aligned or not), over a seam, on devices
 * of both orders, on vms of both orders.
 */
#include "access_world.h"

#define NONE GMEM_ATTRS_NONE

/* What a number is in memory, written out by hand. */
#define V16 0x0102u
#define V32 0x01020304u
#define V64 0x0102030405060708u
static const uint8_t BE[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t LE16[] = {2, 1};
static const uint8_t LE32[] = {4, 3, 2, 1};
static const uint8_t LE64[] = {8, 7, 6, 5, 4, 3, 2, 1};

#define CHECK(suffix, bits, value, bytes)                                                                              \
    do {                                                                                                               \
        uint8_t memory_[bits / 8];                                                                                     \
        uint##bits##_t got_ = (uint##bits##_t) ~(value);                                                               \
                                                                                                                       \
        assert_int_equal(gmem_st##suffix(space, addr, NONE, (value)), GMEM_OK);                                        \
        assert_int_equal(gmem_space_read(space, addr, NONE, memory_, sizeof(memory_)), GMEM_OK);                       \
        assert_memory_equal(memory_, (bytes), sizeof(memory_));                                                        \
        assert_int_equal(gmem_ld##suffix(space, addr, NONE, &got_), GMEM_OK);                                          \
        assert_true(got_ == (value));                                                                                  \
    } while (0)

static void check_all(gmem_space *space, uint64_t addr, bool big)
{
    CHECK(8, 8, 0xa5, "\xa5");
    CHECK(16_le, 16, V16, LE16);
    CHECK(32_le, 32, V32, LE32);
    CHECK(64_le, 64, V64, LE64);
    CHECK(16_be, 16, V16, BE);
    CHECK(32_be, 32, V32, BE);
    CHECK(64_be, 64, V64, BE);
    CHECK(16_native, 16, V16, big ? BE : LE16);
    CHECK(32_native, 32, V32, big ? BE : LE32);
    CHECK(64_native, 64, V64, big ? BE : LE64);
}

/* RAM at 0 and 0x1000 (not one region: 0xffd is over a seam), a little-endian device behind it. */
static void check_vm(enum gmem_endian endian)
{
    struct bytes_device device = {0};
    struct world world;
    uint64_t addr;

    world_open_with(&world, endian, true);
    world_ram(&world, 0, 0x1000, "low");
    world_ram(&world, 0x1000, 0x1000, "high");
    world_mmio(&world, 0x2000, BYTES_SIZE, &bytes_ops, &device);
    for (addr = 0; addr < 16; addr++)
        check_all(world.space, addr, endian == GMEM_ENDIAN_BIG);
    for (addr = 0xff8; addr < 0x1004; addr++)
        check_all(world.space, addr, endian == GMEM_ENDIAN_BIG);
    for (addr = 0x1ff8; addr < 0x2010; addr++)
        check_all(world.space, addr, endian == GMEM_ENDIAN_BIG);
    world_close(&world);
}

static void little_endian_guest(void **state)
{
    (void)state;
    check_vm(GMEM_ENDIAN_LITTLE);
}

static void big_endian_guest(void **state)
{
    (void)state;
    check_vm(GMEM_ENDIAN_BIG);
}

/* The number that a device of either order is handed. */
struct latch {
    uint64_t value;
    unsigned size;
};

static gmem_result latch_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    const struct latch *latch = opaque;

    (void)offset;
    (void)size;
    (void)attrs;
    *ret_value = latch->value;
    return GMEM_OK;
}

static gmem_result latch_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct latch *latch = opaque;

    (void)offset;
    (void)attrs;
    latch->value = value;
    latch->size = size;
    return GMEM_OK;
}

static void check_latch(enum gmem_endian guest, enum gmem_endian device_order)
{
    const struct gmem_mmio_ops ops = {.read = latch_read, .write = latch_write, .endian = device_order};
    bool device_big =
        device_order == GMEM_ENDIAN_BIG || (device_order == GMEM_ENDIAN_NATIVE && guest == GMEM_ENDIAN_BIG);
    struct latch latch = {0};
    struct world world;
    uint32_t v32;
    uint64_t v64;
    uint16_t v16;

    world_open_with(&world, guest, false);
    world_mmio(&world, 0, 8, &ops, &latch);
    assert_int_equal(gmem_st32_le(world.space, 0, NONE, V32), GMEM_OK);
    assert_true(latch.size == 4 && latch.value == (device_big ? 0x04030201u : V32));
    assert_int_equal(gmem_ld32_be(world.space, 0, NONE, &v32), GMEM_OK);
    assert_int_equal(v32, 0x04030201u);
    assert_int_equal(gmem_st64_be(world.space, 0, NONE, V64), GMEM_OK);
    assert_true(latch.size == 8 && latch.value == (device_big ? V64 : 0x0807060504030201u));
    assert_int_equal(gmem_ld64_be(world.space, 0, NONE, &v64), GMEM_OK);
    assert_true(v64 == V64);
    /* The guest's own order on a device of the guest's order is the number itself. */
    if (device_order == GMEM_ENDIAN_NATIVE) {
        assert_int_equal(gmem_st16_native(world.space, 0, NONE, V16), GMEM_OK);
        assert_true(latch.size == 2 && latch.value == V16);
        assert_int_equal(gmem_ld16_native(world.space, 0, NONE, &v16), GMEM_OK);
        assert_int_equal(v16, V16);
    }
    world_close(&world);
}

static void device_orders(void **state)
{
    int guest, device;

    (void)state;
    for (guest = GMEM_ENDIAN_NATIVE; guest <= GMEM_ENDIAN_BIG; guest++) {
        for (device = GMEM_ENDIAN_NATIVE; device <= GMEM_ENDIAN_BIG; device++)
            check_latch((enum gmem_endian)guest, (enum gmem_endian)device);
    }
}

/* A store of a word that the guest may not write, or that a device takes, does not reach host memory. */
static void stores_that_are_not_to_memory(void **state)
{
    struct bytes_device device = {0};
    uint8_t *rom, *romd, *ram;
    gmem_region *region;
    struct world world;
    uint64_t value;

    (void)state;
    world_open(&world);
    world_place(&world, world_memory(&world, GMEM_KIND_ROM, "rom", 64, NULL, NULL, &rom), 0);
    world_place(&world, world_memory(&world, GMEM_KIND_ROMD, "romd", 64, &bytes_ops, &device, &romd), 0x40);
    region = world_memory(&world, GMEM_KIND_RAM, "ram", 64, NULL, NULL, &ram);
    assert_int_equal(gmem_region_set_readonly(region, true), 0);
    world_place(&world, region, 0x80);
    memset(rom, 1, 64);
    memset(romd, 2, 64);
    memset(ram, 3, 64);
    assert_int_equal(gmem_st64_le(world.space, 0, NONE, 0), GMEM_OK);
    assert_int_equal(gmem_st64_le(world.space, 0x40, NONE, V64), GMEM_OK);
    assert_int_equal(gmem_st64_le(world.space, 0x80, NONE, 0), GMEM_OK);
    assert_int_equal(gmem_st64_le(world.space, 0xc0, NONE, 0), GMEM_RESULT_DECODE);
    assert_int_equal(gmem_ld64_le(world.space, 0, NONE, &value), GMEM_OK);
    assert_true(value == 0x0101010101010101);
    assert_int_equal(gmem_ld64_le(world.space, 0x40, NONE, &value), GMEM_OK);
    assert_true(value == 0x0202020202020202);
    assert_int_equal(gmem_ld64_le(world.space, 0x80, NONE, &value), GMEM_OK);
    assert_true(value == 0x0303030303030303);
    assert_memory_equal(device.bytes, LE64, 8);
    assert_int_equal(device.writes, 1);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_endian_guest),
        cmocka_unit_test(big_endian_guest),
        cmocka_unit_test(device_orders),
        cmocka_unit_test(stores_that_are_not_to_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
