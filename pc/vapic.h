/* SPDX-License-Identifier: MIT */
/*
 * pc/vapic.h - the APIC option ROM and its port, as far as they show in the memory map.
 *
 * The firmware finds an option ROM in fw_cfg (genroms/kvmvapic.bin), copies it below 1 MiB and calls it. The ROM writes a word
 * to port 0x7e. Then the pages that its copy touches are shown as RAM (kvmvapic-rom, an alias of pc.ram at priority 1000), so
 * that the ROM can still write to itself when the firmware has write-protected the area by PAM. That is what recorded boots of
 * QEMU's machine show (tests/data/README.md).
 *
 * On QEMU's machine the ROM also speeds up old guests that read and write the local APIC's task priority often, by patching
 * their instructions. Nothing of that is here: the ROM is this project's own and does nothing but write the word.
 */
#ifndef PC_VAPIC_H
#define PC_VAPIC_H

#include <gmem/gmem.h>

#include "fw_cfg.h"
#include "pci.h"

#define VAPIC_PORT 0x7eu
/* What the ROM writes: the offset, from the ROM's first byte, of what the device may find in it. Here that is a text. */
#define VAPIC_ROM_WORD 0x20u
#define VAPIC_ROM_SIZE 9216u
#define VAPIC_ROM_FILE "genroms/kvmvapic.bin"

struct vapic;

/*
 * Create the device with its ports 0x7e and 0x7f in io. They read all ones. A word at 0x7e is taken if
 *
 *  - a processor writes it, and it can be told where that executes (pci_bus_set_processors());
 *  - that is in an option ROM between 0xc0000 and 0xeffff that processors see in ram, from its header to there: 0x55, 0xaa
 *    and its size in units of 512 bytes, at a multiple of 2 KiB;
 *  - it is an offset in the ROM.
 *
 * The first such word places the alias in system, in one commit. One from a ROM elsewhere moves it, also in one commit: the
 * guest's firmware has begun anew. One from the same place changes nothing. What is not taken, or where the commit is refused,
 * changes nothing and is logged (pci_log()), once. All other writes are ignored.
 *
 * The regions are borrowed; ram is at address 0 of system. 0 or -errno, with nothing left.
 */
int vapic_create(struct pci_bus *bus, gmem_region *system, gmem_region *ram, struct vapic **ret) GMEM_MUST_CHECK;

/* End it, before the bus. NULL is allowed. */
void vapic_destroy(struct vapic *vapic);

/* The ROM as firmware finds it. */
void vapic_rom_build(uint8_t rom[VAPIC_ROM_SIZE]);

/* Add it as the file VAPIC_ROM_FILE. As fw_cfg_add_file(). */
int vapic_rom_add(struct fw_cfg *fw) GMEM_MUST_CHECK;

#endif
