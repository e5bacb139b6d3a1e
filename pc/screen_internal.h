/* SPDX-License-Identifier: MIT */
/* pc/screen_internal.h - shared by the files of the screen: screen.c, screen_mode.c, screen_text.c, screen_graphics.c. */
#ifndef PC_SCREEN_INTERNAL_H
#define PC_SCREEN_INTERNAL_H

#include <stdbool.h>

#include "screen.h"
#include "vga_internal.h"

enum screen_kind {
    SCREEN_BLANK,
    SCREEN_TEXT,
    SCREEN_GRAPHICS,
};

enum screen_format {
    SCREEN_PLANAR, /* a bit a plane, 8 pixels to an address */
    SCREEN_PAIRS,  /* two bits a pixel: planes 0 and 2 have the first four of 8, planes 1 and 3 the others */
    SCREEN_INDEX8, /* a byte a pixel, of the palette */
    SCREEN_RGB555, /* 15 bits in two bytes */
    SCREEN_RGB565,
    SCREEN_RGB888, /* three bytes */
    SCREEN_XRGB8888,
};

/*
 * Lines of the picture that follow each other in memory. The VGA's split screen makes two bands, of which the lower is at
 * address 0. Addresses are those of the VGA's address counter: one for the bytes of all four planes.
 */
struct screen_band {
    uint32_t first, count; /* lines of the picture */
    uint32_t start;        /* address of the first row */
    uint32_t skip;         /* scan lines of the first row that are above the band */
    uint32_t pan;          /* pixels of each row that are left of the picture */
};

/*
 * All that the picture depends on but the palette, the cursor and video memory. Equal if all bytes are: what is true or not
 * is a word too, and leaves no padding.
 */
struct screen_mode {
    enum screen_kind kind;
    uint32_t width, height;
    struct screen_band bands[2];
    uint32_t pitch; /* addresses from a row to the next */
    uint32_t scans; /* scan lines a row */

    /* text */
    uint32_t columns, cell_width;
    uint32_t font[2]; /* in plane 2: with bit 3 of the attribute clear, and set */
    uint32_t blink, line_graphics;
    uint32_t underline; /* the scan line of underlined characters; none: beyond a cell */

    /* graphics */
    enum screen_format format;
    uint32_t linear;         /* of the display interface: the rest does not matter */
    uint32_t collapse;       /* scan lines to a line of the picture */
    uint32_t show_shift;     /* counter to address: bytes, words, double words */
    uint32_t keep_shift;     /* and where vga_mem.c keeps that address */
    uint32_t row_13, row_14; /* these bits of the address are those of the scan line in its row */

    /* of the display interface */
    uint32_t big_endian;
    uint32_t virtual_width, x, y;
};

struct screen_palette {
    uint32_t colours; /* 0, 16 or 256 */
    uint32_t rgb[256];
};

struct screen_cursor {
    uint32_t address;
    uint32_t first, last; /* scan lines; none if first > last */
};

#define SCREEN_PAGES (VGA_VRAM_SIZE / GMEM_DIRTY_PAGE_SIZE)
#define SCREEN_GLYPHS 256u
#define SCREEN_GLYPH_SIZE 32u

struct screen {
    struct vga *vga;
    bool valid; /* the picture is of mode, palette and cursor, and of video memory but for its dirty pages */
    struct screen_mode mode;
    struct screen_palette palette;
    struct screen_cursor cursor;
    uint32_t *pixels;
    struct screen_stats stats;

    bool everything;            /* as if all pages were dirty */
    gmem_dirty_snapshot *dirty; /* what the last update took; NULL: nothing */

    /* screen_text.c */
    uint32_t *cells; /* what each cell shows */
    size_t cell_count;
    uint8_t font[2][SCREEN_GLYPHS * SCREEN_GLYPH_SIZE];
    bool glyph_changed[2][SCREEN_GLYPHS];
    /* screen_graphics.c */
    uint8_t *line; /* a line's bytes of video memory */
};

/* screen_mode.c: what the registers say. With the VGA's lock. *ret_mode has no byte that was not set. */
void screen_read_mode(const struct vga *vga, struct screen_mode *ret_mode);
void screen_read_palette(const struct vga *vga, const struct screen_mode *mode, struct screen_palette *ret_palette);
void screen_read_cursor(const struct vga *vga, struct screen_cursor *ret_cursor);

/* screen.c: a byte from first to last of video memory may have changed since the last update. Wraps at its end. */
bool screen_dirty(const struct screen *screen, uint64_t first, uint64_t last);

/*
 * screen_text.c and screen_graphics.c: make room for what mode will need besides the picture (-ENOMEM), and draw what may have
 * changed; if whole, everything.
 */
int screen_text_prepare(struct screen *screen, const struct screen_mode *mode) GMEM_MUST_CHECK;
void screen_text_draw(struct screen *screen, bool whole);
int screen_graphics_prepare(struct screen *screen, const struct screen_mode *mode) GMEM_MUST_CHECK;
void screen_graphics_draw(struct screen *screen, bool whole);

#endif
