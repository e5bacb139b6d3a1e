/* SPDX-License-Identifier: MIT */
/*
 * pc/screen_graphics.c - graphics: a line of video memory becomes a line of the picture.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem": graphics mode (shift register modes),
 * CRT controller mode control. The Bochs VBE display interface (public documentation of the Bochs project): depths, virtual
 * width, offsets. Byte order of pixels: QEMU's docs/specs/standard-vga.
 *
 * Owns screen->line: the bytes of one line in the order of video memory, four to an address.
 */
#include "screen_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Where the bytes of a line are, and which of its pixels and bytes come before the picture. */
struct row {
    uint64_t first;         /* linear: of its first byte, a multiple of 4 */
    uint32_t counter, scan; /* else: address counter and scan line */
    uint32_t words;         /* of four bytes */
    uint32_t skip;          /* bytes */
    uint32_t pan;           /* pixels */
};

static uint32_t bytes_per_pixel(enum screen_format format)
{
    switch (format) {
    case SCREEN_RGB555:
    case SCREEN_RGB565:
        return 2;
    case SCREEN_RGB888:
        return 3;
    case SCREEN_XRGB8888:
        return 4;
    default:
        return 1;
    }
}

/* Those that the pixels of a line from the pan-th on are in, after skip bytes. */
static uint32_t words_for(const struct screen_mode *mode, uint32_t pan, uint32_t skip)
{
    if (mode->format <= SCREEN_PAIRS)
        return (pan + mode->width + 7) / 8;
    return (skip + (pan + mode->width) * bytes_per_pixel(mode->format) + 3) / 4;
}

int screen_graphics_prepare(struct screen *screen, const struct screen_mode *mode)
{
    uint8_t *line = realloc(screen->line, 4 * (size_t)words_for(mode, 8, 3));

    if (!line)
        return -ENOMEM;
    screen->line = line;
    return 0;
}

static struct row linear_row(const struct screen_mode *mode, uint32_t y)
{
    uint64_t line = (uint64_t)mode->y + y;
    struct row row = {.pan = 0};

    if (mode->format == SCREEN_PLANAR) {
        row.first = 4 * (line * (mode->virtual_width / 8) + mode->x / 8);
        row.pan = mode->x % 8;
    } else {
        uint64_t first = (line * mode->virtual_width + mode->x) * bytes_per_pixel(mode->format);

        row.skip = first % 4;
        row.first = first - row.skip;
    }
    row.words = words_for(mode, row.pan, row.skip);
    return row;
}

static struct row counted_row(const struct screen_mode *mode, const struct screen_band *band, uint32_t y)
{
    uint32_t scan = (y - band->first) * mode->collapse + band->skip;

    return (struct row){.counter = band->start + scan / mode->scans * mode->pitch,
                        .scan = scan % mode->scans,
                        .words = words_for(mode, band->pan, 0),
                        .pan = band->pan};
}

/* Where in video memory word i is. */
static uint32_t word_at(const struct screen_mode *mode, const struct row *row, uint32_t i)
{
    uint32_t address;

    if (mode->linear)
        return (uint32_t)((row->first + 4 * (uint64_t)i) % VGA_VRAM_SIZE);
    address = (row->counter + i) << mode->show_shift & 0xffff;
    if (mode->row_13)
        address = (address & ~0x2000u) | (row->scan & 1) << 13;
    if (mode->row_14)
        address = (address & ~0x4000u) | (row->scan >> 1 & 1) << 14;
    return 4 * (address >> mode->keep_shift);
}

static bool row_dirty(const struct screen *screen, const struct row *row)
{
    if (screen->mode.linear)
        return screen_dirty(screen, row->first, row->first + 4 * (uint64_t)row->words - 1);
    for (uint32_t i = 0; i < row->words; i++) {
        uint32_t at = word_at(&screen->mode, row, i);

        if (screen_dirty(screen, at, at + 3))
            return true;
    }
    return false;
}

static uint32_t pixel_planar(const uint8_t *line, uint32_t i)
{
    uint32_t index = 0;

    for (unsigned plane = 0; plane < 4; plane++)
        index |= ((uint32_t)line[4 * (i / 8) + plane] >> (7 - i % 8) & 1) << plane;
    return index;
}

static uint32_t pixel_pairs(const uint8_t *line, uint32_t i)
{
    const uint8_t *planes = line + 4 * (size_t)(i / 8) + i % 8 / 4;
    unsigned shift = 6 - 2 * (i % 4);

    return ((uint32_t)planes[0] >> shift & 3) | ((uint32_t)planes[2] >> shift & 3) << 2;
}

static uint32_t widen(uint32_t value, unsigned bits)
{
    return value << (8 - bits) | value >> (2 * bits - 8);
}

static uint32_t pixel_rgb(const struct screen_mode *mode, const uint8_t *bytes)
{
    uint32_t size = bytes_per_pixel(mode->format), value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)bytes[mode->big_endian ? size - 1 - i : i] << (8 * i);
    if (mode->format == SCREEN_RGB555)
        return widen(value >> 10 & 31, 5) << 16 | widen(value >> 5 & 31, 5) << 8 | widen(value & 31, 5);
    if (mode->format == SCREEN_RGB565)
        return widen(value >> 11, 5) << 16 | widen(value >> 5 & 63, 6) << 8 | widen(value & 31, 5);
    return value & 0xffffff;
}

static void draw_row(struct screen *screen, const struct row *row, uint32_t *pixels)
{
    const struct screen_mode *mode = &screen->mode;
    const uint32_t *rgb = screen->palette.rgb;
    const uint8_t *line = screen->line + row->skip;
    uint32_t size = bytes_per_pixel(mode->format);

    for (uint32_t i = 0; i < row->words; i++)
        vga_load4(screen->vga, word_at(mode, row, i), screen->line + 4 * (size_t)i);
    for (uint32_t i = 0; i < mode->width; i++) {
        switch (mode->format) {
        case SCREEN_PLANAR:
            pixels[i] = rgb[pixel_planar(line, row->pan + i)];
            break;
        case SCREEN_PAIRS:
            pixels[i] = rgb[pixel_pairs(line, row->pan + i)];
            break;
        case SCREEN_INDEX8:
            pixels[i] = rgb[line[row->pan + i]];
            break;
        default:
            pixels[i] = pixel_rgb(mode, line + (size_t)size * i);
            break;
        }
    }
    screen->stats.lines++;
}

void screen_graphics_draw(struct screen *screen, bool whole)
{
    const struct screen_mode *mode = &screen->mode;

    for (unsigned b = 0; b < 2; b++) {
        const struct screen_band *band = &mode->bands[b];

        for (uint32_t y = band->first; y < band->first + band->count; y++) {
            struct row row = mode->linear ? linear_row(mode, y) : counted_row(mode, band, y);

            if (whole || row_dirty(screen, &row))
                draw_row(screen, &row, screen->pixels + (size_t)y * mode->width);
        }
    }
}
