/* SPDX-License-Identifier: MIT */
/*
 * gmem draw: the picture, made as a whole before OUT is opened, so that what was there stays if it can't be made. Owns
 * the picture's text until it is written. One thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "command.h"
#include "draw.h"
#include "options.h"
#include "output.h"

#define WIDTH_MIN 320
#define WIDTH_MAX 20000

enum { OPTION_HTML = OPTION_OWN, OPTION_SVG, OPTION_RANGE, OPTION_WIDTH, OPTION_TITLE, OPTION_TIMELINE };

static const struct option own[] = {
    {"html", no_argument, NULL, OPTION_HTML},
    {"svg", no_argument, NULL, OPTION_SVG},
    {"output", required_argument, NULL, 'o'},
    {"range", required_argument, NULL, OPTION_RANGE},
    {"width", required_argument, NULL, OPTION_WIDTH},
    {"title", required_argument, NULL, OPTION_TITLE},
    {"timeline", required_argument, NULL, OPTION_TIMELINE},
    {NULL, 0, NULL, 0},
};

struct asked {
    struct draw_options draw;
    const char *output, *timeline;
    bool html, svg;
};

/* FIRST-LAST, or FIRST+SIZE. */
static bool range_parse(const char *text, struct draw_options *draw, struct problem *problem)
{
    size_t length = strcspn(text, "-+");
    char *first = alloc_bytes(text, length);
    uint64_t number = 0;
    bool ok = text[length]
                  ? number_parse(first, &draw->first, problem) && number_parse(text + length + 1, &number, problem)
                  : problem_at(problem, NULL, 0, "--range %s: give FIRST-LAST, such as 0xa0000-0xfffff", text);

    free(first);
    if (!ok)
        return false;
    draw->last = text[length] == '+' ? draw->first + (number - 1) : number;
    if ((text[length] == '+' && !number) || draw->last < draw->first)
        return problem_at(problem, NULL, 0, "--range %s: nothing is in it, or it goes past 2^64", text);
    return true;
}

static bool option(void *opaque, int value, const char *argument, struct problem *problem)
{
    struct asked *asked = opaque;
    uint64_t number;

    switch (value) {
    case OPTION_HTML:
        asked->html = true;
        break;
    case OPTION_SVG:
        asked->svg = true;
        break;
    case 'o':
        asked->output = argument;
        break;
    case OPTION_RANGE:
        return range_parse(argument, &asked->draw, problem);
    case OPTION_WIDTH:
        if (!number_parse(argument, &number, problem))
            return false;
        if (number < WIDTH_MIN || number > WIDTH_MAX)
            return problem_at(problem, NULL, 0, "--width %s: give %d to %d pixels", argument, WIDTH_MIN, WIDTH_MAX);
        asked->draw.width = (unsigned)number;
        break;
    case OPTION_TITLE:
        asked->draw.title = argument;
        break;
    case OPTION_TIMELINE:
        asked->timeline = argument;
        break;
    }
    return true;
}

static bool ends_in(const char *text, const char *ending)
{
    size_t length = strlen(text), wanted = strlen(ending);

    return length > wanted && strcasecmp(text + length - wanted, ending) == 0;
}

/* What the options leave open, and what they may not say together. */
static bool settle(struct asked *asked, const struct options *options, struct problem *problem)
{
    if (!asked->output)
        return problem_at(problem, NULL, 0, "where should the picture go? Give -o FILE.svg, -o FILE.html, or -o -");
    if (asked->html && asked->svg)
        return problem_at(problem, NULL, 0, "--html and --svg: give one of them");
    if (!asked->html && !asked->svg) {
        asked->svg = ends_in(asked->output, ".svg");
        asked->html =
            !asked->svg && (ends_in(asked->output, ".html") || ends_in(asked->output, ".htm") || asked->timeline);
    }
    if (!asked->html && !asked->svg)
        return problem_at(problem, NULL, 0, "%s: say which it is to be, --svg or --html", asked->output);
    if (asked->timeline && asked->svg)
        return problem_at(problem, NULL, 0, "--timeline needs --html: an SVG shows one moment (--at N)");
    if (asked->timeline && options->n_inputs)
        return problem_at(problem, NULL, 0, "--timeline %s is the machine itself: leave out the other file",
                          asked->timeline);
    if (!asked->timeline && !options->n_inputs)
        return problem_at(problem, NULL, 0, "no FILE given (- is standard input)");
    if (asked->draw.width && asked->html)
        return problem_at(problem, NULL, 0, "--width needs --svg: a page is as wide as its window");
    return true;
}

static int write_output(const char *path, const char *text, size_t size)
{
    FILE *out;
    bool ok;

    if (strcmp(path, "-") == 0) {
        fwrite(text, 1, size, stdout);
        return output_end(0);
    }
    out = fopen(path, "w");
    ok = out && fwrite(text, 1, size, out) == size;
    if (out && fclose(out) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "%s: %s: %s\n", problem_program(), path, strerror(errno ? errno : EIO));
    return ok ? 0 : EXIT_ASKED;
}

static int draw(const struct loaded *loaded, const struct asked *asked)
{
    struct problem problem;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool ok, written;
    int status;

    if (!out)
        alloc_failed();
    ok = asked->html ? draw_html(loaded, asked->timeline ? &loaded->history : NULL, &asked->draw, out, &problem)
                     : draw_svg(loaded, &asked->draw, out, &problem);
    written = !ferror(out);
    if (fclose(out) != 0 || !written)
        alloc_failed();
    status = ok ? write_output(asked->output, text, size) : bad_input(&problem);
    free(text);
    return status;
}

int cmd_draw(int argc, char **argv)
{
    struct asked asked = {.draw = {.space = NOWHERE, .last = UINT64_MAX}};
    struct options options;
    struct loaded loaded;
    struct problem problem;
    int status = options_parse(argc, argv, OPT_INPUT | OPT_SPACE | OPT_OPTIONAL, 0, own, option, &asked, &options);

    if (status >= 0)
        return status;
    if (!settle(&asked, &options, &problem))
        return bad_usage("draw", &problem);
    if (asked.timeline) {
        options.inputs[0] = (struct input){.path = asked.timeline, .at = SIZE_MAX};
        if (strcmp(asked.timeline, "-") != 0 && !asked.draw.title)
            asked.draw.title = asked.timeline;
    }
    if (!load(&options.inputs[0], &loaded, &problem))
        return bad_input(&problem);
    if (asked.timeline && !loaded.has_history) {
        problem_at(&problem, asked.timeline, 0,
                   "has no steps: --timeline takes a trace of slots, or what gmem-pc --record wrote");
        status = bad_input(&problem);
    } else if (options.space && !loaded_space(&loaded, options.space, &asked.draw.space, &problem)) {
        status = bad_input(&problem);
    } else {
        status = draw(&loaded, &asked);
    }
    loaded_free(&loaded);
    return status;
}
