/* SPDX-License-Identifier: MIT */
/* pc/vga.h - the standard VGA: an IBM VGA with the Bochs display interface, PCI 1234:1111. */
#ifndef PC_VGA_H
#define PC_VGA_H

#include <pthread.h>

#include "pci.h"

struct vga;

/*
 * Create it as device 2, function 0, without its window at 0xa0000. option_rom holds rom_len bytes, 1 to 64 KiB, for
 * the ROM BAR; copied. Video memory is 16 MiB and dirty-logged for a display.
 */
int vga_create(struct pci_bus *bus, const void *option_rom, size_t rom_len, struct vga **ret) GMEM_MUST_CHECK;

/* Place the window at 0xa0000 to 0xbffff on the bus. */
int vga_place_window(struct vga *vga) GMEM_MUST_CHECK;

/* Name the device lock, which outlives the VGA: screens hold it while they read registers. Before the processors run. */
void vga_set_lock(struct vga *vga, pthread_mutex_t *lock);

/* NULL is allowed. */
void vga_destroy(struct vga *vga);

#define VGA_OPTION_ROM_MAX 0x10000u

#endif
