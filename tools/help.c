/* SPDX-License-Identifier: MIT */
/*
 * The help of every command. The texts of options that several commands share are written once, and the manual pages say the
 * same (scripts/check-man compares the options). Owns nothing. One thread.
 */
#include "help.h"

#include <gmem/gmem.h>
#include <string.h>

#include "nearest.h"
#include "options.h"
#include "output.h"

struct help {
    const char *name;
    const char *synopsis; /* behind "gmem NAME " */
    const char *summary;  /* one line, for the overview */
    const char *about;
    const char *options; /* its own, two spaces before each */
    unsigned understood; /* the others */
    const char *examples;
};

static const struct help commands[] = {
    {
        .name = "tree",
        .synopsis = "[OPTION...] FILE",
        .summary = "print the tree of regions, as QEMU's info mtree does",
        .about = "Prints every space's tree of regions and the regions that aliases show, in the text of QEMU's\n"
                 "`info mtree` or as JSON, which gmem reads again.\n",
        .options = "  -D, --disabled        show disabled regions and what is below them, too\n"
                   "  -o, --owner           show who owns each region\n",
        .understood = OPT_INPUT | OPT_SPACE | OPT_JSON,
        .examples = "  gmem tree -D -o mtree.txt              the whole tree, as info mtree -D -o\n"
                    "  gmem tree --space memory mtree.txt     what processors see\n"
                    "  gmem tree --json mtree.txt >map.json   for programs\n",
    },
    {
        .name = "flat",
        .synopsis = "[OPTION...] FILE",
        .summary = "print who answers at each address, as info mtree -f does",
        .about =
            "Renders the map and prints the flat view of every space: which region answers at which addresses, and\n"
            "the offset in it; in the text of QEMU's `info mtree -f` or as JSON. Spaces that see the same are\n"
            "printed together.\n",
        .options = "  -d, --dispatch        below each view, how an access finds its range and what it does there\n"
                   "  -o, --owner           show who owns each region\n",
        .understood = OPT_INPUT | OPT_SPACE | OPT_JSON,
        .examples =
            "  gmem flat mtree.txt                    of a tree alone: what it leaves open is guessed (gmem check)\n"
            "  gmem flat mtree.txt --flat flat.txt    with the flat dump of the same machine: nothing is guessed\n"
            "  gmem flat --qmp qmp.sock               of a running QEMU (-qmp unix:qmp.sock,server=on,wait=off)\n"
            "  gmem flat boot.trace --at 7            the slots of a trace after its seventh step\n",
    },
    {
        .name = "check",
        .synopsis = "[OPTION...] FILE",
        .summary = "render a tree and compare with the flat dump of the same machine",
        .about = "Renders the tree and compares each view, range for range, with what QEMU's `info mtree -f` printed;\n"
                 "shows differences side by side, and says what the text leaves open and how it was settled. The flat\n"
                 "dump comes with --flat, in FILE itself or from a running QEMU.\n"
                 "Exit status: 0 all views are exact, 1 some differ, 2 bad input.\n",
        .options = "      --no-infer        render by rules alone; the flat dump is only compared with\n"
                   "      --quiet           only the summary\n"
                   "      --verbose         list all that was settled, however much it is\n",
        .understood = OPT_INPUT | OPT_JSON,
        .examples = "  gmem check mtree.txt --flat flat.txt\n"
                    "  gmem check --no-infer mtree.txt -f flat.txt    how far rules alone come\n"
                    "  gmem check --qmp qmp.sock\n",
    },
    {
        .name = "explain",
        .synopsis = "[OPTION...] WHAT FILE",
        .summary = "say who answers at an address, and why nobody else does",
        .about =
            "Says which region answers, its offset there and the aliases that it is seen through; what else covers "
            "the\n"
            "address, in the order in which it would be asked, and why it lost; what would answer if the winner were\n"
            "disabled; and the nearest neighbours. WHAT is an address (0xc0000, 768K, 00000000000c0000), a range\n"
            "FIRST-LAST or FIRST+SIZE, or NAME:OFFSET: where in all spaces that byte of a region is seen.\n"
            "Exit status: 0 something answers, 1 nothing does, 2 bad input.\n",
        .options = "      --all-spaces      in every space; without it and --space, in \"memory\" or the first\n"
                   "      --limit N         at most so many ranges of a range, or places of a region\n",
        .understood = OPT_INPUT | OPT_SPACE | OPT_JSON,
        .examples = "  gmem explain 0xf0000 mtree.txt\n"
                    "  gmem explain 768K --all-spaces mtree.txt --flat flat.txt\n"
                    "  gmem explain 0xa0000+128K mtree.txt    each range there\n"
                    "  gmem explain pc.bios:0x3fff0 mtree.txt where the reset vector's byte is seen\n",
    },
    {
        .name = "diff",
        .synopsis = "[OPTION...] A B",
        .summary = "compare two maps, and say which slot calls the change costs",
        .about =
            "Compares two maps: the ranges that are gone (-), new (+) and changed (~), the calls that listeners get\n"
            "when the one becomes the other in one commit, the slot operations of both policies with the bytes that\n"
            "they remove, and the regions that differ. With --space: of that space only, and without the regions.\n"
            "--flat and --at belong to the FILE they follow or, where one stands before the first, that follows them.\n"
            "Exit status: 0 the same, 1 they differ, 2 bad input.\n",
        .options = "      --summary         numbers only\n",
        .understood = OPT_INPUT | OPT_TWO | OPT_SPACE | OPT_JSON,
        .examples = "  gmem diff before.txt after.txt\n"
                    "  gmem diff a.txt --flat a-flat.txt b.txt --flat b-flat.txt\n"
                    "  gmem diff boot.trace --at 2 boot.trace --at 3    what the third step did\n",
    },
    {
        .name = "trace",
        .synopsis = "[OPTION...] FILE",
        .summary = "count and check the slot calls of a trace",
        .about = "Statistics of a trace of memory slots, as QEMU and gmem-pc write them: calls, bytes removed and put\n"
                 "back, for each configuration write too; calls that break the kernel's rules; and what libgmem-kvm\n"
                 "would have called instead. FILE has the events kvm_set_user_memory and, better, pci_cfg_write; - is\n"
                 "standard input.\n"
                 "Exit status: 0 well, 1 a rule is broken or a call failed, 2 bad input.\n",
        .options = "",
        .understood = OPT_FILE | OPT_JSON,
        .examples = "  gmem trace boot.trace                  of qemu-system-x86_64 -accel kvm -D boot.trace\n"
                    "                                         -trace kvm_set_user_memory -trace pci_cfg_write ...\n"
                    "  gmem trace --json - <boot.trace        for programs\n",
    },
    {
        .name = "draw",
        .synopsis = "[OPTION...] FILE -o OUT",
        .summary = "draw the map, as an SVG or as an HTML page",
        .about =
            "Draws the map: an axis of addresses with its gaps folded, layers by priority, who answers on the\n"
            "bottom line, aliases with their targets. An HTML page needs nothing else; it zooms, searches and\n"
            "explains, and with --timeline has a slider over a boot. OUT's ending says which of both it is to be.\n",
        .options = "  -o, --output OUT      where the picture goes; - is standard output\n"
                   "      --svg             an SVG, whatever OUT's ending is\n"
                   "      --html            an HTML page\n"
                   "      --timeline TRACE  in place of FILE: all steps of a trace or recording, as an HTML page\n"
                   "      --range RANGE     only the addresses FIRST-LAST, or FIRST+SIZE\n"
                   "      --title TEXT      what stands above it, in place of FILE's name\n"
                   "      --width N         of an SVG: pixels\n",
        .understood = OPT_INPUT | OPT_SPACE,
        .examples = "  gmem draw mtree.txt -o map.html\n"
                    "  gmem draw --space memory --range 0-1M mtree.txt -o map.svg\n"
                    "  gmem draw --timeline boot.trace -o boot.html\n",
    },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct help *find(const char *command)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(command, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

const char *help_name(size_t i)
{
    return i < COMMANDS ? commands[i].name : NULL;
}

const char *help_synopsis(const char *command)
{
    static char text[80];
    const struct help *help = find(command);

    if (!help)
        return "gmem COMMAND [OPTION...] [FILE...]";
    snprintf(text, sizeof(text), "gmem %s %s", help->name, help->synopsis);
    return text;
}

const char *help_nearest(const char *command)
{
    const char *names[COMMANDS + 1];

    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    names[COMMANDS] = "help";
    return nearest(command, names, COMMANDS + 1);
}

static void input(unsigned understood)
{
    if (!(understood & OPT_INPUT))
        return;
    fputs(
        "\nInput:\n"
        "  FILE                  QEMU's `info mtree` in any form, perhaps with `info mtree -f` in the same file; the\n"
        "                        JSON of gmem tree; a trace of kvm_set_user_memory lines; a recording of gmem-pc;\n"
        "                        - for standard input\n"
        "  -f, --flat FLAT       the `info mtree -f` of the same machine, which settles what the tree leaves open\n"
        "      --qmp SOCKET      in place of FILE: a running QEMU, by the path or HOST:PORT of its QMP socket\n"
        "      --at N            of a trace or recording: the map after the first N steps, not after all\n",
        stdout);
}

int help_command(const char *command)
{
    const struct help *help = find(command);

    if (!help) {
        help_overview(stdout);
        return output_end(0);
    }
    printf("usage: gmem %s %s\n\n%s\nOptions:\n%s", help->name, help->synopsis, help->about, help->options);
    if (help->understood & OPT_SPACE)
        puts("  -s, --space NAME      only the space of that name");
    if (help->understood & OPT_JSON)
        puts("      --json            JSON in place of text");
    puts("      --color[=WHEN]    colours: always (without WHEN), never, or auto, on a terminal\n"
         "  -h, --help            this text");
    input(help->understood);
    printf("\nExamples:\n%s", help->examples);
    return output_end(0);
}

void help_overview(FILE *out)
{
    fputs("usage: gmem COMMAND [OPTION...] [FILE...]\n\n"
          "Reads, explains, compares and draws the memory map of a virtual machine: QEMU's `info mtree`, traces of\n"
          "its memory slots, a running QEMU, or what gmem-pc records.\n\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    fputs("  help      say more about a command: gmem help COMMAND, or gmem COMMAND --help\n\n"
          "gmem --version prints the version. Exit status: 0 done; 1 the thing asked failed (it differs, nothing "
          "answers\n"
          "there); 2 usage or bad input, with a message that says what to do.\n",
          out);
}

void help_version(FILE *out)
{
    fprintf(out, "gmem %s\n", gmem_version());
}
