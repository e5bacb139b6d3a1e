/* SPDX-License-Identifier: MIT */
/* pc/monitor_screen.c - screendump. Runs with no lock held. */
#include "monitor_internal.h"
#include "screenshot.h"

void monitor_screendump(struct monitor_call *call)
{
    struct screen *screen = machine_screen(call->machine);
    struct pc_error error = {""};

    if (!screen)
        monitor_fail(call, "%s: this machine has no screen (--vga none)", call->words[1]);
    else if (screenshot_save(screen, call->words[1], &error))
        monitor_fail(call, "%s", error.text);
}
