/* SPDX-License-Identifier: MIT */
/*
 * pc/vga_edid.c - the display's description, as firmware and drivers read it from the VGA's MMIO BAR.
 *
 * VESA Enhanced EDID Standard, release A, revision 1 (EDID 1.4): one block of 128 bytes that describes a display of
 * 1280x800 at 60 Hz (CVT reduced blanking), without extensions. The rest of the area is zero.
 */
#include "vga_internal.h"

#include <string.h>

#define BLOCK 128u

static void put_timing(uint8_t *at)
{
    /* Pixel clock 71 MHz; 1280 + 160 pixels, 800 + 23 lines; sync after 48 pixels for 32 and after 3 lines for 6. */
    static const uint8_t timing[18] = {7100 & 0xff, 7100 >> 8, 1280 & 0xff,   160, 1280 >> 8 << 4 | 160 >> 8,
                                       800 & 0xff,  23,        800 >> 8 << 4, 48,  32,
                                       3 << 4 | 6,  0,         325 & 0xff,    203, 325 >> 8 << 4,
                                       0,           0,         0x1e};

    memcpy(at, timing, sizeof(timing));
}

static void put_text(uint8_t *at, uint8_t tag, const char *text)
{
    size_t len = strlen(text);

    at[3] = tag;
    memset(at + 5, ' ', 13);
    memcpy(at + 5, text, len);
    at[5 + len] = '\n';
}

void vga_edid_fill(uint8_t edid[VGA_EDID_SIZE])
{
    static const uint8_t head[] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,             /* header */
        0x1d, 0xad,                                                 /* manufacturer: GMM, in five bits a letter */
        0x01, 0x00, 0x01, 0x00, 0x00, 0x00,                         /* product, serial number */
        0x01, 36,                                                   /* week 1 of 2026 */
        1,    4,                                                    /* EDID 1.4 */
        0xa5, 33,   20,   120,                                      /* digital, 8 bits a colour; cm; gamma 2.2 */
        0x06,                                                       /* sRGB, preferred timing is native */
        0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, /* sRGB primaries */
        0x21, 0x08, 0x00,                                           /* 640x480, 800x600, 1024x768 at 60 Hz */
    };
    uint8_t sum = 0;

    memset(edid, 0, VGA_EDID_SIZE);
    memcpy(edid, head, sizeof(head));
    memset(edid + 38, 0x01, 16); /* no standard timings */
    put_timing(edid + 54);
    put_text(edid + 72, 0xfc, "gmem");
    edid[90 + 3] = 0x10; /* two unused descriptors */
    edid[108 + 3] = 0x10;
    for (unsigned i = 0; i < BLOCK - 1; i++)
        sum = (uint8_t)(sum + edid[i]);
    edid[BLOCK - 1] = (uint8_t)-sum;
}
