/* SPDX-License-Identifier: MIT */
/*
 * pc/monitor.h - commands to a machine that runs, a line each, and their answers.
 *
 * A monitor belongs to one thread, which is neither a processor's nor in a hook: commands wait for processors.
 */
#ifndef PC_MONITOR_H
#define PC_MONITOR_H

#include "machine.h"
#include "terminal.h"

struct monitor;

#define MONITOR_PROMPT "(gmem) "

/*
 * Commands for machine come from the descriptor fd, which stays the caller's; answers go to terminal. With prompt the user
 * is asked for each line. All are borrowed. -ENOMEM.
 */
int monitor_create(struct machine *machine, struct terminal *terminal, int fd, bool prompt,
                   struct monitor **ret) GMEM_MUST_CHECK;
void monitor_destroy(struct monitor *monitor);

/* The descriptor to wait for (POLLIN), or -1: input has ended. */
int monitor_fd(const struct monitor *monitor);
/* Whether there is more to do before it is waited for. */
bool monitor_busy(const struct monitor *monitor);
/*
 * When it is busy, or the descriptor readable: read if need be, and carry out one command at most. False: the machine is to be
 * ended (quit).
 */
bool monitor_serve(struct monitor *monitor);

/*
 * Carry out one line, which is changed. The answer goes to out; an error is an answer, which begins with the command's
 * name. False: quit.
 */
bool monitor_execute(struct machine *machine, char *line, FILE *out);

#endif
