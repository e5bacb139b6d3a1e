/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing but the inputs' pointers into argv. One thread.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"

int bad_input(const struct problem *problem)
{
    fflush(stdout);
    fprintf(stderr, "gmem: %s\n", problem->text);
    return EXIT_USAGE;
}

bool number_parse(const char *text, uint64_t *ret, struct problem *problem)
{
    static const char suffixes[] = "KMGT";
    char *end;
    const char *suffix;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 0);
    if (end == text || *text == '-' || *text == '+' || *text == ' ')
        return problem_at(problem, NULL, 0, "\"%s\" is not a number; give 0xc0000 or 768K", text);
    suffix = *end ? strchr(suffixes, *end & ~0x20) : NULL;
    if (*end && (!suffix || end[1]))
        return problem_at(problem, NULL, 0, "\"%s\" is not a number; give 0xc0000 or 768K", text);
    for (const char *s = suffixes; suffix && s <= suffix; s++) {
        if (value > UINT64_MAX / 1024)
            errno = ERANGE;
        value *= 1024;
    }
    if (errno)
        return problem_at(problem, NULL, 0, "\"%s\" is past 2^64", text);
    *ret = value;
    return true;
}

static int usage(const char *command, const struct problem *problem)
{
    fprintf(stderr, "gmem %s: %s\nTry gmem %s --help\n", command, problem->text, command);
    return EXIT_USAGE;
}

int options_parse(int argc, char **argv, unsigned understood, int operands, const struct option *own, option_fn *fn,
                  void *opaque, struct options *ret)
{
    enum { HELP = 0x100, COLOR, QMP, AT, JSON };
    struct option all[40] = {{"help", no_argument, NULL, HELP}, {"color", optional_argument, NULL, COLOR}};
    size_t n = 2;
    struct problem problem;
    int value;

    *ret = (struct options){0};
    for (int i = 0; i < 2; i++)
        ret->inputs[i].at = SIZE_MAX;
    if (understood & OPT_INPUT) {
        all[n++] = (struct option){"flat", required_argument, NULL, 'f'};
        all[n++] = (struct option){"qmp", required_argument, NULL, QMP};
        all[n++] = (struct option){"at", required_argument, NULL, AT};
    }
    if (understood & OPT_SPACE)
        all[n++] = (struct option){"space", required_argument, NULL, 's'};
    if (understood & OPT_JSON)
        all[n++] = (struct option){"json", no_argument, NULL, JSON};
    for (; own && own->name; own++)
        all[n++] = *own;
    output_color(COLOR_AUTO);
    optind = 1;
    while ((value = getopt_long(argc, argv, "f:s:h", all, NULL)) != -1) {
        uint64_t number;

        switch (value) {
        case HELP:
        case 'h':
            ret->help = true;
            return 0;
        case COLOR:
            output_color(optarg && strcmp(optarg, "never") == 0 ? COLOR_NEVER : COLOR_ALWAYS);
            break;
        case 'f':
            ret->inputs[ret->inputs[0].flat ? 1 : 0].flat = optarg;
            break;
        case QMP:
            ret->inputs[ret->n_inputs++ & 1].qmp = optarg;
            break;
        case AT:
            if (!number_parse(optarg, &number, &problem))
                return usage(argv[0], &problem);
            ret->inputs[0].at = (size_t)number;
            break;
        case 's':
            ret->space = optarg;
            break;
        case JSON:
            ret->json = true;
            break;
        case '?':
            fprintf(stderr, "Try gmem %s --help\n", argv[0]);
            return EXIT_USAGE;
        default:
            if (!fn(opaque, value, optarg, &problem))
                return usage(argv[0], &problem);
        }
    }
    ret->operands = argv + optind;
    ret->n_operands = operands;
    if (argc - optind < operands) {
        problem_at(&problem, NULL, 0, "an argument is missing");
        return usage(argv[0], &problem);
    }
    for (int i = optind + operands; i < argc; i++) {
        if (!(understood & OPT_INPUT) || ret->n_inputs == (understood & OPT_TWO ? 2 : 1)) {
            problem_at(&problem, NULL, 0, "too many arguments: \"%s\"", argv[i]);
            return usage(argv[0], &problem);
        }
        ret->inputs[ret->n_inputs++].path = argv[i];
    }
    if (understood & OPT_INPUT && ret->n_inputs < (understood & OPT_TWO ? 2 : 1)) {
        problem_at(&problem, NULL, 0, "no FILE given (- is standard input)");
        return usage(argv[0], &problem);
    }
    return -1;
}
