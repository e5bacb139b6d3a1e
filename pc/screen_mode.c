/* SPDX-License-Identifier: MIT */
/*
 * pc/screen_mode.c - what the VGA's registers say of the picture. Pure: reads registers, writes a mode.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem": clocking mode, character map select,
 * graphics mode and miscellaneous, attribute controller, CRT controller, video DAC. The Bochs VBE display interface
 * (public documentation of the Bochs project) for linear modes.
 *
 * The CRT controller counts characters, rows and scan lines. Its address counter gives an address of each plane: as it
 * is, doubled (word mode) or times four. The processor's odd/even and chain-4 addressing use every second or fourth
 * address of a plane, and vga_mem.c keeps only those; so where both agree the counter is the place in video memory.
 *
 * Runs under the machine's device lock.
 */
#include "screen_internal.h"

#define CRTC_DISPLAY_END 0x01u
#define CRTC_OVERFLOW 0x07u
#define CRTC_PRESET_ROW 0x08u
#define CRTC_MAX_SCAN 0x09u
#define CRTC_CURSOR_START 0x0au
#define CRTC_CURSOR_END 0x0bu
#define CRTC_START 0x0cu
#define CRTC_CURSOR 0x0eu
#define CRTC_LINES 0x12u
#define CRTC_OFFSET 0x13u
#define CRTC_UNDERLINE 0x14u
#define CRTC_MODE 0x17u
#define CRTC_LINE_COMPARE 0x18u

#define MAX_SCAN_DOUBLE 0x80u
#define CURSOR_OFF 0x20u
#define UNDERLINE_DWORD 0x40u
#define MODE_KEEP_13 0x01u
#define MODE_KEEP_14 0x02u
#define MODE_TWICE 0x04u /* the vertical counter counts every second line */
#define MODE_BYTE 0x40u
#define MODE_RUN 0x80u

#define ATTR_MODE 0x10u
#define ATTR_PLANES 0x12u
#define ATTR_PAN 0x13u
#define ATTR_COLOUR_SELECT 0x14u
#define ATTR_MODE_MONO 0x02u
#define ATTR_MODE_LINE_GRAPHICS 0x04u
#define ATTR_MODE_BLINK 0x08u
#define ATTR_MODE_PAN_UPPER 0x20u /* the lower part of a split screen is not panned */
#define ATTR_MODE_SELECT_54 0x80u

#define SEQ_RUN 0x03u
#define SEQ_CLOCKING_8_DOTS 0x01u
#define SEQ_CLOCKING_OFF 0x20u

#define GFX_MISC_GRAPHICS 0x01u
#define GFX_MODE_PAIRS 0x20u
#define GFX_MODE_256 0x40u

#define OFF_WIDTH 720u
#define OFF_HEIGHT 400u

static uint32_t crtc16(const struct vga *vga, unsigned high)
{
    return (uint32_t)vga->crtc[high] << 8 | vga->crtc[high + 1];
}

static bool is_linear(const struct vga *vga)
{
    return vga->dispi[DISPI_INDEX_ENABLE] & DISPI_ENABLED;
}

static bool is_on(const struct vga *vga)
{
    if (!(vga->attr_index & ATTR_PAS) || (vga->seq[SEQ_CLOCKING] & SEQ_CLOCKING_OFF))
        return false;
    return is_linear(vga) || ((vga->crtc[CRTC_MODE] & MODE_RUN) && (vga->seq[0] & SEQ_RUN) == SEQ_RUN);
}

static void read_linear(const struct vga *vga, struct screen_mode *mode)
{
    static const enum screen_format formats[] = {SCREEN_INDEX8, SCREEN_RGB565, SCREEN_RGB888, SCREEN_XRGB8888};
    unsigned bpp = vga->dispi[DISPI_INDEX_BPP];

    mode->linear = true;
    mode->width = vga->dispi[DISPI_INDEX_XRES];
    mode->height = vga->dispi[DISPI_INDEX_YRES];
    mode->virtual_width = vga->dispi[DISPI_INDEX_VIRT_WIDTH];
    mode->x = vga->dispi[DISPI_INDEX_X_OFFSET];
    mode->y = vga->dispi[DISPI_INDEX_Y_OFFSET];
    if (bpp == 4)
        mode->format = SCREEN_PLANAR;
    else if (bpp == 15)
        mode->format = SCREEN_RGB555;
    else
        mode->format = formats[bpp / 8 - 1];
    mode->big_endian = bpp > 8 && vga->big_endian;
    mode->bands[0].count = mode->height;
}

/* Pixels that a row begins left of the picture. */
static uint32_t read_pan(const struct vga *vga, const struct screen_mode *mode)
{
    unsigned pan = vga->attr[ATTR_PAN] & 0x0f;

    if (mode->kind == SCREEN_TEXT && mode->cell_width == 9)
        return pan >= 8 ? 0 : pan + 1;
    if (mode->kind == SCREEN_GRAPHICS && mode->format == SCREEN_INDEX8)
        return pan / 2 & 3;
    return pan & 7;
}

/* factor: scan lines, as the line compare counts them, to a line of the picture. */
static void read_bands(const struct vga *vga, struct screen_mode *mode, uint32_t factor)
{
    uint32_t compare = vga->crtc[CRTC_LINE_COMPARE] | (vga->crtc[CRTC_OVERFLOW] & 0x10u) << 4 |
                       (vga->crtc[CRTC_MAX_SCAN] & 0x40u) << 3;
    uint32_t twice = vga->crtc[CRTC_MODE] & MODE_TWICE ? 2 : 1;
    uint32_t split = ((compare + 1) * twice + factor - 1) / factor;
    struct screen_band *upper = &mode->bands[0], *lower = &mode->bands[1];
    unsigned byte_pan = vga->crtc[CRTC_PRESET_ROW] >> 5 & 3;

    upper->start = crtc16(vga, CRTC_START) + byte_pan;
    upper->skip = vga->crtc[CRTC_PRESET_ROW] & 0x1f;
    upper->pan = read_pan(vga, mode);
    upper->count = mode->height;
    if (split >= mode->height)
        return;
    upper->count = split;
    lower->first = split;
    lower->count = mode->height - split;
    if (!(vga->attr[ATTR_MODE] & ATTR_MODE_PAN_UPPER)) {
        lower->start = byte_pan;
        lower->pan = upper->pan;
    }
}

/* Character map select: three bits that name 8 KiB of plane 2, the even ones first. */
static uint32_t font_at(unsigned map)
{
    return (map & 3) * 0x4000 + (map >> 2) * 0x2000;
}

static void read_text(const struct vga *vga, struct screen_mode *mode, uint32_t scan_lines, uint32_t doubled)
{
    unsigned select = vga->seq[SEQ_CHAR_MAP], attributes = vga->attr[ATTR_MODE];

    mode->kind = SCREEN_TEXT;
    mode->cell_width = vga->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8_DOTS ? 8 : 9;
    mode->width = mode->columns * mode->cell_width;
    mode->height = (scan_lines + doubled - 1) / doubled;
    mode->font[0] = font_at((select & 3) | (select >> 2 & 4));
    mode->font[1] = font_at((select >> 2 & 3) | (select >> 3 & 4));
    mode->blink = attributes & ATTR_MODE_BLINK;
    mode->line_graphics = attributes & ATTR_MODE_LINE_GRAPHICS;
    mode->underline = attributes & ATTR_MODE_MONO ? vga->crtc[CRTC_UNDERLINE] & 0x1f : UINT32_MAX;
    read_bands(vga, mode, doubled);
}

static void read_graphics(const struct vga *vga, struct screen_mode *mode, uint32_t scan_lines, uint32_t doubled)
{
    unsigned control = vga->crtc[CRTC_MODE];

    mode->kind = SCREEN_GRAPHICS;
    mode->format = vga->gfx[GFX_MODE] & GFX_MODE_256     ? SCREEN_INDEX8
                   : vga->gfx[GFX_MODE] & GFX_MODE_PAIRS ? SCREEN_PAIRS
                                                         : SCREEN_PLANAR;
    mode->width = mode->columns * (mode->format == SCREEN_INDEX8 ? 4 : 8);
    mode->row_13 = !(control & MODE_KEEP_13);
    mode->row_14 = !(control & MODE_KEEP_14);
    /* Scan lines of a row that show the same are one line. */
    mode->collapse = mode->row_13 || mode->row_14 ? 1 : mode->scans;
    mode->height = (scan_lines + doubled * mode->collapse - 1) / (doubled * mode->collapse);
    mode->show_shift = vga->crtc[CRTC_UNDERLINE] & UNDERLINE_DWORD ? 2 : control & MODE_BYTE ? 0 : 1;
    if (vga->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4)
        mode->keep_shift = 2;
    else
        mode->keep_shift = vga->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_NO_OE ? 0 : 1;
    read_bands(vga, mode, doubled * mode->collapse);
}

void screen_read_mode(const struct vga *vga, struct screen_mode *mode)
{
    uint32_t lines =
        vga->crtc[CRTC_LINES] | (vga->crtc[CRTC_OVERFLOW] & 0x02u) << 7 | (vga->crtc[CRTC_OVERFLOW] & 0x40u) << 3;
    uint32_t scan_lines = (lines + 1) * (vga->crtc[CRTC_MODE] & MODE_TWICE ? 2 : 1);
    uint32_t doubled = vga->crtc[CRTC_MAX_SCAN] & MAX_SCAN_DOUBLE ? 2 : 1;
    bool linear = is_linear(vga);

    memset(mode, 0, sizeof(*mode));
    mode->columns = vga->crtc[CRTC_DISPLAY_END] + 1u;
    mode->pitch = vga->crtc[CRTC_OFFSET] * 2u;
    mode->scans = (vga->crtc[CRTC_MAX_SCAN] & 0x1fu) + 1;
    if (linear) {
        memset(mode, 0, sizeof(*mode));
        mode->kind = SCREEN_GRAPHICS;
        read_linear(vga, mode);
    } else if (vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) {
        read_graphics(vga, mode, scan_lines, doubled);
    } else {
        read_text(vga, mode, scan_lines, doubled);
    }
    if (!is_on(vga)) {
        bool sized = linear || (vga->crtc[CRTC_DISPLAY_END] && lines);
        uint32_t width = sized ? mode->width : OFF_WIDTH, height = sized ? mode->height : OFF_HEIGHT;

        memset(mode, 0, sizeof(*mode));
        mode->kind = SCREEN_BLANK;
        mode->width = width;
        mode->height = height;
    }
}

static uint32_t dac_colour(const struct vga *vga, unsigned index)
{
    const uint8_t *entry = vga->dac[index & vga->dac_mask];
    bool wide = vga->dispi[DISPI_INDEX_ENABLE] & DISPI_8BIT_DAC;
    uint32_t rgb = 0;

    for (unsigned i = 0; i < 3; i++) {
        unsigned level = entry[i];

        if (!wide)
            level = (level & 0x3f) << 2 | (level & 0x3f) >> 4;
        rgb = rgb << 8 | level;
    }
    return rgb;
}

/* What the attribute controller makes of four bits. */
static unsigned dac_index(const struct vga *vga, unsigned colour)
{
    unsigned select = vga->attr[ATTR_COLOUR_SELECT];
    unsigned index = vga->attr[colour & vga->attr[ATTR_PLANES] & 0x0f] & 0x3fu;

    if (vga->attr[ATTR_MODE] & ATTR_MODE_SELECT_54)
        index = (index & 0x0f) | (select & 0x03) << 4;
    return index | (select & 0x0c) << 4;
}

void screen_read_palette(const struct vga *vga, const struct screen_mode *mode, struct screen_palette *palette)
{
    memset(palette, 0, sizeof(*palette));
    if (mode->kind == SCREEN_GRAPHICS && mode->format == SCREEN_INDEX8)
        palette->colours = 256;
    else if (mode->kind == SCREEN_TEXT || (mode->kind == SCREEN_GRAPHICS && mode->format <= SCREEN_PAIRS))
        palette->colours = 16;
    for (unsigned i = 0; i < palette->colours; i++)
        palette->rgb[i] = dac_colour(vga, palette->colours == 16 ? dac_index(vga, i) : i);
}

void screen_read_cursor(const struct vga *vga, struct screen_cursor *cursor)
{
    unsigned start = vga->crtc[CRTC_CURSOR_START], end = vga->crtc[CRTC_CURSOR_END];

    cursor->address = (crtc16(vga, CRTC_CURSOR) + (end >> 5 & 3)) & 0xffff;
    cursor->first = start & CURSOR_OFF ? SCREEN_GLYPH_SIZE : start & 0x1f;
    cursor->last = end & 0x1f;
}
