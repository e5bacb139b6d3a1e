/* SPDX-License-Identifier: MIT */
/*
 * The command line: which option belongs to which input, numbers, what is refused and with which words, and what was meant by a
 * word with a slip in it.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "help.h"
#include "nearest.h"
#include "options.h"

static char errors[4096];
static struct options options;
static char *words[32];

static const struct option own[] = {
    {"output", required_argument, NULL, 'o'},
    {"range", required_argument, NULL, OPTION_OWN},
    {"ranges", no_argument, NULL, OPTION_OWN + 1},
    {0},
};

static struct {
    const char *output, *range;
    bool ranges;
} seen;

static bool own_option(void *opaque, int value, const char *argument, struct problem *problem)
{
    assert_ptr_equal(opaque, &seen);
    if (value == 'o')
        seen.output = argument;
    else if (value == OPTION_OWN)
        seen.range = argument;
    else if (value == OPTION_OWN + 1)
        seen.ranges = true;
    if (argument && strcmp(argument, "refused") == 0)
        return problem_at(problem, NULL, 0, "that is refused");
    return true;
}

/* Parse a command line of words between blanks; what it prints on standard error goes to errors, on standard output nowhere. */
static int parse(const char *line, unsigned understood, int operands)
{
    static char copy[512];
    int argc = 0, status, fds[2], saved[2] = {dup(1), dup(2)}, nowhere = open("/dev/null", O_WRONLY);
    ssize_t n;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[argc++] = word;
    words[argc] = NULL;
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(pipe(fds), 0);
    fflush(stdout);
    dup2(fds[1], 2);
    dup2(nowhere, 1);
    status = options_parse(argc, words, understood, operands, own, own_option, &seen, &options);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    close(nowhere);
    close(fds[1]);
    n = read(fds[0], errors, sizeof(errors) - 1);
    errors[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    return status;
}

static void assert_input(size_t i, const char *path, const char *flat, const char *qmp, size_t at)
{
    const char *wanted[] = {path, flat, qmp},
               *got[] = {options.inputs[i].path, options.inputs[i].flat, options.inputs[i].qmp};

    for (int j = 0; j < 3; j++) {
        if (wanted[j] && got[j])
            assert_string_equal(got[j], wanted[j]);
        else
            assert_ptr_equal(got[j], wanted[j]);
    }
    assert_int_equal(options.inputs[i].at, at);
}

static void assert_refused(const char *line, unsigned understood, int operands, const char *says)
{
    int status = parse(line, understood, operands);

    if (status != 2 || !strstr(errors, says))
        fail_msg("%s: status %d: %s", line, status, errors);
    assert_int_equal(strncmp(errors, "gmem flat: ", 11), 0);
    assert_non_null(strstr(errors, "\nTry gmem flat --help\n"));
}

static void one_input(void **state)
{
    (void)state;
    static const char *const lines[] = {"flat --flat F --space S FILE --json", "flat FILE -f F -s S --json",
                                        "flat -sS --json -fF -- FILE", "flat --json FILE --fl=F --sp=S"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(parse(lines[i], OPT_INPUT | OPT_SPACE | OPT_JSON, 0), -1);
        assert_int_equal(options.n_inputs, 1);
        assert_input(0, "FILE", "F", NULL, SIZE_MAX);
        assert_string_equal(options.space, "S");
        assert_true(options.json);
    }
    assert_int_equal(parse("flat --qmp SOCKET", OPT_INPUT, 0), -1);
    assert_input(0, NULL, NULL, "SOCKET", SIZE_MAX);
    assert_int_equal(parse("flat --at 0x10 -", OPT_INPUT, 0), -1);
    assert_input(0, "-", NULL, NULL, 16);
    assert_int_equal(parse("flat -- --json", OPT_INPUT | OPT_JSON, 0), -1);
    assert_input(0, "--json", NULL, NULL, SIZE_MAX);
    assert_false(options.json);
    assert_int_equal(parse("flat --at 0xffffffffffffffff T", OPT_INPUT, 0), -1);
    assert_input(0, "T", NULL, NULL, SIZE_MAX - 1);
}

static void two_inputs(void **state)
{
    (void)state;
    static const char *const lines[] = {"flat A --flat FA --at 1 B --flat FB --at 2",
                                        "flat --flat FA --at 1 A --flat FB --at 2 B",
                                        "flat --flat FA --at 1 A --at 2 B --flat FB"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(parse(lines[i], OPT_INPUT | OPT_TWO, 0), -1);
        assert_int_equal(options.n_inputs, 2);
        assert_input(0, "A", "FA", NULL, 1);
        assert_input(1, "B", "FB", NULL, 2);
    }
    assert_int_equal(parse("flat A B --flat FB", OPT_INPUT | OPT_TWO, 0), -1);
    assert_input(0, "A", NULL, NULL, SIZE_MAX);
    assert_input(1, "B", "FB", NULL, SIZE_MAX);
    assert_int_equal(parse("flat --flat FA A B", OPT_INPUT | OPT_TWO, 0), -1);
    assert_input(0, "A", "FA", NULL, SIZE_MAX);
    assert_input(1, "B", NULL, NULL, SIZE_MAX);
    assert_int_equal(parse("flat --qmp S A --at 4", OPT_INPUT | OPT_TWO, 0), -1);
    assert_input(0, NULL, NULL, "S", SIZE_MAX);
    assert_input(1, "A", NULL, NULL, 4);
    assert_int_equal(parse("flat A --qmp S", OPT_INPUT | OPT_TWO, 0), -1);
    assert_input(1, NULL, NULL, "S", SIZE_MAX);
    assert_int_equal(parse("flat - A --flat -", OPT_INPUT | OPT_TWO, 0), -1);
    assert_int_equal(parse("flat A --flat FA", OPT_INPUT | OPT_TWO | OPT_OPTIONAL, 0), -1);
    assert_int_equal(options.n_inputs, 1);
    assert_input(0, "A", "FA", NULL, SIZE_MAX);
    assert_int_equal(parse("flat --flat FA A --at 3", OPT_INPUT | OPT_TWO | OPT_OPTIONAL, 0), -1);
    assert_input(0, "A", "FA", NULL, 3);
}

static void operands(void **state)
{
    (void)state;
    assert_int_equal(parse("flat --json 0x10 --space S FILE -o OUT", OPT_INPUT | OPT_SPACE | OPT_JSON, 1), -1);
    assert_int_equal(options.n_operands, 1);
    assert_string_equal(options.operands[0], "0x10");
    assert_input(0, "FILE", NULL, NULL, SIZE_MAX);
    assert_string_equal(seen.output, "OUT");
    assert_int_equal(parse("flat one -- two FILE", OPT_INPUT, 2), -1);
    assert_string_equal(options.operands[0], "one");
    assert_string_equal(options.operands[1], "two");
    assert_int_equal(parse("flat --range 1-2 --ranges", 0, 0), -1);
    assert_string_equal(seen.range, "1-2");
    assert_true(seen.ranges);
    assert_int_equal(parse("flat", OPT_INPUT | OPT_OPTIONAL, 0), -1);
    assert_int_equal(options.n_inputs, 0);
}

static void refusals(void **state)
{
    unsigned all = OPT_INPUT | OPT_SPACE | OPT_JSON;

    (void)state;
    assert_refused("flat", all, 0, "no FILE is given");
    assert_refused("flat A", all, 1, "no FILE is given");
    assert_refused("flat", all, 1, "an argument is missing: gmem flat [OPTION...] FILE");
    assert_refused("flat A B", all, 0, "\"B\" is one argument too many");
    assert_refused("flat A --qmp S", all, 0, "--qmp \"S\" is one argument too many");
    assert_refused("flat A", 0, 0, "\"A\" is one argument too many");
    assert_refused("flat A", all | OPT_TWO, 0, "the second FILE is missing");
    assert_refused("flat --spcae S A", all, 0, "there is no option --spcae; did you mean --space?");
    assert_refused("flat --spcae=S A", all, 0, "there is no option --spcae; did you mean --space?");
    assert_refused("flat --xyzzy A", all, 0, "there is no option --xyzzy\n");
    assert_refused("flat --space S A", OPT_INPUT, 0, "there is no option --space");
    assert_refused("flat --rang A", all, 0, "--rang is the beginning of several options");
    assert_refused("flat -x A", all, 0, "there is no option -x");
    assert_refused("flat --json -xs A", all, 0, "there is no option -x");
    assert_refused("flat A --space", all, 0, "--space needs a value after it");
    assert_refused("flat A -s", all, 0, "-s needs a value after it");
    assert_refused("flat A --json=1", all, 0, "--json takes no value");
    assert_refused("flat A --color=blue", all, 0, "--color=blue: it is always, never or auto");
    assert_refused("flat A --color=", all, 0, "--color=: it is always");
    assert_refused("flat A --at x", all, 0, "--at x is not the number of a step");
    assert_refused("flat A --at 1 --at 2", all, 0, "--at 2: an input has only one");
    assert_refused("flat --at 1 --at 2 A", all, 0, "--at 2: an input has only one");
    assert_refused("flat --flat F --flat G A", all, 0, "--flat G: an input has only one");
    assert_refused("flat A --flat F B --flat F --flat G", all | OPT_TWO, 0, "--flat G: an input has only one");
    assert_refused("flat --flat F --qmp S", all, 0, "--flat F: a running QEMU");
    assert_refused("flat --qmp S --at 1", all, 0, "--at: a running QEMU (--qmp) has no steps");
    assert_refused("flat - --flat -", all, 0, "standard input can't be FILE and --flat too");
    assert_refused("flat - -", all | OPT_TWO, 0, "which can be read only once");
    assert_refused("flat --flat F", all | OPT_OPTIONAL, 0, "--flat is there without a FILE");
    assert_refused("flat A -o refused", all, 0, "that is refused");
}

static void help(void **state)
{
    (void)state;
    assert_int_equal(parse("flat --nonsense --help", OPT_INPUT, 0), 2);
    assert_int_equal(parse("flat --help --nonsense", OPT_INPUT, 0), 0);
    assert_true(options.help);
    assert_int_equal(parse("flat -h", 0, 0), 0);
    assert_string_equal(errors, "");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"0xffffffffffffffff", UINT64_MAX},
                {"18446744073709551615", UINT64_MAX},
                {"010", 8},
                {"768K", 0xc0000},
                {"768k", 0xc0000},
                {"3M", 3 << 20},
                {"0x10G", (uint64_t)16 << 30},
                {"16777215T", (uint64_t)16777215 << 40},
                {"0XfF", 255}};
    static const char *const bad[] = {"",   "x",  "-1", "+1",   " 1",  "1 ",    "0x", "1KB",
                                      "1B", "08", "K",  "1.5G", "0xg", "1\xcb", "1/"};
    static const char *const large[] = {"0x10000000000000000", "16777216T", "18446744073709551616",
                                        "0x1000000000000000K"};
    struct problem problem;
    uint64_t value;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(number_parse(good[i].text, &value, &problem));
        assert_int_equal(value, good[i].value);
    }
    value = 42;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(number_parse(bad[i], &value, &problem));
        assert_non_null(strstr(problem.text, "is not a number; give"));
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        assert_false(number_parse(large[i], &value, &problem));
        assert_non_null(strstr(problem.text, "is past 2^64"));
    }
    assert_int_equal(value, 42);
}

static void nearest_word(void **state)
{
    static const char *const names[] = {"tree", NULL, "flat", "check", "explain", "", "diff"};
    static const struct {
        const char *word, *meant;
    } cases[] = {{"flta", "flat"},    {"fla", "flat"},    {"flats", "flat"},  {"explian", "explain"},
                 {"expl", "explain"}, {"chekc", "check"}, {"dif", "diff"},    {"", NULL},
                 {"list", NULL},      {"q", NULL},        {"trace", "tree"},  {"tere", "tree"},
                 {"FLAT", NULL},      {"t", NULL},        {"differ", "diff"}, {"xxplain", "explain"}};
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = nearest(cases[i].word, names, 7);

        if (!cases[i].meant && found)
            fail_msg("%s gives %s", cases[i].word, found);
        if (cases[i].meant && (!found || strcmp(found, cases[i].meant) != 0))
            fail_msg("%s gives %s", cases[i].word, found ? found : "nothing");
    }
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(nearest(longest, names, 7));
}

static void helped(void **state)
{
    char beginning[32];

    (void)state;
    for (size_t i = 0; help_name(i); i++) {
        snprintf(beginning, sizeof(beginning), "gmem %s [OPTION...] ", help_name(i));
        assert_int_equal(strncmp(help_synopsis(help_name(i)), beginning, strlen(beginning)), 0);
    }
    assert_string_equal(help_nearest("hlep"), "help");
    assert_string_equal(help_nearest("explian"), "explain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_input), cmocka_unit_test(two_inputs), cmocka_unit_test(operands),
        cmocka_unit_test(refusals),  cmocka_unit_test(help),       cmocka_unit_test(nearest_word),
        cmocka_unit_test(numbers),   cmocka_unit_test(helped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
