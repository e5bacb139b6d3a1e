/* SPDX-License-Identifier: MIT */
/*
 * pc/vapic_rom.c - the APIC option ROM: 16-bit code for the firmware to call, which tells the device where it is. No state.
 *
 * Plug and Play BIOS Specification 1.0A, 3.1: the header (0x55, 0xaa, the size in units of 512 bytes, the entry for
 * initialisation, which is called far) and the sum of all bytes, which is 0. There are no expansion headers. Intel 64 and IA-32
 * Architectures Software Developer's Manual, volume 2: the instructions.
 *
 * The size is that of the ROM in recorded boots: the firmware reports the memory behind it as free, from 0xcc800 on for a ROM
 * at 0xca000.
 */
#include "vapic.h"

#include <string.h>

#define UNIT 512u

static const char code[] = "\x55\xaa\x12" /* header */
                           "\x50"         /* push ax */
                           "\xb8\x20\x00" /* mov ax, VAPIC_ROM_WORD */
                           "\xe7\x7e"     /* out VAPIC_PORT, ax */
                           "\x58"         /* pop ax */
                           "\xcb";        /* retf */

static const char text[] = "gmem APIC option ROM";

_Static_assert(VAPIC_ROM_SIZE == 0x12 * UNIT && VAPIC_ROM_WORD == 0x20 && VAPIC_PORT == 0x7e, "as in the code");
_Static_assert(sizeof(code) <= 0x18, "0x18 and 0x1a are for the offsets of expansion headers");

void vapic_rom_build(uint8_t rom[VAPIC_ROM_SIZE])
{
    uint8_t sum = 0;

    memset(rom, 0, VAPIC_ROM_SIZE);
    memcpy(rom, code, sizeof(code));
    memcpy(rom + VAPIC_ROM_WORD, text, sizeof(text));
    for (unsigned i = 0; i < VAPIC_ROM_SIZE; i++)
        sum = (uint8_t)(sum + rom[i]);
    rom[VAPIC_ROM_SIZE - 1] = (uint8_t)-sum;
}

int vapic_rom_add(struct fw_cfg *fw)
{
    uint8_t rom[VAPIC_ROM_SIZE];

    vapic_rom_build(rom);
    return fw_cfg_add_file(fw, VAPIC_ROM_FILE, rom, sizeof(rom));
}
