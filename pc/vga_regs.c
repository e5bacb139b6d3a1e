/* SPDX-License-Identifier: MIT */
/*
 * pc/vga_regs.c - the VGA's ports: miscellaneous output, sequencer, graphics controller, attribute controller, CRT
 * controller, palette.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; indices and widths as in the FreeVGA
 * documentation. The CRT controller and status 1 answer at 0x3dx or 0x3bx, as bit 0 of the miscellaneous output says.
 *
 * No time passes on this display: each read of status 1 finds the beam in the other half of a frame, so that whoever waits
 * for the retrace or for its end gets there.
 *
 * Runs under the machine's device lock.
 */
#include "vga_internal.h"

#include <string.h>

#define MISC_COLOUR 0x01u

#define ATTR_INDEX_MASK 0x1fu

#define CRTC_PROTECT_INDEX 0x11u /* its bit 7 protects 0 to 7 */
#define CRTC_PROTECT 0x80u
#define CRTC_OVERFLOW 0x07u
#define CRTC_LINE_COMPARE 0x10u /* of CRTC_OVERFLOW; stays writable */

#define STATUS1_DISABLED 0x01u
#define STATUS1_RETRACE 0x08u

#define DAC_STATE_READ 0x03u
#define DAC_STATE_WRITE 0x00u

static const uint8_t seq_masks[VGA_SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_masks[VGA_GFX_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

static uint8_t read_dac(struct vga *vga)
{
    uint8_t value = vga->dac[vga->dac_read][vga->dac_component];

    if (++vga->dac_component == 3) {
        vga->dac_component = 0;
        vga->dac_read++;
    }
    return value;
}

static void write_dac(struct vga *vga, uint8_t value)
{
    vga->dac_latch[vga->dac_component] = value;
    if (++vga->dac_component == 3) {
        memcpy(vga->dac[vga->dac_write++], vga->dac_latch, 3);
        vga->dac_component = 0;
    }
}

static uint8_t read_status1(struct vga *vga)
{
    vga->attr_data = false;
    vga->status1 ^= STATUS1_DISABLED | STATUS1_RETRACE;
    return vga->status1;
}

static void write_attr(struct vga *vga, uint8_t value)
{
    unsigned index = vga->attr_index & ATTR_INDEX_MASK;

    if (!vga->attr_data)
        vga->attr_index = value & (ATTR_INDEX_MASK | ATTR_PAS);
    else if (index < VGA_ATTR_COUNT)
        vga->attr[index] = index < 16 ? value & 0x3f : value;
    vga->attr_data = !vga->attr_data;
}

static void write_crtc(struct vga *vga, uint8_t value)
{
    unsigned index = vga->crtc_index;

    if (index >= VGA_CRTC_COUNT)
        return;
    if (index <= CRTC_OVERFLOW && (vga->crtc[CRTC_PROTECT_INDEX] & CRTC_PROTECT)) {
        if (index == CRTC_OVERFLOW)
            vga->crtc[index] = (uint8_t)((vga->crtc[index] & ~CRTC_LINE_COMPARE) | (value & CRTC_LINE_COMPARE));
        return;
    }
    vga->crtc[index] = value;
}

/* The ports that move with MISC_COLOUR, as 0x3dx. False: they are at the other place. */
static bool move_port(const struct vga *vga, uint16_t *port)
{
    bool mono = *port < 0x3c0;

    if (*port >= 0x3c0 && *port < 0x3d0)
        return true;
    if (mono)
        *port = (uint16_t)(*port + 0x20);
    return mono != (bool)(vga->misc & MISC_COLOUR);
}

uint8_t vga_port_read(struct vga *vga, uint16_t port)
{
    if (!move_port(vga, &port))
        return 0xff;
    switch (port) {
    case 0x3c0:
        return vga->attr_data ? 0 : vga->attr_index;
    case 0x3c1:
        return (vga->attr_index & ATTR_INDEX_MASK) < VGA_ATTR_COUNT ? vga->attr[vga->attr_index & ATTR_INDEX_MASK] : 0;
    case 0x3c2: /* status 0: no interrupt, monitor sense */
        return 0x10;
    case 0x3c4:
        return vga->seq_index;
    case 0x3c5:
        return vga->seq[vga->seq_index];
    case 0x3c6:
        return vga->dac_mask;
    case 0x3c7:
        return vga->dac_state;
    case 0x3c8:
        return vga->dac_write;
    case 0x3c9:
        return read_dac(vga);
    case 0x3ca:
        return vga->feature;
    case 0x3cc:
        return vga->misc;
    case 0x3ce:
        return vga->gfx_index;
    case 0x3cf:
        return vga->gfx[vga->gfx_index];
    case 0x3d4:
        return vga->crtc_index;
    case 0x3d5:
        return vga->crtc_index < VGA_CRTC_COUNT ? vga->crtc[vga->crtc_index] : 0;
    case 0x3da:
        return read_status1(vga);
    default:
        return 0xff;
    }
}

void vga_port_write(struct vga *vga, uint16_t port, uint8_t value)
{
    if (!move_port(vga, &port))
        return;
    switch (port) {
    case 0x3c0:
        write_attr(vga, value);
        break;
    case 0x3c2:
        vga->misc = value & 0xef;
        break;
    case 0x3c4:
        vga->seq_index = value & (VGA_SEQ_COUNT - 1);
        break;
    case 0x3c5:
        vga->seq[vga->seq_index] = value & seq_masks[vga->seq_index];
        break;
    case 0x3c6:
        vga->dac_mask = value;
        break;
    case 0x3c7:
        vga->dac_read = value;
        vga->dac_component = 0;
        vga->dac_state = DAC_STATE_READ;
        break;
    case 0x3c8:
        vga->dac_write = value;
        vga->dac_component = 0;
        vga->dac_state = DAC_STATE_WRITE;
        break;
    case 0x3c9:
        write_dac(vga, value);
        break;
    case 0x3ce:
        vga->gfx_index = value & 0x0f;
        break;
    case 0x3cf:
        if (vga->gfx_index < VGA_GFX_COUNT)
            vga->gfx[vga->gfx_index] = value & gfx_masks[vga->gfx_index];
        break;
    case 0x3d4:
        vga->crtc_index = value;
        break;
    case 0x3d5:
        write_crtc(vga, value);
        break;
    case 0x3da:
        vga->feature = value & 0x10;
        break;
    default:
        break;
    }
}
