/* SPDX-License-Identifier: MIT */
/* pc/options.c - the command line of gmem-pc. No state. */
#include "options_internal.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "firmware.h"
#include "machine.h"

#define TIMEOUT_MAX 1000000u

void options_help(FILE *file)
{
    fputs(
        "Usage: gmem-pc [OPTION]...\n"
        "Boot a PC whose every address goes through libgmem.\n"
        "\n"
        "The firmware's log is shown on standard output as it is written. In the end come the flat view of every "
        "address\n"
        "space and the statistics of the memory slots.\n"
        "\n"
        "  --memory SIZE[,slots=N,max=SIZE]\n"
        "                     memory of the guest: bytes, or a number with K, M, G or T; 1M to 1011G (default 1G); "
        "and\n"
        "                     N slots (1 to 256) that the monitor can plug memory into, up to max in all\n"
        "  --memory-backend KIND[,share][,hugepages][,prealloc]\n"
        "                     where it comes from: anon (default), memfd or file:PATH; shared with who maps it too; "
        "in\n"
        "                     huge pages (anon: transparent ones; memfd: hugetlb; file: PATH must be in a hugetlbfs);\n"
        "                     touched before the guest begins\n"
        "  --cpus N           processors, 1 to 255 (default 1)\n"
        "  --firmware FILE    firmware, a multiple of 64 KiB up to 16 MiB\n"
        "                     (default " FIRMWARE_BIOS ")\n"
        "  --vga std|none     graphics (default std)\n"
        "  --vga-rom FILE     its option ROM (default " FIRMWARE_VGA_ROM ")\n"
        "  --accel auto|kvm|interp\n"
        "                     what runs the processors: KVM, an interpreter, or (default) KVM where it can be used and "
        "else\n"
        "                     the interpreter, which is said on standard error\n"
        "  --smm on|off       system management mode, with its own view of memory (default off)\n"
        "  --vapic on|off     the APIC option ROM and its port (default off)\n"
        "  --slots POLICY     keep: leave slots alone that are right; or reference: the calls that QEMU makes (default "
        "keep)\n"
        "  --trace LIST       write these events, a line each: kvm_set_user_memory, pci_cfg_write (LIST: with commas)\n"
        "  --trace-file FILE  to FILE, not to standard error\n"
        "  --serial FILE      give the machine a serial port whose output goes to FILE\n"
        "  --monitor          take commands from standard input; the command help lists them\n"
        "  --until TEXT       end with success as soon as the firmware's log shows TEXT\n"
        "  --timeout S        end with failure after S seconds\n"
        "  --map-out FILE     write the final region tree and flat views to FILE, as QEMU's `info mtree` prints them\n"
        "  --record FILE      write what each commit changes in the map, as it happens, to FILE, for gmem(1) to show\n"
        "  --screenshot FILE  write the final picture of the screen to FILE (PNG); needs --vga std\n"
        "  --help, --version\n"
        "\n"
        "It also ends when the guest switches the machine off or resets it, and on Ctrl-C or SIGTERM.\n"
        "\n"
        "Exit status: 0 if it ended as asked: TEXT was seen, the monitor was told to quit or, without --until, the "
        "guest\n"
        "or a signal ended it; 1 if the guest failed or ended before TEXT was seen, on a timeout, or if an output "
        "could "
        "not\n"
        "be written; 2 if it could not begin: bad options or files, no memory, or not the KVM that was asked for.\n",
        file);
}

static int bad(struct pc_error *error, const char *option, const char *value, const char *wanted)
{
    return pc_fail(error, -EINVAL, "--%s %s: %s", option, value, wanted);
}

static int parse_number(const char *option, const char *text, unsigned max, unsigned *ret, struct pc_error *error)
{
    unsigned long value;
    char *end;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || value < 1 || value > max)
        return pc_fail(error, -EINVAL, "--%s %s: not a whole number from 1 to %u", option, text, max);
    *ret = (unsigned)value;
    return 0;
}

static int parse_trace(const char *text, struct options *options, struct pc_error *error)
{
    const char *item = text;

    for (;;) {
        size_t len = strcspn(item, ",");

        if (len == strlen("kvm_set_user_memory") && !strncmp(item, "kvm_set_user_memory", len))
            options->trace_slots = true;
        else if (len == strlen("pci_cfg_write") && !strncmp(item, "pci_cfg_write", len))
            options->trace_pci = true;
        else
            return bad(error, "trace", text,
                       "the events are kvm_set_user_memory and pci_cfg_write, with a comma between");
        if (!item[len])
            return 0;
        item += len + 1;
    }
}

enum {
    OPT_MEMORY = 1,
    OPT_MEMORY_BACKEND,
    OPT_CPUS,
    OPT_FIRMWARE,
    OPT_VGA,
    OPT_VGA_ROM,
    OPT_ACCEL,
    OPT_SMM,
    OPT_VAPIC,
    OPT_SLOTS,
    OPT_TRACE,
    OPT_TRACE_FILE,
    OPT_SERIAL,
    OPT_MONITOR,
    OPT_UNTIL,
    OPT_TIMEOUT,
    OPT_MAP_OUT,
    OPT_RECORD,
    OPT_SCREENSHOT,
    OPT_HELP,
    OPT_VERSION,
};

static const struct option longopts[] = {
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"memory-backend", required_argument, NULL, OPT_MEMORY_BACKEND},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"firmware", required_argument, NULL, OPT_FIRMWARE},
    {"vga", required_argument, NULL, OPT_VGA},
    {"vga-rom", required_argument, NULL, OPT_VGA_ROM},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"smm", required_argument, NULL, OPT_SMM},
    {"vapic", required_argument, NULL, OPT_VAPIC},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"trace-file", required_argument, NULL, OPT_TRACE_FILE},
    {"serial", required_argument, NULL, OPT_SERIAL},
    {"monitor", no_argument, NULL, OPT_MONITOR},
    {"until", required_argument, NULL, OPT_UNTIL},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"map-out", required_argument, NULL, OPT_MAP_OUT},
    {"record", required_argument, NULL, OPT_RECORD},
    {"screenshot", required_argument, NULL, OPT_SCREENSHOT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int parse_accel(const char *text, struct options *options, struct pc_error *error)
{
    if (strcmp(text, "auto") == 0)
        options->accel = PC_ACCEL_AUTO;
    else if (strcmp(text, "kvm") == 0)
        options->accel = PC_ACCEL_KVM;
    else if (strcmp(text, "interp") == 0)
        options->accel = PC_ACCEL_INTERP;
    else
        return bad(error, "accel", text, "the choices are auto, kvm and interp");
    return 0;
}

static int parse_switch(const char *option, const char *text, bool *ret, struct pc_error *error)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return bad(error, option, text, "the choices are on and off");
    *ret = strcmp(text, "on") == 0;
    return 0;
}

static int parse_choice(int option, const char *text, struct options *options, struct pc_error *error)
{
    switch (option) {
    case OPT_VGA:
        if (strcmp(text, "std") != 0 && strcmp(text, "none") != 0)
            return bad(error, "vga", text, "the choices are std and none");
        options->vga = strcmp(text, "std") == 0;
        return 0;
    case OPT_ACCEL:
        return parse_accel(text, options, error);
    case OPT_SMM:
        return parse_switch("smm", text, &options->smm, error);
    case OPT_VAPIC:
        return parse_switch("vapic", text, &options->vapic, error);
    case OPT_SLOTS:
        if (strcmp(text, "keep") != 0 && strcmp(text, "reference") != 0)
            return bad(error, "slots", text, "the choices are keep and reference");
        options->policy = strcmp(text, "reference") == 0 ? GMEM_KVM_POLICY_REFERENCE : GMEM_KVM_POLICY_KEEP;
        return 0;
    default:
        if (!text[0])
            return pc_fail(error, -EINVAL, "--until needs a text that is not empty");
        options->until = text;
        return 0;
    }
}

static int parse_option(int option, const char *text, struct options *options, struct pc_error *error)
{
    switch (option) {
    case OPT_MEMORY:
        return parse_memory(text, options, error);
    case OPT_MEMORY_BACKEND:
        return parse_backend(text, options, error);
    case OPT_CPUS:
        return parse_number("cpus", text, PC_CPUS_MAX, &options->cpus, error);
    case OPT_FIRMWARE:
        options->firmware = text;
        return 0;
    case OPT_VGA_ROM:
        options->vga_rom = text;
        return 0;
    case OPT_TRACE:
        return parse_trace(text, options, error);
    case OPT_TRACE_FILE:
        options->trace_file = text;
        return 0;
    case OPT_SERIAL:
        options->serial = text;
        return 0;
    case OPT_TIMEOUT:
        return parse_number("timeout", text, TIMEOUT_MAX, &options->timeout, error);
    case OPT_MAP_OUT:
        options->map_out = text;
        return 0;
    case OPT_RECORD:
        options->record = text;
        return 0;
    case OPT_SCREENSHOT:
        options->screenshot = text;
        return 0;
    case OPT_MONITOR:
        options->monitor = true;
        return 0;
    case OPT_HELP:
        options->help = true;
        return 0;
    case OPT_VERSION:
        options->version = true;
        return 0;
    default:
        return parse_choice(option, text, options, error);
    }
}

int options_parse(int argc, char **argv, struct options *options, struct pc_error *error)
{
    int option, err;

    *options = (struct options){.memory = 1u << 30,
                                .cpus = 1,
                                .firmware = FIRMWARE_BIOS,
                                .vga = true,
                                .vga_rom = FIRMWARE_VGA_ROM,
                                .accel = PC_ACCEL_AUTO};
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
        if (option == ':')
            return pc_fail(error, -EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        if (option == '?' && isgraph(optopt)) /* one letter, perhaps with others in one word */
            return pc_fail(error, -EINVAL, "-%c: no such option; see --help", optopt);
        if (option == '?')
            return pc_fail(error, -EINVAL, "%s: no such option; see --help", argv[optind - 1]);
        err = parse_option(option, optarg, options, error);
        if (err)
            return err;
    }
    if (optind < argc)
        return pc_fail(error, -EINVAL, "%s: not an option; see --help", argv[optind]);
    if (options->trace_file && !options->trace_slots && !options->trace_pci)
        return pc_fail(error, -EINVAL, "--trace-file %s: name the events with --trace", options->trace_file);
    if (options->screenshot && !options->vga)
        return pc_fail(error, -EINVAL, "--screenshot %s: there is no screen with --vga none", options->screenshot);
    return 0;
}
