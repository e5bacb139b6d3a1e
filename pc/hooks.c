/* SPDX-License-Identifier: MIT */
/* pc/hooks.c - formatting of what the machine tells whoever runs it. No state, no locks of its own. */
#include "hooks.h"

#include <stdio.h>

void pc_event(const struct pc_hooks *hooks, enum pc_event event, const char *format, ...)
{
    char text[256];
    va_list args;

    if (!hooks->event)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hooks->event(hooks->opaque, event, text);
}

void pc_log(const struct pc_hooks *hooks, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!hooks->log)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hooks->log(hooks->opaque, text);
}

void pc_mapped(const struct pc_hooks *hooks, const char *format, ...)
{
    char cause[256];
    va_list args;

    if (!hooks->mapped)
        return;
    if (format) {
        va_start(args, format);
        vsnprintf(cause, sizeof(cause), format, args);
        va_end(args);
    }
    hooks->mapped(hooks->opaque, format ? cause : NULL);
}

int pc_fail(struct pc_error *error, int err, const char *format, ...)
{
    va_list args;

    if (!error)
        return err;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return err;
}
