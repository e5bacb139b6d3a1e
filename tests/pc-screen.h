/* SPDX-License-Identifier: MIT */
/*
 * A machine with a VGA for tests of its screen: modes as firmware sets them, video memory as a guest writes it, and pictures compared
 * with what a test says each pixel is. Include after cmocka.h.
 */
#ifndef GMEM_TESTS_PC_SCREEN_H
#define GMEM_TESTS_PC_SCREEN_H

#include "pc-machine.h"
#include "random.h"
#include "screen.h"

#define VGA_FN PCI_DEVFN(2, 0)
#define VRAM 0xe0000000u
#define MMIO 0xe1000000u
#define VRAM_SIZE 0x1000000u

/* The registers of a mode: IBM Personal System/2 Hardware Interface Technical Reference. */
struct vga_mode {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr[21];
};

static const struct vga_mode mode_03 = {0x67,
                                        {0x03, 0x00, 0x03, 0x00, 0x02},
                                        {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x20, 0x0e, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
                                        {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                         0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x04, 0x00, 0x0f, 0x08, 0x00}};

/* 40 columns, cells of 8 by 8 whose lines are scanned twice. */
static const struct vga_mode mode_01 = {0x63,
                                        {0x03, 0x09, 0x03, 0x00, 0x02},
                                        {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0xc7, 0x20, 0x07, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
                                        {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                         0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x08, 0x00, 0x0f, 0x00, 0x00}};

static const struct vga_mode mode_04 = {0x63,
                                        {0x03, 0x09, 0x03, 0x00, 0x02},
                                        {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x00, 0xff},
                                        {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
                                         0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00}};

static const struct vga_mode mode_06 = {0x63,
                                        {0x03, 0x01, 0x01, 0x00, 0x06},
                                        {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x00, 0xff},
                                        {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
                                         0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00}};

static const struct vga_mode mode_12 = {0xe3,
                                        {0x03, 0x01, 0x0f, 0x00, 0x06},
                                        {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
                                         0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
                                        {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                         0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0x00, 0x0f, 0x00, 0x00}};

static const struct vga_mode mode_13 = {0x63,
                                        {0x03, 0x01, 0x0f, 0x00, 0x0e},
                                        {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
                                         0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                                        {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
                                        {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
                                         0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x41, 0x00, 0x0f, 0x00, 0x00}};

/* How a test expects video memory to be shown. */
struct look {
    uint32_t start, pitch; /* of rows: text in characters, graphics in bytes of a plane or of memory */
    uint32_t pan, skip, split;
    uint32_t cell_width, scans;
    uint32_t cursor, cursor_first, cursor_last; /* none if first > last */
    uint32_t underline;
    bool blink, line_graphics, two_fonts;
    uint32_t depth; /* bits a pixel */
    bool big_endian;
};

struct shown {
    struct bench *bench;
    struct screen *screen;
    struct random random;
    uint8_t dac[256][3];
    uint8_t font[2][256][32];
    uint16_t text[0x4000]; /* character and attribute, as written at 0xb8000 */
    uint8_t bytes[0x40000];
    const struct vga_mode *mode;
    struct look look;
};

static inline void seq(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x3c4, (uint16_t)(value << 8 | index));
}

static inline void gfx(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x3ce, (uint16_t)(value << 8 | index));
}

static inline void crtc(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x3d4, (uint16_t)(value << 8 | index));
}

/* The display keeps the palette. */
static inline void attr(struct bench *bench, unsigned index, unsigned value)
{
    in8(bench, 0x3da);
    out8(bench, 0x3c0, (uint8_t)(index | 0x20));
    out8(bench, 0x3c0, (uint8_t)value);
}

static inline void dispi(struct bench *bench, unsigned index, unsigned value)
{
    out16(bench, 0x1ce, (uint16_t)index);
    out16(bench, 0x1d0, (uint16_t)value);
}

static inline void set_dac(struct shown *shown, unsigned index, uint8_t r, uint8_t g, uint8_t b)
{
    const uint8_t levels[] = {r, g, b};

    out8(shown->bench, 0x3c8, (uint8_t)index);
    for (unsigned i = 0; i < 3; i++)
        out8(shown->bench, 0x3c9, levels[i]);
    memcpy(shown->dac[index], levels, 3);
}

static inline void set_mode(struct shown *shown, const struct vga_mode *mode)
{
    struct bench *bench = shown->bench;

    shown->mode = mode;
    dispi(bench, 4, 0);
    out8(bench, 0x3c2, mode->misc);
    for (unsigned i = 0; i < 5; i++)
        seq(bench, i, mode->seq[i]);
    crtc(bench, 0x11, 0);
    for (unsigned i = 0; i < 25; i++)
        crtc(bench, i, mode->crtc[i] & (i == 0x11 ? 0x7fu : 0xffu));
    for (unsigned i = 0; i < 9; i++)
        gfx(bench, i, mode->gfx[i]);
    for (unsigned i = 0; i < 21; i++)
        attr(bench, i, mode->attr[i]);
    out8(bench, 0x3c6, 0xff);
}

static inline void put(struct shown *shown, uint64_t addr, const void *bytes, size_t len)
{
    assert_int_equal(gmem_space_write(machine_memory(shown->bench->machine), addr, GMEM_ATTRS_NONE, bytes, len),
                     GMEM_OK);
}

/* As firmware loads a font: plane 2, plain addressing, window at 0xa0000; and back to the mode. */
static inline void load_font(struct shown *shown, uint32_t at, uint8_t font[256][32])
{
    struct bench *bench = shown->bench;

    seq(bench, 2, 4);
    seq(bench, 4, 7);
    gfx(bench, 5, 0);
    gfx(bench, 6, 4);
    put(shown, 0xa0000 + at, font, sizeof(shown->font[0]));
    seq(bench, 2, shown->mode->seq[2]);
    seq(bench, 4, shown->mode->seq[4]);
    gfx(bench, 5, shown->mode->gfx[5]);
    gfx(bench, 6, shown->mode->gfx[6]);
}

static inline uint8_t any_byte(struct shown *shown)
{
    return (uint8_t)random_below(&shown->random, 256);
}

/* All colours of the DAC, both fonts, and as much text as there is room. */
static inline void fill_all(struct shown *shown)
{
    for (unsigned i = 0; i < 256; i++)
        set_dac(shown, i, any_byte(shown) & 63, any_byte(shown) & 63, any_byte(shown) & 63);
    for (unsigned i = 0; i < sizeof(shown->font); i++)
        (&shown->font[0][0][0])[i] = any_byte(shown);
    for (unsigned i = 0; i < sizeof(shown->bytes); i++)
        shown->bytes[i] = any_byte(shown);
    for (unsigned i = 0; i < 0x4000; i++)
        shown->text[i] = (uint16_t)random_below(&shown->random, 0x10000);
}

static inline void put_text(struct shown *shown)
{
    put(shown, 0xb8000, shown->text, sizeof(shown->text)); /* little-endian: character first */
}

static inline void open_shown(struct shown **ret)
{
    struct shown *shown = calloc(1, sizeof(*shown));
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, UINT64_C(16) << 20, true);

    assert_non_null(shown);
    bench_open(bench, &config);
    cfg_write32(bench, VGA_FN, 0x10, VRAM);
    cfg_write32(bench, VGA_FN, 0x18, MMIO);
    cfg_write16(bench, VGA_FN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    shown->bench = bench;
    shown->random = random_start("screen", 20261121);
    out8(bench, 0x3c2, 0x67);
    assert_int_equal(screen_create(machine_vga(bench->machine), &shown->screen), 0);
    *ret = shown;
}

static inline void close_shown(struct shown *shown)
{
    screen_destroy(shown->screen);
    bench_free(shown->bench);
    free(shown);
}

static inline uint32_t dac_rgb(const struct shown *shown, unsigned index)
{
    uint32_t rgb = 0;

    /* 6 bits to 8: the highest two again below. */
    for (unsigned i = 0; i < 3; i++)
        rgb = rgb * 256 + shown->dac[index][i] * 4u + shown->dac[index][i] / 16;
    return rgb;
}

/* What a 16-colour mode shows of four bits; all as the mode set it. */
static inline uint32_t attr_rgb(const struct shown *shown, unsigned colour)
{
    return dac_rgb(shown, shown->mode->attr[colour]);
}

typedef uint32_t expected_fn(const struct shown *shown, uint32_t x, uint32_t y);

/* Every pixel of the picture, after an update, is what expected says. */
static inline void check_picture(struct shown *shown, uint32_t width, uint32_t height, expected_fn *expected)
{
    struct screen_picture picture;

    assert_int_equal(screen_update(shown->screen), 0);
    picture = screen_picture(shown->screen);
    assert_int_equal(picture.width, width);
    assert_int_equal(picture.height, height);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint32_t want = expected(shown, x, y), have = picture.pixels[(size_t)y * width + x];

            if (want != have)
                fail_msg("pixel %u,%u is %06x, not %06x", x, y, have, want);
        }
    }
}

/* What the next update draws. */
static inline struct screen_stats drawn_now(struct shown *shown)
{
    struct screen_stats before = screen_stats(shown->screen), after;

    assert_int_equal(screen_update(shown->screen), 0);
    after = screen_stats(shown->screen);
    return (struct screen_stats){.updates = after.updates - before.updates,
                                 .whole = after.whole - before.whole,
                                 .cells = after.cells - before.cells,
                                 .lines = after.lines - before.lines};
}

static inline void check_drawn(struct shown *shown, uint64_t whole, uint64_t cells, uint64_t lines)
{
    struct screen_stats drawn = drawn_now(shown);

    assert_int_equal(drawn.updates, 1);
    assert_int_equal(drawn.whole, whole);
    assert_int_equal(drawn.cells, cells);
    assert_int_equal(drawn.lines, lines);
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

/* Mode 3 without a cursor. */
static const struct look look_03 = {.pitch = 80,
                                    .split = UINT32_MAX,
                                    .cell_width = 9,
                                    .scans = 16,
                                    .cursor_first = 1,
                                    .underline = UINT32_MAX,
                                    .blink = true};

/* Mode 3 with text and fonts that are all different, the second font 16 KiB into plane 2. */
static inline int setup_text(void **state)
{
    struct shown *shown;

    open_shown(&shown);
    *state = shown;
    fill_all(shown);
    set_mode(shown, &mode_03);
    attr(shown->bench, 0x10, 0x08);
    shown->look = look_03;
    load_font(shown, 0, shown->font[0]);
    load_font(shown, 0x4000, shown->font[1]);
    put_text(shown);
    return 0;
}

static inline int teardown(void **state)
{
    close_shown(*state);
    return 0;
}

static inline uint32_t expected_text(const struct shown *shown, uint32_t x, uint32_t y)
{
    const struct look *look = &shown->look;
    bool below = y >= look->split;
    uint32_t line = below ? y - look->split : y + look->skip;
    uint32_t address =
        (below ? 0 : look->start) + line / look->scans * look->pitch + (x + look->pan) / look->cell_width;
    uint32_t column = (x + look->pan) % look->cell_width, scan = line % look->scans;
    uint8_t glyph = (uint8_t)shown->text[address], attribute = (uint8_t)(shown->text[address] >> 8);
    const uint8_t *dots = shown->font[look->two_fonts && (attribute & 8) ? 1 : 0][glyph];
    bool set = column < 8 && (dots[scan] & 0x80 >> column);

    if (column == 8 && look->line_graphics && (glyph & 0xe0) == 0xc0)
        set = dots[scan] & 1;
    if (scan == look->underline && (attribute & 7) == 1 && (attribute >> 4 & 7) == 0)
        set = true;
    if (address == look->cursor && scan >= look->cursor_first && scan <= look->cursor_last)
        set = true;
    return attr_rgb(shown, set ? attribute & 15 : look->blink ? attribute >> 4 & 7 : attribute >> 4);
}

static inline uint32_t expected_black(const struct shown *shown, uint32_t x, uint32_t y)
{
    (void)shown, (void)x, (void)y;
    return 0;
}

static inline void set_cursor(struct shown *shown, uint32_t address, uint8_t first, uint8_t last)
{
    crtc(shown->bench, 0x0a, first);
    crtc(shown->bench, 0x0b, last);
    crtc(shown->bench, 0x0e, address >> 8);
    crtc(shown->bench, 0x0f, address & 0xff);
    shown->look.cursor = address;
    shown->look.cursor_first = first;
    shown->look.cursor_last = last;
}

static inline void put_char(struct shown *shown, uint32_t address, uint16_t cell)
{
    shown->text[address] = cell;
    put(shown, 0xb8000 + 2 * address, &cell, 2);
}

#endif
