/* SPDX-License-Identifier: MIT */
/* pc/png_file.h - pictures as PNG files. */
#ifndef PC_PNG_FILE_H
#define PC_PNG_FILE_H

#include <stdint.h>

#include <gmem/base.h>

#include "hooks.h"

/*
 * Write width by height pixels (0x00rrggbb) into the file path. A regular file appears whole or not at all: the picture goes
 * into a new file beside it, which then takes its name. What is at path and is no regular file (a pipe, a device) is
 * written itself. On failure (-errno) error says why, and a file that was there is as it was.
 */
int png_file_write(const char *path, const uint32_t *pixels, uint32_t width, uint32_t height,
                   struct pc_error *error) GMEM_MUST_CHECK;

/* As far as can be seen now, png_file_write() will be able to write path. Leaves nothing behind. */
int png_file_check(const char *path, struct pc_error *error) GMEM_MUST_CHECK;

#endif
