/* SPDX-License-Identifier: MIT */
/*
 * pc/hooks.h - what the machine tells whoever runs it: events, log lines and trace lines.
 *
 * Every member may be NULL. All are called with the machine's device lock held, on the thread that caused them; they
 * must not call back into the machine.
 */
#ifndef PC_HOOKS_H
#define PC_HOOKS_H

#include <stdarg.h>

enum pc_event {
    PC_EVENT_POWEROFF, /* the guest switched itself off (PM1 control) */
    PC_EVENT_RESET,    /* the guest asked for a reset (0xcf9, port 0x92, keyboard controller) */
    PC_EVENT_SHUTDOWN, /* a processor shut down: a triple fault */
    PC_EVENT_FAILED,   /* a processor can't go on (KVM reports an error) */
};

struct pc_hooks {
    void *opaque;
    void (*event)(void *opaque, enum pc_event event, const char *text);
    void (*log)(void *opaque, const char *text);
    void (*trace_slot)(void *opaque, const char *line);
    void (*trace_pci)(void *opaque, const char *line);
    /*
     * An edit of the machine's is done, and may have changed the map; no transaction is open, so that it can be printed. cause is
     * who asked for it if that was no processor, else NULL. served: an access of a processor has been served.
     */
    void (*mapped)(void *opaque, const char *cause);
    void (*served)(void *opaque);
    void (*console)(void *opaque, char c); /* the firmware's log, port 0x402 */
    void (*serial)(void *opaque, char c);  /* the first serial port; the machine has none if this is NULL */
};

void pc_event(const struct pc_hooks *hooks, enum pc_event event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pc_log(const struct pc_hooks *hooks, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* format may be NULL: a processor asked for it. */
void pc_mapped(const struct pc_hooks *hooks, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void pc_served(const struct pc_hooks *hooks)
{
    if (hooks->served)
        hooks->served(hooks->opaque);
}

/* Why something could not be set up: one line for the user. */
struct pc_error {
    char text[512];
};

/* Puts the line into error (may be NULL) and returns err, a negative errno. */
int pc_fail(struct pc_error *error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
