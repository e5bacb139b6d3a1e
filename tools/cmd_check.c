/* SPDX-License-Identifier: MIT */
/*
 * gmem check: what gmem renders, and what QEMU says that it shows. Owns what it loads until it returns. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "check.h"
#include "command.h"
#include "options.h"
#include "output.h"

#include <inttypes.h>
#include <stdlib.h>

/* A list of guesses up to this long is printed without being asked for. */
#define SHORT_LIST 10
/* Columns of one side of a table. */
#define SIDE 58

struct asked {
    bool verbose;
    bool no_infer;
    bool quiet;
};

enum { OPTION_VERBOSE = OPTION_OWN, OPTION_NO_INFER, OPTION_QUIET };

static const struct option own[] = {
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"no-infer", no_argument, NULL, OPTION_NO_INFER},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {0},
};

static bool take_option(void *opaque, int value, const char *argument, struct problem *problem)
{
    struct asked *asked = opaque;

    (void)argument, (void)problem;
    asked->verbose |= value == OPTION_VERBOSE;
    asked->no_infer |= value == OPTION_NO_INFER;
    asked->quiet |= value == OPTION_QUIET;
    return true;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void side(const struct check_range *range, bool has, char *text, size_t size)
{
    char offset[32] = "";

    if (has && range->offset)
        snprintf(offset, sizeof(offset), " @%" PRIx64, range->offset);
    if (has)
        snprintf(text, size, "%" PRIx64 "-%" PRIx64 " (%" PRId32 ", %s%s) %s%s", range->first, range->last,
                 range->priority, range->nonvolatile ? "nv-" : "", range->type, range->name, offset);
    else
        snprintf(text, size, "nothing");
    for (char *p = text; *p; p++) /* what a terminal would act on */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static bool only_owner(const struct check_difference *difference)
{
    char left[512], right[512];

    side(&difference->dump, difference->has_dump, left, sizeof(left));
    side(&difference->map, difference->has_map, right, sizeof(right));
    return strcmp(left, right) == 0;
}

static void print_difference(const struct check_difference *difference)
{
    char left[512], right[512];

    side(&difference->dump, difference->has_dump, left, sizeof(left));
    side(&difference->map, difference->has_map, right, sizeof(right));
    if (only_owner(difference)) {
        snprintf(left, sizeof(left), "%.100s", difference->dump.owner);
        snprintf(right, sizeof(right), "%.100s", difference->map.owner);
    }
    printf("  %s%-*s%s | %s%s%s\n", difference->has_dump ? "" : color(COLOR_DIM), SIDE, left,
           difference->has_dump ? "" : color(COLOR_NONE), difference->has_map ? "" : color(COLOR_DIM), right,
           difference->has_map ? "" : color(COLOR_NONE));
}

static void print_spaces(const struct check_view *view)
{
    for (size_t i = 0; i < view->view->n_spaces && i < 4; i++)
        printf("%s%s%s%s", i ? ", " : "", color(COLOR_NAME), view->view->spaces[i].name, color(COLOR_NONE));
    if (view->view->n_spaces > 4)
        printf(" and %zu more", view->view->n_spaces - 4);
}

static void print_view(const struct check_view *view)
{
    print_spaces(view);
    if (view->exact) {
        printf(": %sexact%s, %zu range%s\n", color(COLOR_GOOD), color(COLOR_NONE), view->compared,
               plural(view->compared));
        return;
    }
    printf(": %sdiffers%s", color(COLOR_BAD), color(COLOR_NONE));
    if (view->n_differences)
        printf(", %zu place%s", view->n_differences, plural(view->n_differences));
    printf("\n");
    for (size_t i = 0; i < view->view->n_spaces; i++)
        if (view->spaces[i] == NOWHERE)
            printf("  the tree has no space \"%s\"\n", view->view->spaces[i].name);
    if (!view->shared)
        printf("  QEMU shows one view to just these spaces; gmem does not\n");
    if (!view->same_root)
        printf("  rendered from: %-*s | %s\n", SIDE - 15, view->view->root ? view->view->root : "(none)",
               view->root ? view->root : "(none)");
    if (view->n_differences)
        printf("  %-*s | %s\n", SIDE, "QEMU shows", "gmem renders");
    for (size_t i = 0; i < view->n_differences; i++)
        print_difference(&view->differences[i]);
}

static size_t count(const struct topology *topology, enum settled by, bool against)
{
    size_t n = 0;

    for (size_t i = 0; i < topology->n_guesses; i++)
        n += topology->guesses[i].by == by && topology->guesses[i].against_rule == against;
    return n;
}

static void print_guesses(const struct loaded *loaded, enum settled by, bool against)
{
    for (size_t i = 0; i < loaded->topology.n_guesses; i++) {
        const struct topo_guess *guess = &loaded->topology.guesses[i];

        if (guess->by != by || guess->against_rule != against)
            continue;
        if (guess->line)
            printf("  line %zu: %s\n", guess->line, guess->text);
        else
            printf("  %s\n", guess->text);
    }
}

static void print_list(const struct loaded *loaded, const struct asked *asked, enum settled by, bool against,
                       const char *what)
{
    size_t n = count(&loaded->topology, by, against);
    bool list = asked->verbose || (against && n <= SHORT_LIST);

    if (!n)
        return;
    printf("%zu thing%s that the text leaves open %s %s%s\n", n, plural(n), n == 1 ? "was" : "were", what,
           list ? ":" : " (--verbose lists them)");
    if (list)
        print_guesses(loaded, by, against);
}

static void print_text(const struct loaded *loaded, const struct check *result, const struct asked *asked)
{
    bool exact = result->n_exact == result->n_views && !result->missing;

    for (size_t i = 0; !asked->quiet && i < result->n_views; i++)
        print_view(&result->views[i]);
    printf("%s%s%s: %zu of %zu view%s exact, %zu range%s compared, %zu difference%s\n",
           color(exact ? COLOR_GOOD : COLOR_BAD), exact ? "exact" : "differs", color(COLOR_NONE), result->n_exact,
           result->n_views, plural(result->n_views), result->compared, plural(result->compared), result->n_differences,
           plural(result->n_differences));
    if (result->missing)
        printf("%zu space%s of the tree %s not in the flat dump\n", result->missing, plural(result->missing),
               result->missing == 1 ? "is" : "are");
    if (asked->quiet)
        return;
    print_list(loaded, asked, SETTLED_FLAT, true, "settled by the flat dump, against the rule");
    print_list(loaded, asked, SETTLED_FLAT, false, "settled by the flat dump, as the rule would have");
    print_list(loaded, asked, SETTLED_RULE, false, "settled by rule");
}

static void json_range(const struct check_range *range)
{
    printf("{\"first\": ");
    json_address(stdout, range->first);
    printf(", \"last\": ");
    json_address(stdout, range->last);
    printf(", \"name\": ");
    json_string(stdout, range->name);
    printf(", \"type\": \"%s\", \"nonvolatile\": %s, \"priority\": %" PRId32 ", \"offset\": ", range->type,
           range->nonvolatile ? "true" : "false", range->priority);
    json_address(stdout, range->offset);
    if (range->owner) {
        printf(", \"owner\": ");
        json_string(stdout, range->owner);
    }
    printf("}");
}

static void json_view(const struct check_view *view)
{
    printf("{\"spaces\": [");
    for (size_t i = 0; i < view->view->n_spaces; i++) {
        printf("%s", i ? ", " : "");
        json_string(stdout, view->view->spaces[i].name);
    }
    printf("], \"exact\": %s, \"shared\": %s, \"same_root\": %s, \"ranges\": %zu, \"differences\": [",
           view->exact ? "true" : "false", view->shared ? "true" : "false", view->same_root ? "true" : "false",
           view->compared);
    for (size_t i = 0; i < view->n_differences; i++) {
        const struct check_difference *difference = &view->differences[i];

        printf("%s{", i ? ", " : "");
        if (difference->has_dump) {
            printf("\"shown\": ");
            json_range(&difference->dump);
        }
        if (difference->has_map) {
            printf("%s\"rendered\": ", difference->has_dump ? ", " : "");
            json_range(&difference->map);
        }
        printf("}");
    }
    printf("]}");
}

static void print_json(const struct loaded *loaded, const struct check *result)
{
    printf("{\"format\": \"gmem-check\", \"version\": 1, \"exact\": %s, \"exact_views\": %zu, \"views\": [",
           result->n_exact == result->n_views && !result->missing ? "true" : "false", result->n_exact);
    for (size_t i = 0; i < result->n_views; i++) {
        printf("%s\n  ", i ? "," : "");
        json_view(&result->views[i]);
    }
    printf("],\n \"guesses\": [");
    for (size_t i = 0; i < loaded->topology.n_guesses; i++) {
        const struct topo_guess *guess = &loaded->topology.guesses[i];

        printf("%s\n  {\"line\": %zu, \"by\": \"%s\", \"against_rule\": %s, \"text\": ", i ? "," : "", guess->line,
               guess->by == SETTLED_FLAT ? "flat" : "rule", guess->against_rule ? "true" : "false");
        json_string(stdout, guess->text);
        printf("}");
    }
    printf("]}\n");
}

int cmd_check(int argc, char **argv)
{
    struct asked asked = {0};
    struct options options;
    struct loaded loaded;
    struct problem problem;
    struct check result;
    int status = options_parse(argc, argv, OPT_INPUT | OPT_JSON, 0, own, take_option, &asked, &options);

    if (status >= 0)
        return status;
    options.inputs[0].no_infer = asked.no_infer;
    if (!load(&options.inputs[0], &loaded, &problem))
        return bad_input(&problem);
    if (!loaded.has_flat) {
        problem_at(&problem, loaded.name, 0, "no flat dump to compare with: give one of the same machine with --flat");
        loaded_free(&loaded);
        return bad_input(&problem);
    }
    check(&loaded, &result);
    if (options.json)
        print_json(&loaded, &result);
    else
        print_text(&loaded, &result, &asked);
    status = result.n_exact == result.n_views && !result.missing ? 0 : EXIT_ASKED;
    check_free(&result);
    loaded_free(&loaded);
    return output_end(status);
}
