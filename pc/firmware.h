/* SPDX-License-Identifier: MIT */
/* pc/firmware.h - reading firmware files. */
#ifndef PC_FIRMWARE_H
#define PC_FIRMWARE_H

#include <stddef.h>

#include "hooks.h"

/* Where Debian's package seabios has them. */
#define FIRMWARE_BIOS "/usr/share/seabios/bios-256k.bin"
#define FIRMWARE_VGA_ROM "/usr/share/seabios/vgabios-stdvga.bin"

/*
 * Read the whole file at path, of 1 to max bytes and a multiple of unit. *ret_data is the caller's, to be freed. On failure
 * (-errno) error names the file and what is wrong with it.
 */
int firmware_load(const char *path, size_t unit, size_t max, void **ret_data, size_t *ret_len, struct pc_error *error)
    __attribute__((warn_unused_result));

#endif
