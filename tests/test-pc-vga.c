/* SPDX-License-Identifier: MIT */
/*
 * test-pc-vga.c - the VGA as a guest programs it: text that can be read back, planes, latches and write modes, palette, the Bochs
 * display interface, and the registers of its BARs. On a machine without processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-machine.h"

#define VGA_FN PCI_DEVFN(2, 0)
#define VRAM 0xe0000000u
#define MMIO 0xe1000000u

static int setup(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, UINT64_C(16) << 20, true);

    memcpy(bench->rom, "\x55\xaa", 2);
    bench_open(bench, &config);
    cfg_write32(bench, VGA_FN, 0x10, VRAM);
    cfg_write32(bench, VGA_FN, 0x18, MMIO);
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_free(*state);
    return 0;
}

static uint8_t peek(struct bench *bench, uint64_t addr)
{
    uint8_t value;

    assert_int_equal(gmem_ld8(machine_memory(bench->machine), addr, GMEM_ATTRS_NONE, &value), GMEM_OK);
    return value;
}

static void poke(struct bench *bench, uint64_t addr, uint8_t value)
{
    assert_int_equal(gmem_st8(machine_memory(bench->machine), addr, GMEM_ATTRS_NONE, value), GMEM_OK);
}

/* Index and data as one word, low byte first, as firmware does. */
static void seq(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x3c4, (uint16_t)(value << 8 | index));
}

static void gfx(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x3ce, (uint16_t)(value << 8 | index));
}

/* The registers of mode 3 that say how memory is addressed. */
static void text_mode(struct bench *bench)
{
    out8(bench, 0x3c2, 0x67);
    seq(bench, 2, 0x03);
    seq(bench, 4, 0x02);
    gfx(bench, 0, 0);
    gfx(bench, 1, 0);
    gfx(bench, 3, 0);
    gfx(bench, 4, 0);
    gfx(bench, 5, 0x10);
    gfx(bench, 6, 0x0e);
    gfx(bench, 8, 0xff);
}

static void planar_mode(struct bench *bench)
{
    text_mode(bench);
    seq(bench, 2, 0x0f);
    seq(bench, 4, 0x06);
    gfx(bench, 5, 0x00);
    gfx(bench, 6, 0x05);
}

static void test_text(void **state)
{
    static const char text[] = "No bootable device.";
    struct bench *bench = *state;

    text_mode(bench);
    for (unsigned i = 0; i < sizeof(text); i++) {
        poke(bench, 0xb8000 + 2 * i, (uint8_t)text[i]);
        poke(bench, 0xb8001 + 2 * i, 0x07);
    }
    for (unsigned i = 0; i < sizeof(text); i++) {
        assert_int_equal(peek(bench, 0xb8000 + 2 * i), text[i]);
        assert_int_equal(peek(bench, 0xb8001 + 2 * i), 0x07);
        /* Characters are plane 0 of video memory, attributes plane 1, the font's plane is untouched. */
        assert_int_equal(peek(bench, VRAM + 4 * i), text[i]);
        assert_int_equal(peek(bench, VRAM + 4 * i + 1), 0x07);
        assert_int_equal(peek(bench, VRAM + 4 * i + 2), 0);
    }
    /* The window is at 0xb8000 only. */
    poke(bench, 0xa0000, 0x55);
    assert_int_equal(peek(bench, 0xa0000), 0xff);
    assert_int_equal(peek(bench, 0xb0000), 0xff);
    assert_int_equal(peek(bench, VRAM), 'N');
    /* A word at once is a character with its attribute. */
    assert_int_equal(gmem_st16_le(machine_memory(bench->machine), 0xb8f00, GMEM_ATTRS_NONE, 0x1f41), GMEM_OK);
    assert_int_equal(peek(bench, 0xb8f00), 0x41);
    assert_int_equal(peek(bench, 0xb8f01), 0x1f);
}

static void test_font(void **state)
{
    struct bench *bench = *state;

    /* As firmware loads a font: plane 2, plain addressing, window at 0xa0000. */
    planar_mode(bench);
    seq(bench, 2, 0x04);
    seq(bench, 4, 0x07);
    gfx(bench, 4, 2);
    gfx(bench, 6, 0x04);
    for (unsigned i = 0; i < 16; i++)
        poke(bench, 0xa0000 + 'A' * 32 + i, (uint8_t)(0x80 + i));
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(peek(bench, 0xa0000 + 'A' * 32 + i), 0x80 + i);
        assert_int_equal(peek(bench, VRAM + 4 * ('A' * 32 + i) + 2), 0x80 + i);
        assert_int_equal(peek(bench, VRAM + 4 * ('A' * 32 + i)), 0);
    }
}

static void test_write_modes(void **state)
{
    struct bench *bench = *state;

    planar_mode(bench);
    poke(bench, 0xa0000, 0x0f); /* mode 0: all planes */
    for (unsigned plane = 0; plane < 4; plane++)
        assert_int_equal(peek(bench, VRAM + plane), 0x0f);
    seq(bench, 2, 0x05);
    poke(bench, 0xa0000, 0xf0);
    assert_int_equal(peek(bench, VRAM), 0xf0);
    assert_int_equal(peek(bench, VRAM + 1), 0x0f);
    seq(bench, 2, 0x0f);
    gfx(bench, 0, 0x05); /* set planes 0 and 2, reset 1 and 3 */
    gfx(bench, 1, 0x0f);
    poke(bench, 0xa0001, 0x00);
    assert_int_equal(peek(bench, VRAM + 4), 0xff);
    assert_int_equal(peek(bench, VRAM + 5), 0x00);
    gfx(bench, 1, 0x00);

    /* Mode 1 copies what was read last. */
    (void)peek(bench, 0xa0001);
    gfx(bench, 5, 0x01);
    poke(bench, 0xa0002, 0x99);
    for (unsigned plane = 0; plane < 4; plane++)
        assert_int_equal(peek(bench, VRAM + 8 + plane), plane % 2 ? 0x00 : 0xff);

    /* Mode 2 writes a colour, where the bit mask is set; the rest is what was read. */
    gfx(bench, 5, 0x02);
    gfx(bench, 8, 0x0f);
    (void)peek(bench, 0xa0003);
    poke(bench, 0xa0003, 0x0a);
    assert_int_equal(peek(bench, VRAM + 12), 0x00);
    assert_int_equal(peek(bench, VRAM + 13), 0x0f);
    assert_int_equal(peek(bench, VRAM + 15), 0x0f);

    /* Mode 3: the byte is a mask for set/reset. */
    gfx(bench, 8, 0xff);
    gfx(bench, 5, 0x03);
    gfx(bench, 0, 0x0f);
    (void)peek(bench, 0xa0004);
    poke(bench, 0xa0004, 0x3c);
    assert_int_equal(peek(bench, VRAM + 16), 0x3c);

    /* Rotation and the logical functions of mode 0. */
    gfx(bench, 5, 0x00);
    gfx(bench, 3, 0x04);
    poke(bench, 0xa0005, 0x1f);
    assert_int_equal(peek(bench, VRAM + 20), 0xf1);
    gfx(bench, 3, 0x18);
    (void)peek(bench, 0xa0005);
    poke(bench, 0xa0005, 0xff);
    assert_int_equal(peek(bench, VRAM + 20), 0x0e);
}

static void test_read_modes(void **state)
{
    struct bench *bench = *state;

    planar_mode(bench);
    for (unsigned plane = 0; plane < 4; plane++)
        poke(bench, VRAM + plane, (uint8_t)(0x10 << plane));
    for (unsigned plane = 0; plane < 4; plane++) {
        gfx(bench, 4, plane);
        assert_int_equal(peek(bench, 0xa0000), 0x10 << plane);
    }
    gfx(bench, 5, 0x08);
    gfx(bench, 7, 0x0f);
    gfx(bench, 2, 0x01);
    assert_int_equal(peek(bench, 0xa0000), 0x10);
    gfx(bench, 2, 0x00);
    assert_int_equal(peek(bench, 0xa0000), 0x0f);
    gfx(bench, 7, 0x00);
    assert_int_equal(peek(bench, 0xa0000), 0xff);
}

static void test_chain4(void **state)
{
    struct bench *bench = *state;

    planar_mode(bench);
    seq(bench, 4, 0x0e);
    for (unsigned i = 0; i < 16; i++)
        poke(bench, 0xa1230 + i, (uint8_t)i);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(peek(bench, VRAM + 0x1230 + i), i);
        assert_int_equal(peek(bench, 0xa1230 + i), i);
    }
    seq(bench, 2, 0x01);
    poke(bench, 0xa1230, 0xee);
    poke(bench, 0xa1231, 0xee);
    assert_int_equal(peek(bench, VRAM + 0x1230), 0xee);
    assert_int_equal(peek(bench, VRAM + 0x1231), 1);
}

static void test_registers(void **state)
{
    struct bench *bench = *state;
    uint8_t first;

    /* Colour and monochrome addresses; each answers only when it is chosen. */
    out8(bench, 0x3c2, 0x67);
    assert_int_equal(in8(bench, 0x3cc), 0x67);
    out16(bench, 0x3d4, 0x550e);
    assert_int_equal(in8(bench, 0x3d5), 0x55);
    assert_int_equal(in8(bench, 0x3b5), 0xff);
    out8(bench, 0x3c2, 0x66);
    assert_int_equal(in8(bench, 0x3d5), 0xff);
    assert_int_equal(in8(bench, 0x3b5), 0x55);
    out8(bench, 0x3c2, 0x67);
    /* Registers 0 to 7 of the CRT controller can be protected, all but line compare's bit. */
    out16(bench, 0x3d4, 0x5f00);
    out16(bench, 0x3d4, 0x8e11);
    out16(bench, 0x3d4, 0x1100);
    out16(bench, 0x3d4, 0xff07);
    out8(bench, 0x3d4, 0x00);
    assert_int_equal(in8(bench, 0x3d5), 0x5f);
    out8(bench, 0x3d4, 0x07);
    assert_int_equal(in8(bench, 0x3d5), 0x10);
    /* Index and data of the attribute controller alternate; reading status 1 starts over. */
    (void)in8(bench, 0x3da);
    out8(bench, 0x3c0, 0x10);
    out8(bench, 0x3c0, 0x0c);
    (void)in8(bench, 0x3da);
    out8(bench, 0x3c0, 0x10);
    assert_int_equal(in8(bench, 0x3c1), 0x0c);
    /* Whoever waits for the retrace or its end sees it. */
    first = in8(bench, 0x3da) & 8;
    assert_int_not_equal(in8(bench, 0x3da) & 8, first);
    /* The palette takes three bytes a colour and counts on by itself. */
    out8(bench, 0x3c8, 7);
    for (unsigned i = 0; i < 6; i++)
        out8(bench, 0x3c9, (uint8_t)(i + 1));
    out8(bench, 0x3c7, 8);
    assert_int_equal(in8(bench, 0x3c9), 4);
    out8(bench, 0x3c7, 7);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(in8(bench, 0x3c9), i + 1);
    assert_int_equal(in8(bench, 0x3c7), 3);
}

static void dispi(struct bench *bench, uint16_t index, uint16_t value)
{
    out16(bench, 0x1ce, index);
    out16(bench, 0x1cf, value);
}

static uint16_t dispi_get(struct bench *bench, uint16_t index)
{
    out16(bench, 0x1ce, index);
    return in16(bench, 0x1d0);
}

static void test_dispi(void **state)
{
    struct bench *bench = *state;

    dispi(bench, 0, 0xb0c0);
    assert_int_equal(dispi_get(bench, 0), 0xb0c0);
    dispi(bench, 0, 0x1234);
    assert_int_equal(dispi_get(bench, 0), 0xb0c0);
    dispi(bench, 0, 0xb0c5);
    assert_int_equal(dispi_get(bench, 0), 0xb0c5);
    assert_int_equal(dispi_get(bench, 10), 0x100);
    dispi(bench, 4, 2);
    assert_int_equal(dispi_get(bench, 1), 16000);
    assert_int_equal(dispi_get(bench, 3), 32);
    dispi(bench, 4, 0);

    poke(bench, VRAM + 100, 0xaa);
    dispi(bench, 1, 1024);
    dispi(bench, 2, 768);
    dispi(bench, 3, 32);
    dispi(bench, 4, 0x41);
    assert_int_equal(dispi_get(bench, 4), 0x41);
    assert_int_equal(peek(bench, VRAM + 100), 0);
    assert_int_equal(dispi_get(bench, 6), 1024);
    assert_int_equal(dispi_get(bench, 7), 4096);
    /* No other resolution while it is on. */
    dispi(bench, 1, 640);
    assert_int_equal(dispi_get(bench, 1), 1024);
    dispi(bench, 6, 2048);
    assert_int_equal(dispi_get(bench, 7), 2048);
    dispi(bench, 6, 100);
    assert_int_equal(dispi_get(bench, 6), 1024);
    /* The bank. */
    dispi(bench, 5, 3);
    poke(bench, 0xa0010, 0x77);
    assert_int_equal(peek(bench, VRAM + 0x30010), 0x77);
    assert_int_equal(peek(bench, 0xa0010), 0x77);
    dispi(bench, 5, 256);
    assert_int_equal(dispi_get(bench, 5), 3);
    /* More than there is memory for stays off. */
    dispi(bench, 4, 0);
    dispi(bench, 1, 16000);
    dispi(bench, 2, 12000);
    dispi(bench, 4, 1);
    assert_int_equal(dispi_get(bench, 4), 0);
    dispi(bench, 3, 7);
    assert_int_equal(dispi_get(bench, 3), 32);
    dispi(bench, 1, 65535);
    assert_int_equal(dispi_get(bench, 1), 16000);
}

static void test_mmio(void **state)
{
    struct bench *bench = *state;
    gmem_space *memory = machine_memory(bench->machine);
    unsigned sum = 0;
    uint32_t word;
    uint16_t half;

    for (unsigned i = 0; i < 128; i++)
        sum += peek(bench, MMIO + i);
    assert_int_equal(sum % 256, 0);
    assert_int_equal(gmem_ld32_le(memory, MMIO, GMEM_ATTRS_NONE, &word), GMEM_OK);
    assert_int_equal(word, 0xffffff00);
    poke(bench, MMIO + 0x402, 0x67);
    assert_int_equal(in8(bench, 0x3cc), 0x67);
    assert_int_equal(gmem_st16_le(memory, MMIO + 0x502, GMEM_ATTRS_NONE, 800), GMEM_OK);
    assert_int_equal(dispi_get(bench, 1), 800);
    assert_int_equal(gmem_ld16_le(memory, MMIO + 0x514, GMEM_ATTRS_NONE, &half), GMEM_OK);
    assert_int_equal(half, 0x100);
    assert_int_equal(gmem_ld32_le(memory, MMIO + 0x600, GMEM_ATTRS_NONE, &word), GMEM_OK);
    assert_int_equal(word, 8);
    assert_int_equal(gmem_st32_le(memory, MMIO + 0x604, GMEM_ATTRS_NONE, 0xbebebebe), GMEM_OK);
    assert_int_equal(gmem_st32_le(memory, MMIO + 0x604, GMEM_ATTRS_NONE, 0x12345678), GMEM_OK);
    assert_int_equal(gmem_ld32_le(memory, MMIO + 0x604, GMEM_ATTRS_NONE, &word), GMEM_OK);
    assert_int_equal(word, 0xbebebebe);
    assert_int_equal(gmem_ld32_le(memory, MMIO + 0x800, GMEM_ATTRS_NONE, &word), GMEM_OK);
    assert_int_equal(word, 0);
    cfg_write32(bench, VGA_FN, 0x30, 0xe2000001);
    assert_int_equal(peek(bench, 0xe2000000), 0x55);
    assert_int_equal(peek(bench, 0xe2000001), 0xaa);
}

/* Whatever is written to ports and window, in whatever mode: nothing outside of video memory is touched. */
static void test_random(void **state)
{
    static const uint16_t ports[] = {0x3b4, 0x3b5, 0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c7, 0x3c8,
                                     0x3c9, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3da, 0x1ce, 0x1cf};
    struct bench *bench = *state;
    unsigned seed = (unsigned)time(NULL);

    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned i = 0; i < 50000; i++) {
        uint16_t port = ports[(unsigned)random() % 16];
        uint16_t value = (uint16_t)random();

        if (port < 0x3b4)
            out16(bench, port, port == 0x1ce ? value % 12 : value);
        else
            out8(bench, port, (uint8_t)value);
        poke(bench, 0xa0000 + ((unsigned)random() & 0x1ffff), (uint8_t)value);
        (void)peek(bench, 0xa0000 + ((unsigned)random() & 0x1ffff));
        (void)in8(bench, ports[(unsigned)random() % 14]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_font, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dispi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
