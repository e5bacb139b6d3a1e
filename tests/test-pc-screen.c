/* SPDX-License-Identifier: MIT */
/*
 * test-pc-screen.c - text on the VGA's screen: each pixel is compared with what its place, the text, the font and the palette say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-screen.h"

static void test_text(void **state)
{
    struct shown *shown = *state;

    check_picture(shown, 720, 400, expected_text);
    /* Background colours of four bits; the ninth dot of line graphics. */
    attr(shown->bench, 0x10, 0x04);
    shown->look.blink = false;
    shown->look.line_graphics = true;
    check_picture(shown, 720, 400, expected_text);
    /* Cells of 8. */
    seq(shown->bench, 1, 1);
    shown->look.cell_width = 8;
    check_picture(shown, 640, 400, expected_text);
}

static void test_geometry(void **state)
{
    struct shown *shown = *state;

    set_mode(shown, &mode_01);
    shown->look.pitch = 40;
    shown->look.cell_width = 8;
    shown->look.scans = 8;
    check_picture(shown, 320, 200, expected_text);
    /* 132 columns of 60 rows with 8 lines, the rows further apart than they are long. */
    crtc(shown->bench, 0x01, 131);
    crtc(shown->bench, 0x07, 0x3e);
    crtc(shown->bench, 0x09, 0x47);
    crtc(shown->bench, 0x12, 0xdf);
    crtc(shown->bench, 0x13, 70);
    crtc(shown->bench, 0x0c, 0x01);
    crtc(shown->bench, 0x0d, 0x23);
    shown->look.pitch = 140;
    shown->look.start = 0x123;
    check_picture(shown, 132 * 8, 480, expected_text);
    /* Rows that don't fill the screen. */
    crtc(shown->bench, 0x09, 0x4d);
    shown->look.scans = 14;
    check_picture(shown, 132 * 8, 480, expected_text);
}

static void test_fonts(void **state)
{
    static const struct {
        uint8_t select;
        uint32_t at[2]; /* bit 3 of the attribute clear, set */
    } rows[] = {{0x04, {0x0000, 0x4000}}, {0x01, {0x4000, 0x0000}}, {0x09, {0x4000, 0x8000}},
                {0x0e, {0x8000, 0xc000}}, {0x30, {0x2000, 0x2000}}, {0x34, {0x2000, 0x6000}},
                {0x25, {0x4000, 0x6000}}, {0x3a, {0xa000, 0xa000}}, {0x1f, {0xe000, 0xc000}}};
    struct shown *shown = *state;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        load_font(shown, rows[i].at[0], shown->font[0]);
        if (rows[i].at[1] != rows[i].at[0])
            load_font(shown, rows[i].at[1], shown->font[1]);
        seq(shown->bench, 3, rows[i].select);
        shown->look.two_fonts = rows[i].at[1] != rows[i].at[0];
        check_picture(shown, 720, 400, expected_text);
    }
}

static void test_cursor(void **state)
{
    struct shown *shown = *state;

    set_cursor(shown, 5 * 80 + 3, 13, 14);
    check_picture(shown, 720, 400, expected_text);
    set_cursor(shown, 24 * 80 + 79, 0, 31);
    check_picture(shown, 720, 400, expected_text);
    set_cursor(shown, 700, 9, 8); /* none */
    check_picture(shown, 720, 400, expected_text);
    set_cursor(shown, 0, 0, 0);
    check_picture(shown, 720, 400, expected_text);
    /* Skew: some characters later. */
    crtc(shown->bench, 0x0b, 0x40);
    shown->look.cursor = 2;
    check_picture(shown, 720, 400, expected_text);
    /* Off. */
    crtc(shown->bench, 0x0a, 0x20);
    shown->look.cursor_first = 1;
    check_picture(shown, 720, 400, expected_text);
}

static void test_mono(void **state)
{
    struct shown *shown = *state;

    for (unsigned i = 0; i < 256; i++)
        shown->text[i] = (uint16_t)(i << 8 | 'u');
    put_text(shown);
    /* Without the mode's mono bit the underline's place says nothing. */
    crtc(shown->bench, 0x14, 12);
    check_picture(shown, 720, 400, expected_text);
    attr(shown->bench, 0x10, 0x0a);
    shown->look.underline = 12;
    check_picture(shown, 720, 400, expected_text);
}

static void test_split(void **state)
{
    struct shown *shown = *state;

    /* The lower part begins after line 149, at address 0. */
    crtc(shown->bench, 0x18, 149);
    crtc(shown->bench, 0x07, 0x0f);
    crtc(shown->bench, 0x09, 0x0f);
    crtc(shown->bench, 0x0c, 0x08);
    crtc(shown->bench, 0x0d, 0x00);
    shown->look.split = 150;
    shown->look.start = 0x800;
    check_picture(shown, 720, 400, expected_text);
    /* Panned: 3 dots left (2 is the third in cells of 9), and 5 lines up, which the lower part is not. */
    attr(shown->bench, 0x13, 2);
    crtc(shown->bench, 0x08, 5);
    shown->look.pan = 3;
    shown->look.skip = 5;
    check_picture(shown, 720, 400, expected_text);
    /* A byte more. */
    crtc(shown->bench, 0x08, 0x25);
    attr(shown->bench, 0x13, 8);
    shown->look.pan = 9;
    check_picture(shown, 720, 400, expected_text);
}

/* With the pan of the upper part only. */
static uint32_t expected_pan_upper(const struct shown *shown, uint32_t x, uint32_t y)
{
    struct shown *still = (struct shown *)(uintptr_t)shown;
    uint32_t pan = shown->look.pan, rgb;

    if (y >= shown->look.split)
        still->look.pan = 0;
    rgb = expected_text(still, x, y);
    still->look.pan = pan;
    return rgb;
}

static void test_pan_upper(void **state)
{
    struct shown *shown = *state;

    crtc(shown->bench, 0x18, 99);
    crtc(shown->bench, 0x07, 0x0f);
    crtc(shown->bench, 0x09, 0x0f);
    attr(shown->bench, 0x10, 0x28);
    attr(shown->bench, 0x13, 6);
    shown->look.split = 100;
    shown->look.pan = 7;
    check_picture(shown, 720, 400, expected_pan_upper);
}

/* One cell of background 0 to 15 each, seen at its upper left pixel. */
static uint32_t background(struct shown *shown, unsigned colour)
{
    struct screen_picture picture;

    assert_int_equal(screen_update(shown->screen), 0);
    picture = screen_picture(shown->screen);
    return picture.pixels[colour * 9 + 8];
}

static void test_palette(void **state)
{
    struct shown *shown = *state;
    struct bench *bench = shown->bench;

    for (unsigned i = 0; i < 16; i++)
        shown->text[i] = (uint16_t)(i << 12 | ' ');
    put_text(shown);
    attr(bench, 0x10, 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(background(shown, i), dac_rgb(shown, mode_03.attr[i]));
    /* Colour select: bits 7 and 6, and 5 and 4 if the mode says so. */
    attr(bench, 0x14, 0x0b);
    assert_int_equal(background(shown, 8), dac_rgb(shown, 0x80 | 0x38));
    attr(bench, 0x10, 0x80);
    assert_int_equal(background(shown, 8), dac_rgb(shown, 0x80 | 0x30 | 0x08));
    attr(bench, 0x14, 0);
    attr(bench, 0x10, 0);
    /* Planes that are not shown. */
    attr(bench, 0x12, 0x05);
    assert_int_equal(background(shown, 15), dac_rgb(shown, mode_03.attr[5]));
    attr(bench, 0x12, 0x0f);
    /* The DAC's mask; what is above 6 bits does not count, with 8 it does. */
    out8(bench, 0x3c6, 0x07);
    assert_int_equal(background(shown, 15), dac_rgb(shown, 0x07));
    out8(bench, 0x3c6, 0xff);
    set_dac(shown, 0x3f, 0xff, 0x80, 0x21);
    assert_int_equal(background(shown, 15), 0xff0086);
    dispi(bench, 4, 0x20);
    assert_int_equal(background(shown, 15), 0xff8021);
    /* Its component is written only with the last of three. */
    out8(bench, 0x3c8, 0x3f);
    out8(bench, 0x3c9, 0x01);
    assert_int_equal(background(shown, 15), 0xff8021);
}

static void test_off(void **state)
{
    struct shown *shown = *state;
    struct bench *bench = shown->bench;

    check_picture(shown, 720, 400, expected_text);
    in8(bench, 0x3da);
    out8(bench, 0x3c0, 0x00); /* the processor has the palette */
    check_picture(shown, 720, 400, expected_black);
    check_drawn(shown, 0, 0, 0);
    in8(bench, 0x3da);
    out8(bench, 0x3c0, 0x20);
    check_picture(shown, 720, 400, expected_text);
    seq(bench, 1, 0x20);
    check_picture(shown, 720, 400, expected_black);
    seq(bench, 1, 0x00);
    seq(bench, 0, 0x01);
    check_picture(shown, 720, 400, expected_black);
    seq(bench, 0, 0x03);
    crtc(bench, 0x17, 0x23);
    check_picture(shown, 720, 400, expected_black);
    crtc(bench, 0x17, 0xa3);
    check_picture(shown, 720, 400, expected_text);
}

static void test_never_programmed(void **state)
{
    struct shown *shown;

    (void)state;
    open_shown(&shown);
    assert_int_equal(screen_picture(shown->screen).width, 0);
    check_picture(shown, 720, 400, expected_black);
    close_shown(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_geometry, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_fonts, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_cursor, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_mono, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_split, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_pan_upper, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_palette, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_off, setup_text, teardown),
        cmocka_unit_test(test_never_programmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
