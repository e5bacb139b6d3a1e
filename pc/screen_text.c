/* SPDX-License-Identifier: MIT */
/*
 * pc/screen_text.c - text: characters, their attributes and the cursor.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem": plane 0 has the characters, plane 1 the
 * attributes, plane 2 the fonts, 32 bytes a character.
 *
 * Owns screen->cells: what each cell of the picture shows (character, attribute and, at the cursor, its shape), row by row,
 * first those of the upper band. A page of video memory holds many rows, so what a dirty page holds is compared with it and
 * only cells that differ are drawn. screen->font has the glyphs that are shown, compared in the same way.
 */
#include "screen_internal.h"

#include <errno.h>
#include <stdlib.h>

#define CELL_NONE UINT32_MAX
#define CELL_CURSOR 0x10000u
#define ATTR_FONT 0x0800u /* of a cell: bit 3 of the attribute */

static uint32_t rows_of(const struct screen_mode *mode, const struct screen_band *band)
{
    return band->count ? (band->skip + band->count + mode->scans - 1) / mode->scans : 0;
}

/* Panned rows show a part of one cell more. */
static uint32_t cells_of(const struct screen_mode *mode, const struct screen_band *band)
{
    return mode->columns + (band->pan ? 1 : 0);
}

int screen_text_prepare(struct screen *screen, const struct screen_mode *mode)
{
    size_t count = 0;
    uint32_t *cells;

    for (unsigned i = 0; i < 2; i++)
        count += (size_t)rows_of(mode, &mode->bands[i]) * cells_of(mode, &mode->bands[i]);
    if (count == screen->cell_count || !count) /* which it never is */
        return 0;
    cells = malloc(count * sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    free(screen->cells);
    screen->cells = cells;
    screen->cell_count = count;
    return 0;
}

/* True: a glyph that is shown is another than it was. */
static bool read_font(struct screen *screen, unsigned which)
{
    uint32_t at = 4 * screen->mode.font[which];
    uint8_t *font = screen->font[which];
    bool changed = false;

    memset(screen->glyph_changed[which], 0, sizeof(screen->glyph_changed[which]));
    if (!screen_dirty(screen, at, at + 4 * sizeof(screen->font[which]) - 1))
        return false;
    for (uint32_t i = 0; i < sizeof(screen->font[which]); i++) {
        uint8_t planes[4];

        vga_load4(screen->vga, at + 4 * i, planes);
        if (planes[2] == font[i])
            continue;
        font[i] = planes[2];
        screen->glyph_changed[which][i / SCREEN_GLYPH_SIZE] = true;
        changed = true;
    }
    return changed;
}

static uint32_t read_cell(const struct screen *screen, uint32_t address)
{
    const struct screen_cursor *cursor = &screen->cursor;
    uint8_t planes[4];
    uint32_t cell;

    vga_load4(screen->vga, 4 * address, planes);
    cell = planes[0] | (uint32_t)planes[1] << 8;
    if (address == cursor->address && cursor->first <= cursor->last)
        cell |= CELL_CURSOR | cursor->first << 17 | cursor->last << 22;
    return cell;
}

/* A scan line of a cell, its first dot in bit 8. */
static uint32_t dots_of(const struct screen *screen, uint32_t cell, uint32_t scan)
{
    const struct screen_mode *mode = &screen->mode;
    uint32_t glyph = cell & 0xff, attribute = cell >> 8 & 0xff;
    uint32_t dots = (uint32_t)screen->font[cell & ATTR_FONT ? 1 : 0][glyph * SCREEN_GLYPH_SIZE + scan] << 1;

    if (mode->line_graphics && glyph >= 0xc0 && glyph <= 0xdf)
        dots |= dots >> 1 & 1;
    if (scan == mode->underline && (attribute & 0x77) == 0x01)
        dots = 0x1ff;
    if ((cell & CELL_CURSOR) && scan >= (cell >> 17 & 0x1f) && scan <= (cell >> 22 & 0x1f))
        dots = 0x1ff;
    return dots;
}

/* Draw what of it is inside of band; left and top of the cell may not be. */
static void draw_cell(struct screen *screen, const struct screen_band *band, uint32_t cell, int64_t left, int64_t top)
{
    const struct screen_mode *mode = &screen->mode;
    uint32_t attribute = cell >> 8 & 0xff;
    uint32_t colours[2] = {screen->palette.rgb[attribute >> 4 & (mode->blink ? 7 : 15)],
                           screen->palette.rgb[attribute & 15]};

    for (uint32_t scan = 0; scan < mode->scans; scan++) {
        int64_t y = top + scan;
        uint32_t dots;

        if (y < band->first || y >= (int64_t)band->first + band->count)
            continue;
        dots = dots_of(screen, cell, scan);
        for (uint32_t i = 0; i < mode->cell_width; i++) {
            if (left + i >= 0 && left + i < mode->width)
                screen->pixels[y * mode->width + left + i] = colours[dots >> (8 - i) & 1];
        }
    }
    screen->stats.cells++;
}

/* A row may show something else than cells says. The address counter has 16 bits. */
static bool row_dirty(const struct screen *screen, uint32_t address, uint32_t count)
{
    uint32_t last = address + count - 1;

    if (last > 0xffff && screen_dirty(screen, 0, 4 * (uint64_t)(last & 0xffff) + 3))
        return true;
    return screen_dirty(screen, 4 * (uint64_t)address, 4 * (uint64_t)(last > 0xffff ? 0xffff : last) + 3);
}

static uint32_t *draw_band(struct screen *screen, const struct screen_band *band, uint32_t *cells, bool compare_all)
{
    const struct screen_mode *mode = &screen->mode;
    uint32_t count = cells_of(mode, band), rows = rows_of(mode, band);

    for (uint32_t row = 0; row < rows; row++, cells += count) {
        uint32_t address = (band->start + row * mode->pitch) & 0xffff;
        int64_t top = (int64_t)band->first + (int64_t)row * mode->scans - band->skip;

        if (!compare_all && !row_dirty(screen, address, count))
            continue;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t cell = read_cell(screen, (address + i) & 0xffff);

            if (cell == cells[i] && !screen->glyph_changed[cell & ATTR_FONT ? 1 : 0][cell & 0xff])
                continue;
            cells[i] = cell;
            draw_cell(screen, band, cell, (int64_t)i * mode->cell_width - band->pan, top);
        }
    }
    return cells;
}

void screen_text_draw(struct screen *screen, bool whole)
{
    const struct screen_mode *mode = &screen->mode;
    bool fonts = read_font(screen, 0);
    uint32_t *cells = screen->cells;

    fonts = read_font(screen, 1) || fonts;
    for (size_t i = 0; whole && i < screen->cell_count; i++)
        cells[i] = CELL_NONE;
    for (unsigned i = 0; i < 2; i++)
        cells = draw_band(screen, &mode->bands[i], cells, whole || fonts || screen->everything);
}
