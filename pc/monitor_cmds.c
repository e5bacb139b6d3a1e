/* SPDX-License-Identifier: MIT */
/* pc/monitor_cmds.c - the commands: their names, what they take, what they are for; and those that are but a few lines. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"
#include "monitor_internal.h"

static void show_help(struct monitor_call *call);

static void show_info(struct monitor_call *call)
{
    const struct monitor_command *subject = monitor_find(monitor_subjects, call->words[1]);

    if (!subject)
        monitor_fail(call, "there is nothing about '%s'; see help info", call->words[1]);
    else
        monitor_dispatch(call, subject);
}

static void stop(struct monitor_call *call)
{
    machine_hold(call->machine, true);
}

static void cont(struct monitor_call *call)
{
    machine_hold(call->machine, false);
}

static void quit(struct monitor_call *call)
{
    call->quit = true;
}

const struct monitor_command monitor_commands[] = {
    {"cont", "", "Let the processors go on after stop.\n", 0, 0, cont},
    {"help", "[COMMAND]", "Say what there is, or what a command does.\n", 0, 2, show_help},
    {"hotplug", "SIZE [ID]",
     "Plug a block of memory in, at the lowest address that is free.\n"
     "SIZE: bytes, or a number with K, M, G or T; a multiple of 2 MiB. ID: its name (dimm0, dimm1, ... if none is "
     "given). Needs --memory with slots and max.\n",
     1, 2, monitor_hotplug},
    {"info", "SUBJECT [OPTION]...", "Show something: help info says what.\n", 1, MONITOR_WORDS_MAX, show_info},
    {"pci", "", "As info pci.\n", 0, 0, monitor_info_pci},
    {"quit", "", "End the machine, with exit status 0.\n", 0, 0, quit},
    {"screendump", "FILE", "Write what the screen shows to FILE, a PNG picture.\n", 1, 1, monitor_screendump},
    {"stop", "", "Hold the processors where they are. With KVM, its timers go on.\n", 0, 0, stop},
    {"unplug", "ID", "Take a block of memory out that was plugged in. The guest is not asked.\n", 1, 1, monitor_unplug},
    {"x", "[/FMT] ADDR",
     "Show memory as the first processor sees it.\n"
     "ADDR: where it begins, decimal, or hexadecimal with 0x. FMT: how many, a format and a size, each of which may "
     "be\n"
     "missing: x/8xw 0xfff0\n"
     "  formats  x hexadecimal (if none is given), d and u decimal with and without sign, o octal, t binary,\n"
     "           c characters, s strings, which end with a NUL byte\n"
     "  sizes    b 1 byte (for c), h 2, w 4 (if none is given), g 8\n"
     "Nothing is read but memory: where a device is, or nothing, stands a -, and below it what is there.\n",
     1, 2, monitor_examine},
    {"xp", "[/FMT] ADDR", "As x: addresses are always physical ones.\n", 1, 2, monitor_examine},
    {NULL, NULL, NULL, 0, 0, NULL},
};

const struct monitor_command monitor_subjects[] = {
    {"dirty", "", "Each block of RAM: which clients log its writes, and dirty pages.\n", 1, 1, monitor_info_dirty},
    {"memory-devices", "", "Memory that is plugged in, and the room for it.\n", 1, 1, monitor_info_memory_devices},
    {"mtree", "[-f] [-d] [-o] [-D]",
     "The map.\n"
     "The regions as a tree. -f: the flat view of each address space, with KVM's slots marked; -d: these, each with\n"
     "the tree in which an access finds its range, and what it does there; -o: with owners; -D: with disabled "
     "regions.\n",
     1, 5, monitor_info_mtree},
    {"pci", "", "The devices of the PCI bus, their base addresses, whether they are decoded.\n", 1, 1,
     monitor_info_pci},
    {"ramblock", "", "Each block of RAM: where it is, and its sizes.\n", 1, 1, monitor_info_ramblock},
    {"slots", "", "The memory slots, of KVM or only planned, and how many calls they took.\n", 1, 1,
     monitor_info_slots},
    {"status", "", "Whether the machine runs, on what, and how large it is.\n", 1, 1, monitor_info_status},
    {NULL, NULL, NULL, 0, 0, NULL},
};

static void list(FILE *out, const char *before, const struct monitor_command *commands)
{
    for (; commands->name; commands++)
        fprintf(out, "%s%s%s%s: %.*s\n", before, commands->name, *commands->arguments ? " " : "", commands->arguments,
                (int)strcspn(commands->help, "\n"), commands->help);
}

static void explain(FILE *out, const char *before, const struct monitor_command *command)
{
    fprintf(out, "%s%s%s%s\n%s", before, command->name, *command->arguments ? " " : "", command->arguments,
            command->help);
}

static void show_help(struct monitor_call *call)
{
    const struct monitor_command *command;

    if (call->count == 1) {
        list(call->out, "", monitor_commands);
        return;
    }
    command = monitor_find(monitor_commands, call->words[1]);
    if (!command) {
        monitor_fail(call, "'%s': no such command", call->words[1]);
    } else if (call->count == 2) {
        explain(call->out, "", command);
        if (command->run == show_info)
            list(call->out, "info ", monitor_subjects);
    } else {
        command = command->run == show_info ? monitor_find(monitor_subjects, call->words[2]) : NULL;
        if (!command)
            monitor_fail(call, "'%s %s': no such command", call->words[1], call->words[2]);
        else
            explain(call->out, "info ", command);
    }
}

void monitor_fail(const struct monitor_call *call, const char *format, ...)
{
    bool info =
        strcmp(call->words[0], "info") == 0 && call->count > 1 && monitor_find(monitor_subjects, call->words[1]);
    va_list args;

    fprintf(call->out, "%s%s%s: ", call->words[0], info ? " " : "", info ? call->words[1] : "");
    va_start(args, format);
    vfprintf(call->out, format, args);
    va_end(args);
    putc('\n', call->out);
}

const struct monitor_command *monitor_find(const struct monitor_command *commands, const char *name)
{
    for (; commands->name; commands++) {
        if (strcmp(commands->name, name) == 0)
            return commands;
    }
    return NULL;
}

bool monitor_number(const char *text, uint64_t *ret)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    unsigned long long value;
    char *end;

    if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    value = strtoull(text, &end, hex ? 16 : 10);
    if (errno || *end)
        return false;
    *ret = value;
    return true;
}

void monitor_dispatch(struct monitor_call *call, const struct monitor_command *command)
{
    if (call->count - 1 < command->min)
        monitor_fail(call, "something is missing: it takes %s", command->arguments);
    else if (call->count - 1 > command->max && *command->arguments)
        monitor_fail(call, "'%s' is too much: it takes %s", call->words[command->max + 1], command->arguments);
    else if (call->count - 1 > command->max)
        monitor_fail(call, "'%s' is too much: it takes nothing", call->words[command->max + 1]);
    else
        command->run(call);
}

/* The name alone, where FMT follows it in the same word: x/4xb. */
static const struct monitor_command *find_command(const char *word)
{
    char name[32];
    size_t len = strcspn(word, "/");

    if (len >= sizeof(name))
        return NULL;
    memcpy(name, word, len);
    name[len] = '\0';
    if (word[len] && strcmp(name, "x") != 0 && strcmp(name, "xp") != 0)
        return NULL;
    return monitor_find(monitor_commands, name);
}

bool monitor_execute(struct machine *machine, char *line, FILE *out)
{
    char *words[MONITOR_WORDS_MAX];
    struct monitor_call call = {.machine = machine, .out = out, .words = words};
    const struct monitor_command *command;

    call.count = monitor_words(line, words, MONITOR_WORDS_MAX);
    if (!call.count)
        return true;
    if (call.count < 0) {
        fprintf(out, "a quotation mark is missing, or these are more than %d words\n", MONITOR_WORDS_MAX);
        return true;
    }
    command = find_command(words[0]);
    if (command)
        monitor_dispatch(&call, command);
    else
        monitor_fail(&call, "no such command; see help");
    return !call.quit;
}
