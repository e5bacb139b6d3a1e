/* SPDX-License-Identifier: MIT */
/*
 * test-access.c - reads, writes and fills of any length over ranges of every kind, and where nothing is.
 */
#include "access_world.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NONE GMEM_ATTRS_NONE

/* --- RAM ----------------------------------------------------------------------------------------------------------- */

/* Every length up to 200 at every alignment of the guest's memory and of the buffer, with what lies around it unharmed. */
static void ram_lengths_and_alignments(void **state)
{
    uint8_t buf[300], mirror[512], *host;
    struct world world;
    unsigned at, skew, size;

    (void)state;
    world_open(&world);
    host = world_ram(&world, 0x1000, 0x1000, "ram");
    memset(mirror, 0, sizeof(mirror));
    for (at = 0; at < 9; at++) {
        for (skew = 0; skew < 9; skew += 3) {
            for (size = 0; size <= 200; size++) {
                bytes_pattern(buf, sizeof(buf), (uint8_t)(at * 7 + skew + size));
                memcpy(mirror + at, buf + skew, size);
                assert_int_equal(gmem_space_write(world.space, 0x1000 + at, NONE, buf + skew, size), GMEM_OK);
                assert_memory_equal(host, mirror, sizeof(mirror));

                memset(buf, 0xee, sizeof(buf));
                assert_int_equal(gmem_space_read(world.space, 0x1000 + at, NONE, buf + skew, size), GMEM_OK);
                assert_memory_equal(buf + skew, mirror + at, size);
                assert_int_equal(buf[skew + size], 0xee);
                assert_true(skew == 0 || buf[skew - 1] == 0xee);

                memset(mirror + at, (uint8_t)size, size);
                assert_int_equal(gmem_space_fill(world.space, 0x1000 + at, NONE, (uint8_t)size, size), GMEM_OK);
                assert_memory_equal(host, mirror, sizeof(mirror));
            }
        }
    }
    world_close(&world);
}

static void whole_blocks(void **state)
{
    const size_t size = 3u << 20;
    uint8_t *buf = malloc(size);
    struct world world;
    uint8_t *a, *b;

    (void)state;
    assert_non_null(buf);
    world_open(&world);
    a = world_ram(&world, 0, size, "a");
    b = world_ram(&world, size, size, "b");
    bytes_pattern(buf, size, 3);
    assert_int_equal(gmem_space_write(world.space, size / 2, NONE, buf, size), GMEM_OK);
    assert_memory_equal(a + size / 2, buf, size / 2);
    assert_memory_equal(b, buf + size / 2, size / 2);
    memset(buf, 0, size);
    assert_int_equal(gmem_space_read(world.space, size / 2, NONE, buf, size), GMEM_OK);
    assert_memory_equal(a + size / 2, buf, size / 2);
    assert_memory_equal(b, buf + size / 2, size / 2);
    free(buf);
    world_close(&world);
}

static void nothing_of_it(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_space_read(world.space, 0, NONE, NULL, 0), GMEM_OK);
    assert_int_equal(gmem_space_write(world.space, UINT64_MAX, NONE, NULL, 0), GMEM_OK);
    assert_int_equal(gmem_space_fill(world.space, 0, NONE, 0, 0), GMEM_OK);
    assert_int_equal(gmem_space_write_rom(world.space, 0, NULL, 0), GMEM_OK);
    world_close(&world);
}

/* --- seams --------------------------------------------------------------------------------------------------------- */

/* ram 0x1000..0x10ff, device one 0x1100..0x113f, two 0x1140..0x117f, a hole, ram 0x1200.. */
struct seams {
    struct world world;
    uint8_t *low, *high;
    struct bytes_device one, two;
};

static void seams_open(struct seams *seams, bool ones)
{
    memset(seams, 0, sizeof(*seams));
    world_open_with(&seams->world, GMEM_ENDIAN_LITTLE, ones);
    seams->low = world_ram(&seams->world, 0x1000, 0x100, "low");
    world_mmio(&seams->world, 0x1100, BYTES_SIZE, &bytes_ops, &seams->one);
    world_mmio(&seams->world, 0x1140, BYTES_SIZE, &bytes_ops, &seams->two);
    seams->high = world_ram(&seams->world, 0x1200, 0x100, "high");
    bytes_pattern(seams->low, 0x100, 0x11);
    bytes_pattern(seams->one.bytes, BYTES_SIZE, 0x55);
    bytes_pattern(seams->two.bytes, BYTES_SIZE, 0x99);
    bytes_pattern(seams->high, 0x100, 0xdd);
}

static void read_over_seams(void **state)
{
    uint8_t buf[0x300], wanted[0x300];
    struct seams seams;
    unsigned ones;

    (void)state;
    for (ones = 0; ones < 2; ones++) {
        seams_open(&seams, ones);
        memset(wanted, ones ? 0xff : 0, sizeof(wanted));
        memcpy(wanted, seams.low, 0x100);
        memcpy(wanted + 0x100, seams.one.bytes, BYTES_SIZE);
        memcpy(wanted + 0x140, seams.two.bytes, BYTES_SIZE);
        memcpy(wanted + 0x200, seams.high, 0x100);

        memset(buf, 0xaa, sizeof(buf));
        assert_int_equal(gmem_space_read(seams.world.space, 0x1000, NONE, buf, 0x300), GMEM_RESULT_DECODE);
        assert_memory_equal(buf, wanted, 0x300);
        assert_int_equal(seams.one.reads, BYTES_SIZE / 8);

        /* All but the hole: no error. */
        assert_int_equal(gmem_space_read(seams.world.space, 0x10f3, NONE, buf, 0x80), GMEM_OK);
        assert_memory_equal(buf, wanted + 0xf3, 0x80);
        world_close(&seams.world);
    }
}

static void write_over_seams(void **state)
{
    struct seams seams;
    uint8_t buf[0x300];

    (void)state;
    seams_open(&seams, true);
    bytes_pattern(buf, sizeof(buf), 0x20);
    assert_int_equal(gmem_space_write(seams.world.space, 0x1000, NONE, buf, 0x300), GMEM_RESULT_DECODE);
    assert_memory_equal(seams.low, buf, 0x100);
    assert_memory_equal(seams.one.bytes, buf + 0x100, BYTES_SIZE);
    assert_memory_equal(seams.two.bytes, buf + 0x140, BYTES_SIZE);
    assert_memory_equal(seams.high, buf + 0x200, 0x100);
    world_close(&seams.world);
}

static void fill_over_seams(void **state)
{
    uint8_t wanted[0x100];
    struct seams seams;

    (void)state;
    seams_open(&seams, true);
    memset(wanted, 0x5a, sizeof(wanted));
    assert_int_equal(gmem_space_fill(seams.world.space, 0x1000, NONE, 0x5a, 0x300), GMEM_RESULT_DECODE);
    assert_memory_equal(seams.low, wanted, 0x100);
    assert_memory_equal(seams.one.bytes, wanted, BYTES_SIZE);
    assert_memory_equal(seams.two.bytes, wanted, BYTES_SIZE);
    assert_memory_equal(seams.high, wanted, 0x100);
    assert_int_equal(seams.one.writes, BYTES_SIZE / 8);
    world_close(&seams.world);
}

/* One access of 4 bytes over two devices is two of two, at the end of the one and the beginning of the other. */
static void seam_between_devices(void **state)
{
    struct seams seams;
    uint32_t value;

    (void)state;
    seams_open(&seams, true);
    assert_int_equal(gmem_ld32_le(seams.world.space, 0x113e, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x9a999493);
    assert_int_equal(seams.one.reads, 1);
    assert_int_equal(seams.one.last_offset, BYTES_SIZE - 2);
    assert_int_equal(seams.one.last_size, 2);
    assert_int_equal(seams.two.reads, 1);
    assert_int_equal(seams.two.last_offset, 0);
    assert_int_equal(seams.two.last_size, 2);

    assert_int_equal(gmem_st32_le(seams.world.space, 0x113d, NONE, 0x44332211), GMEM_OK);
    assert_memory_equal(seams.one.bytes + BYTES_SIZE - 3, "\x11\x22\x33", 3);
    assert_int_equal(seams.two.bytes[0], 0x44);
    world_close(&seams.world);
}

/* A device that is seen through two windows that touch, but not in its order, is cut where they do. */
static void seam_between_windows(void **state)
{
    struct bytes_device device = {0};
    gmem_region *region, *upper, *lower;
    struct world world;
    uint64_t value;

    (void)state;
    world_open(&world);
    bytes_pattern(device.bytes, BYTES_SIZE, 0);
    assert_int_equal(
        gmem_region_create_mmio(world.vm, "mmio", GMEM_SIZE(BYTES_SIZE), &bytes_ops, &device, NULL, &region), 0);
    assert_int_equal(gmem_region_create_alias(world.vm, "upper", region, 32, GMEM_SIZE(32), NULL, &upper), 0);
    assert_int_equal(gmem_region_create_alias(world.vm, "lower", region, 0, GMEM_SIZE(32), NULL, &lower), 0);
    gmem_region_unref(region);
    world_place(&world, upper, 0x2000);
    world_place(&world, lower, 0x2020);
    assert_int_equal(gmem_ld64_le(world.space, 0x201c, NONE, &value), GMEM_OK);
    assert_true(value == 0x030201003f3e3d3c);
    assert_int_equal(device.reads, 2);
    world_close(&world);
}

/* --- where nothing is ---------------------------------------------------------------------------------------------- */

static void unassigned(void **state)
{
    struct world world;
    unsigned ones;
    uint64_t value;
    uint8_t buf[16];

    (void)state;
    for (ones = 0; ones < 2; ones++) {
        world_open_with(&world, GMEM_ENDIAN_BIG, ones);
        value = 0x5555;
        assert_int_equal(gmem_ld64_be(world.space, 0x4000, NONE, &value), GMEM_RESULT_DECODE);
        assert_true(value == (ones ? UINT64_MAX : 0));
        memset(buf, 0x77, sizeof(buf));
        assert_int_equal(gmem_space_read(world.space, 0x4001, NONE, buf, 15), GMEM_RESULT_DECODE);
        assert_int_equal(buf[0], ones ? 0xff : 0);
        assert_int_equal(buf[14], ones ? 0xff : 0);
        assert_int_equal(buf[15], 0x77);
        assert_int_equal(gmem_space_write(world.space, 0x4000, NONE, buf, 16), GMEM_RESULT_DECODE);
        assert_int_equal(gmem_space_fill(world.space, 0, NONE, 0, UINT64_MAX), GMEM_RESULT_DECODE);
        world_close(&world);
    }
}

static void end_of_the_space(void **state)
{
    const uint64_t top = UINT64_MAX - 0xfff;
    uint8_t *bottom_host, *top_host, buf[32];
    struct world world;
    uint32_t value;

    (void)state;
    world_open_with(&world, GMEM_ENDIAN_LITTLE, true);
    bottom_host = world_ram(&world, 0, 0x1000, "bottom");
    top_host = world_ram(&world, top, 0x1000, "top");
    bytes_pattern(bottom_host, 0x1000, 0);
    bytes_pattern(top_host, 0x1000, 0x80);

    assert_int_equal(gmem_ld32_le(world.space, UINT64_MAX - 3, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x7f7e7d7c);
    /* What reaches past 2^64 is nothing: not what is at 0. */
    assert_int_equal(gmem_ld32_le(world.space, UINT64_MAX - 1, NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0xffff7f7e);
    memset(buf, 0xaa, sizeof(buf));
    assert_int_equal(gmem_space_read(world.space, UINT64_MAX, NONE, buf, 31), GMEM_RESULT_DECODE);
    assert_int_equal(buf[0], 0x7f);
    assert_int_equal(buf[1], 0xff);
    assert_int_equal(buf[30], 0xff);
    assert_int_equal(buf[31], 0xaa);

    memset(buf, 0x33, sizeof(buf));
    assert_int_equal(gmem_space_write(world.space, UINT64_MAX - 3, NONE, buf, 32), GMEM_RESULT_DECODE);
    assert_memory_equal(top_host + 0xffc, buf, 4);
    assert_int_equal(bottom_host[0], 0);
    assert_int_equal(gmem_space_fill(world.space, UINT64_MAX - 1, NONE, 0x44, 100), GMEM_RESULT_DECODE);
    assert_int_equal(top_host[0xfff], 0x44);
    assert_int_equal(bottom_host[0], 0);
    world_close(&world);
}

/* A device of 2^64 bytes, and words around its last byte. */
static gmem_result echo_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)attrs;
    (void)size;
    *(uint64_t *)opaque = offset;
    *ret_value = 0x11223344;
    return GMEM_OK;
}

static gmem_result echo_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)size;
    (void)attrs;
    (void)value;
    *(uint64_t *)opaque = offset;
    return GMEM_OK;
}

static void device_of_everything(void **state)
{
    const struct gmem_mmio_ops ops = {
        .read = echo_read, .write = echo_write, .endian = GMEM_ENDIAN_LITTLE, .impl = {.min = 4, .max = 4}};
    uint64_t offset = 0;
    gmem_region *region;
    struct world world;
    uint8_t byte;

    (void)state;
    world_open(&world);
    assert_int_equal(gmem_region_create_mmio(world.vm, "all", GMEM_SIZE_ALL, &ops, &offset, NULL, &region), 0);
    world_place(&world, region, 0);
    assert_int_equal(gmem_ld8(world.space, UINT64_MAX, NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 0x11);
    assert_true(offset == UINT64_MAX - 3);
    offset = 0;
    assert_int_equal(gmem_st8(world.space, UINT64_MAX, NONE, 1), GMEM_OK);
    assert_true(offset == UINT64_MAX - 3);
    world_close(&world);
}

/* --- kinds --------------------------------------------------------------------------------------------------------- */

static void rom_ignores_writes(void **state)
{
    struct world world;
    uint8_t *host;
    uint32_t value;

    (void)state;
    world_open(&world);
    world_place(&world, world_memory(&world, GMEM_KIND_ROM, "rom", 0x1000, NULL, NULL, &host), 0);
    bytes_pattern(host, 16, 1);
    assert_int_equal(gmem_st32_le(world.space, 0, NONE, 0), GMEM_OK);
    assert_int_equal(gmem_space_fill(world.space, 0, NONE, 0xff, 0x1000), GMEM_OK);
    assert_int_equal(gmem_ld32_le(world.space, 0, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x04030201);
    world_close(&world);
}

static void romd_modes(void **state)
{
    struct bytes_device device = {0};
    gmem_region *region;
    struct world world;
    uint8_t *host, buf[8];
    uint32_t value;

    (void)state;
    world_open(&world);
    bytes_pattern(device.bytes, BYTES_SIZE, 0x40);
    region = world_memory(&world, GMEM_KIND_ROMD, "romd", BYTES_SIZE, &bytes_ops, &device, &host);
    world_place(&world, region, 0);
    bytes_pattern(host, BYTES_SIZE, 0x10);

    assert_int_equal(gmem_ld32_le(world.space, 4, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x17161514);
    assert_int_equal(device.reads, 0);
    assert_int_equal(gmem_st32_le(world.space, 4, NONE, 0xddccbbaa), GMEM_OK);
    assert_int_equal(device.writes, 1);
    assert_memory_equal(device.bytes + 4, "\xaa\xbb\xcc\xdd", 4);
    assert_int_equal(host[4], 0x14);

    assert_int_equal(gmem_region_set_romd(region, false), 0);
    assert_int_equal(gmem_ld32_le(world.space, 4, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0xddccbbaa);
    assert_int_equal(gmem_space_read(world.space, 0, NONE, buf, 8), GMEM_OK);
    assert_memory_equal(buf, "\x40\x41\x42\x43\xaa\xbb\xcc\xdd", 8);

    assert_int_equal(gmem_region_set_romd(region, true), 0);
    assert_int_equal(gmem_ld32_le(world.space, 4, NONE, &value), GMEM_OK);
    assert_int_equal(value, 0x17161514);

    assert_int_equal(gmem_region_set_readonly(region, true), 0);
    assert_int_equal(gmem_st32_le(world.space, 4, NONE, 0), GMEM_OK);
    assert_int_equal(device.writes, 1);
    world_close(&world);
}

static void readonly_ranges(void **state)
{
    struct bytes_device device = {0};
    gmem_region *ram, *mmio, *window;
    struct world world;
    uint8_t *host;
    uint32_t value;

    (void)state;
    world_open(&world);
    ram = world_memory(&world, GMEM_KIND_RAM, "ram", 0x1000, NULL, NULL, &host);
    assert_int_equal(gmem_region_create_alias(world.vm, "window", ram, 0, GMEM_SIZE(0x1000), NULL, &window), 0);
    world_place(&world, ram, 0);
    assert_int_equal(gmem_region_set_readonly(window, true), 0);
    world_place(&world, window, 0x1000);
    mmio = world_mmio(&world, 0x2000, BYTES_SIZE, &bytes_ops, &device);
    assert_int_equal(gmem_region_set_readonly(mmio, true), 0);

    assert_int_equal(gmem_st32_le(world.space, 0, NONE, 1), GMEM_OK);
    assert_int_equal(gmem_st32_le(world.space, 0x1000, NONE, 2), GMEM_OK);
    assert_int_equal(gmem_space_fill(world.space, 0x1000, NONE, 3, 0x1000), GMEM_OK);
    assert_int_equal(gmem_ld32_le(world.space, 0x1000, NONE, &value), GMEM_OK);
    assert_int_equal(value, 1);
    assert_int_equal(gmem_st32_le(world.space, 0x2000, NONE, 5), GMEM_OK);
    assert_int_equal(device.writes, 0);
    assert_int_equal(gmem_ld32_le(world.space, 0x2000, NONE, &value), GMEM_OK);
    assert_int_equal(device.reads, 1);
    world_close(&world);
}

static void reserved_answers_nothing(void **state)
{
    struct world world;
    gmem_region *region;
    uint32_t value = 7;
    uint8_t *host;

    (void)state;
    world_open_with(&world, GMEM_ENDIAN_LITTLE, true);
    host = world_ram(&world, 0, 0x1000, "ram");
    assert_int_equal(gmem_region_create_reserved(world.vm, "reserved", GMEM_SIZE(0x10), NULL, &region), 0);
    assert_int_equal(gmem_region_add_priority(world.root, 0x100, region, 1), 0);
    gmem_region_unref(region);
    memset(host, 0x22, 0x1000);
    assert_int_equal(gmem_ld32_le(world.space, 0x10e, NONE, &value), GMEM_RESULT_DECODE);
    assert_int_equal(value, 0x2222ffff);
    assert_int_equal(gmem_space_fill(world.space, 0xff, NONE, 0x33, 0x12), GMEM_RESULT_DECODE);
    assert_int_equal(host[0xff], 0x33);
    assert_int_equal(host[0x100], 0x22);
    assert_int_equal(host[0x110], 0x33);
    world_close(&world);
}

/* --- as the host's hand -------------------------------------------------------------------------------------------- */

static void write_rom(void **state)
{
    struct bytes_device device = {0}, flash = {0};
    uint8_t *rom, *romd, *ram, buf[0x100];
    gmem_region *region;
    struct world world;

    (void)state;
    world_open(&world);
    world_place(&world, world_memory(&world, GMEM_KIND_ROM, "rom", BYTES_SIZE, NULL, NULL, &rom), 0);
    world_place(&world, world_memory(&world, GMEM_KIND_ROMD, "romd", BYTES_SIZE, &bytes_ops, &flash, &romd), 0x40);
    region = world_memory(&world, GMEM_KIND_RAM, "ram", BYTES_SIZE, NULL, NULL, &ram);
    assert_int_equal(gmem_region_set_readonly(region, true), 0);
    world_place(&world, region, 0x80);
    world_mmio(&world, 0xc0, BYTES_SIZE, &bytes_ops, &device);
    bytes_pattern(buf, sizeof(buf), 9);
    assert_int_equal(gmem_space_write_rom(world.space, 0, buf, 0xc0), GMEM_OK);
    assert_memory_equal(rom, buf, 0x40);
    assert_memory_equal(romd, buf + 0x40, 0x40);
    assert_memory_equal(ram, buf + 0x80, 0x40);
    memset(rom, 0, 0x40);
    assert_int_equal(gmem_space_write_rom(world.space, 0, buf, 0x100), GMEM_RESULT_DECODE);
    assert_memory_equal(rom, buf, 0x40);
    assert_int_equal(gmem_space_write_rom(world.space, 0x200, buf, 1), GMEM_RESULT_DECODE);
    assert_int_equal(device.writes + flash.writes, 0);
    world_close(&world);
}

/* Memory that the host itself mapped readonly is not written, and nothing worse happens. */
static void write_rom_to_readonly_file(void **state)
{
    char path[] = "/tmp/gmem-test-XXXXXX";
    struct gmem_ram_options options = {.struct_size = sizeof(options),
                                       .id = "file",
                                       .size = 0x1000,
                                       .backing = GMEM_RAM_FILE,
                                       .flags = GMEM_RAM_READONLY,
                                       .path = path};
    int fd = mkstemp(path);
    gmem_region *region;
    struct world world;
    gmem_ram *ram;
    uint8_t byte;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0x1000), 0);
    assert_int_equal(pwrite(fd, "A", 1, 0), 1);
    world_open(&world);
    assert_int_equal(gmem_ram_create(world.vm, &options, &ram), 0);
    assert_int_equal(gmem_region_create_rom(world.vm, "rom", ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    world_place(&world, region, 0);
    assert_int_equal(gmem_space_write_rom(world.space, 0, "B", 1), GMEM_RESULT_REFUSED);
    assert_int_equal(gmem_ld8(world.space, 0, NONE, &byte), GMEM_OK);
    assert_int_equal(byte, 'A');
    world_close(&world);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_lengths_and_alignments),
        cmocka_unit_test(whole_blocks),
        cmocka_unit_test(nothing_of_it),
        cmocka_unit_test(read_over_seams),
        cmocka_unit_test(write_over_seams),
        cmocka_unit_test(fill_over_seams),
        cmocka_unit_test(seam_between_devices),
        cmocka_unit_test(seam_between_windows),
        cmocka_unit_test(unassigned),
        cmocka_unit_test(end_of_the_space),
        cmocka_unit_test(device_of_everything),
        cmocka_unit_test(rom_ignores_writes),
        cmocka_unit_test(romd_modes),
        cmocka_unit_test(readonly_ranges),
        cmocka_unit_test(reserved_answers_nothing),
        cmocka_unit_test(write_rom),
        cmocka_unit_test(write_rom_to_readonly_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
