/* SPDX-License-Identifier: MIT */
/*
 * test-pc-monitor.c - the monitor and what its options choose, on machines without processors: lines and words, the formats of
 * x, each command's answer and refusals, plugged memory, backends. What a running guest has of it is in pc-monitor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <getopt.h>

#include <gmem/hotplug.h>

#include "monitor.h"
#include "monitor_examine.h"
#include "monitor_input.h"
#include "options.h"
#include "pc-machine.h"
#include "progress.h"
#include "terminal.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

/* --- lines and words ----------------------------------------------------------------------------------------------- */

/* Take all of bytes, a piece of step bytes at a time, and write down what came: "good:TEXT|", "long|", "bytes|". */
static void take(const char *bytes, size_t count, size_t step, char *came, size_t room)
{
    static struct monitor_input input;
    size_t at = 0, used;
    FILE *out = fmemopen(came, room, "w");

    assert_non_null(out);
    memset(&input, 0, sizeof(input));
    came[0] = '\0';
    for (;;) {
        size_t piece = count - at < step ? count - at : step;
        enum monitor_line line =
            piece ? monitor_input_take(&input, bytes + at, piece, &used) : monitor_input_end(&input);

        if (line == MONITOR_LINE_GOOD)
            fprintf(out, "good:%s|", input.text);
        else if (line != MONITOR_LINE_NONE)
            fprintf(out, "%s|", line == MONITOR_LINE_LONG ? "long" : "bytes");
        if (!piece)
            break;
        assert_true(used >= 1 && used <= piece);
        at += used;
    }
    assert_int_equal(fclose(out), 0);
}

static void lines(void **state)
{
    static const char text[] = "help\n\n info  slots\r\na\0b\nquit";
    static char big[2 * MONITOR_LINE_MAX], came[4 * MONITOR_LINE_MAX];

    (void)state;
    for (size_t step = 1; step <= sizeof(text); step++) {
        take(text, sizeof(text) - 1, step, came, sizeof(came));
        assert_string_equal(came, "good:help|good:|good: info  slots\r|bytes|good:quit|");
    }
    /* One of the longest is good, one byte more is not, and the next line is good again. */
    memset(big, 'a', MONITOR_LINE_MAX + 1);
    memcpy(big + MONITOR_LINE_MAX, "\nx\n", 3);
    take(big, MONITOR_LINE_MAX + 3, 100, came, sizeof(came));
    assert_int_equal(strlen(came), strlen("good:|good:x|") + MONITOR_LINE_MAX);
    big[MONITOR_LINE_MAX] = 'a';
    memcpy(big + MONITOR_LINE_MAX + 1, "\nx\n", 3);
    take(big, MONITOR_LINE_MAX + 4, 100, came, sizeof(came));
    assert_string_equal(came, "long|good:x|");
    memset(big, 'a', sizeof(big));
    take(big, sizeof(big), 1000, came, sizeof(came));
    assert_string_equal(came, "long|");
    take("", 0, 1, came, sizeof(came));
    assert_string_equal(came, "");
}

static void words(void **state)
{
    static const struct {
        const char *text;
        int count;
        const char *words[3];
    } cases[] = {
        {"", 0, {NULL}},
        {" \t\r", 0, {NULL}},
        {"a", 1, {"a"}},
        {" a  bc\td ", 3, {"a", "bc", "d"}},
        {"a \"b c\" d", 3, {"a", "b c", "d"}},
        {"\"\"", 1, {""}},
        {"a \"b", -1, {NULL}},
        {"a b c d", -1, {NULL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32], *found[3];

        snprintf(text, sizeof(text), "%s", cases[i].text);
        assert_int_equal(monitor_words(text, found, 3), cases[i].count);
        for (int j = 0; j < cases[i].count; j++)
            assert_string_equal(found[j], cases[i].words[j]);
    }
}

/* --- x ------------------------------------------------------------------------------------------------------------- */

static void formats(void **state)
{
    static const struct {
        const char *text;
        struct examine is;
    } good[] = {
        {"", {1, 'x', 4}},
        {"8", {8, 'x', 4}},
        {"8xw", {8, 'x', 4}},
        {"wx", {1, 'x', 4}},
        {"2dg", {2, 'd', 8}},
        {"c", {1, 'c', 1}},
        {"16cb", {16, 'c', 1}},
        {"s", {1, 's', 1}},
        {"1024s", {1024, 's', 1}},
        {"h", {1, 'x', 2}},
        {"1048576b", {1048576, 'x', 1}},
        {"131072tg", {131072, 't', 8}},
    };
    static const char *const bad[] = {"0",
                                      "0x",
                                      "z",
                                      "xd",
                                      "bw",
                                      "xx",
                                      "-1",
                                      "1 ",
                                      "i",
                                      "cw",
                                      "sh",
                                      "x8",
                                      "8+",
                                      "1025s",
                                      "131073g",
                                      "1048577b",
                                      "99999999999999999999999b"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct examine examine;

        assert_null(examine_parse(good[i].text, &examine));
        assert_int_equal(examine.count, good[i].is.count);
        assert_int_equal(examine.format, good[i].is.format);
        assert_int_equal(examine.size, good[i].is.size);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct examine examine;

        if (!examine_parse(bad[i], &examine))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static unsigned device_reads;

static gmem_result count_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                              uint64_t *ret_value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs;
    device_reads++;
    *ret_value = 0;
    return GMEM_OK;
}

static gmem_result no_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)attrs, (void)value;
    return GMEM_OK;
}

static const struct gmem_mmio_ops counting = {.read = count_read, .write = no_write};

struct board {
    gmem_vm *vm;
    gmem_region *root, *romd;
    gmem_space *space;
    uint8_t *low, *top;
};

static gmem_ram *board_ram(struct board *board, const char *id, uint8_t **ret_host)
{
    gmem_ram *ram;

    assert_int_equal(gmem_ram_create_anon(board->vm, id, 0x1000, &ram), 0);
    *ret_host = gmem_ram_host(ram);
    return ram;
}

/* RAM at 0x1000, a device behind it, a ROM device behind that, nothing, and RAM up to the last address. */
static void board_open(struct board *board)
{
    gmem_region *region;
    uint8_t *flash;
    gmem_ram *ram;

    assert_int_equal(gmem_vm_create(NULL, &board->vm), 0);
    assert_int_equal(gmem_region_create_container(board->vm, "root", GMEM_SIZE_ALL, NULL, &board->root), 0);
    ram = board_ram(board, "low", &board->low);
    assert_int_equal(gmem_region_create_ram(board->vm, "low", ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_add(board->root, 0x1000, region), 0);
    gmem_region_unref(region);
    assert_int_equal(gmem_region_create_mmio(board->vm, "uart", GMEM_SIZE(0x1000), &counting, NULL, NULL, &region), 0);
    assert_int_equal(gmem_region_add(board->root, 0x2000, region), 0);
    gmem_region_unref(region);
    ram = board_ram(board, "flash", &flash);
    flash[0] = 0x77;
    assert_int_equal(gmem_region_create_romd(board->vm, "flash", ram, &counting, NULL, NULL, &board->romd), 0);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_add(board->root, 0x3000, board->romd), 0);
    ram = board_ram(board, "top", &board->top);
    assert_int_equal(gmem_region_create_ram(board->vm, "top", ram, NULL, &region), 0);
    gmem_ram_unref(ram);
    assert_int_equal(gmem_region_add(board->root, UINT64_MAX - 0xfff, region), 0);
    gmem_region_unref(region);
    assert_int_equal(gmem_space_create(board->vm, "memory", board->root, NULL, &board->space), 0);
    device_reads = 0;
}

static void board_close(struct board *board)
{
    assert_int_equal(device_reads, 0);
    gmem_region_unref(board->romd);
    gmem_region_unref(board->root);
    gmem_vm_destroy(board->vm);
}

static void check_x(const struct board *board, const char *format, uint64_t addr, int err, const char *expected)
{
    gmem_view *view = gmem_space_view(board->space);
    struct examine examine;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_null(examine_parse(format, &examine));
    assert_int_equal(examine_print(view, addr, &examine, out), err);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
    gmem_view_unref(view);
}

static void x_of_memory(void **state)
{
    static const uint8_t bytes[] = {0x01, 0x80, 0xff, 0xff, 'A',  '\'', '\n', 0x00, 0xfe, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 'e',  'n',  'd',  '"',  0};
    struct board board;

    (void)state;
    board_open(&board);
    memcpy(board.low, bytes, sizeof(bytes));
    check_x(&board, "", 0x1000, 0, "0000000000001000: 0xffff8001\n");
    check_x(&board, "5xw", 0x1000, 0,
            "0000000000001000: 0xffff8001 0x000a2741 0xfffffffe 0xffffffff\n0000000000001010: 0x22646e65\n");
    check_x(&board, "4xb", 0x1000, 0, "0000000000001000: 0x01 0x80 0xff 0xff\n");
    check_x(&board, "xh", 0x1001, 0, "0000000000001001: 0xff80\n"); /* not aligned */
    check_x(&board, "xg", 0x1003, 0, "0000000000001003: 0xfffffe000a2741ff\n");
    check_x(&board, "dg", 0x1008, 0, "0000000000001008:                   -2\n");
    check_x(&board, "ug", 0x1008, 0, "0000000000001008: 18446744073709551614\n");
    check_x(&board, "2dh", 0x1000, 0, "0000000000001000: -32767     -1\n");
    check_x(&board, "2uh", 0x1000, 0, "0000000000001000: 32769 65535\n");
    check_x(&board, "3db", 0x1000, 0, "0000000000001000:    1 -128   -1\n");
    check_x(&board, "3ub", 0x1000, 0, "0000000000001000:   1 128 255\n");
    check_x(&board, "2dw", 0x1008, 0, "0000000000001008:          -2          -1\n");
    check_x(&board, "2ob", 0x1001, 0, "0000000000001001: 0200 0377\n");
    check_x(&board, "og", 0x1008, 0, "0000000000001008: 01777777777777777777776\n");
    check_x(&board, "th", 0x1000, 0, "0000000000001000: 1000000000000001\n");
    check_x(&board, "5tb", 0x1000, 0,
            "0000000000001000: 00000001 10000000 11111111 11111111\n0000000000001004: 01000001\n");
    check_x(&board, "4c", 0x1004, 0, "0000000000001004: 'A' '\\'' '\\n' '\\x00'\n");
    check_x(&board, "2s", 0x1004, 0,
            "0000000000001004: \"A'\\n\"\n0000000000001008: \"\\xfe\\xff\\xff\\xff\\xff\\xff\\xff\\xffend\\\"\"\n");
    board_close(&board);
}

static void x_without_memory(void **state)
{
    struct board board;

    (void)state;
    board_open(&board);
    memset(board.low, 0x11, 0x1000);
    board.low[0xff8] = 0x22;
    memset(board.top, 'z', 0x1000);
    check_x(&board, "4xw", 0x1ff8, 0,
            "0000000000001ff8: 0x11111122 0x11111111          -          -\n"
            "0000000000002000-0000000000002007 not read: uart, a device\n");
    /* Half of it is none: none of it is shown. */
    check_x(&board, "xg", 0x1ffc, 0,
            "0000000000001ffc:                  -\n0000000000002000-0000000000002003 not read: uart, a device\n");
    check_x(&board, "2xb", 0x2fff, 0,
            "0000000000002fff:    - 0x77\n0000000000002fff-0000000000002fff not read: uart, a device\n");
    /* While it does not read directly the ROM device is one as others. */
    assert_int_equal(gmem_region_set_romd(board.romd, false), 0);
    check_x(&board, "3xb", 0x3ffe, 0,
            "0000000000003ffe:    -    -    -\n0000000000003ffe-0000000000003fff not read: flash, a device\n"
            "0000000000004000-0000000000004000 not read: nothing is there\n");
    check_x(&board, "s", 0x1ffe, 0,
            "0000000000001ffe: \"\\x11\\x11\" -\n0000000000002000-0000000000002000 not read: uart, a device\n");
    /* The last byte there is. */
    check_x(&board, "2xb", UINT64_MAX - 1, 0, "fffffffffffffffe: 0x7a 0x7a\n");
    check_x(&board, "3xb", UINT64_MAX - 1, -ERANGE, "");
    check_x(&board, "xg", UINT64_MAX - 6, -ERANGE, "");
    check_x(&board, "3s", UINT64_MAX - 1, 0, "fffffffffffffffe: \"zz\"\n");
    board_close(&board);
}

static void x_of_a_long_string(void **state)
{
    static char expected[EXAMINE_STRING_MAX + 100];
    struct board board;
    int len;

    (void)state;
    board_open(&board);
    memset(board.low, 'a', 0x1000);
    board.low[EXAMINE_STRING_MAX + 3] = 0;
    len = snprintf(expected, sizeof(expected), "0000000000001000: \"");
    memset(expected + len, 'a', EXAMINE_STRING_MAX);
    snprintf(expected + len + EXAMINE_STRING_MAX, 60, "\"...\n0000000000001400: \"aaa\"\n");
    check_x(&board, "2s", 0x1000, 0, expected);
    board_close(&board);
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static char *answer_text;

/* What a line is answered; valid until the next. */
static const char *answer_of(struct bench *bench, const char *line, bool go_on)
{
    size_t len = 0;
    char *copy = strdup(line);
    FILE *out;

    free(answer_text);
    answer_text = NULL;
    out = open_memstream(&answer_text, &len);
    assert_non_null(copy);
    assert_non_null(out);
    assert_int_equal(monitor_execute(bench->machine, copy, out), go_on);
    assert_int_equal(fclose(out), 0);
    free(copy);
    return answer_text;
}

static void check_says(struct bench *bench, const char *line, const char *words_in_it)
{
    const char *text = answer_of(bench, line, true);

    if (!strstr(text, words_in_it))
        fail_msg("'%s' does not say '%s' but '%s'", line, words_in_it, text);
}

static void check_answer(struct bench *bench, const char *line, const char *expected)
{
    assert_string_equal(answer_of(bench, line, true), expected);
}

static struct bench *open_bench(uint64_t memory, unsigned slots, uint64_t max)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, memory, true);

    config.dimm_slots = slots;
    config.memory_max = max;
    bench_open(bench, &config);
    return bench;
}

static void close_bench(struct bench *bench)
{
    free(answer_text);
    answer_text = NULL;
    bench_free(bench);
}

static void refused_commands(void **state)
{
    static const struct {
        const char *line, *answer;
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {"foo bar", "foo: no such command; see help\n"},
        {"help foo", "help: 'foo': no such command\n"},
        {"help info foo", "help: 'info foo': no such command\n"},
        {"help help foo", "help: 'help foo': no such command\n"},
        {"info", "info: something is missing: it takes SUBJECT [OPTION]...\n"},
        {"info foo", "info: there is nothing about 'foo'; see help info\n"},
        {"info slots 1", "info slots: '1' is too much: it takes nothing\n"},
        {"info mtree -x", "info mtree: '-x': the options are -f, -d, -o and -D\n"},
        {"info mtree -", "info mtree: '-': the options are -f, -d, -o and -D\n"},
        {"info mtree f", "info mtree: 'f': the options are -f, -d, -o and -D\n"},
        {"quit now", "quit: 'now' is too much: it takes nothing\n"},
        {"quit/1", "quit/1: no such command; see help\n"},
        {"x", "x: something is missing: it takes [/FMT] ADDR\n"},
        {"x /8xw", "x: it takes [/FMT] and one address\n"},
        {"x 1 2", "x: it takes [/FMT] and one address\n"},
        {"x/q 1", "x: 'q': FMT is a count, one of the formats x d u o t c s and one of the sizes b h w g\n"},
        {"xp /q 1", "xp: 'q': FMT is a count, one of the formats x d u o t c s and one of the sizes b h w g\n"},
        {"x/0b 1", "x: '0b': a count of 0 shows nothing\n"},
        {"x q", "x: 'q': not an address: a decimal number, or a hexadecimal one with 0x\n"},
        {"x -1", "x: '-1': not an address: a decimal number, or a hexadecimal one with 0x\n"},
        {"x 0x", "x: '0x': not an address: a decimal number, or a hexadecimal one with 0x\n"},
        {"x 0x-1", "x: '0x-1': not an address: a decimal number, or a hexadecimal one with 0x\n"},
        {"x 0x10000000000000000",
         "x: '0x10000000000000000': not an address: a decimal number, or a hexadecimal one with 0x\n"},
        {"x 0xfffffffffffffffe", "x: '0xfffffffffffffffe': this goes past the last address\n"},
        {"hotplug", "hotplug: something is missing: it takes SIZE [ID]\n"},
        {"hotplug 1X", "hotplug: '1X': not a size\n"},
        {"hotplug 99999999999999999999", "hotplug: '99999999999999999999': not a size that any machine has\n"},
        {"hotplug 2M", "hotplug: the machine has no slots for memory (--memory SIZE,slots=N,max=SIZE)\n"},
        {"unplug a", "unplug: the machine has no slots for memory (--memory SIZE,slots=N,max=SIZE)\n"},
        {"info memory-devices", "no slots for memory (--memory SIZE,slots=N,max=SIZE)\n"},
        {"screendump", "screendump: something is missing: it takes FILE\n"},
        {"a \"b", "a quotation mark is missing, or these are more than 16 words\n"},
        {"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "a quotation mark is missing, or these are more than 16 words\n"},
    };
    struct bench *bench = open_bench(16 * MIB, 0, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_answer(bench, cases[i].line, cases[i].answer);
    assert_string_equal(answer_of(bench, "quit", false), "");
    close_bench(bench);
}

static void help(void **state)
{
    static const char *const commands[] = {"cont",       "help",   "hotplug SIZE", "info SUBJECT",  "pci",      "quit",
                                           "screendump", "unplug", "stop",         "x [/FMT] ADDR", "xp [/FMT]"};
    static const char *const subjects[] = {"dirty", "memory-devices", "mtree", "pci", "ramblock", "slots", "status"};
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        check_says(bench, "help", commands[i]);
        snprintf(line, sizeof(line), "help %.*s", (int)strcspn(commands[i], " "), commands[i]);
        check_says(bench, line, commands[i]);
    }
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        snprintf(line, sizeof(line), "info %s", subjects[i]);
        check_says(bench, "help info", line);
        snprintf(line, sizeof(line), "help info %s", subjects[i]);
        check_says(bench, line, line + strlen("help "));
    }
    close_bench(bench);
}

static int collect(void *opaque, const char *text, size_t len)
{
    *(char **)opaque = strndup(text, len);
    return 0;
}

/* The tree and the flat views are the library's text, with each option. */
static void mtree(void **state)
{
    static const struct {
        const char *line;
        uint32_t flags;
        bool flat;
    } cases[] = {
        {"info mtree", 0, false},
        {"info mtree -D", GMEM_PRINT_DISABLED, false},
        {"info mtree -o -D", GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER, false},
        {"info mtree -oD", GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER, false},
        {"info mtree -f", 0, true},
        {"info mtree -f -o", GMEM_PRINT_OWNER, true},
        {"info mtree -d", GMEM_PRINT_DISPATCH, true},
        {"info mtree -f -d", GMEM_PRINT_DISPATCH, true},
    };
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    struct gmem_print_options options = {.struct_size = sizeof(options), .mark = gmem_kvm_mark};

    (void)state;
    options.mark_opaque = machine_slots(bench->machine);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gmem_vm *vm = machine_vm(bench->machine);
        char *text = NULL;

        options.flags = cases[i].flags;
        assert_int_equal(cases[i].flat ? gmem_print_flat(vm, &options, collect, &text)
                                       : gmem_print_tree(vm, &options, collect, &text),
                         0);
        check_answer(bench, cases[i].line, text);
        free(text);
    }
    check_says(bench, "info mtree -f", "(prio 0, ram): pc.ram KVM\n");
    check_says(bench, "info mtree -d", " memory: pc.ram\n");
    check_says(bench, "info mtree -D", "[disabled]");
    close_bench(bench);
}

static void status_and_slots(void **state)
{
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    struct gmem_kvm_stats stats;
    char line[128];

    (void)state;
    check_says(bench, "info status",
               "machine: running\nprocessors: 1, nothing runs them\nmemory: 16777216 bytes\nmap: ");
    check_answer(bench, "stop", "");
    check_answer(bench, "stop", "");
    check_says(bench, "info status", "machine: stopped\n");
    check_answer(bench, "cont", "");
    check_says(bench, "info status", "machine: running\n");
    gmem_kvm_stats(machine_slots(bench->machine), &stats);
    snprintf(line, sizeof(line), "\n%u slots in use, at most %u; %llu calls, %llu removals, 0 refused; ", stats.slots,
             stats.slots_peak, (unsigned long long)stats.calls, (unsigned long long)stats.removals);
    check_says(bench, "info slots", line);
    check_says(bench, "info slots", "  0000000000000000  00000000000a0000  rw     -    0x");
    close_bench(bench);
}

/* Slots of system management mode are listed behind the others, and counted with them. */
static void slots_of_both(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, 16 * MIB, true);
    struct gmem_kvm_stats one, two;
    char line[128];

    (void)state;
    config.smm = true;
    bench_open(bench, &config);
    gmem_kvm_stats(machine_slots(bench->machine), &one);
    gmem_kvm_stats(machine_slots_smm(bench->machine), &two);
    snprintf(line, sizeof(line), "\n%u slots in use, at most %u; %llu calls, ", one.slots + two.slots,
             one.slots_peak + two.slots_peak, (unsigned long long)one.calls + two.calls);
    check_says(bench, "info slots", line);
    check_says(bench, "info slots", "       0  0000000000000000  00000000000a0000  rw     -    0x");
    check_says(bench, "info slots", "   10000  0000000000000000  00000000000c0000  rw     -    0x");
    close_bench(bench);
}

static void pci(void **state)
{
    struct bench *bench = open_bench(16 * MIB, 0, 0);

    (void)state;
    check_says(bench, "pci",
               "00:00.0 i440FX: 8086:1237, class 0600, revision 2\n    command 0x0000: ports off, memory off");
    check_says(
        bench, "info pci",
        "    BAR 0: memory, 32 bits, prefetchable 0x0-0xffffff (vga.vram): not decoded: off in the command register\n");
    cfg_write32(bench, 0x10, 0x10, 0xfd000000);
    check_says(bench, "pci", "0xfd000000-0xfdffffff (vga.vram): not decoded: off in the command register\n");
    cfg_write16(bench, 0x10, 4, 2);
    check_says(bench, "pci", "0xfd000000-0xfdffffff (vga.vram): decoded\n");
    check_says(bench, "pci", "    BAR 2: memory, 32 bits 0x0-0xfff (vga.mmio): not decoded: nothing can be there\n");
    check_says(bench, "pci", "    ROM:   memory, 32 bits 0x0-0xffff (vga.rom): not decoded: off in its own register\n");
    close_bench(bench);
}

static void ram_blocks_and_dirt(void **state)
{
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    struct gmem_section section;

    (void)state;
    check_says(bench, "info ramblock",
               "pc.ram                4 KiB  0000000000000000  0000000001000000  0000000001000000  0x");
    check_says(bench, "info ramblock", "  memory noreserve\npc.bios ");
    check_says(bench, "info dirty", "pc.ram: 4096 pages, never logged\n");
    assert_int_equal(gmem_space_lookup(machine_memory(bench->machine), 0, &section), 0);
    assert_int_equal(gmem_region_set_log(section.region, GMEM_LOG_MIGRATION, true), 0);
    assert_int_equal(gmem_region_set_log(section.region, 5, true), 0);
    assert_int_equal(gmem_st8(machine_memory(bench->machine), 0x5000, GMEM_ATTRS_NONE, 1), GMEM_OK);
    check_says(bench, "info dirty",
               "pc.ram: 4096 pages\n    migration: 1 dirty, logged\n    client 5: 1 dirty, logged\n");
    assert_int_equal(gmem_region_set_log(section.region, GMEM_LOG_MIGRATION, false), 0);
    check_says(bench, "info dirty", "    migration: 1 dirty, not logged now\n    client 5: 1 dirty, logged\n");
    gmem_section_release(&section);
    check_says(bench, "info slots", "  rw     log  0x");
    close_bench(bench);
}

static void x_of_a_machine(void **state)
{
    struct bench *bench = open_bench(16 * MIB, 0, 0);

    (void)state;
    assert_int_equal(gmem_st32_le(machine_memory(bench->machine), 0x1234, GMEM_ATTRS_NONE, 0xcafe), GMEM_OK);
    check_answer(bench, "x 0x1234", "0000000000001234: 0x0000cafe\n");
    check_answer(bench, "x/1xh 4660", "0000000000001234: 0xcafe\n");
    check_answer(bench, "x /xh 4660", "0000000000001234: 0xcafe\n");
    check_answer(bench, "xp/xh 0x1234", "0000000000001234: 0xcafe\n");
    check_answer(bench, "x/3xb 0xfffffff0", "00000000fffffff0: 0xf4 0xeb 0xfd\n");
    check_says(bench, "x/xb 0xfee00000", "00000000fee00000-00000000fee00000 not read: kvm-apic-msi, a device\n");
    check_says(bench, "x/xb 0x10000000000", "not read: nothing is there\n");
    close_bench(bench);
}

/* --- plugged memory ------------------------------------------------------------------------------------------------ */

/* As `info mtree` of qemu-system-x86_64 -machine pc -m SIZE,slots=N,maxmem=MAX (7.2) shows device-memory. */
static void layout(void **state)
{
    static const struct {
        uint64_t memory, max;
        unsigned slots;
        uint64_t first, last;
    } cases[] = {
        {GIB, 8 * GIB, 4, 0x100000000, 0x3bfffffff},
        {5 * GIB, 6 * GIB, 2, 0x180000000, 0x23fffffff},
        {512 * MIB, 1000 * MIB, 3, 0x100000000, 0x1de7fffff},
        {3584 * MIB, 4 * GIB, 1, 0x140000000, 0x19fffffff},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *bench = open_bench(cases[i].memory, cases[i].slots, cases[i].max);
        struct gmem_hotplug_state dimms;

        gmem_hotplug_info(machine_dimms(bench->machine), &dimms);
        assert_int_equal(dimms.base, cases[i].first);
        assert_int_equal(dimms.base + dimms.size - 1, cases[i].last);
        assert_int_equal(dimms.slots, cases[i].slots);
        assert_int_equal(machine_device_memory_end(cases[i].memory, cases[i].slots, cases[i].max),
                         (cases[i].last + GIB) / GIB * GIB);
        check_says(bench, "info mtree", "(prio 0, i/o): device-memory\n");
        close_bench(bench);
    }
    assert_int_equal(machine_device_memory_end(GIB, 256, UINT64_MAX), UINT64_MAX);
}

/* The bytes of a file of fw_cfg, or 0 if it has none: key 0x19 is the directory. */
static unsigned read_file(struct bench *bench, const char *wanted, uint8_t *data, unsigned room)
{
    uint8_t entry[64];
    unsigned count = 0;

    out16(bench, 0x510, 0x19);
    for (unsigned i = 0; i < 4; i++)
        count = count << 8 | in8(bench, 0x511);
    while (count-- > 0) {
        for (unsigned i = 0; i < sizeof(entry); i++)
            entry[i] = in8(bench, 0x511);
        if (strcmp((const char *)entry + 8, wanted) == 0) {
            unsigned size = (unsigned)entry[2] << 8 | entry[3];

            out16(bench, 0x510, (uint16_t)(entry[4] << 8 | entry[5]));
            for (unsigned i = 0; i < size && i < room; i++)
                data[i] = in8(bench, 0x511);
            return size;
        }
    }
    return 0;
}

static void firmware_is_told(void **state)
{
    static const uint8_t end[8] = {0, 0, 0, 0xc0, 3, 0, 0, 0};
    struct bench *bench = open_bench(GIB, 4, 8 * GIB);
    uint8_t data[8];

    (void)state;
    assert_int_equal(read_file(bench, "etc/reserved-memory-end", data, sizeof(data)), 8);
    assert_memory_equal(data, end, 8);
    close_bench(bench);
    bench = open_bench(GIB, 0, 0);
    assert_int_equal(read_file(bench, "etc/reserved-memory-end", data, sizeof(data)), 0);
    close_bench(bench);
}

static void plugging(void **state)
{
    struct bench *bench = open_bench(64 * MIB, 3, 128 * MIB);
    struct gmem_kvm_stats before, after;

    (void)state;
    gmem_kvm_stats(machine_slots(bench->machine), &before);
    check_answer(bench, "info memory-devices",
                 "0 of 3 slots used, 0 MiB plugged in; addresses 0000000100000000-00000001c3ffffff\n");
    check_answer(bench, "hotplug 32M", "32 MiB at 0000000100000000-0000000101ffffff\n");
    check_answer(bench, "hotplug 2M b", "2 MiB at 0000000102000000-00000001021fffff\n");
    check_answer(bench, "info memory-devices",
                 "dimm0: 0000000100000000-0000000101ffffff, 32 MiB\nb: 0000000102000000-00000001021fffff, 2 MiB\n"
                 "2 of 3 slots used, 34 MiB plugged in; addresses 0000000100000000-00000001c3ffffff\n");
    gmem_kvm_stats(machine_slots(bench->machine), &after);
    assert_int_equal(after.slots, before.slots + 2);
    assert_int_equal(gmem_st32_le(machine_memory(bench->machine), 0x102000000, GMEM_ATTRS_NONE, 0x12345678), GMEM_OK);
    check_answer(bench, "x 0x102000000", "0000000102000000: 0x12345678\n");
    /* What is refused changes nothing. */
    check_answer(bench, "hotplug 1M", "hotplug: 1048576 bytes are not a multiple of 2 MiB\n");
    check_answer(bench, "hotplug 0", "hotplug: 0 bytes are not a multiple of 2 MiB\n");
    check_answer(bench, "hotplug 32M c", "hotplug: 32 MiB are more than the 30 MiB that are left of max=\n");
    check_says(bench, "hotplug 2M b", "\"b\" is there already");
    check_says(bench, "hotplug 2M pc.ram", "\"pc.ram\" is there already");
    check_says(bench, "hotplug 2M a/b", "'a/b': an id has 1 to 63 letters");
    check_says(bench, "hotplug 2M \"\"", "'': an id has 1 to 63 letters");
    check_answer(bench, "unplug c", "unplug: 'c': no such block is plugged in\n");
    check_answer(bench, "hotplug 2M", "2 MiB at 0000000102200000-00000001023fffff\n");
    check_answer(bench, "hotplug 2M", "hotplug: all 3 slots are taken\n");
    /* The place and the id are free again at once. */
    for (unsigned i = 0; i < 20; i++) {
        check_answer(bench, "unplug b", "");
        check_says(bench, "x 0x102000000", "nothing is there");
        check_answer(bench, "hotplug 2M b", "2 MiB at 0000000102000000-00000001021fffff\n");
        check_answer(bench, "x 0x102000000", "0000000102000000: 0x00000000\n");
    }
    check_answer(bench, "unplug dimm0", "");
    check_answer(bench, "hotplug 2M", "2 MiB at 0000000100000000-00000001001fffff\n");
    close_bench(bench);
}

/* A slot that the kernel refuses: nothing is left of the block. */
static void plugging_refused(void **state)
{
    struct bench *bench = open_bench(64 * MIB, 3, 128 * MIB);
    gmem_ram *ram;

    (void)state;
    bench->refuse_gpa = 0x100000000;
    check_says(bench, "hotplug 2M a", "hotplug: a: ");
    assert_true(bench->refusals > 0);
    check_says(bench, "info memory-devices", "0 of 3 slots used");
    assert_int_equal(gmem_ram_find(machine_vm(bench->machine), "a", &ram), -ENOENT);
    bench->refuse_gpa = UINT64_MAX;
    check_answer(bench, "hotplug 2M a", "2 MiB at 0000000100000000-00000001001fffff\n");
    close_bench(bench);
}

static void impossible_machines(void **state)
{
    static const struct {
        uint64_t memory, max;
        unsigned slots;
    } cases[] = {{GIB, 2 * GIB, 0},
                 {GIB, 0, 1},
                 {GIB, GIB, 1},
                 {GIB, 2 * GIB, 257},
                 {GIB, GIB + MIB, 1},
                 {GIB, 1011 * GIB, 8},
                 {GIB, UINT64_MAX - (2 * MIB - 1), 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *bench = bench_new();
        struct pc_config config = bench_config(bench, cases[i].memory, false);
        struct pc_error error = {""};

        config.dimm_slots = cases[i].slots;
        config.memory_max = cases[i].max;
        assert_int_equal(machine_create(&config, &bench->machine, &error), -EINVAL);
        assert_non_null(strstr(error.text, "slots for up to"));
        bench_free(bench);
    }
}

/* --- options ------------------------------------------------------------------------------------------------------- */

static int parse(const char *name, const char *value, struct options *options, struct pc_error *error)
{
    char program[] = "gmem-pc", option[32], copy[8192];
    char *argv[] = {program, option, copy, NULL};

    snprintf(option, sizeof(option), "--%s", name);
    snprintf(copy, sizeof(copy), "%s", value);
    optind = 0; /* getopt_long begins anew */
    return options_parse(3, argv, options, error);
}

static void memory_option(void **state)
{
    static const struct {
        const char *text;
        uint64_t memory, max;
        unsigned slots;
    } good[] = {{"512M", 512 * MIB, 0, 0},
                {"1G,slots=4,max=8G", GIB, 8 * GIB, 4},
                {"1G,max=8GiB,slots=256", GIB, 8 * GIB, 256},
                {"1G,slots=1,slots=2,max=2G", GIB, 2 * GIB, 2}};
    static const char *const bad[][2] = {
        {"1G,", "'': behind the size"},       {"1G,slots=4", "max=SIZE too"},
        {"1G,max=4G", "slots=N too"},         {"1G,slots=0,max=2G", "slots=0: not"},
        {"1G,slots=257,max=2G", "257"},       {"1G,slots=x,max=2G", "slots=x"},
        {"1G,slots=1,max=", "max=: not"},     {"1G,slots=1,max=1G", "not more"},
        {"1G,slots=1,max=1025M", "2 MiB"},    {"1G,slots=1,max=99999999999999999999", "any machine"},
        {"1G,slots=1,max=1012G", "1012 GiB"}, {"1G,foo=1", "'foo=1'"},
        {"slots=1,max=2G", "not a size"},     {",", "not a size"},
        {"1G,slots=4,max=8G,", "''"},
    };
    struct options options;
    struct pc_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse("memory", good[i].text, &options, &error), 0);
        assert_int_equal(options.memory, good[i].memory);
        assert_int_equal(options.dimm_slots, good[i].slots);
        assert_int_equal(options.memory_max, good[i].max);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse("memory", bad[i][0], &options, &error), -EINVAL);
        if (!strstr(error.text, bad[i][1]) || strncmp(error.text, "--memory ", 9) != 0)
            fail_msg("%s: %s", bad[i][0], error.text);
    }
}

static void backend_option(void **state)
{
    static const struct {
        const char *text;
        struct pc_backing is;
    } good[] = {
        {"anon", {.kind = GMEM_RAM_ANON}},
        {"anon,share,hugepages,prealloc",
         {.kind = GMEM_RAM_ANON, .flags = GMEM_RAM_SHARED | GMEM_RAM_HUGE | GMEM_RAM_PREALLOC}},
        {"memfd,hugepages", {.kind = GMEM_RAM_MEMFD, .flags = GMEM_RAM_HUGETLB}},
        {"file:/a/b", {.kind = GMEM_RAM_FILE, .path = "/a/b"}},
        {"file:a,,b,share", {.kind = GMEM_RAM_FILE, .flags = GMEM_RAM_SHARED, .path = "a,b"}},
        {"file:a,hugepages", {.kind = GMEM_RAM_FILE, .path = "a", .hugetlbfs = true}},
    };
    static const char *const bad[] = {"",     "foo",   "anon,",       "anon,foo", "anon:x",
                                      "file", "file:", "file:,share", "file:a,b", "memfd;"};
    static char path[6000] = "file:", item[200];
    struct options options;
    struct pc_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct pc_backing backing;

        assert_int_equal(parse("memory-backend", good[i].text, &options, &error), 0);
        options_backing(&options, &backing);
        assert_int_equal(backing.kind, good[i].is.kind);
        assert_int_equal(backing.flags, good[i].is.flags);
        assert_int_equal(backing.hugetlbfs, good[i].is.hugetlbfs);
        if (good[i].is.path)
            assert_string_equal(backing.path, good[i].is.path);
        else
            assert_null(backing.path);
    }
    memset(path + 5, 'a', sizeof(path) - 6);
    assert_int_equal(parse("memory-backend", path, &options, &error), -ENAMETOOLONG);
    assert_non_null(strstr(error.text, "too long"));
    memset(item, 'a', sizeof(item) - 1);
    assert_int_equal(parse("memory-backend", item, &options, &error), -EINVAL);
    memcpy(item, "anon,", 5);
    assert_int_equal(parse("memory-backend", item, &options, &error), -EINVAL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse("memory-backend", bad[i], &options, &error) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    }
}

/* --- backends ------------------------------------------------------------------------------------------------------ */

static void file_backends(void **state)
{
    char folder[] = "/tmp/gmem-test-XXXXXX", path[64], second[80];
    struct pc_backing backing = {.kind = GMEM_RAM_FILE, .flags = GMEM_RAM_SHARED};
    struct pc_error error = {""};
    gmem_ram *ram, *dimm;
    gmem_vm *vm;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/ram", folder);
    snprintf(second, sizeof(second), "%s.dimm0", path);
    assert_int_equal(gmem_vm_create(NULL, &vm), 0);
    /* Each has its file. */
    backing.path = path;
    assert_int_equal(pc_backing_create(&backing, vm, "pc.ram", false, MIB, &ram, &error), 0);
    assert_int_equal(pc_backing_create(&backing, vm, "dimm0", true, MIB, &dimm, &error), 0);
    gmem_ram_unref(ram);
    gmem_ram_unref(dimm);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(second), 0);
    /* In a directory it has no name. */
    backing.path = folder;
    assert_int_equal(pc_backing_create(&backing, vm, "dimm0", true, MIB, &dimm, &error), 0);
    gmem_ram_unref(dimm);
    backing.hugetlbfs = true;
    assert_int_equal(pc_backing_create(&backing, vm, "pc.ram", false, MIB, &ram, &error), -EINVAL);
    assert_non_null(strstr(error.text, "is not in a hugetlbfs"));
    backing.path = path;
    assert_int_equal(pc_backing_create(&backing, vm, "pc.ram", false, MIB, &ram, &error), -EINVAL);
    gmem_vm_destroy(vm);
    assert_int_equal(rmdir(folder), 0); /* and nothing was left in it */
}

static int cancel(void *opaque, const char *id, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    assert_string_equal(id, "pc.ram");
    ++*(unsigned *)opaque;
    return -1;
}

static void cancelled_machine(void **state)
{
    struct bench *bench = bench_new();
    struct pc_config config = bench_config(bench, 64 * MIB, false);
    struct pc_error error = {""};
    unsigned calls = 0;

    (void)state;
    config.backing = (struct pc_backing){.flags = GMEM_RAM_PREALLOC, .progress = cancel, .opaque = &calls};
    assert_int_equal(machine_create(&config, &bench->machine, &error), -ECANCELED);
    assert_int_equal(calls, 1);
    bench_free(bench);
}

static void progress_line(void **state)
{
    struct progress progress = {.file = NULL};
    char *text = NULL;
    size_t len = 0;

    (void)state;
    progress_show(&progress, "pc.ram", 0, 100 * MIB, 0); /* to nobody */
    progress.file = open_memstream(&text, &len);
    assert_non_null(progress.file);
    /* What is done within a second is not worth a line. */
    progress_show(&progress, "pc.ram", 0, 100 * MIB, 5000);
    progress_show(&progress, "pc.ram", 50 * MIB, 100 * MIB, 5500);
    progress_show(&progress, "pc.ram", 100 * MIB, 100 * MIB, 5999);
    fflush(progress.file);
    assert_int_equal(len, 0);
    progress_show(&progress, "pc.ram", 0, 100 * MIB, 7000);
    progress_show(&progress, "pc.ram", 10 * MIB, 100 * MIB, 8000);
    progress_show(&progress, "pc.ram", 11 * MIB, 100 * MIB, 8099); /* too soon after it */
    progress_show(&progress, "pc.ram", 99 * MIB, 100 * MIB, 8100);
    progress_show(&progress, "pc.ram", 100 * MIB, 100 * MIB, 8101);
    /* Cut short. */
    progress_show(&progress, "dimm0", 0, MIB, 9000);
    progress_end(&progress);
    progress_show(&progress, "dimm0", MIB / 2, MIB, 10000);
    progress_end(&progress);
    assert_int_equal(fclose(progress.file), 0);
    assert_string_equal(text, "\rgmem-pc: pc.ram: 10% of 100 MiB touched\rgmem-pc: pc.ram: 99% of 100 MiB touched"
                              "\rgmem-pc: pc.ram: 100% of 100 MiB touched\n"
                              "\rgmem-pc: dimm0: 50% of 1 MiB touched\n");
    free(text);
}

/* --- standard output and input ------------------------------------------------------------------------------------- */

static void log_text(struct terminal *terminal, const char *text)
{
    while (*text)
        terminal_log(terminal, *text++);
}

static void answers_and_the_log(void **state)
{
    static struct terminal terminal;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    terminal_init(&terminal, out, true);
    log_text(&terminal, "one\ntw");
    terminal_answer(&terminal, "answer\n", 7);
    log_text(&terminal, "o\n");
    terminal_prompt(&terminal, "? ");
    log_text(&terminal, "three\nfo");
    terminal_answer(&terminal, "more\n", 5);
    terminal_finish(&terminal);
    fflush(out);
    assert_string_equal(text, "one\nanswer\ntwo\n? \nthree\n? more\nfo\n");
    /* Longer than what is held back: an answer then begins a line of its own. */
    rewind(out);
    for (unsigned i = 0; i < TERMINAL_LINE_MAX; i++)
        terminal_log(&terminal, 'a');
    terminal_answer(&terminal, "b\n", 2);
    fflush(out);
    assert_string_equal(text + TERMINAL_LINE_MAX, "\nb\n");
    /* Without a monitor each character goes out as it comes. */
    fclose(out);
    free(text);
    out = open_memstream(&text, &len);
    assert_non_null(out);
    terminal_init(&terminal, out, false);
    log_text(&terminal, "ab");
    fflush(out);
    assert_string_equal(text, "ab");
    terminal_finish(&terminal);
    fflush(out);
    assert_string_equal(text, "ab\n");
    fclose(out);
    free(text);
}

/* Serve input until it has ended, or quit: which is returned. */
static bool serve_all(struct bench *bench, const char *input, size_t size, bool prompt, char **ret_text)
{
    static struct terminal terminal;
    struct monitor *monitor;
    size_t len = 0;
    FILE *out = open_memstream(ret_text, &len);
    bool go_on = true;
    int pipes[2];

    assert_non_null(out);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], input, size), size);
    close(pipes[1]);
    terminal_init(&terminal, out, true);
    assert_int_equal(monitor_create(bench->machine, &terminal, pipes[0], prompt, &monitor), 0);
    while (go_on && (monitor_busy(monitor) || monitor_fd(monitor) >= 0))
        go_on = monitor_serve(monitor);
    monitor_destroy(monitor);
    close(pipes[0]);
    assert_int_equal(fclose(out), 0);
    return go_on;
}

static void whole_input(void **state)
{
    static const char odd[] = "a\0b\nstop\nfoo\nx 0x1000";
    static char big[MONITOR_LINE_MAX + 20];
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    char *text;

    (void)state;
    assert_true(serve_all(bench, odd, sizeof(odd) - 1, false, &text));
    assert_string_equal(text, "a line with a NUL byte is no command\nfoo: no such command; see help\n"
                              "0000000000001000: 0x00000000\n");
    free(text);
    assert_false(serve_all(bench, "quit\nfoo\n", 9, false, &text));
    assert_string_equal(text, "");
    free(text);
    memset(big, 'q', sizeof(big));
    memcpy(big + sizeof(big) - 6, "\nfoo\n", 6);
    assert_true(serve_all(bench, big, sizeof(big) - 1, false, &text));
    assert_string_equal(text, "a line of more than 1024 bytes is no command\nfoo: no such command; see help\n");
    free(text);
    assert_true(serve_all(bench, "\nfoo\n", 5, true, &text));
    assert_string_equal(text, "(gmem) \n(gmem) foo: no such command; see help\n(gmem) ");
    free(text);
    close_bench(bench);
}

static void unreadable_input(void **state)
{
    static struct terminal terminal;
    struct bench *bench = open_bench(16 * MIB, 0, 0);
    struct monitor *monitor;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int fd = open("/", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_non_null(out);
    terminal_init(&terminal, out, true);
    assert_int_equal(monitor_create(bench->machine, &terminal, fd, false, &monitor), 0);
    assert_true(monitor_serve(monitor));
    assert_int_equal(monitor_fd(monitor), -1);
    monitor_destroy(monitor);
    close(fd);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "commands can't be read any more: Is a directory\n");
    free(text);
    close_bench(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(words),
        cmocka_unit_test(formats),
        cmocka_unit_test(x_of_memory),
        cmocka_unit_test(x_without_memory),
        cmocka_unit_test(x_of_a_long_string),
        cmocka_unit_test(refused_commands),
        cmocka_unit_test(help),
        cmocka_unit_test(mtree),
        cmocka_unit_test(status_and_slots),
        cmocka_unit_test(slots_of_both),
        cmocka_unit_test(pci),
        cmocka_unit_test(ram_blocks_and_dirt),
        cmocka_unit_test(x_of_a_machine),
        cmocka_unit_test(layout),
        cmocka_unit_test(firmware_is_told),
        cmocka_unit_test(plugging),
        cmocka_unit_test(plugging_refused),
        cmocka_unit_test(impossible_machines),
        cmocka_unit_test(memory_option),
        cmocka_unit_test(backend_option),
        cmocka_unit_test(file_backends),
        cmocka_unit_test(cancelled_machine),
        cmocka_unit_test(progress_line),
        cmocka_unit_test(answers_and_the_log),
        cmocka_unit_test(whole_input),
        cmocka_unit_test(unreadable_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
