/* SPDX-License-Identifier: MIT */
/*
 * pc/screen.c - the picture that a display at the VGA would show: made, brought up to date, written to a file.
 *
 * Owns the picture and what it was drawn from. Invariant: while a screen is valid and is the last that took the VGA's dirty
 * pages, its picture is that of its mode, palette and cursor, and of video memory but for pages that are dirty.
 *
 * An update goes so: registers are read; dirty pages are taken, which makes them clean; then video memory is read. So what
 * is written after it was read is dirty for the next update (src/dirty.c tells why nothing is lost between).
 *
 * Locks: the machine's device lock while registers are read, a microsecond or so, and no lock while dirty pages are taken and
 * the picture is drawn. Everything else is the caller's thread's alone.
 */
#include "screen_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "png_file.h"

/* What the registers say now. */
struct wanted {
    struct screen_mode mode;
    struct screen_palette palette;
    struct screen_cursor cursor;
    bool other; /* another screen took the dirty pages last */
};

int screen_create(struct vga *vga, struct screen **ret_screen)
{
    struct screen *screen = calloc(1, sizeof(*screen));

    if (!screen)
        return -ENOMEM;
    screen->vga = vga;
    *ret_screen = screen;
    return 0;
}

void screen_destroy(struct screen *screen)
{
    if (!screen)
        return;
    if (screen->vga->lock)
        pthread_mutex_lock(screen->vga->lock);
    /* The next screen may get this one's address. */
    if (screen->vga->shown_by == screen)
        screen->vga->shown_by = NULL;
    if (screen->vga->lock)
        pthread_mutex_unlock(screen->vga->lock);
    gmem_dirty_snapshot_free(screen->dirty);
    free(screen->pixels);
    free(screen->cells);
    free(screen->line);
    free(screen);
}

static void read_registers(struct screen *screen, struct wanted *wanted)
{
    struct vga *vga = screen->vga;

    if (vga->lock)
        pthread_mutex_lock(vga->lock);
    screen_read_mode(vga, &wanted->mode);
    screen_read_palette(vga, &wanted->mode, &wanted->palette);
    screen_read_cursor(vga, &wanted->cursor);
    wanted->other = vga->shown_by != screen;
    vga->shown_by = screen;
    if (vga->lock)
        pthread_mutex_unlock(vga->lock);
}

bool screen_dirty(const struct screen *screen, uint64_t first, uint64_t last)
{
    if (screen->everything)
        return true;
    for (uint64_t page = first / GMEM_DIRTY_PAGE_SIZE; page <= last / GMEM_DIRTY_PAGE_SIZE; page++) {
        if (gmem_dirty_snapshot_test(screen->dirty, page % SCREEN_PAGES * GMEM_DIRTY_PAGE_SIZE, 1))
            return true;
    }
    return false;
}

/* Take which pages of video memory are dirty. False: that is not known. */
static bool screen_take_dirty(struct screen *screen)
{
    gmem_dirty_snapshot_free(screen->dirty);
    screen->dirty = NULL;
    return gmem_region_dirty_snapshot(screen->vga->vram_region, GMEM_LOG_DISPLAY, 0, VGA_VRAM_SIZE - 1,
                                      &screen->dirty) == 0;
}

/* Modes that differ in nothing but the place of text in video memory: what a cell showed is still known. */
static bool same_layout(const struct screen_mode *a, const struct screen_mode *b)
{
    struct screen_mode moved;

    memcpy(&moved, a, sizeof(moved));
    if (a->kind == SCREEN_TEXT) {
        moved.pitch = b->pitch;
        moved.bands[0].start = b->bands[0].start;
        moved.bands[1].start = b->bands[1].start;
    }
    return memcmp(&moved, b, sizeof(moved)) == 0;
}

/* Room for a picture of the mode, and what drawing it needs. On failure the picture is as it was. */
static int prepare(struct screen *screen, const struct screen_mode *mode)
{
    int err = 0;

    if (mode->kind == SCREEN_TEXT)
        err = screen_text_prepare(screen, mode);
    else if (mode->kind == SCREEN_GRAPHICS)
        err = screen_graphics_prepare(screen, mode);
    if (err)
        return err;
    if (mode->width != screen->mode.width || mode->height != screen->mode.height) {
        uint32_t *pixels = malloc((size_t)mode->width * mode->height * sizeof(*pixels));

        if (!pixels)
            return -ENOMEM;
        free(screen->pixels);
        screen->pixels = pixels;
    }
    memcpy(&screen->mode, mode, sizeof(*mode));
    return 0;
}

static void draw(struct screen *screen, bool whole)
{
    const struct screen_mode *mode = &screen->mode;

    if (mode->kind == SCREEN_TEXT)
        screen_text_draw(screen, whole);
    else if (mode->kind == SCREEN_GRAPHICS)
        screen_graphics_draw(screen, whole);
    else if (whole)
        memset(screen->pixels, 0, (size_t)mode->width * mode->height * sizeof(*screen->pixels));
}

int screen_update(struct screen *screen)
{
    struct wanted wanted;
    bool whole, moved;
    int err;

    read_registers(screen, &wanted);
    whole = !screen->valid || wanted.other || !same_layout(&screen->mode, &wanted.mode) ||
            memcmp(&screen->palette, &wanted.palette, sizeof(wanted.palette)) != 0;
    moved = memcmp(&screen->mode, &wanted.mode, sizeof(wanted.mode)) != 0 ||
            memcmp(&screen->cursor, &wanted.cursor, sizeof(wanted.cursor)) != 0;
    screen->valid = false;
    err = prepare(screen, &wanted.mode);
    if (err)
        return err;
    screen->palette = wanted.palette;
    screen->cursor = wanted.cursor;
    screen->everything = whole;
    /* What is not known to be as it was is looked at. */
    if (!screen_take_dirty(screen))
        screen->everything = true;
    if (moved && wanted.mode.kind == SCREEN_TEXT)
        screen->everything = true;
    draw(screen, whole);
    screen->valid = true;
    screen->stats.updates++;
    screen->stats.whole += whole;
    return 0;
}

struct screen_picture screen_picture(const struct screen *screen)
{
    return (struct screen_picture){screen->mode.width, screen->mode.height, screen->pixels};
}

struct screen_stats screen_stats(const struct screen *screen)
{
    return screen->stats;
}

int screen_write_png(const struct screen *screen, const char *path, struct pc_error *error)
{
    if (!screen->pixels)
        return pc_fail(error, -EINVAL, "picture %s can't be written: nothing was drawn", path);
    return png_file_write(path, screen->pixels, screen->mode.width, screen->mode.height, error);
}
