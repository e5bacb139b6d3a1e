/* SPDX-License-Identifier: MIT */
/*
 * pc/vga_dispi.c - the Bochs display interface: resolution and depth by indexed 16-bit registers.
 *
 * Bochs VBE display API (vbe-dispi, public documentation of the Bochs project), versions 0xb0c0 to 0xb0c5, and QEMU's
 * docs/specs/standard-vga. Resolution and depth are taken while disabled; enabling checks them, sets the virtual size
 * and, unless NOCLEARMEM, clears the memory.
 *
 * Runs under the machine's device lock.
 */
#include "vga_internal.h"

#define INDEX_VIRT_HEIGHT 7u
#define INDEX_VIDEO_MEMORY_64K 10u

#define ID_FIRST 0xb0c0u

#define GETCAPS 0x02u
#define LFB 0x40u
#define NOCLEARMEM 0x80u

#define MAX_XRES 16000u
#define MAX_YRES 12000u
#define MAX_BPP 32u

uint16_t vga_dispi_read(const struct vga *vga, unsigned index)
{
    if (index == INDEX_VIDEO_MEMORY_64K)
        return VGA_VRAM_SIZE >> 16;
    if (index >= VGA_DISPI_COUNT)
        return 0;
    if (vga->dispi[DISPI_INDEX_ENABLE] & GETCAPS) {
        if (index == DISPI_INDEX_XRES)
            return MAX_XRES;
        if (index == DISPI_INDEX_YRES)
            return MAX_YRES;
        if (index == DISPI_INDEX_BPP)
            return MAX_BPP;
    }
    return vga->dispi[index];
}

/* Bytes a line of width pixels takes; 4 bits a pixel is planar. */
static uint32_t line_bytes(const struct vga *vga, uint32_t width)
{
    unsigned bpp = vga->dispi[DISPI_INDEX_BPP];

    return bpp == 4 ? width / 2 : width * ((bpp + 7) / 8);
}

static void set_virtual_width(struct vga *vga, uint32_t width)
{
    uint32_t line, height;

    if (width < vga->dispi[DISPI_INDEX_XRES])
        width = vga->dispi[DISPI_INDEX_XRES];
    line = line_bytes(vga, width);
    if (!line)
        return;
    height = VGA_VRAM_SIZE / line;
    if (height < vga->dispi[DISPI_INDEX_YRES])
        return;
    vga->dispi[DISPI_INDEX_VIRT_WIDTH] = (uint16_t)width;
    vga->dispi[INDEX_VIRT_HEIGHT] = height > UINT16_MAX ? UINT16_MAX : (uint16_t)height;
}

static bool mode_fits(const struct vga *vga)
{
    uint32_t xres = vga->dispi[DISPI_INDEX_XRES], yres = vga->dispi[DISPI_INDEX_YRES];

    return xres && yres && vga->dispi[DISPI_INDEX_BPP] && line_bytes(vga, xres) <= VGA_VRAM_SIZE / yres;
}

/* mode_fits() */
static void clear_memory(struct vga *vga, uint32_t size)
{
    uint64_t *words = (uint64_t *)(void *)vga->vram;

    size = (size + 7) & ~7u;
    for (uint32_t i = 0; i < size / 8; i++)
        __atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
    if (size)
        vga_mark(vga, 0, size);
}

static void write_enable(struct vga *vga, uint16_t value)
{
    bool was = vga->dispi[DISPI_INDEX_ENABLE] & DISPI_ENABLED;

    if ((value & DISPI_ENABLED) && !was) {
        if (!mode_fits(vga))
            value &= (uint16_t)~DISPI_ENABLED;
        else if (!(value & NOCLEARMEM))
            clear_memory(vga, line_bytes(vga, vga->dispi[DISPI_INDEX_XRES]) * vga->dispi[DISPI_INDEX_YRES]);
        vga->dispi[DISPI_INDEX_X_OFFSET] = vga->dispi[DISPI_INDEX_Y_OFFSET] = 0;
        vga->dispi[DISPI_INDEX_VIRT_WIDTH] = 0;
        set_virtual_width(vga, 0);
    }
    vga->dispi[DISPI_INDEX_BANK] = 0;
    vga->dispi[DISPI_INDEX_ENABLE] = value & (DISPI_ENABLED | GETCAPS | DISPI_8BIT_DAC | LFB | NOCLEARMEM);
}

static void write_mode(struct vga *vga, unsigned index, uint16_t value)
{
    static const uint16_t limits[] = {
        [DISPI_INDEX_XRES] = MAX_XRES, [DISPI_INDEX_YRES] = MAX_YRES, [DISPI_INDEX_BPP] = MAX_BPP};

    if (vga->dispi[DISPI_INDEX_ENABLE] & DISPI_ENABLED)
        return;
    if (index == DISPI_INDEX_BPP && value == 0)
        value = 8;
    if (value > limits[index] || (index == DISPI_INDEX_BPP && value != 4 && value != 8 && value != 15 && value != 16 &&
                                  value != 24 && value != 32))
        return;
    vga->dispi[index] = value;
}

void vga_dispi_write(struct vga *vga, unsigned index, uint16_t value)
{
    switch (index) {
    case DISPI_INDEX_ID:
        if (value >= ID_FIRST && value <= VGA_DISPI_ID_LAST)
            vga->dispi[index] = value;
        break;
    case DISPI_INDEX_XRES:
    case DISPI_INDEX_YRES:
    case DISPI_INDEX_BPP:
        write_mode(vga, index, value);
        break;
    case DISPI_INDEX_ENABLE:
        write_enable(vga, value);
        break;
    case DISPI_INDEX_BANK:
        if (value < VGA_VRAM_SIZE >> 16)
            vga->dispi[index] = value;
        break;
    case DISPI_INDEX_VIRT_WIDTH:
        set_virtual_width(vga, value);
        break;
    case DISPI_INDEX_X_OFFSET:
    case DISPI_INDEX_Y_OFFSET:
        vga->dispi[index] = value;
        break;
    default:
        break;
    }
}
