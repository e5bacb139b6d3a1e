/* SPDX-License-Identifier: MIT */
/*
 * test-pc-screen-graphics.c - graphics on the VGA's screen: the VGA's own modes, written through its window as a guest does, and those
 * of the Bochs display interface; each pixel compared with what was written at its place. And which lines an update draws.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-screen.h"

static int setup(void **state)
{
    struct shown *shown;

    open_shown(&shown);
    *state = shown;
    fill_all(shown);
    shown->look.split = UINT32_MAX;
    return 0;
}

/* Plane p is bytes[] from 64 KiB * p on. */
static void put_planes(struct shown *shown)
{
    for (unsigned plane = 0; plane < 4; plane++) {
        seq(shown->bench, 2, 1u << plane);
        put(shown, 0xa0000, shown->bytes + 0x10000 * plane, 0x10000);
    }
    seq(shown->bench, 2, shown->mode->seq[2]);
}

/* --- the VGA's own modes ------------------------------------------------------------------------------------------- */

static uint32_t expected_planar(const struct shown *shown, uint32_t x, uint32_t y)
{
    const struct look *look = &shown->look;
    uint32_t row = y < look->split ? y : y - look->split;
    uint32_t at = ((y < look->split ? look->start : 0) + row * look->pitch + (x + look->pan) / 8) & 0xffff;
    unsigned colour = 0;

    for (unsigned plane = 0; plane < 4; plane++) {
        if (shown->bytes[0x10000 * plane + at] & 0x80 >> (x + look->pan) % 8)
            colour += 1u << plane;
    }
    return attr_rgb(shown, colour);
}

static void test_planar(void **state)
{
    struct shown *shown = *state;
    struct bench *bench = shown->bench;

    set_mode(shown, &mode_12);
    put_planes(shown);
    shown->look.pitch = 80;
    check_picture(shown, 640, 480, expected_planar);
    /* Another start, rows further apart, panned; round the end of the planes. */
    crtc(bench, 0x0c, 0x40);
    crtc(bench, 0x0d, 0x11);
    crtc(bench, 0x13, 0x30);
    attr(bench, 0x13, 5);
    shown->look.start = 0x4011;
    shown->look.pitch = 96;
    shown->look.pan = 5;
    check_picture(shown, 640, 480, expected_planar);
    crtc(bench, 0x0c, 0xf0);
    shown->look.start = 0xf011;
    check_picture(shown, 640, 480, expected_planar);
    /* Split. */
    crtc(bench, 0x18, 0x2b);
    crtc(bench, 0x07, 0x3e);
    crtc(bench, 0x09, 0x00);
    shown->look.split = 0x12c;
    check_picture(shown, 640, 480, expected_planar);
}

/* Rows of which each is scanned twice, in two ways, are there once. */
static void test_rows_scanned_twice(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_12);
    put_planes(shown);
    shown->look.pitch = 80;
    crtc(shown->bench, 0x09, 0xc0);
    check_picture(shown, 640, 240, expected_planar);
    crtc(shown->bench, 0x09, 0x41);
    check_picture(shown, 640, 240, expected_planar);
    crtc(shown->bench, 0x09, 0xc2);
    check_picture(shown, 640, 80, expected_planar);
    /* The vertical counter counts every second line. */
    crtc(shown->bench, 0x09, 0x41);
    crtc(shown->bench, 0x17, 0xe7);
    check_picture(shown, 640, 480, expected_planar);
}

/* Palette entries of 6 bits are as the mode says: of modes 4 and 6 too. */
static uint32_t expected_mode_04(const struct shown *shown, uint32_t x, uint32_t y)
{
    uint8_t byte = shown->bytes[y / 2 * 80 + y % 2 * 0x2000 + x / 4];

    return attr_rgb(shown, (uint32_t)byte >> (6 - 2 * (x % 4)) & 3);
}

static uint32_t expected_mode_06(const struct shown *shown, uint32_t x, uint32_t y)
{
    uint8_t byte = shown->bytes[y / 2 * 80 + y % 2 * 0x2000 + x / 8];

    return attr_rgb(shown, byte & 0x80 >> x % 8 ? 1 : 0);
}

static void test_cga(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_04);
    put(shown, 0xb8000, shown->bytes, 0x8000);
    check_picture(shown, 320, 200, expected_mode_04);
    set_mode(shown, &mode_06);
    put(shown, 0xb8000, shown->bytes, 0x8000);
    check_picture(shown, 640, 200, expected_mode_06);
}

/* Four lines a row, as bits 13 and 14 of the address (Hercules' way). */
static uint32_t expected_four_scans(const struct shown *shown, uint32_t x, uint32_t y)
{
    uint8_t byte = shown->bytes[y / 4 * 80 + y % 4 * 0x2000 + x / 8];

    return attr_rgb(shown, byte & 0x80 >> x % 8 ? 1 : 0);
}

static void test_four_scans(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_06);
    crtc(shown->bench, 0x17, 0xc0);
    crtc(shown->bench, 0x09, 0x43);
    put(shown, 0xb8000, shown->bytes, 0x8000);
    check_picture(shown, 640, 400, expected_four_scans);
}

static uint32_t expected_mode_13(const struct shown *shown, uint32_t x, uint32_t y)
{
    return dac_rgb(shown, shown->bytes[(shown->look.start + y * shown->look.pitch + x + shown->look.pan) & 0xffff]);
}

static void test_mode_13(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_13);
    put(shown, 0xa0000, shown->bytes, 0x10000);
    shown->look.pitch = 320;
    check_picture(shown, 320, 200, expected_mode_13);
    /* The start is in fours here; panned by pixels; round the end. */
    crtc(shown->bench, 0x0c, 0x08);
    crtc(shown->bench, 0x0d, 0x03);
    attr(shown->bench, 0x13, 6);
    shown->look.start = 4 * 0x803;
    shown->look.pan = 3;
    check_picture(shown, 320, 200, expected_mode_13);
}

/* 256 colours in four planes, 320 by 240. */
static uint32_t expected_mode_x(const struct shown *shown, uint32_t x, uint32_t y)
{
    return dac_rgb(shown, shown->bytes[0x10000 * (x % 4) + shown->look.start + y * shown->look.pitch + x / 4]);
}

static void test_mode_x(void **state)
{
    static const uint8_t tweaks[][2] = {{0x14, 0x00}, {0x17, 0xe3}, {0x06, 0x0d}, {0x07, 0x3e}, {0x09, 0x41},
                                        {0x10, 0xea}, {0x11, 0x0c}, {0x12, 0xdf}, {0x15, 0xe7}, {0x16, 0x06}};
    struct shown *shown = *state;

    set_mode(shown, &mode_13);
    seq(shown->bench, 4, 6);
    for (unsigned i = 0; i < sizeof(tweaks) / sizeof(tweaks[0]); i++)
        crtc(shown->bench, tweaks[i][0], tweaks[i][1]);
    put_planes(shown);
    shown->look.pitch = 80;
    check_picture(shown, 320, 240, expected_mode_x);
    crtc(shown->bench, 0x0c, 0x4b);
    crtc(shown->bench, 0x13, 0x2a);
    shown->look.start = 0x4b00;
    shown->look.pitch = 84;
    check_picture(shown, 320, 240, expected_mode_x);
}

/* --- the display interface ----------------------------------------------------------------------------------------- */

#define LINEAR_BYTES 0x40000u /* of shown->bytes, and then again */

static void put_linear(struct shown *shown)
{
    for (uint32_t at = 0; at < VRAM_SIZE; at += LINEAR_BYTES)
        put(shown, VRAM + at, shown->bytes, LINEAR_BYTES);
}

static void set_linear(struct shown *shown, uint32_t width, uint32_t height, uint32_t depth)
{
    dispi(shown->bench, 4, 0);
    dispi(shown->bench, 1, width);
    dispi(shown->bench, 2, height);
    dispi(shown->bench, 3, depth);
    dispi(shown->bench, 4, 0x41);
    in8(shown->bench, 0x3da);
    out8(shown->bench, 0x3c0, 0x20);
    put_linear(shown);
    shown->look = (struct look){.pitch = width, .depth = depth, .split = UINT32_MAX};
}

static uint32_t expected_linear(const struct shown *shown, uint32_t x, uint32_t y)
{
    const struct look *look = &shown->look;
    uint64_t pixel = look->start + (uint64_t)y * look->pitch + x;
    uint32_t size = (look->depth + 7) / 8;
    uint8_t b[4];
    uint32_t value;

    for (uint32_t i = 0; i < size; i++)
        b[look->big_endian ? size - 1 - i : i] = shown->bytes[(pixel * size + i) % LINEAR_BYTES];
    if (look->depth == 8)
        return dac_rgb(shown, b[0]);
    if (look->depth >= 24)
        return b[2] * 65536u + b[1] * 256u + b[0];
    value = b[1] * 256u + b[0];
    if (look->depth == 15) {
        uint32_t r = value / 1024 % 32, g = value / 32 % 32, blue = value % 32;

        return (r * 8 + r / 4) * 65536 + (g * 8 + g / 4) * 256 + blue * 8 + blue / 4;
    }
    return (value / 2048 * 8 + value / 8192) * 65536 + (value / 32 % 64 * 4 + value / 32 % 64 / 16) * 256 +
           value % 32 * 8 + value % 32 / 4;
}

static void test_linear(void **state)
{
    static const uint32_t depths[] = {8, 15, 16, 24, 32};
    struct shown *shown = *state;

    for (unsigned i = 0; i < 5; i++) {
        set_linear(shown, 321, 243, depths[i]);
        check_picture(shown, 321, 243, expected_linear);
        /* A wider line, and a window into it. */
        dispi(shown->bench, 6, 507);
        dispi(shown->bench, 8, 101);
        dispi(shown->bench, 9, 77);
        shown->look.pitch = 507;
        shown->look.start = 77 * 507 + 101;
        check_picture(shown, 321, 243, expected_linear);
        /* Far down, round the end of video memory. */
        dispi(shown->bench, 9, 33000);
        shown->look.start = 33000 * 507 + 101;
        check_picture(shown, 321, 243, expected_linear);
    }
}

static void test_big_endian(void **state)
{
    static const uint32_t depths[] = {8, 15, 16, 24, 32};
    struct shown *shown = *state;

    for (unsigned i = 0; i < 5; i++) {
        set_linear(shown, 200, 100, depths[i]);
        assert_int_equal(gmem_st32_le(machine_memory(shown->bench->machine), MMIO + 0x604, GMEM_ATTRS_NONE, 0xbebebebe),
                         GMEM_OK);
        shown->look.big_endian = true;
        check_picture(shown, 200, 100, expected_linear);
        assert_int_equal(gmem_st32_le(machine_memory(shown->bench->machine), MMIO + 0x604, GMEM_ATTRS_NONE, 0x1e1e1e1e),
                         GMEM_OK);
        shown->look.big_endian = false;
        check_picture(shown, 200, 100, expected_linear);
    }
}

/* Four bits a pixel: planes, of which byte n of plane p is byte 4 * n + p of the frame buffer. */
static uint32_t expected_linear_planar(const struct shown *shown, uint32_t x, uint32_t y)
{
    uint32_t pixel = shown->look.start + y * shown->look.pitch + x;
    unsigned colour = 0;

    for (unsigned plane = 0; plane < 4; plane++) {
        if (shown->bytes[(4 * (pixel / 8) + plane) % LINEAR_BYTES] & 0x80 >> pixel % 8)
            colour += 1u << plane;
    }
    return attr_rgb(shown, colour);
}

static void test_linear_planar(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_12);
    set_linear(shown, 800, 600, 4);
    check_picture(shown, 800, 600, expected_linear_planar);
    dispi(shown->bench, 6, 1024);
    dispi(shown->bench, 8, 13);
    dispi(shown->bench, 9, 5);
    shown->look.pitch = 1024;
    shown->look.start = 5 * 1024 + 13;
    check_picture(shown, 800, 600, expected_linear_planar);
}

static void test_linear_off(void **state)
{
    struct shown *shown = *state;

    set_linear(shown, 640, 480, 32);
    check_picture(shown, 640, 480, expected_linear);
    in8(shown->bench, 0x3da);
    out8(shown->bench, 0x3c0, 0);
    check_picture(shown, 640, 480, expected_black);
    in8(shown->bench, 0x3da);
    out8(shown->bench, 0x3c0, 0x20);
    check_picture(shown, 640, 480, expected_linear);
    /* And the VGA's own mode again. */
    set_mode(shown, &mode_13);
    put(shown, 0xa0000, shown->bytes, 0x10000);
    shown->look.pitch = 320;
    check_picture(shown, 320, 200, expected_mode_13);
}

/* --- what an update draws ------------------------------------------------------------------------------------------ */

static void test_redraws_linear(void **state)
{
    struct shown *shown = *state;
    struct bench *bench = shown->bench;

    set_linear(shown, 1024, 768, 32); /* a page is a line */
    check_drawn(shown, 1, 0, 768);
    check_drawn(shown, 0, 0, 0);
    put(shown, VRAM + 4096 * 300 + 17, "x", 1);
    check_drawn(shown, 0, 0, 1);
    put(shown, VRAM + 4096 * 300 - 1, "xx", 2);
    check_drawn(shown, 0, 0, 2);
    put(shown, VRAM + 4096 * 768, "x", 1); /* below the screen */
    check_drawn(shown, 0, 0, 0);
    /* Through the window: bank 5 begins with line 80. */
    dispi(bench, 5, 5);
    put(shown, 0xa0000 + 4096 * 3, "x", 1);
    check_drawn(shown, 0, 0, 1);
    /* A palette that this depth does not use; an offset. */
    set_dac(shown, 1, 1, 1, 1);
    check_drawn(shown, 0, 0, 0);
    dispi(bench, 9, 1);
    check_drawn(shown, 1, 0, 768);
    /* Enabled again, which clears memory: drawn as it is then. */
    dispi(bench, 4, 0);
    dispi(bench, 4, 0x41);
    check_picture(shown, 1024, 768, expected_black);
    /* Cleared though the mode stays the same for whoever did not look in between. */
    put(shown, VRAM + 4096 * 10, "xyz", 3);
    check_drawn(shown, 0, 0, 1);
    dispi(bench, 4, 0);
    dispi(bench, 4, 0x41);
    check_drawn(shown, 0, 0, 768);
    check_picture(shown, 1024, 768, expected_black);
}

static void test_redraws_planes(void **state)
{
    struct shown *shown = *state;
    struct bench *bench = shown->bench;

    set_mode(shown, &mode_12);
    put_planes(shown);
    shown->look.pitch = 80;
    check_drawn(shown, 1, 0, 480);
    /* A page has 1024 bytes of each plane: lines of 80 that begin at 12 * 80 = 960 to 25 * 80 = 2000 touch the second. */
    seq(bench, 2, 2);
    shown->bytes[0x10000 + 1500] ^= 0x81;
    put(shown, 0xa0000 + 1500, &shown->bytes[0x10000 + 1500], 1);
    seq(bench, 2, 15);
    check_drawn(shown, 0, 0, 25 - 12 + 1);
    check_picture(shown, 640, 480, expected_planar);
    /* Latches: a copy from here to there. */
    gfx(bench, 5, 1);
    assert_int_equal(gmem_ld8(machine_memory(bench->machine), 0xa0000, GMEM_ATTRS_NONE, &(uint8_t){0}), GMEM_OK);
    put(shown, 0xa0000 + 5000, "", 1);
    for (unsigned plane = 0; plane < 4; plane++)
        shown->bytes[0x10000 * plane + 5000] = shown->bytes[0x10000 * plane];
    check_picture(shown, 640, 480, expected_planar);
    set_mode(shown, &mode_13);
    put(shown, 0xa0000, shown->bytes, 0x10000);
    check_drawn(shown, 1, 0, 200);
    put(shown, 0xa0000 + 320 * 100, "x", 1);
    /* 320 * 90 to 320 * 102 touch page 7. */
    check_drawn(shown, 0, 0, 102 - 89 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_planar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_scanned_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cga, setup, teardown),
        cmocka_unit_test_setup_teardown(test_four_scans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode_13, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode_x, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_big_endian, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linear_planar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linear_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_linear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redraws_planes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
