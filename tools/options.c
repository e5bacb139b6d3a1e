/* SPDX-License-Identifier: MIT */
/*
 * Owns nothing: what it gives points into argv. One thread, as getopt(3) demands.
 *
 * Words are looked at in their order (getopt's "-"), since of two inputs an option belongs to one of them. They are given to their
 * inputs when all have been read.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "help.h"
#include "nearest.h"
#include "output.h"

#define OPTIONS_MAX 48

enum { OPTION_HELP = 0x100, OPTION_COLOR, OPTION_QMP, OPTION_AT, OPTION_JSON };

struct parser {
    char **argv;
    unsigned understood;
    int operands;
    struct option all[OPTIONS_MAX];
    size_t n_all;
    char letters[2 + 2 * OPTIONS_MAX + 1]; /* getopt's third argument */
    struct options *ret;
    size_t inputs_max;
    bool before; /* an option of an input stood before the first one */
    struct problem problem;
    /* --flat and --at for the input that follows, or that nothing follows. */
    const char *flat, *at;
};

int bad_input(const struct problem *problem)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", problem_program(), problem->text);
    return EXIT_USAGE;
}

int bad_usage(const char *command, const struct problem *problem)
{
    fflush(stdout);
    fprintf(stderr, "gmem %s: %s\nTry gmem %s --help\n", command, problem->text, command);
    return EXIT_USAGE;
}

bool number_parse(const char *text, uint64_t *ret, struct problem *problem)
{
    static const char suffixes[] = "KMGT";
    const char *suffix = NULL;
    unsigned long long value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9') /* a sign, a blank */
        end = (char *)text;
    if (end != text && ((*end >= 'a' && *end <= 'z') || (*end >= 'A' && *end <= 'Z')))
        suffix = strchr(suffixes, *end & ~0x20);
    if (end == text || (*end && (!suffix || end[1])))
        return problem_at(problem, NULL, 0, "\"%s\" is not a number; give one such as 0xc0000, 786432 or 768K", text);
    for (const char *s = suffixes; suffix && s <= suffix; s++) {
        if (value > UINT64_MAX / 1024)
            errno = ERANGE;
        value *= 1024;
    }
    if (errno)
        return problem_at(problem, NULL, 0, "\"%s\" is past 2^64; the largest is 0xffffffffffffffff", text);
    *ret = value;
    return true;
}

static void add(struct parser *parser, struct option option)
{
    size_t n = strlen(parser->letters);

    if (parser->n_all + 1 == OPTIONS_MAX)
        return;
    parser->all[parser->n_all++] = option;
    if (option.val > 0 && option.val < 0x80) {
        parser->letters[n++] = (char)option.val;
        if (option.has_arg == required_argument)
            parser->letters[n++] = ':';
        parser->letters[n] = '\0';
    }
}

static void understand(struct parser *parser, const struct option *own)
{
    strcpy(parser->letters, "-:"); /* in order; a missing value is ':', and nothing is printed */
    add(parser, (struct option){"help", no_argument, NULL, 'h'});
    add(parser, (struct option){"color", optional_argument, NULL, OPTION_COLOR});
    if (parser->understood & OPT_INPUT) {
        add(parser, (struct option){"flat", required_argument, NULL, 'f'});
        add(parser, (struct option){"qmp", required_argument, NULL, OPTION_QMP});
        add(parser, (struct option){"at", required_argument, NULL, OPTION_AT});
    }
    if (parser->understood & OPT_SPACE)
        add(parser, (struct option){"space", required_argument, NULL, 's'});
    if (parser->understood & OPT_JSON)
        add(parser, (struct option){"json", no_argument, NULL, OPTION_JSON});
    for (; own && own->name; own++)
        add(parser, *own);
}

static bool wrong(struct parser *parser, const char *format, const char *word)
{
    return problem_at(&parser->problem, NULL, 0, format, word);
}

/* What getopt did not understand: word is where it was. */
static bool unknown(struct parser *parser, int value, const char *word)
{
    const char *names[OPTIONS_MAX], *near;
    char name[80];
    size_t length, matches = 0;

    if (strncmp(word, "--", 2) != 0) {
        char letter[3] = {'-', (char)optopt, '\0'};

        return wrong(parser, value == ':' ? "%s needs a value after it" : "there is no option %s", letter);
    }
    if (value == ':')
        return wrong(parser, "%s needs a value after it", word);
    length = strcspn(word + 2, "=");
    for (size_t i = 0; i < parser->n_all; i++) {
        names[i] = parser->all[i].name;
        if (strncmp(names[i], word + 2, length) == 0)
            matches++;
    }
    snprintf(name, sizeof(name), "%.*s", length < sizeof(name) ? (int)length : (int)sizeof(name) - 1, word + 2);
    if (optopt)
        return wrong(parser, "--%s takes no value", name);
    if (matches > 1)
        return wrong(parser, "--%s is the beginning of several options; write more of it", name);
    near = nearest(name, names, parser->n_all);
    return problem_at(&parser->problem, NULL, 0, "there is no option --%s%s%s%s", name, near ? "; did you mean --" : "",
                      near ? near : "", near ? "?" : "");
}

static bool set_at(struct parser *parser, struct input *input, const char *text)
{
    uint64_t number = 0;

    if (input->at != SIZE_MAX)
        return wrong(parser, "--at %s: an input has only one", text);
    if (!number_parse(text, &number, &parser->problem))
        return wrong(parser, "--at %s is not the number of a step; they are counted from 1", text);
    /* SIZE_MAX is what stands for all of them. */
    input->at = number < SIZE_MAX ? (size_t)number : SIZE_MAX - 1;
    return true;
}

static bool set_flat(struct parser *parser, struct input *input, const char *path)
{
    if (input->flat)
        return wrong(parser, "--flat %s: an input has only one", path);
    input->flat = path;
    return true;
}

/* An option that belongs to an input. */
static bool of_input(struct parser *parser, int value, const char *argument)
{
    struct options *ret = parser->ret;
    const char **waiting = value == 'f' ? &parser->flat : &parser->at;

    if (ret->n_inputs == 0)
        parser->before = true;
    /* The input that it belongs to is still to come, or was the last. */
    if (parser->before && ret->n_inputs < parser->inputs_max) {
        if (*waiting)
            return wrong(parser, value == 'f' ? "--flat %s: an input has only one" : "--at %s: an input has only one",
                         argument);
        *waiting = argument;
        return true;
    }
    return value == 'f' ? set_flat(parser, &ret->inputs[ret->n_inputs - 1], argument)
                        : set_at(parser, &ret->inputs[ret->n_inputs - 1], argument);
}

static bool take_waiting(struct parser *parser)
{
    struct input *input = &parser->ret->inputs[parser->ret->n_inputs - 1];
    bool ok =
        (!parser->flat || set_flat(parser, input, parser->flat)) && (!parser->at || set_at(parser, input, parser->at));

    parser->flat = parser->at = NULL;
    return ok;
}

static bool add_input(struct parser *parser, const char *path, const char *qmp)
{
    struct options *ret = parser->ret;

    if (!(parser->understood & (OPT_INPUT | OPT_FILE)) || ret->n_inputs == parser->inputs_max)
        return problem_at(&parser->problem, NULL, 0, "%s\"%s\" is one argument too many", qmp ? "--qmp " : "",
                          path ? path : qmp);
    if (path && ret->n_inputs == 1 && strcmp(path, "-") == 0 && ret->inputs[0].path &&
        strcmp(ret->inputs[0].path, "-") == 0)
        return wrong(parser, "\"%s\" is standard input, which can be read only once", path);
    ret->inputs[ret->n_inputs].path = path;
    ret->inputs[ret->n_inputs++].qmp = qmp;
    return take_waiting(parser);
}

/* A word that is no option. Operands move to the beginning of argv, where nothing is looked for any more. */
static bool add_word(struct parser *parser, char *word)
{
    struct options *ret = parser->ret;

    if (ret->n_operands == parser->operands)
        return add_input(parser, word, NULL);
    ret->operands[ret->n_operands++] = word;
    return true;
}

static bool color_parse(struct parser *parser, const char *when)
{
    if (!when || strcmp(when, "always") == 0)
        output_color(COLOR_ALWAYS);
    else if (strcmp(when, "never") == 0)
        output_color(COLOR_NEVER);
    else if (strcmp(when, "auto") == 0)
        output_color(COLOR_AUTO);
    else
        return wrong(parser, "--color=%s: it is always, never or auto", when);
    return true;
}

static bool take(struct parser *parser, int value, const char *word, option_fn *fn, void *opaque)
{
    switch (value) {
    case 1:
        return add_word(parser, optarg);
    case 'h':
        parser->ret->help = true;
        return true;
    case OPTION_COLOR:
        return color_parse(parser, optarg);
    case OPTION_QMP:
        return add_input(parser, NULL, optarg);
    case OPTION_AT:
        return of_input(parser, value, optarg);
    case OPTION_JSON:
        parser->ret->json = true;
        return true;
    case '?':
    case ':':
        return unknown(parser, value, word);
    default:
        break;
    }
    if (value == 'f' && parser->understood & OPT_INPUT)
        return of_input(parser, value, optarg);
    if (value == 's' && parser->understood & OPT_SPACE) {
        parser->ret->space = optarg;
        return true;
    }
    return fn(opaque, value, optarg, &parser->problem);
}

/* All has been read: is it enough, and does it go together? */
static bool complete(struct parser *parser)
{
    struct options *ret = parser->ret;

    if (ret->n_operands < parser->operands)
        return problem_at(&parser->problem, NULL, 0, "an argument is missing: %s", help_synopsis(parser->argv[0]));
    if (parser->understood & (OPT_INPUT | OPT_FILE) && !(parser->understood & OPT_OPTIONAL) &&
        ret->n_inputs < parser->inputs_max)
        return problem_at(&parser->problem, NULL, 0, "%s",
                          ret->n_inputs ? "the second FILE is missing"
                          : parser->understood & OPT_INPUT
                              ? "no FILE is given (- is standard input, --qmp SOCKET a running QEMU)"
                              : "no FILE is given (- is standard input)");
    if ((parser->flat || parser->at) && ret->n_inputs == 0)
        return wrong(parser, "--%s is there without a FILE that it belongs to", parser->flat ? "flat" : "at");
    if ((parser->flat || parser->at) && !take_waiting(parser))
        return false;
    for (size_t i = 0; i < ret->n_inputs; i++) {
        const struct input *input = &ret->inputs[i];

        if (input->qmp && (input->flat || input->at != SIZE_MAX))
            return wrong(parser,
                         input->flat ? "--flat %s: a running QEMU (--qmp) is asked for its flat dump anyway"
                                     : "--at: a running QEMU (--qmp) has no steps%s",
                         input->flat ? input->flat : "");
        if (input->flat && strcmp(input->flat, "-") == 0 && input->path && strcmp(input->path, "-") == 0)
            return wrong(parser, "standard input can't be FILE and --flat too; both may come in one: gmem %s -",
                         parser->argv[0]);
    }
    return true;
}

int options_parse(int argc, char **argv, unsigned understood, int operands, const struct option *own, option_fn *fn,
                  void *opaque, struct options *ret)
{
    struct parser parser = {.argv = argv, .understood = understood, .operands = operands, .ret = ret};
    int value;

    *ret = (struct options){.operands = argv + 1};
    for (int i = 0; i < 2; i++)
        ret->inputs[i].at = SIZE_MAX;
    parser.inputs_max = understood & OPT_TWO ? 2 : 1;
    understand(&parser, own);
    output_color(COLOR_AUTO);
    for (optind = 0;;) {
        const char *word = argv[optind ? optind : 1];

        value = getopt_long(argc, argv, parser.letters, parser.all, NULL);
        if (value == -1)
            break;
        if (!take(&parser, value, word, fn, opaque))
            return bad_usage(argv[0], &parser.problem);
        if (ret->help)
            return help_command(argv[0]);
    }
    for (int i = optind; i < argc; i++)
        if (!add_word(&parser, argv[i]))
            return bad_usage(argv[0], &parser.problem);
    if (!complete(&parser))
        return bad_usage(argv[0], &parser.problem);
    return -1;
}
