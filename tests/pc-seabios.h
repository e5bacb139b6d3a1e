/* SPDX-License-Identifier: MIT */
/* Debian's SeaBIOS for a machine for tests. Include after pc-machine.h. */
#ifndef GMEM_TESTS_PC_SEABIOS_H
#define GMEM_TESTS_PC_SEABIOS_H

#include "firmware.h"
#include "vga.h"

#define SEABIOS_WAIT 120u

struct seabios {
    void *bios, *rom;
    size_t bios_len, rom_len;
};

/* Skips the test without the package. */
static inline void seabios_load(struct seabios *files)
{
    struct pc_error error = {""};

    *files = (struct seabios){NULL, NULL, 0, 0};
    if (firmware_load(FIRMWARE_BIOS, PC_FIRMWARE_UNIT, PC_FIRMWARE_MAX, &files->bios, &files->bios_len, &error) ||
        firmware_load(FIRMWARE_VGA_ROM, 1, VGA_OPTION_ROM_MAX, &files->rom, &files->rom_len, &error)) {
        print_message("%s\n", error.text);
        free(files->bios);
        skip();
    }
}

static inline void seabios_free(struct seabios *files)
{
    free(files->bios);
    free(files->rom);
}

/* Open a machine with it, and with its VGA's ROM if the machine has a VGA; and start it. */
static inline void seabios_start(struct bench *bench, const struct seabios *files, struct pc_config config)
{
    struct pc_error error = {""};

    config.firmware = files->bios;
    config.firmware_len = files->bios_len;
    if (config.vga_rom) {
        config.vga_rom = files->rom;
        config.vga_rom_len = files->rom_len;
    }
    bench_open(bench, &config);
    if (machine_start(bench->machine, &error))
        fail_msg("not started: %s", error.text);
}

static inline bool seabios_at_end(struct bench *bench)
{
    return memmem(bench->console, atomic_load(&bench->console_len), "No bootable device.", 19) ||
           atomic_load(&bench->event);
}

/* Wait until it has found nothing to boot from. */
static inline void seabios_wait(struct bench *bench)
{
    if (!wait_until(seabios_at_end, bench, SEABIOS_WAIT))
        fail_msg("the firmware did not come to its end:\n%s", bench->console);
    if (atomic_load(&bench->event))
        fail_msg("%s\n%s", bench->event_text, bench->console);
}

#endif
