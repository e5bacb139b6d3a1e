/* SPDX-License-Identifier: MIT */
/* pc/screenshot.c - the picture of a machine's screen as a file. No state; the main thread's. */
#include "screenshot.h"

#include <poll.h>
#include <stdbool.h>

#include "machine.h"
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

void screenshot_settle(struct machine *machine, int wake)
{
    struct screen *screen = machine_screen(machine);
    struct pollfd fd = {.fd = wake, .events = POLLIN};
    unsigned still = 0;

    for (unsigned looks = 0; still < LOOKS_STILL && looks < LOOKS_MAX; looks++) {
        still = changed(screen) ? 0 : still + 1;
        /* In the guest's time, where that is not the host's. */
        if (poll(&fd, 1, machine_run_for(machine, LOOK_EVERY * UINT64_C(1000000)) ? 0 : LOOK_EVERY) > 0)
            break;
    }
}

int screenshot_save(struct screen *screen, const char *path, struct pc_error *error)
{
    int err = screen_update(screen);

    if (err)
        return pc_fail(error, err, "picture %s can't be drawn: %s", path, gmem_strerror(err));
    return screen_write_png(screen, path, error);
}
