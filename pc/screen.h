/* SPDX-License-Identifier: MIT */
/*
 * pc/screen.h - the picture that a display at the VGA would show.
 *
 * A picture has a pixel for each that the guest draws: lines that the VGA scans twice and dots that it shows twice (as in
 * mode 13h, 320 by 200) are there once. What blinks, and the cursor, is shown. A display that is off, or was never
 * programmed, is black.
 *
 * A screen is for one thread at a time, as are all screens of one VGA. The VGA outlives it. None of these with the
 * machine's device lock held.
 */
#ifndef PC_SCREEN_H
#define PC_SCREEN_H

#include <stdint.h>

#include <gmem/gmem.h>

#include "hooks.h"

struct screen;
struct vga;

struct screen_picture {
    uint32_t width, height;
    const uint32_t *pixels; /* 0x00rrggbb, line by line; valid until the screen is updated or destroyed */
};

/* What updates did so far. */
struct screen_stats {
    uint64_t updates;
    uint64_t whole; /* of them: nothing was kept, as the mode, the palette or the screen that looked last was another */
    uint64_t cells; /* characters drawn */
    uint64_t lines; /* lines drawn, of graphics */
};

/* A screen without a picture (0 by 0). -ENOMEM. */
int screen_create(struct vga *vga, struct screen **ret_screen) GMEM_MUST_CHECK;

/* NULL is allowed. */
void screen_destroy(struct screen *screen);

/*
 * Make it the picture of now. Draws what the dirty log of video memory (GMEM_LOG_DISPLAY) says may have changed, and of
 * text only the characters that did; everything where the mode or the palette changed. Of another screen of the VGA that
 * was updated in between, all is drawn too. What the guest writes meanwhile is in this picture or in the next.
 *
 * -ENOMEM  no memory for a picture of this size (the guest's choice: at most 32 Mi pixels); the old one stays
 */
int screen_update(struct screen *screen) GMEM_MUST_CHECK;

struct screen_picture screen_picture(const struct screen *screen);
struct screen_stats screen_stats(const struct screen *screen);

/*
 * Write the picture of the last update into the file path, as png_file_write() does. -EINVAL: there was no update.
 */
int screen_write_png(const struct screen *screen, const char *path, struct pc_error *error) GMEM_MUST_CHECK;

#endif
