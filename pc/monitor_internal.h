/* SPDX-License-Identifier: MIT */
/* pc/monitor_internal.h - shared by the files of the monitor: the commands. */
#ifndef PC_MONITOR_INTERNAL_H
#define PC_MONITOR_INTERNAL_H

#include <stdbool.h>
#include <stdio.h>

#include "machine.h"
#include "monitor_input.h"

#define MONITOR_WORDS_MAX 16

/* A command while it is carried out. */
struct monitor_call {
    struct machine *machine;
    FILE *out;
    int count; /* of words; the first is the command's name */
    char **words;
    bool quit;
};

struct monitor_command {
    const char *name;
    const char *arguments;
    const char *help; /* lines, each with its newline */
    int min, max;     /* words behind the name */
    void (*run)(struct monitor_call *call);
};

/* All of them, by name; the last has no name. */
extern const struct monitor_command monitor_commands[];
/* Subjects of info, in the same way. */
extern const struct monitor_command monitor_subjects[];

/* The answer is that it can't be done: a line that begins with the words that name the command. */
void monitor_fail(const struct monitor_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
const struct monitor_command *monitor_find(const struct monitor_command *commands, const char *name);
/* Run the command of the call, which is one of commands, if it has the right number of words. */
void monitor_dispatch(struct monitor_call *call, const struct monitor_command *command);
/* A decimal number, or a hexadecimal one with 0x. False: it is none, or has more than 64 bits. */
bool monitor_number(const char *text, uint64_t *ret);

/* monitor_info.c */
void monitor_info_mtree(struct monitor_call *call);
void monitor_info_slots(struct monitor_call *call);
void monitor_info_status(struct monitor_call *call);
void monitor_info_pci(struct monitor_call *call);
/* monitor_memory.c */
void monitor_info_dirty(struct monitor_call *call);
void monitor_info_ramblock(struct monitor_call *call);
void monitor_info_memory_devices(struct monitor_call *call);
void monitor_hotplug(struct monitor_call *call);
void monitor_unplug(struct monitor_call *call);
/* monitor_examine.c */
void monitor_examine(struct monitor_call *call);
/* monitor_screen.c */
void monitor_screendump(struct monitor_call *call);

#endif
