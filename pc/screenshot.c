/* SPDX-License-Identifier: MIT */
/* pc/screenshot.c - the picture of a run's end. No state; the main thread's. */
#include "screenshot.h"

#include <poll.h>
#include <stdbool.h>

#include "screen.h"

#define LOOK_EVERY 50 /* ms */
#define LOOKS_STILL 4u
#define LOOKS_MAX 40u

/* False: the picture is as it was. */
static bool changed(struct screen *screen)
{
    struct screen_stats before = screen_stats(screen), after;

    if (screen_update(screen))
        return false;
    after = screen_stats(screen);
    return after.whole != before.whole || after.cells != before.cells || after.lines != before.lines;
}

void screenshot_settle(struct vga *vga, int wake)
{
    struct pollfd fd = {.fd = wake, .events = POLLIN};
    struct screen *screen;
    unsigned still = 0;

    if (screen_create(vga, &screen))
        return;
    for (unsigned looks = 0; still < LOOKS_STILL && looks < LOOKS_MAX; looks++) {
        still = changed(screen) ? 0 : still + 1;
        if (poll(&fd, 1, LOOK_EVERY) > 0)
            break;
    }
    screen_destroy(screen);
}

int screenshot_save(struct vga *vga, const char *path, struct pc_error *error)
{
    struct screen *screen = NULL;
    int err = screen_create(vga, &screen);

    if (!err)
        err = screen_update(screen);
    if (err)
        pc_fail(error, err, "picture %s can't be drawn: %s", path, gmem_strerror(err));
    else
        err = screen_write_png(screen, path, error);
    screen_destroy(screen);
    return err;
}
