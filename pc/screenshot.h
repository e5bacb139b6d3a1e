/* SPDX-License-Identifier: MIT */
/* pc/screenshot.h - the picture of a machine's screen as a file. */
#ifndef PC_SCREENSHOT_H
#define PC_SCREENSHOT_H

#include <gmem/base.h>

#include "hooks.h"

struct machine;
struct screen;

/*
 * Return when the screen has not changed for 200 ms, after 2 s, or as soon as the descriptor wake can be read. Firmware
 * writes a text to its log before it is on the screen. The processors run meanwhile; without the device lock. Those that
 * machine_freeze() froze run for as long of the guest's time, so that what is on the screen then is the same in every run.
 * No memory for the picture: at once.
 */
void screenshot_settle(struct machine *machine, int wake);

/* Write the picture of now into the file path, as png_file_write() does. On failure (-errno) error says why. */
int screenshot_save(struct screen *screen, const char *path, struct pc_error *error) GMEM_MUST_CHECK;

#endif
