/* SPDX-License-Identifier: MIT */
/* pc/vga_internal.h - shared by the files of the VGA: vga.c, vga_regs.c, vga_mem.c, vga_dispi.c, vga_edid.c. */
#ifndef PC_VGA_INTERNAL_H
#define PC_VGA_INTERNAL_H

#include <endian.h>
#include <string.h>

#include "vga.h"

#define VGA_VRAM_SIZE 0x1000000u

#define VGA_SEQ_COUNT 8u
#define VGA_GFX_COUNT 9u
#define VGA_ATTR_COUNT 21u
#define VGA_CRTC_COUNT 25u
#define VGA_DISPI_COUNT 10u
#define VGA_EDID_SIZE 0x180u

/* Registers that more than one file looks at. */
#define SEQ_CLOCKING 1u
#define SEQ_MAP_MASK 2u
#define SEQ_CHAR_MAP 3u
#define SEQ_MEMORY_MODE 4u
#define SEQ_MEMORY_NO_OE 0x04u /* plain rather than odd/even addressing */
#define SEQ_MEMORY_CHAIN4 0x08u

#define DISPI_INDEX_ID 0u
#define DISPI_INDEX_XRES 1u
#define DISPI_INDEX_YRES 2u
#define DISPI_INDEX_BPP 3u
#define DISPI_INDEX_ENABLE 4u
#define DISPI_INDEX_BANK 5u
#define DISPI_INDEX_VIRT_WIDTH 6u
#define DISPI_INDEX_X_OFFSET 8u
#define DISPI_INDEX_Y_OFFSET 9u
#define VGA_DISPI_ID_LAST 0xb0c5u /* the newest version of the interface */
#define DISPI_ENABLED 0x01u
#define DISPI_8BIT_DAC 0x20u

#define GFX_MODE 5u
#define GFX_MISC 6u

#define ATTR_PAS 0x20u /* of the index: palette address source, the display uses the palette */

struct vga_ports {
    struct vga *vga;
    uint16_t base;
};

#define VGA_PORT_WINDOWS 6u

struct vga {
    struct pci_device pci;
    pthread_mutex_t *lock; /* of the registers; NULL: one thread has the machine */
    gmem_ram *vram_block;
    gmem_region *vram_region;
    uint8_t *vram;
    const void *shown_by; /* the screen that took the dirty pages last */

    uint8_t misc;
    uint8_t feature;
    uint8_t seq_index, seq[VGA_SEQ_COUNT];
    uint8_t gfx_index, gfx[16];
    uint8_t attr_index, attr[VGA_ATTR_COUNT];
    bool attr_data; /* the next write to 0x3c0 is data, not an index */
    uint8_t crtc_index, crtc[VGA_CRTC_COUNT];
    uint8_t status1;

    uint8_t dac[256][3];
    uint8_t dac_mask, dac_state, dac_read, dac_write, dac_component;
    uint8_t dac_latch[3];

    uint32_t latch; /* one byte a plane */

    uint16_t dispi_index, dispi[VGA_DISPI_COUNT];
    bool big_endian; /* of the frame buffer, as a display would show it */

    uint8_t edid[VGA_EDID_SIZE];
    struct vga_ports windows[VGA_PORT_WINDOWS];
};

/*
 * Video memory is written by whoever holds the lock and read by screens without it, so in pieces that are never torn. What
 * was written is marked after it (gmem/ram.h), or a screen would not draw it.
 */
static inline void vga_mark(struct vga *vga, uint32_t at, uint32_t size)
{
    /* Refuses only what is outside of the block. */
    if (gmem_ram_dirty_mark(vga->vram_block, at, size))
        vga->shown_by = NULL;
}

static inline void vga_store8(struct vga *vga, uint32_t at, uint8_t value)
{
    __atomic_store_n(&vga->vram[at], value, __ATOMIC_RELAXED);
    vga_mark(vga, at, 1);
}

/* The four planes' bytes number at / 4, plane 0 lowest. at is a multiple of 4. */
static inline void vga_store32(struct vga *vga, uint32_t at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)&vga->vram[at], htole32(value), __ATOMIC_RELAXED);
    vga_mark(vga, at, 4);
}

/* Four bytes of video memory in their order. at is a multiple of 4. */
static inline void vga_load4(const struct vga *vga, uint32_t at, uint8_t ret_bytes[4])
{
    uint32_t word = __atomic_load_n((const uint32_t *)(const void *)&vga->vram[at], __ATOMIC_RELAXED);

    memcpy(ret_bytes, &word, sizeof(word));
}

/* vga_regs.c: the ports 0x3b4 to 0x3df */
uint8_t vga_port_read(struct vga *vga, uint16_t port);
void vga_port_write(struct vga *vga, uint16_t port, uint8_t value);

/* vga_mem.c: the window at 0xa0000 */
extern const struct gmem_mmio_ops vga_mem_ops;

/* vga_dispi.c: the Bochs display interface */
uint16_t vga_dispi_read(const struct vga *vga, unsigned index);
void vga_dispi_write(struct vga *vga, unsigned index, uint16_t value);

/* vga_edid.c */
void vga_edid_fill(uint8_t edid[VGA_EDID_SIZE]);

#endif
