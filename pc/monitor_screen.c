/* SPDX-License-Identifier: MIT */
/* pc/monitor_screen.c - screendump. Runs with no lock held. */
#include "monitor_internal.h"

void monitor_screendump(struct monitor_call *call)
{
    monitor_fail(call, "%s: this machine has no screen", call->words[1]);
}
