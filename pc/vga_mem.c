/* SPDX-License-Identifier: MIT */
/*
 * pc/vga_mem.c - the window at 0xa0000 to 0xbffff on the VGA's four planes.
 *
 * IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem": sequencer map mask (2) and memory mode
 * (4), graphics controller registers 0 to 8, latches, read modes 0 and 1, write modes 0 to 3.
 *
 * Byte n of plane p is byte 4 * n + p of video memory. So text in odd/even addressing has its characters in bytes 0, 4,
 * 8... of video memory and its attributes in 1, 5, 9..., and a chain-4 mode is a plain array.
 * While the Bochs display interface is enabled with 8 bits a pixel or more, the first 64 KiB of the window are its bank.
 *
 * Runs under the machine's device lock. What is written is marked dirty, for the display.
 */
#include "vga_internal.h"

#define GFX_SET_RESET 0u
#define GFX_ENABLE_SET_RESET 1u
#define GFX_COLOUR_COMPARE 2u
#define GFX_DATA_ROTATE 3u
#define GFX_READ_MAP 4u
#define GFX_DONT_CARE 7u
#define GFX_BIT_MASK 8u

#define MODE_READ1 0x08u
#define MODE_ODD_EVEN 0x10u

#define PLANE_BYTES (VGA_VRAM_SIZE / 4)
#define BANK_SIZE 0x10000u

/* Four planes' worth of bits from one bit a plane. */
static uint32_t spread(unsigned planes)
{
    uint32_t value = 0;

    for (unsigned plane = 0; plane < 4; plane++) {
        if (planes & 1u << plane)
            value |= 0xffu << (8 * plane);
    }
    return value;
}

static bool banked(const struct vga *vga)
{
    return (vga->dispi[DISPI_INDEX_ENABLE] & DISPI_ENABLED) && vga->dispi[DISPI_INDEX_BPP] >= 8;
}

/* Where in its memory map (GFX_MISC) the window's byte is. False: that part of the window is closed. */
static bool map_window(const struct vga *vga, uint32_t *at)
{
    static const struct {
        uint32_t first, size;
    } maps[4] = {{0x00000, 0x20000}, {0x00000, 0x10000}, {0x10000, 0x08000}, {0x18000, 0x08000}};
    unsigned map = vga->gfx[GFX_MISC] >> 2 & 3;

    if (*at < maps[map].first || *at - maps[map].first >= maps[map].size)
        return false;
    *at -= maps[map].first;
    return true;
}

static uint32_t load_planes(const struct vga *vga, uint32_t n)
{
    return pci_get32(vga->vram + 4 * (size_t)(n % PLANE_BYTES));
}

static uint8_t compare(const struct vga *vga, uint32_t planes)
{
    uint32_t care = spread(vga->gfx[GFX_DONT_CARE]);
    uint32_t differ = (planes ^ spread(vga->gfx[GFX_COLOUR_COMPARE])) & care;

    return (uint8_t) ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

static uint8_t read_byte(struct vga *vga, uint32_t at)
{
    if (banked(vga))
        return at < BANK_SIZE ? vga->vram[(vga->dispi[DISPI_INDEX_BANK] * BANK_SIZE + at) % VGA_VRAM_SIZE] : 0xff;
    if (!map_window(vga, &at))
        return 0xff;
    if (vga->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        vga->latch = load_planes(vga, at >> 2);
        return vga->vram[at];
    }
    if (vga->gfx[GFX_MODE] & MODE_ODD_EVEN) {
        vga->latch = load_planes(vga, at >> 1);
        return (uint8_t)(vga->latch >> (8 * ((vga->gfx[GFX_READ_MAP] & 2) | (at & 1))));
    }
    vga->latch = load_planes(vga, at);
    if (vga->gfx[GFX_MODE] & MODE_READ1)
        return compare(vga, vga->latch);
    return (uint8_t)(vga->latch >> (8 * (vga->gfx[GFX_READ_MAP] & 3)));
}

static uint8_t rotate(const struct vga *vga, uint8_t value)
{
    unsigned count = vga->gfx[GFX_DATA_ROTATE] & 7;

    return (uint8_t)(value >> count | value << (8 - count));
}

static uint32_t combine(const struct vga *vga, uint32_t value, uint32_t bit_mask)
{
    switch (vga->gfx[GFX_DATA_ROTATE] >> 3 & 3) {
    case 1:
        value &= vga->latch;
        break;
    case 2:
        value |= vga->latch;
        break;
    case 3:
        value ^= vga->latch;
        break;
    default:
        break;
    }
    return (value & bit_mask) | (vga->latch & ~bit_mask);
}

/* What the graphics controller makes of a byte from the processor, for all planes. */
static uint32_t graphics(const struct vga *vga, uint8_t byte)
{
    const uint8_t *gfx = vga->gfx;
    uint32_t bit_mask = gfx[GFX_BIT_MASK] * 0x01010101u;
    uint32_t set_reset = spread(gfx[GFX_SET_RESET]);
    uint32_t enable;

    switch (gfx[GFX_MODE] & 3) {
    case 0:
        enable = spread(gfx[GFX_ENABLE_SET_RESET]);
        return combine(vga, ((rotate(vga, byte) * 0x01010101u) & ~enable) | (set_reset & enable), bit_mask);
    case 1:
        return vga->latch;
    case 2:
        return combine(vga, spread(byte), bit_mask);
    default:
        return combine(vga, set_reset, bit_mask & (rotate(vga, byte) * 0x01010101u));
    }
}

static void store_planes(struct vga *vga, uint32_t n, uint32_t value, unsigned planes)
{
    uint32_t mask = spread(planes);

    vga_store32(vga, 4 * (n % PLANE_BYTES), (load_planes(vga, n) & ~mask) | (value & mask));
}

static void write_byte(struct vga *vga, uint32_t at, uint8_t value)
{
    unsigned planes = vga->seq[SEQ_MAP_MASK];

    if (banked(vga)) {
        if (at < BANK_SIZE)
            vga_store8(vga, (vga->dispi[DISPI_INDEX_BANK] * BANK_SIZE + at) % VGA_VRAM_SIZE, value);
        return;
    }
    if (!map_window(vga, &at))
        return;
    if (vga->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        if (planes & 1u << (at & 3))
            vga_store8(vga, at, value);
    } else if (!(vga->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_NO_OE)) {
        store_planes(vga, at >> 1, graphics(vga, value), planes & (at & 1 ? 0xau : 0x5u));
    } else {
        store_planes(vga, at, graphics(vga, value), planes);
    }
}

static gmem_result mem_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t *ret_value)
{
    (void)size, (void)attrs;
    *ret_value = read_byte(opaque, (uint32_t)offset);
    return GMEM_OK;
}

static gmem_result mem_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)size, (void)attrs;
    write_byte(opaque, (uint32_t)offset, (uint8_t)value);
    return GMEM_OK;
}

const struct gmem_mmio_ops vga_mem_ops = {
    .read = mem_read,
    .write = mem_write,
    .endian = GMEM_ENDIAN_LITTLE,
    .valid = {.min = 1, .max = 8, .unaligned = true},
    .impl = {.min = 1, .max = 1},
};
